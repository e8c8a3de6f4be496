"""What do taps share, and what does one add to another?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Shaped
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    RANDOM,
    Analysis,
    Condition,
    Context,
    Joint,
    Judgement,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import (
    DRAWN,
    NOTHING_TO_MEASURE,
    OWN,
    Gathered,
    guided,
    in_turn,
    untested,
)
from auscult.blocks import Axis, Block, Histogram, Series, Table, Verdict
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.crosscoder import CrosscoderDictionary
from auscult.dictionaries.train import TrainingJob, train
from auscult.measures.crosscoding import (
    SHARED_BELOW,
    affine_map,
    errors_by_part,
    spread_by_part,
    unpaired,
)
from auscult.measures.statistics import bootstrap_interval
from auscult.store.source import ArraySource, VectorSource

UNPAIRED = "the same recipe on frames that do not belong together"
AFFINE = "an affine map of the same input"
_EVEN = "how evenly a feature lies in its parts, mean over live features"
_ERROR = "fraction of variance unexplained"


class JointDictionariesParams(Config):
    """Settings of the analysis of dictionaries over several taps."""

    most_vectors: int = Field(40_000, ge=100)
    """Vectors of each side that are looked at, evenly spread."""
    untrained: bool = True
    """Whether the dictionaries are fitted to the network with random weights too."""


@dataclass(frozen=True)
class _Rows:
    """Vectors of one side, in memory, with what is to be given back of each."""

    values: Float[np.ndarray, "n d_in"]
    targets: Float[np.ndarray, "n d_out"]
    recordings: Shaped[np.ndarray, " n"]


@dataclass(frozen=True)
class _Measured:
    """One dictionary on test vectors.

    Attributes:
        fvu: Of each part.
        l0: Features on at once.
        live: Which features are ever on.
        shares: Of each feature's length, the first part's share; empty for a transcoder.
        least: The smallest share of any part; empty for a transcoder.
        most: The largest; empty for a transcoder.
        errors: Of each row, summed over parts, in units of the spread.
    """

    fvu: Float[np.ndarray, " parts"]
    l0: float
    live: Shaped[np.ndarray, " m"]
    shares: Float[np.ndarray, " s"]
    least: Float[np.ndarray, " s"]
    most: Float[np.ndarray, " s"]
    errors: Float[np.ndarray, " n"]

    @property
    def evenness(self) -> Float[np.ndarray, " k"]:
        """Smallest share of each live feature, times parts: 1 alike in all, 0 lacking in one."""
        return np.asarray(self.least[self.live] * len(self.fvu), dtype=np.float64)

    @property
    def shared(self) -> float | None:
        """Share of live features that no part has to itself; None for a transcoder."""
        known = self.most[self.live] if len(self.most) else self.most
        return float((known < SHARED_BELOW).mean()) if len(known) else None


@ANALYSES.register("joint-dictionaries")
class JointDictionaries(Analysis):
    """Crosscoders and transcoders of the spec.

    A crosscoder's features lie in all its parts, or in one of them; a transcoder says one tap from
    another. Each stands beside the same recipe on frames that do not belong together, beside itself
    of random weights, and a transcoder beside an affine map, which needs no features at all.
    """

    Params: ClassVar[type[Config]] = JointDictionariesParams
    title: ClassVar[str] = "What taps share"
    question: ClassVar[str] = "Which features do taps share, and what does a tap add to another?"
    version: ClassVar[int] = 3
    source: ClassVar[str] = "METHODS §8.1 (Lindsey et al. 2024; Dunefsky et al. 2024)"

    @classmethod
    def controls(cls, params: JointDictionariesParams) -> tuple[Condition, ...]:
        """Untrained weights; frames out of order need no recording."""
        return (RANDOM,) if params.untrained else ()

    def run(self, context: Context, params: JointDictionariesParams) -> Result:
        """Measure every dictionary that reads or gives several taps."""
        gathered = Gathered()
        names = context.joint_names()
        if not names:
            gathered.judgements.append(_untold(context.taps[0], "the spec has none."))
        rows: list[tuple[Any, ...]] = []
        for name in in_turn(context, names):
            for joint in context.joint(name):
                try:
                    rows += _one(context, params, name, joint, gathered)
                except NOTHING_TO_MEASURE as error:
                    gathered.judgements.append(_untold(joint.tap, f"{error}."))
        if rows:
            columns = (
                "dictionary",
                "condition",
                "part",
                _ERROR,
                "l0",
                "live features",
                "evenness",
                "shared",
            )
            note = "Of test recordings. Shared: no part has nine tenths of the feature's length."
            gathered.blocks.append(Table("Every dictionary", columns, tuple(rows), note=note))
        return gathered.judged_first({"missing": gathered.missing})

    def view(self, result: Result) -> list[Block]:
        """Findings, how to read it, histograms of shares."""
        return guided(result, _HOW_TO_READ)


_HOW_TO_READ = (
    "A crosscoder writes several taps with one set of features. The length of a feature in one "
    "part, as a share of its length in all, says where it lives: at one half (of two parts) it is "
    "shared, at 0 or 1 it belongs to one. Where the frames of the parts are shuffled against each "
    "other nothing can be shared, and a crosscoder of the same recipe shows what the recipe finds "
    "shared regardless. The penalty of the rule relu makes features specific that are not "
    "(Minder et al. 2025): believe one that is specific under batch-topk as well.\n\n"
    "A transcoder says what comes out of a part of the network from what goes in. An affine map "
    "does that as well: what the transcoder explains beyond it is what its features stand for. The "
    "fraction of variance unexplained of a transcoder is not comparable with an autoencoder's."
)


def _one(
    context: Context,
    params: JointDictionariesParams,
    name: str,
    joint: Joint,
    gathered: Gathered,
) -> list[tuple[Any, ...]]:
    """Measure one dictionary beside its controls; returns rows of the table."""
    train_rows, test = _read(context, params, joint)
    widths = _widths(joint, test)
    found = {OWN: _measure(joint.dictionaries[0], test, widths)}
    twin = _twin(context, name, joint, train_rows, widths)
    found[UNPAIRED] = _measure(twin, test, widths)
    if params.untrained:
        for other in context.joint(name, RANDOM):
            if other.tap == joint.tap:
                own = _read(context, params, other, RANDOM)[1]
                found[DRAWN] = _measure(other.dictionaries[0], own, widths)
    rng = named_rng(context.seed, "joint-dictionaries", name, joint.tap)
    if len(found[OWN].shares):
        gathered.judgements.append(_shared(name, joint, found, rng))
        gathered.blocks.append(_histogram(name, joint, found))
    else:
        gathered.judgements.append(_beyond(name, joint, found, train_rows, test, rng))
    gathered.measurements += _numbers(name, joint, found)
    return [row for told, one in found.items() for row in _table_rows(name, joint, told, one)]


def _read(
    context: Context,
    params: JointDictionariesParams,
    joint: Joint,
    condition: Condition | None = None,
) -> tuple[_Rows, _Rows]:
    store = context.store(joint.tap, condition) if condition else context.store(joint.tap)
    recordings = {clip.clip_id: clip.recording_id for clip in store.clips}

    def side(source: VectorSource, targets: VectorSource | None) -> _Rows:
        count = min(params.most_vectors, source.n_vectors)
        if count < 100:
            raise NothingToMeasureError(f"only {count} vectors of all its taps are stored")
        places = np.linspace(0, source.n_vectors - 1, count).astype(np.int64)
        values = source.rows(places).astype(np.float32)
        goal = values if targets is None else targets.rows(places).astype(np.float32)
        clips, _ = source.locate(places)
        return _Rows(values, goal, np.array([recordings[clip] for clip in clips]))

    return side(*joint.vectors("train")), side(*joint.vectors("test"))


def _widths(joint: Joint, rows: _Rows) -> tuple[int, ...]:
    one = joint.dictionaries[0]
    return one.widths if isinstance(one, CrosscoderDictionary) else (rows.targets.shape[1],)


def _measure(dictionary: Dictionary, rows: _Rows, widths: Sequence[int]) -> _Measured:
    errors, on = errors_by_part(dictionary, rows.values, rows.targets, widths)
    spread = spread_by_part(rows.targets, widths).mean(0)
    shares = least = most = np.empty(0)
    if isinstance(dictionary, CrosscoderDictionary):
        every = dictionary.shares.detach().numpy()
        shares, least, most = every[:, 0], every.min(1), every.max(1)
    relative = (errors / np.maximum(spread, 1e-30)).mean(1)
    fvu = errors.mean(0) / np.maximum(spread, 1e-30)
    return _Measured(fvu, float(on.sum()), on > 0, shares, least, most, relative)


def _twin(
    context: Context,
    name: str,
    joint: Joint,
    rows: _Rows,
    widths: Sequence[int],
) -> Dictionary:
    """The recipe, trained as it was, on rows whose parts do not belong together."""
    one = joint.dictionaries[0]
    rng = named_rng(context.seed, "joint-dictionaries", "unpaired", name, joint.tap)
    crosscoder = isinstance(one, CrosscoderDictionary)
    values = unpaired(rows.values, widths, rng) if crosscoder else rows.values
    targets = None if crosscoder else ArraySource(rows.targets[rng.permutation(len(rows.targets))])
    source = ArraySource(values)
    wanted = None if targets is None else targets.statistics
    built = type(one).build(one.params, one.d_in, context.seed, source.statistics, wanted)
    with TemporaryDirectory() as folder:
        job = TrainingJob(built, "unpaired", context.seed)
        (made,) = train([job], source, joint.training, Path(folder), targets=targets)
    return made


Found = Mapping[str, _Measured]


def _shared(name: str, joint: Joint, found: Found, rng: np.random.Generator) -> Judgement:
    own = found[OWN].evenness
    value = float(own.mean()) if len(own) else float("nan")
    interval = bootstrap_interval(own, np.arange(len(own)), rng) if len(own) else None
    controls = {
        told: float(one.evenness.mean()) if len(one.evenness) else 0.0
        for told, one in found.items()
        if told != OWN
    }
    verdict: Verdict = "cannot be tested here"
    if interval is not None:
        verdict = "holds" if interval[0] > max(controls.values()) else "explained by control"
        verdict = "does not hold" if interval[1] < controls[UNPAIRED] else verdict
    told = ", ".join(f"{words} {number:.2f}" for words, number in controls.items())
    return Judgement(
        f"{name}: features are shared by {_parts(joint)} at an evenness of {value:.2f} ({told}).",
        Measurement(f"{name}: {_EVEN}", value, "", controls, interval, tap=joint.tap),
        verdict,
        "1: as long in every part; 0: lacking in one. That training made taps share holds when the "
        "whole interval, a bootstrap over features, exceeds the same recipe where frames of the "
        "parts are shuffled against each other, and random weights: what these share as well the "
        "architecture gives.",
    )


def _beyond(
    name: str,
    joint: Joint,
    found: Found,
    train_rows: _Rows,
    test: _Rows,
    rng: np.random.Generator,
) -> Judgement:
    weights, constant = affine_map(train_rows.values, train_rows.targets)
    miss = ((test.values @ weights + constant - test.targets) ** 2).sum(1)
    spread = float(spread_by_part(test.targets, [test.targets.shape[1]]).mean())
    own, affine = found[OWN].errors, miss / max(spread, 1e-30)
    gain = bootstrap_interval(affine - own, test.recordings, rng)
    interval = bootstrap_interval(own, test.recordings, rng)
    controls = {AFFINE: float(affine.mean())}
    controls |= {
        told: float(one.errors.mean()) for told, one in found.items() if one.errors is not own
    }
    verdict: Verdict = "holds" if gain[0] > 0 else "explained by control"
    verdict = "does not hold" if gain[1] < 0 else verdict
    return Judgement(
        f"{name}: {own.mean():.3g} of what {joint.parts[-1]} says stays unexplained, by an affine "
        f"map {affine.mean():.3g} (difference {gain[0]:.3g} to {gain[1]:.3g}).",
        Measurement(f"{name}: {_ERROR}", float(own.mean()), "", controls, interval, tap=joint.tap),
        verdict,
        "That its features explain more than an affine map holds when the whole interval of the "
        "paired difference, over recordings, lies on the transcoder's side.",
    )


def _untold(tap: str, why: str) -> Judgement:
    sentence = f"{tap}: what taps share, by a crosscoder or transcoder, is not known."
    return untested(sentence, why, "", _EVEN, tap, [UNPAIRED])


def _numbers(name: str, joint: Joint, found: Found) -> list[Measurement]:
    own = found[OWN]
    others = {told: one for told, one in found.items() if one is not own}
    numbers = []
    for place, value in enumerate(own.fvu):
        controls = {told: float(one.fvu[place]) for told, one in others.items()}
        words = f"{name}: {_ERROR} of {_part(joint, place, len(own.fvu))}"
        numbers.append(Measurement(words, float(value), "", controls, tap=joint.tap))
    if own.shared is not None:
        controls = {told: one.shared for told, one in others.items() if one.shared is not None}
        words = f"{name}: share of live features that no part has to itself"
        numbers.append(Measurement(words, own.shared, "", controls, tap=joint.tap))
    told_l0 = {told: one.l0 for told, one in others.items()}
    numbers.append(Measurement(f"{name}: l0", own.l0, "per frame", told_l0, tap=joint.tap))
    return numbers


def _table_rows(name: str, joint: Joint, told: str, one: _Measured) -> list[tuple[Any, ...]]:
    n_parts = len(one.fvu)
    even = float(one.evenness.mean()) if len(one.least) and one.live.any() else None
    return [
        (
            name,
            told,
            _part(joint, i, n_parts),
            float(fvu),
            one.l0,
            int(one.live.sum()),
            even,
            one.shared,
        )
        for i, fvu in enumerate(one.fvu)
    ]


def _histogram(name: str, joint: Joint, found: Found) -> Histogram:
    edges = np.linspace(0, 1, 21)
    lines = []
    for told, one in found.items():
        counts, _ = np.histogram(one.shares[one.live], edges)
        share = counts / max(int(counts.sum()), 1)
        lines.append(Series(told, share, control=told != OWN))
    return Histogram(
        f"{name}: where its features live",
        edges,
        tuple(lines),
        Axis(f"share of a feature's length in {joint.parts[0]}"),
        Axis("share of live features"),
        f"0: in {' or '.join(joint.parts[1:])} alone; 1: in {joint.parts[0]} alone; "
        f"{1 / len(joint.parts):.2g}: in all alike.",
    )


def _part(joint: Joint, place: int, n_parts: int) -> str:
    return joint.parts[place] if n_parts > 1 else joint.parts[-1]


def _parts(joint: Joint) -> str:
    return " and ".join(joint.parts)
