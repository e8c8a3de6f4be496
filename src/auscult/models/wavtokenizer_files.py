"""The published files of WavTokenizer: tensors under our network's names, sizes, settings."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from auscult.core.errors import CheckpointError
from auscult.models.networks.wavtokenizer import WavTokenizerShape
from auscult.models.weights import read_checkpoint, read_foreign, refuse_keys

_ENCODER = "feature_extractor.encodec.encoder.model."
_TABLE = "feature_extractor.encodec.quantizer.vq.layers.0._codebook."
_KEPT = (_ENCODER, "feature_extractor.encodec.quantizer.", "backbone.", "head.")
"""Beginnings of the names that hearing and sounding need.

The rest of a checkpoint (discriminators, losses, the decoder of the EnCodec that the encoder was
taken from) is for training only."""

_STATISTICS = ("inited", "cluster_size", "embed_avg")
"""What training counts about the codebook."""

_STORED = {"weight_g": "parametrizations.weight.original0", "bias": "bias"}
_STORED["weight_v"] = "parametrizations.weight.original1"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The network's tensors of a published checkpoint, under the network's own names.

    Raises:
        CheckpointError: It cannot be read without executing something, or holds no tensors.
    """
    is_safe = path.suffix == ".safetensors"
    held: dict[str, Any] = {**read_checkpoint(path)} if is_safe else read_foreign(path)
    inner = held.get("state_dict", held)
    named = inner.items() if isinstance(inner, Mapping) else ()
    tensors = {
        _own_name(str(key)): value
        for key, value in named
        if isinstance(value, Tensor)
        and str(key).startswith(_KEPT)
        and not str(key).removeprefix(_TABLE).startswith(_STATISTICS)
    }
    if not tensors:
        raise CheckpointError(
            f"{path} holds nothing of a WavTokenizer, neither by itself nor under 'state_dict': no "
            f"name begins with {' or '.join(_KEPT)}"
        )
    return tensors


def _own_name(key: str) -> str:
    if key.startswith(_TABLE):
        return "quantizer." + key.removeprefix(_TABLE)
    if not key.startswith(_ENCODER):
        return key
    inner = key.removeprefix(_ENCODER)
    where, convolution, stored = inner.partition(".conv.conv.")
    if convolution and stored in _STORED:
        inner = f"{where}.conv.{_STORED[stored]}"
    return f"encoder.layers.{inner}"


def read_shape(tensors: Mapping[str, Tensor], source: str) -> WavTokenizerShape:
    """The sizes that a checkpoint's tensors have.

    A strided convolution's kernel is twice its stride.

    Raises:
        CheckpointError: Tensors that tell them are lacking.
    """
    wanted = {
        "first": "encoder.layers.0.conv.parametrizations.weight.original1",
        "table": "quantizer.embed",
        "norm": "backbone.norm.scale.weight",
        "wide": "backbone.convnext.0.pwconv1.weight",
        "head": "head.out.weight",
    }
    refuse_keys(source, sorted(key for key in wanted.values() if key not in tensors), [])
    sizes = {name: tuple(tensors[key].shape) for name, key in wanted.items()}
    kernels = {
        int(found[1]): value.shape[-1]
        for key, value in tensors.items()
        if (found := re.fullmatch(r"encoder\.layers\.(\d+)\.conv\.parametrizations.*1", key))
    }
    strided = [kernels[i] // 2 for i in sorted(kernels)[1:-1]]
    blocks = {key.split(".")[2] for key in tensors if key.startswith("backbone.convnext.")}
    return WavTokenizerShape(
        ratios=tuple(reversed(strided)),
        n_filters=sizes["first"][0],
        d_latent=sizes["table"][1],
        n_codes=sizes["table"][0],
        d_model=sizes["norm"][1],
        d_hidden=sizes["wide"][0],
        n_blocks=len(blocks),
        n_bandwidths=sizes["norm"][0],
        n_fft=sizes["head"][0] - 2,
    )


def check_settings(path: Path, shape: WavTokenizerShape) -> None:
    """Refuse published settings that tell of another network than the tensors.

    Raises:
        CheckpointError: They cannot be read, or differ; what differs is listed.
    """
    import yaml  # transformers brings it

    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))["model"]["init_args"]
        parts = ("feature_extractor", "backbone", "head")
        front, back, head = (told[name]["init_args"] for name in parts)
        # The published spelling of its strides.
        pairs = {
            "dowmsamples": (tuple(front["dowmsamples"]), shape.ratios),
            "vq_bins": (front["vq_bins"], shape.n_codes),
            "num_quantizers": (front["num_quantizers"], 1),
            "input_channels": (back["input_channels"], shape.d_latent),
            "dim": (back["dim"], shape.d_model),
            "intermediate_dim": (back["intermediate_dim"], shape.d_hidden),
            "num_layers": (back["num_layers"], shape.n_blocks),
            "adanorm_num_embeddings": (back["adanorm_num_embeddings"], shape.n_bandwidths),
            "n_fft": (head["n_fft"], shape.frame),
            "hop_length": (head["hop_length"], shape.hop),
            "padding": (head.get("padding", "same"), "same"),
        }
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is not the settings file of a WavTokenizer: {type(error).__name__}: {error}"
        ) from error
    differ = [f"{key} is {a} and the tensors say {b}" for key, (a, b) in pairs.items() if a != b]
    if differ:
        raise CheckpointError(f"{path.name} tells of another network: {'; '.join(differ)}")
