"""How narrow are units at every depth, against what their span and their frames would allow?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    Analysis,
    Condition,
    Context,
    Judgement,
    MadeSound,
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
    LINEAR,
    NORMAL,
    SHUFFLED,
    filters_by_weights,
    spread_channels,
    spread_stages,
)
from auscult.analyses.parts.architecture.stage_pictures import stage_facts
from auscult.analyses.parts.architecture.unit_cards import (
    UnitFilters,
    unit_gallery,
    unit_item,
    width_pictures,
)
from auscult.analyses.parts.reading import longest_clips
from auscult.blocks import Block, GalleryItem, Verdict
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.measures.collapse import tone_grid
from auscult.measures.effective_filters import (
    Selectivity,
    hann_sines,
    loudest,
    reference_samples,
    selectivity,
    tone_bandwidth_hz,
)
from auscult.measures.preferred import heard_of, preferred_sound
from auscult.measures.stages import Stage
from auscult.measures.statistics import bootstrap_interval
from auscult.measures.tone_sweep import Lines, sweep
from auscult.models.base import AudioModel

_SINES = "positive control: windowed sines of this span"
_PUBLISHED = "9 (10) to 35 times (arXiv 2607.08545, second hand)"


class SelectivityParams(Config):
    """Settings of the analysis of selectivity."""

    n_units: int = Field(12, ge=2)
    """Units of each stage, evenly spread over its channels."""
    n_references: int = Field(6, ge=1)
    """Test recordings around whose loudest stretch units are linearised."""
    n_tones: int = Field(64, ge=16)
    """Stepped tones for the describing function."""
    n_frames: int = Field(32, ge=16)
    """Frames of the slowest stage that hear a tone alone."""
    n_heard: int = Field(2, ge=0)
    """Units of each stage whose preferred sound is made."""
    n_steps: int = Field(16, ge=1)
    """Steps of ascent to a preferred sound."""
    most_stages: int = Field(8, ge=2)
    """Stages that are looked at, evenly spread where there are more."""


@ANALYSES.register("selectivity")
class SelectivityAtDepth(Analysis):
    """Bandwidth of units at depth: of their gradient on real sound, and of their answer to tones.

    Widths are equivalent noise bandwidths, told in multiples of the bound f_s / R and as shares of
    the band that the stage's frame rate leaves.
    """

    Params: ClassVar[type[Config]] = SelectivityParams
    title: ClassVar[str] = "Selectivity at depth"
    question: ClassVar[str] = (
        "How narrow are units at every depth, against what their span and their frames would allow?"
    )
    version: ClassVar[int] = 3
    source: ClassVar[str] = "METHODS B-3, B-10 (Cosme-Clifford, Post 0; arXiv 2607.08545)"

    @classmethod
    def controls(cls, params: SelectivityParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None that has to be recorded: other weights hear the same references and tones."""
        return ()

    def run(self, context: Context, params: SelectivityParams) -> Result:
        """Linearise units at references, step tones through, and make preferred sounds."""
        found = Gathered()
        chosen = spread_stages(context.model(), params.most_stages)
        heard = _tones(context, params, chosen, found)
        measured: list[_AtStage] = []
        sounds: list[MadeSound] = []
        items: list[GalleryItem] = []
        for stage in in_turn(context, chosen):
            try:
                one = _at_stage(context, params, stage)
            except NOTHING_TO_MEASURE as error:
                found.missing.append((stage.address, "selectivity", str(error)))
                continue
            measured.append(one)
            found.measurements += _numbers(context, one)
            made = _cards(context, params, one, heard, found)
            items += made[0]
            sounds += made[1]
        _judge(context, found, measured)
        found.arrays |= _arrays(measured)
        if items:
            found.blocks.append(unit_gallery(items))
        facts = {
            "stages": [stage_facts(one.stage) for one in measured],
            "missing": found.missing,
        }
        result = found.judged_first(facts)
        return Result(
            result.measurements,
            result.arrays,
            facts,
            result.blocks,
            result.judgements,
            tuple(sounds),
        )

    def view(self, result: Result) -> list[Block]:
        """Findings, widths over depth, their spread, and a card for every unit."""
        pictures = width_pictures(result, OWN) if result.facts["stages"] else []
        return page(result, _HOW_TO_READ, [*pictures, *result.blocks, *missing_blocks(result)])


_HOW_TO_READ = (
    "A unit deep in a network is no filter, but around a given sound it acts like one: its "
    "gradient. The width of that filter is told as equivalent noise bandwidth, in multiples of the "
    "bound f_s / R that its span sets; a windowed sine of the same span reaches 1.5. The lobe at "
    "-3 dB around the highest peak is given beside it: of a spectrum of many peaks it is one peak, "
    "and near the bound whatever the unit is, which may be how widths near the bound get "
    "published.\n\n"
    "The describing function asks the network itself: steady tones, one at a time, the amplitude "
    "of the unit at the line where each must land. Its width is no less than the step between "
    "tones.\n\n"
    "A preferred sound begins as noise and ascends the gradient of the unit's energy at a fixed "
    "level. What a unit hears of a recording is that recording through the unit's band, as loud as "
    "the unit is active."
)


@dataclass(frozen=True)
class _AtStage:
    """Everything measured at one stage."""

    stage: Stage
    channels: np.ndarray
    filters: Mapping[str, np.ndarray]
    widths: Mapping[str, Selectivity]
    references: np.ndarray
    recordings: tuple[str, ...]

    def ratios(self, name: str) -> np.ndarray:
        """Equivalent noise bandwidth over the bound, reference by reference."""
        return np.asarray(self.widths[name].noise_hz / self.stage.resolution_hz)


def _tones(
    context: Context, params: SelectivityParams, stages: Sequence[Stage], found: Gathered
) -> Mapping[str, Lines]:
    model = context.model()
    try:
        return sweep(model, stages, tone_grid(model.sample_rate, params.n_tones), params.n_frames)
    except NOTHING_TO_MEASURE as error:
        found.missing.append((stages[-1].address if stages else "", "answers to tones", str(error)))
        return {}


def _at_stage(context: Context, params: SelectivityParams, stage: Stage) -> _AtStage:
    model = context.model()
    kept = longest_clips(context, params.n_references)
    n_samples = reference_samples(model, stage)
    references = np.stack([loudest(clip.waveform, n_samples) for clip in kept])
    channels = spread_channels(stage, params.n_units)
    filters = filters_by_weights(context, stage, references, channels)
    # Of the span itself, also where a recurrence lets a unit hear more.
    n_taps = max(4, int(stage.time.span))
    rng = named_rng(context.seed, "selectivity", stage.address)
    filters[NORMAL] = rng.standard_normal((1, 24, n_taps))
    filters[_SINES] = hann_sines(n_taps, 12)[None]
    rate = model.sample_rate
    widths = {name: selectivity(f.reshape(-1, f.shape[-1]), rate) for name, f in filters.items()}
    names = tuple(clip.recording_id for clip in kept)
    return _AtStage(stage, channels, filters, widths, references, names)


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _in_bounds(context: Context, one: _AtStage) -> Measurement:
    """Median width over the bound, with its interval over recordings."""
    own = one.ratios(OWN)
    owners = np.repeat(np.array(one.recordings), len(one.channels))
    interval = bootstrap_interval(
        lambda rows: _median(own[rows]),
        owners,
        named_rng(context.seed, "selectivity", one.stage.address, "interval"),
        300,
    )
    # The network without its activations is no null: the page's curves show it.
    nulls = {name: _median(one.ratios(name)) for name in one.widths if name not in (OWN, LINEAR)}
    name = "median noise bandwidth over the bound f_s / R"
    return Measurement(name, _median(own), "", nulls, interval, _PUBLISHED, one.stage.address)


def _numbers(context: Context, one: _AtStage) -> list[Measurement]:
    """What no claim is about: the lobe, the share of the band, the sharpness."""
    del context
    stage = one.stage

    def each(name: str, of: Any) -> Measurement:
        nulls = {key: _median(of(value)) for key, value in one.widths.items() if key != OWN}
        return Measurement(name, _median(of(one.widths[OWN])), "", nulls, tap=stage.address)

    return [
        each("median lobe at -3 dB over the bound", lambda w: w.lobe_hz / stage.resolution_hz),
        each("median noise bandwidth over F / 2", lambda w: w.noise_hz / stage.nyquist_hz),
        each("median Q", lambda w: w.q),
    ]


def _judge(context: Context, found: Gathered, measured: Sequence[_AtStage]) -> None:
    """The claim is about encoders as a whole: their last stage."""
    if not measured:
        name = "median noise bandwidth over the bound f_s / R"
        why = found.missing[0][2] if found.missing else "the model has no stage with a time base"
        where = ", ".join(context.taps)
        said = "How broad units are cannot be told."
        found.judgements.append(
            untested(said, why, "SB-03", name, where, [DRAWN, SHUFFLED], _PUBLISHED)
        )
        return
    found.measurements += [_in_bounds(context, one) for one in measured[:-1]]
    last = _in_bounds(context, measured[-1])
    bound = measured[-1].stage.resolution_hz
    found.judgements.append(
        Judgement(
            f"The median unit of {last.tap} is {last.value:.1f} times as broad as the bound of "
            f"{bound:.3g} Hz ({last.controls[DRAWN]:.1f} with random weights).",
            last,
            _verdict(last),
            "It holds when the median exceeds three times the bound, and the interval over "
            "recordings does; it is explained by the architecture when random or shuffled weights "
            "come within a fifth of it.",
            "SB-03",
        )
    )


def _verdict(one: Measurement) -> Verdict:
    if not np.isfinite(one.value) or one.interval is None:
        return "cannot be tested here"
    if one.value <= 3 or one.interval[0] <= 3:
        return "does not hold"
    nulls = [one.controls[DRAWN], one.controls[SHUFFLED]]
    alike = any(0.8 <= null / one.value <= 1.25 for null in nulls if np.isfinite(null))
    return "explained by control" if alike else "holds"


def _cards(
    context: Context,
    params: SelectivityParams,
    one: _AtStage,
    heard: Mapping[str, Lines],
    found: Gathered,
) -> tuple[list[GalleryItem], list[MadeSound]]:
    model = context.model()
    lines = heard.get(one.stage.address)
    tones = tone_grid(model.sample_rate, params.n_tones)
    items, sounds = [], []
    for place, channel in enumerate(one.channels.tolist()):
        own, drawn = one.filters[OWN][:, place], one.filters[DRAWN][:, place]
        answer = None if lines is None else np.abs(lines.amplitudes[:, channel])
        told = UnitFilters(one.stage, channel, model.sample_rate, own, drawn, tones, answer)
        made = _made(context, params, one, place, found) if place < params.n_heard else []
        width = (
            float("nan")
            if lines is None
            else float(tone_bandwidth_hz(tones, lines.amplitudes[:, [channel]])[0])
        )
        items.append(unit_item(told, width, made))
        sounds += made
    return items, sounds


def _made(
    context: Context, params: SelectivityParams, one: _AtStage, place: int, found: Gathered
) -> list[MadeSound]:
    """A unit's preferred sound, and what it hears of the first reference recording."""
    model, stage, channel = context.model(), one.stage, int(one.channels[place])
    shortest = 0 if model.probe_samples else model.sample_rate // 2
    n_samples = max(reference_samples(model, stage), shortest)

    def prefer(network: AudioModel) -> tuple[np.ndarray, float]:
        return preferred_sound(network, stage, channel, n_samples, context.seed, params.n_steps)

    try:
        sound, gain = prefer(model)
        _, null = prefer(context.model("random"))
    except NOTHING_TO_MEASURE as error:
        found.missing.append((stage.address, f"preferred sound of unit {channel}", str(error)))
        return []
    name = f"energy of unit {channel} for its preferred sound re noise"
    found.measurements.append(Measurement(name, gain, "dB", {DRAWN: null}, tap=stage.address))
    label = f"{stage.address}, unit {channel}"
    rate = model.sample_rate
    made = [MadeSound(sound, rate, f"{label}: preferred sound")]
    (clip,) = longest_clips(context, 1)
    wave = clip.waveform if model.probe_samples else clip.waveform[: 4 * rate]
    said = context.hear(stage.address, wave[None])
    activity = np.abs(said.values[0, :, channel].numpy() - float(said.values[0, :, channel].mean()))
    times = np.array([said.time.seconds(i) for i in range(len(activity))])
    part = heard_of(wave, rate, one.filters[OWN][0, place], activity, times)
    if np.any(part):
        made.append(MadeSound(part, rate, f"{label}: what it hears of {clip.clip_id}"))
    return made


def _arrays(measured: Sequence[_AtStage]) -> dict[str, np.ndarray]:
    return {
        f"{one.stage.address}/{name}/{kind}": getattr(widths, kind)
        for one in measured
        for name, widths in one.widths.items()
        for kind in ("centre_hz", "lobe_hz", "noise_hz")
    }
