"""Oobleck, the autoencoder of Stable Audio (METHODS 2.5, 2.6), through diffusers."""

import inspect
import warnings
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from auscult.core.config import Config
from auscult.core.errors import CheckpointError, ConfigError, MissingExtraError
from auscult.core.rng import seed_of
from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS, AudioModel, Codec, Side, Tap, Weights
from auscult.models.hub import load_pretrained
from auscult.models.initial import redraw_weights
from auscult.models.residual_stacks import StackTimes, Times, level_stages, stage_taps
from auscult.models.weights import shuffle_weights

_PUBLISHED = "stabilityai/stable-audio-open-1.0"


class Bottleneck(nn.Module):
    """Takes the mean out of what the encoder says of its latents, so that it can be edited."""

    def forward(
        self, posterior: Float[Tensor, "batch twice frame"]
    ) -> Float[Tensor, "batch d_latent frame"]:
        """The first half of the channels; the second are scales before their softplus."""
        mean, _ = posterior.chunk(2, dim=1)
        return mean


@MODELS.register("oobleck")
class Oobleck(AudioModel):
    """Oobleck (Evans et al. 2024): centred, dilated, strided convolutions with Snake activations.

    Roles: ``conv.0``, ``res.B.U`` (unit U of block B), ``conv.1`` … (the strided ones, then the
    last), ``posterior`` (means, then scales before their softplus), ``latent`` (the means), and
    ``decoder.…``, which fire in ``codec.decode``. Latents are means: nothing is sampled, so that
    equal sounds have equal latents. No padding depends on the length, and decoding gives fewer
    samples than went in: 43,008 for 44,100; align at the start before comparing. Random Snakes are
    ``x + sin²(x)``, as the library draws them.
    """

    class Params(Config):
        """Which autoencoder."""

        checkpoint: str = _PUBLISHED
        """A hub name, or a local folder with config.json and safetensors."""
        subfolder: str | None = "vae"
        """Where in it the autoencoder lies; none, or a folder without it: at its top."""
        config: dict[str, Any] = Field(default_factory=dict)
        """Changes of the configuration (for instance encoder_hidden_size = 16).

        For random weights only.
        """

    def __init__(self, module: Any, name: str, weights: Weights) -> None:
        module.add_module("bottleneck", Bottleneck())
        self.module = module.eval()
        self._oobleck = module
        self.name = name
        self.weights = weights
        self.sample_rate = int(module.config.sampling_rate)
        self.n_channels = int(module.config.audio_channels)
        self.codec = Codec(self._encode, self._decode)
        self._times = _times(module, self.sample_rate)

    @classmethod
    def build(cls, params: "Oobleck.Params", weights: Weights, seed: int) -> "Oobleck":
        """Load, shuffle or draw afresh.

        Raises:
            MissingExtraError: diffusers is not installed.
            CheckpointError: The checkpoint cannot be loaded or does not fit.
            ConfigError: Changes of the configuration that do not go with the weights, or are
                unknown.
        """
        network = _network_class()
        folder = Path(params.checkpoint).expanduser()
        where = {"subfolder": params.subfolder} if params.subfolder else {}
        if folder.is_dir() and not (folder / (params.subfolder or "")).is_dir():
            where = {}
        with warnings.catch_warnings():
            # diffusers keeps the older style of weight normalisation, which torch deprecates.
            warnings.simplefilter("ignore", FutureWarning)
            if weights == "random":
                module = _fresh(network, params, where, seed)
            elif params.config:
                raise ConfigError(
                    'model.config changes the architecture: it needs weights = "random"'
                )
            else:
                module = load_pretrained(network, _checkpoint(folder, params, where), **where)
        if weights == "shuffled":
            shuffle_weights(module, seed)
        return cls(module, params.checkpoint, weights)

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Encode; returns the means."""
        return self._encode(waveform)

    def taps(self) -> list[Tap]:
        """In the order in which sound passes them."""
        return [
            *stage_taps(self.module.encoder, "encoder", "", "conv1", decodes=False),
            Tap("encoder", "posterior", "bct"),
            Tap("bottleneck", "latent", "bct"),
            *stage_taps(self.module.decoder, "decoder", "decoder.", "conv_t1", decodes=True),
        ]

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """By composition through the layers."""
        return self._times.get((tap.path, side))

    def _encode(self, waveform: Tensor) -> Tensor:
        latents: Tensor = self._oobleck.bottleneck(self._oobleck.encoder(waveform))
        return latents

    def _decode(self, latents: Tensor) -> Tensor:
        waveform: Tensor = self._oobleck.decoder(latents)
        return waveform


def _network_class() -> Any:
    """Import diffusers, which takes seconds, only when a model needs it."""
    try:
        from diffusers import AutoencoderOobleck
    except ImportError as error:
        raise MissingExtraError("oobleck", "diffusers", "diffusion") from error
    return AutoencoderOobleck


def _checkpoint(folder: Path, params: Oobleck.Params, where: dict[str, str]) -> str:
    """The checkpoint's name; a local folder must hold safetensors where they are looked for."""
    if not folder.is_dir():
        return params.checkpoint
    inner = folder / where.get("subfolder", "")
    if not any(inner.glob("*.safetensors")):
        raise CheckpointError(
            f"the folder {inner} holds no .safetensors file; other formats could execute code and "
            f"are refused, convert them with safetensors.torch.save_file"
        )
    # Its own check for safetensors looks at the top of the folder only.
    return str(inner) if where.pop("subfolder", None) else str(folder)


def _fresh(network: Any, params: Oobleck.Params, where: dict[str, str], seed: int) -> Any:
    """A network with newly drawn weights; torch's global random state is left as it was."""
    known: dict[str, Any] = {}
    if params.checkpoint != _PUBLISHED:
        known = _read_config(network, params.checkpoint, where)
    unknown = sorted(set(params.config) - _settings(network))
    if unknown:
        raise ConfigError(f"model.config: {network.__name__} has no {', '.join(unknown)}")
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, "weights"))
            module = network(**{**known, **params.config}).eval()
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise ConfigError(f"model.config: {error}") from error
    settings = module.config
    if settings.encoder_hidden_size != 2 * settings.decoder_input_channels:
        raise ConfigError(
            f"model.config: an encoder of {settings.encoder_hidden_size} channels says means and "
            f"scales of half as many latents, and the decoder takes "
            f"{settings.decoder_input_channels}: decoder_input_channels must be half of "
            f"encoder_hidden_size"
        )
    redraw_weights(module, seed)
    level_stages(module, settings.audio_channels, settings.sampling_rate, seed)
    return module


def _read_config(network: Any, checkpoint: str, where: dict[str, str]) -> dict[str, Any]:
    folder = Path(checkpoint).expanduser()
    local = folder.is_dir()
    try:
        told = network.load_config(
            str(folder) if local else checkpoint, local_files_only=local, **where
        )
    except (OSError, ValueError) as error:
        said = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"the configuration of {checkpoint} cannot be read ({said})"
        ) from error
    return {key: value for key, value in told.items() if key in _settings(network)}


def _settings(network: Any) -> set[str]:
    """What the configuration of the class knows."""
    return set(inspect.signature(network.__init__).parameters) - {"self"}


def _times(module: Any, sample_rate: int) -> Times:
    """Time bases on both sides of every tap."""
    stack = StackTimes(module)
    latent = stack.stage("encoder", TimeBase(sample_rate), "conv1")
    stack.note("bottleneck", latent, latent)
    stack.stage("decoder", latent, "conv_t1")
    return stack.times
