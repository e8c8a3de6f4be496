"""Dictionaries on disk: a folder that SAELens opens without us, and that we open bit for bit.

::

    cfg.json                  SAELens 6 settings; ours travel in its metadata
    sae_weights.safetensors   SAELens tensors, preprocessing folded in: they encode raw vectors
    auscult.json              type, settings, provenance
    weights.safetensors       the parameters as they were trained, preprocessing beside them

Folding preprocessing into weights is exact in algebra, not in floating point, so the last file is
what :func:`load` reads. A type that SAELens has no equal of leaves out the second file, and its
``cfg.json`` names an architecture that SAELens refuses.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from auscult.core.config import parse
from auscult.core.errors import CheckpointError, StoreError
from auscult.core.tensors import read_arrays, read_json, write_arrays, write_json
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import DICTIONARIES, Dictionary, SaeLensForm
from auscult.dictionaries.provenance import Provenance

FORMAT = 2
"""Raised when the native files change."""

SAELENS_VERSION = "6.54.12"
"""The SAELens whose folder this is; without a version of at least 6 it would drop the metadata."""

_CFG, _SAELENS_WEIGHTS = "cfg.json", "sae_weights.safetensors"
_NATIVE, _NATIVE_WEIGHTS = "auscult.json", "weights.safetensors"
_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def save(dictionary: Dictionary, folder: Path) -> None:
    """Write a dictionary's folder.

    Raises:
        StoreError: It is of a type of number that files do not carry, or has not been fitted.
    """
    dtype = str(dictionary.preprocess.mean.dtype).removeprefix("torch.")
    if dtype not in _DTYPES or not dictionary.ready:
        raise StoreError(
            f"a dictionary must be fitted, and float32 or float64, to be saved: it is {dtype}"
        )
    form = dictionary.saelens()
    cfg = saelens_settings(dictionary, form, dtype)
    own = {"type": dictionary.registered_name, "exact": form is not None, "file": _NATIVE}
    cfg["metadata"]["auscult"] = own
    write_json(folder / _CFG, cfg)
    if form is not None:
        write_arrays(folder / _SAELENS_WEIGHTS, folded(dictionary, form))
    weights = {
        key: tensor.detach().cpu().numpy() for key, tensor in dictionary.state_dict().items()
    }
    write_arrays(folder / _NATIVE_WEIGHTS, weights)
    said = {
        "format": FORMAT,
        "type": dictionary.registered_name,
        "params": dictionary.params.model_dump(mode="json"),
        "d_in": dictionary.d_in,
        "dtype": dtype,
        "provenance": provenance_to_json(dictionary.provenance),
    }
    write_json(folder / _NATIVE, said)


def load(folder: Path) -> Dictionary:
    """Read a native folder, or one that SAELens, dictionary_learning or sparsify wrote.

    Which of them it is, is told from the names of its files.

    Raises:
        StoreError: A file is missing or damaged.
        CheckpointError: Tensors do not fit the settings, or the settings leave something open.
    """
    if not (folder / _NATIVE).exists():
        from auscult.dictionaries.exchange import load_foreign

        return load_foreign(folder)
    said = read_json(folder / _NATIVE)
    try:
        if said["format"] != FORMAT:
            raise CheckpointError(
                f"{folder} is of format {said['format']}, this auscult reads {FORMAT}: "
                "use a matching version"
            )
        cls = DICTIONARIES.get(said["type"])
        params = parse(cls.Params, said["params"], f"{folder / _NATIVE}")
        dictionary = cls(params, int(said["d_in"])).to(_DTYPES[said["dtype"]])
        provenance = provenance_from_json(said["provenance"])
    except (KeyError, TypeError) as error:
        raise StoreError(f"{folder / _NATIVE} is damaged: {error} is missing or wrong") from error
    return restore(dictionary, read_arrays(folder / _NATIVE_WEIGHTS), provenance, str(folder))


def restore(
    dictionary: Dictionary,
    arrays: Mapping[str, np.ndarray],
    provenance: Provenance,
    where: str,
) -> Dictionary:
    """Put weights into a dictionary and make it ready for use.

    Raises:
        CheckpointError: Names or shapes are not the dictionary's own.
    """
    wanted = dictionary.state_dict()
    missing, unexpected = sorted(set(wanted) - set(arrays)), sorted(set(arrays) - set(wanted))
    if missing or unexpected:
        raise CheckpointError(
            f"the weights in {where} do not fit: missing {missing}, unexpected {unexpected}"
        )
    for key, tensor in wanted.items():
        if tuple(tensor.shape) != arrays[key].shape:
            raise CheckpointError(
                f"{key!r} in {where} has shape {arrays[key].shape}, "
                f"its settings want {tuple(tensor.shape)}"
            )
        # Each array of the file is memory of its own and of no one else.
        tensor.copy_(torch.from_numpy(arrays[key]))
    dictionary.provenance = provenance
    dictionary.ready = True
    return dictionary.requires_grad_(False).eval()


def folded(dictionary: Dictionary, form: SaeLensForm) -> dict[str, np.ndarray]:
    """SAELens tensors that encode raw vectors as the dictionary does, computed in float64.

    With ``v = s (x - μ)``: ``W_enc ← s W_enc``, ``W_dec ← W_dec / s``, ``b_dec ← b_dec / s + μ``,
    and activations, ``b_enc``, thresholds and the tensors of a gate stay. SAELens subtracts
    ``b_dec`` from its input, so ``(x - b_dec) W_enc`` becomes ``(v - b_dec_before) W_enc_before``.
    Where it does not, ``b_enc ← b_enc - s μ W_enc``. A transcoder's output has a scale ``t`` and a
    mean of its own, which take the places of s and μ on that side; ``W_skip ← W_skip s / t``, and
    its share of the mean leaves ``b_dec``.
    """
    given, back = dictionary.preprocess, dictionary.output
    mean, scale = given.mean.double(), given.scale.double()
    after: dict[str, Tensor] = {name: tensor.double() for name, tensor in form.tensors.items()}
    if "W_enc" in after:
        after["W_enc"] = after["W_enc"] * scale
        if not form.input_bias:
            after["b_enc"] = after["b_enc"] - mean @ after["W_enc"]
    after["W_dec"] = after["W_dec"] / back.scale.double()
    after["b_dec"] = after["b_dec"] / back.scale.double() + back.mean.double()
    if "W_skip" in after:
        after["W_skip"] = after["W_skip"] * scale / back.scale.double()
        after["b_dec"] = after["b_dec"] - after["W_skip"] @ mean
    dtype = dictionary.preprocess.mean.dtype
    return {name: np.asarray(t.to(dtype).cpu().numpy(), order="C") for name, t in after.items()}


def saelens_settings(
    dictionary: Dictionary, form: SaeLensForm | None, dtype: str
) -> dict[str, Any]:
    """What ``cfg.json`` holds; where the dictionary came from travels in its metadata."""
    provenance, time = dictionary.provenance, dictionary.provenance.time
    audio: dict[str, Any] = {
        "model": provenance.model,
        "weights": provenance.weights,
        "tap": provenance.tap,
        "of": provenance.of,
        "lag": provenance.lag,
        "target": provenance.target,
        "context": provenance.context,
    }
    if time is not None:
        audio |= time.to_json() | {"frame_rate": float(time.frame_rate)}
    return {
        "architecture": form.architecture if form else f"auscult-{dictionary.registered_name}",
        "d_in": dictionary.d_in,
        "d_sae": dictionary.n_features,
        "dtype": dtype,
        "device": "cpu",
        "apply_b_dec_to_input": form is None or form.input_bias,
        "normalize_activations": "none",
        "reshape_activations": "none",
        **(form.settings if form else {}),
        "metadata": {
            "sae_lens_version": SAELENS_VERSION,
            "model_name": provenance.model,
            "hook_name": provenance.tap,
            "audio": audio,
        },
    }


def provenance_to_json(provenance: Provenance) -> dict[str, Any]:
    """Plain data."""
    return {
        "model": provenance.model,
        "weights": provenance.weights,
        "tap": provenance.tap,
        "of": provenance.of,
        "lag": provenance.lag,
        "time": provenance.time.to_json() if provenance.time else None,
        "target": provenance.target,
        "context": provenance.context,
        "parts": list(provenance.parts),
    }


def provenance_from_json(data: Mapping[str, Any]) -> Provenance:
    """The inverse of :func:`provenance_to_json`."""
    time = TimeBase.from_json(data["time"]) if data["time"] is not None else None
    return Provenance(
        model=str(data["model"]),
        weights=str(data["weights"]),
        tap=str(data["tap"]),
        of="generators" if data["of"] == "generators" else "responses",
        lag=int(data["lag"]),
        time=time,
        target=str(data["target"]),
        context=int(data["context"]),
        parts=tuple(str(part) for part in data["parts"]),
    )


def provenance_from_settings(
    said: Mapping[str, Any], otherwise: Provenance, path: Path
) -> Provenance:
    """What auscult noted in another package's settings, or what these themselves tell.

    Raises:
        StoreError: The note is damaged.
    """
    if "auscult" not in said:
        return otherwise
    try:
        return provenance_from_json(said["auscult"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise StoreError(
            f"the key auscult in {path} is damaged ({error}): mend it or take it out"
        ) from error
