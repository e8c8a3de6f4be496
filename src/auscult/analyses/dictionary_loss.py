"""What does the model's own task lose when a dictionary stands in its way?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auscult.analyses.base import (
    ANALYSES,
    BASE,
    Analysis,
    ClipSound,
    Condition,
    Context,
    Judgement,
    MadeSound,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import Gathered, guided, untested
from auscult.analyses.parts.dictionaries.lineup import (
    AT_L0,
    BASELINES,
    FROZEN,
    Entry,
    ResampledParams,
    opponent,
    tap_by_tap,
)
from auscult.analyses.parts.dictionaries.loss_pictures import TapLosses, pictures
from auscult.analyses.parts.dictionaries.standing import card_config
from auscult.analyses.parts.reading import sample
from auscult.blocks import Block, Verdict
from auscult.core.config import Config
from auscult.core.errors import AudioError, UserError
from auscult.core.rng import named_rng
from auscult.dictionaries.own_task import ClassTask, OwnTask, own_task
from auscult.dictionaries.splicing import levelled, silenced, spliced
from auscult.measures.loss_recovered import MEAN, MODEL, ZERO, task_losses
from auscult.measures.quality import interval_of
from auscult.measures.scorecards import Scorecard
from auscult.measures.statistics import recording_draws
from auscult.taps.capture import EditFunction
from auscult.taps.point import TapPoint

_AGAINST = "{} recovered against {}"
_CONVERGENCE = "convergence"
Edits = Mapping[str | TapPoint, EditFunction]
"""What acts at which tap."""


class DictionaryLossParams(ResampledParams):
    """Settings of the analysis of what the model's own task loses."""

    n_clips: int = Field(24, ge=2)
    """Clips of the test side, evenly spread, that go through the model."""
    label: str | None = None
    """Label of the sounds that names the model's classes (classifiers); none: outputs are compared
    with the model's own."""
    part: str | None = None
    """Part of the loss that answers are about; none: spectral convergence of codecs, the divergence
    of classifiers. ``total`` for the sum that end-to-end dictionaries minimise."""
    n_played: int = Field(1, ge=0)
    """Clips that the page plays decoded (codecs)."""


@ANALYSES.register("dictionary-loss")
class DictionaryLoss(Analysis):
    """Loss recovered: the model runs with each dictionary's reconstruction in place of a tap.

    A codec must give the sound back (log mel, multi-resolution spectrum, SI-SDR), a classifier its
    classes. What a dictionary costs is read against ablating the tap, to zero and to the mean of
    the training vectors, and against baselines of its width at its l0.
    """

    Params: ClassVar[type[Config]] = DictionaryLossParams
    title: ClassVar[str] = "Loss on the model's own task"
    question: ClassVar[str] = "Does the model still work through a dictionary, and owing to what?"
    source: ClassVar[str] = "METHODS §8.2 (SAEBench core; Gao et al. 2024)"

    @classmethod
    def controls(cls, params: DictionaryLossParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None to be recorded: ablations and baselines are the controls."""
        return ()

    def run(self, context: Context, params: DictionaryLossParams) -> Result:
        """Run the model through every dictionary of response vectors at every tap."""
        gathered = Gathered()
        sounds: list[MadeSound] = []
        for tap, entries in tap_by_tap(context, gathered):
            found = _measured(context, params, tap, entries)
            if isinstance(found, str):
                gathered.missing.append((tap, "the model's own task", found))
                for role in FROZEN:
                    gathered.add(_untold(tap, role, found))
            else:
                gathered.judgements += [_judged(found, role) for role in BASELINES]
                gathered.measurements += [
                    one for entry in found.learned for one in _numbers(found, entry)
                ]
                gathered.blocks += pictures(found)
                gathered.cards |= {f"{tap} {name}": _card(found, name) for name in found.entries}
                sounds += found.sounds
        result = gathered.result({"missing": gathered.missing})
        return replace(result, sounds=tuple(sounds))

    def view(self, result: Result) -> list[Block]:
        """Findings, how to read it, bars, courses over l0, sounds."""
        return guided(result, _HOW_TO_READ)


_HOW_TO_READ = (
    "The dictionary's reconstruction takes the place of what the tap said, and the model goes on "
    "from there. Loss recovered is 1 when the task does not notice and 0 when the dictionary does "
    "as much damage as ablating the tap. Zero ablation is far from anything the model has seen and "
    "flatters every dictionary; the mean of the training vectors is the stricter level, and the "
    "answers are about it.\n\n"
    "Losses are against the truth: the sound that went in, or the label. Of a codec the answers "
    "are about spectral convergence, on which silence scores exactly 1: to log mel and log "
    "magnitude silence is often nearer than a sound that is not quite right, so that ablation "
    "seems to do no damage and shares of it mean nothing. SI-SDR compares samples, which a codec "
    "trained against a critic does not aim at. Every part stands in the table. One seed of each "
    "dictionary runs, the first."
)


def _measured(
    context: Context, params: DictionaryLossParams, tap: str, entries: Sequence[Entry]
) -> TapLosses | str:
    """Losses of one tap, or why there are none."""
    if not entries:
        return "the spec fits no dictionary to response vectors."
    try:
        task = own_task(context.model())
        clips = _clips(context, params.n_clips)
        reference = _reference(task, params, clips)
        store = context.store(tap, BASE, "train")
        mean = torch.from_numpy(np.asarray(store.statistics.mean, np.float32))
        edits: dict[str, Edits] = {ZERO: {tap: silenced}, MEAN: {tap: levelled(mean)}}
        edits |= {one.name: spliced(one.seeds[0], tap) for one in entries}
        waveforms = [_waveform(context, clip) for clip in clips]
        losses = task_losses(task, edits, waveforms, reference)
    except UserError as error:
        return f"{error}."
    test = sample(context.store(tap, BASE, "test"), 8192).values
    l0 = {one.name: _l0(one, test) for one in entries}
    _, which = np.unique([clip.recording_id for clip in clips], return_inverse=True)
    n = int(which.max()) + 1
    rng = named_rng(context.seed, "dictionary-loss", tap)
    draws = recording_draws(n, params.n_resamples, rng)[:, which]
    part = params.part or (_CONVERGENCE if _CONVERGENCE in losses[MODEL] else "divergence")
    if part not in losses[MODEL]:
        return f"{part!r} is no part of this loss; they are {', '.join(losses[MODEL])}."
    found = TapLosses(tap, part, {one.name: one for one in entries}, l0, losses, draws)
    return replace(found, sounds=_sounds(context, params, task, found, edits, clips))


def _clips(context: Context, most: int) -> list[ClipSound]:
    """Clips evenly spread over the test side, silent ones left out.

    Raises:
        AudioError: Fewer than two can be heard.
    """
    ids = context.clip_ids("test")
    chosen = np.unique(np.linspace(0, len(ids) - 1, min(most, len(ids))).astype(np.int64))
    clips = [context.sound(ids[i]) for i in chosen]
    audible = [clip for clip in clips if clip.waveform.size and np.ptp(clip.waveform) > 1e-6]
    if len(audible) < 2:
        raise AudioError(f"{len(audible)} of {len(clips)} clips of the test side can be heard")
    return audible


def _waveform(context: Context, clip: ClipSound) -> Float[Tensor, "one channel time"]:
    sound = torch.from_numpy(np.ascontiguousarray(clip.waveform, dtype=np.float32))
    return sound.expand(1, context.model().n_channels, -1).contiguous()


def _reference(task: OwnTask, params: DictionaryLossParams, clips: Sequence[ClipSound]) -> Any:
    """The truth where it is known; the model's own output of a classifier without labels."""
    if isinstance(task, ClassTask) and params.label is None:
        return lambda _task, _waveform, own: own
    labels = iter([str(clip.labels.get(params.label or "", "")) for clip in clips])

    def truth(task: OwnTask, waveform: Tensor, own: Tensor) -> Tensor:
        known = task.truth(waveform, [next(labels)])
        # One label a clip stands for every frame that the model answers in.
        while known.ndim < own.ndim:
            known = known.unsqueeze(1)
        return known.expand(own.shape) if isinstance(task, ClassTask) else known

    return truth


@torch.no_grad()
def _l0(entry: Entry, values: Float[np.ndarray, "n d"]) -> float:
    acts = entry.seeds[0].encode(torch.from_numpy(np.ascontiguousarray(values)))
    return float((acts != 0).sum() / len(acts))


def _numbers(found: TapLosses, entry: Entry) -> list[Measurement]:
    """Loss recovered against both ablations, and every part as it is, of a learned dictionary."""
    lines = found.beside(entry)
    numbers = []
    for against in (MEAN, ZERO):
        own = found.recovered(entry.name, against)
        controls = {
            AT_L0.format(role): found.mixed(parts, against).value for role, parts in lines.items()
        }
        controls[against] = 0.0
        name = f"{entry.name}: {_AGAINST.format(found.part, against)}"
        interval = interval_of(own.resampled)
        numbers.append(Measurement(name, own.value, "", controls, interval, tap=found.tap))
    for part in found.losses[MODEL]:
        means = {key: float(found.losses[key][part].mean()) for key in (MODEL, MEAN, ZERO)}
        for role, parts in lines.items():
            means[AT_L0.format(role)] = sum(
                weight * float(found.losses[one.name][part].mean()) for one, weight in parts
            )
        values = found.losses[entry.name][part]
        drawn = (found.draws @ values) / found.draws.sum(1)
        name = f"{entry.name}: {part} of the output"
        unit = "dB" if part in ("log mel", "SI-SDR") else ""
        numbers.append(
            Measurement(name, float(values.mean()), unit, means, interval_of(drawn), tap=found.tap)
        )
    return numbers


def _judged(found: TapLosses, role: str) -> Judgement:
    """Do learned dictionaries keep more of the task than a baseline at the same l0?"""
    pairs = [(one, found.beside(one)[role]) for one in found.learned if role in found.beside(one)]
    if not pairs:
        return _untold(
            found.tap, role, f"there is no {role} of the width and l0 of a learned dictionary."
        )
    own = [found.recovered(one.name, MEAN) for one, _ in pairs]
    theirs = [found.mixed(parts, MEAN) for _, parts in pairs]
    value, other = (float(np.mean([one.value for one in some])) for some in (own, theirs))
    drawn = np.mean([one.resampled for one in own], axis=0)
    gain = interval_of(drawn - np.mean([one.resampled for one in theirs], axis=0))
    verdict: Verdict = "cannot be tested here"
    if gain is not None and np.isfinite(value - other):
        verdict = "explained by control" if gain[1] >= 0 else "does not hold"
        verdict = "holds" if gain[0] > 0 else verdict
    shown = "" if gain is None else f" (difference {gain[0]:.3g} to {gain[1]:.3g})"
    controls = {AT_L0.format(role): other, MEAN: 0.0}
    recover = "dictionary recovers" if len(pairs) == 1 else "dictionaries recover"
    return Judgement(
        f"{found.tap}: {len(pairs)} learned {recover} {value:.0%} of the "
        f"{found.part} that mean ablation destroys, {opponent(role)} "
        f"{other:.0%}{shown}.",
        Measurement(_name(found.part), value, "", controls, interval_of(drawn), tap=found.tap),
        verdict,
        "It holds when the whole interval of the paired difference, over recordings, lies on the "
        "learned side; it is explained by the control when the interval holds 0.",
    )


def _name(part: str) -> str:
    return f"{_AGAINST.format(part, MEAN)}, mean over learned dictionaries"


def _untold(tap: str, role: str, why: str) -> Judgement:
    sentence = (
        f"{tap}: whether learned dictionaries keep more than {opponent(role)} cannot be told."
    )
    return untested(sentence, why, "", _name("loss"), tap, [AT_L0.format(role)])


def _sounds(
    context: Context,
    params: DictionaryLossParams,
    task: OwnTask,
    found: TapLosses,
    edits: Mapping[str, Edits],
    clips: Sequence[ClipSound],
) -> list[MadeSound]:
    """A codec's output as it is, through the best dictionary and its baselines, and ablated."""
    if isinstance(task, ClassTask) or not found.learned:
        return []
    best = max(found.learned, key=lambda one: found.recovered(one.name, MEAN).value)
    chosen = {best.name: f"through {best.name}"}
    for role, parts in found.beside(best).items():
        nearest = max(parts, key=lambda part: part[1])[0]
        chosen.setdefault(nearest.name, f"through a {role} ({nearest.name})")
    chosen |= {MEAN: "tap held at its mean", ZERO: "tap silenced"}
    rate = context.model().sample_rate
    made = []
    for clip in clips[: params.n_played]:
        waveform = _waveform(context, clip)
        made.append(MadeSound(clip.waveform, rate, f"{clip.clip_id}: as it went in"))
        for name, words in {MODEL: "through the codec", **chosen}.items():
            changed = {} if name == MODEL else edits[name]
            with torch.no_grad():
                output = task.output(waveform, changed)[0, :, : waveform.shape[-1]].mean(0)
            made.append(MadeSound(output.numpy().copy(), rate, f"{clip.clip_id}: {words}"))
    return made


def _card(found: TapLosses, name: str) -> Scorecard:
    losses = found.losses
    metrics = {
        "model_performance_preservation": {
            "loss_score_zero_ablation": found.recovered(name, ZERO).value,
            "loss_score_mean_ablation": found.recovered(name, MEAN).value,
        }
    }
    for part in losses[MODEL]:
        metrics[part.replace(" ", "_").replace("-", "_").lower()] = {
            "with_dictionary": float(losses[name][part].mean()),
            "without": float(losses[MODEL][part].mean()),
            "with_zero_ablation": float(losses[ZERO][part].mean()),
            "with_mean_ablation": float(losses[MEAN][part].mean()),
        }
    return Scorecard("own_task", card_config(found.tap, found.entries[name]), metrics)
