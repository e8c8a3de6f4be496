"""How a study starts: a commented spec, and a model from a few words."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from auscult.core.config import override, read_toml
from auscult.core.errors import ConfigError, TapError, UnknownNameError, UserError
from auscult.experiment.concepts_spec import concept_values
from auscult.experiment.first_layer_spec import PRESETS, clip_seconds, first_layer_values
from auscult.experiment.neurons_spec import neurons_values
from auscult.experiment.spec import read_spec
from auscult.experiment.study_needs import expect_codec, expect_generator
from auscult.models.base import MODELS, AudioModel, model_part
from auscult.sounds.base import SOUNDS
from auscult.taps.first_layer import first_layer_taps

_BLOCKS, _LATENT = ("block.*",), ("latent",)
_TAPS = {
    "toy-samplecnn": ("conv.0", "act.0"),
    "samplecnn": ("conv.0", "act.0"),
    "encodec": ("conv.0", "latent"),
    "mini-encodec": ("conv.0", "latent"),
    "dac": ("conv.0", "latent"),
    "oobleck": ("conv.0", "latent"),
    **dict.fromkeys(("mimi", "wavtokenizer", "rave", "mini-flow"), _LATENT),
    **dict.fromkeys(("diffusers", "musicgen", "diffrhythm"), _LATENT),
    **dict.fromkeys(("hf-audio", "m2d", "mini-audio-vit"), _BLOCKS),
}


@dataclass(frozen=True)
class Start:
    """What a new spec is to ask.

    Attributes:
        template: ``first-layer``, ``dictionaries``, ``architecture``, ``neurons``, ``concepts``, or
            any other name for the general study.
        model: A registered type, or ``FILE.py:FACTORY``.
        sounds: A folder, or a registered source.
        name: Of the file and the study; the template's when empty.
        preset: How claims are read and what is fitted: ``sound``, or ``published`` for the
            original reading.
        taps: Addresses; the template's own choice when empty.
        assignments: ``model.key=value`` changes of the model's section.
    """

    template: str
    model: str = "toy-samplecnn"
    sounds: str = "bundled"
    name: str = ""
    preset: str = "sound"
    taps: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()


def write_start(start: Start, folder: Path, force: bool) -> Path:
    """Write ``NAME.toml`` from the template of that name, or from the general one.

    Args:
        start: What to ask.
        folder: Where the file is written.
        force: Whether an existing file may be replaced.

    Raises:
        UserError: The file exists, or the name is not a plain file name.
        TapError: A first-layer study of a model without a convolution on the waveform, or one of
            neurons where none can be found.
        ConfigError: The written spec would be refused; the reason is the spec reader's. Or a
            steering study of a model that cannot turn activations back into sound, or one of
            generation of a model that makes none.
    """
    name = start.name or start.template
    if Path(name).name != name or not name:
        raise UserError(f"{name!r} cannot be a file's name")
    if start.preset not in PRESETS:
        raise UnknownNameError("preset", start.preset, PRESETS)
    _refuse_near_miss(start.template)
    path = folder / f"{name}.toml"
    if path.exists() and not force:
        raise UserError(f"{path} exists: choose another name, or give --force")
    text = _filled(start, name)
    read_spec(tomllib.loads(text))
    path.write_text(text, encoding="utf-8")
    return path


def _refuse_near_miss(template: str) -> None:
    """Any name starts a general study, but for one that was meant to be a study of its own.

    Raises:
        UnknownNameError: The name is nearly that of a template.
    """
    folder = files("auscult.experiment") / "starting"
    known = {Path(one.name).stem for one in folder.iterdir()} - {"study"}
    if template not in known and get_close_matches(template, known, n=1, cutoff=0.85):
        raise UnknownNameError("study", template, known)


def _filled(start: Start, name: str) -> str:
    templates = files("auscult.experiment") / "starting"
    chosen = templates / f"{start.template}.toml"
    template = chosen if chosen.is_file() else templates / "study.toml"
    section = _changed(_model_section(start.model)[1], start.assignments)
    values = {
        "NAME": name,
        "MODEL": _lines(section),
        "SOUNDS": _lines(_sound_section(start.sounds)),
    }
    if start.template == "first-layer":
        values |= first_layer_values(build_model(section), start.preset, start.taps)
    if start.template == "architecture":
        values["SECONDS"] = str(clip_seconds(build_model(section)))
    if start.template == "neurons":
        sounds = _sound_section(start.sounds)
        values |= neurons_values(build_model(section), sounds, start.taps)
    if start.template == "steering":
        expect_codec(build_model(section))
    if start.template == "generation":
        expect_generator(build_model(section))
    if start.template == "concepts":
        values |= concept_values(build_model(section), start.preset, start.taps)
    text = template.read_text(encoding="utf-8")
    if "@TAPS@" in text and "TAPS" not in values:
        values["TAPS"] = ", ".join(json.dumps(tap) for tap in start.taps or _usual_taps(section))
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def _changed(section: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """A model's section with changes, spelt as for a run: ``model.key=value``.

    Raises:
        ConfigError: One that is not of the model, which would be lost without a word.
    """
    for one in assignments:
        if not one.strip().startswith("model."):
            raise ConfigError(
                f"--set {one}: only keys of the model can be set here, as model.sample_rate=44100; "
                f"others are changed in the spec, or by --set of auscult run"
            )
    changed: dict[str, Any] = override({"model": dict(section)}, assignments)["model"]
    return changed


def _usual_taps(section: dict[str, Any]) -> tuple[str, ...]:
    """Where a study listens that names no place; in a network of one's own, around its front."""
    if section["type"] != "python":
        return _TAPS.get(section["type"], ("*",))
    try:
        found = first_layer_taps(build_model(section))
    except TapError:  # no convolution on the waveform
        return ("*",)
    return tuple(tap for tap in (found.pre, found.post) if tap)


def _lines(section: Mapping[str, Any]) -> str:
    """A section's keys as TOML."""
    return "\n".join(f"{key} = {_inline(value)}" for key, value in section.items())


def _inline(value: Any) -> str:
    """A value on one line; JSON's scalars and strings are TOML's too."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{json.dumps(key)} = {_inline(one)}" for key, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    return json.dumps(value)


def _model_section(model: str) -> tuple[str, dict[str, str]]:
    """``FILE.py:FACTORY`` or a registered type as a section."""
    path, colon, factory = model.rpartition(":")
    if colon and path.endswith(".py"):
        return "python", {"type": "python", "path": path, "factory": factory}
    if model.endswith(".py"):
        raise ConfigError(f"{model} needs the factory that makes the model: {model}:FACTORY")
    MODELS.get(model)
    return model, {"type": model, "weights": "trained"}


def _sound_section(sounds: str) -> dict[str, str]:
    if Path(sounds).is_dir():
        return {"type": "folder", "path": sounds}
    if sounds not in SOUNDS.names():
        raise UserError(
            f"--sounds: {sounds!r} is neither a folder here nor a source of sounds; "
            "auscult list sounds shows the sources"
        )
    return {"type": sounds}


def model_of(words: str, weights: str, assignments: Sequence[str]) -> AudioModel:
    """Build a model from a registered type, ``FILE.py:FACTORY``, or a spec's ``[model]``."""
    section: dict[str, Any]
    if words.endswith(".toml"):
        section = dict(read_toml(Path(words)).get("model", {}))
    else:
        section = dict(_model_section(words)[1])
    section = _changed(section, assignments)
    if weights != "trained":
        section["weights"] = weights
    return build_model(section)


def build_model(section: dict[str, Any], seed: int = 0) -> AudioModel:
    """Build a model from a section such as ``{"type": "encodec", "weights": "random"}``."""
    cls, params, own = model_part(section)
    return cls.build(params, own, seed)
