"""A model's own task, and what it loses by a change at a tap: a dictionary's or an ablation's.

Of a codec the task is the sound that it gives back, of a classifier its classes. A loss compares an
output with a reference: the model's own unchanged output (how much does the change show?) or the
truth (the sound that went in, the label: how much worse does the model get?). Nothing is copied
from the model and nothing left in it; gradients reach whatever the edits are made of.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from auscult.core.distances import log_mel_distance_db, si_sdr_db, stft_distance
from auscult.core.errors import AudioError, ConfigError, UnknownNameError
from auscult.models.base import AudioModel, Codec
from auscult.models.stimulus import harmonic_noise
from auscult.models.structures import first_tensor
from auscult.taps.capture import EditFunction, intervene
from auscult.taps.point import TapPoint

Scores = Literal["logits", "probabilities", "independent"]
"""What a classifier returns: one class of many as logits or probabilities, or a probability for
each class by itself."""

NEPER_DB = 8.685889638065037
"""Decibels of a neper: turns a level difference into one of natural logarithms of amplitudes."""


@dataclass(frozen=True)
class TaskLoss:
    """What an output lacks, clip by clip.

    Attributes:
        total: What is minimised; 0 where nothing is lacking.
        parts: What it is made of and what else can be said, by name with its unit.
    """

    total: Float[Tensor, " clip"]
    parts: Mapping[str, Float[Tensor, " clip"]]


class OwnTask(ABC):
    """What a model is for, as a loss between two of its outputs.

    Attributes:
        model: The model; in eval mode, never trained.
        name: What is lost, for people.
        units: Of each part of the loss.
    """

    name: str
    units: Mapping[str, str]

    def __init__(self, model: AudioModel) -> None:
        self.model = model

    @final
    def output(
        self,
        waveform: Float[Tensor, "clip channel time"],
        edits: Mapping[str | TapPoint, EditFunction] | None = None,
    ) -> Float[Tensor, "..."]:
        """Run the model, with edits at some of its taps; gradients reach the edits alone.

        Raises:
            TapError: A tap is ambiguous, does not fire on the way, or can be read only.
        """
        with _held_fixed(self.model.module), intervene(self.model, edits or {}):
            return self._run(waveform)

    @abstractmethod
    def _run(self, waveform: Float[Tensor, "clip channel time"]) -> Float[Tensor, "..."]:
        """Once through the model."""

    @abstractmethod
    def loss(self, output: Float[Tensor, "..."], reference: Float[Tensor, "..."]) -> TaskLoss:
        """How far an output is from a reference.

        Another output, or :meth:`truth`.
        """

    @abstractmethod
    def truth(
        self, waveform: Float[Tensor, "clip channel time"], labels: Sequence[str] = ()
    ) -> Float[Tensor, "..."]:
        """What a model without fault would give back."""


@final
class CodecTask(OwnTask):
    """Give the sound back: log mel and multi-resolution spectral distance of what is decoded.

    The total adds the log mel distance in nepers to the two spectral ones of
    :func:`auscult.core.distances.stft_distance`; SI-SDR is told beside it. Sound goes through the
    quantiser where there is one. A quantiser without a slope passes gradients on as they come
    (straight through, van den Oord et al. 2017), as codecs are trained.
    """

    name = "distance of the decoded sound"
    units = {"log mel": "dB", "convergence": "", "log magnitude": "", "SI-SDR": "dB"}

    def __init__(self, model: AudioModel, codec: Codec) -> None:
        super().__init__(model)
        self._codec = codec

    def _run(self, waveform: Float[Tensor, "clip channel time"]) -> Float[Tensor, "..."]:
        """Encode, quantise, decode."""
        latents = self._codec.encode(waveform)
        if self._codec.quantise is not None:
            quantised = self._codec.quantise(latents)
            slope = latents.requires_grad and not quantised.requires_grad
            # The difference is zero and has the slope of the latents.
            latents = quantised + (latents - latents.detach()) if slope else quantised
        return self._codec.decode(latents)

    def loss(self, output: Float[Tensor, "..."], reference: Float[Tensor, "..."]) -> TaskLoss:
        """Distances of two sounds, cut to the shorter one, mean over channels.

        Raises:
            AudioError: The reference is silent, or lengths differ by more than a tenth.
        """
        lengths = output.shape[-1], reference.shape[-1]
        n = min(lengths)
        if n < 0.9 * max(lengths):
            raise AudioError(
                f"{self.model.name} decodes {lengths[0]} samples where {lengths[1]} are compared: "
                "feed clips whose length it keeps"
            )
        heard, sound = output[..., :n], reference[..., :n]
        spectral = stft_distance(sound, heard)
        mel_db = log_mel_distance_db(sound, heard, self.model.sample_rate)
        total = mel_db / NEPER_DB + spectral.total
        parts = {
            "log mel": mel_db,
            "convergence": spectral.convergence,
            "log magnitude": spectral.log_magnitude,
            "SI-SDR": si_sdr_db(sound, heard),
        }
        return TaskLoss(total.mean(-1), {name: part.mean(-1) for name, part in parts.items()})

    def truth(
        self, waveform: Float[Tensor, "clip channel time"], labels: Sequence[str] = ()
    ) -> Float[Tensor, "..."]:
        """The sound that went in."""
        del labels
        return waveform


@final
class ClassTask(OwnTask):
    """Tell the class: the divergence of class probabilities, in nats.

    Outputs are log probabilities, or log odds where classes are independent. Against an unchanged
    output the loss is ``KL(reference ‖ output)``; against labels, which have no entropy, the same
    formula is the cross-entropy. Divergences of independent classes are added up; of several
    frames the mean is taken.
    """

    units = {"divergence": "nats"}

    def __init__(self, model: AudioModel, scores: Scores) -> None:
        super().__init__(model)
        self.scores: Scores = scores
        self.name = "divergence of the class probabilities"

    def _run(self, waveform: Float[Tensor, "clip channel time"]) -> Float[Tensor, "..."]:
        """Scores with the class as last axis."""
        values = _class_last(self.model, first_tensor(self.model.forward(waveform)))
        if self.scores == "logits":
            return values.log_softmax(-1)
        if self.scores == "probabilities":
            return values.clamp_min(1e-7).log()
        return torch.logit(values, eps=1e-6)

    def loss(self, output: Float[Tensor, "..."], reference: Float[Tensor, "..."]) -> TaskLoss:
        """``KL(reference ‖ output)``."""
        if self.scores == "independent":
            p = reference.sigmoid()
            crossed = functional.binary_cross_entropy_with_logits(output, p, reduction="none")
            entropy = -torch.xlogy(p, p) - torch.xlogy(1 - p, 1 - p)
            each = (crossed - entropy).sum(-1)
        else:
            p = reference.exp()
            each = (torch.xlogy(p, p) - p * output).sum(-1)
        clipwise = each.reshape(len(each), -1).mean(-1)
        return TaskLoss(clipwise, {"divergence": clipwise})

    def truth(
        self, waveform: Float[Tensor, "clip channel time"], labels: Sequence[str] = ()
    ) -> Float[Tensor, "..."]:
        """Certainty of each clip's label.

        Raises:
            ConfigError: There is not one label a clip.
            UnknownNameError: The model does not know a label.
        """
        if len(labels) != len(waveform):
            raise ConfigError(f"{len(waveform)} clips need as many labels, got {len(labels)}")
        known = self.model.labels
        for label in labels:
            if label not in known:
                raise UnknownNameError(f"class of {self.model.name}", label, known)
        rows = torch.tensor([known.index(label) for label in labels], device=waveform.device)
        one_hot = functional.one_hot(rows, len(known)).to(waveform.dtype)
        return torch.logit(one_hot) if self.scores == "independent" else one_hot.log()


def own_task(model: AudioModel, scores: Scores | None = None) -> OwnTask:
    """The task of a codec or of a classifier.

    Args:
        model: The model.
        scores: What a classifier returns; None: judged from what it says to synthetic sound.

    Raises:
        ConfigError: It is neither.
    """
    if model.codec is not None:
        return CodecTask(model, model.codec)
    if model.labels:
        return ClassTask(model, scores or _judged(model))
    raise ConfigError(
        f"{model.name} is neither a codec nor has it labels, so there is no task of its own to "
        "hold a dictionary against (a codec of your own is one where the spec's [model] names its "
        "encode and decode)"
    )


def _judged(model: AudioModel) -> Scores:
    """What the outputs of a classifier are, from their range."""
    n_samples = model.probe_samples or model.sample_rate
    sound = harmonic_noise(model.sample_rate, model.n_channels, n_samples, n_clips=4)
    with torch.no_grad():
        values = _class_last(model, first_tensor(model.forward(sound)))
    if bool(((values < 0) | (values > 1)).any()):
        return "logits"
    sums = values.sum(-1)
    return (
        "probabilities"
        if torch.allclose(sums, torch.ones_like(sums), atol=1e-3)
        else ("independent")
    )


def _class_last(model: AudioModel, values: Tensor | None) -> Float[Tensor, "clip *frame cls"]:
    """Scores with the axis of the classes last.

    Raises:
        ConfigError: No axis has as many entries as there are labels.
    """
    n = len(model.labels)
    shape = [] if values is None else list(values.shape)
    if values is None or n not in shape[1:]:
        raise ConfigError(f"{model.name} has {n} labels, but its output has the shape {shape}")
    return values if shape[-1] == n else values.movedim(shape[1:].index(n) + 1, -1)


@contextmanager
def _held_fixed(module: nn.Module) -> Iterator[None]:
    """Keep gradients away from the model's own weights."""
    asked = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in asked:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in asked:
            parameter.requires_grad_(True)
