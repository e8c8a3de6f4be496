"""RAVE (Caillon & Esling 2021): exports in TorchScript, the only form in which it is shared."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from auscult.core.config import Config
from auscult.core.errors import CheckpointError, ConfigError
from auscult.models.base import MODELS, AudioModel, Codec, Tap, Weights
from auscult.models.stimulus import harmonic_noise
from auscult.models.torchscript import Export, ExportedMethod, redraw_tensors
from auscult.models.weights import shuffle_weights

_FIXED = ("pqmf", "spectrogram", "resampler")
"""Parts of an export that hold filters which nobody learned."""


class RaveNetwork(nn.Module):
    """The methods of an export that are used, and its tensors."""

    def __init__(self, export: Export) -> None:
        super().__init__()
        self.encode = ExportedMethod(export, export.method("encode"))
        self.decode = ExportedMethod(export, export.method("decode"))
        self.tensors = export.tensors()


@MODELS.register("rave")
class Rave(AudioModel):
    """RAVE, versions 1 to 3, as exported for nn~ with ``rave export``.

    Roles: ``latent`` (what ``encode`` says) and ``sound`` (what ``decode`` says, firing in
    ``codec.decode``). Layers inside a TorchScript module take no hooks and have no taps. Rate,
    channels, width and hop of the latents are the export's own (``sr``, ``encode_params``); what
    its frames hear is measured by the gradient. Latents of a variational export are means: its
    normal noise is zero, so that equal sounds have equal latents, and the dimensions that the
    export leaves out are decoded at their mean. The noise that its decoder filters is the same at
    every call. Streaming exports begin each clip in silence. Clips are filled up with silence to
    whole frames. Random weights keep the filter bank and the principal axes.
    """

    class Params(Config):
        """Which export."""

        checkpoint: str | None = None
        """The export, a ``.ts`` file."""
        trusted: bool = False
        """Whether it may run: TorchScript is a program, with your rights."""
        sample_rate: int | None = None
        """Samples per second, for an old export that does not say it."""

    def __init__(self, export: Export, sample_rate: int, weights: Weights) -> None:
        self.module = RaveNetwork(export).eval()
        self.network = self.module
        self.name = f"rave ({export.name})"
        self.weights = weights
        self.sample_rate = sample_rate
        said = [int(number) for number in export.script.encode_params]
        self.n_channels, _, self.d_latent, _ = said
        self.hop = said[3] // said[1]
        self.codec = Codec(self._encode, self._decode)

    @classmethod
    def build(cls, params: "Rave.Params", weights: Weights, seed: int) -> "Rave":
        """Load an export; shuffle or redraw its tensors.

        Raises:
            ConfigError: No file is given, nobody vouched for it, or its sample rate is unknown.
            CheckpointError: It is no export of RAVE, or says codes and no latents.
        """
        if params.checkpoint is None:
            raise ConfigError(
                "model: rave has no bundled weights; give checkpoint = a .ts file, as `rave "
                "export` makes it"
            )
        export = Export(Path(params.checkpoint).expanduser(), params.trusted)
        if not isinstance(getattr(export.script, "encode_params", None), Tensor):
            raise CheckpointError(f"{export.name} has no encode_params: it is no export for nn~")
        model = cls(export, _sample_rate(export, params.sample_rate), weights)
        if weights == "random":
            redraw_tensors(model.network.tensors, seed, _FIXED)
        elif weights == "shuffled":
            shuffle_weights(model.network.tensors, seed)
        _check(export, model)
        return model

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Encode; returns the latents."""
        return self._encode(waveform)

    def taps(self) -> list[Tap]:
        """Where Python calls the export."""
        return [Tap("encode", "latent", "bct"), Tap("decode", "sound", "bct", decodes=True)]

    def _encode(self, waveform: Tensor) -> Tensor:
        lacking = -waveform.shape[-1] % self.hop
        latents: Tensor = self.network.encode(F.pad(waveform, (0, lacking)))
        return latents

    def _decode(self, latents: Tensor) -> Tensor:
        waveform: Tensor = self.network.decode(latents)
        return waveform


def _sample_rate(export: Export, given: int | None) -> int:
    """What the export says of itself; versions name it differently."""
    said = [getattr(export.script, name, None) for name in ("sr", "sampling_rate", "sample_rate")]
    own = next((int(rate) for rate in said if isinstance(rate, int | float | Tensor)), None)
    if own is not None and given is not None and own != given:
        raise ConfigError(f"model.sample_rate says {given} Hz, {export.name} itself {own} Hz")
    rate = own or given
    if rate is None:
        raise ConfigError(f"model.sample_rate: {export.name} does not say at which rate it listens")
    return rate


def _check(export: Export, model: Rave) -> None:
    """Hear once, to learn what carries over from call to call and to see that it keeps its word.

    Raises:
        CheckpointError: Latents have another shape than promised, or are indices.
    """
    n_frames = max(8, -(-(2**14) // model.hop))
    sound = harmonic_noise(model.sample_rate, model.n_channels, n_frames * model.hop)
    latents = export.watch_state(model.network.encode.method, sound)
    if latents.shape != (1, model.d_latent, n_frames):
        raise CheckpointError(
            f"{export.name} promises {model.d_latent} latents every {model.hop} samples and gives "
            f"{list(latents.shape)} for {sound.shape[-1]} samples"
        )
    if torch.equal(latents, latents.round()) and bool(latents.any()):
        raise CheckpointError(
            f"{export.name} says codes (a discrete RAVE): numbers of entries, whose "
            f"tables it keeps to itself, are no latents"
        )
    export.watch_state(model.network.decode.method, latents)
