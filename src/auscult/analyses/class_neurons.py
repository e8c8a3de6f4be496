"""Which neurons are specific to which class, and does every class have some?"""

from collections.abc import Mapping
from dataclasses import dataclass
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
from auscult.analyses.parts.answering import (
    DRAWN,
    NOTHING_TO_MEASURE,
    Gathered,
    in_turn,
    page,
    untested,
)
from auscult.analyses.parts.neurons.cards import neuron_gallery
from auscult.analyses.parts.neurons.coverage_pictures import HOW_TO_READ, coverage_pictures
from auscult.analyses.parts.neurons.tasks import Task, TaskSpec, firing_of, sides_of, tasks_of
from auscult.blocks import Block, Missing, Verdict
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.measures.coverage import Covered, below_threshold, covered, threshold_of
from auscult.measures.firing import ClipFiring
from auscult.measures.selection_nulls import (
    Significance,
    deal_labels,
    rule_under_dealing,
    significance,
)
from auscult.measures.selectors import (
    SELECTORS,
    Rule,
    Selector,
    all_probabilities,
    equal_share,
)

SelectorName = Literal["aape", "lape", "mean-difference", "margin", "mutual-information", "probe"]
DEALT = "labels dealt out anew"
_WHERE = "all neuron taps"
_NAN = float("nan")


class ClassNeuronsParams(Config):
    """Settings of the analysis of class-specific neurons."""

    tasks: tuple[TaskSpec, ...] = (TaskSpec(),)
    """The tasks; recordings without the label are left out."""
    selector: SelectorName = "aape"
    """The way of choosing that coverage and cards are about; the others stand beside it."""
    average: Literal["clip", "token"] | None = None
    """Whether each clip or each token of a class counts alike; none: as published, tokens for LAPE
    and clips for all others."""
    share: float = Field(0.01, gt=0, lt=1)
    """Share of all neurons that is kept (published: 1 %, for 50 classes of events 2 %)."""
    dictionary: str | None = None
    """Features of this dictionary instead of neurons."""
    n_deals: int = Field(200, ge=20)
    """Ways of dealing labels out anew."""
    n_cards: int = Field(2, ge=0)
    """Cards for each class."""
    n_clips: int = Field(3, ge=1)
    """Clips to hear on each card."""


@ANALYSES.register("class-neurons")
class ClassNeurons(Analysis):
    """Neurons whose firing concentrates on few classes, by six selectors, per task.

    Chosen on the training recordings. Beside every count and coverage stands what the same rule
    gives when labels are dealt out among recordings anew, and what a network of random weights
    gives at the same share and at the same entropy.
    """

    Params: ClassVar[type[Config]] = ClassNeuronsParams
    title: ClassVar[str] = "Class-specific neurons"
    question: ClassVar[str] = (
        "Which neurons are specific to which class, and would labels dealt out anew find as many?"
    )
    source: ClassVar[str] = "METHODS D-0 to D-3 (arXiv 2602.15307; Tang et al., ACL 2024)"

    @classmethod
    def controls(cls, params: ClassNeuronsParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Random weights hear the same clips in full, so nothing more is recorded."""
        return ()

    def run(self, context: Context, params: ClassNeuronsParams) -> Result:
        """Count, select, deal labels anew, for each task."""
        found = Gathered()
        facts: dict[str, Any] = {"tasks": {}, "reason": "", "selector": params.selector}
        try:
            sides = sides_of(context)
            tasks = tasks_of(sides, params.tasks)
        except NOTHING_TO_MEASURE as error:
            return _nothing(found, facts, str(error))
        table = firing_of(context, sides["train"], "train", dictionary=params.dictionary)
        random = (
            firing_of(context, sides["train"], "train", "random")
            if (params.dictionary is None)
            else None
        )
        for title, both in in_turn(context, tasks.items()):
            task = both["train"]
            study = _study(context, params, task, table, random)
            found.judgements += _judged(study, params)
            found.measurements += _numbers(study)
            facts["tasks"][title] = _facts(study, table)
            found.arrays |= {f"{title}/{key}": values for key, values in _arrays(study).items()}
            found.blocks.append(_gallery(context, params, study, table))
        return found.judged_first(facts)

    def view(self, result: Result) -> list[Block]:
        """Findings, coverage by task and selector, layers, classes, cards."""
        pictures: list[Block] = []
        if result.facts["reason"]:
            pictures.append(Missing("Class-specific neurons", result.facts["reason"]))
        for title, known in result.facts["tasks"].items():
            pictures += coverage_pictures(result, title, known)
        return page(result, HOW_TO_READ, [*pictures, *result.blocks])


@dataclass(frozen=True)
class Study:
    """Everything measured of one task.

    Attributes:
        task: The task on the training side.
        rows: The table of its clips.
        labels: Their classes.
        counts: What each selector takes, counted.
        nulls: Mean coverage and mean memberships per class of each selector, labels dealt anew.
        found: Significance by selector.
        false: Cells found by the main selector when one deal is taken for the truth, mean of a few.
        random: The main selector on random weights: by share, by the same entropy; and found.
        same: Coverage and neurons at the threshold of this network.
        threshold: Entropy of the last neuron taken, over ln C.
        members: Of the main selector.
        probabilities: Of each neuron in each class.
    """

    task: Task
    rows: ClipFiring
    labels: np.ndarray
    counts: Mapping[str, Covered]
    nulls: Mapping[str, tuple[float, float, float]]
    found: Mapping[str, Significance]
    false: float
    random: Mapping[str, float]
    same: Covered
    threshold: float
    members: np.ndarray
    probabilities: np.ndarray


def _study(
    context: Context,
    params: ClassNeuronsParams,
    task: Task,
    table: ClipFiring,
    random: ClipFiring | None,
) -> Study:
    rows, labels = task.on(table)
    n, rule = len(task.classes), Rule(share=params.share)
    rng = named_rng(context.seed, "class-neurons", task.title)
    dealt = deal_labels(labels, rows.recording_ids, rng, params.n_deals)
    main = chooser_of(params.selector, params)
    own = all_probabilities(rows, labels[None], n, main.average)[0]
    # Selectors that rank neurons class by class take as many a class as the published rule does.
    equal = equal_share(own, rule)
    counts, nulls, found, members = {}, {}, {}, np.zeros((0, 0), dtype=bool)
    for name in SELECTORS:
        chooser = chooser_of(name, params)
        used = equal if chooser.per_class else rule
        taken = chooser.members(rows, labels, n, used)
        counts[name] = covered(taken, rows)
        null = rule_under_dealing(chooser, rows, dealt[:21], n, used)
        per_class = null.n_memberships / n
        nulls[name] = (
            float(null.coverage.mean()),
            float(np.quantile(null.coverage, 0.95)),
            float(per_class.mean()),
        )
        found[name] = significance(chooser, rows, dealt, n)
        members = taken if name == params.selector else members
    false = [
        significance(main, rows, np.roll(dealt[1:], -k, axis=0), n).found().sum() for k in range(3)
    ]
    threshold = threshold_of(own, rule)
    return Study(
        task,
        rows,
        labels,
        counts,
        nulls,
        found,
        float(np.mean(false)),
        _under_random(params, task, random, dealt, threshold),
        covered(below_threshold(own, threshold, rule), rows),
        threshold,
        members,
        own,
    )


def _under_random(
    params: ClassNeuronsParams,
    task: Task,
    random: ClipFiring | None,
    dealt: np.ndarray,
    threshold: float,
) -> dict[str, float]:
    """The same of a network of random weights; NaN where features of a dictionary count."""
    if random is None:
        return dict.fromkeys(("coverage", "per class", "found", "same coverage", "same"), _NAN)
    rows, labels = task.on(random)
    n, rule = len(task.classes), Rule(share=params.share)
    chooser = chooser_of(params.selector, params)
    own = all_probabilities(rows, labels[None], n, chooser.average)[0]
    used = equal_share(own, rule) if chooser.per_class else rule
    taken = covered(chooser.members(rows, labels, n, used), rows)
    same = covered(below_threshold(own, threshold, rule), rows)
    return {
        "coverage": taken.coverage,
        "per class": taken.mean_per_class,
        "found": float(significance(chooser, rows, dealt, n).found().sum()),
        "same coverage": same.coverage,
        "same": float(same.n_neurons),
    }


def chooser_of(name: str, params: ClassNeuronsParams) -> Selector:
    """A selector with the average that was asked for, or the one that it was published with."""
    cls = SELECTORS[name]
    return cls() if params.average is None else cls(params.average)


def _judged(study: Study, params: ClassNeuronsParams) -> list[Judgement]:
    title, name = study.task.title, params.selector
    mean, high, _ = study.nulls[name]
    value = study.counts[name].coverage
    measured = Measurement(
        f"coverage, {title}",
        value,
        "",
        {DEALT: mean, f"{DEALT}, 95th percentile": high, DRAWN: study.random["coverage"]},
        published="about 100 % self-supervised, 49 % supervised (AAPE, VoxCeleb1 countries)",
        tap=_WHERE,
    )
    n = len(study.task.classes)
    verdict: Verdict = "does not hold"
    if value >= 0.95:
        verdict = "holds" if value > high else "explained by control"
    covers = Judgement(
        f"{title}: {value:.0%} of {n} classes have neurons of their own by the published rule.",
        measured,
        verdict,
        "It holds when at least 95 % of the classes have one, and more than in 95 % of the ways of "
        "dealing labels out anew.",
        "AA-01",
    )
    return [covers, _enough(study, params)]


def _enough(study: Study, params: ClassNeuronsParams) -> Judgement:
    """How many are found that chance does not explain (AA-02)."""
    found = study.found[params.selector].found()
    per_class = float((found & study.members).sum() / len(study.task.classes))
    value = float(found.any(1).sum())
    measured = Measurement(
        f"neurons found at a false-discovery rate of 5 %, {study.task.title}",
        value,
        "",
        {DEALT: study.false, DRAWN: study.random["found"]},
        published="self-supervised about twice supervised; 172.0 and 37.9 a class (AAPE)",
        tap=_WHERE,
    )
    others = (study.false, study.random["found"])
    verdict: Verdict = "holds" if value > 2 * np.nanmax(others) else "explained by control"
    if value == 0:
        verdict = "does not hold"
    return Judgement(
        f"{study.task.title}: {value:.0f} of {study.rows.n_neurons} neurons are specific beyond "
        f"chance, of which the published rule takes {per_class:.1f} a class.",
        measured,
        verdict,
        "It holds when some are found, and more than twice as many as under labels dealt out anew "
        "and under random weights. Whether a second network has fewer, neuron-contrast says.",
        "AA-02",
    )


def _numbers(study: Study) -> list[Measurement]:
    title, numbers = study.task.title, []
    for name, count in study.counts.items():
        mean, _, per_class = study.nulls[name]
        numbers += [
            Measurement(
                f"neurons per class by {name}, {title}", count.mean_per_class, "",
                {DEALT: per_class}, tap=_WHERE,
            ),
            Measurement(
                f"coverage by {name}, {title}", count.coverage, "", {DEALT: mean}, tap=_WHERE
            ),
        ]  # fmt: skip
    numbers += [
        Measurement(
            f"coverage at entropy ≤ {study.threshold:.3f} ln C, {title}", study.same.coverage, "",
            {DRAWN: study.random["same coverage"]}, tap=_WHERE,
        ),
        Measurement(
            f"neurons at entropy ≤ {study.threshold:.3f} ln C, {title}",
            float(study.same.n_neurons), "", {DRAWN: study.random["same"]}, tap=_WHERE,
        ),
    ]  # fmt: skip
    return numbers


def _facts(study: Study, table: ClipFiring) -> dict[str, Any]:
    rows = []
    for name, count in study.counts.items():
        significant = study.found[name].found()
        mean, high, per_class = study.nulls[name]
        rows.append([
            name, count.n_neurons, count.mean_per_class, per_class, count.coverage, mean, high,
            int(significant.any(1).sum()),
            float(significant.any(0).mean()) if significant.shape[1] > 1 else None,
        ])  # fmt: skip
    return {
        "classes": list(study.task.classes),
        "n_clips": np.bincount(study.labels).tolist(),
        "rows": rows,
        "n_neurons": table.n_neurons,
        "layers": [layer.address for layer in table.layers],
        "layer_sizes": [layer.n_neurons for layer in table.layers],
        "threshold": study.threshold,
    }


def _arrays(study: Study) -> dict[str, np.ndarray]:
    order = np.lexsort((study.probabilities.argmax(1), ~study.members.any(1)))
    shown = order[: int(study.members.any(1).sum())][:400]
    return {
        "over_zero": study.probabilities.astype(np.float32),
        "members": study.members,
        "shown": study.probabilities[shown],
        "per_class": study.members.sum(0),
        "by_layer": np.bincount(
            study.rows.layer_of[study.members.any(1)], minlength=len(study.rows.layers)
        ),
    }


def _gallery(
    context: Context, params: ClassNeuronsParams, study: Study, table: ClipFiring
) -> Block:
    title = f"{study.task.title}: neurons to hear"
    cards = _for_cards(study, params.n_cards)
    if not cards:
        return Missing(title, "the rule takes no neuron")
    found = study.found[params.selector]
    return neuron_gallery(
        context, title, study.task, study.rows, study.labels, study.probabilities, cards,
        found.q_values.min(1), params.n_clips, table, params.dictionary,
    )  # fmt: skip


def _for_cards(study: Study, n: int) -> list[int]:
    """The most class-specific members of each class, none twice."""
    cards: list[int] = []
    share = study.probabilities / np.maximum(study.probabilities.sum(1, keepdims=True), 1e-12)
    for label in range(len(study.task.classes)):
        mine = np.flatnonzero(study.members[:, label])
        best = mine[np.argsort(-share[mine, label], kind="stable")]
        cards += [j for j in best.tolist() if j not in cards][:n]
    return cards


def _nothing(found: Gathered, facts: dict[str, Any], reason: str) -> Result:
    for claim, what in (("AA-01", "coverage"), ("AA-02", "neurons found")):
        told = f"The {what} of class-specific neurons cannot be told."
        found.add(untested(told, reason, claim, what, _WHERE, [DEALT, DRAWN]))
    return found.result({**facts, "reason": reason})
