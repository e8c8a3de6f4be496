"""Does a frame belong to one filter, or to many?"""

from typing import ClassVar

import numpy as np
from jaxtyping import Float
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    BASE,
    NOISE,
    RANDOM,
    Analysis,
    Condition,
    Context,
    Judgement,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import (
    NOTHING_TO_MEASURE,
    OWN,
    Gathered,
    in_turn,
    page,
    unmeasured,
    verdict_of,
)
from auscult.analyses.parts.reading import sample
from auscult.blocks import Axis, Block, Histogram
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.dictionaries.spectrum import covariance_of
from auscult.measures.geometry import axis_alignment, effective_dimension, participation_ratio
from auscult.measures.statistics import bootstrap_interval

_GAUSSIAN = "Gaussian of the same covariance"
_ONE_FILTER = "share of frames that one filter explains"


class ResponseParams(Config):
    """Settings of the analysis of response vectors."""

    aligned: float = Field(0.9, gt=0, le=1)
    """A frame belongs to one filter when that filter has this share of its norm."""
    most_vectors: int = Field(100_000, ge=100)
    """Vectors looked at under each condition."""


@ANALYSES.register("responses")
class ResponseVectors(Analysis):
    """How many channels share a response vector, against noise.

    Random weights and Gaussian vectors.
    """

    Params: ClassVar[type[Config]] = ResponseParams
    title: ClassVar[str] = "Response vectors"
    question: ClassVar[str] = (
        "Can a frame be explained by a single filter, and in how many dimensions do responses live?"
    )
    source: ClassVar[str] = "METHODS A-0, A-3 (Cosme-Clifford, Post 1, §1.2)"
    version: ClassVar[int] = 3

    @classmethod
    def controls(cls, params: ResponseParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """White noise, and random weights."""
        return NOISE, RANDOM

    def run(self, context: Context, params: ResponseParams) -> Result:
        """Measure every recorded tap under each condition."""
        gathered = Gathered()
        for tap in in_turn(context, context.taps):
            try:
                found = _tap(context, params, tap, gathered.arrays)
            except NOTHING_TO_MEASURE as error:
                found = [unmeasured(_ONE_FILTER, tap, [str(NOISE), str(RANDOM)])]
                gathered.judgements.append(_judgement(params, found[0], str(error)))
            else:
                gathered.judgements.append(_judgement(params, found[0]))
            gathered.measurements += found
        return gathered.result({"taps": list(context.taps), "aligned": params.aligned})

    def view(self, result: Result) -> list[Block]:
        """A finding and two histograms a tap, and a table of dimensions."""
        pictures = [one for tap in result.facts["taps"] for one in _histograms(result, tap)]
        return page(result, _HOW_TO_READ, pictures)


_HOW_TO_READ = (
    "A linear layer maps a window of K samples to a space of at most K dimensions, whatever its "
    "weights are: compare the rank with the length of the filters before reading anything into a "
    "small number of directions."
)


def _tap(
    context: Context, params: ResponseParams, tap: str, arrays: dict[str, np.ndarray]
) -> list[Measurement]:
    own = sample(context.store(tap, BASE, "test"), params.most_vectors)
    rng = named_rng(context.seed, "responses", tap)
    train = context.store(tap, BASE, "train")
    covariance = covariance_of(train)
    vectors = {
        str(NOISE): sample(context.store(tap, NOISE), params.most_vectors).values,
        str(RANDOM): sample(context.store(tap, RANDOM, "test"), params.most_vectors).values,
        _GAUSSIAN: _gaussian(train.statistics.mean, covariance, len(own.values), rng),
    }
    dimensions = {
        str(NOISE): effective_dimension(covariance_of(context.store(tap, NOISE))),
        str(RANDOM): effective_dimension(covariance_of(context.store(tap, RANDOM))),
    }
    measured = {"own": own.values, **vectors}
    for name, values in measured.items():
        arrays[f"{tap}/{name}/alignment"] = _clean(axis_alignment(values))
        arrays[f"{tap}/{name}/participation"] = _clean(participation_ratio(values))
    aligned = (axis_alignment(own.values) > params.aligned).astype(np.float64)
    if not np.any(np.linalg.norm(own.values, axis=1) > 0):
        raise NothingToMeasureError(f"{tap} says nothing but zeros")
    participation, rank = effective_dimension(covariance)
    controls = {n: _mean(arrays[f"{tap}/{n}/alignment"] > params.aligned) for n in vectors}
    shared = {n: _mean(arrays[f"{tap}/{n}/participation"]) for n in vectors}
    return [
        Measurement(
            _ONE_FILTER,
            float(aligned.mean()),
            "",
            controls,
            bootstrap_interval(aligned, own.recording_ids, rng),
            "rare (P1 §1.2, no number)",
            tap,
        ),
        Measurement(
            "mean number of channels that share a vector",
            _mean(arrays[f"{tap}/own/participation"]),
            "",
            shared,
            tap=tap,
        ),
        Measurement(
            "effective dimension (participation)",
            participation,
            "",
            {name: pair[0] for name, pair in dimensions.items()}
            | {"width": float(own.values.shape[1])},
            tap=tap,
        ),
        Measurement(
            "rank at 99.99 % of the variance",
            float(rank),
            "",
            {name: float(pair[1]) for name, pair in dimensions.items()}
            | {"width": float(own.values.shape[1])},
            tap=tap,
        ),
    ]


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _clean(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
    finite: np.ndarray = values[np.isfinite(values)]
    return finite


def _gaussian(
    mean: np.ndarray, covariance: np.ndarray, n: int, rng: np.random.Generator
) -> Float[np.ndarray, "n d"]:
    """Vectors with the mean and covariance of the data and nothing else."""
    eigenvalues, basis = np.linalg.eigh(covariance)
    scale = np.sqrt(np.clip(eigenvalues, 0, None))
    drawn: np.ndarray = (rng.standard_normal((n, len(mean))) * scale) @ basis.T + mean
    return drawn.astype(np.float32)


def _judgement(params: ResponseParams, one: Measurement, untested: str = "") -> Judgement:
    """Whether frames of one filter are rare, and rarer than under the controls."""
    if untested:
        sentence = f"{one.tap}: whether one filter explains a frame cannot be told."
        return Judgement(sentence, one, "cannot be tested here", untested)
    rare = one.value < 0.05
    verdict = verdict_of(one.value, list(one.controls.values()), "less", 0.02)
    return Judgement(
        f"{one.tap}: frames that a single filter explains are {'rare' if rare else 'not rare'}.",
        one,
        verdict if rare else "does not hold",
        f"One filter explains a frame when it has {params.aligned:g} of its norm. Rare means under "
        "5 %; it is explained by a control that is just as rare (within 2 points).",
    )


def _histograms(result: Result, tap: str) -> list[Block]:
    names = {"own": OWN, str(NOISE): str(NOISE), str(RANDOM): str(RANDOM), _GAUSSIAN: _GAUSSIAN}
    if f"{tap}/own/alignment" not in result.arrays:
        return []
    pictures: list[Block] = []
    for key, label in (
        ("alignment", "largest channel / norm"),
        ("participation", "channels that share the vector"),
    ):
        values = {name: result.arrays[f"{tap}/{own}/{key}"] for own, name in names.items()}
        top = 1.0 if key == "alignment" else max(float(v.max(initial=1.0)) for v in values.values())
        edges = np.linspace(0.0, top, 51)
        pictures.append(Histogram.of(f"{tap}: {label} (P1, §1.2)", values, edges, Axis(label)))
    return pictures
