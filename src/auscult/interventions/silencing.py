"""What a network says of clips while some of its neurons are turned up or down (METHODS D-5)."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from auscult.dictionaries.base import Dictionary
from auscult.interventions.base import Edit
from auscult.interventions.clamp import Clamp, ClampParams
from auscult.interventions.gain import Gain, GainParams
from auscult.measures.firing import Heard, valid_frames
from auscult.models.base import AudioModel
from auscult.taps.capture import EditFunction, capture, intervene
from auscult.taps.neurons import NeuronLayer
from auscult.taps.point import TapPoint
from auscult.taps.replay import replaying

Around = Literal["zero", "mean", "resample"]
Edits = dict[str | TapPoint, EditFunction]


@dataclass(frozen=True)
class Change:
    """What is done to which neurons.

    Attributes:
        neurons: Places among all neurons of all layers.
        gain: What is left of them; 0 silences.
        around: What gain 0 leaves: nothing, their mean over the training clips, or what they said
            in frames of training clips drawn at random, all of them from the same frame.
        start_s: Only from this time of each clip on.
        stop_s: Only up to this time.
    """

    neurons: Int[np.ndarray, " k"]
    gain: float = 0.0
    around: Around = "zero"
    start_s: float | None = None
    stop_s: float | None = None


@dataclass(frozen=True)
class Usual:
    """What each layer says of the training clips.

    Attributes:
        means: Mean response vector of each layer.
        frames: Response vectors drawn at random, in random order.
    """

    means: Mapping[str, Float[np.ndarray, " d_in"]]
    frames: Mapping[str, Float[np.ndarray, "frame d_in"]]


class Silencer:
    """Reads the embedding of clips under changes, computing no more than each can alter.

    Args:
        model: The network.
        layers: Its neurons, as they are counted.
        embedding: The tap whose mean over frames stands for a clip.
        usual: For changes around a mean or other frames.
        dictionaries: By tap, dictionaries whose features the neurons of that tap are.
    """

    def __init__(
        self,
        model: AudioModel,
        layers: Sequence[NeuronLayer],
        embedding: str,
        usual: Usual | None = None,
        dictionaries: Mapping[str, Dictionary] | None = None,
    ) -> None:
        self.model = model
        self.layers = layers
        self.embedding = embedding
        self.usual = usual
        self.dictionaries = dictionaries or {}
        self._starts = np.concatenate([[0], np.cumsum([layer.n_neurons for layer in layers])])
        self._exact: bool | None = None

    def embed(
        self, batch: Heard, changes: Sequence[Change | None]
    ) -> Float[np.ndarray, "change clip d"]:
        """Embeddings of a batch under each change; None changes nothing."""
        edits = [self._edits(change) if change is not None else {} for change in changes]
        taps = [layer.address for layer in self.layers if any(layer.address in e for e in edits)]
        replays = bool(taps) and len(changes) > 2 and self._is_exact(batch, taps)
        with replaying(self.model, batch.waveform, taps) if replays else nullcontext():
            return np.stack([self._said(batch, one) for one in edits])

    def _is_exact(self, batch: Heard, taps: Sequence[str]) -> bool:
        """Whether replaying gives the very bits of a whole pass; looked at once."""
        if self._exact is None:
            whole = self._said(batch, {})
            with replaying(self.model, batch.waveform, taps):
                self._exact = bool(np.array_equal(whole, self._said(batch, {})))
        return self._exact

    def _said(self, batch: Heard, edits: Edits) -> Float[np.ndarray, "clip d"]:
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            if edits:
                stack.enter_context(intervene(self.model, edits))
            captured = stack.enter_context(capture(self.model, [self.embedding], stop=True))
            self.model.forward(batch.waveform)
        heard = captured[self.embedding]
        frames = valid_frames(heard.values.shape[1], heard.time, batch.n_valid)
        clips = zip(heard.values, frames.tolist(), strict=True)
        return torch.stack([clip[:n].mean(0) for clip, n in clips]).cpu().numpy()

    def _edits(self, change: Change) -> Edits:
        """The edit of each layer that has some of the neurons."""
        edits: Edits = {}
        for place, layer in enumerate(self.layers):
            inside = (change.neurons >= self._starts[place]) & (
                change.neurons < self._starts[place + 1]
            )
            mine = change.neurons[inside] - self._starts[place]
            if len(mine):
                edits[layer.address] = self._edit(layer, np.sort(mine), change)
        return edits

    def _edit(self, layer: NeuronLayer, mine: np.ndarray, change: Change) -> Edit:
        span = {"start_s": change.start_s, "stop_s": change.stop_s}
        dictionary = self.dictionaries.get(layer.address)
        if dictionary is not None:
            features = tuple(mine.tolist())
            return Clamp(
                ClampParams(features=features, strength=1 - change.gain, **span), dictionary
            )
        places = mine[:, None] * layer.n_places + np.arange(layer.n_places)
        channels = places.reshape(-1)
        around: list[list[float]] = []
        if change.around != "zero" and self.usual is not None:
            usual = self.usual.means if change.around == "mean" else self.usual.frames
            around = np.atleast_2d(usual[layer.address])[:, channels].tolist()
        return Gain(
            GainParams(
                channels=tuple(channels.tolist()), gain=change.gain,
                around=tuple(tuple(row) for row in around), **span,
            )
        )  # fmt: skip


def usual_of(
    model: AudioModel, layers: Sequence[NeuronLayer], batches: Sequence[Heard],
    rng: np.random.Generator, n_frames: int = 64,
) -> Usual:  # fmt: skip
    """Mean response vectors over clips, and some of their frames drawn alike from every batch.

    Of frames that begin within the sound, as they are counted and read; every clip counts alike.
    """
    addresses = [layer.address for layer in layers]
    sums: dict[str, np.ndarray] = {}
    drawn: dict[str, list[np.ndarray]] = {address: [] for address in addresses}
    n_clips, each = 0, -(-n_frames // max(len(batches), 1))
    for batch in batches:
        with torch.no_grad(), capture(model, addresses, stop=True) as heard:
            model.forward(batch.waveform)
        for address in addresses:
            values: Tensor = heard[address].values
            n_frames_of = valid_frames(values.shape[1], heard[address].time, batch.n_valid)
            clips = [clip[:n] for clip, n in zip(values, n_frames_of.tolist(), strict=True)]
            whole = torch.stack([clip.mean(0) for clip in clips]).sum(0)
            sums[address] = sums.get(address, 0.0) + whole.double().numpy()
            flat = torch.cat(clips)
            rows = rng.integers(0, len(flat), each)
            drawn[address].append(flat[torch.from_numpy(rows)].numpy())
        n_clips += len(batch.clip_ids)
    means = {address: total / n_clips for address, total in sums.items()}
    frames = {address: np.concatenate(parts)[:n_frames] for address, parts in drawn.items()}
    return Usual(means, frames)
