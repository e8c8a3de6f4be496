"""An Oobleck from a file of others: whole where its layout is known, else run as exported."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from auscult.core.errors import CheckpointError
from auscult.models.initial import level_convolutions, redraw_weights
from auscult.models.oobleck_layouts import Foreign, from_stable_audio, read_tensors
from auscult.models.stimulus import harmonic_noise
from auscult.models.torchscript import Export, ExportedMethod, is_torchscript, redraw_tensors
from auscult.models.weights import load_strict

_SAME = 1e-3
"""Largest difference, as a share of the largest value, between two ways to run one network."""


class ExportedOobleck(nn.Module):
    """An autoencoder of which at least one half is run as exported.

    Attributes:
        encoder: Sound to means and scales.
        decoder: Latents to sound.
        config: Rate and channels, as diffusers names them.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, rate: int, n_channels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.config = SimpleNamespace(sampling_rate=rate, audio_channels=n_channels)


def load_foreign(network: Any, file: Path, settings: str | None, trusted: bool) -> Any:
    """The autoencoder in a checkpoint or export.

    Args:
        network: diffusers' class.
        file: The file.
        settings: The ``.json`` that goes with it, if the user named one.
        trusted: The user's word for a TorchScript export.

    Raises:
        CheckpointError: It cannot be read, or is another architecture.
        ConfigError: It is a program and nobody vouched for it.
    """
    beside = file.parent / "model_config.json"
    told = Path(settings).expanduser() if settings else beside if beside.is_file() else None
    if is_torchscript(file):
        return _of_export(network, Export(file, trusted), told)
    foreign = from_stable_audio(read_tensors(file), file.name, told)
    module = _empty(network, foreign)
    load_strict(module, foreign.tensors, file.name)
    return module


def redraw_export(module: ExportedOobleck, seed: int) -> None:
    """Draw both halves afresh, each in its own way, and level a known encoder on sound."""
    redraw_weights(module, seed)
    for half in (module.encoder, module.decoder):
        if isinstance(half, ExportedMethod):
            redraw_tensors(half, seed)
    rate, n_channels = module.config.sampling_rate, module.config.audio_channels
    sound = harmonic_noise(rate, n_channels, rate // 4, 1, seed)
    level_convolutions(module.encoder, lambda: module.encoder(sound))


def _empty(network: Any, foreign: Foreign) -> Any:
    """An empty network of these sizes; torch's global random state is left as it was.

    Exports have filters as they act; there weight normalisation is taken off here too, so that
    every number stays what it was.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            module = network(**foreign.config).eval()
        except (TypeError, ValueError, RuntimeError, IndexError) as error:
            raise CheckpointError(f"an autoencoder of such sizes cannot be: {error}") from error
    for name, layer in module.named_modules():
        if f"{name}.weight" in foreign.tensors and hasattr(layer, "weight_g"):
            nn.utils.remove_weight_norm(layer)
    return module


def _of_export(network: Any, export: Export, told: Path | None) -> Any:
    """Each half as diffusers' where it says the same as the export, else as exported."""
    encode, decode = export.method("encode_export"), export.method("decode_export")
    script = export.script
    tensors = {**dict(script.named_parameters()), **dict(script.named_buffers())}
    try:
        foreign = from_stable_audio(
            {name: tensor.detach() for name, tensor in tensors.items()}, export.name, told
        )
        module = _empty(network, foreign)
    except CheckpointError:
        # Another architecture, or one whose tensors were folded into the program.
        encoder = ExportedMethod(export, encode, export.tensors())
        decoder = ExportedMethod(export, decode)
        return ExportedOobleck(encoder, decoder, 44_100, 2).eval()
    rate, n_channels = foreign.config["sampling_rate"], foreign.config["audio_channels"]
    n_samples = 4 * module.hop_length
    sound = harmonic_noise(rate, n_channels, n_samples)
    with torch.no_grad():
        posterior = export.watch_state(encode, sound)
        latents = posterior[:, : foreign.config["decoder_input_channels"]]
        waveform = export.watch_state(decode, latents)
    knows = {
        "encoder": _says(module, foreign, "encoder", sound, posterior),
        "decoder": _says(module, foreign, "decoder", latents, waveform),
    }
    if all(knows.values()):
        return module
    ways = {"encoder": encode, "decoder": decode}
    children = dict(script.named_children())
    encoder, decoder = (
        getattr(module, half)
        if known
        else ExportedMethod(export, ways[half], export.tensors(half if half in children else ""))
        for half, known in knows.items()
    )
    return ExportedOobleck(encoder, decoder, rate, n_channels).eval()


def _says(module: Any, foreign: Foreign, half: str, values: Tensor, said: Tensor) -> bool:
    """Fill one half and see whether it says what the export says."""
    own = {
        key.removeprefix(f"{half}."): value
        for key, value in foreign.tensors.items()
        if key.startswith(f"{half}.")
    }
    inner = getattr(module, half)
    try:
        load_strict(inner, own, half)
    except CheckpointError:
        return False
    with torch.no_grad():
        ours = inner(values)
    close = ours.shape == said.shape and (ours - said).abs().max() <= _SAME * said.abs().max()
    return bool(close)
