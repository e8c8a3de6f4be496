"""Any tap as a model of the HEAR benchmark, so that what measures embeddings measures taps.

HEAR (Holistic Evaluation of Audio Representations, NeurIPS 2021) asks a module for three functions;
this module has them. ``load_model`` takes a TOML file with a ``[model]`` section as in a spec and a
``tap``::

    tap = "latent"

    [model]
    type = "mini-encodec"
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from auscult.core.config import read_toml
from auscult.core.errors import ConfigError
from auscult.experiment.start import build_model
from auscult.models.base import AudioModel
from auscult.taps.capture import run_capture
from auscult.taps.point import resolve
from auscult.taps.probe import time_base


@final
class TapEmbedding(nn.Module):
    """One tap of a model, as HEAR sees models.

    Attributes:
        sample_rate: Of the audio that it takes, in Hz.
        timestamp_embedding_size: Width of a frame's embedding.
        scene_embedding_size: Width of a sound's embedding: the same, it is the mean over frames.
    """

    def __init__(self, model: AudioModel, tap: str) -> None:
        super().__init__()
        found = resolve(model, [tap])
        if len(found) != 1:
            names = ", ".join(one.address for one in found)
            raise ConfigError(f"{tap!r} must be one tap for HEAR, it is {names}")
        self.tap = found[0].address
        self.model = model
        self.network = model.module
        self.time = time_base(model, found[0].point)
        self.sample_rate = model.sample_rate
        width = self.embed(torch.zeros(1, max(model.probe_samples, model.sample_rate))).shape[-1]
        self.timestamp_embedding_size = self.scene_embedding_size = int(width)

    def embed(self, audio: Float[Tensor, "sound time"]) -> Float[Tensor, "sound frame d"]:
        """Response vectors of some sounds."""
        batch = audio[:, None].expand(-1, self.model.n_channels, -1).contiguous()
        values: Tensor = run_capture(self.model, batch, [self.tap])[self.tap].values
        return values.float()


def load_model(model_file_path: str | Path | Mapping[str, Any]) -> TapEmbedding:
    """Build the model that a TOML file (or a mapping) names, with the tap that it names.

    Raises:
        ConfigError: The file lacks ``tap`` or ``[model]``.
        TapError: The model has no such tap.
    """
    given: Mapping[str, Any] = (
        model_file_path
        if isinstance(model_file_path, Mapping)
        else read_toml(Path(model_file_path))
    )
    for key in ("tap", "model"):
        if key not in given:
            raise ConfigError(f"a HEAR model needs {key!r}: a tap's address and a [model] section")
    return TapEmbedding(build_model(dict(given["model"])), str(given["tap"]))


def get_timestamp_embeddings(
    audio: Float[Tensor, "sound time"], model: TapEmbedding
) -> tuple[Float[Tensor, "sound frame d"], Float[Tensor, "sound frame"]]:
    """Embed every frame of some sounds.

    Args:
        audio: Mono sounds of one length at the model's rate, in [-1, 1].
        model: From :func:`load_model`.

    Returns:
        Embeddings, and the time of each in milliseconds: the middle of the frame's own hop, which
        is the stretch that labels of a frame are taken from. A causal network has also heard what
        came before.
    """
    embeddings = model.embed(audio)
    hop_ms = 1000 * float(model.time.hop) / model.sample_rate
    times = (torch.arange(embeddings.shape[1], dtype=torch.float32) + 0.5) * hop_ms
    return embeddings, times.expand(len(audio), -1)


def get_scene_embeddings(
    audio: Float[Tensor, "sound time"], model: TapEmbedding
) -> Float[Tensor, "sound d"]:
    """Embed whole sounds: the mean over their frames."""
    return model.embed(audio).mean(dim=1)
