"""Apply a saved control vector to a sound file, and say what moved beside what does anyway."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auscult.analyses.parts.steering.trials import estimators, frames_of, measured
from auscult.core.audio import Audio
from auscult.core.errors import AudioError, UserError
from auscult.core.numbers import amount
from auscult.core.rng import named_rng
from auscult.core.tensors import read_json
from auscult.experiment.start import build_model, model_of
from auscult.interventions.control import ControlVector
from auscult.interventions.controlled import control
from auscult.interventions.resynthesis import Resynthesis, codec_of
from auscult.models.base import AudioModel
from auscult.sounds.decoding import decode

HEADINGS = ("concept", "steered", "in s.d.", "round trip", "random, at most")
_N_RANDOM = 8
_SUBTYPES = {".wav": "PCM_24", ".flac": "PCM_24"}


@dataclass(frozen=True)
class Moved:
    """How far one concept moved, in its own unit and in s.d. of the corpus of the vector.

    Attributes:
        concept: Its name.
        unit: Of the concept.
        steered: Mean change against strength 0.
        floor: Mean change of strength 0 against the sound itself.
        random: The largest change, either way, under eight random vectors of the same length.
        spread: Standard deviation over the corpus, in the unit.
    """

    concept: str
    unit: str
    steered: float
    floor: float
    random: float
    spread: float

    def cells(self) -> tuple[str, ...]:
        """As a row of text."""
        return (
            self.concept,
            _change(self.steered, self.unit),
            _change(self.steered / self.spread),
            _change(self.floor, self.unit),
            amount(self.random, self.unit),
        )


def _change(value: float, unit: str = "") -> str:
    return f"{'+' if value > 0 else ''}{amount(value, unit)}"


def steer_file(
    vector_folder: Path,
    sound: Path,
    out: Path,
    strength: float | None = None,
    span: Mapping[str, float | None] | None = None,
    requantise: bool = False,
    model: str = "",
) -> list[Moved]:
    """Steer one sound, write it, and measure it.

    Args:
        vector_folder: Of a saved control vector, as a run's ``steering`` analysis leaves it.
        sound: Any sound file; it is converted to the model's rate and channels.
        out: A ``.wav`` or ``.flac`` file.
        strength: α; None for the one that the audit chose.
        span: ``start_s``, ``stop_s`` and ``fade_s``; none: everywhere.
        requantise: Whether latents pass the quantiser.
        model: A type, ``FILE.py:FACTORY`` or spec; "" for that of the run which holds the vector.

    Raises:
        UserError: The file, the vector, the model or the ending of ``out`` needs attention.
    """
    import soundfile

    if out.suffix.lower() not in _SUBTYPES:
        raise UserError(f"{out.name} must end in .wav or .flac")
    vector = ControlVector.load(vector_folder)
    loaded = model_of(model, "trained", []) if model else _model_of_run(vector_folder)
    vector.check(loaded)
    codec_of(loaded, requantise)
    chosen = vector.provenance.figures.get("strength", 1.0) if strength is None else strength
    audio = _heard(sound, loaded)
    versions = Resynthesis(loaded, vector.provenance.tap, torch.from_numpy(audio.samples)[None])
    edit = control(vector, chosen, **(span or {}))  # type: ignore[arg-type]
    steered = versions(edit, requantise)[0].numpy()
    # A file of integers ends at full scale: what is louder is scaled down whole.
    peak = float(np.abs(steered).max(initial=0.0))
    kept = steered.T / max(1.0, peak)
    soundfile.write(out, kept, loaded.sample_rate, subtype=_SUBTYPES[out.suffix.lower()])
    return _figures(vector, audio, versions, edit, chosen, requantise)


def _model_of_run(folder: Path) -> AudioModel:
    """The model of the run that a vector lies in."""
    for parent in folder.absolute().parents:
        if (parent / "manifest.json").is_file():
            section: dict[str, Any] = read_json(parent / "manifest.json")["spec"]["model"]
            return build_model(section)
    raise UserError(f"{folder} lies in no run, so say with --model which model it is for")


def _heard(sound: Path, model: AudioModel) -> Audio:
    try:
        samples, rate = decode(sound)
    except AudioError as error:
        raise AudioError(f"{sound} {error}") from None
    audio = Audio(samples, rate, sound.name).resampled(model.sample_rate)
    return audio.with_channels(model.n_channels)


def _figures(
    vector: ControlVector,
    audio: Audio,
    versions: Resynthesis,
    edit: Any,
    strength: float,
    requantise: bool,
) -> list[Moved]:
    """What moved, beside the round trip and random vectors of the same rule and length."""
    spreads = {
        name.removeprefix("spread of "): value
        for name, value in vector.provenance.figures.items()
        if name.startswith("spread of ")
    }
    concepts = estimators(list(spreads))
    time = frames_of(audio.sample_rate)

    def mean_of(waveform: np.ndarray) -> np.ndarray:
        values = measured(waveform.mean(0)[None], concepts, time)[0]
        return np.array([np.nanmean(v) if np.isfinite(v).any() else np.nan for v in values])

    original, plain = mean_of(audio.samples), mean_of(versions(None, requantise)[0].numpy())
    steered = mean_of(versions(edit, requantise)[0].numpy())
    rng = named_rng(0, "steer", vector.name)
    random = np.full(len(original), np.nan)
    span = edit.params.model_dump(include={"start_s", "stop_s", "fade_s"})
    for _ in range(_N_RANDOM):
        other = replace(vector, direction=_random_like(vector, rng))
        made = versions(control(other, strength, **span), requantise)[0].numpy()
        random = np.fmax(random, np.abs(mean_of(made) - plain))
    return [
        Moved(
            name,
            one.unit,
            float(steered[i] - plain[i]),
            float(plain[i] - original[i]),
            float(random[i]),
            spreads[name],
        )
        for i, (name, one) in enumerate(concepts.items())
    ]


def _random_like(vector: ControlVector, rng: np.random.Generator) -> np.ndarray:
    """Another direction of the same length; where features are set, other features."""
    if vector.operation == "set":
        return np.asarray(rng.permutation(vector.direction))
    drawn = rng.standard_normal(len(vector.direction))
    scaled = drawn * np.linalg.norm(vector.direction) / np.linalg.norm(drawn)
    return np.asarray(scaled, dtype=np.float32)
