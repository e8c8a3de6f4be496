"""Tiny copies of published data sets, in the layouts in which they are published, with made sounds."""

import json

import numpy as np
import soundfile

PITCHES = (21, 32, 43, 54, 65, 76, 87, 98, 108)


def write_sound(path, seed):
    """A tenth of a second of noise, different for every seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.random.default_rng(seed).standard_normal(800)
    kind = {".ogg": "OGG", ".flac": "FLAC"}.get(path.suffix, "WAV")
    soundfile.write(path, samples, 8_000, format=kind)


def write_sounds(root, names):
    for seed, name in enumerate(names):
        write_sound(root / name, seed)


def esc_50(root, n_classes=50):
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    names = []
    for target in range(n_classes):
        for fold in (1, 2):
            name = f"{fold}-{100 + target}-A-{target}.wav"
            names.append(f"audio/{name}")
            ten = str(target < 10)
            rows.append(f"{name},{fold},{target},class{target},{ten},{100 + target},A")
    (root / "meta").mkdir(parents=True)
    (root / "meta/esc50.csv").write_text("\n".join(rows) + "\n")
    write_sounds(root, names)


def gise_51(root):
    sides = ("train", "val", "eval")
    write_sounds(
        root,
        [f"isolated_events/{side}/Event_{i}/{i}_{side}.wav" for i in range(51) for side in sides],
    )


def voxforge(root):
    codes = ("de", "en", "es", "fr", "it")
    names = [f"{code}/someone-20100101-abc/wav/{code}-1.wav" for code in codes]
    names += ["en/anonymous-20110101-xyz/wav/b0001.wav", "ivan-20120101-rus/wav/ru-1.flac"]
    write_sounds(root, names)
    readme = root / "ivan-20120101-rus/etc/README"
    readme.parent.mkdir(parents=True)
    readme.write_text("User Name:ivan\n\nSpeaker Characteristics:\n\nGender: Male\nLanguage: RU\n")


def voxceleb1(root, n_countries=35):
    head = "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"
    people = [f"id1{i:04d}\tName_{i}\t{'mf'[i % 2]}\tCountry {i}\tdev" for i in range(n_countries)]
    root.mkdir(parents=True, exist_ok=True)
    (root / "vox1_meta.csv").write_text("\n".join([head, *people]) + "\n")
    names = [f"wav/id1{i:04d}/video{i}/0000{k}.wav" for i in range(n_countries) for k in (1, 2)]
    write_sounds(root, names)
    lines = [f"{1 if name.endswith('1.wav') else 3} {name[4:]}" for name in names]
    (root / "iden_split.txt").write_text("\n".join(lines) + "\n")


def crema_d(root):
    emotions = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
    names = [f"AudioWAV/{actor}_DFA_{e}_XX.wav" for actor in (1001, 1002) for e in emotions]
    write_sounds(root, names)
    (root / "VideoDemographics.csv").write_text(
        "ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,Caucasian,Not Hispanic\n"
        "1002,21,Female,Caucasian,Not Hispanic\n"
    )


def gtzan(root):
    genres = [
        "blues",
        "classical",
        "country",
        "disco",
        "hiphop",
        "jazz",
        "metal",
        "pop",
        "reggae",
        "rock",
    ]
    names = [f"{genre}/{genre}.{i:05d}.wav" for genre in genres for i in range(3)]
    write_sounds(root, [*names, "jazz/jazz.00099.wav"])
    for i, side in enumerate(("train", "valid", "test")):
        listed = [name for name in names if name.endswith(f"{i}.wav")]
        (root / f"{side}_filtered.txt").write_text("\n".join(listed) + "\n")


def nsynth(root):
    for side in ("train", "valid", "test"):
        notes = {}
        for pitch in PITCHES:
            name = f"bass_synthetic_{side}-{pitch:03d}-100"
            notes[name] = {
                "pitch": pitch,
                "velocity": 100,
                "instrument_str": f"bass_synthetic_{side}",
                "instrument_family_str": "bass",
                "instrument_source_str": "synthetic",
            }
        folder = root / f"nsynth-{side}"
        for seed, name in enumerate(notes):
            write_sound(folder / "audio" / f"{name}.wav", 1000 * ord(side[1]) + seed)
        (folder / "examples.json").write_text(json.dumps(notes))


def surge(root):
    tones = ("surge-patches-Brass-velocity64", "surge-patches-Keys-velocity64")
    write_sounds(root, [f"{tone}/{pitch:03d}.ogg" for tone in tones for pitch in PITCHES])


def fsdd(root):
    write_sounds(root, [f"recordings/{d}_{who}_0.wav" for d in range(10) for who in ("ann", "bo")])


COPIES = {
    "esc-50": esc_50,
    "esc-10": esc_50,
    "gise-51": gise_51,
    "voxforge": voxforge,
    "voxceleb1-gender": voxceleb1,
    "voxceleb1-country": voxceleb1,
    "crema-d-emotion": crema_d,
    "crema-d-gender": crema_d,
    "gtzan": gtzan,
    "nsynth-octave": nsynth,
    "surge-octave": surge,
    "fsdd": fsdd,
}
