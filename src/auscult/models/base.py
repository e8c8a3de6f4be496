"""What every model offers, and the registry of families."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from jaxtyping import Float
from torch import Tensor, nn

from auscult.core.config import Config
from auscult.core.errors import ConfigError
from auscult.core.registry import Registry
from auscult.core.timebase import TimeBase

if TYPE_CHECKING:
    from auscult.models.generation import Generator

MODELS: Registry["AudioModel"] = Registry("model", "auscult.models")

Weights = Literal["trained", "random", "shuffled"]

Layout = Literal["bct", "btc", "tbc", "bcft", "bctf", "bc", "bt"]
"""Order of a tensor's axes: b batch, c channel, t time, f frequency.

Channel and frequency together make the
response vector; ``bc`` has no time: one vector for the whole clip (or for a frame folded into the
batch); ``bt`` has one number a frame (the indices of a quantiser's level)."""


@dataclass(frozen=True)
class TokenGrid:
    """How the tokens of a transformer lie over time and frequency.

    A network that cuts a spectrogram into patches numbers them row by row (a row is a band over
    the whole clip), so that its order of tokens is not the order of time. Read by a grid, a patch
    is a frame: patches come column by column, bands of a column from the first row to the last,
    and tokens that stand for no place are left out. The tensor is ``[batch token channel]``, or
    ``[batch channel row column]`` before its patches are put in a row.

    Attributes:
        n_rows: Bands, the patches of one column.
        n_prefix: Tokens before the first patch (class, distillation).
        n_chunks: Stretches of time that stand below one another (CLAP folds its spectrogram into a
            square): the network's rows are ``n_chunks * n_rows``, later stretches further down.
    """

    n_rows: int
    n_prefix: int = 0
    n_chunks: int = 1


Side = Literal["in", "out", "codes"]


@dataclass(frozen=True)
class Method:
    """Where a side of a tap is found when the module's ``forward`` does not pass it.

    EnCodec's and Mimi's quantisers are called through ``encode`` and ``decode``; hooks on them
    never fire.

    Attributes:
        name: The method, wrapped while a capture or an edit is active.
        takes: Whether the values are its first argument or what it returns.
        pick: Takes the tensor out of what the method receives or returns; identity when None. An
            edit can only be put back where nothing has to be picked.
        owner: Path of the module that has the method; the tap's own path when "".
        during: Count a call only while this method runs, as ``module.path.method``: EnCodec decodes
            each level once while it encodes (to find what is left over) and once more when it
            decodes.
    """

    name: str
    takes: Literal["argument", "result"] = "result"
    pick: Callable[[Any], Tensor] | None = None
    owner: str = ""
    during: str = ""


@dataclass(frozen=True)
class Tap:
    """A named place of a model.

    Attributes:
        path: Dotted path of a module; "" is the network itself.
        role: The family's own name for it (``conv.0``, ``block.7.mlp.act``, ``latent``, ``rvq.2``),
            or "".
        layout: Order of axes of its values, how its tokens lie over time and frequency, or None to
            judge by the kind of module.
        methods: Where its sides are, for those that are not the module's ``forward``.
        decodes: Whether it fires only while latents are turned back into sound.
    """

    path: str
    role: str = ""
    layout: Layout | TokenGrid | None = None
    methods: Mapping[Side, Method] = field(default_factory=dict)
    decodes: bool = False


@dataclass(frozen=True)
class Codec:
    """What a codec can do beyond hearing.

    Attributes:
        encode: Waveform ``[batch channel time]`` to continuous latents ``[batch d_latent frame]``.
        quantise: Latents to the latents that its codes stand for; None for an autoencoder without
            codes.
        decode: Latents to waveform; trim to the input's length before comparing.
        codebooks: One table ``[n_codes d_code]`` per quantiser level, by the level's role.
        codes: Latents to indices ``[batch level frame]``; None where there are none, or where the
            model gives them no way out.
        from_codes: Indices of the first so many levels to the latents that they stand for.
    """

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    quantise: Callable[[Tensor], Tensor] | None = None
    codebooks: Mapping[str, Tensor] = field(default_factory=dict)
    codes: Callable[[Tensor], Tensor] | None = None
    from_codes: Callable[[Tensor], Tensor] | None = None


class AudioModel(ABC):
    """A module plus what its weights do not tell. Families implement this.

    Nothing overrides anything concrete.

    Attributes:
        module: The network, in eval mode.
        name: For people and manifests.
        sample_rate: Samples per second that it listens at.
        n_channels: Channels that it listens to.
        weights: Which weights it carries.
        codec: How to go to latents and back, for codecs and autoencoders.
        generator: How it makes sound in steps, for models that do; its codec decodes them.
        labels: Name of each class, for classifiers whose :meth:`forward` returns logits or
            probabilities.
        probe_samples: Length of a clip that suits the model, for probes; shorter ones may be
            refused by it. 0 leaves the choice to the probe.
        clip_samples: Length of the clips that a run feeds it, 0 where they have several: what is
            said once a clip lies in the middle of one.
    """

    registered_name: ClassVar[str] = ""
    Params: ClassVar[type[Config]] = Config

    module: nn.Module
    name: str
    sample_rate: int
    n_channels: int = 1
    weights: Weights = "trained"
    codec: Codec | None = None
    generator: "Generator | None" = None
    labels: tuple[str, ...] = ()
    probe_samples: int = 0
    clip_samples: int = 0

    @classmethod
    @abstractmethod
    def build(cls, params: Any, weights: Weights, seed: int) -> "AudioModel":
        """Make the model; ``random`` draws its weights afresh under ``seed``.

        ``shuffled`` permutes each tensor.
        """

    @abstractmethod
    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Run the whole model on sound at its own rate: every tap of stage ``encode`` fires."""

    @abstractmethod
    def taps(self) -> list[Tap]:
        """Every tap that has a role, in the order in which sound passes them."""

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:  # noqa: ARG002
        """The declared time base of a tap (tested against the gradient).

        None to have it measured.
        """
        return None


def model_part(section: Mapping[str, Any]) -> tuple[type[AudioModel], Config, Weights]:
    """Read a ``[model]`` section; ``weights`` may also be a folder or a hub name.

    Raises:
        ConfigError: A key is unknown or lacking.
        UnknownNameError: There is no such family.
    """
    rest = dict(section)
    weights = rest.pop("weights", "trained")
    if weights not in get_args(Weights):
        _expect_checkpoint(rest.get("type"), weights)
        rest["checkpoint"] = weights
        weights = "trained"
    cls, params = MODELS.parse(rest, "model")
    return cls, params, weights


def _expect_checkpoint(family: Any, weights: Any) -> None:
    """Refuse a folder or a hub name as the weights of a family that reads none."""
    if family in MODELS.names() and "checkpoint" not in MODELS.get(family).Params.model_fields:
        raise ConfigError(
            f"model.weights: {family} reads no checkpoint, so its weights are trained, random or "
            f"shuffled, not {weights!r}"
        )
