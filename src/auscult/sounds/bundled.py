"""The corpus that comes with auscult: rendered music whose notes and instruments are known."""

from functools import cached_property
from pathlib import Path

from pydantic import Field

from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.errors import AudioError
from auscult.sounds.base import SOUNDS, Recording, SoundSource, at_most
from auscult.sounds.folder import Folder
from auscult.sounds.labelling import LabelTable

_CORPUS = Path(__file__).parent / "bundled"


@SOUNDS.register("bundled")
class Bundled(SoundSource):
    """The package's own recordings. Labels: ``family``, ``program``, ``kind``, ``pitch_midi``."""

    class Params(Config):
        """Which of them."""

        kinds: tuple[str, ...] = ()
        """Values of the label ``kind`` to keep; none: all."""
        limit: int | None = Field(None, ge=1)
        """At most so many recordings, drawn by content and seed."""

    def recordings(self) -> list[Recording]:
        """The corpus, or the kinds asked for."""
        kinds = self.params.kinds
        found = self._folder.recordings()
        kept = [one for one in found if not kinds or one.labels.get("kind") in kinds]
        self.skipped = self._folder.skipped
        if not kept:
            known = sorted({str(one.labels.get("kind")) for one in found})
            raise AudioError(f"no bundled recording is of kind {list(kinds)}; there are {known}")
        return at_most(kept, self.params.limit, self.seed)

    def load(self, recording: Recording, sample_rate: int | None = None) -> Audio:
        """Decode a recording of the corpus."""
        return self._folder.load(recording, sample_rate)

    @cached_property
    def _folder(self) -> Folder:
        table = LabelTable(table=Path("labels.csv"))
        return Folder(Folder.Params(path=_CORPUS, labels=table), self.seed)
