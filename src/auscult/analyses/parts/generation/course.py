"""Prompts followed from noise to sound: probes read the steps, estimators listen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from auscult.analyses.base import BASE, Context
from auscult.analyses.parts.concepts.labelling import Labeller, concepts_of
from auscult.concepts.base import Concept
from auscult.core.audio import Audio
from auscult.core.errors import ConfigError, NothingToMeasureError, UnknownNameError
from auscult.core.rng import named_rng, seed_of
from auscult.core.timebase import TimeBase
from auscult.measures.course import Log, Reader, spread_over_classes
from auscult.measures.familiarity import Familiarity
from auscult.measures.probes import ProbeSettings, Reading, read
from auscult.models.base import AudioModel
from auscult.models.generation import Generator, Prompt
from auscult.taps.steps import ESTIMATE, STATE, Seen, StepEdit, generator_of, trace

_BATCH = 16

Wished = Mapping[str, Sequence[str | int | float]]


def steps_of(context: Context) -> tuple[AudioModel, Generator]:
    """The model and what it generates with, where its steps go from noise to sound.

    Raises:
        NothingToMeasureError: It has no generator, no codec, or adds frame to frame.
    """
    model = context.model()
    if model.generator is None or model.codec is None:
        raise NothingToMeasureError(f"{model.name} makes no sound in steps")
    if model.generator.kind == "tokens":
        raise NothingToMeasureError(
            f"{model.name} writes one frame behind another: none is there before its step, and "
            "those that are there no longer change"
        )
    if model.generator.latent not in context.taps:
        raise NothingToMeasureError(
            f"probes are trained on clean latents: add {model.generator.latent!r} to record.taps"
        )
    return model, model.generator


def make_prompts(
    generator: Generator,
    n: int,
    texts: Sequence[str],
    wishes: Wished,
    open_: Sequence[str],
    seed: int,
) -> list[Prompt]:
    """Texts as they are given, or a grid over wishes, in an order that mixes them.

    Args:
        generator: Knows what can be wished for.
        n: How many; texts or combinations come again, under other seeds, where there are fewer.
        texts: In words; none for a grid.
        wishes: Values to ask for, by wish; of one that is not named here all that it takes.
        open_: Wishes that are left to the generator.
        seed: Of the order, and of each prompt's noise.

    Raises:
        ConfigError: There is no such wish, or a value that it does not take.
    """
    for name in (*wishes, *open_):
        if name not in generator.wishes:
            known = ", ".join(generator.wishes) or "none"
            raise ConfigError(f"wishes: there is no wish {name!r} here; there are: {known}")
    for name, values in wishes.items():
        taken = generator.wishes[name]
        wrong = [value for value in values if taken and value not in taken]
        if wrong:
            raise UnknownNameError(f"value of {name}", str(wrong[0]), map(str, taken))
    if texts:
        asked: list[tuple[str, dict[str, str | int | float]]] = [(text, {}) for text in texts]
    else:
        axes = {
            name: tuple(wishes.get(name, values))
            for name, values in generator.wishes.items()
            if name not in open_ and wishes.get(name, values)
        }
        asked = [("", dict(zip(axes, some, strict=True))) for some in product(*axes.values())]
    order = named_rng(seed, "prompts").permutation(len(asked))
    found = []
    for place in range(n):
        text, wished = asked[order[place % len(asked)]]
        words = text or ", ".join(_word(k, v) for k, v in wished.items()) or "anything"
        name = f"{place:03d} {words}"
        found.append(Prompt(name, text, wished, seed_of(seed, "prompt", place)))
    return found


def _word(name: str, value: str | int | float) -> str:
    if isinstance(value, str):
        return value
    stem, _, unit = name.rpartition("_")
    shown = {"midi": "", "db": " dB"}.get(unit, f" {unit}") if stem else ""
    return f"{stem or unit} {value:g}{shown}"


@dataclass(frozen=True)
class Taught:
    """Probes of the clean latents, and how well they read held-out sounds.

    Attributes:
        reader: The probes.
        readings: Of each concept, with its nulls.
        concepts: Labelers.
        lacking: Concepts without a probe, and why.
    """

    reader: Reader
    readings: Mapping[str, Reading]
    concepts: Mapping[str, Concept]
    lacking: Mapping[str, str]


def taught(
    context: Context,
    tap: str,
    sections: Sequence[str | Mapping[str, Any]],
    settings: ProbeSettings,
) -> Taught:
    """Train probes on the codec's clean latents of the run's sounds.

    Raises:
        NothingToMeasureError: There are too few frames, or no concept can be read.
    """
    concepts = concepts_of(sections)
    labelled = Labeller(context, concepts).frames(tap, settings.n_most, BASE)
    if not labelled.targets:
        raise NothingToMeasureError(f"no concept differs in these sounds: {labelled.lacking}")
    readings = {}
    for name, target in labelled.targets.items():
        rng = named_rng(context.seed, "generation", "probe", name)
        readings[name] = read(
            labelled.x, target, labelled.recording_ids, labelled.test, rng, settings
        )
    test = labelled.test
    familiarity = Familiarity.of(labelled.x[~test], labelled.x[test], labelled.recording_ids[test])
    reader = Reader(
        {name: one.probe for name, one in readings.items()}, labelled.targets, familiarity
    )
    return Taught(reader, readings, concepts, labelled.lacking)


@dataclass
class Course:
    """What was seen of all prompts.

    Attributes:
        prompts: What was asked for.
        progress: Of each step, 0 to 1.
        states: Distributions read from the states.
        estimates: From the one-step clean estimates; at the result, from the result.
        straight: From the line between noise and result.
        heard: At each step that was listened to, shares of frames as estimators hear them.
        values: What they heard, mean over frames: ``[prompt heard concept]``.
        listened: Those steps.
        strange: Distance from the probes' training, of states and of estimates, as a ratio to
            that of held-out latents.
        sounds: Decoded estimates of the first prompts: ``[heard time]`` each.
        raw: Their decoded states at the same steps, as noisy as they are.
        tracks: What estimators heard of them over time: ``[heard concept frame]`` each.
    """

    prompts: Sequence[Prompt]
    progress: Float[np.ndarray, " step"]
    states: Log
    estimates: Log
    straight: Log
    heard: Log
    values: Float[np.ndarray, "prompt heard concept"]
    listened: tuple[int, ...]
    strange: dict[str, Float[np.ndarray, "prompt step"]]
    sounds: list[Float[np.ndarray, "heard time"]] = field(default_factory=list)
    raw: list[Float[np.ndarray, "heard time"]] = field(default_factory=list)
    tracks: list[Float[np.ndarray, "heard concept frame"]] = field(default_factory=list)


def follow(
    model: AudioModel,
    teaching: Taught,
    prompts: Sequence[Prompt],
    listened: Sequence[int],
    n_kept: int = 0,
    advance: Callable[[float], None] | None = None,
    edits: Sequence[StepEdit] = (),
) -> Course:
    """Generate every prompt once; only distributions are kept, and the sounds of the first few.

    Args:
        model: Has a generator and a codec.
        teaching: Probes and labelers.
        prompts: What to ask for.
        listened: Steps whose clean estimates are decoded and listened to.
        n_kept: Prompts whose sounds are kept.
        advance: Hears the share that is done.
        edits: Changes on the way.
    """
    follower = _Follower(model, teaching, prompts, tuple(listened))
    for start in range(0, len(prompts), _BATCH):
        batch = prompts[start : start + _BATCH]
        follower.begin(start, len(batch))
        for _ in trace(model, batch, follower.see, edits=edits, n_batch=_BATCH):
            pass
        follower.end(n_kept)
        if advance is not None:
            advance((start + len(batch)) / len(prompts))
    return follower.course


class _Follower:
    """Reads what is seen, batch by batch."""

    def __init__(
        self,
        model: AudioModel,
        teaching: Taught,
        prompts: Sequence[Prompt],
        listened: tuple[int, ...],
    ) -> None:
        self.reader, self.targets = teaching.reader, teaching.reader.targets
        self.n_steps = generator_of(model).n_steps
        n = len(prompts)
        self.course = Course(
            prompts,
            np.zeros(self.n_steps + 1),
            Log(self.targets, n, self.n_steps + 1),
            Log(self.targets, n, self.n_steps + 1),
            Log(self.targets, n, self.n_steps + 1),
            Log(self.targets, n, len(listened)),
            np.full((n, len(listened), len(self.targets)), np.nan),
            listened,
            {place: np.full((n, self.n_steps + 1), np.nan) for place in (STATE, ESTIMATE)},
        )
        self.logs = {STATE: self.course.states, ESTIMATE: self.course.estimates}
        self.ear = Ear(model, {name: teaching.concepts[name] for name in self.targets})
        self.rows = slice(0, 0)
        self.kept: dict[tuple[str, int], Tensor] = {}

    def begin(self, start: int, n: int) -> None:
        """The rows that what is seen next belongs to."""
        self.rows = slice(start, start + n)
        self.kept.clear()

    def see(self, _: Sequence[Prompt], seen: Seen) -> None:
        """Read a state or an estimate; the result is its own estimate."""
        frames = seen.values.numpy()
        self.course.progress[seen.step] = seen.progress
        places = (STATE, ESTIMATE) if seen.step == self.n_steps else (seen.place,)
        told, far = self.reader.read(frames), self.reader.strangeness(frames)
        for place in places:
            self.logs[place].put(self.rows, seen.step, told)
            self.course.strange[place][self.rows, seen.step] = far
            # Of states the null needs the ends; the first prompts' can be heard like estimates.
            if seen.step in (*self.course.listened, 0, self.n_steps):
                self.kept[place, seen.step] = seen.values

    def end(self, n_kept: int) -> None:
        """The null of the batch, and its sound."""
        course, start = self.course, self.rows.start
        first, last = (self.kept[STATE, step].numpy() for step in (0, self.n_steps))
        line = self.reader.straight(first, last, course.progress)
        course.straight.put(self.rows, slice(None), line)
        heard = [self.kept[ESTIMATE, step] for step in course.listened]
        n_raw = max(0, min(n_kept - start, len(heard[0])))
        if n_raw:
            states = [self.kept[STATE, step][:n_raw] for step in course.listened]
            course.raw += list(self.ear.decode(torch.stack(states, 1)))
        for place, versions in enumerate(self.ear.decode(torch.stack(heard, 1)), start):
            tracks = [self._listen(place, step, wave) for step, wave in enumerate(versions)]
            if place < n_kept:
                course.sounds.append(versions)
                course.tracks.append(np.array(tracks))

    def _listen(
        self, place: int, step: int, wave: Float[np.ndarray, " time"]
    ) -> list[Float[np.ndarray, " frame"]]:
        told = self.ear.listen(wave)
        for which, (name, values) in enumerate(told.items()):
            p = spread_over_classes(values, self.targets[name])
            self.course.heard.p[name][place, step] = p
            if np.isfinite(values).any():
                self.course.values[place, step, which] = np.nanmean(values)
        return list(told.values())


class Ear:
    """Decodes latents and lets labelers listen.

    Args:
        model: Has the codec.
        concepts: Labelers.
    """

    def __init__(self, model: AudioModel, concepts: Mapping[str, Concept]) -> None:
        self._model, self._concepts = model, concepts
        self.time: TimeBase | None = None

    @torch.no_grad()
    def decode(
        self, frames: Float[Tensor, "prompt heard frame d"]
    ) -> Float[np.ndarray, "prompt heard time"]:
        """Sound of latents, mean over channels."""
        codec = self._model.codec
        if codec is None:
            raise NothingToMeasureError(f"{self._model.name} has no decoder")
        parts = [codec.decode(some.transpose(1, 2).contiguous()).mean(1) for some in frames]
        sounds = torch.stack(parts)
        if self.time is None:
            hop = max(1, sounds.shape[-1] // frames.shape[2])
            self.time = TimeBase(self._model.sample_rate).after_conv(hop, hop)
        return np.asarray(sounds.numpy(), dtype=np.float32)

    def listen(self, wave: Float[np.ndarray, " time"]) -> dict[str, np.ndarray]:
        """Each concept's value in each frame."""
        if self.time is None:
            raise NothingToMeasureError("nothing was decoded yet")
        audio = Audio(np.clip(wave, -4, 4)[None], self._model.sample_rate)
        return {
            name: concept.label(audio, self.time).values for name, concept in self._concepts.items()
        }
