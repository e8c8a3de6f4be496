"""What can be read from a few features, and from how few?"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    RANDOM,
    Analysis,
    Condition,
    Context,
    Judgement,
    Measurement,
    Result,
    Spread,
)
from auscult.analyses.parts.answering import (
    DRAWN,
    NOTHING_TO_MEASURE,
    Gathered,
    guided,
    untested,
    verdict_of,
)
from auscult.analyses.parts.dictionaries.labelled import (
    Labelled,
    acts_of,
    chosen_labels,
    labelled_rows,
)
from auscult.analyses.parts.dictionaries.lineup import (
    AT_L0,
    FROZEN,
    LEARNED,
    Entry,
    ResampledParams,
    opponent,
    tap_by_tap,
    untrained,
)
from auscult.analyses.parts.dictionaries.probed import (
    ACCURACY,
    CHANNELS,
    FIGURES,
    LEVELS,
    Answered,
    Probed,
    TapProbes,
)
from auscult.analyses.parts.dictionaries.probing_pictures import card, pictures
from auscult.blocks import Block, Verdict
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.measures.discrimination import discrimination
from auscult.measures.disentanglement import dci
from auscult.measures.probe_targets import Target
from auscult.measures.probes import MAJORITY, SHUFFLED, ProbeSettings, fit_probe, read
from auscult.measures.quality import interval_of
from auscult.measures.statistics import recording_draws

_PROBED = "0.72 against 0.69 (arXiv 2602.14111, abstract)"
_COMPLETE = "rises with sparse codes (arXiv 2509.24793)"


class DictionaryProbingParams(ResampledParams):
    """Settings of the analysis of what few features tell."""

    labels: tuple[str, ...] = ()
    """Labels of the sounds to read; none: every one with 2 to 24 classes that can be."""
    ks: tuple[int, ...] = Field((1, 2, 5), min_length=1)
    """How many features a probe may use."""
    most_frames: int = Field(4000, ge=100)
    """Frames that probes of single frames are fitted to, and judged on."""
    untrained: bool = True
    """Whether the same dictionaries, fitted to the network with random weights, are probed too."""


@ANALYSES.register("dictionary-probing")
class DictionaryProbing(Analysis):
    """k-sparse probes of labels, and completeness, of every dictionary of response vectors.

    Split by recording. Read against as many channels of the tap itself, baselines of the same width
    and l0, the same dictionaries of untrained weights, shuffled labels and the majority class.
    """

    Params: ClassVar[type[Config]] = DictionaryProbingParams
    title: ClassVar[str] = "What few features tell"
    question: ClassVar[str] = "Can labels be read from a few features, and better than elsewhere?"
    source: ClassVar[str] = "METHODS §8.2 (SAEBench; Korznikov et al. 2026; Mariotte et al. 2026)"
    version: ClassVar[int] = 3

    @classmethod
    def controls(cls, params: DictionaryProbingParams) -> tuple[Condition, ...]:
        """Untrained weights; channels, baselines and shuffled labels need no recording."""
        return (RANDOM,) if params.untrained else ()

    def run(self, context: Context, params: DictionaryProbingParams) -> Result:
        """Probe every representation at every tap."""
        gathered = Gathered()
        for tap, entries in tap_by_tap(context, gathered):
            there = _probed(context, params, tap, entries)
            if isinstance(there, str):
                gathered.missing.append((tap, "labels", there))
                for one in (*(_untold(tap, role, there) for role in FROZEN), _unread(tap, there)):
                    gathered.add(one)
            else:
                gathered.judgements += [_judged(params, there, role) for role in FROZEN]
                gathered.judgements.append(_complete(there))
                gathered.measurements += [
                    one for entry in there.learned for one in _numbers(there, entry)
                ]
                gathered.blocks += pictures(there, params.ks)
                gathered.cards |= {f"{tap} {name}": card(there, name) for name in there.entries}
        return gathered.result({"missing": gathered.missing})

    def view(self, result: Result) -> list[Block]:
        """Findings, how to read it, accuracy over k, every probe."""
        return guided(result, _HOW_TO_READ)


_HOW_TO_READ = (
    "A probe is fitted to some recordings and judged on others. A k-sparse one may use k features "
    "only: a dictionary whose features stand for what labels name needs few. As many channels of "
    "the tap itself, chosen in the same way, are what a dictionary must beat; a random decoder of "
    "the same width shows what choice among many columns gives by itself.\n\n"
    "Completeness is 1 when each label needs one feature, 0 when it needs all alike, by the "
    "weights of a linear probe of all columns. It is counted in units of the number of columns, so "
    "that wide dictionaries come out more complete; the baselines of the same width tell. Probes "
    "of one seed, the first."
)


def _probed(
    context: Context, params: DictionaryProbingParams, tap: str, entries: Sequence[Entry]
) -> TapProbes | str:
    """Probes of a tap, or why there are none."""
    if not entries:
        return "the spec fits no dictionary to response vectors."
    try:
        rows = labelled_rows(context, tap)
        targets = chosen_labels(rows, params.labels)
    except NOTHING_TO_MEASURE as error:
        return f"{error}."
    found = _every(context, params, tap, rows, targets, entries)
    labels = list(targets)
    controls = _untrained(context, params, tap, entries, labels) if params.untrained else {}
    n = len(np.unique(rows.recording_ids[rows.test]))
    rng = named_rng(context.seed, "dictionary-probing", tap)
    draws = recording_draws(n, params.n_resamples, rng)
    named = {one.name: one for one in entries}
    return TapProbes(tap, named, found, draws, labels, controls)


def _every(
    context: Context,
    params: DictionaryProbingParams,
    tap: str,
    rows: Labelled,
    targets: Mapping[str, Target],
    entries: Sequence[Entry],
) -> dict[str, Probed]:
    """Probes of the channels and of each dictionary, by name."""
    found: dict[str, Probed] = {}
    learned = {entry.name for entry in entries if entry.role == LEARNED}
    for name, columns, l0 in _representations(rows, entries):
        rng = named_rng(context.seed, "dictionary-probing", tap, name)
        found[name] = _probe(rows, targets, columns, l0, params, rng, name in learned)
    return found


def _untrained(
    context: Context,
    params: DictionaryProbingParams,
    tap: str,
    entries: Sequence[Entry],
    labels: Sequence[str],
) -> dict[str, Probed]:
    """The same of learned dictionaries under random weights; none where too little is recorded."""
    try:
        rows = labelled_rows(context, tap, RANDOM)
        targets = chosen_labels(rows, labels)
    except NOTHING_TO_MEASURE:
        return {}
    return _every(context, params, tap, rows, targets, untrained(context, tap, entries))


def _representations(rows: Labelled, entries: Sequence[Entry]) -> Any:
    """Name, columns of every frame and l0: the channels themselves, then each dictionary."""
    yield CHANNELS, rows.values, float(rows.values.shape[1])
    for entry in entries:
        acts = acts_of(entry.seeds[0], rows.values)
        yield entry.name, acts, float((acts != 0).sum(1).mean())


def _probe(
    rows: Labelled,
    targets: Mapping[str, Target],
    columns: Float[np.ndarray, "n m"],
    l0: float,
    params: DictionaryProbingParams,
    rng: np.random.Generator,
    draws: bool,
) -> Probed:
    """Probes of every task; ``draws`` says whether their AUC is to have an interval."""
    answered, nulls, importance = {}, {}, {}
    pooled = rows.pooled(columns)
    frames = _drawn(rows, params.most_frames)
    _, recordings = np.unique(rows.recording_ids[rows.test], return_inverse=True)
    place = np.full(len(rows.test), -1)
    place[rows.test] = recordings
    levels = {
        "clip": (pooled, np.arange(len(rows.test))),
        "frame": (columns[frames], rows.clips[frames]),
    }
    for label, by_clip in targets.items():
        for level, (x, clips) in levels.items():
            target, test = by_clip.rows(clips), rows.test[clips]
            for k in params.ks:
                settings = ProbeSettings(family="sparse", k=min(k, x.shape[1]))
                ids = rows.recording_ids[clips]
                reading = read(x, target, ids, test, rng, settings, further=discrimination)
                known = test & (target.labels >= 0)
                where, size = place[clips[known]], int(recordings.max()) + 1
                answers, task = reading.probe.answers(x[known]), (label, level, k)
                answered[task] = Answered.of(answers, target.labels[known], where, size, draws)
                nulls[task] = {name: reading.controls[name] for name in (MAJORITY, SHUFFLED)}
        importance[label] = _importance(rows, by_clip, pooled, rng)
    found = _dci(importance)
    return Probed(answered, nulls, found.completeness, found.disentanglement, l0)


def _drawn(rows: Labelled, most: int) -> np.ndarray:
    """Frames of at most ``most`` rows on each side, evenly spread."""
    on_test = rows.test[rows.clips]
    parts = []
    for side in (~on_test, on_test):
        there = np.flatnonzero(side)
        chosen = np.linspace(0, len(there) - 1, min(most, len(there))).astype(np.int64)
        parts.append(there[chosen])
    return np.sort(np.concatenate(parts))


def _importance(
    rows: Labelled, target: Target, pooled: Float[np.ndarray, "c m"], rng: np.random.Generator
) -> Float[np.ndarray, "m n_classes"]:
    """|weight| of each column for each class, on columns of equal spread."""
    train = ~rows.test & (target.labels >= 0)
    probe = fit_probe(pooled[train], target.rows(train), rows.recording_ids[train], rng)
    weights = probe.readout.weights  # type: ignore[attr-defined]
    return np.asarray(np.abs(weights.T) * pooled[train].std(0, dtype=np.float64)[:, None])


def _dci(importance: Mapping[str, Float[np.ndarray, "m c"]]) -> Any:
    """Factors are the labels, each of the same weight; of one label its classes."""
    if len(importance) == 1:
        return dci(next(iter(importance.values())))
    columns = [one.mean(1) / max(float(one.mean(1).sum()), 1e-12) for one in importance.values()]
    return dci(np.stack(columns, axis=1))


def _numbers(there: TapProbes, entry: Entry) -> list[Measurement]:
    """Three figures of each task, completeness and disentanglement of a learned dictionary."""
    own, lines = there.found[entry.name], there.beside(entry)
    numbers = []
    for task, figure in product(there.tasks, FIGURES):
        label, level, k = task
        controls = {
            f"{k} {CHANNELS}": there.found[CHANNELS].value(task, figure),
            **{null: values[figure] for null, values in own.nulls[task].items()},
            **{
                AT_L0.format(role): sum(
                    w * there.found[o.name].value(task, figure) for o, w in parts
                )
                for role, parts in lines.items()
            },
            **there.untrained_at(entry.name, [task], figure),
        }
        name = f"{entry.name}: {figure} of {label} from {k} features of {LEVELS[level]}"
        interval = interval_of(own.resampled(task, there.draws, figure))
        value = own.value(task, figure)
        numbers.append(Measurement(name, value, "", controls, interval, tap=there.tap))
    for figure in ("completeness", "disentanglement"):
        controls = {CHANNELS: getattr(there.found[CHANNELS], figure)}
        for role, parts in lines.items():
            values = [w * getattr(there.found[o.name], figure) for o, w in parts]
            controls[AT_L0.format(role)] = float(sum(values))
        if entry.name in there.untrained:
            controls[DRAWN] = getattr(there.untrained[entry.name], figure)
        value = getattr(own, figure)
        name = f"{entry.name}: {figure} (DCI)"
        published = _COMPLETE if figure == "completeness" else ""
        numbers.append(Measurement(name, value, "", controls, None, published, there.tap))
    return numbers


def _judged(params: DictionaryProbingParams, there: TapProbes, role: str) -> Judgement:
    """KO-01: do learned dictionaries tell more in few features than a baseline at the same l0?"""
    k = max(params.ks)
    tasks = [task for task in there.tasks if task[1:] == ("clip", k)]
    pairs = [(one, there.beside(one)[role]) for one in there.learned if role in there.beside(one)]
    if not pairs:
        return _untold(there.tap, role, f"there is no {role} of such a width and l0.")

    def drawn(parts: Sequence[tuple[Entry, float]]) -> Float[np.ndarray, " b"]:
        every = [w * there.found[o.name].resampled(t, there.draws) for o, w in parts for t in tasks]
        return np.asarray(np.sum(every, axis=0) / len(tasks))

    def plain(parts: Sequence[tuple[Entry, float]]) -> float:
        every = [w * there.found[o.name].value(t) for o, w in parts for t in tasks]
        return float(np.sum(every) / len(tasks))

    own = np.mean([drawn([(one, 1.0)]) for one, _ in pairs], axis=0)
    theirs = np.mean([drawn(parts) for _, parts in pairs], axis=0)
    value = float(np.mean([plain([(one, 1.0)]) for one, _ in pairs]))
    other = float(np.mean([plain(parts) for _, parts in pairs]))
    channels = there.found[CHANNELS]
    controls = {
        AT_L0.format(role): other,
        f"{k} {CHANNELS}": float(np.mean([channels.value(task) for task in tasks])),
        SHUFFLED: float(np.mean([channels.nulls[task][SHUFFLED][ACCURACY] for task in tasks])),
    }
    untold = [there.untrained_at(one.name, tasks) for one, _ in pairs]
    if all(untold):
        controls[DRAWN] = float(np.mean([one[DRAWN] for one in untold]))
    gain = interval_of(own - theirs)
    verdict: Verdict = "cannot be tested here"
    if gain is not None:
        verdict = "explained by control" if gain[1] >= 0 else "does not hold"
        beaten = gain[0] > 0 and value > controls[f"{k} {CHANNELS}"]
        verdict = "holds" if beaten else verdict
    shown = "" if gain is None else f" (difference {gain[0]:.3g} to {gain[1]:.3g})"
    return Judgement(
        f"{there.tap}: {k} features of learned dictionaries tell {', '.join(there.labels)} at "
        f"{value:.0%}, those of {opponent(role)} at {other:.0%}{shown}.",
        Measurement(_name(k), value, "", controls, interval_of(own), _PROBED, there.tap),
        verdict,
        "It holds when the whole interval of the paired difference, over recordings, lies on the "
        "learned side, and as many channels of the tap tell less; it is explained by the control "
        "when the interval holds 0, or channels do as well.",
        "KO-01",
    )


def _name(k: int) -> str:
    return f"accuracy of {k}-sparse probes of clips, mean over labels and learned dictionaries"


def _untold(tap: str, role: str, why: str) -> Judgement:
    sentence = f"{tap}: whether learned features tell more than those of a {role} is not known."
    return untested(sentence, why, "KO-01", _name(5), tap, [AT_L0.format(role)], _PROBED)


_COMPLETENESS = "completeness (DCI), mean over learned dictionaries"


def _complete(there: TapProbes) -> Judgement:
    """MA-01: are labels more complete in sparse codes than in channels, and owing to learning?"""
    values = [there.found[one.name].completeness for one in there.learned]
    frozen = [
        there.found[one.name].completeness
        for one in there.entries.values()
        if one.role in FROZEN and one.n_features in {other.n_features for other in there.learned}
    ]
    if not values or not np.isfinite(values).all():
        return _unread(there.tap, "completeness needs a learned dictionary and two classes.")
    value = float(np.mean(values))
    controls = {CHANNELS: there.found[CHANNELS].completeness}
    if frozen:
        controls["frozen baselines of the same widths"] = float(np.mean(frozen))
    return Judgement(
        f"{there.tap}: completeness of {', '.join(there.labels)} is {value:.2f} in learned "
        f"dictionaries and {controls[CHANNELS]:.2f} in the channels.",
        Measurement(
            _COMPLETENESS,
            value,
            "",
            controls,
            None,
            _COMPLETE,
            there.tap,
            Spread.over(values, "dictionaries"),
        ),
        verdict_of(value, list(controls.values()), "more", 0.02),
        "It holds when it exceeds the channels' and that of frozen baselines by 0.02; what other "
        "recordings would give is not known, as completeness has no interval.",
        "MA-01",
    )


def _unread(tap: str, why: str) -> Judgement:
    sentence = f"{tap}: how complete labels are in features is not known."
    return untested(sentence, why, "MA-01", _COMPLETENESS, tap, [CHANNELS], _COMPLETE)
