"""Which samples does each stage hear, which frequencies can it tell apart, and which fold?"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
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
    Gathered,
    page,
    untested,
    verdict_of,
)
from auscult.analyses.parts.architecture.stage_pictures import atlas_pictures, stage_facts
from auscult.analyses.parts.reading import longest_clips
from auscult.blocks import Block, Verdict
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.interventions.low_pass import LowPass, LowPassParams
from auscult.measures.folding import folded_hz
from auscult.measures.mechanisms import Images, alias_gain_db, images_of, strides_of
from auscult.measures.stages import Stage, stages_of, turning_points
from auscult.measures.tone_sweep import (
    Lines,
    clear_tones,
    clip_samples,
    heard_frames,
    steady_responses,
    sweep,
    tone_waves,
)
from auscult.models.base import AudioModel
from auscult.taps.capture import intervene
from auscult.taps.linear import without_nonlinearities
from auscult.taps.probe import time_base

OWN, LINEAR, BLURRED = "as it is", "without activations", "with a blur"
_WRONG = "strides of the stage before"


class AtlasParams(Config):
    """Settings of the atlas."""

    n_tones: int = Field(12, ge=2)
    """Steady tones that are tried, spaced evenly in octaves, beside the example."""
    example_hz: float = Field(7_000.0, gt=0)
    """A tone to be heard before and after it folds; a third of the sample rate where it is less."""
    n_frames: int = Field(48, ge=16)
    """Frames of the slowest stage that hear a tone alone."""
    blur: bool = True
    """Try what a low-pass in front of every stride would change."""


@ANALYSES.register("atlas")
class Atlas(Analysis):
    """Span, rate, bound and fold of every stage, from the architecture alone and with steady tones.

    Strides, activations and transposed convolutions are parted: the same tones through the network
    as it is, without its activations, with a blur in front of every stride, and with random
    weights; and a line in the latents through the decoder.
    """

    Params: ClassVar[type[Config]] = AtlasParams
    version: ClassVar[int] = 2
    title: ClassVar[str] = "Time and alias atlas"
    question: ClassVar[str] = (
        "Which samples does each stage hear, which frequencies can it tell apart, and which fold "
        "onto one another?"
    )
    source: ClassVar[str] = "METHODS B-1, B-2 (Cosme-Clifford, Post 0; arXiv 2607.08545)"

    @classmethod
    def controls(cls, params: AtlasParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None that has to be recorded: random weights hear the same tones."""
        return ()

    def run(self, context: Context, params: AtlasParams) -> Result:
        """Read the architecture, then play tones."""
        model = context.model()
        stages, refused = stages_of(model)
        found = Gathered(missing=[(address, "time", why) for address, why in refused])
        facts: dict[str, Any] = {"stages": [], "rate": model.sample_rate}
        try:
            turning = turning_points(stages)
            tried = _try_tones(context, params, model, turning)
        except NOTHING_TO_MEASURE as error:
            name = "share of tones on the line that strides give them"
            where = stages[-1].address if stages else ", ".join(context.taps)
            said = "Where tones land cannot be told."
            found.add(untested(said, str(error), "", name, where, [_WRONG]))
            facts["stages"] = [stage_facts(stage) for stage in stages]
            return found.result({**facts, "turning": [], "missing": found.missing})
        for judged in _judged(tried):
            found.add(judged)
        found.measurements += [one for stage in tried.stages[:-1] for one in _numbers(tried, stage)]
        _tried_images(context, model, found, facts)
        sounds = _heard(model, tried)
        found.arrays |= _arrays(tried)
        facts |= {
            "stages": [stage_facts(stage) for stage in stages],
            "turning": [stage_facts(stage) for stage in tried.stages],
            "example": tried.example_hz,
            "strides": tried.strides,
            "missing": found.missing,
            "clips": [[clip.clip_id, clip.duration_s, clip.label] for clip in sounds],
        }
        result = found.result(facts)
        return Result(
            result.measurements, result.arrays, facts, result.blocks, result.judgements, sounds
        )

    def view(self, result: Result) -> list[Block]:
        """Findings, the ruler, the table of stages, lines, mechanisms, and what can be heard."""
        return page(result, _HOW_TO_READ, atlas_pictures(result))


_HOW_TO_READ = (
    "The span R is the stretch of sound that one frame hears; frames closer in frequency than "
    "f_s / R cannot be told apart by it. Frames come at the sample rate over the cumulative "
    "stride; what lies above half of that rate folds back: a(f) = |((f + F/2) mod F) − F/2|. That "
    "is arithmetic, the same for trained and random weights; how loud a folded tone is, and "
    "whether channels still part it from others, is not.\n\n"
    "Strides alone put all of a tone's energy on one line. Activations add harmonics, which fold "
    "as well: the difference between the network and itself without activations. A blur (a "
    "low-pass in front of every stride) would keep tones from folding at all, and the network "
    "from hearing them: it is tried here, not recommended. Transposed convolutions in decoders "
    "repeat every line of the latents around multiples of their frame rate.\n\n"
    "Recurrence and attention hear more than their convolutions: such stages are marked unbounded, "
    "with the bound of the convolutions alone."
)


@dataclass(frozen=True)
class _Tried:
    """The same tones under every condition."""

    model: AudioModel
    stages: list[Stage]
    tones_hz: np.ndarray
    example_hz: float
    lines: Mapping[str, Mapping[str, Lines]]
    strides: Mapping[str, int]

    @property
    def last(self) -> Stage:
        return self.stages[-1]

    def wrong_hz(self, place: int) -> np.ndarray:
        """Where the tones would land at the frame rate of the stage before, or of the sound."""
        rates = [float(self.model.sample_rate), *(stage.rate_hz for stage in self.stages)]
        before = [rate for rate in rates[: place + 1] if rate != rates[place + 1]]
        return folded_hz(self.tones_hz, before[-1] if before else 2 * rates[0] / 3)


def _try_tones(
    context: Context, params: AtlasParams, model: AudioModel, turning: list[Stage]
) -> _Tried:
    fs = model.sample_rate
    n_samples = clip_samples(model, turning, params.n_frames)
    example = params.example_hz if params.example_hz < 0.45 * fs else fs / 3
    spread = np.geomspace(max(40.0, fs / 400), 0.45 * fs, params.n_tones)
    # Every stage must hear some tone that does not fold there.
    within = [0.45 * stage.nyquist_hz for stage in turning if stage.rate_hz < fs]
    wanted = np.unique([*within, *spread])
    tones = np.append(clear_tones(turning, wanted, fs, n_samples), example)
    strides = strides_of(model)
    conditions: dict[str, tuple[AudioModel, AbstractContextManager[None]]] = {
        OWN: (model, nullcontext()),
        LINEAR: (model, without_nonlinearities(model)),
        DRAWN: (context.model("random"), nullcontext()),
    }
    if params.blur and strides:
        conditions[BLURRED] = (model, _blurred(model, strides))
    lines: dict[str, dict[str, Lines]] = {}
    for step, (name, (network, state)) in enumerate(conditions.items()):
        with state:
            lines[name] = sweep(network, turning, tones, params.n_frames)
        context.advance((step + 1) / (len(conditions) + 1))
    kept = [stage for stage in turning if all(stage.address in one for one in lines.values())]
    return _Tried(model, kept, tones, example, lines, strides)


def _blurred(model: AudioModel, strides: Mapping[str, int]) -> AbstractContextManager[None]:
    return intervene(
        model, {where: LowPass(LowPassParams(factor=factor)) for where, factor in strides.items()}
    )


def _on_line(lines: Lines, predicted_hz: np.ndarray) -> float:
    """Share of the tones whose strongest line is the predicted one, to a bin."""
    hit = np.abs(lines.peak_hz - predicted_hz) <= lines.bin_hz
    known = np.isfinite(lines.peak_hz)
    return float(hit[known].mean()) if known.any() else float("nan")


def _judged(tried: _Tried) -> list[Judgement]:
    """At the last stage, which every stride lies before."""
    judged = [_folds(tried), _activations(tried)]
    return [*judged, _blur(tried)] if BLURRED in tried.lines else judged


def _on_lines(tried: _Tried, place: int) -> Measurement:
    stage = tried.stages[place]
    linear, own = (tried.lines[name][stage.address] for name in (LINEAR, OWN))
    drawn = tried.lines[DRAWN][stage.address]
    return Measurement(
        "share of tones on the line that strides give them, without activations",
        _on_line(linear, linear.predicted_hz),
        "",
        {
            _WRONG: _on_line(linear, tried.wrong_hz(place)),
            "positive control: with activations": _on_line(own, own.predicted_hz),
            "positive control: random weights": _on_line(drawn, own.predicted_hz),
        },
        tap=stage.address,
    )


def _folds(tried: _Tried) -> Judgement:
    measured = _on_lines(tried, len(tried.stages) - 1)
    value = measured.value
    verdict: Verdict = verdict_of(value, [measured.controls[_WRONG]], "more", 0.05)
    if verdict == "holds" and value < 1:
        verdict = "does not hold"
    n = len(tried.tones_hz)
    return Judgement(
        f"{round(value * n) if np.isfinite(value) else 0} of {n} tones land at "
        f"{tried.last.address} exactly where strides put them.",
        measured,
        verdict,
        "It holds when every tone's strongest line is the predicted one, to a bin, and the strides "
        "of the stage before foretell fewer.",
    )


def _numbers(tried: _Tried, stage: Stage) -> list[Measurement]:
    """What is told of every stage and judged at the last one only."""
    place = tried.stages.index(stage)
    lines = {name: one[stage.address] for name, one in tried.lines.items()}
    gains = {name: alias_gain_db(one.energy, tried.tones_hz, stage) for name, one in lines.items()}
    return [
        _on_lines(tried, place),
        Measurement(
            "share of energy at folded harmonics",
            float(np.nanmean(lines[OWN].at_harmonics)),
            "",
            {
                name: float(np.nanmean(one.at_harmonics))
                for name, one in lines.items()
                if name != OWN
            },
            tap=stage.address,
        ),
        Measurement(
            "tones that fold re tones that do not",
            gains[OWN],
            "dB",
            {name: gain for name, gain in gains.items() if name != OWN},
            tap=stage.address,
        ),
    ]


def _activations(tried: _Tried) -> Judgement:
    stage = tried.last
    own, linear, drawn = (tried.lines[n][stage.address] for n in (OWN, LINEAR, DRAWN))
    value = 1 - float(np.nanmean(own.at_fold))
    nulls = {
        LINEAR: 1 - float(np.nanmean(linear.at_fold)),
        DRAWN: 1 - float(np.nanmean(drawn.at_fold)),
    }
    measured = Measurement(
        "share of energy off the tone's own line", value, "", nulls, tap=stage.address
    )
    return Judgement(
        f"Activations move {100 * value:.0f} % of a tone's energy to other lines by "
        f"{stage.address}; strides alone leave {100 * nulls[LINEAR]:.1f} %.",
        measured,
        verdict_of(value, [nulls[LINEAR]], "more", 0.02),
        "It holds when the network as it is has at least two points more off the line than "
        "without its activations; random weights show what training did about it.",
    )


def _blur(tried: _Tried) -> Judgement:
    stage = tried.last
    gain = {
        name: alias_gain_db(one[stage.address].energy, tried.tones_hz, stage)
        for name, one in tried.lines.items()
    }
    drop = gain[OWN] - gain[BLURRED]
    measured = Measurement(
        "fall of folded tones behind a blur, re tones that do not fold",
        drop,
        "dB",
        {"without the blur": 0.0, "random weights against these": gain[DRAWN] - gain[OWN]},
        tap=stage.address,
    )
    return Judgement(
        f"A blur in front of {len(tried.strides)} strides would lower tones that fold by "
        f"{drop:.0f} dB against those that do not.",
        measured,
        verdict_of(drop, [0.0], "more", 6.0),
        "It holds when folded tones fall by more than 6 dB against the others at the last stage.",
    )


def _tried_images(
    context: Context, model: AudioModel, found: Gathered, facts: dict[str, Any]
) -> None:
    """A line in the latents through the decoder, with and without its activations."""
    try:
        images = _images(context, model)
    except NOTHING_TO_MEASURE as error:
        found.missing.append(("decoder", "images of a line in the latents", str(error)))
        return
    facts["images"] = {name: dict(one.shares) for name, one in images.items()}
    facts["image_line_hz"] = images[OWN].line_hz
    found.measurements.append(
        Measurement(
            "share of a decoded line at its images",
            images[OWN].at_images,
            "",
            {name: one.at_images for name, one in images.items() if name != OWN},
            tap="latent",
        )
    )


def _images(context: Context, model: AudioModel) -> dict[str, Images]:
    drawn = context.model("random")
    clip = longest_clips(context, 1)[0].waveform
    found = {}
    for name, network, within in (
        (OWN, model, nullcontext()),
        (LINEAR, model, without_nonlinearities(model)),
        (DRAWN, drawn, nullcontext()),
    ):
        with within:
            latents, time = _latents(network, clip)
            found[name] = images_of(network, latents, time, context.seed)
    return found


def _latents(model: AudioModel, waveform: np.ndarray) -> tuple[Any, Any]:
    if model.codec is None:
        raise NothingToMeasureError(f"{model.name} decodes nothing")
    sound = torch.from_numpy(waveform[None, None].astype(np.float32))
    with torch.no_grad():
        latents = model.codec.encode(sound.expand(-1, model.n_channels, -1).contiguous())
    return latents, time_base(model, "latent")


def _heard(model: AudioModel, tried: _Tried) -> tuple[MadeSound, ...]:
    """The example tone, and what its loudest channel says of it at every stage."""
    fs = model.sample_rate
    n_samples = max(clip_samples(model, tried.stages, 48), 1 if model.probe_samples else fs // 2)
    wave = tone_waves(np.array([tried.example_hz]), fs, n_samples)
    sounds = [MadeSound(wave[0][:fs], fs, f"the tone, {tried.example_hz:.0f} Hz")]
    for address, heard in steady_responses(model, tried.stages, wave).items():
        stage = next(one for one in tried.stages if one.address == address)
        line = float(folded_hz(np.array([tried.example_hz]), stage.rate_hz)[0])
        moving = heard[0] - heard[0].mean(0)
        loudest = moving[:, int(np.square(moving).sum(0).argmax())]
        made = heard_frames(loudest, stage)
        if made is not None:
            sounds.append(MadeSound(made, fs, f"{address}: line at {line:.4g} Hz"))
    return tuple(sounds)


def _arrays(tried: _Tried) -> dict[str, np.ndarray]:
    arrays = {"tones_hz": tried.tones_hz}
    for name, by_stage in tried.lines.items():
        for stage in tried.stages:
            lines = by_stage[stage.address]
            for kind in ("peak_hz", "predicted_hz", "energy", "at_fold", "at_harmonics"):
                arrays[f"{name}/{stage.address}/{kind}"] = getattr(lines, kind)
    return arrays
