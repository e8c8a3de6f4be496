"""A run folder made up: every block type, synthetic sounds, names as bad as they come.

For tests of whatever reads runs, and for looking at the report without training anything.
"""

from pathlib import Path

import numpy as np

from auscult.blocks import Block, save_blocks
from auscult.core.manifest import digest_of, digests_below
from auscult.core.rng import named_rng
from auscult.core.tensors import write_json
from auscult.testing.run_blocks import filter_blocks, motion_blocks
from auscult.testing.run_claims import TAPS, judgements
from auscult.testing.run_features import feature_blocks, hostile_blocks

SAMPLE_RATE = 16_000
SECONDS = 2.0
HOSTILE = (
    "<script>window.hurt=1</script>",
    '"><img src=x onerror="window.hurt=1">',
    "../../../outside",
    "safe\u202egpj.vaw",
    "bell\x07 and \x1b[31mred",
    "'); alert(1); ('",
    "</script><svg onload=window.hurt=1>",
    "{{ 7 * 7 }} ${7*7}",
)
_INSTRUMENTS = ("piano", "organ", "marimba", "cello", "flute", "clarinet", "bell", "drum")


def fabricated_run(
    folder: Path, n_features: int = 128, n_clips: int = 16, hostile: bool = False
) -> Path:
    """Write a run folder as an experiment leaves it, without its stages.

    Args:
        folder: Where; it is made.
        n_features: Items of the feature browser.
        n_clips: Sounds of two seconds each.
        hostile: Also use names that try to break out of pages, files and terminals.

    Returns:
        The folder.
    """
    clip_ids = _write_clips(folder, n_clips, hostile)
    pages: dict[str, tuple[str, str, list[Block]]] = {
        "filters": (
            "What the filters pass",
            "What does each filter of the first layer pass?",
            filter_blocks(),
        ),
        "features": (
            "What the layer hears",
            "Which directions of the response space switch on rarely, and at which sounds?",
            feature_blocks(clip_ids, n_features, SECONDS),
        ),
        "dynamics": (
            "How it moves",
            "Along which directions do responses change from frame to frame?",
            motion_blocks(clip_ids, SECONDS),
        ),
    }
    if hostile:
        pages["hostile"] = (HOSTILE[0], HOSTILE[1], hostile_blocks(clip_ids, HOSTILE))
    for name, (title, question, blocks) in pages.items():
        results = folder / "results" / name
        write_json(results / "result.json", _result(name, title, question, hostile))
        save_blocks(results, blocks)
    write_json(folder / "manifest.json", _manifest(folder, list(pages), n_clips, hostile))
    return folder


def sound(instrument: int, rng: np.random.Generator) -> np.ndarray:
    """Two seconds of a few notes; the instrument sets partials, decay and breath."""
    n = round(SECONDS * SAMPLE_RATE)
    time = np.arange(n) / SAMPLE_RATE
    samples = np.zeros(n)
    slope, decay_s, breath = (
        0.6 + 0.35 * (instrument % 4),
        (0.15, 0.5, 1.4)[instrument % 3],
        0.002 * (instrument % 5),
    )
    for onset_s in np.arange(0.04, SECONDS - 0.2, 0.24 + 0.08 * (instrument % 3)):
        f0 = 110.0 * 2 ** (int(rng.choice([0, 3, 5, 7, 10, 12, 15, 19])) / 12 + instrument % 3)
        since = np.clip(time - onset_s, 0, None)
        envelope = (since > 0) * np.exp(-since / decay_s) * np.minimum(1, since / 0.008)
        stretch = 1.0 + (0.006 if instrument % 4 == 2 else 0.0)
        for partial in range(1, 13):
            frequency = f0 * partial**stretch
            if frequency < SAMPLE_RATE / 2.2:
                samples += envelope * np.sin(2 * np.pi * frequency * since) / partial ** (1 + slope)
        samples += breath * envelope * rng.standard_normal(n) * 8
    samples += 0.0005 * rng.standard_normal(n)
    level = 10 ** (float(rng.uniform(-18, -3)) / 20)
    return np.asarray(samples * level / np.abs(samples).max(), dtype=np.float32)


def _write_clips(folder: Path, n_clips: int, hostile: bool) -> list[str]:
    import soundfile

    (folder / "clips").mkdir(parents=True, exist_ok=True)
    index = {}
    for count in range(n_clips):
        instrument = count % len(_INSTRUMENTS)
        label = f"{_INSTRUMENTS[instrument]}-{count // len(_INSTRUMENTS) + 1}"
        if hostile and count < len(HOSTILE):
            label = HOSTILE[count]
        clip_id = f"{label}#0"
        name = f"{digest_of(clip_id)[:16]}.flac"
        samples = sound(instrument, named_rng(0, "fabricated", count))
        soundfile.write(folder / "clips" / name, samples, SAMPLE_RATE, subtype="PCM_16")
        index[clip_id] = {
            "file": f"clips/{name}",
            "sample_rate": SAMPLE_RATE,
            "duration_s": SECONDS,
            "label": label,
            "recording_id": label,
        }
    if hostile:
        index["thief#0"] = {**index[f"{HOSTILE[0]}#0"], "file": "clips/../manifest.json"}
        index["traveller#0"] = {**index[f"{HOSTILE[0]}#0"], "file": "../../../../etc/passwd"}
    write_json(folder / "clips" / "index.json", index)
    return list(index)


def _result(name: str, title: str, question: str, hostile: bool) -> dict[str, object]:
    controls = {"random weights": 0.412, "shuffled labels": 0.5}
    return {
        "analysis": name,
        "type": name,
        "title": title,
        "question": question,
        "source": HOSTILE[2] if hostile else "A made-up method, section 2",
        "measurements": [
            {
                "name": "fraction of variance unexplained",
                "value": 0.1834,
                "unit": "",
                "controls": controls,
                "interval": [0.171, 0.196],
                "published": "0.21 (a made-up paper, table 2)",
                "tap": "conv.0",
            },
            {
                "name": "median bandwidth",
                "value": 412.0,
                "unit": "Hz",
                "controls": {"random weights": 3021.0},
                "interval": None,
                "published": "",
                "tap": "conv.0",
            },
        ],
        "judgements": judgements(name, HOSTILE if hostile else ()),
        "facts": {"made up": True},
    }


def _manifest(folder: Path, analyses: list[str], n_clips: int, hostile: bool) -> dict[str, object]:
    dictionary = {
        "name": "features",
        "of": "responses",
        "lag": 1,
        "section": {"type": "topk", "n_features": 128, "k": 8},
    }
    receipt = {
        "library": "none",
        "layout": "batch channel frame",
        "call": 0,
        "shape": [1, 32, 32000],
        "probe": digest_of("conv.0")[:16],
    }
    return {
        "name": HOSTILE[6] if hostile else "A made-up study of a first layer",
        "spec": {
            "seed": 0,
            "model": {"type": "mini-encodec", "weights": "trained"},
            "sounds": {"type": "folder", "path": HOSTILE[1] if hostile else "sounds"},
            "clip_seconds": SECONDS,
            "split": {"train": 0.8, "test": 0.2, "by": "recording"},
            "record": {"taps": list(TAPS)},
            "dictionaries": [dictionary],
            "train": {"seeds": [0, 1, 2]},
            "analyses": [{"name": name, "type": name} for name in analyses],
        },
        "spec_digest": digest_of("made up"),
        "environment": {
            "auscult": "0.1.0",
            "python": "3.11",
            "packages": {"torch": "2.6", "numpy": "2.0"},
        },
        "seeds": {"run": 0, "dictionaries": [0, 1, 2]},
        "recordings": n_clips,
        "skipped": [
            {
                "name": HOSTILE[4] if hostile else "broken.wav",
                "reason": "it ends in the middle of its header",
            },
            {"name": "silence.flac", "reason": "it is shorter than one frame"},
        ],
        "weights": {"trained": digest_of("trained")},
        "receipts": [{**receipt, "address": tap, "path": f"encoder.{tap}"} for tap in TAPS],
        "stages": [{"name": "record", "key": digest_of("record"), "seconds": 3.4, "reused": False}],
        "warnings": ["2 of 18 recordings were resampled from 44,100 Hz to 16,000 Hz"],
        "outputs": digests_below(folder),
    }
