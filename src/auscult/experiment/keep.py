"""What a run keeps of an analysis: numbers, blocks, and the sounds that its pages play."""

import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from auscult.analyses.base import MADE, Analysis, MadeSound, Result
from auscult.blocks import clips_in, load_blocks, save_blocks
from auscult.core.errors import InvariantError
from auscult.core.manifest import digest_of
from auscult.core.tensors import read_json, write_arrays, write_json
from auscult.experiment.listening import Listening
from auscult.experiment.progress import Progress, ticker


def keep_result(folder: Path, name: str, analysis: Analysis, result: Result) -> None:
    """Write ``result.json``, ``arrays.safetensors``, the blocks of the page, and what it leaves."""
    measurements = [_finite(asdict(one)) for one in result.measurements]
    write_json(
        folder / "result.json",
        {
            "analysis": name,
            "type": type(analysis).registered_name,
            "title": analysis.title,
            "question": analysis.question,
            "source": analysis.source,
            "measurements": measurements,
            "judgements": [_finite(asdict(one)) for one in result.judgements],
            "facts": _finite(dict(result.facts)),
        },
    )
    write_arrays(folder / "arrays.safetensors", result.arrays)
    blocks = analysis.view(result)
    save_blocks(folder, blocks)
    _keep_made(folder, name, result.sounds, _clip_ids(blocks))
    for below, kept in result.keeps.items():
        kept.save(folder / below)
    for told, card in result.scorecards.items():
        path = folder / "saebench" / f"{_plain(told)}-{digest_of(told)[:8]}.json"
        write_json(path, _finite(card.to_json()))


def _plain(name: str) -> str:
    """Letters and digits of a name, for a file that people look for."""
    return "".join(letter if letter.isalnum() else "-" for letter in name).strip("-")[:80]


def _keep_made(
    folder: Path, name: str, sounds: Sequence[MadeSound], wanted: Collection[str]
) -> None:
    """Write the sounds that the analysis made and its page plays, and an index of them.

    Raises:
        InvariantError: The page plays a made sound that the result does not hold.
    """
    known = {sound.clip_id: sound for sound in sounds}
    made = sorted(clip_id for clip_id in wanted if clip_id.startswith(MADE))
    if lacking := [clip_id for clip_id in made if clip_id not in known]:
        raise InvariantError(f"the page of {name!r} plays {lacking[0]}, which it did not keep")
    for clip_id in made:
        (folder / "sounds").mkdir(exist_ok=True)
        sound = known[clip_id]
        samples = np.atleast_2d(np.asarray(sound.waveform, dtype=np.float32))
        kept = _write(folder / "sounds", clip_id, samples, sound.sample_rate)
        write_json(
            folder / "sounds" / f"{Path(kept['file']).stem}.json",
            {clip_id: {**kept, "label": sound.label, "recording_id": ""}},
        )


def _clip_ids(blocks: Iterable[object]) -> set[str]:
    return {clip.clip_id for block in blocks for clip in clips_in(block)}


def _finite(value: object) -> object:
    """JSON knows no infinities: what is not a number is null."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, np.generic):
        return _finite(value.item())
    return None if isinstance(value, float) and not np.isfinite(value) else value


def keep_clips(
    folder: Path, answered: list[Path], listening: Listening, progress: Progress
) -> None:
    """Write each clip that a page refers to once, as 16-bit FLAC at its own rate."""
    wanted = sorted(set().union(*(_clip_ids(load_blocks(done)) for done in answered), set()))
    made = {
        clip_id: (index.with_suffix(".flac"), kept)
        for done in answered
        for index in sorted(done.glob("sounds/*.json"))
        for clip_id, kept in read_json(index).items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    tick = ticker(progress, len(wanted))
    index = {}
    for count, clip_id in enumerate(wanted, 1):
        if clip_id in made:
            path, index[clip_id] = made[clip_id]
            shutil.copyfile(path, folder / path.name)
        else:
            index[clip_id] = _write_clip(folder, clip_id, listening)
        tick(count)
    write_json(folder / "index.json", index)


def _write_clip(folder: Path, clip_id: str, listening: Listening) -> dict[str, Any]:
    clip = listening.clip_played(clip_id)
    samples = clip.audio.samples[:, : clip.n_valid]
    kept = _write(folder, clip_id, samples, clip.audio.sample_rate)
    return {**kept, "label": clip.recording_id, "recording_id": clip.recording_id}


def _write(folder: Path, clip_id: str, samples: np.ndarray, sample_rate: int) -> dict[str, Any]:
    """Write ``[channel time]``; 16 bits cannot hold more than full scale, hence the gain."""
    import soundfile

    peak = float(np.abs(samples).max(initial=0.0))
    gain = min(1.0, 0.999 / peak) if peak > 0 else 1.0
    name = f"{digest_of(clip_id)[:16]}.flac"
    soundfile.write(folder / name, samples.T * gain, sample_rate, subtype="PCM_16")
    return {
        "file": f"clips/{name}",
        "sample_rate": sample_rate,
        "duration_s": samples.shape[1] / sample_rate,
        "gain": gain,
    }
