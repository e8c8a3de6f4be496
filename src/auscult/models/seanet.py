"""The codec of the EnCodec family (METHODS 2.3).

Its roles, its time bases, its way to latents and back.

Shared by ``encodec`` (published weights, any size) and ``mini-encodec`` (the bundled miniature);
both run the implementation of transformers.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auscult.core.errors import AudioError, ConfigError
from auscult.core.rng import seed_of
from auscult.core.timebase import TimeBase
from auscult.models.base import Codec, Method, Side, Tap
from auscult.models.initial import fill_codebooks
from auscult.models.seanet_stacks import Times, stack_taps, walk_stack
from auscult.models.stimulus import harmonic_noise


class Seanet:
    """A SEANet codec with a residual quantiser.

    Args:
        module: transformers' ``EncodecModel`` in eval mode.
        bandwidth_kbps: Which levels of the quantiser take part; None for all.
    """

    def __init__(self, module: Any, bandwidth_kbps: float | None) -> None:
        config = module.config
        known = [float(rate) for rate in config.target_bandwidths]
        if bandwidth_kbps is not None and bandwidth_kbps not in known:
            listed = ", ".join(f"{rate:g}" for rate in known)
            raise ConfigError(f"model.bandwidth_kbps: {bandwidth_kbps:g} is none of {listed}")
        self.module = module
        self.bandwidth_kbps = bandwidth_kbps
        self.sample_rate = int(config.sampling_rate)
        self.n_channels = int(config.audio_channels)
        self.n_levels = min(
            module.quantizer.get_num_quantizers_for_bandwidth(bandwidth_kbps),
            len(module.quantizer.layers),
        )
        self.longest_samples: int | None = config.chunk_length
        self.times = _times(module, self.sample_rate, self.n_levels)

    def encode(
        self, waveform: Float[Tensor, "batch channel time"]
    ) -> Float[Tensor, "batch d_latent frame"]:
        """Waveform to latents; a model that normalises loudness does it per clip.

        Raises:
            AudioError: A clip longer than the segments that the model was made for.
        """
        n_samples = waveform.shape[-1]
        if self.longest_samples is not None and n_samples > self.longest_samples:
            raise AudioError(
                f"this codec hears segments of {self.longest_samples / self.sample_rate:g} s and "
                "normalises over each: cut clips to that length, got "
                f"{n_samples / self.sample_rate:g} s"
            )
        if self.module.config.normalize:
            loudness = waveform.mean(1, keepdim=True).square().mean(-1, keepdim=True).sqrt()
            waveform = waveform / (loudness + 1e-8)
        latents: Tensor = self.module.encoder(waveform)
        return latents

    def quantise(
        self, latents: Float[Tensor, "batch d_latent frame"]
    ) -> Float[Tensor, "batch d_latent frame"]:
        """Latents to the sum of the entries that their codes stand for."""
        return self.from_codes(self.codes(latents))

    def codes(
        self, latents: Float[Tensor, "batch d_latent frame"]
    ) -> Int[Tensor, "batch level frame"]:
        """Latents to the indices of every level that takes part."""
        codes: Tensor = self.module.quantizer.encode(latents, self.bandwidth_kbps)
        return codes.transpose(0, 1)

    def from_codes(
        self, codes: Int[Tensor, "batch level frame"]
    ) -> Float[Tensor, "batch d_latent frame"]:
        """Indices of the first so many levels to the sum of their entries."""
        quantised: Tensor = self.module.quantizer.decode(codes.transpose(0, 1))
        return quantised

    def decode(
        self, latents: Float[Tensor, "batch d_latent frame"]
    ) -> Float[Tensor, "batch channel time"]:
        """Latents to waveform, whole frames; at normalised loudness where the model normalises."""
        waveform: Tensor = self.module.decoder(latents)
        return waveform

    def codec(self) -> Codec:
        """The codec's functions and tables."""
        layers = self.module.quantizer.layers[: self.n_levels]
        tables = {f"rvq.{i}": layer.codebook.embed for i, layer in enumerate(layers)}
        return Codec(self.encode, self.decode, self.quantise, tables, self.codes, self.from_codes)

    def taps(self) -> list[Tap]:
        """Encoder, latents, quantiser, decoder."""
        return [
            *stack_taps(self.module.encoder, "encoder", "", decodes=False),
            Tap("encoder", "latent", "bct"),
            *(self._level(i) for i in range(self.n_levels)),
            self._quantiser(),
            *stack_taps(self.module.decoder, "decoder", "decoder.", decodes=True),
        ]

    def fill(self, seed: int) -> None:
        """Give every level entries that fit the encoder's latents; transformers leaves zeros."""
        n_samples = self.longest_samples or self.sample_rate
        sound = harmonic_noise(self.sample_rate, self.n_channels, n_samples, 8, seed)
        with torch.no_grad():
            latents = self.encode(sound).transpose(1, 2).flatten(0, 1)
        books = [layer.codebook for layer in self.module.quantizer.layers]
        fill_codebooks([book.embed for book in books], latents, seed_of(seed, "quantiser"))
        with torch.no_grad():
            for book in books:
                book.embed_avg.copy_(book.embed)
                book.cluster_size.fill_(1.0)

    def _level(self, index: int) -> Tap:
        """One level: the residual it gets, the indices it gives, the vector they stand for."""
        return Tap(
            f"quantizer.layers.{index}",
            f"rvq.{index}",
            None,
            {
                "in": Method("encode", "argument"),
                "codes": Method("encode"),
                "out": Method("decode", during="quantizer.decode"),
            },
        )

    def _quantiser(self) -> Tap:
        return Tap(
            "quantizer",
            "latent.q",
            None,
            {
                "in": Method("encode", "argument"),
                "codes": Method("encode", pick=_level_last),
                "out": Method("decode"),
            },
        )


def _level_last(codes: Tensor) -> Tensor:
    """``[level batch frame]`` to ``[batch level frame]``."""
    return codes.transpose(0, 1)


def _times(module: Any, sample_rate: int, n_levels: int) -> Times:
    """Time bases on both sides of every layer of encoder and decoder, and around the quantiser."""
    times: Times = {}
    sound = TimeBase(sample_rate)
    start = sound.after_global() if module.config.normalize else sound
    latent = walk_stack(times, module.encoder, "encoder", start)
    times["encoder", "in"], times["encoder", "out"] = start, latent
    sides: tuple[Side, ...] = ("in", "codes", "out")
    for path in ("quantizer", *(f"quantizer.layers.{i}" for i in range(n_levels))):
        times |= {(path, side): latent for side in sides}
    decoded = walk_stack(times, module.decoder, "decoder", latent)
    times["decoder", "in"], times["decoder", "out"] = latent, decoded
    return times
