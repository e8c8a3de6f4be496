"""What the formats of other packages have in common: names, numbers and tensors that are checked.

Every reader brings its tensors to SAELens' names and layout, ``W_enc [d_in, n_features]``,
``W_dec [n_features, d_in]`` with one row a feature, and fills a dictionary that neither centres nor
scales. Every writer starts from the same tensors with preprocessing folded in. No package is
imported, and nothing is unpickled.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from auscult.core.config import parse
from auscult.core.errors import CheckpointError, StoreError
from auscult.core.tensors import read_json
from auscult.dictionaries.base import Dictionary, SaeLensForm
from auscult.dictionaries.formats import folded, restore
from auscult.dictionaries.jump_relu import JumpReluDictionary
from auscult.dictionaries.provenance import Provenance

_STATE = {
    "W_enc": "linear.encoder",
    "b_enc": "linear.encoder_bias",
    "b_gate": "linear.encoder_bias",
    "W_dec": "linear.decoder",
    "b_dec": "linear.decoder_bias",
    "b_mag": "magnitude_bias",
    "r_mag": "magnitude_log_scale",
    "threshold": "running.threshold",
}
_TRANSCODER = {
    "W_enc": "encoder",
    "b_enc": "encoder_bias",
    "W_dec": "decoder",
    "b_dec": "decoder_bias",
    "W_skip": "skip",
}


def read_settings(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        StoreError: The file is missing or damaged, or holds something else.
    """
    said = read_json(path)
    if not isinstance(said, dict):
        raise StoreError(f"{path} must hold an object")
    return said


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        StoreError: The file is missing or damaged.
        CheckpointError: A tensor has more than two axes.
    """
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    if any(tensor.ndim > 2 for tensor in tensors.values()):
        raise CheckpointError(f"{path} holds tensors of more than two axes: it is no dictionary")
    return tensors


def expect_names(tensors: Collection[str], wanted: Collection[str], where: Path) -> None:
    """Insist on exactly these tensors.

    Raises:
        CheckpointError: Some are missing, or there are others.
    """
    missing = sorted(set(wanted) - set(tensors))
    unexpected = sorted(set(tensors) - set(wanted))
    if missing or unexpected:
        raise CheckpointError(
            f"the weights in {where} do not fit: missing {missing}, unexpected {unexpected}"
        )


def expect_settings(said: Mapping[str, Any], wanted: Collection[str], path: Path) -> None:
    """Insist on these settings, whatever else there is.

    Raises:
        CheckpointError: Some are missing.
    """
    missing = [key for key in wanted if key not in said]
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}: add what it was trained with")


def count(said: Mapping[str, Any], key: str, path: Path) -> int:
    """A setting that is a whole number above 0.

    Raises:
        CheckpointError: It is missing or something else.
    """
    expect_settings(said, [key], path)
    value = said[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CheckpointError(f"{path} must hold a whole number above 0 as {key}, not {value!r}")
    return value


def blank(
    cls: type[Dictionary], d_in: int, n_features: int, where: Path, **params: object
) -> Dictionary:
    """A dictionary of this type and size that neither centres nor scales, without its weights.

    Raises:
        ConfigError: Its settings contradict each other, such as a k above ``n_features``.
    """
    said = {"n_features": n_features, "centre": False, "scale": False, **params}
    return cls(parse(cls.Params, said, f"{where}"), d_in)


def filled(
    dictionary: Dictionary,
    tensors: Mapping[str, Tensor],
    provenance: Provenance,
    where: Path,
    *,
    input_bias: bool = True,
) -> Dictionary:
    """Put tensors with SAELens' names and layout into a dictionary.

    Where ``b_dec`` is not subtracted from the input (``input_bias`` is false), its share goes into
    the biases, computed in float64: ``x W + b_enc = (x - b_dec) W + (b_enc + b_dec W)``, and
    likewise ``b_gate``, and ``b_mag`` with ``e^r_mag`` times the share.

    Numbers of half precision become float32, which holds them exactly, and double stays double.

    Thresholds of JumpReLU live as logarithms here. One below 0 acts as 0, for activations are
    rectified as well, and 0 has the logarithm -∞, which gives it back exactly.

    Raises:
        CheckpointError: A shape is not what the settings say.
    """
    dtype = torch.float64 if _double(tensors) else torch.float32
    own = {name: tensor.double() for name, tensor in tensors.items()}
    shapes_fit = own["W_enc"].ndim == 2 and own["b_dec"].shape == own["W_enc"].shape[:1]
    if not input_bias and shapes_fit:
        share = own["b_dec"] @ own["W_enc"]
        for name in {"b_enc", "b_gate"} & own.keys():
            own[name] = own[name] + share
        if "b_mag" in own:
            own["b_mag"] = own["b_mag"] + share * own["r_mag"].exp()
    own["W_enc"] = own["W_enc"].t()
    state = {_STATE[name]: tensor for name, tensor in own.items()}
    if isinstance(dictionary, JumpReluDictionary):
        state["log_threshold"] = state.pop("running.threshold").clamp_min(0.0).log()
    blank_state = dictionary.to(dtype).state_dict()
    arrays = {
        name: np.asarray(state.get(name, untouched).numpy(), order="C")
        for name, untouched in blank_state.items()
    }
    return restore(dictionary, arrays, provenance, f"{where}")


def filled_transcoder(
    dictionary: Dictionary,
    tensors: Mapping[str, Tensor],
    provenance: Provenance,
    where: Path,
) -> Dictionary:
    """Put a transcoder's tensors, with SAELens' names and layout, into a dictionary.

    Raises:
        CheckpointError: A shape is not what the settings say.
    """
    own = {_TRANSCODER[name]: tensor for name, tensor in tensors.items()}
    own["encoder"] = own["encoder"].t()
    return placed(dictionary, own, provenance, where)


def placed(
    dictionary: Dictionary,
    state: Mapping[str, Tensor],
    provenance: Provenance,
    where: Path,
) -> Dictionary:
    """Put tensors with a dictionary's own names into it; what is not among them stays blank.

    Numbers of half precision become float32, which holds them exactly, and double stays double.

    Raises:
        CheckpointError: A shape is not what the settings say.
    """
    dtype = torch.float64 if _double(state) else torch.float32
    arrays = {
        name: np.asarray(state.get(name, untouched).to(dtype).numpy(), order="C")
        for name, untouched in dictionary.to(dtype).state_dict().items()
    }
    return restore(dictionary, arrays, provenance, f"{where}")


def _double(tensors: Mapping[str, Tensor]) -> bool:
    return any(tensor.dtype == torch.float64 for tensor in tensors.values())


def shared_form(
    dictionary: Dictionary, package: str, architectures: Collection[str], why: str
) -> tuple[SaeLensForm, dict[str, np.ndarray]]:
    """A dictionary's form and its tensors with preprocessing folded in, on their way elsewhere.

    Args:
        dictionary: What is to be written.
        package: Whose format it is.
        architectures: SAELens' names of the rules that the package has.
        why: What is to be told of a dictionary with another rule, as the end of a sentence.

    Raises:
        StoreError: It has not been fitted, or the package has no such encoding rule.
    """
    if not dictionary.ready:
        raise StoreError("a dictionary must be fitted to be saved: call fit_from first")
    form = dictionary.saelens()
    if form is None or form.architecture not in architectures:
        raise StoreError(
            f"{package} has no encoding rule like that of this {dictionary.registered_name} "
            f"dictionary: {why}"
        )
    return form, folded(dictionary, form)
