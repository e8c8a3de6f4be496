"""What analyses ask of a running experiment; see :class:`auscult.analyses.base.Context`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from auscult.analyses.base import BASE, ClipSound, Condition, Split
from auscult.blocks import Clip
from auscult.core.errors import UnknownNameError
from auscult.core.responses import Responses
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import Dictionary
from auscult.experiment.listening import Listening, stacked
from auscult.experiment.spec import DictionarySpec
from auscult.experiment.stages import load_fitted, tap_folder
from auscult.models.base import AudioModel, Weights
from auscult.store.reader import ActivationStore


class RunContext:
    """Answers from the finished stages of a run and from the live model.

    Args:
        listening: Models and sounds.
        recorded: Folder of the recording of each condition.
        fitted: Folder of the dictionaries by condition, tap and kind of vector.
        advance: Receives the share of the analysis that is done.
    """

    def __init__(
        self,
        listening: Listening,
        recorded: dict[Condition, Path],
        fitted: dict[tuple[Condition, str, str, int], Path],
        advance: Callable[[float], None],
    ) -> None:
        self._listening = listening
        self._recorded = recorded
        self._fitted = fitted
        self.advance = advance
        self.seed = listening.spec.seed
        self.taps: Sequence[str] = [tap.address for tap in listening.taps]
        self._times = listening.times()
        self._stores: dict[tuple[str, Condition], ActivationStore] = {}

    def model(self, weights: Weights = "trained") -> AudioModel:
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
            if condition not in self._recorded:
                known = [str(done) for done in self._recorded]
                raise UnknownNameError("recorded condition", str(condition), known)
            folder = self._recorded[condition] / tap_folder(tap)
            self._stores[key] = ActivationStore.open(folder)
        store = self._stores[key]
        if split is None:
            return store
        side = self._listening.corpus(condition).sides[split]
        return store.select([recording.recording_id for recording in side])

    def dictionary_names(self, of: Literal["responses", "generators"]) -> list[str]:
        """Names of the fitted dictionaries of one kind, in the spec's order."""
        return [entry.name for entry in self._listening.spec.dictionaries if entry.of == of]

    def dictionaries(self, name: str, tap: str, condition: Condition = BASE) -> list[Dictionary]:
        """The dictionaries of that name.

        One per seed, under a control condition only the first seed's.
        """
        entries = {entry.name: entry for entry in self._listening.spec.dictionaries}
        if name not in entries:
            raise UnknownNameError("dictionary", name, entries)
        entry = entries[name]
        folder = self._fitted[condition, tap, entry.of, entry.lag]
        return load_fitted(folder, name, seeds_for(self._listening, condition, entry))

    def clip_ids(self, split: Split = "test", condition: Condition = BASE) -> list[str]:
        """Ids of the clips of one side of the split, in order."""
        side = {r.recording_id for r in self._listening.corpus(condition).sides[split]}
        store = self.store(self.taps[0], condition)
        return [clip.clip_id for clip in store.clips if clip.recording_id in side]

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

    def hear(self, tap: str, waveform: np.ndarray, weights: Weights = "trained") -> Responses:
        """Response vectors to sounds made up by the analysis.

        ``[batch time]`` at the model's rate.
        """
        n_channels = self.model(weights).n_channels
        batch = torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32))
        heard: Responses = self._listening.hear(
            tap, batch[:, None].expand(-1, n_channels, -1).contiguous(), weights
        )
        return heard

    def clip(self, clip_id: str, start_s: float, stop_s: float, label: str) -> Clip:
        """A stretch of a clip of the base condition that the page will play."""
        clip = self._listening.clip(BASE, clip_id)
        length = clip.n_valid / clip.audio.sample_rate
        start = min(max(0.0, start_s), length)
        return Clip(clip_id, start, min(max(stop_s, start), length), label)


def seeds_for(listening: Listening, condition: Condition, entry: DictionarySpec) -> tuple[int, ...]:
    """The seeds that a dictionary is trained under; a control condition has the first only."""
    seeds = listening.spec.train.seeds
    return seeds[: entry.n_seeds] if condition == BASE else seeds[:1]
