"""Audio encoders of the Hugging Face hub: AST, HuBERT, wav2vec 2.0, WavLM, Whisper, CLAP."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from auscult.core.config import Config
from auscult.core.errors import CheckpointError, ConfigError
from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS, AudioModel, Layout, Method, Side, Tap, TokenGrid, Weights
from auscult.models.front_ends import Clap, FrontEnd, SpectrogramTransformer, Waveform, Whisper
from auscult.models.hub import fresh, load_feature_extractor, load_part, read_config, read_kind
from auscult.models.hub import transformers_module as transformers_of
from auscult.models.initial import recalibrate_norms
from auscult.models.stimulus import harmonic_noise
from auscult.models.transformer_roles import block_taps, convolutions, find_blocks
from auscult.models.weights import shuffle_weights

Architecture = Literal[
    "audio-spectrogram-transformer", "hubert", "wav2vec2", "wavlm", "whisper", "clap"
]
Times = dict[tuple[str, Side], TimeBase]


@dataclass(frozen=True)
class _Kind:
    """What the library calls the parts of one architecture.

    Attributes:
        config: Class of the encoder's configuration.
        encoder: Class of the encoder alone, as a path below the library.
        network: Class of what checkpoints hold.
        part: Where the encoder is in that; "" when it is all.
        part_config: Where its configuration is in that of the network.
        extractor: Class of the feature extractor.
        front: How it hears.
    """

    config: str
    encoder: str
    network: str
    part: str
    part_config: str
    extractor: str
    front: Callable[[Any, Any, bool | None], FrontEnd]


def _speech(name: str) -> _Kind:
    return _Kind(
        f"{name}Config",
        f"{name}Model",
        f"{name}Model",
        "",
        "",
        "Wav2Vec2FeatureExtractor",
        Waveform,
    )


_KINDS: dict[str, _Kind] = {
    "hubert": _speech("Hubert"),
    "wav2vec2": _speech("Wav2Vec2"),
    "wavlm": _speech("WavLM"),
    "audio-spectrogram-transformer": _Kind(
        "ASTConfig", "ASTModel", "ASTModel", "", "", "ASTFeatureExtractor", SpectrogramTransformer
    ),
    "whisper": _Kind(
        "WhisperConfig", "models.whisper.modeling_whisper.WhisperEncoder", "WhisperModel",
        "encoder", "", "WhisperFeatureExtractor", Whisper,
    ),
    "clap": _Kind(
        "ClapAudioConfig", "ClapAudioModel", "ClapModel",
        "audio_model", "audio_config", "ClapFeatureExtractor", Clap,
    ),
}  # fmt: skip


@MODELS.register("hf-audio")
class HubEncoder(AudioModel):
    """An audio transformer of transformers, by hub name, local folder or configuration.

    Roles, found by structure and so the same in transformers 4.57 and 5.x: ``conv.N`` (filters on
    the waveform, or the one that cuts patches), ``act.N`` (behind norm and activation, in the
    wav2vec 2.0 family), ``position``, ``block.N.attn.out``, ``block.N.mlp.act`` (the neurons, after
    their activation), ``block.N.mlp.out``, ``block.N`` and ``final``. What goes into the first
    block is ``block.0:in``. Patches of AST and CLAP are frames in the order of time, the bands of a
    column one after another; class tokens are left out. CLAP attends within windows, whose output
    has no frames: it has no ``attn.out``. Heads are not loaded; input features are computed inside
    ``forward``, differentiably.
    """

    class Params(Config):
        """Which encoder."""

        checkpoint: str | None = None
        """A hub name, or a local folder with config.json, model.safetensors and
        preprocessor_config.json."""
        architecture: Architecture | None = None
        """Which one, when random weights are asked for without a checkpoint."""
        config: dict[str, Any] = {}
        """Changes of the configuration (for instance num_hidden_layers = 2).

        For random weights only.
        """
        normalise: bool | None = None
        """Whether a waveform model gets each clip at zero mean and unit variance.

        As the checkpoint's feature extractor says when not given.
        """

    def __init__(self, module: Any, front: FrontEnd, name: str, weights: Weights) -> None:
        self.module = module
        self.front = front
        self.name = name
        self.weights = weights
        self.sample_rate = front.sample_rate
        self._blocks = find_blocks(module)
        self._convs, self._positional = convolutions(module, self._blocks)
        self._times = self._all_times()
        self.probe_samples = front.probe_samples or self._heard_second()

    @classmethod
    def build(cls, params: "HubEncoder.Params", weights: Weights, seed: int) -> "HubEncoder":
        """Load, shuffle or draw afresh.

        Raises:
            MissingExtraError: transformers is not installed.
            CheckpointError: The checkpoint cannot be loaded, does not fit, or is no audio encoder.
            ConfigError: Neither a checkpoint nor an architecture is named, or changes of the
                configuration do not go with the weights.
        """
        transformers = transformers_of("hf-audio")
        name = params.checkpoint or params.architecture
        if name is None:
            raise ConfigError(
                "model: hf-audio needs a checkpoint (a hub name or a folder), or an architecture "
                'with weights = "random"'
            )
        if weights != "random" and (params.config or params.checkpoint is None):
            raise ConfigError(
                "model: without a checkpoint, or with changes of its config, hf-audio needs "
                'weights = "random"'
            )
        kind = _kind(params.checkpoint, params.architecture)
        if weights == "random":
            module, extractor = _random(transformers, kind, params, seed)
        else:
            network = getattr(transformers, kind.network)
            module = load_part(network, name, kind.part)
            extractor = load_feature_extractor(getattr(transformers, kind.extractor), name)
        if weights == "shuffled":
            shuffle_weights(module, seed)
        front = kind.front(extractor, module.config, params.normalise)
        model = cls(module, front, name, weights)
        if weights != "trained":
            sound = harmonic_noise(model.sample_rate, 1, model.probe_samples, 2, seed)
            recalibrate_norms(module, lambda: model.forward(sound))
        return model

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """What the encoder returns; its first tensor is the last hidden state.

        Raises:
            AudioError: The clips are longer or shorter than it can hear.
        """
        self.front.check(waveform, 1)
        return self.module(**self.front.inputs(waveform[:, 0]))

    def taps(self) -> list[Tap]:
        """In the order in which sound passes them."""
        axes = self.front.order(0)
        image: Layout | TokenGrid = axes if isinstance(axes, TokenGrid) else "bct"
        taps = []
        for index, path in enumerate(self._convs):
            taps.append(Tap(path, f"conv.{index}", image))
            if self._layer_of(path):
                taps.append(Tap(self._layer_of(path), f"act.{index}", "bct"))
        taps += [Tap(path, "position", "bct") for path in self._positional[:1]]
        taps += block_taps(self._blocks, self.front.order, self.front.windowed)
        return [*taps, Tap("", "final", self._last_order(), {"out": Method("forward")})]

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """By composition; behind attention, or a norm over time, a frame hears the whole clip."""
        return self._times.get((tap.path, side))

    def _layer_of(self, path: str) -> str:
        """The layer of a list that a convolution is the filter of; "" for one of its own."""
        layer, _, _ = path.rpartition(".")
        return layer if layer.rpartition(".")[2].isdigit() else ""

    def _last_order(self) -> Layout | TokenGrid:
        """The last hidden state of CLAP is unfolded again, its stretches side by side."""
        last = self.front.order(self._blocks[-1].stage)
        if self.front.windowed and isinstance(last, TokenGrid):
            return TokenGrid(last.n_rows)
        return last

    def _all_times(self) -> Times:
        times: Times = {}
        now = self.front.time
        for path in self._convs:
            before, now = now, _after(self.module.get_submodule(path), now, axis=-1)
            heard = self._of_patches(now, 0)
            times[path, "in"], times[path, "out"] = before, heard
            layer = self._layer_of(path)
            if layer:
                now = _after_norms(self.module.get_submodule(layer), now)
                times[layer, "in"], times[layer, "out"] = before, now
        for path in self._positional[:1]:
            before, now = now, _after(self.module.get_submodule(path), now, axis=-1)
            times[path, "in"], times[path, "out"] = before, now
        for index, block in enumerate(self._blocks):
            seen = self._of_patches(now, block.stage)
            everything = seen.after_global()
            for path in (block.path, block.attention, block.down):
                times[path, "out"] = times[path, "in"] = everything
            if index == 0:
                times[block.path, "in"] = times[block.attention, "in"] = seen
        times["", "out"] = self._of_patches(now, self._blocks[-1].stage).after_global()
        return times

    def _heard_second(self) -> int:
        """About a second, of which the last convolution hears every sample."""
        heard = self._times[self._convs[-1], "out"]
        return int(heard.span + heard.hop * round(self.sample_rate / heard.hop))

    def _of_patches(self, column: TimeBase, stage: int) -> TimeBase:
        """The time of patches, given that of a column of the first stage."""
        order = self.front.order(stage)
        if not isinstance(order, TokenGrid):
            return column
        joined = self.front.column_hop(stage)
        return column.after_pool(joined).split_into(order.n_rows)


def _kind(checkpoint: str | None, architecture: str | None) -> _Kind:
    name = architecture if checkpoint is None else read_kind(checkpoint)
    if architecture is not None and name != architecture:
        raise ConfigError(f"model.architecture says {architecture}, {checkpoint} is a {name}")
    name = {"clap_audio_model": "clap"}.get(str(name), str(name))
    if name not in _KINDS:
        raise CheckpointError(
            f"{checkpoint} is a {name}; hf-audio knows {', '.join(sorted(_KINDS))}"
        )
    return _KINDS[name]


def _random(
    transformers: Any, kind: _Kind, params: HubEncoder.Params, seed: int
) -> tuple[Any, Any]:
    """An encoder with fresh weights, and the feature extractor of its checkpoint or its kind."""
    config_class = getattr(transformers, kind.config)
    extractor_class = getattr(transformers, kind.extractor)
    if params.checkpoint is None:
        published: dict[str, dict[str, Any]] = {str(params.architecture): {}}
        config = read_config(config_class, str(params.architecture), published, params.config)
    else:
        config = read_config(config_class, params.checkpoint, {}, params.config)
    extractor = load_feature_extractor(extractor_class, params.checkpoint)
    return fresh(attrgetter(kind.encoder)(transformers), config, seed), extractor


def _after(conv: Any, time: TimeBase, axis: int) -> TimeBase:
    """Behind a convolution; of a two-dimensional one the axis of time is the last."""
    sizes = (conv.kernel_size, conv.stride, conv.padding, conv.dilation)
    return time.after_conv(*(int(size[axis]) for size in sizes))


def _after_norms(layer: Any, time: TimeBase) -> TimeBase:
    """A group norm takes its statistics over the whole clip."""
    over_time = any(type(part).__name__ == "GroupNorm" for part in layer.modules())
    return time.after_global() if over_time else time
