"""Pictures of sequences of codes: entropies over levels, what follows what, moments to hear."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from auscult.analyses.base import Context, Result
from auscult.analyses.parts.codecs.code_order import SHUFFLED, SURROGATE, Read, Stretches
from auscult.blocks import Axis, Block, Clip, ClipGrid, Curve, Heatmap, Series, Table
from auscult.measures.code_sequences import Codes, shuffled

_HEARD_S = 0.4
_N_CHANGES = 6
_SHUFFLES = 10


def entropy_picture(result: Result) -> list[Block]:
    """Entropies alone and given those before over levels, with their nulls."""
    levels = range(result.facts["levels"])
    if not levels:
        return []
    own = np.array([result.arrays[f"order/{level}"] for level in levels])
    null = np.array([result.arrays[f"nulls/{level}"] for level in levels])
    lines = (
        Series("alone", own[:, 0]),
        Series("given the code before", own[:, 1]),
        Series("given the two before", own[:, 2]),
        Series(f"given the code before, {SHUFFLED}", null[:, 0], control=True),
        Series(f"given the two before, {SURROGATE}", null[:, 1], control=True),
    )
    return [
        Curve(
            "How many bits a code takes",
            np.arange(1, len(own) + 1, dtype=np.float64),
            lines,
            Axis("level"),
            Axis("entropy", "bit"),
            "Corrected for what was not seen. What lies below its dashed line is foretold.",
        )
    ]


def matrix(where: str, own: Read, rng: np.random.Generator, most: int) -> Heatmap:
    """Transitions between the most used codes over the shuffled order."""
    used = np.bincount(np.concatenate(list(own.sequences)), minlength=own.n_codes)
    order = np.argsort(-used, kind="stable")[:most]
    order = order[used[order] > 0]
    counts = _counted(own.sequences, own.n_codes)
    chance = sum(
        _counted([shuffled(one, rng) for one in own.sequences], own.n_codes)
        for _ in range(_SHUFFLES)
    )
    ratio = np.log2((counts + 1) / (chance / _SHUFFLES + 1))[np.ix_(order, order)]
    names = tuple(str(code) for code in order)
    return Heatmap(
        f"{where}: what follows what, the {len(order)} most used codes",
        ratio,
        np.arange(len(order)),
        np.arange(len(order)),
        Axis("next code"),
        Axis("code before"),
        Axis("log2 of frequency over the shuffled order"),
        "diverging",
        "Most used first. Red is more, blue less frequent than with the order shuffled within "
        "clips; the diagonal is a code that stays.",
        names,
        names,
    )


def _counted(sequences: Sequence[Codes], n_codes: int) -> Float[np.ndarray, "m m"]:
    counts = np.zeros((n_codes, n_codes))
    for one in sequences:
        np.add.at(counts, (one[:-1], one[1:]), 1)
    return counts


def transition_table(where: str, own: Read, folded: bool) -> Table:
    """The commonest transitions beside the shuffled order."""
    common = own.common
    rows = tuple(
        (int(a), int(b), float(share), float(chance), float(share / chance) if chance > 0 else None)
        for a, b, share, chance in zip(
            common.before, common.after, common.share, own.common_by_chance, strict=True
        )
    )
    return Table(
        f"{where}: the {len(rows)} commonest transitions",
        ("code", "next", "share of transitions", "order shuffled (control)", "times as often"),
        rows,
        note=f"Together {common.covered:.1%} of {own.order.n:,} frames' transitions, "
        f"{own.common_by_chance.sum():.1%} where the order is shuffled within clips; the code "
        f"stays at {common.repeats:.1%} of all, by chance at {own.repeats_by_chance:.1%}.",
        folded=folded,
    )


def moments(
    context: Context,
    where: str,
    heard: Stretches,
    level: int,
    own: Read,
    rng: np.random.Generator,
) -> list[Block]:
    """Where the commonest changes from one code to another can be heard, in two recordings each."""
    clips: list[Clip] = []
    pairs = zip(own.common.before, own.common.after, strict=True)
    for before, after in [(int(a), int(b)) for a, b in pairs if a != b][:_N_CHANGES]:
        seen: set[str] = set()
        for place in rng.permutation(len(heard.codes)).tolist():
            one = heard.codes[place][level]
            there = np.flatnonzero((one[:-1] == before) & (one[1:] == after))
            if not len(there) or heard.owners[place] in seen or len(seen) == 2:
                continue
            seen.add(heard.owners[place])
            # Where the hop of the one ends and that of the other begins.
            boundary = heard.first[place] + int(there[len(there) // 2]) + 1
            at = float(boundary / heard.time.frame_rate)
            label = f"{before} → {after} at {at:.2f} s of {heard.clip_ids[place]}"
            start = max(0.0, at - _HEARD_S / 2)
            clips.append(context.clip(heard.clip_ids[place], start, start + _HEARD_S, label))
    if not clips:
        return []
    note = (
        "Each in two recordings, drawn at random: what the two codes stand for is what both have "
        "in common."
    )
    title = f"{where}: moments of the commonest changes of code"
    return [ClipGrid(title, tuple(clips), note)]
