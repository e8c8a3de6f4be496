"""EnCodec at 24 and 48 kHz through transformers."""

from typing import Any

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from auscult.core.config import Config
from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS, AudioModel, Side, Tap, Weights
from auscult.models.hub import transformers_codec
from auscult.models.seanet import Seanet

_PUBLISHED: dict[str, dict[str, Any]] = {
    "facebook/encodec_24khz": {},
    "facebook/encodec_48khz": {
        "sampling_rate": 48_000,
        "audio_channels": 2,
        "normalize": True,
        "chunk_length_s": 1.0,
        "overlap": 0.01,
        "norm_type": "time_group_norm",
        "use_causal_conv": False,
        "target_bandwidths": [3.0, 6.0, 12.0, 24.0],
    },
}


@MODELS.register("encodec")
class Encodec(AudioModel):
    """EnCodec (Défossez et al. 2022).

    Convolutions, an LSTM, a residual quantiser, and the same way back.

    Roles: ``conv.N``, ``res.N``, ``lstm``, ``latent`` (before the quantiser), ``rvq.N`` (``in`` is
    what the levels before left over, ``codes`` its indices, ``out`` the vector they stand for),
    ``latent.q``, and ``decoder.conv.N``, ``decoder.lstm``, ``decoder.up.N``, ``decoder.res.N``,
    which fire in ``codec.decode``. At 48 kHz every layer is normalised over the whole segment of
    one second, so each frame hears all of it.
    """

    class Params(Config):
        """Which EnCodec."""

        checkpoint: str = "facebook/encodec_24khz"
        """A hub name, or a local folder with config.json and model.safetensors."""
        bandwidth_kbps: float | None = Field(default=None, gt=0)
        """How many levels of the quantiser take part, as a bit rate; all of them when not given."""
        config: dict[str, Any] = {}
        """Changes of the configuration (for instance num_filters = 8), for random weights only."""

    def __init__(self, seanet: Seanet, name: str, weights: Weights) -> None:
        self.seanet = seanet
        self.module = seanet.module
        self.name = name
        self.weights = weights
        self.sample_rate = seanet.sample_rate
        self.n_channels = seanet.n_channels
        self.probe_samples = seanet.longest_samples or 0
        self.codec = seanet.codec()

    @classmethod
    def build(cls, params: "Encodec.Params", weights: Weights, seed: int) -> "Encodec":
        """Load, shuffle or draw afresh.

        The tables of an untrained quantiser are fitted to its latents.

        Raises:
            MissingExtraError: transformers is not installed.
            CheckpointError: The checkpoint cannot be loaded or does not fit.
            ConfigError: Changes of the configuration that do not go with the weights, or are
                unknown.
        """
        asked = params.checkpoint, params.config
        module = transformers_codec("Encodec", *asked, _PUBLISHED, weights, seed)
        seanet = Seanet(module, params.bandwidth_kbps)
        if weights != "trained":
            seanet.fill(seed)
        return cls(seanet, params.checkpoint, weights)

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Encode and quantise; returns the quantised latents."""
        return self.seanet.quantise(self.seanet.encode(waveform))

    def taps(self) -> list[Tap]:
        """In the order in which sound passes them."""
        return self.seanet.taps()

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """By composition through the layers; layers within residual blocks are measured."""
        return self.seanet.times.get((tap.path, side))
