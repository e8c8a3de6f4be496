"""The folder of Llamascopium 2 (Language-Model-SAEs): ``config.json``, ``sae_weights.safetensors``.

::

    u = s_in x        p = u W_E + b_E        z = p · gate(p n)        x̂ = (z W_D + b_D) / s_out

with ``W_E [d_in, n_features]``, ``W_D [n_features, d_in]``, n the lengths of the rows of W_D, or 1
unless ``sparsity_include_decoder_norm``. The gate opens above zero, above a threshold whose
logarithm is kept, or for the k largest. With ``norm_activation = "dataset-wise"`` s is ``√d_in``
over the mean length of the data's vectors, which lies beside the weights; with ``"inference"`` it
is 1, as it is in the weights. Here s goes into them, and thresholds become ``θ / n``. Of a top-k n
goes into the encoder, which multiplies its activations by n and leaves what is given back.

Read are autoencoders of one tap without a gated linear unit. A norm of the single vector or batch,
and a top-k over a batch, depend on what else is there, and are refused. The layout of Llama Scope
(2024, ``final.safetensors``) is not known: its own loader, its own class and SAELens compare three
different numbers with the threshold wherever rows are not of unit length.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from auscult.core.errors import CheckpointError
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.foreign import (
    blank,
    expect_names,
    expect_settings,
    filled,
    read_settings,
    read_weights,
)
from auscult.dictionaries.jump_relu import JumpReluDictionary
from auscult.dictionaries.linear import row_norms
from auscult.dictionaries.provenance import Provenance
from auscult.dictionaries.relu import ReluDictionary
from auscult.dictionaries.topk import TopKDictionary

CONFIG, WEIGHTS = "config.json", "sae_weights.safetensors"

_NAMES = {"W_E": "W_enc", "b_E": "b_enc", "W_D": "W_dec", "b_D": "b_dec"}
_THRESHOLD = "activation_function.log_jumprelu_threshold"
_NORM = "dataset_average_activation_norm."
_REQUIRED = (
    "sae_type", "d_model", "hook_point_in", "hook_point_out", "use_glu_encoder",
    "use_decoder_bias", "act_fn", "norm_activation", "sparsity_include_decoder_norm", "top_k",
)  # fmt: skip
_KNOWN = {
    "sae_type": ("sae",),
    "use_glu_encoder": (False,),
    "act_fn": ("relu", "jumprelu", "topk"),
    "norm_activation": ("dataset-wise", "inference"),
}


def load_llamascopium(folder: Path) -> Dictionary:
    """Read a folder as ``relu``, ``jump-relu`` or ``topk``; its hook point is taken for the tap.

    Raises:
        StoreError: A file is missing or damaged.
        CheckpointError: A setting is missing, or asks for what cannot be expressed.
    """
    path = folder / CONFIG
    cfg, tensors = read_settings(path), read_weights(folder / WEIGHTS)
    _check(cfg, path)
    rule = cfg["act_fn"]
    names = [name for name in _NAMES if name != "b_D" or cfg["use_decoder_bias"]]
    wanted = [*names, _THRESHOLD] if rule == "jumprelu" else names
    expect_names([name for name in tensors if not name.startswith(_NORM)], wanted, folder)
    own = {_NAMES[name]: tensors[name].double() for name in names}
    own.setdefault("b_dec", torch.zeros(own["W_dec"].shape[-1], dtype=torch.float64))
    lengths = row_norms(own["W_dec"]).squeeze(1)
    if not cfg["sparsity_include_decoder_norm"]:
        lengths = torch.ones_like(lengths)
    if rule == "jumprelu":
        own["threshold"] = tensors[_THRESHOLD].double().exp() / lengths
    elif rule == "topk":
        own["W_enc"], own["b_enc"] = own["W_enc"] * lengths, own["b_enc"] * lengths
        own["W_dec"] = own["W_dec"] / lengths[:, None]
    scale = _scale(cfg, tensors, path)
    own["W_enc"] = own["W_enc"] * scale
    own["W_dec"], own["b_dec"] = own["W_dec"] / scale, own["b_dec"] / scale
    dtype = tensors["W_E"].dtype
    single = {
        name: tensor if dtype == torch.float64 else tensor.float() for name, tensor in own.items()
    }
    provenance = Provenance(tap=str(cfg["hook_point_in"]))
    return filled(_blank(cfg, own, path), single, provenance, folder, input_bias=False)


def _check(cfg: Mapping[str, Any], path: Path) -> None:
    expect_settings(cfg, _REQUIRED, path)
    for key, known in _KNOWN.items():
        if cfg[key] not in known:
            listed = ", ".join(repr(one) for one in known)
            raise CheckpointError(f"{path} has {key} = {cfg[key]!r}; known here is {listed}")
    if cfg["hook_point_in"] != cfg["hook_point_out"]:
        raise CheckpointError(
            f"{path} reads {cfg['hook_point_in']} and gives back {cfg['hook_point_out']}: it is a "
            "transcoder, which is not read from this format"
        )


def _blank(cfg: Mapping[str, Any], own: Mapping[str, Tensor], path: Path) -> Dictionary:
    d_in, n_features = own["W_enc"].shape
    if d_in != cfg["d_model"]:
        raise CheckpointError(f"{path} says d_model = {cfg['d_model']}, its weights {d_in}")
    if cfg["act_fn"] == "relu":
        return blank(ReluDictionary, d_in, n_features, path, norm="weighted")
    if cfg["act_fn"] == "jumprelu":
        return blank(JumpReluDictionary, d_in, n_features, path)
    return blank(TopKDictionary, d_in, n_features, path, k=cfg["top_k"])


def _scale(cfg: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path) -> float:
    """What vectors are multiplied by: mean lengths are kept under the hook point's name."""
    if cfg["norm_activation"] == "inference":
        return 1.0
    norm = tensors.get(_NORM + str(cfg["hook_point_in"]))
    if norm is None or not float(norm) > 0:
        raise CheckpointError(
            f"{path} scales vectors by their mean length over the data, which lies not beside its "
            "weights: save it with fold_activation_scale"
        )
    return math.sqrt(cfg["d_model"]) / float(norm)
