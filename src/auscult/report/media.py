"""The sounds of a report: each clip encoded and drawn once, played at equal loudness."""

import base64
import io
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from auscult.core.errors import AudioError
from auscult.core.manifest import digest_of_file
from auscult.core.tensors import write_bytes
from auscult.report.loudness import Gain, Loudness
from auscult.report.source import DAMAGED
from auscult.report.spectrogram import outline, png, spectrogram
from auscult.report.text import file_stem, one_line, script_json

VERSION = (
    1  # raise it when the files made of a clip change, so that earlier ones are not taken for them
)
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_BLOCK = 16_384
_REMEMBERED = 64


@dataclass(frozen=True)
class Sound:
    """A clip that pages can play.

    Attributes:
        clip_id: Its id in the run.
        path: Its file in the run.
        stem: Name of its files under ``clips/`` in the report, without ending.
        label: What people call it.
        sample_rate: Of the clip, in Hz; half of it is the top of its spectrogram.
        duration_s: Length in seconds.
        whole: Gain of the whole clip.
        recording_id: The recording it was cut from.
    """

    clip_id: str
    path: Path
    stem: str
    label: str
    sample_rate: int
    duration_s: float
    whole: Gain
    recording_id: str


class SoundLibrary:
    """The clips of a run, made ready when a page first refers to one."""

    def __init__(self, folder: Path, index: Mapping[str, Any], out: Path) -> None:
        self._folder = folder
        self._index = index
        self._out = out
        self._ready: dict[str, Sound] = {}
        self._missing: dict[str, str] = {}
        self._loudness: OrderedDict[str, Loudness] = OrderedDict()
        self.written: list[Path] = []

    @property
    def sounds(self) -> list[Sound]:
        """Those that pages refer to, by label."""
        return sorted(self._ready.values(), key=lambda sound: (sound.label, sound.clip_id))

    @property
    def missing(self) -> Mapping[str, str]:
        """Clips that cannot be played, with the reason."""
        return self._missing

    def find(self, clip_id: str) -> Sound | None:
        """A clip, encoded and drawn; None when it cannot be played (see :attr:`missing`).

        Raises:
            OSError: The report's folder cannot be written.
        """
        if clip_id not in self._ready and clip_id not in self._missing:
            try:
                sound, files = self._prepare(clip_id)
            except (*DAMAGED, RuntimeError) as error:
                self._missing[clip_id] = one_line(error)
                return None
            for path, content in files.items():
                write_bytes(path, content)
            self._ready[clip_id] = sound
        return self._ready.get(clip_id)

    def gain(self, sound: Sound, start_s: float, stop_s: float) -> Gain:
        """Gain of an excerpt; the last few clips stay in memory."""
        loudness = self._loudness.pop(sound.clip_id, None) or Loudness(*_read(sound.path))
        self._remember(sound.clip_id, loudness)
        return loudness.gain(start_s, stop_s)

    def _remember(self, clip_id: str, loudness: Loudness) -> None:
        self._loudness[clip_id] = loudness
        while len(self._loudness) > _REMEMBERED:
            self._loudness.popitem(last=False)

    def _prepare(self, clip_id: str) -> tuple[Sound, dict[Path, bytes]]:
        """A clip and the files that are still to be written for it."""
        entry = self._index.get(clip_id)
        if not isinstance(entry, dict):
            raise AudioError("the run's clips/index.json does not list this clip")
        path = self._inside(str(entry["file"]))
        samples, sample_rate = _read(path)
        label = str(entry.get("label") or clip_id)
        stem = f"{file_stem(label, most=40)}-{digest_of_file(path)[:12]}-{VERSION}"
        duration_s = len(samples) / sample_rate
        loudness = Loudness(samples, sample_rate)
        self._remember(clip_id, loudness)
        sound = Sound(
            clip_id=clip_id,
            path=path,
            stem=stem,
            label=label,
            sample_rate=sample_rate,
            duration_s=duration_s,
            whole=loudness.gain(0.0, duration_s),
            recording_id=str(entry.get("recording_id") or ""),
        )
        return sound, self._files(stem, samples, sample_rate)

    def _inside(self, name: str) -> Path:
        """Path of a clip's file, which must lie in the run's ``clips`` folder."""
        home = (self._folder / "clips").resolve()
        path = (self._folder / name).resolve()
        if not path.is_relative_to(home):
            raise AudioError("its file lies outside the run's clips folder")
        if not path.is_file():
            raise AudioError("its file is not there")
        return path

    def _files(self, stem: str, samples: np.ndarray, sample_rate: int) -> dict[Path, bytes]:
        """What is made of a clip, unless it is there: the name holds the hash of the content."""
        endings = (".mp3", ".png", ".wave.js", ".audio.js")
        paths = [self._out / "clips" / f"{stem}{ending}" for ending in endings]
        self.written += paths
        if all(path.is_file() for path in paths):
            return {}
        mp3 = _mp3(samples, sample_rate)
        drawn = base64.b64encode(outline(samples, sample_rate).tobytes()).decode()
        coded = base64.b64encode(mp3).decode()
        contents = (
            mp3,
            png(spectrogram(samples, sample_rate)),
            _script(f"wave:{stem}", drawn),
            _script(f"audio:{stem}", coded),
        )
        return dict(zip(paths, contents, strict=True))


def _script(key: str, data: str) -> bytes:
    return f"auscult.put({script_json(key)},{script_json(data)});\n".encode()


def _read(path: Path) -> tuple[np.ndarray, int]:
    """Read a clip as the mean of its channels."""
    import soundfile

    samples, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
    if not len(samples):
        raise AudioError("it is empty")
    if not np.isfinite(samples).all():
        raise AudioError("it holds values that are not numbers")
    return np.ascontiguousarray(samples.mean(axis=1)), int(sample_rate)


def _mp3(samples: np.ndarray, sample_rate: int) -> bytes:
    """Encode as mono MP3, in blocks; a rate that MP3 does not know goes to the next higher."""
    import soundfile

    if sample_rate not in _MP3_RATES:
        import soxr

        target = next((rate for rate in _MP3_RATES if rate >= sample_rate), _MP3_RATES[-1])
        samples, sample_rate = soxr.resample(samples, sample_rate, target), target
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", sample_rate, 1, format="MP3") as file:
        for start in range(0, len(samples), _BLOCK):
            file.write(samples[start : start + _BLOCK])
    return buffer.getvalue()
