"""Does one network have more class-specific neurons than another, on the same clips?"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

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
    Side,
    Task,
    TaskSpec,
    firing_of,
    heard_batches,
    sides_of,
    tasks_of,
)
from auscult.blocks import Axis, Bars, Block, Missing, Table, Verdict
from auscult.core.config import Config
from auscult.core.errors import ConfigError
from auscult.core.rng import named_rng
from auscult.measures.firing import ClipFiring, FiringPass, clip_firing
from auscult.measures.network_contrast import Contrast, contrast
from auscult.measures.selection_nulls import deal_labels, significance
from auscult.measures.selectors import SELECTORS, Rule, all_probabilities
from auscult.models.base import AudioModel, model_part
from auscult.taps.neurons import neuron_taps

DEALT = "labels dealt out anew"
_WHERE = "all neuron taps"
_COVERAGE = "coverage about 100 % against 49 % (AAPE, VoxCeleb1 countries)"
_COUNT = "about twice as many, a share of 0.67; 172.0 a class on CREMA-D, 37.9 on ESC-50 (AAPE)"


class NeuronContrastParams(Config):
    """Settings of the comparison of two networks."""

    other: dict[str, Any]
    """The other network: a section like ``[model]``. It hears what this one hears."""
    taps: tuple[str, ...] = ()
    """The other network's neuron taps; found by role when empty."""
    tasks: tuple[TaskSpec, ...] = (TaskSpec(),)
    """The tasks."""
    selector: Literal["aape", "lape"] = "aape"
    """The rule: as published, or with the filter of its parent, which leaves rare neurons out."""
    share: float = Field(0.01, gt=0, lt=1)
    """Share of all neurons that is kept (published: 1 %, for 50 classes of events 2 %)."""
    n_deals: int = Field(200, ge=20)
    """Ways of dealing labels out anew."""
    n_random: int = Field(5, ge=2)
    """Draws of the other network's weights, each against this one with random weights."""
    n_resamples: int = Field(200, ge=20)
    """Resamplings of recordings for the interval of the share."""

    @field_validator("other")
    @classmethod
    def _is_a_model(cls, section: dict[str, Any]) -> dict[str, Any]:
        model_part(section)
        return section


@ANALYSES.register("neuron-contrast")
class NeuronContrast(Analysis):
    """Coverage and number of class-specific neurons of two networks, such as supervised twins.

    On the same training recordings: the rule applied to each, and to the neurons of both as if
    they were one network's. Beside both stands what labels dealt out anew give, and what the two
    architectures give with random weights.
    """

    Params: ClassVar[type[Config]] = NeuronContrastParams
    title: ClassVar[str] = "Class-specific neurons of two networks"
    question: ClassVar[str] = (
        "Does one network have neurons for more classes, and more of them, than the other?"
    )
    source: ClassVar[str] = "METHODS D-3 (arXiv 2602.15307)"

    @classmethod
    def controls(cls, params: NeuronContrastParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Random weights hear the same clips in full, so nothing more is recorded."""
        return ()

    def run(self, context: Context, params: NeuronContrastParams) -> Result:
        """Count both networks, then as many draws of random weights."""
        found = Gathered()
        facts: dict[str, Any] = {"tasks": {}, "reason": "", "names": []}
        try:
            side = sides_of(context)["train"]
            tasks = tasks_of({"train": side}, params.tasks)
            other = _others(context, params, side)
            names, table = next(other)
        except NOTHING_TO_MEASURE as error:
            return _nothing(found, facts, str(error))
        own = firing_of(context, side, "train")
        drawn_own = firing_of(context, side, "train", "random")
        drawn = []
        for number, (_, one) in enumerate(other):
            drawn.append(one)
            context.advance((1 + number) / (1 + params.n_random))
        for title, both in tasks.items():
            study = _study(context, params, both["train"], (own, table), (drawn_own, drawn))
            found.judgements += _judged(study)
            found.measurements += _numbers(study, names)
            facts["tasks"][title] = _facts(study)
            found.arrays |= {f"{title}/{key}": values for key, values in _arrays(study).items()}
        return found.judged_first({**facts, "names": names})

    def view(self, result: Result) -> list[Block]:
        """Findings, the two side by side, classes, and layers."""
        pictures: list[Block] = []
        if result.facts["reason"]:
            pictures.append(Missing("Two networks", result.facts["reason"]))
        for title, known in result.facts["tasks"].items():
            pictures += _pictures(result, title, known)
        return page(result, _HOW_TO_READ, pictures)


_HOW_TO_READ = (
    "Equal counts: the rule keeps the same share of each network's neurons, so that only the "
    "classes they cover can differ. One threshold: the rule is applied to the neurons of both as "
    "if they were one network's, so that one network can have more. A share of one half is as many "
    "in both, two thirds is twice as many. Labels dealt out anew say what two networks differ by "
    "that have nothing to do with the classes, random weights what two that have learnt nothing "
    "differ by: a difference counts only beyond both."
)


def _others(
    context: Context, params: NeuronContrastParams, side: Side
) -> Iterator[tuple[list[str], ClipFiring]]:
    """The other network as asked for, then with weights drawn anew; each lives for its pass."""
    cls, given, weights = model_part(params.other)
    this = context.model()
    for number in range(1 + params.n_random):
        # This network's random weights are drawn under the seed itself.
        seed = context.seed + number
        model: AudioModel = cls.build(given, "random" if number else weights, seed)
        here, there = (
            f"{one.sample_rate} Hz and {one.n_channels} channels" for one in (this, model)
        )
        if here != there:
            raise ConfigError(
                f"{this.name} listens at {here}, {model.name} at {there}: they cannot hear the "
                "same clips"
            )
        counting = FiringPass(model, params.taps or neuron_taps(model))
        table = clip_firing(counting, heard_batches(context, "train"), len(side.clip_ids))
        yield [this.name, model.name], table


@dataclass(frozen=True)
class _Study:
    """Two networks on one task; pairs are of this network and the other.

    Attributes:
        task: The task.
        tables: Its clips under both.
        own: As they are.
        dealt: Under dealt labels.
        drawn: With random weights.
        again: On resampled recordings.
        found: Neurons found at a false-discovery rate of 5 %, also with random weights.
    """

    task: Task
    tables: tuple[ClipFiring, ClipFiring]
    own: Contrast
    dealt: list[Contrast]
    drawn: list[Contrast]
    again: list[Contrast]
    found: tuple[int, int, int, int]


def _study(
    context: Context,
    params: NeuronContrastParams,
    task: Task,
    tables: tuple[ClipFiring, ClipFiring],
    random: tuple[ClipFiring, list[ClipFiring]],
) -> _Study:
    rule = Rule(share=params.share, floor=0.05 if params.selector == "aape" else None)
    chooser = SELECTORS[params.selector]()
    n, rng = len(task.classes), named_rng(context.seed, "neuron-contrast", task.title)
    (first, labels), (second, _) = (task.on(table) for table in tables)
    dealt = deal_labels(labels, first.recording_ids, rng, params.n_deals)

    def by(one: ClipFiring, ways: np.ndarray) -> np.ndarray:
        return all_probabilities(one, ways, n, chooser.average)

    nulls = [
        contrast(*pair, rule) for pair in zip(by(first, dealt), by(second, dealt), strict=True)
    ]
    drawn_first = task.on(random[0])[0]
    drawn_others = [task.on(table)[0] for table in random[1]]
    again = []
    for _ in range(params.n_resamples):
        rows = _resampled(labels, first.recording_ids, rng)
        one, other = (by(t.select(rows), labels[rows][None])[0] for t in (first, second))
        again.append(contrast(one, other, rule))
    chance = by(drawn_first, labels[None])[0]
    specific = [
        int(significance(chooser, one, dealt, n).found().any(1).sum())
        for one in (first, second, drawn_first, drawn_others[0])
    ]
    return _Study(
        task,
        (first, second),
        nulls[0],
        nulls[1:],
        [contrast(chance, by(one, labels[None])[0], rule) for one in drawn_others],
        again,
        (specific[0], specific[1], specific[2], specific[3]),
    )


def _resampled(labels: np.ndarray, recordings: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of recordings drawn with replacement within each class, so that none loses all."""
    rows: list[np.ndarray] = []
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        names = np.unique(recordings[mine])
        rows += [mine[recordings[mine] == name] for name in rng.choice(names, len(names))]
    return np.concatenate(rows)


def _judged(study: _Study) -> list[Judgement]:
    # Without an interval: recordings drawn twice make ties at the bar, beyond which is none.
    title, first, second = study.task.title, *(c.any(0).mean() for c in study.own.equal)
    gap, controls = _beside(study, "gap")
    beyond = gap > max(controls.values())
    verdict: Verdict = "does not hold"
    if first >= 0.95 and gap > 0:
        verdict = "holds" if beyond else "explained by control"
    covers = Judgement(
        f"{title}: the rule gives neurons to {first:.0%} of the classes in this network and to "
        f"{second:.0%} in the other.",
        Measurement(f"coverage less the other's, {title}", gap, "", controls,
                    published=_COVERAGE, tap=_WHERE),
        verdict,
        "It holds when this network covers at least 95 % of the classes and the other fewer, by "
        "more than in 95 % of the ways of dealing labels, and than with any random weights.",
        "AA-01",
    )  # fmt: skip
    return [covers, _more(study)]


def _more(study: _Study) -> Judgement:
    """Whether this network has about twice as many (AA-02)."""
    title = study.task.title
    counts = [int(one.any(1).sum()) for one in study.own.common]
    share, controls = _beside(study, "share")
    again = np.array([one.share for one in study.again])
    interval = (_of(again, 0.025), _of(again, 0.975))
    known = [value for value in controls.values() if np.isfinite(value)]
    verdict: Verdict = "does not hold"
    if not np.isfinite(share):
        verdict = "cannot be tested here"
    elif share >= 0.6:
        beyond = share > max(known, default=0.5) and interval[0] > 0.5
        verdict = "holds" if beyond else "explained by control"
    return Judgement(
        f"{title}: at one threshold {counts[0]} class-specific neurons are this network's and "
        f"{counts[1]} the other's.",
        Measurement(f"share of class-specific neurons that are this network's, {title}", share,
                    "", controls, interval, _COUNT, _WHERE),
        verdict,
        "It holds when this network has at least one and a half times as many (a share of 0.6), "
        "by more than in 95 % of the ways of dealing labels, than with any random weights, and "
        "than resampled recordings leave open.",
        "AA-02",
    )  # fmt: skip


def _beside(study: _Study, what: Literal["gap", "share"]) -> tuple[float, dict[str, float]]:
    """A number with its controls."""
    dealt, drawn = (
        np.array([getattr(one, what) for one in several]) for several in (study.dealt, study.drawn)
    )
    controls = {
        DEALT: _of(dealt, 0.5),
        f"{DEALT}, 95th percentile": _of(dealt, 0.95),
        DRAWN: _of(drawn, 0.5),
        f"{DRAWN}, highest": _of(drawn, 1.0),
    }
    return getattr(study.own, what), controls


def _of(values: np.ndarray, quantile: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.quantile(known, quantile)) if len(known) else float("nan")


def _numbers(study: _Study, names: list[str]) -> list[Measurement]:
    title, numbers = study.task.title, []
    for place, name in enumerate(names):
        one = f"{name} ({'this' if place == 0 else 'the other'}), {title}"
        numbers += [
            Measurement(
                f"neurons a class at equal counts, {one}", _per_class(study.own.equal[place]), "",
                {DEALT: _mean([_per_class(d.equal[place]) for d in study.dealt]),
                 DRAWN: _mean([_per_class(d.equal[place]) for d in study.drawn])},
                published=_COUNT, tap=_WHERE,
            ),
            Measurement(
                f"neurons found at a false-discovery rate of 5 %, {one}",
                float(study.found[place]), "", {DRAWN: float(study.found[2 + place])},
                tap=_WHERE,
            ),
        ]  # fmt: skip
    return numbers


def _per_class(members: np.ndarray) -> float:
    return float(members.sum(0).mean())


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def _facts(study: _Study) -> dict[str, Any]:
    rows = []
    ways = (study.own, study.own, study.drawn[0], study.drawn[0])
    for place, way in enumerate(ways):
        equal, common = way.equal[place % 2], way.common[place % 2]
        dealt = [one.equal[place % 2] for one in study.dealt] if place < 2 else []
        rows.append([
            ("this", "other", "this, random weights", "other, random weights")[place],
            len(equal), _per_class(equal), float(equal.any(0).mean()),
            _mean([float(one.any(0).mean()) for one in dealt]) if dealt else None,
            int(common.any(1).sum()), float(common.any(0).mean()), study.found[place],
        ])  # fmt: skip
    return {
        "classes": list(study.task.classes),
        "n_clips": len(study.tables[0].clip_ids),
        "rows": rows,
        "layers": [[layer.address for layer in table.layers] for table in study.tables],
    }


def _arrays(study: _Study) -> dict[str, np.ndarray]:
    arrays = {}
    for key, table, members in zip(("this", "other"), study.tables, study.own.common, strict=True):
        sizes = np.array([layer.n_neurons for layer in table.layers])
        taken = np.bincount(table.layer_of[members.any(1)], minlength=len(sizes))
        arrays[f"{key}/per_class"] = members.sum(0).astype(float)
        arrays[f"{key}/by_layer"] = taken / sizes
    return arrays


def _pictures(result: Result, title: str, known: dict[str, Any]) -> list[Block]:
    columns = (
        "network", "neurons", "a class, equal counts", "coverage, equal counts",
        "coverage, dealt (control)", "neurons at one threshold", "coverage at one threshold",
        "neurons found (FDR 5 %)",
    )  # fmt: skip
    blocks: list[Block] = [
        Table(
            f"{title}: two networks", columns, tuple(map(tuple, known["rows"])),
            note=f"{known['n_clips']} training clips, {len(known['classes'])} classes. This: "
            f"{result.facts['names'][0]}, other: {result.facts['names'][1]}.",
        )
    ]  # fmt: skip
    for key, layers in zip(("this", "other"), known["layers"], strict=True):
        blocks += [
            Bars(
                f"{title}: neurons of each class at one threshold, {key} network",
                tuple(known["classes"]), result.arrays[f"{title}/{key}/per_class"],
                Axis("class"), Axis("neurons"),
            ),
            Bars(
                f"{title}: in which layers, {key} network", tuple(layers),
                result.arrays[f"{title}/{key}/by_layer"], Axis("layer"),
                Axis("share of its neurons taken at one threshold"),
            ),
        ]  # fmt: skip
    return blocks


def _nothing(found: Gathered, facts: dict[str, Any], reason: str) -> Result:
    for claim, what in (("AA-01", "coverage"), ("AA-02", "number of neurons")):
        told = f"Which of the two networks has the larger {what} cannot be told."
        found.add(untested(told, reason, claim, what, _WHERE, [DEALT, DRAWN]))
    return found.result({**facts, "reason": reason})
