"""The folder of SAELens 6: ``cfg.json`` beside ``sae_weights.safetensors``.

======================  ==============================  ===================================
architecture            becomes                         written from
======================  ==============================  ===================================
``standard``            ``relu``                        ``relu``
``topk``, ``abstopk``   ``topk``                        ``topk``, and tied types with a k
``jumprelu``            ``jump-relu``                   ``jump-relu``, ``batch-topk``,
                                                        ``matryoshka``, ``temporal``
``gated``               ``gated``                       ``gated``
``transcoder``,         ``transcoder`` with a penalty   ``transcoder`` with a penalty
``skip_transcoder``
``matching_pursuit``    ``matching-pursuit``            ``matching-pursuit`` without a scale
======================  ==============================  ===================================

SAELens itself saves BatchTopK and Matryoshka for use as ``jumprelu``, with one threshold for all
features: their k and prefixes are not in the folder.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from auscult.core.errors import CheckpointError
from auscult.core.tensors import write_arrays, write_json
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.foreign import (
    blank,
    count,
    expect_names,
    expect_settings,
    filled,
    filled_transcoder,
    placed,
    read_settings,
    read_weights,
    shared_form,
)
from auscult.dictionaries.formats import saelens_settings
from auscult.dictionaries.gated import GatedDictionary
from auscult.dictionaries.jump_relu import JumpReluDictionary
from auscult.dictionaries.matching_pursuit import MatchingPursuitDictionary
from auscult.dictionaries.provenance import Provenance
from auscult.dictionaries.relu import ReluDictionary
from auscult.dictionaries.topk import TopKDictionary
from auscult.dictionaries.transcoder import TranscoderDictionary

CFG, WEIGHTS = "cfg.json", "sae_weights.safetensors"

_REQUIRED = ("architecture", "d_in", "d_sae", "apply_b_dec_to_input", "normalize_activations")
_COMMON = ("W_enc", "b_enc", "W_dec", "b_dec")
_TENSORS = {
    "standard": _COMMON,
    "topk": _COMMON,
    "abstopk": _COMMON,
    "jumprelu": (*_COMMON, "threshold"),
    "gated": ("W_enc", "b_gate", "b_mag", "r_mag", "W_dec", "b_dec"),
    "transcoder": _COMMON,
    "skip_transcoder": (*_COMMON, "W_skip"),
    "matching_pursuit": ("W_dec", "b_dec"),
}
_STOPS = ("max_iterations", "residual_threshold", "stop_on_duplicate_support")
_TIME = ("sample_rate", "hop", "offset", "span", "unbounded_past", "global")
_TRAINING = ("batchtopk", "matryoshka_batchtopk")


def load_saelens(folder: Path) -> Dictionary:
    """Read a SAELens 6 folder of one of the architectures above.

    What its settings leave open is refused, never guessed: features differ wholly with the wrong
    ``apply_b_dec_to_input``. Where features are ranked by activation times length of the atom
    (``rescale_acts_by_decoder_norm``), the lengths are folded into the encoder, which changes
    neither activations nor reconstructions.

    Raises:
        StoreError: A file is missing or damaged.
        CheckpointError: A setting is missing, or asks for what cannot be expressed.
    """
    cfg, tensors = read_settings(folder / CFG), read_weights(folder / WEIGHTS)
    _check(cfg, folder)
    dictionary = _blank(cfg, folder)
    expect_names(tensors, _TENSORS[cfg["architecture"]], folder)
    input_bias = bool(cfg["apply_b_dec_to_input"])
    if isinstance(dictionary, TranscoderDictionary):
        return filled_transcoder(dictionary, tensors, _provenance(cfg, folder), folder)
    if isinstance(dictionary, MatchingPursuitDictionary):
        return _pursuit(dictionary, tensors, _provenance(cfg, folder), folder, input_bias)
    filled(dictionary, tensors, _provenance(cfg, folder), folder, input_bias=input_bias)
    if isinstance(dictionary, TopKDictionary) and cfg.get("rescale_acts_by_decoder_norm", False):
        dictionary.linear.fold_row_norms()
    return dictionary


def save_saelens(dictionary: Dictionary, folder: Path) -> None:
    """Write the two files that SAELens reads, without what only auscult needs.

    Raises:
        StoreError: SAELens has no such encoding rule.
    """
    form, arrays = shared_form(dictionary, "SAELens", _TENSORS, dictionary.unshared)
    write_json(folder / CFG, saelens_settings(dictionary, form, str(arrays["W_dec"].dtype)))
    write_arrays(folder / WEIGHTS, arrays)


def _check(cfg: Mapping[str, Any], folder: Path) -> None:
    expect_settings(cfg, _REQUIRED, folder / CFG)
    version = str(_metadata(cfg).get("sae_lens_version") or "")
    if not version.split(".")[0].isdigit() or int(version.split(".")[0]) < 6:
        raise CheckpointError(
            f"{folder / CFG} names no sae_lens_version of at least 6, and settings meant other "
            "things before: load it with SAELens 6 and save it again"
        )
    if cfg["normalize_activations"] != "none" or cfg.get("reshape_activations", "none") != "none":
        raise CheckpointError(
            f"{folder} normalises or reshapes activations: fold that into the weights first"
        )
    architecture = cfg["architecture"]
    if architecture in _TRAINING:
        raise CheckpointError(
            f"{folder} is a training checkpoint with architecture {architecture!r}: "
            "write it with SAELens' save_inference_model"
        )
    if architecture not in _TENSORS:
        known = ", ".join(repr(name) for name in _TENSORS)
        raise CheckpointError(f"{folder} has architecture {architecture!r}; there are {known}")


def _blank(cfg: Mapping[str, Any], folder: Path) -> Dictionary:
    """A dictionary of the right type and size, with weights still to come."""
    architecture, path = cfg["architecture"], folder / CFG
    d_in, n_features = count(cfg, "d_in", path), count(cfg, "d_sae", path)
    if architecture == "standard":
        return blank(ReluDictionary, d_in, n_features, path, norm="weighted")
    if architecture == "jumprelu":
        return blank(JumpReluDictionary, d_in, n_features, path)
    if architecture == "gated":
        return blank(GatedDictionary, d_in, n_features, path)
    if architecture in ("transcoder", "skip_transcoder"):
        if cfg["apply_b_dec_to_input"]:
            raise CheckpointError(
                f"{path} subtracts the output's bias from the input of a transcoder, which are of "
                "two taps: set apply_b_dec_to_input to false"
            )
        skip, d_out = architecture == "skip_transcoder", count(cfg, "d_out", path)
        said = {"rule": "relu", "skip": skip, "d_out": d_out}
        return blank(TranscoderDictionary, d_in, n_features, path, **said)
    if architecture == "matching_pursuit":
        return blank(MatchingPursuitDictionary, d_in, n_features, path, **_stops(cfg, path))
    k, signed = count(cfg, "k", path), architecture == "abstopk"
    return blank(TopKDictionary, d_in, n_features, path, k=k, signed=signed)


def _stops(cfg: Mapping[str, Any], path: Path) -> dict[str, object]:
    """When a pursuit ends: after so many picks, at a length of what is left, at a repeated pick.

    SAELens takes as many picks as there are dimensions where it is told no number.
    """
    expect_settings(cfg, _STOPS, path)
    picks = "d_in" if cfg["max_iterations"] is None else "max_iterations"
    return {
        "k": count(cfg, picks, path),
        "stop_below": cfg["residual_threshold"],
        "stop_on_repeat": cfg["stop_on_duplicate_support"],
    }


def _pursuit(
    dictionary: MatchingPursuitDictionary,
    tensors: Mapping[str, Tensor],
    provenance: Provenance,
    folder: Path,
    input_bias: bool,
) -> Dictionary:
    """A pursuit's two tensors; SAELens uses its bias on both sides or on neither."""
    bias = tensors["b_dec"] if input_bias else torch.zeros_like(tensors["b_dec"])
    return placed(dictionary, {"rows": tensors["W_dec"], "bias": bias}, provenance, folder)


def _metadata(cfg: Mapping[str, Any]) -> dict[str, Any]:
    metadata = cfg.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _provenance(cfg: Mapping[str, Any], folder: Path) -> Provenance:
    """What the metadata say; ours survive being loaded and saved by SAELens."""
    metadata = _metadata(cfg)
    audio = metadata.get("audio")
    audio = audio if isinstance(audio, dict) else {}
    try:
        return Provenance(
            model=str(metadata.get("model_name") or ""),
            weights=str(audio.get("weights") or ""),
            tap=str(metadata.get("hook_name") or ""),
            of="generators" if audio.get("of") == "generators" else "responses",
            lag=int(audio.get("lag", 1)),
            target=str(audio.get("target") or ""),
            context=int(audio.get("context", 0)),
            time=TimeBase.from_json({key: audio[key] for key in _TIME})
            if "global" in audio
            else None,
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"metadata.audio in {folder / CFG} is damaged ({error}): mend it or take it out"
        ) from error
