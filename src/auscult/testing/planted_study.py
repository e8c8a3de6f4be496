"""A folder of the planted network's sounds and a spec that studies it: what a run must find."""

import csv
from pathlib import Path
from typing import Any

from auscult.testing.planted_neurons import FRAME, RATE, PlantedNeurons, planted_clips

N_FRAMES = 20


def planted() -> PlantedNeurons:
    """The factory that the spec names."""
    return PlantedNeurons()


def planted_spec(folder: Path, analyses: list[dict[str, Any]], n_each: int = 14) -> dict[str, Any]:
    """Write the sounds below a folder, with a table of labels; give the spec of a study of them.

    Label ``class`` is what neurons were planted for, ``parity`` the same in two groups, and
    ``corpus`` alternates within each class.
    """
    import soundfile

    clips = planted_clips(n_each, n_frames=N_FRAMES)
    sounds = folder / "sounds"
    sounds.mkdir(parents=True)
    rows = [("path", "class", "parity", "corpus")]
    pairs = zip(clips.heard.waveform.numpy(), clips.labels.tolist(), strict=True)
    for place, (wave, label) in enumerate(pairs):
        name = f"{place:03d}.wav"
        # Float files carry the time of writing, and the split follows from a file's content.
        soundfile.write(sounds / name, wave.T / 2, RATE, subtype="PCM_24")
        corpus = "one" if place % 2 else "other"
        rows.append((name, f"c{label}", "odd" if label % 2 else "even", corpus))
    with (sounds / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return {
        "name": "planted neurons",
        "model": {
            "type": "python",
            "path": "auscult.testing.planted_study",
            "factory": "planted",
            "sample_rate": RATE,
            "probe_samples": N_FRAMES * FRAME,
        },
        "sounds": {
            "type": "folder",
            "path": str(sounds),
            "clip_seconds": N_FRAMES * FRAME / RATE,
            "split": {"train": 0.6, "test": 0.4},
            "labels": {"table": "labels.csv"},
        },
        "record": {
            "taps": ["first.narrow:in", "second.narrow:in"],
            "sampling": {"policy": "runs", "frames_per_clip": 8, "run_frames": 8},
            "batch_clips": 32,
        },
        "analyses": analyses,
    }
