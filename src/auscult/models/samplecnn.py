"""SampleCNN and its toy version (METHODS 2.1, 2.2).

Convolutions of length three on the waveform, all the way up.
"""

from pathlib import Path
from typing import Any, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from auscult.core.config import Config
from auscult.core.errors import AudioError, ConfigError
from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS, AudioModel, Side, Tap, Weights
from auscult.models.initial import recalibrate_norms, redraw_weights
from auscult.models.networks.samplecnn import SampleCNN, ToySampleCNN
from auscult.models.stimulus import harmonic_noise
from auscult.models.weights import load_strict, read_checkpoint, shuffle_weights

_BUNDLED = Path(__file__).parent / "bundled"
# The classes that the bundled toy networks were trained on, in the order of their outputs.
_FAMILIES = ("piano", "mallets", "organ", "guitar", "strings", "brass", "reed", "pipe")


@MODELS.register("samplecnn")
class FullSampleCNN(AudioModel):
    """SampleCNN on 59,049 samples, 50 tags.

    Its weights come from a safetensors file or are random.
    """

    class Params(Config):
        """Which weights."""

        checkpoint: str | None = None
        """A safetensors file with the network's own keys; needed unless the weights are random."""
        n_tags: int = Field(default=50, ge=1)
        """Number of tags."""
        labels: list[str] = []
        """Name of each tag, in order."""

    def __init__(self, module: SampleCNN, labels: tuple[str, ...], weights: Weights) -> None:
        self.module = module
        self.weights = weights
        self.name = "samplecnn"
        self.labels = labels
        self.sample_rate = module.sample_rate
        self.probe_samples = 2 * module.min_samples

    @classmethod
    def build(cls, params: "FullSampleCNN.Params", weights: Weights, seed: int) -> "FullSampleCNN":
        """Make the network.

        Raises:
            ConfigError: Trained or shuffled weights are asked for and no checkpoint is given.
            CheckpointError: The checkpoint does not fit.
        """
        if params.labels and len(params.labels) != params.n_tags:
            raise ConfigError(f"model.labels: {len(params.labels)} names for {params.n_tags} tags")
        module = SampleCNN(params.n_tags).eval()
        if weights != "random" and params.checkpoint is None:
            raise ConfigError(
                "model: samplecnn has no bundled weights; give checkpoint = a safetensors file, "
                'or weights = "random"'
            )
        checkpoint = None if params.checkpoint is None else Path(params.checkpoint)
        _fill(module, checkpoint, weights, seed)
        return cls(module, tuple(params.labels), weights)

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Probability of each tag."""
        return _run(self.module, waveform)

    def taps(self) -> list[Tap]:
        """``conv.N``, ``norm.N``, ``act.N``, ``pool.N`` per block; ``logits``, ``probability``."""
        heads = [Tap("tags", "logits", "bc"), Tap("sigmoid", "probability", "bc")]
        return [*_block_taps(self.module), *heads]

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """By composition through the blocks."""
        return _times(self.module).get((tap.path, side))


@MODELS.register("toy-samplecnn")
class ToyModel(AudioModel):
    """The bundled miniature.

    32 first filters of length three, trained on sound that the project makes.
    """

    class Params(Config):
        """Which of the two."""

        stride: Literal[1, 3] = 3
        """Hop of the first convolution; 3 as in SampleCNN, 1 to see what overlap does."""

    def __init__(self, module: ToySampleCNN, name: str, weights: Weights) -> None:
        self.module = module
        self.weights = weights
        self.name = name
        self.labels = _FAMILIES
        self.sample_rate = module.sample_rate
        self.probe_samples = 2 * module.input_samples

    @classmethod
    def build(cls, params: "ToyModel.Params", weights: Weights, seed: int) -> "ToyModel":
        """Make the network with its bundled, shuffled or random weights."""
        name = "toy-samplecnn" if params.stride == 3 else f"toy-samplecnn-stride{params.stride}"
        module = ToySampleCNN(params.stride).eval()
        _fill(module, _BUNDLED / f"{name}.safetensors", weights, seed)
        return cls(module, name, weights)

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Logit of each class."""
        return _run(self.module, waveform)

    def taps(self) -> list[Tap]:
        """``conv.N``, ``norm.N``, ``act.N``, ``pool.N`` of each block, then ``logits``."""
        return [*_block_taps(self.module), Tap("classes", "logits", "bc")]

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """By composition through the blocks."""
        return _times(self.module).get((tap.path, side))


def _fill(module: nn.Module, checkpoint: Path | None, weights: Weights, seed: int) -> None:
    """Load, shuffle or redraw; what is not trained gets batch-norm statistics of its own."""
    if weights != "random" and checkpoint is not None:
        load_strict(module, read_checkpoint(checkpoint), str(checkpoint.name))
    if weights == "trained":
        return
    if weights == "random":
        redraw_weights(module, seed)
    else:
        shuffle_weights(module, seed)
    n_samples = 2 * int(module.min_samples)  # type: ignore[arg-type]
    sound = harmonic_noise(int(module.sample_rate), 1, n_samples, 4, seed)  # type: ignore[arg-type]
    recalibrate_norms(module, lambda: module(sound))


def _run(module: nn.Module, waveform: Tensor) -> Any:
    shortest = int(module.min_samples)  # type: ignore[arg-type]
    if waveform.shape[-1] < shortest:
        raise AudioError(
            f"a {type(module).__name__} needs at least {shortest} samples, got {waveform.shape[-1]}"
        )
    return module(waveform)


def _block_taps(module: nn.Module) -> list[Tap]:
    taps: list[Tap] = []
    for index, block in enumerate(module.blocks):  # type: ignore[arg-type]
        parts = ["conv", "norm", "act"]
        parts += [] if isinstance(block.pool, nn.Identity) else ["pool"]
        taps += [Tap(f"blocks.{index}.{part}", f"{part}.{index}", "bct") for part in parts]
        taps.append(Tap(f"blocks.{index}", f"block.{index}", "bct"))
    return taps


def _times(module: nn.Module) -> dict[tuple[str, Side], TimeBase]:
    """The time base on both sides of every tap."""
    times: dict[tuple[str, Side], TimeBase] = {}

    def note(path: str, before: TimeBase, after: TimeBase) -> TimeBase:
        times[path, "in"], times[path, "out"] = before, after
        return after

    now = TimeBase(int(module.sample_rate))  # type: ignore[arg-type]
    for index, block in enumerate(module.blocks):  # type: ignore[arg-type]
        path, start, conv = f"blocks.{index}", now, block.conv
        filtered = now.after_conv(conv.kernel_size[0], conv.stride[0], conv.padding[0])
        now = note(f"{path}.conv", start, filtered)
        now = note(f"{path}.act", now, note(f"{path}.norm", now, now))
        width = 1 if isinstance(block.pool, nn.Identity) else int(block.pool.kernel_size)
        now = note(f"{path}.pool", now, now.after_pool(width))
        note(path, start, now)
    for path in ("tags", "sigmoid", "classes"):
        note(path, now.after_global(), now.after_global())
    return times
