"""How a study starts: a commented spec, and a model from a few words."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from auscult.core.config import override, read_toml
from auscult.core.errors import ConfigError, UserError
from auscult.experiment.spec import model_part, read_spec
from auscult.models.base import MODELS, AudioModel
from auscult.sounds.base import SOUNDS

_TAPS = {
    "toy-samplecnn": '"conv.0", "act.0"',
    "samplecnn": '"conv.0", "act.0"',
    "encodec": '"conv.0", "latent"',
    "mini-encodec": '"conv.0", "latent"',
    "dac": '"conv.0", "latent"',
}


def write_start(name: str, model: str, sounds: str, folder: Path, force: bool) -> Path:
    """Write ``NAME.toml`` from the template of that name, or from the general one.

    Args:
        name: What to ask: a template's name, or any name for the general template.
        model: A registered type, or ``FILE.py:FACTORY``.
        sounds: A folder, or a registered source.
        folder: Where the file is written.
        force: Whether an existing file may be replaced.

    Raises:
        UserError: The file exists, or the name is not a plain file name.
        ConfigError: The written spec would be refused; the reason is the spec reader's.
    """
    if Path(name).name != name or not name:
        raise UserError(f"{name!r} cannot be a file's name")
    path = folder / f"{name}.toml"
    if path.exists() and not force:
        raise UserError(f"{path} exists: choose another name, or give --force")
    text = _filled(name, model, sounds)
    import tomllib

    read_spec(tomllib.loads(text))
    path.write_text(text, encoding="utf-8")
    return path


def _filled(name: str, model: str, sounds: str) -> str:
    templates = files("auscult.experiment") / "starting"
    chosen = templates / f"{name}.toml"
    template = chosen if chosen.is_file() else templates / "study.toml"
    kind, section = _model_section(model)
    values = {
        "NAME": name,
        "MODEL": "\n".join(f"{key} = {_quoted(value)}" for key, value in section.items()),
        "TAPS": _TAPS.get(kind, '"*"') if kind != "python" else '"*conv*"',
        "SOUNDS": "\n".join(
            f"{key} = {_quoted(value)}" for key, value in _sound_section(sounds).items()
        ),
    }
    text = template.read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


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
    SOUNDS.get(sounds)
    return {"type": sounds}


def model_of(words: str, weights: str, assignments: Sequence[str]) -> AudioModel:
    """Build a model from a registered type, ``FILE.py:FACTORY``, or a spec's ``[model]``."""
    section: dict[str, Any]
    if words.endswith(".toml"):
        section = dict(read_toml(Path(words)).get("model", {}))
    else:
        section = dict(_model_section(words)[1])
    section = override(section, assignments)
    if weights != "trained":
        section["weights"] = weights
    return build_model(section)


def build_model(section: dict[str, Any], seed: int = 0) -> AudioModel:
    """Build a model from a section such as ``{"type": "encodec", "weights": "random"}``."""
    cls, params, own = model_part(section)
    return cls.build(params, own, seed)
