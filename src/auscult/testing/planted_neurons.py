"""A network whose class neurons are known, and the sounds that they are neurons of."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from auscult.measures.firing import Heard
from auscult.testing.known_answer import KnownModel, as_model

RATE = 8_000
FRAME = 64
N_BANDS = 24


class Block(nn.Module):
    """An MLP whose activation is a function: only what comes into ``narrow`` shows its neurons."""

    def __init__(self, n_classes: int, width: int) -> None:
        super().__init__()
        self.wide = nn.Linear(N_BANDS, width)
        self.narrow = nn.Linear(width, n_classes, bias=False)

    def forward(self, bands: Float[Tensor, "batch frame band"]) -> Tensor:
        """Rectify in place, too late for any hook on the layer before."""
        hidden = self.wide(bands)
        functional.relu_(hidden)
        said: Tensor = self.narrow(hidden)
        return said


class PlantedNeurons(nn.Module):
    """Band levels, two MLPs on them, and the mean of what both say of each class.

    A few neurons of each MLP are on exactly when the band of one class sounds, and they alone reach
    the class's output. The others listen to bands of distractors, which come with any class.

    Args:
        n_classes: At most 10.
        width: Neurons of each MLP.
        n_each: Of them, for each class.
        seed: Of the others' weights.
    """

    def __init__(
        self, n_classes: int = 8, width: int = 200, n_each: int = 3, seed: int = 0
    ) -> None:
        super().__init__()
        times = torch.arange(FRAME) / FRAME
        angles = 2 * torch.pi * times * torch.arange(2, 2 + N_BANDS)[:, None]
        waves = torch.cat([torch.cos(angles), torch.sin(angles)])[:, None] * 2 / FRAME
        self.register_buffer("waves", waves)
        self.first = Block(n_classes, width)
        self.second = Block(n_classes, width)
        self.classes = nn.Linear(n_classes, n_classes, bias=False)
        rng = np.random.default_rng(seed)
        self.planted = torch.zeros(2, width, n_classes, dtype=torch.bool)
        with torch.no_grad():
            self.classes.weight.copy_(torch.eye(n_classes))
            for place, block in enumerate((self.first, self.second)):
                self._plant(block, place, n_each, rng)

    def _plant(self, block: Block, place: int, n_each: int, rng: np.random.Generator) -> None:
        width, n_classes = block.wide.out_features, block.narrow.out_features
        # A neuron without a class hears the last bands, and is on for a share of the clips. One
        # that is always on would push the bar of the published rule to 1, which nothing exceeds;
        # one that hardly ever is would have the least entropy of all.
        weights = np.zeros((width, N_BANDS))
        weights[:, 12:] = rng.uniform(-1, 1, (width, N_BANDS - 12))
        bias = rng.uniform(-0.1, -0.01, width)
        own = rng.permutation(width)[: n_each * n_classes].reshape(n_classes, n_each)
        block.narrow.weight.zero_()
        for label, neurons in enumerate(own):
            weights[neurons] = 0
            weights[neurons, label] = 1
            bias[neurons] = -0.1
            block.narrow.weight[label, neurons] = 1.0 / n_each
            self.planted[place, neurons, label] = True
        block.wide.weight.copy_(torch.from_numpy(weights))
        block.wide.bias.copy_(torch.from_numpy(bias))

    def forward(self, x: Float[Tensor, "batch 1 time"]) -> Float[Tensor, "batch n_classes"]:
        """What each class is given, averaged over frames."""
        waves = torch.as_tensor(self.waves)
        cosine, sine = functional.conv1d(x, waves, stride=FRAME).split(N_BANDS, 1)  # type: ignore[no-untyped-call]
        level = (cosine.square() + sine.square()).sqrt().transpose(1, 2)
        logits: Tensor = self.classes((self.first(level) + self.second(level)).mean(1))
        return logits

    def truth(self) -> Bool[np.ndarray, "neuron class"]:
        """Which neuron belongs to which class, both MLPs side by side."""
        return np.asarray(self.planted.flatten(0, 1).numpy())


def planted_model(**given: int) -> KnownModel:
    """The network as an audio model; its neurons are what comes into ``….narrow``."""
    return as_model(PlantedNeurons(**given), RATE)


@dataclass(frozen=True)
class LabelledClips:
    """Clips with their classes.

    Attributes:
        heard: The clips, each its own recording.
        labels: Class of each.
    """

    heard: Heard
    labels: Int[np.ndarray, " clip"]


def planted_clips(
    n_each: int = 12, n_classes: int = 8, n_frames: int = 10, seed: int = 0
) -> LabelledClips:
    """A tone in the band of the class, two in bands of distractors, and some noise."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_classes), n_each)
    time = np.arange(n_frames * FRAME) / FRAME
    waves = rng.normal(0, 0.01, (len(labels), len(time)))
    for wave, label in zip(waves, labels, strict=True):
        for band in (label, *rng.choice(np.arange(12, N_BANDS), 2, replace=False)):
            phase = rng.uniform(0, 2 * np.pi)
            wave += rng.uniform(0.3, 0.5) * np.cos(2 * np.pi * (band + 2) * time + phase)
    names = tuple(f"clip-{place:03d}" for place in range(len(labels)))
    waveform = torch.from_numpy(waves[:, None].astype(np.float32))
    return LabelledClips(Heard(waveform, names, names, (len(time),) * len(labels)), labels)
