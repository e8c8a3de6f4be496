"""Which classes share neurons, within a task and across tasks, and is it more than chance?"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    Analysis,
    Condition,
    Context,
    Judgement,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import DRAWN, NOTHING_TO_MEASURE, Gathered, page, untested
from auscult.analyses.parts.neurons.tasks import (
    Task,
    TaskSpec,
    chosen_members,
    firing_of,
    sides_of,
    tasks_of,
)
from auscult.blocks import Axis, Block, Curve, Heatmap, Missing, Series, Table, Verdict
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.measures.acoustics import class_distances, clip_spectra
from auscult.measures.firing import ClipFiring
from auscult.measures.sharing import Shared, Tree, branches, mantel, off_diagonal, shared, tree
from auscult.measures.statistics import holm

WITHIN, ANYWHERE = "sets of these sizes, layer by layer", "sets of these sizes"
_WHERE = "all neuron taps"
_NAN = float("nan")
_PUBLISHED = "shared along gender, octave, event, genre, language, emotion (AAPE, Figs. 1–6)"


class NeuronSharingParams(Config):
    """Settings of the analysis of shared neurons."""

    tasks: tuple[TaskSpec, ...] = (TaskSpec(),)
    """The tasks; classes of one name in two of them are compared across."""
    selector: Literal[
        "aape", "lape", "mean-difference", "margin", "mutual-information", "probe"
    ] = "aape"
    """How neurons are chosen."""
    share: float = Field(0.01, gt=0, lt=1)
    """Share of all neurons that is kept."""
    n_resamples: int = Field(100, ge=10)
    """Resamplings of recordings for the support of a tree."""


@ANALYSES.register("neuron-sharing")
class NeuronSharing(Analysis):
    """Jaccard ratios of the neuron sets of classes, beside sets drawn at random.

    Within each task with the acoustic distance of its classes and a tree with bootstrap support;
    across tasks, classes of the same name against all other pairs.
    """

    Params: ClassVar[type[Config]] = NeuronSharingParams
    title: ClassVar[str] = "Shared neurons"
    question: ClassVar[str] = (
        "Which classes share neurons, within a task and across tasks, and is it more than chance?"
    )
    source: ClassVar[str] = "METHODS D-4 (arXiv 2602.15307, Figs. 1–6)"
    version: ClassVar[int] = 3

    @classmethod
    def controls(cls, params: NeuronSharingParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Random weights hear the same clips in full, so nothing more is recorded."""
        return ()

    def run(self, context: Context, params: NeuronSharingParams) -> Result:
        """Compare sets within every task and across every two tasks."""
        found = Gathered()
        facts: dict[str, Any] = {"within": {}, "across": {}, "missing": []}
        try:
            side = sides_of(context)["train"]
            found_tasks = tasks_of({"train": side}, params.tasks)
            tasks = {title: task["train"] for title, task in found_tasks.items()}
        except NOTHING_TO_MEASURE as error:
            told = "Whether classes share neurons cannot be told."
            found.add(untested(told, str(error), "AA-03", "Jaccard", _WHERE, [WITHIN], _PUBLISHED))
            return found.result({**facts, "missing": [["", "shared neurons", str(error)]]})
        own, random = (
            _sets(params, tasks, firing_of(context, side, "train", weights))
            for weights in ("trained", "random")
        )
        spectra = np.concatenate(
            [clip_spectra(b.waveform, context.model().sample_rate, b.n_valid)
             for b in context.batches("train")]
        )  # fmt: skip
        for title, task in tasks.items():
            _add_within(context, params, found, facts, own[title], random[title], task, spectra)
        for one, other in combinations(tasks, 2):
            _add_across(found, facts, own[one], own[other], random[one], random[other])
        return found.judged_first(facts)

    def view(self, result: Result) -> list[Block]:
        """Findings; ratios beside their nulls, sound, and trees; pairs across tasks."""
        pictures: list[Block] = []
        for title, known in result.facts["within"].items():
            pictures += _within_pictures(result, title, known)
        for title, known in result.facts["across"].items():
            pictures += _matrices(result, f"across/{title}", title, known["rows"], known["columns"])
        pictures += [
            Missing(f"{a} {what}".strip(), why) for a, what, why in result.facts["missing"]
        ]
        return page(result, _HOW_TO_READ, pictures)


_HOW_TO_READ = (
    "The common-neuron ratio of two classes is the number of neurons they share over the number "
    "that either has. Two sets drawn at random share some, and more when both lie in the same "
    "layers; what they share then is known exactly, and a ratio stands out only beyond that. "
    "Classes may share neurons because they mean the same or because they sound alike: the "
    "correlation with the distance of their mean spectra says how much of the order sound alone "
    "explains. The support of a join is the share of resamplings of the recordings in which the "
    "same classes are joined again."
)


@dataclass(frozen=True)
class _Sets:
    """The neurons of a task's classes under some weights."""

    task: Task
    rows: ClipFiring
    labels: np.ndarray
    members: np.ndarray


def _sets(
    params: NeuronSharingParams, tasks: Mapping[str, Task], table: ClipFiring
) -> dict[str, _Sets]:
    found = {}
    for title, task in tasks.items():
        rows, labels = task.on(table)
        found[title] = _Sets(
            task,
            rows,
            labels,
            chosen_members(params.selector, params.share, rows, labels, len(task.classes)),
        )
    return found


def _add_within(
    context: Context,
    params: NeuronSharingParams,
    found: Gathered,
    facts: dict[str, Any],
    own: _Sets,
    random: _Sets,
    task: Task,
    spectra: np.ndarray,
) -> None:
    """Ratios within one task, with sound and a tree."""
    title, n = task.title, len(task.classes)
    one = shared(own.members, own.members, own.rows.layer_of)
    null = shared(random.members, random.members, random.rows.layer_of)
    found.judgements.append(_judged(f"within {title}", one, null))
    _keep(found, f"within/{title}", one)
    distance = class_distances(spectra[task.rows], own.labels, n)
    found.arrays[f"within/{title}/distance"] = distance
    rng = named_rng(context.seed, "neuron-sharing", title)
    told: dict[str, Any] = {"classes": list(task.classes), "lines": [], "pairs": _pairs(one, task)}
    if n > 2 and np.isfinite(off_diagonal(one.jaccard)).all():
        found_tree = tree(one.jaccard, lambda r: _again(params, own, n, r), rng, params.n_resamples)
        told["lines"] = [
            [x.tolist(), y.tolist(), t] for x, y, t in branches(found_tree, task.classes)
        ]
        told["order"] = found_tree.order.tolist()
        found.measurements.append(_support(title, found_tree))
    try:
        related = mantel(one.jaccard, -distance, rng)
        untrained = mantel(null.jaccard, -distance, rng).correlation
    except NothingToMeasureError as error:
        facts["missing"].append([title, "sharing against sound", str(error)])
    else:
        told["p_sound"] = related.p_value
        found.measurements.append(
            Measurement(
                f"rank correlation of sharing with acoustic likeness, {title}",
                related.correlation, "", {"classes permuted": 0.0, DRAWN: untrained},
                published="some sharing reflects background (AAPE, open review)", tap=_WHERE,
            )
        )  # fmt: skip
    facts["within"][title] = told


def _again(params: NeuronSharingParams, own: _Sets, n: int, rng: np.random.Generator) -> np.ndarray:
    """The ratios from recordings drawn with replacement within each class."""
    rows = []
    for label in range(n):
        mine = np.flatnonzero(own.labels == label)
        names = own.rows.recording_ids[mine]
        for name in rng.choice(np.unique(names), len(np.unique(names))):
            rows += mine[names == name].tolist()
    picked = np.array(rows)
    members = chosen_members(
        params.selector, params.share, own.rows.select(picked), own.labels[picked], n
    )
    common = members.T.astype(np.int64) @ members.astype(np.int64)
    sizes = np.diag(common)
    either = sizes[:, None] + sizes[None] - common
    return np.asarray(common / np.maximum(either, 1))


def _support(title: str, found: Tree) -> Measurement:
    # The join of all classes always stands again: it is no finding.
    inner = found.support[:-1]
    chance = 1 / max(len(found.order), 1)
    value = float(inner.mean()) if len(inner) else _NAN
    return Measurement(
        f"mean bootstrap support of a join, {title}", value, "",
        {"one class in so many": chance}, tap=_WHERE,
    )  # fmt: skip


def _add_across(
    found: Gathered,
    facts: dict[str, Any],
    one: _Sets,
    other: _Sets,
    random_one: _Sets,
    random_other: _Sets,
) -> None:
    """Ratios across two tasks; classes of the same name are what is asked about."""
    title = f"{one.task.title} × {other.task.title}"
    both = shared(one.members, other.members, one.rows.layer_of)
    null = shared(random_one.members, random_other.members, random_one.rows.layer_of)
    _keep(found, f"across/{title}", both)
    same = [
        (one.task.classes.index(name), other.task.classes.index(name))
        for name in one.task.classes
        if name in other.task.classes
    ]
    facts["across"][title] = {
        "rows": list(one.task.classes),
        "columns": list(other.task.classes),
        "same": [one.task.classes[row] for row, _ in same],
    }
    if same:
        found.judgements.append(_judged(f"{title}, classes of one name", both, null, same))


def _judged(
    what: str, own: Shared, null: Shared, pairs: list[tuple[int, int]] | None = None
) -> Judgement:
    """Mean ratio of some pairs against chance within layers, other pairs and random weights."""
    chosen = np.zeros(own.jaccard.shape, dtype=bool)
    if pairs is None:
        chosen[np.triu_indices(len(chosen), 1)] = True
    else:
        chosen[tuple(np.array(pairs).T)] = True
    value, layered, anywhere, untrained = (
        _mean(values[chosen]) for values in (own.jaccard, own.within, own.anywhere, null.jaccard)
    )
    controls = {WITHIN: layered, ANYWHERE: anywhere, DRAWN: untrained}
    if pairs is not None:
        controls["other pairs of classes"] = _mean(own.jaccard[~chosen])
    p_values = own.p_within[chosen]
    tested = p_values[np.isfinite(p_values)]
    n_beyond = int((holm(tested) < 0.05).sum()) if len(tested) else 0
    measured = Measurement(
        f"mean common-neuron ratio, {what}", value, "", controls, published=_PUBLISHED, tap=_WHERE
    )
    others = [controls["other pairs of classes"]] if pairs is not None else []
    if not np.isfinite(value):
        told = f"{what}: whether classes share neurons cannot be told."
        why = "The selector finds no neuron of these classes: another, or a larger share, may."
        return Judgement(told, measured, "cannot be tested here", why, "AA-03")
    verdict: Verdict = "explained by control"
    if n_beyond and value > max(one for one in (layered, untrained, *others) if np.isfinite(one)):
        verdict = "holds"
    elif value < layered:
        verdict = "does not hold"
    return Judgement(
        f"{what}: {n_beyond} of {len(tested)} pairs share more neurons than sets of their sizes "
        f"in their layers do; the mean ratio is {value:.3f}.",
        measured,
        verdict,
        "It holds when at least one pair shares more (hypergeometric by layer, Holm, 5 %) and the "
        "mean exceeds that of such sets, of random weights"
        + (" and of pairs of other names." if pairs is not None else "."),
        "AA-03",
    )


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else _NAN


def _keep(found: Gathered, key: str, one: Shared) -> None:
    for name in ("jaccard", "within", "anywhere", "p_within", "p_anywhere"):
        found.arrays[f"{key}/{name}"] = getattr(one, name)


def _pairs(one: Shared, task: Task) -> list[list[Any]]:
    """The pairs that share most, with their chances."""
    rows, columns = np.triu_indices(len(task.classes), 1)
    adjusted = np.full(len(rows), np.nan)
    p_values = off_diagonal(one.p_within)
    adjusted[np.isfinite(p_values)] = holm(p_values[np.isfinite(p_values)])
    order = np.argsort(-np.nan_to_num(off_diagonal(one.jaccard)), kind="stable")[:12]
    return [
        [task.classes[rows[k]], task.classes[columns[k]],
         *(_number(getattr(one, name)[rows[k], columns[k]])
           for name in ("jaccard", "within", "anywhere", "p_within")), _number(adjusted[k])]
        for k in order
    ]  # fmt: skip


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _matrices(
    result: Result, key: str, title: str, rows: list[str], columns: list[str]
) -> list[Block]:
    places = np.arange(len(columns)), np.arange(len(rows))

    def one(name: str, told: str, note: str) -> Heatmap:
        return Heatmap(
            f"{title}: {told}", result.arrays[f"{key}/{name}"], *places, Axis("class"),
            Axis("class"), Axis("common-neuron ratio"), note=note, x_names=tuple(columns),
            y_names=tuple(rows),
        )  # fmt: skip

    return [
        one("jaccard", "common-neuron ratio", "Shared over all of both."),
        one("within", "the same of sets drawn layer by layer (control)", "Exact expectation."),
    ]


def _within_pictures(result: Result, title: str, known: Mapping[str, Any]) -> list[Block]:
    classes, key = known["classes"], f"within/{title}"
    columns = ("class", "class", "ratio", "by layer (control)", "anywhere (control)",
               "p by layer", "p, Holm")  # fmt: skip
    blocks = [
        *_matrices(result, key, title, classes, classes),
        Table(f"{title}: pairs that share most", columns, tuple(map(tuple, known["pairs"]))),
        Heatmap(
            f"{title}: how different the classes sound", result.arrays[f"{key}/distance"],
            np.arange(len(classes)), np.arange(len(classes)), Axis("class"), Axis("class"),
            Axis("distance of mean log-mel spectra", "dB"), x_names=tuple(classes),
            y_names=tuple(classes),
        ),
    ]  # fmt: skip
    if known["lines"]:
        lines = tuple(Series(t, np.array(y), np.array(x)) for x, y, t in known["lines"])
        names = ", ".join(classes[place] for place in known["order"])
        blocks.append(
            Curve(
                f"{title}: classes joined by shared neurons", np.arange(float(len(classes))), lines,
                Axis("class, from left to right"), Axis("1 − common-neuron ratio"),
                f"From left to right: {names}. In brackets how often the join stands again.",
            )
        )  # fmt: skip
    return blocks
