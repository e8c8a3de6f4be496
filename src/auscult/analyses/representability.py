"""Do signal and architecture alone foretell which partials stay decodable?"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

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
    NOTHING_TO_MEASURE,
    Gathered,
    missing_blocks,
    page,
    untested,
)
from auscult.blocks import Axis, Block, Histogram, Scatter, Table, Verdict
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.measures.collapse import correlation, signals, tone_grid
from auscult.measures.random_stacks import RandomStack
from auscult.measures.representability import (
    ELSEWHERE,
    PREDICTORS,
    Foretold,
    Kind,
    Partials,
    Predict,
    fit_prediction,
    foretold,
    partials_of,
)
from auscult.measures.stages import Stage, stages_of, turning_points
from auscult.measures.statistics import bootstrap_interval

_RATE = 16_000
_KINDS: Mapping[Kind, str] = {"trees": "random trees", "linear": "linear"}
_PERMUTED, _ONE = "learned from permuted answers, mean |r|", "level of the partial alone"
_ARCHITECTURE = "the architecture under other random weights"
_CEILING = "ceiling: reliability of what is observed"
_PUBLISHED = "foretellable, in words (P0); r ≈ 0.99 for collapse (arXiv 2607.08545, second hand)"
SIGNALS, ENCODERS = "unseen signals, seen encoders", "unseen random encoders"
_N_PERMUTED = 5
_NAME = "correlation of foretold and observed decodability"


class RepresentabilityParams(Config):
    """Settings of the prediction."""

    n_architectures: int = Field(20, ge=4)
    """Encoders of random strides; a quarter of them is kept for the test."""
    n_each: int = Field(3, ge=2)
    """Signals of each of five kinds, fresh ones for every architecture; the last of each kind is
    kept for the test."""
    n_partials: int = Field(6, ge=3)
    """Partials of a signal."""
    n_tones: int = Field(64, ge=24)
    """Tones of the grid that signals are taken from."""
    n_contexts: int = Field(64, ge=12)
    """Contexts of a signal: levels and phases drawn anew. Each partial is observed twice in so
    many; a quarter is held out by the probe in turn."""
    n_frames: int = Field(28, ge=16)
    """Frames that hear nothing of a context's ends."""
    most_stages: int = Field(3, ge=1)
    """Stages of the model that the prediction is tried on, the deepest ones."""


@ANALYSES.register("representability")
class Representability(Analysis):
    """Learn decodability of partials from random encoders; foretell it for others and this model.

    What is foretold is how well a linear probe reads a partial's level from a stage. What is known
    are strides and spans, answers to tones alone and among strangers, and what the architecture
    does under other weights. Judged on architectures and signals that nothing was learned from.
    """

    Params: ClassVar[type[Config]] = RepresentabilityParams
    title: ClassVar[str] = "Representability"
    question: ClassVar[str] = (
        "Do signal and architecture alone foretell which partials stay decodable?"
    )
    source: ClassVar[str] = "METHODS B-5 (Cosme-Clifford, Post 0)"
    version: ClassVar[int] = 4

    @classmethod
    def controls(cls, params: RepresentabilityParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None that has to be recorded."""
        return ()

    def run(self, context: Context, params: RepresentabilityParams) -> Result:
        """Observe random encoders, learn, and try the prediction where it has not been."""
        found = Gathered()
        learned, tests, names = _random_rows(context, params)
        study = _Study(context.seed, learned, tests)
        try:
            own, stages = _own_rows(context, params)
            for place, stage in enumerate(stages):
                rows = own.architecture == place
                study.tests[stage.address] = own.taken(rows)
        except NOTHING_TO_MEASURE as error:
            where = ", ".join(context.taps)
            said = "What this model keeps of partials cannot be foretold."
            found.add(untested(said, str(error), "", _NAME, where, [_PERMUTED], _PUBLISHED))
        predictions = {kind: study.foretold(kind) for kind in _KINDS}
        for name in study.tests:
            told = {kind: predictions[kind][name] for kind in _KINDS}
            found.judgements.append(_judged(study, name, told))
            found.arrays |= {
                f"{name}/{kind}/{what}": getattr(one, what)
                for kind, one in told.items()
                for what in ("predicted", "observed")
            }
        weights = {
            kind: fit_prediction(learned.predictors, learned.decodable, kind, 0)[1].tolist()
            for kind in _KINDS
        }
        facts = {
            "tests": list(study.tests),
            "weights": weights,
            "encoders": names,
            "n_learned": len(learned.decodable),
            "missing": found.missing,
        }
        found.arrays["learned"] = learned.decodable
        return found.judged_first(facts)

    def view(self, result: Result) -> list[Block]:
        """Findings, foretold against observed, weights of predictors, and what was observed."""
        return page(result, _HOW_TO_READ, [*_pictures(result), *missing_blocks(result)])


_HOW_TO_READ = (
    "A row is one partial of one signal at one stage. It is decodable as far as a linear probe "
    "reads its level, in contexts it was not fitted to, from the magnitudes of all channels at the "
    "line where it lands and from their means (R², 0 to 1). The signal's own contexts are not "
    "looked at to foretell it. What is known comes from strides and spans; from tones played "
    "alone, whose sum is the whole answer of a linear network; from tones among others drawn at "
    "random, which say what company does to each and what noise it leaves; and from the same "
    "partials under other random weights of the architecture.\n\n"
    "The learner is one of randomised trees, beside a linear one; METHODS B-5 names boosted trees, "
    "which foretold no better where both were tried. "
    "The prediction is learned from small encoders of random strides, widths, dilated residual "
    "units, activations and weights, and judged on others of them, with other signals; then on the "
    "stages of this model, which is unlike them all. Its nulls are the same learner on permuted "
    "answers, the level of the partial alone, and the architecture under other weights, which is "
    "what could be told without this network's own. Every partial is observed twice, in contexts "
    "drawn anew: no prediction can correlate better than what is observed does with itself."
)


@dataclass
class _Study:
    """What is learned from, and what is foretold."""

    seed: int
    learned: Partials
    tests: dict[str, Partials]

    def foretold(self, kind: Kind) -> dict[str, Foretold]:
        """By name of the test."""
        predict, _ = fit_prediction(self.learned.predictors, self.learned.decodable, kind, 0)
        return {name: foretold(predict, rows) for name, rows in self.tests.items()}

    @cached_property
    def _exchanged(self) -> list[Predict]:
        rng = named_rng(self.seed, "representability", "permuted")
        answers = [rng.permutation(self.learned.decodable) for _ in range(_N_PERMUTED)]
        return [fit_prediction(self.learned.predictors, one, "trees", 0)[0] for one in answers]

    def permuted(self, name: str) -> float:
        """Mean |r| of predictions that were learned from exchanged answers."""
        rows = self.tests[name]
        return float(np.mean([abs(foretold(one, rows).r) for one in self._exchanged]))


def _random_rows(
    context: Context, params: RepresentabilityParams
) -> tuple[Partials, dict[str, Partials], list[str]]:
    """Rows of random encoders to learn from and, of other signals and encoders, to test on."""
    grid = tone_grid(_RATE, params.n_tones)
    parts, names = [], []
    for number in range(params.n_architectures):
        rng = named_rng(context.seed, "representability", "encoder", number)
        encoder = RandomStack(_RATE, rng)
        other = encoder.redrawn(int(rng.integers(1 << 31)))
        some = signals(params.n_tones, params.n_each, params.n_partials, rng)
        counts = (params.n_contexts, params.n_frames)
        stages = [encoder.stage]
        parts.append(partials_of(encoder, other, stages, some, grid, rng, number, *counts))
        names.append(encoder.name)
        context.advance(0.7 * (number + 1) / params.n_architectures)
    n_test = max(1, params.n_architectures // 4)
    seen = Partials.joined(parts[:-n_test])
    # The last round of every kind of signal is kept from those encoders that are learned from.
    n_signals = int(seen.signal.max()) + 1
    kept = seen.signal >= n_signals - max(1, n_signals // params.n_each)
    tests = {SIGNALS: seen.taken(kept), ENCODERS: Partials.joined(parts[-n_test:])}
    return seen.taken(~kept), tests, names


def _own_rows(context: Context, params: RepresentabilityParams) -> tuple[Partials, list[Stage]]:
    """Rows of the model's deepest stages, on signals of their own."""
    model = context.model()
    strided = [s for s in turning_points(stages_of(model)[0]) if s.time.hop > 1]
    stages = strided[-params.most_stages :]
    if not stages:
        raise NothingToMeasureError("no stage of the model lies behind a stride")
    rng = named_rng(context.seed, "representability", "own")
    some = signals(params.n_tones, params.n_each, params.n_partials, rng)
    grid = tone_grid(model.sample_rate, params.n_tones)
    counts = (params.n_contexts, params.n_frames)
    rows = partials_of(model, context.model("random"), stages, some, grid, rng, 0, *counts)
    return rows, stages


def _judged(study: _Study, name: str, told: Mapping[Kind, Foretold]) -> Judgement:
    best, other = told["trees"], told["linear"]
    rows = study.tests[name]
    level, elsewhere = (
        PREDICTORS.index(one) for one in ("level over the other partials", ELSEWHERE)
    )
    nulls = {
        _PERMUTED: study.permuted(name),
        _ONE: correlation(rows.predictors[:, level], best.observed),
        _ARCHITECTURE: correlation(rows.predictors[:, elsewhere], best.observed),
        "positive control: linear prediction": other.r,
        _CEILING: rows.ceiling,
    }
    rng = named_rng(study.seed, "representability", name)
    interval = bootstrap_interval(
        lambda rows: correlation(best.predicted[rows], best.observed[rows]), best.groups, rng, 300
    )
    measured = Measurement(_NAME, best.r, "", nulls, interval, _PUBLISHED, name)
    null = max(abs(nulls[_PERMUTED]), abs(nulls[_ONE]))
    verdict: Verdict = "holds" if best.r > 0.9 and interval[0] > null else "does not hold"
    if not np.isfinite(best.r):
        verdict = "cannot be tested here"
    n = len(best.observed)
    return Judgement(
        f"Decodability of {n} partials at {name} is foretold with r = {best.r:.2f}; permuted "
        f"answers give {nulls[_PERMUTED]:.2f}, the architecture under other weights "
        f"{nulls[_ARCHITECTURE]:.2f}, and no prediction could reach more than {rows.ceiling:.2f}.",
        measured,
        verdict,
        "It holds when r exceeds 0.9 and the interval over signals lies above both nulls. Between "
        "the nulls and 0.9 a part is foretold, and the rest hangs on how partials act on one "
        "another in this network.",
    )


def _pictures(result: Result) -> list[Block]:
    facts, arrays = result.facts, result.arrays
    blocks: list[Block] = [_against(arrays, name) for name in facts["tests"]]
    seen: dict[str, np.ndarray] = {"random encoders, learned from": arrays["learned"]}
    seen |= {name: arrays[f"{name}/trees/observed"] for name in facts["tests"]}
    return [*blocks, _weights(facts), _spread(seen)]


def _against(arrays: Mapping[str, np.ndarray], name: str) -> Scatter:
    told = [(kind, arrays[f"{name}/{kind}/predicted"]) for kind in _KINDS]
    return Scatter(
        f"Foretold and observed decodability: {name}",
        np.concatenate([values for _, values in told]),
        np.concatenate([arrays[f"{name}/{kind}/observed"] for kind, _ in told]),
        Axis("R² foretold"),
        Axis("R² observed"),
        groups=tuple(_KINDS[kind] for kind, values in told for _ in values),
        diagonal=True,
    )


def _weights(facts: Mapping[str, Any]) -> Table:
    weights = facts["weights"]
    rows = tuple(
        (name, float(weights["trees"][i]), float(weights["linear"][i]))
        for i, name in enumerate(PREDICTORS)
    )
    return Table(
        "What the prediction stands on",
        ("predictor", "random trees: share", "linear: standardised coefficient"),
        rows,
        note=f"Learned from {facts['n_learned']} partials of "
        f"{len(facts['encoders'])} encoders less a quarter.",
    )


def _spread(seen: Mapping[str, np.ndarray]) -> Histogram:
    return Histogram.of(
        "How decodable partials are",
        seen,
        np.linspace(0, 1, 26),
        Axis("R²"),
        Axis("share of partials"),
    )
