"""Sequences of codes of recorded clips, of noise, and under random weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from auscult.analyses.base import ClipSound
from auscult.analyses.parts.codecs.code_reading import codes_of, sounding
from auscult.core.timebase import TimeBase
from auscult.measures.code_hearing import CodeReader
from auscult.measures.code_sequences import (
    Codes,
    Common,
    Order,
    commonest,
    order_of,
    order_one_surrogate,
    pair_share,
    shuffled,
)

SHUFFLED = "order shuffled within clips"
SURROGATE = "another order of the same transitions"


@dataclass(frozen=True)
class Stretches:
    """Unbroken stretches of sounding frames.

    Attributes:
        codes: Of each stretch, ``[level frame]``.
        owners: Recording of each.
        clip_ids: Clip of each.
        first: Number of its first frame within the clip.
        time: Where frames lie.
    """

    codes: Sequence[Int[np.ndarray, "level _frame"]]
    owners: Sequence[str]
    clip_ids: Sequence[str]
    first: Sequence[int]
    time: TimeBase

    def at(self, level: int) -> list[Codes]:
        """Of one level."""
        return [one[level] for one in self.codes]


def stretches_of(reader: CodeReader, sounds: Sequence[ClipSound]) -> Stretches:
    """Codes of clips, without the frames in whose hop nothing is heard (below -60 dB).

    A silent end has one code over and over, and would make an order of its own.
    """
    codes, owners, clips, first = [], [], [], []
    for sound in sounds:
        heard = codes_of(reader, sound)
        loud = sounding(sound.waveform, reader.time, heard.shape[1]).astype(int)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], loud, [0]])))
        for start, stop in edges.reshape(-1, 2).tolist():
            codes.append(heard[:, start:stop])
            owners.append(sound.recording_id)
            clips.append(sound.clip_id)
            first.append(start)
    return Stretches(codes, owners, clips, first, reader.time)


def noise_like(
    stretches: Stretches, reader: CodeReader, rng: np.random.Generator
) -> list[ClipSound]:
    """White noise at -20 dB re full scale, as many stretches as there are and as long."""
    hop = float(reader.time.hop)
    lengths = [max(1, round(one.shape[1] * hop)) for one in stretches.codes]
    return [
        ClipSound(f"noise {i}", f"noise {i}", 0.1 * rng.standard_normal(n), {})
        for i, n in enumerate(lengths)
    ]


@dataclass(frozen=True)
class Read:
    """One level under one condition.

    Attributes:
        sequences: Its codes.
        n_codes: Entries.
        order: Entropies.
        common: Commonest transitions.
        null: Entropies where the order is shuffled within each stretch, mean of several.
        surrogate: Entropies of other orders of the same transitions, mean of several.
        common_by_chance: Share of each of the commonest transitions in the shuffled order.
        repeats_by_chance: Share of repeats there.
    """

    sequences: Sequence[Codes]
    n_codes: int
    order: Order
    common: Common
    null: Order
    surrogate: Order
    common_by_chance: Float[np.ndarray, " t"]
    repeats_by_chance: float


def read_level(
    sequences: Sequence[Codes], n_codes: int, rng: np.random.Generator, repeats: int
) -> Read:
    """Count a level, and its two nulls.

    Raises:
        NothingToMeasureError: No stretch has three frames.
    """
    common = commonest(sequences, n_codes)
    mixed = [[shuffled(one, rng) for one in sequences] for _ in range(repeats)]
    again = [[order_one_surrogate(one, rng) for one in sequences] for _ in range(repeats)]
    chance = [pair_share(one, n_codes, common.before, common.after) for one in mixed]
    same = [commonest(one, n_codes, 1).repeats for one in mixed]
    return Read(
        sequences,
        n_codes,
        order_of(sequences, n_codes),
        common,
        _mean([order_of(one, n_codes) for one in mixed]),
        _mean([order_of(one, n_codes) for one in again]),
        np.mean(chance, axis=0),
        float(np.mean(same)),
    )


def _mean(orders: Sequence[Order]) -> Order:
    def of(name: str) -> float:
        return float(np.mean([getattr(one, name) for one in orders]))

    return Order(
        of("alone"),
        of("after_one"),
        of("after_two"),
        orders[0].n,
        of("pairs_once"),
        of("triples_once"),
    )


def figures(read: Mapping[str, Read], own: str) -> list[tuple[str, str, float, dict[str, float]]]:
    """Every number of a level: name, unit, value, and the same under each control."""
    mine = read[own]
    others = {name: one for name, one in read.items() if name != own}

    def of(name: str) -> tuple[float, dict[str, float]]:
        values = {k: float(getattr(one.order, name)) for k, one in others.items()}
        return float(getattr(mine.order, name)), values

    rows = []
    value, controls = of("alone")
    rows.append(("entropy of a code", "bit", value, controls))
    value, controls = of("after_one")
    controls = {SHUFFLED: mine.null.after_one, **controls}
    rows.append(("entropy of a code, given the one before", "bit", value, controls))
    value, controls = of("after_two")
    controls = {SURROGATE: mine.surrogate.after_two, **controls}
    rows.append(("entropy of a code, given the two before", "bit", value, controls))
    by_chance = float(mine.common_by_chance.sum())
    controls = {SHUFFLED: by_chance, **{k: one.common.covered for k, one in others.items()}}
    name = f"share of the {len(mine.common.share)} commonest transitions"
    rows.append((name, "", mine.common.covered, controls))
    controls = {SHUFFLED: mine.repeats_by_chance}
    controls |= {k: one.common.repeats for k, one in others.items()}
    rows.append(("share of transitions at which the code stays", "", mine.common.repeats, controls))
    return rows
