"""How often each neuron is on in each clip: one pass of the model, one row of counts a clip.

A neuron is on where its activation is positive (METHODS D-0, D-1). Whatever is said about classes
follows from these rows, also under labels that were dealt out anew: no second pass is needed for a
null. A row holds two numbers a neuron, so that memory does not depend on the length of the sound.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64, Shaped
from torch import Tensor

from auscult.core.errors import NothingToMeasureError
from auscult.core.responses import Responses
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import Dictionary
from auscult.models.base import AudioModel
from auscult.taps.capture import capture
from auscult.taps.neurons import NeuronLayer, neuron_layers

_LARGEST_IN_MEMORY = 1 << 29
_WIDEST_BLOCK = 1024
_BUFFER = 1 << 17


@dataclass(frozen=True)
class Heard:
    """Clips that go through a model together.

    Attributes:
        waveform: At the model's rate, zeros behind what a clip holds.
        clip_ids: Of each.
        recording_ids: Of each, the unit of every permutation and bootstrap.
        n_valid: Samples of each before the zeros; frames that begin later are not counted.
    """

    waveform: Float[Tensor, "clip channel time"]
    clip_ids: tuple[str, ...]
    recording_ids: tuple[str, ...]
    n_valid: tuple[int, ...]


@dataclass(frozen=True)
class Counted:
    """What one layer did in each clip of a batch.

    Attributes:
        fired: Tokens at which each neuron was on.
        total: Sum of each neuron's activations.
        n_tokens: Tokens that were looked at: frames, times the bands of a feature map.
    """

    fired: Int64[Tensor, "clip neuron"]
    total: Float[Tensor, "clip neuron"]
    n_tokens: Int64[Tensor, " clip"]


class FiringPass:
    """Counts at any taps while a model runs; nothing is kept of the activations themselves.

    Args:
        model: The network.
        taps: Where its neurons are.
        dictionaries: By tap, a dictionary whose features count as the neurons there.
    """

    def __init__(
        self,
        model: AudioModel,
        taps: Sequence[str],
        dictionaries: dict[str, Dictionary] | None = None,
    ) -> None:
        self.model = model
        self.dictionaries = dictionaries or {}
        self._sources = {layer.address: layer for layer in neuron_layers(model, taps)}
        self.layers = tuple(self._counted(layer) for layer in self._sources.values())

    def _counted(self, layer: NeuronLayer) -> NeuronLayer:
        found = self.dictionaries.get(layer.address)
        return layer if found is None else NeuronLayer(layer.address, found.n_features)

    def count(
        self, waveform: Float[Tensor, "clip channel time"], n_valid: Sequence[int]
    ) -> dict[str, Counted]:
        """Run a batch as far as the last tap needs it; what each tap's neurons did, clip by clip.

        Raises:
            TapError: A tap cannot be read.
        """
        found: dict[str, Counted] = {}

        def reduce(address: str, heard: Responses) -> None:
            found[address] = self._reduced(address, heard, n_valid)

        taps = list(self._sources)
        with torch.no_grad(), capture(self.model, taps, stop=True, on_fire=reduce):
            self.model.forward(waveform)
        return found

    def _reduced(self, address: str, heard: Responses, n_valid: Sequence[int]) -> Counted:
        values, layer = heard.values, self._sources[address]
        dictionary = self.dictionaries.get(address)
        if dictionary is not None:
            acts = dictionary.encode(values.flatten(0, 1))
            values, layer = acts.reshape(*values.shape[:2], -1), NeuronLayer("", acts.shape[-1])
        return counted(values, layer, valid_frames(values.shape[1], heard.time, n_valid))


def valid_frames(
    n_frames: int, time: TimeBase, n_valid: Sequence[int]
) -> Int64[np.ndarray, " clip"]:
    """Frames of each clip that begin within its sound; at least the first."""
    return np.array([min(n_frames, max(1, int(-(-n // time.hop)))) for n in n_valid])


def counted(
    values: Float[Tensor, "clip frame d_in"],
    layer: NeuronLayer,
    n_frames: Int64[np.ndarray, " clip"] | None = None,
) -> Counted:
    """Count positive activations and sum all of them over the first frames of each clip.

    Args:
        values: Response vectors, or features.
        layer: How many entries of a vector make up a neuron.
        n_frames: Frames to look at in each clip; None for all.
    """
    frames = [values.shape[1]] * len(values) if n_frames is None else n_frames.tolist()
    clips = [clip[:n] for clip, n in zip(values, frames, strict=True)]
    fired = torch.stack([n_positive(clip) for clip in clips])
    total = torch.stack([clip.sum(0) for clip in clips])
    shape = (len(values), layer.n_neurons, layer.n_places)
    return Counted(
        fired.view(shape).sum(-1).long(),
        total.view(shape).sum(-1),
        torch.tensor(frames) * layer.n_places,
    )


def n_positive(values: Float[Tensor, "frame d_in"]) -> Float[Tensor, " d_in"]:
    """Frames in which each entry is positive.

    Comparing into a buffer that stays in the cache takes a fifth of the time of a mask as large as
    the values, which the system would have to hand out anew for each clip.
    """
    n_frames, width = values.shape
    step = max(1, _BUFFER // max(width, 1))
    buffer = torch.empty(min(step, n_frames), width, dtype=values.dtype, device=values.device)
    count = torch.zeros(width, dtype=values.dtype, device=values.device)
    for part in torch.split(values, step):
        count += torch.gt(part, 0, out=buffer[: len(part)]).sum(0)
    return count


@dataclass(frozen=True)
class Block:
    """Some neurons of one layer in every clip.

    Attributes:
        neurons: Which columns of the table these are.
        fired: Tokens at which each was on.
        means: Mean activation of each.
        n_tokens: Tokens of each clip.
    """

    neurons: slice
    fired: Float[np.ndarray, "clip neuron"]
    means: Float[np.ndarray, "clip neuron"]
    n_tokens: Float[np.ndarray, " clip"]

    @cached_property
    def rates(self) -> Float[np.ndarray, "clip neuron"]:
        """Share of each clip's tokens at which each neuron was on."""
        return np.asarray(self.fired / self.n_tokens[:, None], dtype=np.float32)


@dataclass(frozen=True)
class ClipFiring:
    """What every neuron did in every clip.

    Attributes:
        layers: The layers, in order; their neurons stand side by side.
        clip_ids: Of the rows.
        recording_ids: Of the rows.
        fired: Tokens at which a neuron was on.
        means: Mean activation.
        n_tokens: Tokens looked at.
    """

    layers: tuple[NeuronLayer, ...]
    clip_ids: Shaped[np.ndarray, " clip"]
    recording_ids: Shaped[np.ndarray, " clip"]
    fired: Shaped[np.ndarray, "clip neuron"] = field(repr=False)
    means: Float[np.ndarray, "clip neuron"] = field(repr=False)
    n_tokens: Int[np.ndarray, "clip layer"] = field(repr=False)

    @property
    def n_neurons(self) -> int:
        """In all layers together."""
        return int(self.fired.shape[1])

    @cached_property
    def layer_of(self) -> Int64[np.ndarray, " neuron"]:
        """Place of each neuron's layer in ``layers``."""
        return np.repeat(np.arange(len(self.layers)), [layer.n_neurons for layer in self.layers])

    @cached_property
    def index_in_layer(self) -> Int64[np.ndarray, " neuron"]:
        """Place of each neuron in its own layer."""
        return np.concatenate([np.arange(layer.n_neurons) for layer in self.layers])

    def name(self, neuron: int) -> str:
        """``tap/index``, as pages show it."""
        layer = self.layers[int(self.layer_of[neuron])]
        return f"{layer.address}/{int(self.index_in_layer[neuron])}"

    @cached_property
    def rate(self) -> Float[np.ndarray, " neuron"]:
        """Mean share of a clip's tokens at which each neuron is on, whatever the class."""
        found = np.empty(self.n_neurons)
        for block in self.blocks():
            found[block.neurons] = block.rates.mean(axis=0, dtype=np.float64)
        return found

    def select(self, rows: Int[np.ndarray, " k"] | Bool[np.ndarray, " clip"]) -> "ClipFiring":
        """Some clips only, in this order."""
        return ClipFiring(
            self.layers,
            self.clip_ids[rows],
            self.recording_ids[rows],
            self.fired[rows],
            self.means[rows],
            self.n_tokens[rows],
        )

    def blocks(self, widest: int = _WIDEST_BLOCK) -> Iterator[Block]:
        """Neurons in order, a few at a time, never of two layers together."""
        start = 0
        for place, layer in enumerate(self.layers):
            tokens = self.n_tokens[:, place].astype(np.float32)
            for offset in range(0, layer.n_neurons, widest):
                stop = start + min(layer.n_neurons, offset + widest)
                here = slice(start + offset, stop)
                fired = np.asarray(self.fired[:, here], dtype=np.float32)
                yield Block(here, fired, np.asarray(self.means[:, here]), tokens)
            start += layer.n_neurons


def clip_firing(counting: FiringPass, batches: Iterable[Heard], n_clips: int) -> ClipFiring:
    """Stream clips through a model once and keep a row of counts for each.

    Args:
        counting: The model and its taps.
        batches: The clips.
        n_clips: How many there are at most; tables beyond half a gigabyte lie in an unnamed file.

    Raises:
        NothingToMeasureError: There is no clip.
    """
    width = sum(layer.n_neurons for layer in counting.layers)
    fired = _table(n_clips, width, np.dtype(np.uint32))
    means = _table(n_clips, width, np.dtype(np.float32))
    tokens = np.zeros((n_clips, len(counting.layers)), dtype=np.int64)
    clip_ids: list[str] = []
    recordings: list[str] = []
    for batch in batches:
        heard = counting.count(batch.waveform, batch.n_valid)
        rows = slice(len(clip_ids), len(clip_ids) + len(batch.clip_ids))
        start = 0
        for place, layer in enumerate(counting.layers):
            one, here = heard[layer.address], slice(start, start + layer.n_neurons)
            fired[rows, here] = one.fired.cpu().numpy()
            means[rows, here] = (one.total / one.n_tokens[:, None].to(one.total)).cpu().numpy()
            tokens[rows, place] = one.n_tokens.numpy()
            start += layer.n_neurons
        clip_ids += batch.clip_ids
        recordings += batch.recording_ids
    if not clip_ids:
        raise NothingToMeasureError("no clip was heard")
    n = len(clip_ids)
    return ClipFiring(
        counting.layers, np.array(clip_ids), np.array(recordings), fired[:n], means[:n], tokens[:n]
    )


def _table(n_rows: int, width: int, dtype: np.dtype) -> np.ndarray:
    if n_rows * width * dtype.itemsize <= _LARGEST_IN_MEMORY:
        return np.zeros((n_rows, width), dtype=dtype)
    with tempfile.TemporaryFile() as file:  # the mapping keeps it until nobody looks at it
        return np.memmap(file, dtype=dtype, mode="w+", shape=(n_rows, width))
