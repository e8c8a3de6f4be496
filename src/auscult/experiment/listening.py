"""The model, its taps and its sounds under each condition: all that is live while a run goes on."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from auscult.analyses.base import BASE, Condition, ControlWeights, Split
from auscult.core.errors import AudioError, ConfigError
from auscult.core.manifest import digest_of
from auscult.core.timebase import TimeBase
from auscult.experiment.first_layer import is_first_layer_only, redraw_first_layer
from auscult.experiment.spec import Spec
from auscult.models.base import AudioModel, Weights
from auscult.models.weights import weights_digest
from auscult.sounds.base import (
    SOUNDS,
    Recording,
    Skipped,
    SoundClip,
    SoundSource,
    clips,
    sides_by_label,
    split,
)
from auscult.store.reader import ActivationStore
from auscult.taps.capture import run_capture
from auscult.taps.point import ResolvedTap, resolve
from auscult.taps.probe import timing
from auscult.taps.table import Receipt, receipt

_REMEMBERED_RECORDINGS = 16
_DERIVED = ("phase-randomised", "time-shuffled")


@dataclass(frozen=True)
class Corpus:
    """The recordings of one condition and how they are divided."""

    source: SoundSource
    recordings: tuple[Recording, ...]
    sides: dict[Split, tuple[Recording, ...]]

    @cached_property
    def digest(self) -> str:
        """Of the recordings' contents and of the split."""
        told = [(r.recording_id, r.digest) for r in self.recordings]
        sides = {side: [r.recording_id for r in rs] for side, rs in sorted(self.sides.items())}
        return digest_of(repr((told, sides)))


class Listening:
    """Models and corpora of one spec, built when first asked for."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.skipped: dict[str, Skipped] = {}
        self._unusable: set[str] = set()
        self._models: dict[ControlWeights, AudioModel] = {}
        self._digests: dict[ControlWeights, str] = {}
        self._corpora: dict[Condition, Corpus] = {}
        self._cut: OrderedDict[tuple[Condition, str], list[SoundClip]] = OrderedDict()

    def model(self, weights: ControlWeights = "trained") -> AudioModel:
        """The model, in eval mode; the same object for the same weights."""
        own = self.spec.model_part()[2]
        wanted = own if weights == "trained" else weights
        if wanted not in self._models:
            self._models[wanted] = self._built(wanted, own)
        return self._models[wanted]

    def _built(self, weights: ControlWeights, own: Weights) -> AudioModel:
        model = self._weighted(weights, own)
        model.clip_samples = round((self.spec.clip_seconds or 0.0) * model.sample_rate)
        return model

    def _weighted(self, weights: ControlWeights, own: Weights) -> AudioModel:
        cls, params, _ = self.spec.model_part()
        seed = self.spec.seed
        if not is_first_layer_only(weights):
            return cls.build(params, weights, seed)  # type: ignore[arg-type]
        model = cls.build(params, own, seed)
        sounds = (clip.audio.samples for clip in self.clips(BASE, "train"))
        redraw_first_layer(model, weights, sounds, seed)
        return model

    def digest(self, weights: ControlWeights) -> str:
        """SHA-256 over the names and contents of every tensor of the model."""
        if weights not in self._digests:
            self._digests[weights] = weights_digest(self.model(weights).module)
        return self._digests[weights]

    @cached_property
    def taps(self) -> list[ResolvedTap]:
        """The taps to record, resolved once on the model as asked for."""
        return resolve(self.model(), self.spec.record.taps)

    def times(self) -> dict[str, TimeBase]:
        """Time base of each tap by address.

        Raises:
            ConfigError: A tap speaks once a clip, and clips are whole recordings: it would have
                another hop in each.
        """
        found = {tap.address: timing(self.model(), tap) for tap in self.taps}
        once = [address for address, measured in found.items() if measured.once]
        if once and self.spec.clip_seconds is None:
            raise ConfigError(
                f"{', '.join(once)} speaks once a clip, and clips without a length are whole "
                f"recordings of any: say with sounds.clip_seconds how much one vector stands for"
            )
        return {address: measured.time for address, measured in found.items()}

    def receipts(self, weights: ControlWeights) -> list[Receipt]:
        """What each address stands for in this model.

        With a hash of its values on a fixed probe.
        """
        return [receipt(self.model(weights), tap.point) for tap in self.taps]

    def corpus(self, condition: Condition) -> Corpus:
        """The recordings of a condition.

        The limits of ``[controls]`` hold for all but the base one.
        """
        if condition not in self._corpora:
            self._corpora[condition] = self._gather(condition)
        return self._corpora[condition]

    def _gather(self, condition: Condition) -> Corpus:
        cls, params = (
            self.spec.sound_part() if condition.sounds == "real" else self._stimulus(condition)
        )
        source = cls(params, self.spec.seed)
        recordings = [r for r in source.recordings() if r.recording_id not in self._unusable]
        for skip in source.skipped:
            self.skipped[skip.name] = skip
        if not recordings:
            where = self.spec.sounds.get("path", "the sounds")
            raise AudioError(f"no usable sound is left in {where}{self._reasons()}")
        shares = {"train": self.spec.split.train, "test": self.spec.split.test}
        sides = self._sides(condition, recordings)
        if condition != BASE and condition.sounds in ("real", *_DERIVED):
            sides = {
                side: _first(kept, shares[side], self.spec.controls.recordings)
                for side, kept in sides.items()
            }
        kept = {side: tuple(some) for side, some in sides.items()}
        return Corpus(source, tuple(recordings), kept)  # type: ignore[arg-type]

    def _sides(
        self, condition: Condition, recordings: list[Recording]
    ) -> dict[str, list[Recording]]:
        """By the label that says so, where the condition's sounds have it; else by shares."""
        told = self.spec.split
        if told.side is not None and condition.sounds in ("real", *_DERIVED):
            return sides_by_label(recordings, told.side, told.test_values, told.train_values)
        shares = {"train": told.train, "test": told.test}
        return split(recordings, shares, self.spec.seed, group=told.group)

    def _reasons(self) -> str:
        """The first few reasons why sounds were skipped."""
        some = [f"{skip.name}: {skip.reason}" for skip in list(self.skipped.values())[:3]]
        return f" ({'; '.join(some)})" if some else ""

    def found(self) -> tuple[SoundSource, list[Recording]]:
        """The spec's own sounds as they were found, before any was decoded."""
        cls, params = self.spec.sound_part()
        source = cls(params, self.spec.seed)
        return source, source.recordings()

    def leave_out(self, skipped: Iterable[Skipped]) -> None:
        """Do not count on recordings that cannot be decoded.

        Neither side of the split may be made of them.
        """
        for skip in skipped:
            self.skipped[skip.name] = skip
            self._unusable.add(skip.name)

    def _stimulus(self, condition: Condition) -> tuple[type[SoundSource], Any]:
        """A stimulus as long and as many as the control conditions ask for, at the model's rate."""
        controls = self.spec.controls
        if condition.sounds in _DERIVED:
            section: dict[str, Any] = {"type": condition.sounds, "of": self.spec.sounds}
        else:
            section = {
                "type": condition.sounds,
                "n": controls.recordings,
                "seconds": self.spec.clip_seconds or 4.0,
                "sample_rate": self.model().sample_rate,
                "level_db": controls.level_db,
            }
        return SOUNDS.parse(section, f"control {condition.sounds!r}")

    def clips(self, condition: Condition, side: Split | None = None) -> Iterator[SoundClip]:
        """The clips of a condition in order, resampled and cut at the model's boundary."""
        corpus = self.corpus(condition)
        wanted = (
            [r for s in ("train", "test") for r in corpus.sides[s]]
            if side is None
            else corpus.sides[side]
        )
        yield from self._cut_clips(corpus, wanted)

    def _cut_clips(self, corpus: Corpus, recordings: Any) -> Iterator[SoundClip]:
        model = self.model()
        yield from clips(
            corpus.source,
            recordings,
            sample_rate=model.sample_rate,
            n_channels=model.n_channels,
            clip_seconds=self.spec.clip_seconds,
            on_skip=lambda skip: self.skipped.__setitem__(skip.name, skip),
        )

    def clip(self, condition: Condition, clip_id: str) -> SoundClip:
        """One clip, decoded again; the last few recordings are remembered."""
        recording_id = clip_id.rpartition("#")[0]
        key = (condition, recording_id)
        if key not in self._cut:
            corpus = self.corpus(condition)
            recording = next(r for r in corpus.recordings if r.recording_id == recording_id)
            self._cut[key] = list(self._cut_clips(corpus, [recording]))
            while len(self._cut) > _REMEMBERED_RECORDINGS:
                self._cut.popitem(last=False)
        self._cut.move_to_end(key)
        return next(clip for clip in self._cut[key] if clip.clip_id == clip_id)

    def played(self, condition: Condition, clip_id: str) -> str:
        """The name under which pages play a clip: its own, or the stimulus' name before it."""
        return clip_id if condition.sounds == "real" else f"{condition.sounds}:{clip_id}"

    def clip_played(self, name: str) -> SoundClip:
        """The clip that :meth:`played` gave this name."""
        for condition in self._corpora:
            prefix = f"{condition.sounds}:"
            if condition.sounds != "real" and name.startswith(prefix):
                known = {r.recording_id for r in self.corpus(condition).recordings}
                if name.removeprefix(prefix).rpartition("#")[0] in known:
                    return self.clip(condition, name.removeprefix(prefix))
        return self.clip(BASE, name)

    def hear(self, tap: str, waveform: Tensor, weights: ControlWeights) -> Any:
        """Responses of one tap to a batch of waveforms ``[batch channel time]``."""
        return run_capture(self.model(weights), waveform, [tap])[tap]


class TrainingClips:
    """The clips of a store as batches of sound, decoded again when they are heard.

    Attributes:
        ids: Of clips of which vectors were kept: none of them is silent.
    """

    def __init__(self, listening: Listening, condition: Condition, store: ActivationStore) -> None:
        self._listening, self._condition = listening, condition
        self.ids = [clip.clip_id for clip in store.clips if clip.n_vectors]

    def waveforms(self, ids: Sequence[str]) -> Tensor:
        """Some of them as ``[clip channel time]``."""
        return stacked([self._listening.clip(self._condition, name) for name in ids])


def _first(recordings: Any, share: float, most: int) -> list[Recording]:
    """As many recordings as a side's share of the limit, at least one."""
    return list(recordings)[: max(1, round(most * share))]


def stacked(batch: list[SoundClip]) -> Tensor:
    """Clips of one length as ``[batch channel time]``."""
    return torch.from_numpy(np.stack([clip.audio.samples for clip in batch]))
