"""How published data sets lie on disk: one reader a data set, from its folder to labels by file.

A reader opens tables and lists names; it decodes nothing. What it lists and does not find is the
caller's to judge.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult.core.errors import ConfigError

Rows = dict[str, dict[str, str]]
"""Labels of each recording, by its path below the folder."""

_EMOTIONS = {
    "ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happiness", "NEU": "neutral",
    "SAD": "sadness",
}  # fmt: skip
_LANGUAGES = {
    "german": "de", "english": "en", "spanish": "es", "french": "fr", "italian": "it",
    "russian": "ru", "deutsch": "de", "español": "es", "français": "fr", "italiano": "it",
}  # fmt: skip
_GENDERS = {"m": "male", "f": "female", "male": "male", "female": "female"}
_SIDES = {"1": "train", "2": "valid", "3": "test"}


@dataclass(frozen=True)
class Corpus:
    """A data set as it is published.

    Attributes:
        title: Its name and version.
        layout: What its folder holds, in a sentence.
        n_recordings: Published number; 0 where it is not told.
        read: From the folder to what it lists.
        pattern: Where its sounds are, as a glob below the folder.
    """

    title: str
    layout: str
    n_recordings: int
    read: Callable[[Path], Rows]
    pattern: str = "**/*"


def octave_of(pitch_midi: int) -> str:
    """The octave of a note in scientific pitch notation, in which middle C begins octave 4.

    >>> octave_of(60), octave_of(59), octave_of(9)
    ('octave 4', 'octave 3', 'octave -1')
    """
    return f"octave {pitch_midi // 12 - 1}"


def _table(root: Path, name: str, delimiter: str = ",") -> list[dict[str, str]]:
    path = root / name
    if not path.is_file():
        raise ConfigError(f"{name} is missing")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter=delimiter)
        return [{str(k).strip(): (v or "").strip() for k, v in row.items()} for row in rows]


def _cell(row: dict[str, str], name: str, table: str) -> str:
    if name not in row:
        raise ConfigError(f"{table} has no column {name!r}")
    return row[name]


def _files(root: Path, pattern: str, kinds: tuple[str, ...] = (".wav",)) -> Iterator[Path]:
    """Files below a folder with one of some endings, as paths relative to it."""
    found = sorted(p for p in root.glob(pattern) if p.suffix.lower() in kinds and p.is_file())
    if not found:
        raise ConfigError(f"there is no {' or '.join(kinds)} file at {pattern}")
    yield from (path.relative_to(root) for path in found)


def _esc_50(root: Path) -> Rows:
    table = "meta/esc50.csv"
    return {
        f"audio/{_cell(row, 'filename', table)}": {
            "category": _cell(row, "category", table),
            "fold": _cell(row, "fold", table),
            "esc10": _cell(row, "esc10", table),
        }
        for row in _table(root, table)
    }


def _esc_10(root: Path) -> Rows:
    return {name: row for name, row in _esc_50(root).items() if row["esc10"].lower() == "true"}


def _gise_51(root: Path) -> Rows:
    sides = {"train": "train", "val": "valid", "eval": "test"}
    base = "isolated_events/" if (root / "isolated_events").is_dir() else ""
    lacking = [side for side in sides if not (root / f"{base}{side}").is_dir()]
    if lacking:
        raise ConfigError(f"the folder {base}{lacking[0]} is missing")
    rows = {}
    for side, split in sides.items():
        for path in _files(root, f"{base}{side}/*/*", (".wav", ".flac")):
            rows[path.as_posix()] = {"event": path.parent.name, "split": split}
    return rows


def _voxforge(root: Path) -> Rows:
    rows: Rows = {}
    languages: dict[Path, str] = {}
    for path in _files(root, "**/*", (".wav", ".flac")):
        submission = path.parent.parent
        if submission not in languages:
            languages[submission] = _language(root, submission)
        name = submission.name
        # A submission is named after who made it, when, and three letters; the anonymous are many.
        user = name.split("-")[0]
        speaker = name if user.lower() in ("anonymous", "") else user
        rows[path.as_posix()] = {"language": languages[submission], "speaker": speaker}
    return {name: row for name, row in rows.items() if row["language"]}


def _language(root: Path, submission: Path) -> str:
    """By the folder of the language, else by the README that comes with each submission."""
    for part in submission.parts[:-1]:
        if part.lower() in {*_LANGUAGES, *_LANGUAGES.values()}:
            return _LANGUAGES.get(part.lower(), part.lower())
    readme = next((p for p in (root / submission).glob("etc/README*") if p.is_file()), None)
    if readme is None:
        return ""
    text = readme.read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^\s*language\s*[:=]\s*([^\W\d_]+)", text, re.IGNORECASE | re.MULTILINE)
    said = found[1].lower() if found else ""
    return _LANGUAGES.get(said, said if said in _LANGUAGES.values() else "")


def _voxceleb1(root: Path) -> Rows:
    table = "vox1_meta.csv"
    people = {_cell(row, "VoxCeleb1 ID", table): row for row in _table(root, table, "\t")}
    sides = _listed_sides(root / "iden_split.txt")
    rows = {}
    for path in _files(root, "wav/*/*/*"):
        speaker = path.parts[1]
        person = people.get(speaker)
        if person is None:
            raise ConfigError(f"{table} does not know the speaker {speaker}")
        gender = _GENDERS.get(_cell(person, "Gender", table).lower(), "")
        row = {"gender": gender, "country": _cell(person, "Nationality", table)}
        row |= {"speaker": speaker, "video": path.parts[2]}
        side = sides.get("/".join(path.parts[1:]))
        rows[path.as_posix()] = row | ({"split": side} if side else {})
    return rows


def _listed_sides(path: Path) -> dict[str, str]:
    """The published split of VoxCeleb1 for identification: a digit and a file on each line."""
    if not path.is_file():
        return {}
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {parts[1]: _SIDES[parts[0]] for parts in lines if len(parts) == 2 and parts[0] in _SIDES}


def _crema_d(root: Path) -> Rows:
    base = "AudioWAV/" if (root / "AudioWAV").is_dir() else ""
    genders = {}
    if (root / "VideoDemographics.csv").is_file():
        people = _table(root, "VideoDemographics.csv")
        genders = {row["ActorID"]: _GENDERS.get(row["Sex"].lower(), "") for row in people}
    rows = {}
    for path in _files(root, f"{base}*"):
        parts = path.stem.split("_")
        if len(parts) != 4 or parts[2] not in _EMOTIONS:
            raise ConfigError(f"{path} is not named actor_sentence_EMOTION_level")
        actor, sentence, emotion, level = parts
        row = {"emotion": _EMOTIONS[emotion], "speaker": actor, "sentence": sentence}
        row |= {"level": level} | ({"gender": genders[actor]} if genders.get(actor) else {})
        rows[path.as_posix()] = row
    return rows


def _gtzan(root: Path) -> Rows:
    sides = {}
    for side in ("train", "valid", "test"):
        listed = root / f"{side}_filtered.txt"
        if not listed.is_file():
            raise ConfigError(
                f"{listed.name} is missing: GTZAN repeats recordings and artists, and its numbers "
                f"mean little without the lists of the fault-filtered split (music_dataset_split, "
                f"folder GTZAN_split)"
            )
        names = listed.read_text(encoding="utf-8").split()
        sides.update({Path(name).stem: side for name in names})
    rows = {}
    for path in _files(root, "**/*", (".wav", ".au")):
        if path.stem in sides:
            rows[path.as_posix()] = {"genre": path.parent.name, "split": sides[path.stem]}
    return rows


def _nsynth(root: Path) -> Rows:
    sides = [side for side in ("train", "valid", "test") if (root / f"nsynth-{side}").is_dir()]
    if not sides:
        raise ConfigError("the folders nsynth-train, nsynth-valid and nsynth-test are missing")
    rows = {}
    for side in sides:
        table = root / f"nsynth-{side}" / "examples.json"
        if not table.is_file():
            raise ConfigError(f"nsynth-{side}/examples.json is missing")
        notes: dict[str, dict[str, Any]] = json.loads(table.read_text(encoding="utf-8"))
        for name, note in notes.items():
            pitch = int(note["pitch"])
            rows[f"nsynth-{side}/audio/{name}.wav"] = {
                "octave": octave_of(pitch),
                "pitch_midi": str(pitch),
                "instrument": str(note["instrument_str"]),
                "family": str(note["instrument_family_str"]),
                "source": str(note["instrument_source_str"]),
                "split": side,
            }
    return rows


def _surge(root: Path) -> Rows:
    rows = {}
    for path in _files(root, "*/*", (".ogg", ".wav")):
        if not path.stem.isdigit():
            raise ConfigError(f"{path} is not named by a MIDI note")
        pitch = int(path.stem)
        row = {"octave": octave_of(pitch), "pitch_midi": str(pitch), "tone": path.parent.name}
        rows[path.as_posix()] = row
    return rows


def _fsdd(root: Path) -> Rows:
    base = "recordings/" if (root / "recordings").is_dir() else ""
    rows = {}
    for path in _files(root, f"{base}*"):
        parts = path.stem.split("_")
        if len(parts) != 3 or parts[0] not in "0123456789":
            raise ConfigError(f"{path} is not named digit_speaker_take")
        rows[path.as_posix()] = dict(zip(("digit", "speaker", "take"), parts, strict=True))
    return rows


CORPORA: dict[str, Corpus] = {
    "esc-50": Corpus("ESC-50", "audio/*.wav and meta/esc50.csv", 2_000, _esc_50, "audio/*"),
    "esc-10": Corpus("ESC-10", "audio/*.wav and meta/esc50.csv", 400, _esc_10, "audio/*"),
    "gise-51": Corpus("GISE-51", "isolated_events/{train,val,eval}/EVENT/*.wav", 16_357, _gise_51),
    "voxforge": Corpus(
        "VoxForge",
        "LANGUAGE/SUBMISSION/wav/*.wav, or SUBMISSION/wav/*.wav with SUBMISSION/etc/README",
        176_428,
        _voxforge,
    ),
    "voxceleb1": Corpus(
        "VoxCeleb1",
        "wav/ID/VIDEO/*.wav, vox1_meta.csv and, for the published sides, iden_split.txt",
        153_516,
        _voxceleb1,
        "wav/**/*",
    ),
    "crema-d": Corpus(
        "CREMA-D", "AudioWAV/*.wav and, for gender, VideoDemographics.csv", 7_442, _crema_d
    ),
    "gtzan": Corpus(
        "GTZAN",
        "GENRE/GENRE.NNNNN.wav, train_filtered.txt, valid_filtered.txt and test_filtered.txt",
        930,
        _gtzan,
    ),
    "nsynth": Corpus(
        "NSynth", "nsynth-{train,valid,test}/examples.json and audio/*.wav", 305_979, _nsynth
    ),
    "surge": Corpus("Surge pitch data", "TONE/NOTE.ogg, NOTE a MIDI number", 0, _surge),
    "fsdd": Corpus("FSDD", "recordings/DIGIT_SPEAKER_TAKE.wav", 3_000, _fsdd),
}
