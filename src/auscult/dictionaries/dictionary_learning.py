"""The folder of dictionary_learning: ``config.json`` beside ``ae.safetensors``.

The package itself keeps a pickled ``ae.pt``, which could execute code and is neither read nor
written here. In its environment one line turns it into ``ae.safetensors``, and another one back:
``TO_SAFETENSORS`` and ``FROM_SAFETENSORS``. Some of its tensors are transposed views, which
safetensors refuses unless they are made contiguous.

==========================  ======================  ===============================================
class                       becomes                 what is particular
==========================  ======================  ===============================================
``AutoEncoder``             ``relu``                atoms are brought to unit length on loading,
                                                    activations multiplied by their lengths
``AutoEncoderNew``          ``relu``                no bias is subtracted from the input
``AutoEncoderTopK``         ``topk``                its threshold is not used
``BatchTopKSAE``            ``batch-topk``          one threshold; below 0 it was never set
``MatryoshkaBatchTopKSAE``  ``matryoshka``          likewise; group sizes become prefixes
``JumpReluAutoEncoder``     ``jump-relu``           no bias is subtracted from the input
``GatedAutoEncoder``        ``gated``
==========================  ======================  ===============================================

Weights of ``nn.Linear`` are transposed against those that are named ``W_enc`` and ``W_dec``.
Vectors that were normalised in training need not be now: the package scales the biases instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from auscult.core.errors import CheckpointError, UnknownNameError
from auscult.core.tensors import write_arrays, write_json
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.batch_topk import BatchTopKDictionary
from auscult.dictionaries.foreign import (
    blank,
    count,
    expect_names,
    expect_settings,
    filled,
    read_settings,
    read_weights,
    shared_form,
)
from auscult.dictionaries.formats import provenance_from_settings, provenance_to_json
from auscult.dictionaries.gated import GatedDictionary
from auscult.dictionaries.jump_relu import JumpReluDictionary
from auscult.dictionaries.linear import row_norms
from auscult.dictionaries.matryoshka import MatryoshkaDictionary
from auscult.dictionaries.provenance import Provenance
from auscult.dictionaries.relu import ReluDictionary
from auscult.dictionaries.topk import TopKDictionary

CONFIG, WEIGHTS, PICKLED = "config.json", "ae.safetensors", "ae.pt"

TO_SAFETENSORS = (
    'python -c "import torch, safetensors.torch as s; s.save_file({k: v.contiguous() for k, v in '
    "torch.load('ae.pt', map_location='cpu', weights_only=True).items()}, 'ae.safetensors')\""
)
"""Run beside ``ae.pt`` to make what is read here."""

FROM_SAFETENSORS = (
    'python -c "import torch, safetensors.torch as s; '
    "torch.save(s.load_file('ae.safetensors'), 'ae.pt')\""
)
"""Run beside ``ae.safetensors`` to make what dictionary_learning reads."""


@dataclass(frozen=True)
class _Layout:
    """How a class of the package names its tensors.

    Attributes:
        cls: The type that it becomes.
        names: SAELens' names by theirs; a trailing ``.T`` marks one that lies transposed.
        input_bias: Whether ``b_dec`` is subtracted from the input.
        extra: Tensors that are settings, not weights.
    """

    cls: type[Dictionary]
    names: Mapping[str, str]
    input_bias: bool = True
    extra: tuple[str, ...] = ()


_LINEAR = {"encoder.weight": "W_enc.T", "encoder.bias": "b_enc", "decoder.weight": "W_dec.T"}
_PLAIN = {name: name for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
_TOPK = {**_LINEAR, "b_dec": "b_dec"}
_GATED = {
    "encoder.weight": "W_enc.T",
    "decoder.weight": "W_dec.T",
    "decoder_bias": "b_dec",
    "gate_bias": "b_gate",
    "mag_bias": "b_mag",
    "r_mag": "r_mag",
}
_THRESHOLD = {"threshold": "threshold"}
_LAYOUTS = {
    "AutoEncoder": _Layout(ReluDictionary, {**_LINEAR, "bias": "b_dec"}),
    "AutoEncoderNew": _Layout(ReluDictionary, {**_LINEAR, "decoder.bias": "b_dec"}, False),
    "AutoEncoderTopK": _Layout(TopKDictionary, _TOPK, extra=("k", "threshold")),
    "BatchTopKSAE": _Layout(BatchTopKDictionary, {**_TOPK, **_THRESHOLD}, extra=("k",)),
    "MatryoshkaBatchTopKSAE": _Layout(
        MatryoshkaDictionary, {**_PLAIN, **_THRESHOLD}, extra=("k", "group_sizes")
    ),
    "JumpReluAutoEncoder": _Layout(JumpReluDictionary, {**_PLAIN, **_THRESHOLD}, False),
    "GatedAutoEncoder": _Layout(GatedDictionary, _GATED),
}


def load_dictionary_learning(folder: Path) -> Dictionary:
    """Read a trainer's folder, as the package's ``load_dictionary`` does.

    Raises:
        StoreError: A file is missing or damaged.
        CheckpointError: The weights are still pickled, do not fit, or leave something open.
        UnknownNameError: They are of a class that is not known here.
    """
    if (folder / PICKLED).exists() and not (folder / WEIGHTS).exists():
        raise CheckpointError(
            f"{folder / PICKLED} is pickled and could execute code; where you trust it, run in "
            f"{folder}: {TO_SAFETENSORS}"
        )
    path = folder / CONFIG
    said, tensors = read_settings(path), read_weights(folder / WEIGHTS)
    expect_settings(said, ["trainer"], path)
    trainer = said["trainer"] if isinstance(said["trainer"], dict) else {}
    expect_settings(trainer, ["dict_class"], path)
    name = str(trainer["dict_class"])
    if name not in _LAYOUTS:
        raise UnknownNameError("class of dictionary_learning", name, _LAYOUTS)
    layout = _LAYOUTS[name]
    expect_names(tensors, [*layout.names, *layout.extra], folder)
    d_in, n_features = count(trainer, "activation_dim", path), count(trainer, "dict_size", path)
    params = _params(layout, trainer, tensors, path)
    dictionary = blank(layout.cls, d_in, n_features, path, **params)
    model, tap = str(trainer.get("lm_name") or ""), str(trainer.get("submodule_name") or "")
    provenance = provenance_from_settings(said, Provenance(model=model, tap=tap), path)
    own = _ours(layout, tensors)
    filled(dictionary, own, provenance, folder, input_bias=layout.input_bias)
    if name == "AutoEncoder" and isinstance(dictionary, ReluDictionary):
        norms = row_norms(dictionary.linear.decoder)
        if not torch.allclose(norms, torch.ones_like(norms)):
            dictionary.linear.fold_row_norms()
    return dictionary


def save_dictionary_learning(dictionary: Dictionary, folder: Path) -> None:
    """Write a trainer's folder, with ``ae.safetensors`` in the place of ``ae.pt``.

    A ``relu`` dictionary becomes an ``AutoEncoder`` where atoms, in the tap's own units, have unit
    length, else an ``AutoEncoderNew``, whose activations the package leaves as they are.

    Raises:
        StoreError: dictionary_learning has no such encoding rule.
    """
    architectures = ["standard", "topk", "jumprelu", "gated"]
    why = "it knows ReLU, top-k, JumpReLU and gated encoders of activations without a sign alone"
    form, arrays = shared_form(dictionary, "dictionary_learning", architectures, why)
    name = _class_of(dictionary, form.architecture, arrays)
    layout = _LAYOUTS[name]
    if not layout.input_bias:
        # x W + b' = (x - b_dec) W + b, so b' is b without the share of b_dec.
        share = arrays["b_dec"].astype(np.float64) @ arrays["W_enc"]
        arrays["b_enc"] = (arrays["b_enc"] - share).astype(arrays["b_enc"].dtype)
    state, sparsity = _settings(dictionary, name, form.settings, arrays)
    for theirs, ours in layout.names.items():
        if theirs not in state:
            array = arrays[ours.removesuffix(".T")]
            state[theirs] = array.T if ours.endswith(".T") else array
    n_features, d_in = arrays["W_dec"].shape
    provenance = dictionary.provenance
    trainer = {
        "trainer_class": "auscult",
        "dict_class": name,
        "activation_dim": d_in,
        "dict_size": n_features,
        "device": "cpu",
        "layer": 0,
        "lm_name": provenance.model,
        "submodule_name": provenance.tap,
        "wandb_name": name,
        **sparsity,
    }
    # Other readers of this format take the context length from the buffer; vectors stand alone.
    buffer = {"ctx_len": 1, "d_submodule": d_in}
    note = provenance_to_json(provenance)
    write_json(folder / CONFIG, {"trainer": trainer, "buffer": buffer, "auscult": note})
    write_arrays(folder / WEIGHTS, state)


def _params(
    layout: _Layout, trainer: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path
) -> dict[str, object]:
    """Settings that only some types have; k and threshold are refused where they were never set."""
    if layout.cls is ReluDictionary:
        return {"norm": "weighted"}
    if "k" not in layout.extra:
        return {}
    k, stored = count(trainer, "k", path), tensors["k"]
    if stored.numel() != 1 or int(stored) != k:
        raise CheckpointError(f"{path} says k = {k}, but the weights say {stored.tolist()}")
    if layout.cls is TopKDictionary:
        return {"k": k}
    threshold = tensors["threshold"]
    if threshold.numel() != 1 or float(threshold) < 0:
        raise CheckpointError(
            f"the threshold beside {path} was never set ({threshold.tolist()}), so that there is "
            "no encoding rule yet: train for longer than threshold_start_step"
        )
    if layout.cls is BatchTopKDictionary:
        return {"k": k}
    sizes = [int(size) for size in tensors["group_sizes"].flatten()]
    n_features = count(trainer, "dict_size", path)
    return {"k": k, "prefixes": tuple(end / n_features for end in accumulate(sizes))}


def _ours(layout: _Layout, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    own = {}
    for theirs, ours in layout.names.items():
        tensor = tensors[theirs]
        own[ours.removesuffix(".T")] = tensor.t() if ours.endswith(".T") else tensor
    return own


def _class_of(dictionary: Dictionary, architecture: str, arrays: Mapping[str, np.ndarray]) -> str:
    """The class of the package that encodes as the dictionary does."""
    if isinstance(dictionary, BatchTopKDictionary):
        return "BatchTopKSAE"
    if isinstance(dictionary, MatryoshkaDictionary):
        return "MatryoshkaBatchTopKSAE"
    if architecture == "standard":
        unit = np.allclose(np.linalg.norm(arrays["W_dec"], axis=1), 1.0)
        return "AutoEncoder" if unit else "AutoEncoderNew"
    classes = {
        "topk": "AutoEncoderTopK",
        "jumprelu": "JumpReluAutoEncoder",
        "gated": "GatedAutoEncoder",
    }
    return classes[architecture]


def _settings(
    dictionary: Dictionary, name: str, form: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors that are settings in the weights, and what of them the configuration repeats."""
    if "k" not in _LAYOUTS[name].extra:
        return {}, {}
    if isinstance(dictionary, BatchTopKDictionary | MatryoshkaDictionary):
        k, threshold = dictionary.params.k, float(arrays["threshold"][0])
    else:
        k, threshold = int(form["k"]), -1.0
    state = {"k": np.asarray(k, np.int32), "threshold": np.asarray(threshold, np.float32)}
    if not isinstance(dictionary, MatryoshkaDictionary):
        return state, {"k": k}
    sizes = [end - start for start, end in pairwise([0, *dictionary.params.sizes])]
    state["group_sizes"] = np.asarray(sizes, np.int64)
    return state, {"k": k, "group_sizes": sizes}
