"""What analyses ask of a running experiment; see :class:`auscult.analyses.base.Context`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auscult.analyses.base import (
    BASE,
    ClipBatch,
    ClipSound,
    Condition,
    ControlWeights,
    DictionaryOf,
    Joint,
    Split,
)
from auscult.blocks import Clip
from auscult.core.errors import UnknownNameError
from auscult.core.responses import Responses
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import Dictionary
from auscult.experiment.feeds import Feed, places
from auscult.experiment.listening import Listening, stacked
from auscult.experiment.spec import DictionarySpec
from auscult.experiment.stages import batched, tap_folder, training_settings
from auscult.models.base import AudioModel
from auscult.store.reader import ActivationStore
from auscult.store.source import VectorSource

Fitted = Callable[[Condition, str, DictionarySpec, Split], list[Dictionary]]
Feeds = Callable[[Condition, str, DictionarySpec, Split], Feed]
Logs = Callable[[str, DictionarySpec], list[list[Mapping[str, Any]]]]


class RunContext:
    """Answers from the finished stages of a run and from the live model.

    Args:
        listening: Models and sounds.
        recorded: Folder of the recording of each condition.
        fitted: Gives the dictionaries of a condition, tap, entry of the spec and side of the split;
            fits those that are not there yet.
        feeds: Gives the vectors that a condition's entry is fitted to at a tap, on one side.
        logs: Gives the training logs of a tap and entry of the spec, one a seed.
        advance: Receives the share of the analysis that is done.
    """

    def __init__(
        self,
        listening: Listening,
        recorded: Mapping[Condition, Path],
        fitted: Fitted,
        feeds: Feeds,
        logs: Logs,
        advance: Callable[[float], None],
    ) -> None:
        self._listening = listening
        self._recorded = recorded
        self._fitted = fitted
        self._feeds = feeds
        self._logs = logs
        self._entries = {entry.name: entry for entry in listening.spec.dictionaries}
        self.advance = advance
        self.seed = listening.spec.seed
        self.taps: Sequence[str] = [tap.address for tap in listening.taps]
        self._times = listening.times()
        self._stores: dict[tuple[str, Condition], ActivationStore] = {}

    def model(self, weights: ControlWeights = "trained") -> AudioModel:
        """The model under some weights."""
        return self._listening.model(weights)

    def time(self, tap: str) -> TimeBase:
        """The time base of a recorded tap."""
        return self._times[tap]

    def store(
        self, tap: str, condition: Condition = BASE, split: Split | None = None
    ) -> ActivationStore:
        """Recorded response vectors; all of them, or those of one side of the split."""
        key = (tap, condition)
        if key not in self._stores:
            self._must_be_recorded(condition)
            folder = self._recorded[condition] / tap_folder(tap)
            self._stores[key] = ActivationStore.open(folder)
        store = self._stores[key]
        if split is None:
            return store
        side = self._listening.corpus(condition).sides[split]
        return store.select([recording.recording_id for recording in side])

    def dictionary_names(self, of: DictionaryOf) -> list[str]:
        """Names of the spec's dictionaries of one kind that every tap has, in its order."""
        return [entry.name for entry in self._entries.values() if entry.of == of and entry.plain]

    def lag(self, name: str) -> int:
        """Frames between the two ends of a dictionary's generators; 0 for response vectors."""
        entry = self._entry(name)
        return entry.lag if entry.of == "generators" else 0

    def _entry(self, name: str) -> DictionarySpec:
        if name not in self._entries:
            raise UnknownNameError("dictionary", name, self._entries)
        return self._entries[name]

    def dictionaries(
        self, name: str, tap: str, condition: Condition = BASE, split: Split = "train"
    ) -> list[Dictionary]:
        """The dictionaries of that name, fitted now unless they are there already.

        One per seed; one only under a control condition and on the test side.
        """
        self._must_be_recorded(condition)
        return self._fitted(condition, tap, self._entry(name), split)

    def joint_names(self) -> list[str]:
        """Names of the spec's dictionaries that read several taps or weights at once."""
        return [entry.name for entry in self._entries.values() if entry.joint]

    def joint(self, name: str, condition: Condition = BASE) -> list[Joint]:
        """Such a dictionary wherever the spec fits it; none where its weights are its controls."""
        entry = self._entry(name)
        if entry.weights and condition != BASE:
            return []
        self._must_be_recorded(condition)
        found, training = [], training_settings(self._listening.spec)
        for tap in places(entry, self.taps):
            fitted = self._fitted(condition, tap, entry, "train")

            def vectors(split: Split, tap: str = tap) -> tuple[VectorSource, VectorSource | None]:
                feed = self._feeds(condition, tap, entry, split)
                return feed.source, feed.targets

            parts = fitted[0].provenance.parts or (tap, fitted[0].provenance.target)
            found.append(Joint(tap, parts, fitted, vectors, training))
        return found

    def training_logs(self, name: str, tap: str) -> list[list[Mapping[str, Any]]]:
        """Lines of the training log of each seed; empty for what is not trained."""
        return self._logs(tap, self._entry(name))

    def _must_be_recorded(self, condition: Condition) -> None:
        if condition not in self._recorded:
            known = [str(done) for done in self._recorded]
            raise UnknownNameError("recorded condition", str(condition), known)

    def clip_ids(self, split: Split = "test", condition: Condition = BASE) -> list[str]:
        """Ids of the clips of one side of the split, in order."""
        side = {r.recording_id for r in self._listening.corpus(condition).sides[split]}
        store = self.store(self.taps[0], condition)
        return [clip.clip_id for clip in store.clips if clip.recording_id in side]

    def batches(self, split: Split, condition: Condition = BASE) -> Iterator[ClipBatch]:
        """The clips of one side of the split in order, as many at a time as are recorded."""
        clips = self._listening.clips(condition, split)
        for batch in batched(clips, self._listening.spec.record.batch_clips):
            yield ClipBatch(
                stacked(batch).numpy(),
                tuple(clip.clip_id for clip in batch),
                tuple(clip.recording_id for clip in batch),
                tuple(clip.n_valid for clip in batch),
                tuple(clip.labels for clip in batch),
            )

    def sound(self, clip_id: str, condition: Condition = BASE) -> ClipSound:
        """The sound of one clip, decoded again from its source."""
        clip = self._listening.clip(condition, clip_id)
        waveform = clip.audio.samples.mean(0)[: clip.n_valid]
        return ClipSound(clip_id, clip.recording_id, waveform, dict(clip.labels))

    def responses(self, tap: str, clip_id: str, condition: Condition = BASE) -> Responses:
        """Every response vector of one clip, computed anew (the store may hold a sample only)."""
        clip = self._listening.clip(condition, clip_id)
        heard: Responses = self._listening.hear(tap, stacked([clip]), condition.weights)
        return heard

    def hear(
        self, tap: str, waveform: np.ndarray, weights: ControlWeights = "trained"
    ) -> Responses:
        """Response vectors to sounds made up by the analysis.

        ``[batch time]`` at the model's rate.
        """
        n_channels = self.model(weights).n_channels
        batch = torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32))
        heard: Responses = self._listening.hear(
            tap, batch[:, None].expand(-1, n_channels, -1).contiguous(), weights
        )
        return heard

    def clip(
        self,
        clip_id: str,
        start_s: float,
        stop_s: float,
        label: str,
        condition: Condition = BASE,
    ) -> Clip:
        """A stretch of a recorded clip that the page will play."""
        clip = self._listening.clip(condition, clip_id)
        length = clip.n_valid / clip.audio.sample_rate
        start = min(max(0.0, start_s), length)
        played = self._listening.played(condition, clip_id)
        return Clip(played, start, min(max(stop_s, start), length), label)
