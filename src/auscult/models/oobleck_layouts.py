"""Oobleck in the layouts of others: stable-audio-tools' checkpoints, and TorchScript of them.

stable-audio-tools numbers its layers within nested lists where diffusers names them; the rest is
the same network. Sizes come from the tensors.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from auscult.core.errors import CheckpointError
from auscult.models.residual_stacks import UNITS
from auscult.models.weights import read_checkpoint, read_foreign

_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".ts")
_UNIT = {"0": "snake1", "1": "conv1", "2": "snake2", "3": "conv2"}
_BLOCK = {
    "encoder": {**{str(i): UNITS[i] for i in range(3)}, "3": "snake1", "4": "conv1"},
    "decoder": {"0": "snake1", "1": "conv_t1", **{str(i + 2): UNITS[i] for i in range(3)}},
}
_STORED = {
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
}
_SAMPLE_RATE = 44_100


@dataclass(frozen=True)
class Foreign:
    """An autoencoder of stable-audio-tools, under the names of diffusers.

    Attributes:
        tensors: Of encoder and decoder, as far as they have that layout.
        config: Arguments of diffusers' class.
    """

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)


def foreign_file(checkpoint: Path) -> Path | None:
    """The file of tensors, if a checkpoint is one or is a folder of stable-audio-tools.

    Raises:
        CheckpointError: Such a folder without tensors.
    """
    if checkpoint.is_file() and checkpoint.suffix in _SUFFIXES:
        return checkpoint
    if not (checkpoint / "model_config.json").is_file():
        return None
    for name in ("model.safetensors", "model.ckpt", "vae_model.ckpt"):
        if (checkpoint / name).is_file():
            return checkpoint / name
    raise CheckpointError(
        f"the folder {checkpoint} has a model_config.json and neither model.safetensors nor "
        f"model.ckpt beside it: name the file itself"
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, of a training run or unwrapped; nothing of it is executed.

    Raises:
        CheckpointError: It cannot be read without executing something.
    """
    is_safe = path.suffix == ".safetensors"
    held: dict[str, Any] = {**read_checkpoint(path)} if is_safe else read_foreign(path)
    inner = held.get("state_dict", held)
    named = inner.items() if isinstance(inner, Mapping) else ()
    return {str(key): value for key, value in named if isinstance(value, Tensor)}


def from_stable_audio(tensors: Mapping[str, Tensor], source: str, told: Path | None) -> Foreign:
    """Find the autoencoder within a checkpoint, whatever it is wrapped in, and name it anew.

    Of a training run that also kept a running average, the average is taken, as the tools do when
    they unwrap.

    Args:
        tensors: By the checkpoint's own names.
        source: For error messages.
        told: The ``.json`` that goes with it, for its rate and for what tensors do not tell.

    Raises:
        CheckpointError: There is no such autoencoder in it, or one of another architecture.
    """
    firsts = re.compile(r"(?:(.*)\.)?encoder\.layers\.0\.(?:weight|weight_v|parametrizations.*1)")
    found = (firsts.fullmatch(key) for key in tensors)
    wrapped = sorted({match[1] or "" for match in found if match}, key=lambda p: "ema" not in p)
    if not wrapped:
        raise CheckpointError(
            f"{source} holds no autoencoder in the layout of stable-audio-tools: no "
            f"encoder.layers.0 anywhere"
        )
    prefix = f"{wrapped[0]}." if wrapped[0] else ""
    inner = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    renamed = {
        _own_name(stage, key, _n_blocks(stage, inner)): _in_place(key, value)
        for stage in ("encoder", "decoder")
        for key, value in inner.items()
        if key.startswith(f"{stage}.layers.")
    }
    rate = _SAMPLE_RATE if told is None else _told(told)
    return Foreign(renamed, _config(renamed, source, rate))


def _n_blocks(stage: str, tensors: Mapping[str, Tensor]) -> int:
    """Blocks are the entries of the outer list that have a list of their own."""
    nested = re.compile(rf"{stage}\.layers\.(\d+)\.layers\..*")
    return len({match[1] for key in tensors if (match := nested.fullmatch(key))})


def _own_name(stage: str, key: str, n_blocks: int) -> str:
    """The name that diffusers has for a tensor."""
    path = key.removeprefix(f"{stage}.layers.").split(".")
    outer, rest = int(path[0]), path[1:]
    if 0 < outer <= n_blocks and len(rest) > 2:
        where = f"block.{outer - 1}.{_BLOCK[stage].get(rest[1], rest[1])}"
        rest = rest[2:]
        if rest[0] == "layers" and len(rest) > 2:
            where, rest = f"{where}.{_UNIT.get(rest[1], rest[1])}", rest[2:]
    else:
        ends = {0: "conv1", n_blocks + 1: "snake1", n_blocks + 2: "conv2"}
        where = ends.get(outer, str(outer))
    stored = _STORED.get(".".join(rest), ".".join(rest))
    return f"{stage}.{where}.{stored}"


def _in_place(key: str, value: Tensor) -> Tensor:
    """A tensor in the shape that diffusers has for it: slopes of snakes lie beside channels."""
    return value.reshape(1, -1, 1) if key.endswith((".alpha", ".beta")) else value


def _config(tensors: Mapping[str, Tensor], source: str, rate: int) -> dict[str, Any]:
    """The sizes that the encoder's tensors have, and the decoder's as far as it has that layout.

    Raises:
        CheckpointError: A size that diffusers' class cannot have.
    """
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    try:
        first, last = _kernel(shapes, "encoder.conv1"), _kernel(shapes, "encoder.conv2")
        n_blocks = len({key.split(".")[2] for key in shapes if key.startswith("encoder.block.")})
        steps = [_kernel(shapes, f"encoder.block.{b}.conv1") for b in range(n_blocks)]
    except KeyError as error:
        raise CheckpointError(f"{source} lacks the autoencoder's {error}") from error
    if last[0] != first[0]:
        raise CheckpointError(
            f"{source} has an encoder of {first[0]} channels that says {last[0]} numbers a frame; "
            f"diffusers' class says as many as its first convolution has channels"
        )
    return {
        "encoder_hidden_size": first[0],
        "downsampling_ratios": [step[2] // 2 for step in steps],
        "channel_multiples": [step[0] // first[0] for step in steps],
        "decoder_channels": _decoder_channels(shapes, first[0]),
        "decoder_input_channels": last[0] // 2,
        "audio_channels": first[1],
        "sampling_rate": rate,
    }


def _kernel(shapes: Mapping[str, tuple[int, ...]], layer: str) -> tuple[int, ...]:
    """The shape of a convolution's filters, whether weight normalisation was taken off or not."""
    direction, plain = f"{layer}.weight_v", f"{layer}.weight"
    return shapes[direction] if direction in shapes else shapes[plain]


def _decoder_channels(shapes: Mapping[str, tuple[int, ...]], otherwise: int) -> int:
    try:
        return _kernel(shapes, "decoder.conv2")[1]
    except KeyError:
        return otherwise


def _told(path: Path) -> int:
    """The sample rate of a ``.json`` of stable-audio-tools, whose other settings must be ours.

    Raises:
        CheckpointError: It cannot be read, or tells of something that diffusers' class has not.
    """
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        rate, model = int(whole["sample_rate"]), whole["model"]
        model = model["pretransform"]["config"] if "pretransform" in model else model
        stages = {stage: model[stage] for stage in ("encoder", "decoder")}
        kinds = {stage: str(stages[stage]["type"]) for stage in stages}
        settings = {stage: dict(stages[stage].get("config", {})) for stage in stages}
        bottleneck = str((model.get("bottleneck") or {}).get("type"))
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} does not tell of an autoencoder of stable-audio-tools: "
            f"{type(error).__name__}: {error}"
        ) from error
    wrong = [f"{stage} of type {kind}" for stage, kind in kinds.items() if kind != "oobleck"]
    wrong += [] if bottleneck == "vae" else [f"bottleneck of type {bottleneck}"]
    for stage in stages:
        told = settings[stage]
        wrong += [] if told.get("use_snake", False) else [f"{stage} without snakes"]
        odd = ("antialias_activation", "use_nearest_upsample")
        wrong += [f"{stage} with {key}" for key in odd if told.get(key, False)]
    # The tools' own default is a tanh at the end.
    wrong += ["decoder with final_tanh"] if settings["decoder"].get("final_tanh", True) else []
    if wrong:
        raise CheckpointError(f"{path.name} tells of another network: {', '.join(wrong)}")
    return rate
