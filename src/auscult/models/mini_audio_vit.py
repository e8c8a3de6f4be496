"""The bundled miniature of an audio ViT: masked modelling, and its supervised twin."""

import json
from pathlib import Path
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from auscult.core.config import Config
from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS, AudioModel, Side, Tap, Weights
from auscult.models.networks.audio_vit import LOG_MEL_16K as MEL
from auscult.models.networks.audio_vit import AudioVit, VitShape
from auscult.models.patch_vit import check_length, redraw_vit, shuffle_vit, vit_taps, vit_times
from auscult.models.weights import load_strict, read_checkpoint

BUNDLED = Path(__file__).parent / "bundled"
SHAPE = VitShape(80, 160, (16, 16), d_model=192, n_blocks=6, n_heads=6, d_mlp=768)


@MODELS.register("mini-audio-vit")
class MiniAudioVit(AudioModel):
    """M2D's architecture at a tenth of its sizes: 6 blocks of width 192 with 768 neurons each.

    One of two that were trained on the same sounds: ``masked`` has learnt to fill in three quarters
    of a log-mel spectrum and nothing else, ``supervised`` to name what sounds, and never at which
    pitch. Roles are those of ``m2d``. Clips of up to 1.6 s.
    """

    class Params(Config):
        """Which of the two."""

        training: Literal["masked", "supervised"] = "masked"
        """What it was trained to do."""

    def __init__(
        self, module: AudioVit, name: str, weights: Weights, labels: tuple[str, ...]
    ) -> None:
        self.module = module
        self.vit = module
        self.name = name
        self.weights = weights
        self.labels = labels
        self.sample_rate = MEL.sample_rate
        self.probe_samples = module.longest_samples
        self._times = vit_times(module)

    @classmethod
    def build(cls, params: "MiniAudioVit.Params", weights: Weights, seed: int) -> "MiniAudioVit":
        """Make the network with its bundled, shuffled or random weights."""
        supervised = params.training == "supervised"
        name = "mini-audio-vit-supervised" if supervised else "mini-audio-vit"
        labels = _labels() if supervised else ()
        module = AudioVit(SHAPE, MEL, len(labels)).eval()
        load_strict(module, read_checkpoint(BUNDLED / f"{name}.safetensors"), name)
        if weights == "random":
            redraw_vit(module, seed)
        elif weights == "shuffled":
            shuffle_vit(module, seed)
        return cls(module, name, weights, labels)

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Tensor:
        """Features ``[batch column d_in]``; of the supervised twin the logit of each label.

        Raises:
            AudioError: The clips are longer than 1.6 s, or empty.
        """
        check_length(self.vit, waveform)
        features: Tensor = self.module(waveform)
        return features

    def taps(self) -> list[Tap]:
        """In the order in which sound passes them."""
        return vit_taps(self.vit)

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """By composition; behind attention every frame hears the whole clip."""
        return self._times.get((tap.path, side))


def _labels() -> tuple[str, ...]:
    text = (BUNDLED / "mini-audio-vit-labels.json").read_text(encoding="utf-8")
    return tuple(json.loads(text))
