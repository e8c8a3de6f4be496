"""The folder of EleutherAI's sparsify: ``cfg.json`` beside ``sae.safetensors``.

Tensors are ``encoder.weight [n_features, d_in]``, ``encoder.bias``, ``b_dec`` and ``W_dec``, which
has one row a feature. It knows one rule, ``z`` = the k largest of ``relu((x - b_dec) Wᵀ + b)``.
With ``transcode`` nothing is subtracted from the input, and ``W_skip`` is a linear way past the
features; input and output are equally wide. Of those trained with ``multi_topk`` its ``forward``
gives the reconstruction from 4 k features; read here is what its ``encode`` and ``decode`` give.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from auscult.core.errors import CheckpointError, StoreError
from auscult.core.tensors import write_arrays, write_json
from auscult.dictionaries.base import Dictionary, SaeLensForm
from auscult.dictionaries.foreign import (
    blank,
    count,
    expect_names,
    filled,
    filled_transcoder,
    read_settings,
    read_weights,
    shared_form,
)
from auscult.dictionaries.formats import folded, provenance_from_settings, provenance_to_json
from auscult.dictionaries.provenance import Provenance
from auscult.dictionaries.topk import TopKDictionary
from auscult.dictionaries.transcoder import TranscoderDictionary

CFG, WEIGHTS = "cfg.json", "sae.safetensors"

_NAMES = {
    "encoder.weight": "W_enc",
    "encoder.bias": "b_enc",
    "W_dec": "W_dec",
    "b_dec": "b_dec",
}
_SKIP = {**_NAMES, "W_skip": "W_skip"}


def load_sparsify(folder: Path) -> Dictionary:
    """Read one hook point's folder as a ``topk`` or ``transcoder``; its name is taken for the tap.

    Raises:
        StoreError: A file is missing or damaged.
        CheckpointError: A setting is missing, or it takes the largest of groups.
    """
    path = folder / CFG
    cfg, tensors = read_settings(path), read_weights(folder / WEIGHTS)
    skip = bool(cfg.get("skip_connection", False))
    if cfg.get("signed", False):
        raise CheckpointError(f"{folder} was trained with signed, which is not known here")
    if skip and not cfg.get("transcode", False):
        raise CheckpointError(
            f"{folder} has a skip_connection and gives back its own input: it may pass everything "
            "by the features, and is not known here"
        )
    if cfg.get("activation", "topk") != "topk":
        raise CheckpointError(
            f"{folder} has the activation {cfg['activation']!r}; only 'topk' is known here"
        )
    d_in = count(cfg, "d_in", path)
    if cfg.get("num_latents", 0) == 0:
        n_features = d_in * count(cfg, "expansion_factor", path)
    else:
        n_features = count(cfg, "num_latents", path)
    k, provenance = count(cfg, "k", path), Provenance(tap=folder.name)
    provenance = provenance_from_settings(cfg, provenance, path)
    if cfg.get("transcode", False):
        expect_names(tensors, _SKIP if skip else _NAMES, folder)
        said = {"rule": "topk", "k": k, "skip": skip}
        transcoder = blank(TranscoderDictionary, d_in, n_features, path, **said)
        return filled_transcoder(transcoder, _ours(tensors), provenance, folder)
    dictionary = blank(TopKDictionary, d_in, n_features, path, k=k)
    expect_names(tensors, _NAMES, folder)
    return filled(dictionary, _ours(tensors), provenance, folder)


def _ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    own = {_SKIP[name]: tensor for name, tensor in tensors.items()}
    own["W_enc"] = own["W_enc"].t()
    return own


def save_sparsify(dictionary: Dictionary, folder: Path) -> None:
    """Write a folder that sparsify loads from disk.

    Raises:
        StoreError: It is no top-k of positive activations, the only rule that sparsify has.
    """
    transcodes = isinstance(dictionary, TranscoderDictionary)
    if isinstance(dictionary, TranscoderDictionary):
        form, arrays = _transcoder(dictionary)
    else:
        why = "it knows a top-k of positive activations alone"
        form, arrays = shared_form(dictionary, "sparsify", ["topk"], why)
    n_features, d_in = arrays["W_dec"].shape
    unit = bool(np.allclose(np.linalg.norm(arrays["W_dec"], axis=1), 1.0))
    cfg = {
        "activation": "topk",
        "d_in": d_in,
        "expansion_factor": max(1, n_features // d_in),
        "k": form.settings["k"],
        "multi_topk": False,
        "normalize_decoder": unit,
        "num_latents": n_features,
        "skip_connection": "W_skip" in arrays,
        "transcode": transcodes,
        "auscult": provenance_to_json(dictionary.provenance),
    }
    write_json(folder / CFG, cfg)
    arrays["W_enc"] = arrays["W_enc"].T
    named = {theirs: arrays[ours] for theirs, ours in _SKIP.items() if ours in arrays}
    write_arrays(folder / WEIGHTS, named)


def _transcoder(
    dictionary: TranscoderDictionary,
) -> tuple[SaeLensForm, dict[str, np.ndarray]]:
    """A transcoder's tensors, preprocessing folded in.

    Raises:
        StoreError: Its penalty, or its widths, have no place in sparsify.
    """
    if dictionary.params.rule != "topk" or dictionary.d_in != dictionary.d_out:
        raise StoreError(
            "sparsify has no encoding rule like that of this transcoder dictionary: its own have a "
            'top-k and as many outputs as inputs; SAELens has those with rule = "relu"'
        )
    form = dictionary.form()
    return SaeLensForm(
        form.architecture, form.tensors, {"k": dictionary.params.k}, input_bias=False
    ), folded(dictionary, form)
