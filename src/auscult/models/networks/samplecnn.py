"""Sample-level convolutional networks: SampleCNN and its toy version.

Sources:
    J. Lee, J. Park, K. L. Kim, J. Nam, "Sample-level Deep Convolutional Neural Networks for Music
    Auto-tagging Using Raw Waveforms", SMC 2017, section 3 (the 3^9 model on 59,049 samples).
    Initial values: K. He et al., "Delving Deep into Rectifiers", ICCV 2015, section 2.2.

A block is convolution, batch normalisation, rectifier and (but for the first) max pooling by three,
each a module of its own and none in place, so that a tap can read `blocks.3.conv`,
`blocks.3.norm`, `blocks.3.act` or `blocks.3.pool` and find what the name says.

The last feature map is averaged over the time that remains. On a clip of exactly `input_samples`
that average has the one frame (SampleCNN) or the three frames (ToySampleCNN) of the definition;
longer clips give more frames to the same average.
"""

from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

KERNEL = 3
POOL = 3


class Block(nn.Module):
    """`pool(act(norm(conv(x))))`, the unit that both networks repeat.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        kernel: Length of the filters. A stride-one filter is padded to keep the length ("same").
        stride: Hop of the convolution. A strided convolution is not padded ("valid").
        pool: Width and hop of the max pooling; 1 leaves it out (`pool` is then an identity).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = KERNEL,
        stride: int = 1,
        pool: int = POOL,
    ) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv1d(in_channels, out_channels, kernel, stride=stride, padding=padding)
        self.norm = nn.BatchNorm1d(out_channels)
        self.act = nn.ReLU()
        self.pool: nn.Module = nn.MaxPool1d(pool) if pool > 1 else nn.Identity()

    def forward(
        self, x: Float[Tensor, "batch in_channels in_time"]
    ) -> Float[Tensor, "batch out_channels out_time"]:
        """Run the four modules in order."""
        pooled: Tensor = self.pool(self.act(self.norm(self.conv(x))))
        return pooled


class SampleCNN(nn.Module):
    """SampleCNN on 59,049 samples (Lee et al. 2017, section 3): waveform in, tag probabilities out.

    | block | layer                            | frames x channels on 59,049 samples |
    |-------|----------------------------------|-------------------------------------|
    | 0     | conv 3, stride 3                 | 19683 x 128                         |
    | 1, 2  | conv 3, max pool 3               | 6561, 2187 x 128                    |
    | 3 - 8 | conv 3, max pool 3               | 729 ... 3 x 256                     |
    | 9     | conv 3, max pool 3               | 1 x 512                             |
    | 10    | conv 1, then dropout 0.5         | 1 x 512                             |
    | tags  | linear, then sigmoid             | n_tags                              |

    The taps `tags` and `sigmoid` hold the logits and the probabilities.

    Args:
        n_tags: Number of tags. The published model has 50.
        dropout: Share of channels dropped before the tag layer while training.
    """

    sample_rate: ClassVar[int] = 22_050
    input_samples: ClassVar[int] = 3**10
    min_samples: ClassVar[int] = 3**10
    channels: ClassVar[tuple[int, ...]] = (128, 128, 128, *(256,) * 6, 512)

    def __init__(self, n_tags: int = 50, *, dropout: float = 0.5) -> None:
        super().__init__()
        sizes = self.channels
        blocks = [Block(1, sizes[0], stride=3, pool=1)]
        blocks += [Block(a, b) for a, b in pairwise(sizes)]
        blocks += [Block(sizes[-1], sizes[-1], kernel=1, pool=1)]
        self.blocks = nn.ModuleList(blocks)
        self.dropout = nn.Dropout(dropout)
        self.average = nn.AdaptiveAvgPool1d(1)
        self.tags = nn.Linear(sizes[-1], n_tags)
        self.sigmoid = nn.Sigmoid()
        initialise(self)

    def forward(self, x: Float[Tensor, "batch channel=1 time"]) -> Float[Tensor, "batch n_tags"]:
        """Probability of each tag, from at least `min_samples` samples at 22,050 Hz."""
        for block in self.blocks:
            x = block(x)
        x = self.average(self.dropout(x)).squeeze(-1)
        probabilities: Tensor = self.sigmoid(self.tags(x))
        return probabilities


class ToySampleCNN(nn.Module):
    """A SampleCNN for a processor: 3^9 samples (0.89 s at 22,050 Hz) in, class logits out.

    Block 0 has 32 filters of length three. With `stride=3` they do not overlap, as in SampleCNN;
    with `stride=1` they see every sample and a max pooling by three follows, so that all later
    blocks run at the same rates and only the overlap of the first filters differs. Blocks 1 - 7
    are conv 3 and max pool 3 with 32, 32, 64, 64, 128, 128 and 256 channels; block 8 is conv 1
    with 256. Dropout, the average over frames and a linear layer (`classes`) follow.

    Args:
        stride: Hop of the first convolution, 3 or 1.
        n_classes: Number of classes.
        dropout: Share of channels dropped before the class layer while training.

    Raises:
        ValueError: If `stride` is neither 3 nor 1.
    """

    sample_rate: ClassVar[int] = 22_050
    input_samples: ClassVar[int] = 3**9
    min_samples: ClassVar[int] = 3**8
    channels: ClassVar[tuple[int, ...]] = (32, 32, 32, 64, 64, 128, 128, 256)

    def __init__(self, stride: int = 3, *, n_classes: int = 8, dropout: float = 0.5) -> None:
        if stride not in (1, 3):
            raise ValueError(f"ToySampleCNN knows stride 3 and stride 1, not {stride}.")
        super().__init__()
        sizes = self.channels
        blocks = [Block(1, sizes[0], stride=stride, pool=POOL // stride)]
        blocks += [Block(a, b) for a, b in pairwise(sizes)]
        blocks += [Block(sizes[-1], sizes[-1], kernel=1, pool=1)]
        self.blocks = nn.ModuleList(blocks)
        self.dropout = nn.Dropout(dropout)
        self.average = nn.AdaptiveAvgPool1d(1)
        self.classes = nn.Linear(sizes[-1], n_classes)
        initialise(self)

    def forward(self, x: Float[Tensor, "batch channel=1 time"]) -> Float[Tensor, "batch n_classes"]:
        """Logit of each class, from at least `min_samples` samples at 22,050 Hz."""
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.classes(self.average(self.dropout(x)).squeeze(-1))
        return logits


@torch.no_grad()
def initialise(network: nn.Module) -> None:
    """Draw every filter He-uniform and set its bias to zero (He et al. 2015, section 2.2).

    Uniform on +-sqrt(6 / fan_in), so that a rectified layer keeps the variance of its input.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Linear):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
