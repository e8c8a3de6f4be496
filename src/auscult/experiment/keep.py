"""What a run keeps of an analysis: numbers, blocks, and the sounds that its pages play."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from auscult.analyses.base import Analysis, Result
from auscult.blocks import clips_in, load_blocks, save_blocks
from auscult.core.manifest import digest_of
from auscult.core.tensors import write_arrays, write_json
from auscult.experiment.listening import Listening
from auscult.experiment.progress import Progress, ticker


def keep_result(folder: Path, name: str, analysis: Analysis, result: Result) -> None:
    """Write ``result.json``, ``arrays.safetensors`` and the blocks of the page."""
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
    save_blocks(folder, analysis.view(result))


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
    """Write each clip that a page refers to once, as 16-bit FLAC at the model's rate."""
    wanted = sorted(
        {
            clip.clip_id
            for done in answered
            for block in load_blocks(done)
            for clip in clips_in(block)
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    tick = ticker(progress, len(wanted))
    index = {}
    for count, clip_id in enumerate(wanted, 1):
        index[clip_id] = _write_clip(folder, clip_id, listening)
        tick(count)
    write_json(folder / "index.json", index)


def _write_clip(folder: Path, clip_id: str, listening: Listening) -> dict[str, object]:
    import soundfile

    clip = listening.clip_played(clip_id)
    samples = clip.audio.samples[:, : clip.n_valid]
    peak = float(np.abs(samples).max(initial=0.0))
    gain = min(1.0, 0.999 / peak) if peak > 0 else 1.0  # 16 bits cannot hold more than full scale
    name = f"{digest_of(clip_id)[:16]}.flac"
    rate = clip.audio.sample_rate
    soundfile.write(folder / name, samples.T * gain, rate, subtype="PCM_16")
    return {
        "file": f"clips/{name}",
        "sample_rate": rate,
        "duration_s": samples.shape[1] / rate,
        "gain": gain,
        "label": clip.recording_id,
        "recording_id": clip.recording_id,
    }
