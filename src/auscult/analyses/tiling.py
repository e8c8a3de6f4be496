"""Do filters tile frequency evenly and independently, more than ones that nobody trained?"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
    DRAWN,
    NOTHING_TO_MEASURE,
    OWN,
    Gathered,
    in_turn,
    missing_blocks,
    page,
    untested,
)
from auscult.analyses.parts.architecture.linearised import (
    NORMAL,
    SHUFFLED,
    filters_by_weights,
    spread_channels,
    spread_stages,
)
from auscult.analyses.parts.architecture.stage_pictures import over_stages, stage_facts, stage_of
from auscult.analyses.parts.reading import longest_clips
from auscult.blocks import (
    Axis,
    Block,
    Curve,
    Gallery,
    GalleryItem,
    Heatmap,
    Series,
    Table,
    Verdict,
)
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.measures.effective_filters import loudest, reference_samples
from auscult.measures.stages import Stage
from auscult.measures.tiling import Tiling, control_banks, tiling

_ORTHOGONAL = "orthogonal"
_TOLD = {
    "coherence": "largest |cos| of two filters",
    "overlap": "mean |cos| of two filters",
    "band_overlap": "mean cosine of two magnitude responses",
    "bound_ratio_db": "ratio of frame bounds B / A",
    "strided_ratio_db": "ratio of bounds with the stride",
    "redundancy": "filters over stride",
    "covered": "share of the band within 10 dB of the mean",
    "density": "distance of centres from an even spread",
    "mel_density": "distance of centres from an even spread over mels",
    "rank": "effective rank",
}
_UNITS = {"bound_ratio_db": "dB", "strided_ratio_db": "dB"}


class TilingParams(Config):
    """Settings of the analysis of tiling."""

    most_channels: int = Field(48, ge=4)
    """Channels of a stage that are looked at, evenly spread where there are more."""
    most_stages: int = Field(6, ge=2)
    """Stages that are looked at, evenly spread where there are more."""


@ANALYSES.register("tiling")
class TilingAtDepth(Analysis):
    """Gram matrices, frame bounds, gaps and centres of the filters that a stage's units are.

    Filters are gradients around one recording; each bank is read against random and shuffled
    weights and against banks known by formula: orthogonal, DCT, mel, gammatone.
    """

    Params: ClassVar[type[Config]] = TilingParams
    title: ClassVar[str] = "Tiling of frequency"
    question: ClassVar[str] = (
        "Do filters tile frequency evenly and independently, more than ones that nobody trained?"
    )
    version: ClassVar[int] = 2
    source: ClassVar[str] = "METHODS B-4 (Cosme-Clifford, Post 0; arXiv 2507.06152 for bounds)"

    @classmethod
    def controls(cls, params: TilingParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None that has to be recorded: other weights are linearised at the same recording."""
        return ()

    def run(self, context: Context, params: TilingParams) -> Result:
        """Linearise every channel of some stages and measure the bank that they make."""
        found = Gathered()
        chosen = spread_stages(context.model(), params.most_stages)
        banks: list[_Bank] = []
        for stage in in_turn(context, chosen):
            try:
                banks.append(_bank(context, params, stage))
            except NOTHING_TO_MEASURE as error:
                found.missing.append((stage.address, "tiling", str(error)))
        if not banks:
            why = found.missing[0][2] if found.missing else "no stage has a place in time"
            where = ", ".join(context.taps)
            said = "How filters tile frequency cannot be told."
            nulls = [_ORTHOGONAL, DRAWN, SHUFFLED]
            found.add(untested(said, why, "P0-02", _TOLD["overlap"], where, nulls))
        for bank in banks:
            found.judgements.append(_judged(bank))
            found.measurements += [_measured(bank, name) for name in _TOLD]
            found.arrays |= {f"{bank.stage.address}/{k}": v for k, v in bank.pictures.items()}
        facts = {
            "stages": [stage_facts(bank.stage) for bank in banks],
            "values": [{name: asdict(one) for name, one in b.tilings.items()} for b in banks],
            "missing": found.missing,
        }
        return found.result(facts)

    def view(self, result: Result) -> list[Block]:
        """Findings, a table of banks for every stage, Gram matrices and coverage."""
        pictures = _pictures(result) if result.facts["stages"] else []
        return page(result, _HOW_TO_READ, [*pictures, *missing_blocks(result)])


_HOW_TO_READ = (
    "Every filter is brought to norm 1 first. An orthogonal bank has no overlap; the ratio of "
    "frame bounds B / A is 0 dB where frequencies are passed alike, and large where some are "
    "hardly passed at all. With the stride counted in, what aliases onto what matters too: with "
    "fewer channels than the stride has samples (filters over stride below 1) no bank can hold "
    "every signal, and the ratio is told within what it does hold.\n\n"
    "More filters than their span has samples overlap whatever they are: that is why each value "
    "stands beside an orthogonal bank of the same size, and beside random weights. What random "
    "weights share was not learned."
)


@dataclass(frozen=True)
class _Bank:
    """A stage's bank under every weights, and banks known by formula."""

    stage: Stage
    tilings: Mapping[str, Tiling]
    pictures: Mapping[str, np.ndarray]


def _bank(context: Context, params: TilingParams, stage: Stage) -> _Bank:
    model = context.model()
    (clip,) = longest_clips(context, 1)
    reference = loudest(clip.waveform, reference_samples(model, stage))[None]
    channels = spread_channels(stage, params.most_channels)
    told = filters_by_weights(context, stage, reference, channels)
    filters = {name: one[0] for name, one in told.items()}
    own = filters[OWN]
    rng = named_rng(context.seed, "tiling", stage.address)
    banks = filters | control_banks(len(channels), own.shape[1], model.sample_rate, rng)
    stride = float(stage.time.hop)
    measured = {name: tiling(one, model.sample_rate, stride) for name, one in banks.items()}
    kept = own[np.linalg.norm(own, axis=1) > 0]
    kept = kept / np.linalg.norm(kept, axis=1, keepdims=True)
    pictures = {f"passed/{name}": _passed(banks[name]) for name in (OWN, DRAWN, _ORTHOGONAL, "mel")}
    centres = np.abs(np.fft.rfft(kept, max(256, kept.shape[1]), axis=1)).argmax(1)
    order = np.argsort(centres, kind="stable")
    return _Bank(stage, measured, {**pictures, "gram": (kept @ kept.T)[order][:, order]})


def _passed(bank: np.ndarray) -> np.ndarray:
    """Σ |w_i(ω)|² in dB re its mean, in at most 256 places."""
    norms = np.linalg.norm(bank, axis=1, keepdims=True)
    bank = np.divide(bank, norms, out=np.zeros_like(bank), where=norms > 0)
    power = np.square(np.abs(np.fft.rfft(bank, max(512, bank.shape[1]), axis=1))).sum(0)
    edges = np.unique(np.linspace(0, len(power), 257).astype(int))[:-1]
    pooled = np.add.reduceat(power, edges) / np.diff([*edges, len(power)])
    return np.asarray(10 * np.log10(np.maximum(pooled / max(pooled.mean(), 1e-30), 1e-6)))


def _measured(bank: _Bank, name: str) -> Measurement:
    own, *others = (getattr(one, name) for one in bank.tilings.values())
    nulls = dict(zip(list(bank.tilings)[1:], others, strict=True))
    unit = _UNITS.get(name, "")
    return Measurement(_TOLD[name], float(own), unit, nulls, tap=bank.stage.address)


def _judged(bank: _Bank) -> Judgement:
    own, best = bank.tilings[OWN], bank.tilings[_ORTHOGONAL]
    drawn = bank.tilings[DRAWN]
    nulls = {name: bank.tilings[name].overlap for name in (DRAWN, SHUFFLED, NORMAL)}
    nulls[f"ceiling: {_ORTHOGONAL}"] = best.overlap
    overlap = Measurement(_TOLD["overlap"], own.overlap, "", nulls, tap=bank.stage.address)
    broken = own.overlap > best.overlap + 0.02 and own.bound_ratio_db > best.bound_ratio_db + 1
    verdict: Verdict = "holds" if broken else "does not hold"
    if not np.isfinite(own.overlap):
        verdict = "cannot be tested here"
    elif broken and _no_worse(own, drawn):
        verdict = "explained by control"
    return Judgement(
        f"{bank.stage.address}: two filters overlap by {own.overlap:.2f} in the mean "
        f"({best.overlap:.2f} orthogonal, {drawn.overlap:.2f} random weights), and frequencies are "
        f"passed with {own.bound_ratio_db:.0f} dB between the best and the worst "
        f"({best.bound_ratio_db:.0f} and {drawn.bound_ratio_db:.0f} dB).",
        overlap,
        verdict,
        "It holds when overlap exceeds an orthogonal bank's by 0.02 and the ratio of bounds by 1 "
        "dB; it is explained by the architecture when random weights have as much of both, to 0.02 "
        "and 1 dB.",
        "P0-02",
    )


def _no_worse(own: Tiling, drawn: Tiling) -> bool:
    """Whether an untrained bank tiles as badly."""
    return drawn.overlap >= own.overlap - 0.02 and drawn.bound_ratio_db >= own.bound_ratio_db - 1


def _pictures(result: Result) -> list[Block]:
    stages = [stage_of(told) for told in result.facts["stages"]]
    values: Sequence[Mapping[str, Mapping[str, Any]]] = result.facts["values"]
    blocks: list[Block] = [
        _over_depth(stages, values, name) for name in ("overlap", "band_overlap")
    ]
    items = [
        _card(number, stage, told, (_coverage(result, stage), _gram(result, stage)))
        for number, (stage, told) in enumerate(zip(stages, values, strict=True))
    ]
    units = {"overlap of two filters": "", "B / A": "dB"}
    return [*blocks, Gallery("Stage by stage", tuple(items), units, "depth")]


def _card(
    depth: int, stage: Stage, told: Mapping[str, Mapping[str, Any]], pictures: tuple[Block, ...]
) -> GalleryItem:
    own = told[OWN]
    measures = {
        "depth": float(depth),
        "overlap of two filters": float(own["overlap"]),
        "B / A": float(own["bound_ratio_db"]),
    }
    return GalleryItem(stage.address, measures, (*pictures, _table(stage, told)))


def _over_depth(
    stages: Sequence[Stage], values: Sequence[Mapping[str, Mapping[str, Any]]], name: str
) -> Curve:
    series = tuple(
        Series(bank, np.array([told[bank][name] for told in values]), control=bank != OWN)
        for bank in values[0]
    )
    return over_stages(f"Over depth: {_TOLD[name]}", stages, series, Axis(_TOLD[name]))


def _table(stage: Stage, told: Mapping[str, Mapping[str, Any]]) -> Table:
    rows: list[tuple[str | float, ...]] = [
        (bank, *(float(one[name]) for name in _TOLD)) for bank, one in told.items()
    ]
    return Table(
        f"{stage.address}: {told[OWN]['n']} filters over {float(stage.time.span):.0f} samples",
        ("bank", *_TOLD.values()),
        tuple(rows),
        ("", *(_UNITS.get(name, "") for name in _TOLD)),
    )


def _coverage(result: Result, stage: Stage) -> Curve:
    start = f"{stage.address}/passed/"
    lines = {k.removeprefix(start): v for k, v in result.arrays.items() if k.startswith(start)}
    n = len(lines[OWN])
    return Curve(
        f"{stage.address}: what the bank passes",
        np.linspace(0, stage.time.sample_rate / 2, n),
        tuple(Series(name, row, control=name != OWN) for name, row in lines.items()),
        Axis("frequency", "Hz"),
        Axis("sum of |w|²", "dB re its mean"),
        "A dip is a gap: frequencies to which no unit of the stage is made to answer.",
    )


def _gram(result: Result, stage: Stage) -> Heatmap:
    gram = result.arrays[f"{stage.address}/gram"]
    places = np.arange(len(gram))
    return Heatmap(
        f"{stage.address}: cosines of filters, sorted by centre frequency",
        gram,
        places,
        places,
        Axis("filter"),
        Axis("filter"),
        Axis("cosine"),
        "diverging",
    )
