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
from auscult.models.oobleck_exports import ExportedOobleck, load_foreign, redraw_export
from auscult.models.oobleck_layouts import foreign_file
from auscult.models.residual_stacks import StackTimes, Times, level_stages, stage_taps
from auscult.models.torchscript import ExportedMethod
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

    Stable Audio's autoencoder, and DiffRhythm's: through diffusers, from a checkpoint of
    stable-audio-tools, or from a TorchScript export.

    Roles: ``conv.0``, ``res.B.U`` (unit U of block B), ``conv.1`` … (the strided ones, then the
    last), ``posterior`` (means, then scales before their softplus), ``latent`` (the means), and
    ``decoder.…`` and ``sound``, which fire in ``codec.decode``. Latents are means: nothing is
    sampled, so that equal sounds have equal latents. No padding depends on the length, and decoding
    gives fewer samples than went in: 43,008 for 44,100; align at the start before comparing. Random
    Snakes are ``x + sin²(x)``, as the library draws them. A half of an export whose layers are not
    Oobleck's is run as exported, without taps inside.
    """

    class Params(Config):
        """Which autoencoder."""

        checkpoint: str = _PUBLISHED
        """A hub name, a local folder, or a file.

        A folder has config.json and safetensors, as diffusers saves it, or model_config.json and
        model.safetensors or model.ckpt, as stable-audio-tools does. A file is a checkpoint of
        stable-audio-tools (safetensors, ckpt) or a TorchScript export (``vae_model.pt`` of
        DiffRhythm).
        """
        subfolder: str | None = "vae"
        """Where in it the autoencoder lies; none, or a folder without it: at its top."""
        settings: str | None = None
        """The ``.json`` of stable-audio-tools that goes with a file.

        Without one, a model_config.json beside it; without that, 44,100 Hz and no tanh at the end.
        """
        trusted: bool = False
        """Whether a TorchScript export may run: it is a program, with your rights."""
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
                unknown; an export that nobody vouched for.
        """
        network = _network_class()
        if weights != "random" and params.config:
            raise ConfigError('model.config changes the architecture: it needs weights = "random"')
        folder = Path(params.checkpoint).expanduser()
        where = {"subfolder": params.subfolder} if params.subfolder else {}
        if folder.is_dir() and not (folder / (params.subfolder or "")).is_dir():
            where = {}
        file = None if folder.is_dir() and where else foreign_file(folder)
        with warnings.catch_warnings():
            # diffusers keeps the older style of weight normalisation, which torch deprecates.
            warnings.simplefilter("ignore", FutureWarning)
            if file is not None:
                module = load_foreign(network, file, params.settings, params.trusted)
                if weights == "random":
                    module = _redrawn(network, module, params.config, seed)
            elif weights == "random":
                known = _read_config(network, params.checkpoint, where)
                module = _fresh(network, {**known, **params.config}, seed)
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
        stages: Any = (self._oobleck.encoder, self._oobleck.decoder)
        there, back = (isinstance(stage, ExportedMethod) for stage in stages)
        return [
            *([] if there else stage_taps(stages[0], "encoder", "", "conv1", decodes=False)),
            Tap("encoder", "posterior", "bct"),
            Tap("bottleneck", "latent", "bct"),
            *([] if back else stage_taps(stages[1], "decoder", "decoder.", "conv_t1", True)),
            Tap("decoder", "sound", "bct", decodes=True),
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


def _redrawn(network: Any, module: Any, config: dict[str, Any], seed: int) -> Any:
    """The architecture of a file, perhaps with other sizes, with newly drawn weights.

    Raises:
        ConfigError: Other sizes for an export, which has but one.
    """
    if not isinstance(module, ExportedOobleck):
        known = {key: module.config[key] for key in _settings(network)}
        return _fresh(network, {**known, **config}, seed)
    if config:
        raise ConfigError("model.config: the sizes of an export that is run as it is are fixed")
    redraw_export(module, seed)
    return module


def _fresh(network: Any, config: dict[str, Any], seed: int) -> Any:
    """A network with newly drawn weights; torch's global random state is left as it was."""
    unknown = sorted(set(config) - _settings(network))
    if unknown:
        raise ConfigError(f"model.config: {network.__name__} has no {', '.join(unknown)}")
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, "weights"))
            module = network(**config).eval()
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
    """What a checkpoint's configuration says; the published one has the class's own defaults."""
    if checkpoint == _PUBLISHED:
        return {}
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
    """Time bases on both sides of every tap, as far as the layers are known."""
    stack = StackTimes(module)
    if isinstance(module.encoder, ExportedMethod):
        return stack.times
    latent = stack.stage("encoder", TimeBase(sample_rate), "conv1")
    stack.note("bottleneck", latent, latent)
    if not isinstance(module.decoder, ExportedMethod):
        stack.stage("decoder", latent, "conv_t1")
    return stack.times
