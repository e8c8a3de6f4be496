"""The autoencoders that pipelines of diffusers make latents for, and their way from sound and back.

Oobleck hears the waveform (Stable Audio); a picture autoencoder sees a mel spectrum, and a vocoder
makes sound of what it paints (AudioLDM, AudioLDM 2, MusicLDM).
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from auscult.core.errors import ConfigError
from auscult.core.timebase import TimeBase
from auscult.models.base import Codec, Side, Tap
from auscult.models.log_mel import MelSettings, mel_filters
from auscult.models.nested import Times, taps_below, times_below
from auscult.models.oobleck import Oobleck
from auscult.models.pipeline_loop import FRAMES_FIRST, PLAIN, Frames, bands_last

_FLOOR = 1e-5


@dataclass(frozen=True)
class Ends:
    """Both ends of a pipeline: sound to latents, latents to sound.

    Attributes:
        codec: The way there and back, of latents as they are in the pipeline's steps.
        d_latent: Channels of those latents.
        n_bands: Bands of a picture's latents, which the pipeline keeps apart; 0 where it sees none.
        sample_rate: In Hz.
        n_channels: Of the sound.
        taps: On the way, with paths below the pipeline's parts.
        times: Of those taps.
        latent: Time base of the latents; None to have it measured.
        added: Modules that are put beside the pipeline's parts, by name.
    """

    codec: Codec
    d_latent: int
    n_bands: int
    sample_rate: int
    n_channels: int
    taps: tuple[Tap, ...]
    times: Times
    latent: TimeBase | None
    added: Mapping[str, nn.Module]

    def frames(self, shape: tuple[int, ...], pipeline: str) -> Frames:
        """How a pipeline's own latents lie, found from the shape of one prompt's.

        Raises:
            ConfigError: They are not those of the autoencoder.
        """
        if len(shape) == 3 and self.n_bands == shape[2]:
            return bands_last(self.n_bands)
        if len(shape) == 2 and shape[0] == self.d_latent:
            return PLAIN
        if len(shape) == 2 and shape[1] == self.d_latent:
            return FRAMES_FIRST
        raise ConfigError(
            f"{pipeline} makes latents of the shape {list(shape)}, of which none is the "
            f"{self.d_latent} channels of its autoencoder"
        )


def ends_of(pipe: Any, mel_window: int) -> Ends:
    """Find out what a pipeline's latents are.

    Args:
        pipe: The pipeline.
        mel_window: Samples of the window of mel spectra, where it sees such.

    Raises:
        ConfigError: An autoencoder that is not known here.
    """
    vae = getattr(pipe, "vae", None)
    kind = type(vae).__name__
    if kind == "AutoencoderOobleck":
        return _of_waveforms(vae)
    if kind == "AutoencoderKL" and getattr(pipe, "vocoder", None) is not None:
        return _of_spectra(vae, pipe.vocoder, mel_window)
    rate = _setting(vae, "sampling_rate", "sample_rate")
    width = _setting(vae, "latent_dim")
    if rate and width and hasattr(vae, "encode") and hasattr(vae, "decode"):
        return _of_any(vae, rate, width)
    raise ConfigError(
        f"{type(pipe).__name__} makes latents of a {kind}, which is not known here: known are "
        f"AutoencoderOobleck, AutoencoderKL on mel spectra with a vocoder, and autoencoders of "
        f"waveforms that say their sample rate and latent_dim"
    )


def _setting(vae: Any, *names: str) -> int:
    config = getattr(vae, "config", {})
    return int(next((config[name] for name in names if name in config), 0))


def _of_waveforms(vae: Any) -> Ends:
    own = Oobleck(vae, "vae", "trained")
    if own.codec is None:
        raise ConfigError("this AutoencoderOobleck decodes nothing")
    known: dict[tuple[str, Side], TimeBase] = {}
    sides: tuple[Side, ...] = ("in", "out")
    for tap in own.taps():
        for side in sides:
            time = own.time_base(tap, side)
            if time is not None:
                known[tap.path, side] = time
    taps, times = taps_below("vae", own.taps()), times_below("vae", known)
    latent = next(times[tap.path, "out"] for tap in taps if tap.role == "latent")
    width = int(vae.config.decoder_input_channels)
    return Ends(own.codec, width, 0, own.sample_rate, own.n_channels, taps, times, latent, {})


class Heard(nn.Module):
    """Passes latents on, so that they can be tapped where no module says them."""

    def forward(
        self, latents: Float[Tensor, "batch d_latent frame"]
    ) -> Float[Tensor, "batch d_latent frame"]:
        """The same."""
        return latents


def _of_any(vae: Any, rate: int, width: int) -> Ends:
    """An autoencoder of waveforms whose ``encode`` returns latents; nothing is sampled."""
    heard = Heard()
    drawn = "sample_posterior" in inspect.signature(vae.encode).parameters
    how = {"sample_posterior": False} if drawn else {}

    def encode(waveform: Tensor) -> Tensor:
        latents: Tensor = heard(vae.encode(waveform, **how).latents)
        return latents

    def decode(latents: Tensor) -> Tensor:
        waveform: Tensor = vae.decode(latents.contiguous()).sample
        return waveform

    n_channels = _setting(vae, "audio_channels", "in_channels") or 1
    tap = Tap("latent_heard", "latent", "bct")
    return Ends(
        Codec(encode, decode), width, 0, rate, n_channels, (tap,), {}, None, {"latent_heard": heard}
    )


class MelPicture(nn.Module):
    """Sound to the picture that AudioLDM's autoencoders learnt on: ln of a mel spectrum.

    Magnitudes (not powers) of a Hann-windowed transform through Slaney's filters of equal area, at
    least 1e-5; frame i is centred on hop i, the sound reflected at its ends (Liu et al. 2023 and
    HiFi-GAN, Kong et al. 2020). Bands and hop are the vocoder's; a pipeline's files do not say the
    window, which is 1,024 samples at 16 kHz in all that are published.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, settings: MelSettings, multiple: int) -> None:
        super().__init__()
        self.settings = settings
        self.multiple = multiple
        self.register_buffer("window", torch.hann_window(settings.n_window), persistent=False)
        filters = torch.from_numpy(mel_filters(settings)).float()
        self.register_buffer("filters", filters, persistent=False)

    @property
    def time(self) -> TimeBase:
        """Where frames lie: a periodic Hann window is zero at its first sample."""
        padding = (self.settings.n_window - self.settings.hop) // 2
        start = TimeBase(self.settings.sample_rate)
        return start.after_conv(self.settings.n_window - 1, self.settings.hop, padding - 1)

    def forward(
        self, waveform: Float[Tensor, "batch 1 time"]
    ) -> Float[Tensor, "batch 1 frame band"]:
        """As many whole hops as the sound fills, silence behind it, rounded up to ``multiple``."""
        settings = self.settings
        whole = settings.hop * self.multiple
        sound = nn.functional.pad(waveform[:, 0], (0, -waveform.shape[-1] % whole))
        padding = (settings.n_window - settings.hop) // 2
        sound = nn.functional.pad(sound[:, None], (padding, padding), mode="reflect")[:, 0]
        frames = sound.unfold(1, settings.n_window, settings.hop) * self.window
        spectrum = torch.fft.rfft(frames)
        # The root of a sum of squares has no gradient where it is zero.
        size = (spectrum.real.square() + spectrum.imag.square() + 1e-12).sqrt()
        picture: Tensor = (size @ self.filters.T).clamp(min=_FLOOR).log()[:, None]
        return picture


class PictureMean(nn.Module):
    """Takes the mean out of a posterior, scaled as the network makes it, a frame to a column."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(
        self, posterior: Float[Tensor, "batch twice frame band"]
    ) -> Float[Tensor, "batch d_latent frame"]:
        """Channels times bands make the vector of a frame."""
        mean, _ = posterior.chunk(2, dim=1)
        latents: Tensor = mean.transpose(2, 3).flatten(1, 2) * self.scale
        return latents


def _of_spectra(vae: Any, vocoder: Any, mel_window: int) -> Ends:
    rate = int(vocoder.config.sampling_rate)
    hop = int(np.prod(vocoder.config.upsample_rates))
    n_bands = int(vocoder.config.model_in_dim)
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    scale = float(vae.config.scaling_factor)
    if (mel_window - hop) % 2 or mel_window < hop:
        raise ConfigError(
            f"model.mel_window: {mel_window} samples do not go with the vocoder's hop of {hop}: "
            f"the window is longer by an even number"
        )
    settings = MelSettings(rate, n_bands, mel_window, mel_window, hop, 0.0, rate / 2)
    picture, mean = MelPicture(settings, factor), PictureMean(scale)
    n_latent_bands = n_bands // factor
    frames = bands_last(n_latent_bands)

    def encode(waveform: Tensor) -> Tensor:
        latents: Tensor = mean(vae.encode(picture(waveform)).latent_dist.parameters)
        return latents

    def decode(latents: Tensor) -> Tensor:
        painted = vae.decode(1 / scale * frames.to_own(latents).contiguous()).sample
        waveform: Tensor = vocoder(painted[:, 0])[:, None]
        return waveform

    heard = picture.time
    painted = heard.after_conv(3, 1, 1)
    # Group norms take their statistics over the whole picture.
    latent = TimeBase(rate, heard.hop * factor, heard.offset, heard.span).after_global()
    taps = (
        Tap("mel", "mel", "bctf"),
        Tap("vae.encoder.conv_in", "conv.0", "bctf"),
        Tap("latent_mean", "latent", "bct"),
        Tap("vae.decoder", "decoder.mel", "bctf", decodes=True),
    )
    times: dict[tuple[str, Side], TimeBase] = {
        ("mel", "out"): heard,
        ("vae.encoder.conv_in", "in"): heard,
        ("vae.encoder.conv_in", "out"): painted,
        ("latent_mean", "out"): latent,
        ("vae.decoder", "out"): replace(latent, hop=heard.hop),
    }
    return Ends(
        Codec(encode, decode),
        int(vae.config.latent_channels) * n_latent_bands,
        n_latent_bands,
        rate,
        1,
        taps,
        times,
        latent,
        {"mel": picture, "latent_mean": mean},
    )
