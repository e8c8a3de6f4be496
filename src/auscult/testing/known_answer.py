"""Tiny networks of which every answer is known.

And a wrapper that makes any of them an audio model.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from auscult.models.base import AudioModel, Layout, Side, Tap
from auscult.models.survey import survey


class KnownModel(AudioModel):
    """Any module as an audio model; its taps are whatever fires, without roles."""

    def __init__(
        self, module: nn.Module, sample_rate: int, layouts: Mapping[str, Layout] | None = None
    ) -> None:
        self.module = module.eval()
        self.name = type(module).__name__
        self.sample_rate = sample_rate
        self._layouts = dict(layouts or {})
        self._taps: list[Tap] | None = None

    @classmethod
    def build(cls, params: Any, weights: Any, seed: int) -> "KnownModel":
        """Not made from a spec."""
        raise NotImplementedError(f"{cls.__name__} is made by as_model: {params, weights, seed}")

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Run the module."""
        return self.module(waveform)

    def taps(self) -> list[Tap]:
        """Every module that fires."""
        if self._taps is None:
            sound = torch.zeros(1, self.n_channels, self.sample_rate)
            with torch.no_grad():
                fired = survey(self.module, lambda: self.forward(sound))
            self._taps = [Tap(f.path, layout=self._layouts.get(f.path)) for f in fired if f.path]
        return self._taps

    def time_base(self, tap: Tap, side: Side = "out") -> None:
        """Declare nothing: it is measured."""
        del tap, side


def as_model(
    module: nn.Module, sample_rate: int, layouts: Mapping[str, Layout] | None = None
) -> KnownModel:
    """Make an audio model of any module that hears ``[batch 1 time]``."""
    return KnownModel(module, sample_rate, layouts)


class InPlace(nn.Module):
    """A convolution whose output the next module overwrites."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 5)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "batch 1 time"]) -> Float[Tensor, "batch 4 frame"]:
        """Convolve, then rectify in place."""
        rectified: Tensor = self.relu(self.conv(x))
        return rectified


class CalledThrice(nn.Module):
    """One rectifier that serves three convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(1 if i == 0 else 4, 4, 3) for i in range(3))
        self.relu = nn.ReLU()

    def forward(self, x: Float[Tensor, "batch 1 time"]) -> Float[Tensor, "batch 4 frame"]:
        """Convolve and rectify three times."""
        for conv in self.convs:
            x = self.relu(conv(x))
        return x


class Attending(nn.Module):
    """Frames of 16 samples through torch's own attention, whose ``out_proj`` never fires."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = nn.Conv1d(1, 8, 16, 16)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Float[Tensor, "batch 1 time"]) -> Float[Tensor, "batch frame 8"]:
        """Attend over the whole clip."""
        frames = self.frames(x).transpose(1, 2)
        mixed: Tensor = self.attention(frames, frames, frames)[0]
        return mixed


class CellPerFrame(nn.Module):
    """A recurrent cell that is called once for each frame of 8 samples and returns a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(8, 6)
        # A cell that forgets would let the gradient of the far past fall below the smallest number.
        with torch.no_grad():
            self.cell.bias_ih[6:12] += 6.0

    def forward(self, x: Float[Tensor, "batch 1 time"]) -> Float[Tensor, "batch frame 6"]:
        """Step through the frames."""
        state, said = None, []
        for frame in x[:, 0].unfold(-1, 8, 8).unbind(1):
            state = self.cell(frame, state)
            said.append(state[0])
        return torch.stack(said, 1)


class Windowed(nn.Module):
    """Windows of 32 samples folded into the batch: a hook sees ``batch * windows`` items."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 4, 4)

    def forward(self, x: Float[Tensor, "batch 1 time"]) -> Float[Tensor, "batch window 4"]:
        """Convolve each window by itself."""
        windows = x[:, 0].unfold(-1, 32, 32)
        hidden = self.conv(windows.flatten(0, 1)[:, None])
        means: Tensor = hidden.mean(-1).unflatten(0, windows.shape[:2])
        return means


class Functional(nn.Module):
    """A linear layer whose weights are used through a function: its hook never fires."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 5)

    def forward(self, x: Float[Tensor, "batch 1 time"]) -> Float[Tensor, "batch 4 frame"]:
        """Convolve by function."""
        return functional.conv1d(x, self.conv.weight, self.conv.bias)


class Quantiser(nn.Module):
    """Nearest codewords, reached through ``encode`` and ``decode`` as in EnCodec."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(16, 4))

    def encode(self, z: Float[Tensor, "batch 4 frame"]) -> Tensor:
        """Indices ``[batch frame]``."""
        return torch.cdist(z.transpose(1, 2), self.table.expand(len(z), -1, -1)).argmin(-1)

    def decode(self, codes: Tensor) -> Float[Tensor, "batch 4 frame"]:
        """Codewords."""
        return self.table[codes].transpose(1, 2)


class TinyCodec(nn.Module):
    """Strided convolution, quantiser, transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv1d(1, 4, 8, 4)
        self.quantiser = Quantiser()
        self.decoder = nn.ConvTranspose1d(4, 1, 8, 4)

    def forward(self, x: Float[Tensor, "batch 1 time"]) -> Float[Tensor, "batch 1 time2"]:
        """There and back."""
        decoded: Tensor = self.decoder(
            self.quantiser.decode(self.quantiser.encode(self.encoder(x)))
        )
        return decoded
