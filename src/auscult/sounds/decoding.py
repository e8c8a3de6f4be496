"""Sound files to samples through libsndfile; whatever cannot be used is refused with a sentence."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from auscult.core.errors import AudioError

EXTENSIONS = ("wav", "flac", "ogg", "oga", "opus", "mp3", "aiff", "aif", "aifc", "au", "w64", "caf")
"""What libsndfile is asked to decode unless a source says otherwise."""

UNDECODABLE = {
    "m4a": "MPEG-4 audio",
    "mp4": "MPEG-4 audio",
    "m4b": "MPEG-4 audio",
    "aac": "AAC",
    "wma": "Windows Media Audio",
    "wv": "WavPack",
    "ape": "Monkey's Audio",
    "mka": "Matroska audio",
    "webm": "WebM",
    "amr": "AMR",
    "ra": "RealAudio",
    "mpc": "Musepack",
    "tta": "True Audio",
    "dsf": "DSD",
    "mid": "MIDI, a score without sound",
    "midi": "MIDI, a score without sound",
}
"""Extensions that mean sound, in formats that libsndfile does not decode."""

_FOREIGN_SOUND = (
    (4, b"ftyp", "MPEG-4 audio"),
    (0, b"\x30\x26\xb2\x75", "Windows Media Audio"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (0, b"#!AMR", "AMR"),
    (0, b"MThd", "MIDI, a score without sound"),
)
_NO_SOUND = (
    (0, b"version https://git-lfs", "a Git LFS pointer: fetch the content it stands for"),
    (0, b"<", "HTML or XML under a sound's name, perhaps a failed download"),
    (0, b"{", "JSON under a sound's name, perhaps a failed download"),
    (0, b"PK\x03\x04", "a ZIP archive under a sound's name: unpack it"),
)

LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 1_000, 1_600_000
"""Rates outside are slips of a header: resampling 1 Hz to 24 kHz would fill any memory."""

HIGHEST_PEAK = 100.0
"""Samples beyond are not scaled to ±1: integers stored as floats, or a wrong format read as
sound."""

_BLOCK_FRAMES = 1 << 20
_TOLERATED_LOSS_S = 0.1
_CUT = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
_UNKNOWN_BYTES = 0x7FFF_FFFF


def duration_of(path: Path) -> float:
    """Length in seconds as the file's header tells it; nothing is decoded.

    Raises:
        AudioError: It is not a sound that can be decoded, or has no sample. As with :func:`decode`,
            the message is the rest of a sentence whose subject, the sound's name, the caller knows.
    """
    with _opened(path) as file:
        return int(file.frames) / int(file.samplerate)


def decode(
    path: Path, max_seconds: float | None = None
) -> tuple[Float[np.ndarray, "channel time"], int]:
    """Decode a file, at most its first ``max_seconds``: its samples, and its rate in Hz.

    Raises:
        AudioError: It cannot be decoded to its end, is empty, or holds values that are not numbers.
    """
    with _opened(path) as file:
        rate, n_wanted = int(file.samplerate), _promised(file)
        if max_seconds is not None:
            n_wanted = min(n_wanted, max(1, round(max_seconds * rate)))
        blocks = list(_blocks(file, n_wanted))
    samples = np.concatenate(blocks).T if blocks else np.zeros((1, 0), np.float32)
    n_decoded = int(samples.shape[1])
    if n_wanted - n_decoded > _TOLERATED_LOSS_S * rate:
        raise AudioError(
            f"breaks off: {n_decoded / rate:.2f} of {n_wanted / rate:.2f} s could be decoded; "
            "fetch or export it again"
        )
    _check(samples)
    return np.ascontiguousarray(samples), rate


def _promised(file: Any) -> int:
    """Frames that the header promises; of a cut WAV libsndfile counts those that are left.

    The most that fits stands for a length that a stream did not know when it began.
    """
    told = _CUT.search(file.extra_info)
    n_frames = int(file.frames)
    if told is None:
        return n_frames
    promised, there = int(told[1]), int(told[2])
    return n_frames * promised // there if there < promised < _UNKNOWN_BYTES else n_frames


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a sound file; whatever libsndfile says against it becomes a sentence."""
    import soundfile

    name = str(path) if os.name == "nt" else os.fsencode(path)
    try:
        file = soundfile.SoundFile(name)
    except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:
        raise AudioError(_why(path, error)) from error
    with file:
        if file.frames <= 0:
            raise AudioError("has no samples")
        if not LOWEST_RATE_HZ <= file.samplerate <= HIGHEST_RATE_HZ:
            raise AudioError(f"claims {file.samplerate} samples per second: mend its header")
        try:
            yield file
        except soundfile.SoundFileError as error:
            raise AudioError(_why(path, error)) from error


def _blocks(file: Any, n_frames: int) -> Iterator[Float[np.ndarray, "time channel"]]:
    """Read block by block: a header that promises more than the file holds must not allocate it."""
    while n_frames > 0:
        block = file.read(min(n_frames, _BLOCK_FRAMES), dtype="float32", always_2d=True)
        if not len(block):
            return
        n_frames -= len(block)
        yield block


def _check(samples: Float[np.ndarray, "channel time"]) -> None:
    if not samples.size:
        raise AudioError("has no samples")
    peak = float(np.abs(samples).max())
    if not np.isfinite(peak):
        raise AudioError("holds values that are not numbers (NaN or infinity)")
    if peak > HIGHEST_PEAK:
        raise AudioError(f"has a peak of {peak:.3g}: scale its samples to ±1")


def _why(path: Path, error: Exception) -> str:
    """Why a file cannot be decoded, by its first bytes, its extension, or libsndfile's words."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as failure:
        return f"cannot be read: {failure.strerror}"
    for at, signature, what in _FOREIGN_SOUND:
        if start[at:].startswith(signature):
            return undecodable(what)
    for at, signature, what in _NO_SOUND:
        if start[at:].startswith(signature):
            return f"is {what}"
    if path.suffix.lower().lstrip(".") in UNDECODABLE:
        return undecodable(UNDECODABLE[path.suffix.lower().lstrip(".")])
    said = str(getattr(error, "error_string", error))
    if "does not exist" in said:  # libmpg123's words for a file without a frame of MPEG in it
        said = "its content is not what its name says"
    return f"cannot be decoded: {said}".rstrip(". ")


def undecodable(what: str) -> str:
    """The rest of a sentence about a file in a format that is known and not decoded."""
    return f"is {what}, which is not decoded here; convert it to WAV or FLAC"
