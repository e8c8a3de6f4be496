"""Render the bundled corpus: phrases, held notes, percussive strokes and drum patterns.

    python recipes/demo_sounds.py

writes Ogg Vorbis files, `labels.csv` and `README.md`. The melodic programs are the ones that the
bundled networks were not trained on.
"""

import argparse
import csv
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from cards import versions
from synth import (
    WOOD_PROGRAMS,
    Renderer,
    Score,
    at_level,
    draw_drums,
    draw_note,
    draw_onsets,
    draw_phrase,
    held_out_programs,
)

log = logging.getLogger("demo_sounds")

FOLDER = Path(__file__).resolve().parents[1] / "src" / "auscult" / "sounds" / "bundled"
SAMPLE_RATE = 24_000
SECONDS = 4.0
LEVEL_DB = -20.0
NOTES_MIDI = (45, 48, 52, 55, 57, 60, 64, 67, 69, 72, 76, 81)
N_DRUMS = 2
LARGEST_BYTES = 2_500_000


def draw_scores(seed: int) -> Iterator[Score]:
    """All scores of the corpus, in order."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 600]))
    held_out = [(f, p) for f, members in held_out_programs().items() for p in members]
    for family, program in held_out:
        yield draw_phrase(rng, family, program, SECONDS)
    players = [held_out[(5 * i) % len(held_out)] for i in range(len(NOTES_MIDI))]
    for (family, program), pitch_midi in zip(players, NOTES_MIDI, strict=True):
        yield draw_note(rng, family, program, SECONDS, pitch_midi)
    for name in WOOD_PROGRAMS:
        yield draw_onsets(rng, name, SECONDS)
    for _ in range(N_DRUMS):
        yield draw_drums(rng, SECONDS)


def name_of(score: Score, taken: set[str]) -> str:
    """A file name that says what is played, numbered where it would repeat."""
    words = [score.kind, score.family.replace(" ", "-"), f"{score.program:03d}"]
    if score.kind == "note":
        words.append(f"midi{score.notes[0].pitch_midi}")
    if score.is_drums:
        words = [score.kind]
    stem = "-".join(words)
    numbered = (stem if i == 1 else f"{stem}-{i}" for i in range(1, 100))
    return next(f"{n}.ogg" for n in numbered if f"{n}.ogg" not in taken)


def write_corpus(folder: Path, renderer: Renderer, seed: int) -> int:
    """Render and write the sounds and their labels; returns the bytes of sound."""
    rows: list[dict[str, str | int]] = []
    taken: set[str] = set()
    for old in folder.glob("*.ogg"):
        old.unlink()
    for score in draw_scores(seed):
        recording = at_level(renderer.render(score), LEVEL_DB)
        name = name_of(score, taken)
        taken.add(name)
        soundfile.write(
            folder / name, recording.samples, SAMPLE_RATE, format="OGG", subtype="VORBIS"
        )
        pitch = score.notes[0].pitch_midi if score.kind == "note" else ""
        rows.append(
            {
                "path": name,
                "family": score.family,
                "program": score.program,
                "kind": score.kind,
                "pitch_midi": pitch,
            }
        )
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return sum((folder / name).stat().st_size for name in taken)


def write_readme(folder: Path, n_recordings: int, n_bytes: int, seed: int) -> None:
    """Say what the sounds are, how they were made and what one may do with them."""
    text = f"""# Bundled sounds

{n_recordings} recordings of {SECONDS:.0f} s, mono, {SAMPLE_RATE:,} Hz, Ogg Vorbis,
{n_bytes / 1e6:.2f} MB. `labels.csv` says what each one plays:

| column | meaning |
| --- | --- |
| `path` | file name |
| `family` | instrument family; for strokes the name of the instrument, for patterns `drums` |
| `program` | General MIDI program, counted from 0 (0 = the standard kit for `drums`) |
| `kind` | `phrase`, `note` (one held note), `onsets` (single strokes) or `drums` |
| `pitch_midi` | the note of a `note`; empty otherwise |

The phrases and notes are played by programs that the bundled networks were not trained on. The
strokes and the drum kit are sounds that `mini-encodec` did hear in training, in other patterns.

Made by `python recipes/demo_sounds.py --seed {seed}` with {versions("tinysoundfont", "soundfile")}.
A second run gives the same sound; the files differ in the serial number that Ogg draws.

## Licence

Rendered by the project from FluidR3 GM by Frank Wen, which is under the MIT licence. The
recordings are under Apache-2.0, as the rest of auscult.
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def main() -> None:
    """Render, write, and refuse a corpus that has grown too large."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--font", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=FOLDER)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    n_bytes = write_corpus(args.out, Renderer(SAMPLE_RATE, args.font), args.seed)
    n_recordings = sum(1 for _ in args.out.glob("*.ogg"))
    write_readme(args.out, n_recordings, n_bytes, args.seed)
    log.info("%d recordings, %.2f MB", n_recordings, n_bytes / 1e6)
    if n_bytes > LARGEST_BYTES:
        raise SystemExit(f"the corpus is larger than {LARGEST_BYTES / 1e6} MB")


if __name__ == "__main__":
    main()
