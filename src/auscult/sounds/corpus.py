"""Sounds on disk, for those who ask: a source's recordings as files with a table of labels."""

import csv
import io
import re
from pathlib import Path
from typing import Literal

from auscult.core.audio import Audio
from auscult.core.errors import AudioError
from auscult.core.tensors import write_bytes
from auscult.sounds.base import SoundSource

AudioFormat = Literal["FLAC", "WAV"]

_SUBTYPES = {"FLAC": "PCM_24", "WAV": "FLOAT"}


def write_corpus(source: SoundSource, folder: Path, format: AudioFormat = "FLAC") -> Path:
    """Write every recording of a source and ``labels.csv``, ready to be read as a folder.

    Files are named by number and by the safe characters of the recording's id, whatever it holds;
    the id itself is in the column ``recording_id``. FLAC keeps 24 bits, WAV the very floats.

    Returns:
        The table's path.

    Raises:
        AudioError: A recording cannot be loaded, or exceeds full scale, which FLAC cannot hold.
    """
    recordings = source.recordings()
    rows: list[dict[str, str | float]] = []
    for index, recording in enumerate(recordings):
        audio = source.load(recording)
        if format == "FLAC" and abs(audio.samples).max() > 1:
            raise AudioError(f"{recording.recording_id!r} exceeds full scale; write it as WAV")
        slug = re.sub(r"[^A-Za-z0-9=.-]+", "_", recording.recording_id)[-80:].strip("._")
        name = f"{index:06d}-{slug}.{format.lower()}"
        write_bytes(folder / name, _encoded(audio, format))
        rows.append({"path": name, "recording_id": recording.recording_id, **recording.labels})
    return _write_table(folder / "labels.csv", rows)


def _encoded(audio: Audio, kind: AudioFormat) -> bytes:
    import soundfile

    data = io.BytesIO()
    subtype = _SUBTYPES[kind]
    soundfile.write(data, audio.samples.T, audio.sample_rate, format=kind, subtype=subtype)
    return data.getvalue()


def _write_table(path: Path, rows: list[dict[str, str | float]]) -> Path:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())
    return path
