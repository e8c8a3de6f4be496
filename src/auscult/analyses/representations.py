"""What do waveform, spectrogram and feature map show of one sound, and what is a wave made of?"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    Analysis,
    Condition,
    Context,
    ControlWeights,
    Judgement,
    MadeSound,
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
    verdict_of,
)
from auscult.analyses.parts.reading import longest_clips
from auscult.blocks import Axis, Block, Clip, ClipGrid, Curve, Heatmap, Lanes, Series
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.measures.effective_filters import loudest
from auscult.measures.portraits import partial_sum, pooled_levels, read_from, spectrogram_db

_SHUFFLED = "frames exchanged"
_READ = "spectrogram read from the feature map (R²)"
_STRONGEST = "energy of a stretch in its strongest lines"


class RepresentationsParams(Config):
    """Settings of the figures."""

    n_clips: int = Field(6, ge=2)
    """Test clips: a readout is fitted on some and judged on the others; the first is drawn."""
    n_partials: int = Field(8, ge=2)
    """Lines that a wave is taken apart into."""
    stretch_s: float = Field(0.04, gt=0)
    """Length of the wave that is taken apart."""
    most_lanes: int = Field(24, ge=1)
    """Channels of the feature map that are drawn, those that vary most."""


@ANALYSES.register("representations")
class Representations(Analysis):
    """The figures of the founding posts, with a number: what a feature map keeps of a spectrogram.

    Levels of channels around each frame of a spectrogram are read linearly for its levels, on clips
    that nothing was fitted to. And a wave as the sum of its strongest partials.
    """

    Params: ClassVar[type[Config]] = RepresentationsParams
    title: ClassVar[str] = "One sound, three ways"
    question: ClassVar[str] = (
        "What do waveform, spectrogram and feature map show of one sound, and what is a wave made "
        "of?"
    )
    source: ClassVar[str] = "Cosme-Clifford, Post 0, Figs. 1 and 2 (METHODS B-11)"

    @classmethod
    def controls(cls, params: RepresentationsParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None that has to be recorded: random weights hear the same clips."""
        return ()

    def run(self, context: Context, params: RepresentationsParams) -> Result:
        """Read the spectrogram at every recorded tap; take one wave apart."""
        found = Gathered()
        try:
            clips = longest_clips(context, params.n_clips)
        except NOTHING_TO_MEASURE as error:
            said = "What a feature map keeps cannot be told."
            where = ", ".join(context.taps)
            found.add(untested(said, str(error), "", _READ, where, [DRAWN]))
            return found.result({"sounds": []})
        ids = [clip.clip_id for clip in clips]
        for tap in in_turn(context, context.taps):
            try:
                found.judgements.append(_read(context, tap, ids))
            except NOTHING_TO_MEASURE as error:
                said = f"{tap}: what the feature map keeps cannot be told."
                found.judgements.append(untested(said, str(error), "", _READ, tap, [DRAWN]))
        rate = context.model().sample_rate
        measured, sounds = _taken_apart(context, params, clips[0].waveform, found)
        found.measurements.append(measured)
        found.blocks += _ways(context, params, ids[0], rate)
        result = found.judged_first(
            {"sounds": [[s.clip_id, s.duration_s, s.label] for s in sounds]}
        )
        return Result(
            result.measurements,
            result.arrays,
            result.facts,
            result.blocks,
            result.judgements,
            sounds,
        )

    def view(self, result: Result) -> list[Block]:
        """Findings, the three ways, and the wave as a sum."""
        clips = tuple(Clip(name, 0.0, float(s), told) for name, s, told in result.facts["sounds"])
        if not clips:
            return page(result, _HOW_TO_READ, [])
        heard = ClipGrid("The wave, and the sums of its first partials, over and over", clips)
        return page(result, _HOW_TO_READ, [*result.blocks, *_sums(result.arrays), heard])


_HOW_TO_READ = (
    "A feature map is what one tap says over time, one lane a channel. Whether it keeps what a "
    "spectrogram shows is asked with a linear readout from the levels of all channels around each "
    "frame, fitted on some clips and judged on others; random weights are the control.\n\n"
    "A wave is the sum of its partials: the strongest sine is taken out again and again, and what "
    "has been taken out is added up. How few of them hold how much depends on the sound: noise "
    "has no strong ones."
)


def _features(
    context: Context, tap: str, clip_id: str, weights: ControlWeights
) -> tuple[np.ndarray, np.ndarray]:
    """Levels of the channels and of the spectrogram's bands at the spectrogram's frames."""
    sound = context.sound(clip_id)
    rate = context.model(weights).sample_rate
    levels, _, times = spectrogram_db(sound.waveform, rate)
    said = context.hear(tap, sound.waveform[None], weights)
    frame_s = np.array([said.time.seconds(i) for i in range(said.values.shape[1])])
    reach = max(512 / rate, 0.5 / float(said.time.frame_rate))
    return pooled_levels(said.values[0].double().numpy(), frame_s, times, reach), levels.T


def _read(context: Context, tap: str, ids: list[str]) -> Judgement:
    if len(ids) < 2:
        raise NothingToMeasureError(
            "a readout is judged on other recordings than it is fitted to: give the test side two"
        )
    values = {}
    for name, weights in (("own", "trained"), (DRAWN, "random")):
        pairs = [_features(context, tap, clip_id, weights) for clip_id in ids]  # type: ignore[arg-type]
        x, y = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
        clip = np.repeat(np.arange(len(ids)), [len(pair[0]) for pair in pairs])
        held_out = clip >= (len(ids) + 1) // 2
        values[name] = read_from(x, y, held_out)
        if name == "own":
            rng = named_rng(context.seed, "representations", tap)
            values[_SHUFFLED] = read_from(rng.permutation(x), y, held_out)
    own = values.pop("own")
    measured = Measurement(_READ, own, "", values, tap=tap)
    return Judgement(
        f"{tap}: levels of its channels explain {100 * own:.0f} % of what a spectrogram of unseen "
        f"clips shows ({100 * values[DRAWN]:.0f} % with random weights).",
        measured,
        verdict_of(own, list(values.values()), "more", 0.03),
        "It holds when trained weights keep three points more than random ones; equal shares are "
        "the architecture's.",
    )


def _taken_apart(
    context: Context, params: RepresentationsParams, waveform: np.ndarray, found: Gathered
) -> tuple[Measurement, tuple[MadeSound, ...]]:
    """The loudest stretch as a sum of its partials; noise of its length as the control."""
    rate = context.model().sample_rate
    n = max(64, round(params.stretch_s * rate))
    apart = partial_sum(loudest(waveform, n), rate, params.n_partials)
    noise = named_rng(context.seed, "representations", "noise").standard_normal(n)
    null = partial_sum(noise, rate, params.n_partials)
    found.arrays |= {
        "wave": apart.wave,
        "waves": apart.waves,
        "f_hz": apart.f_hz,
        "captured": apart.captured,
        "captured/noise": null.captured,
        "times_ms": 1000 * np.arange(n) / rate,
    }
    repeats = max(1, round(1.0 / params.stretch_s))
    sounds = [MadeSound(np.tile(apart.wave, repeats).astype(np.float32), rate, "the wave")]
    for k in (1, 2, 4, params.n_partials):
        made = np.tile(apart.waves[:k].sum(0), repeats).astype(np.float32)
        if k <= params.n_partials and np.any(made):
            sounds.append(MadeSound(made, rate, f"sum of its {k} strongest partials"))
    where = context.taps[0]
    value, control = float(apart.captured[-1]), float(null.captured[-1])
    return Measurement(_STRONGEST, value, "", {"white noise": control}, tap=where), tuple(sounds)


def _ways(context: Context, params: RepresentationsParams, clip_id: str, rate: int) -> list[Block]:
    """Waveform and spectrogram by the clip's own player, then band levels and the feature map."""
    sound = context.sound(clip_id)
    length = len(sound.waveform) / rate
    levels, centres, times = spectrogram_db(sound.waveform, rate)
    clip = context.clip(clip_id, 0.0, length, f"{clip_id}: waveform and spectrogram")
    blocks: list[Block] = [
        ClipGrid("First way: the waveform", (clip,)),
        Heatmap(
            "Second way: a spectrogram in bands even in octaves",
            levels,
            times,
            centres,
            Axis("time", "s"),
            Axis("frequency", "Hz", "log"),
            Axis("level", "dB re full scale"),
        ),
    ]
    for tap in context.taps:
        said = context.hear(tap, sound.waveform[None])
        values = said.values[0].double().numpy().T
        chosen = np.sort(np.argsort(-values.var(1), kind="stable")[: params.most_lanes])
        frame_s = np.array([said.time.seconds(i) for i in range(values.shape[1])])
        lanes = tuple(f"channel {i}" for i in chosen)
        blocks.append(
            Lanes(
                f"Third way: the feature map of {tap}",
                clip,
                frame_s,
                values[chosen],
                lanes,
                Axis("response"),
                "diverging",
                f"{len(chosen)} of {len(values)} channels, those that vary most.",
            )
        )
    return blocks


def _sums(arrays: Mapping[str, Any]) -> list[Block]:
    """The wave beside sums of its first partials, each partial, and how much they hold."""
    times, waves, f_hz = arrays["times_ms"], arrays["waves"], arrays["f_hz"]
    counts = [k for k in (1, 2, 4) if k < len(waves)] + [len(waves)]
    sums = tuple(Series(f"sum of {k}", waves[:k].sum(0), control=True) for k in counts)
    x, y = Axis("time", "ms"), Axis("amplitude")
    each = tuple(Series(f"{hz:.0f} Hz", w) for hz, w in zip(f_hz[:6], waves[:6], strict=True))
    k = np.arange(1, len(waves) + 1)
    shares = (
        Series("this sound", arrays["captured"]),
        Series("white noise", arrays["captured/noise"], control=True),
    )
    return [
        Curve(
            "A wave and the sums of its strongest partials",
            times,
            (Series("the wave", arrays["wave"]), *sums),
            x,
            y,
        ),
        Curve("Its strongest partials, one by one", times, each, x, y),
        Curve("How much of it they hold", k, shares, Axis("partials"), Axis("share of energy")),
    ]
