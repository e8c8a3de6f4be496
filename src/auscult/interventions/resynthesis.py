"""Sound through a codec and back, with edits on the way."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.core.errors import TapError
from auscult.core.timebase import TimeBase
from auscult.models.base import AudioModel, Codec
from auscult.taps.capture import intervene
from auscult.taps.point import TapPoint, resolve
from auscult.taps.probe import time_base

EditFunction = Callable[[Tensor, TimeBase], Tensor]


@torch.no_grad()
def resynthesise(
    model: AudioModel,
    waveform: Float[Tensor, "batch channel time"],
    edits: Mapping[str | TapPoint, EditFunction] | None = None,
    requantise: bool = False,
) -> Float[Tensor, "batch channel time"]:
    """Encode and decode, with edits at any taps that fire on the way.

    Args:
        model: A codec or autoencoder.
        waveform: At its rate.
        edits: By tap address, as for :func:`auscult.intervene`.
        requantise: Whether latents go through the quantiser before they are decoded, after the
            edits of encoder and latents: what a codec could transmit.

    Returns:
        As long as the input: what a decoder adds is cut, what it lacks is silent.

    Raises:
        TapError: The model has no way back to sound, or nothing to quantise with.
        SilentTapError: An edited tap did not fire.
    """
    codec = codec_of(model, requantise)
    with intervene(model, edits or {}):
        latents = codec.encode(waveform)
        if requantise and codec.quantise is not None:
            latents = codec.quantise(latents)
        sound = codec.decode(latents)
    return fitted(sound, waveform.shape[-1])


class Resynthesis:
    """Many versions of one batch of sounds, each with another edit at one tap.

    Where the tap says just what the codec decodes, the sounds are encoded once; elsewhere each
    version is encoded anew (:func:`resynthesise`, the slow twin).

    Args:
        model: A codec or autoencoder.
        tap: Address of the tap that edits are made at.
        waveform: The sounds.

    Raises:
        TapError: The model has no way back to sound.
    """

    def __init__(
        self, model: AudioModel, tap: str, waveform: Float[Tensor, "batch channel time"]
    ) -> None:
        self.model = model
        self.tap = tap
        self.waveform = waveform
        self._codec = codec_of(model)
        (found,) = resolve(model, [tap])
        self._time = time_base(model, found.point)
        self._latents = self._encoded_once()

    @torch.no_grad()
    def __call__(
        self, edit: EditFunction | None = None, requantise: bool = False
    ) -> Float[Tensor, "batch channel time"]:
        """One version."""
        if self._latents is None:
            return resynthesise(
                self.model, self.waveform, None if edit is None else {self.tap: edit}, requantise
            )
        latents = self._latents
        if edit is not None:
            latents = edit(latents.transpose(1, 2), self._time).transpose(1, 2)
        codec = codec_of(self.model, requantise)
        if requantise and codec.quantise is not None:
            latents = codec.quantise(latents)
        return fitted(codec.decode(latents.contiguous()), self.waveform.shape[-1])

    @torch.no_grad()
    def _encoded_once(self) -> Float[Tensor, "batch d_latent frame"] | None:
        """The latents, if an edit at the tap sees and changes just these."""
        seen: list[Tensor] = []

        def mark(values: Tensor, time: TimeBase) -> Tensor:
            del time
            seen.append(values.clone())
            return values + 1

        one = self.waveform[:1]
        plain = self._codec.encode(one)
        try:
            with intervene(self.model, {self.tap: mark}):
                changed = self._codec.encode(one)
        except TapError:  # the tap lies behind the encoder
            return None
        if not seen or plain.ndim != 3 or not torch.equal(seen[0].transpose(1, 2), plain):
            return None
        return self._codec.encode(self.waveform) if torch.equal(changed, plain + 1) else None


def codec_of(model: AudioModel, requantise: bool = False) -> Codec:
    """The model's way to latents and back.

    Raises:
        TapError: It has none, or no quantiser where one is asked for.
    """
    if model.codec is None:
        raise TapError(
            f"{model.name} cannot turn its activations back into sound: steering by ear needs a "
            "codec or an autoencoder (of your own: model.encode and model.decode name its methods)"
        )
    if requantise and model.codec.quantise is None:
        raise TapError(f"{model.name} has no quantiser: its latents are decoded as they are")
    return model.codec


def fitted(
    sound: Float[Tensor, "batch channel time"], n_samples: int
) -> Float[Tensor, "batch channel n_samples"]:
    """Cut to a length, or fill up with silence."""
    missing = n_samples - sound.shape[-1]
    return torch.nn.functional.pad(sound, (0, missing)) if missing > 0 else sound[..., :n_samples]
