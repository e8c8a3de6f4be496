"""What audio transformers of the hub hear: from a waveform to the tensors that their forward takes.

Their libraries do this in NumPy before the model; here it is part of ``forward``, in torch and
differentiable, so that the input gradient reaches the waveform. Settings come from the checkpoint's
own feature extractor, sizes from its configuration.
"""

from abc import ABC, abstractmethod
from dataclasses import replace
from fractions import Fraction
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from auscult.core.errors import AudioError
from auscult.core.timebase import TimeBase
from auscult.models.base import Layout, TokenGrid
from auscult.models.log_mel import MelPower, MelSettings


class FrontEnd(ABC):
    """From sound to what a network's forward takes, and where in the sound that lies.

    Attributes:
        sample_rate: Samples per second.
        time: Of the frames that the first convolution hears.
        longest_samples: Longest clip, 0 for any.
        probe_samples: Length of a clip of which every sample is heard; 0 for any.
        windowed: Whether attention sees windows folded into the batch.
    """

    sample_rate: int
    time: TimeBase
    longest_samples: int = 0
    probe_samples: int = 0
    windowed: bool = False

    @abstractmethod
    def inputs(self, waveform: Float[Tensor, "batch time"]) -> dict[str, Tensor]:
        """Keyword arguments of the network's forward."""

    def order(self, stage: int) -> Layout | TokenGrid:  # noqa: ARG002
        """Order of axes of the tokens in the blocks of a stage."""
        return "btc"

    def column_hop(self, stage: int) -> int:  # noqa: ARG002
        """Columns of the first stage in a column of this one."""
        return 1

    def check(self, waveform: Float[Tensor, "batch channel time"], shortest: int) -> None:
        """Refuse what would be cut off or heard as nothing.

        Raises:
            AudioError: The clips are longer or shorter than the network can hear.
        """
        n_samples = waveform.shape[-1]
        if self.longest_samples and n_samples > self.longest_samples:
            seconds = self.longest_samples / self.sample_rate
            raise AudioError(
                f"the network hears at most {self.longest_samples} samples at once, got "
                f"{n_samples}: set sounds.clip_seconds to {seconds:g} or less"
            )
        if n_samples < shortest:
            raise AudioError(f"the network hears at least {shortest} samples, got {n_samples}")


class Waveform(FrontEnd):
    """The waveform itself, as in wav2vec 2.0 and its kin; each clip at zero mean and unit variance.

    Args:
        extractor: The checkpoint's feature extractor.
        config: The network's configuration.
        normalise: Overrides what the extractor says about mean and variance.
    """

    def __init__(self, extractor: Any, config: Any, normalise: bool | None) -> None:
        del config
        self.sample_rate = int(extractor.sampling_rate)
        self.normalise = bool(extractor.do_normalize) if normalise is None else normalise
        self.time = TimeBase(self.sample_rate, global_=self.normalise)

    def inputs(self, waveform: Float[Tensor, "batch time"]) -> dict[str, Tensor]:
        """Whole clips, standardised where the checkpoint's preprocessor says so."""
        if self.normalise:
            centred = waveform - waveform.mean(1, keepdim=True)
            waveform = centred / (centred.square().mean(1, keepdim=True) + 1e-7).sqrt()
        return {"input_values": waveform}


class Whisper(FrontEnd):
    """Whisper's log-mel: clips filled up to a fixed length, clamped at 8 below the loudest (log10).

    The clamp looks at the whole clip, so every frame of every tap hears all of it.
    """

    def __init__(self, extractor: Any, config: Any, normalise: bool | None) -> None:
        del normalise
        self.sample_rate = rate = int(extractor.sampling_rate)
        hop, n_fft = int(extractor.hop_length), int(extractor.n_fft)
        n_mels = int(config.num_mel_bins)
        self.mel = MelPower(MelSettings(rate, n_mels, n_fft, n_fft, hop, 0.0, 8000.0))
        # The second convolution takes every other frame, and has a position for each.
        self.longest_samples = 2 * int(config.max_source_positions) * hop
        self.probe_samples = self.longest_samples
        self.time = self.mel.settings.time.after_global()

    def inputs(self, waveform: Float[Tensor, "batch time"]) -> dict[str, Tensor]:
        """Log power in mel bands, ``[batch mel frame]``."""
        padded = F.pad(waveform, (0, self.longest_samples - waveform.shape[-1]))
        # The last frame is centred behind the last sample; Whisper drops it.
        power = self.mel.to(waveform.device)(padded)[..., :-1]
        log = power.clamp_min(1e-10).log10()
        log = torch.maximum(log, log.amax((1, 2), keepdim=True) - 8.0)
        return {"input_features": (log + 4.0) / 4.0}


class SpectrogramTransformer(FrontEnd):
    """AST's log-mel, in Kaldi's convention, at the checkpoint's own mean and deviation.

    What lacks to the full number of frames is filled up behind.
    """

    _SHORTEST = 400

    def __init__(self, extractor: Any, config: Any, normalise: bool | None) -> None:
        del normalise
        self.sample_rate = rate = int(extractor.sampling_rate)
        n_mels, n_frames = int(config.num_mel_bins), int(config.max_length)
        settings = MelSettings(
            rate, n_mels, 400, 512, 160, 20.0, rate / 2, "kaldi", equal_area=False
        )
        self.mel = MelPower(settings)
        self.n_frames = n_frames
        self.mean, self.deviation = float(extractor.mean), 2 * float(extractor.std)
        self.scaled = bool(extractor.do_normalize)
        patch, step = int(config.patch_size), int(config.time_stride)
        self.grid = TokenGrid((n_mels - patch) // int(config.frequency_stride) + 1, n_prefix=2)
        heard = (n_frames - patch) // step * step + patch
        self.longest_samples = 400 + 160 * n_frames - 1
        self.probe_samples = 400 + 160 * (heard - 1)
        self.time = settings.time

    def inputs(self, waveform: Float[Tensor, "batch time"]) -> dict[str, Tensor]:
        """Scaled log power, ``[batch frame mel]``.

        Raises:
            AudioError: The clips are shorter than a frame.
        """
        self.check(waveform[:, None], self._SHORTEST)
        power = self.mel.to(waveform.device)(waveform).transpose(1, 2)
        log = power.clamp_min(torch.finfo(torch.float32).eps).log()
        log = F.pad(log, (0, 0, 0, self.n_frames - log.shape[1]))
        return {"input_values": (log - self.mean) / self.deviation if self.scaled else log}

    def order(self, stage: int) -> Layout | TokenGrid:  # noqa: ARG002
        """Patches in bands, behind a class and a distillation token."""
        return self.grid


class Clap(FrontEnd):
    """CLAP's log-mel in dB: short clips are repeated as often as they fit, then filled up.

    A clip beyond the network's length would go through CLAP's fusion of random crops; it is refused
    here. The library marks one clip of a batch of short ones as longer, at random; here none is.
    """

    windowed = True

    def __init__(self, extractor: Any, config: Any, normalise: bool | None) -> None:
        del normalise
        self.sample_rate = rate = int(extractor.sampling_rate)
        self.fused = bool(config.enable_fusion)
        self.padding = str(extractor.padding)
        n_mels, n_fft = int(config.num_mel_bins), int(extractor.fft_window_size)
        hop = int(extractor.hop_length)
        settings = MelSettings(
            rate, n_mels, n_fft, n_fft, hop, float(extractor.frequency_min),
            float(extractor.frequency_max), "htk" if self.fused else "slaney",
            equal_area=not self.fused,
        )  # fmt: skip
        self.mel = MelPower(settings)
        self.n_chunks = int(config.spec_size) // n_mels
        width = int(config.spec_size) * self.n_chunks
        longest = int(extractor.max_length_s * rate)
        self.longest_samples = min(longest, (width - 1) * hop)
        self.probe_samples = self.longest_samples
        self.n_rows = n_mels // int(config.patch_stride[0])
        # The network stretches its frames over its own width, end to end, by cubic interpolation.
        scale = Fraction(settings.n_frames(self.longest_samples) - 1, width - 1)
        time = settings.time
        self.time = replace(time, hop=time.hop * scale, span=time.span + 3 * time.hop, global_=True)

    def inputs(self, waveform: Float[Tensor, "batch time"]) -> dict[str, Tensor]:
        """Power in dB, ``[batch copy frame mel]``, and that no clip is longer than the network."""
        n_samples = waveform.shape[-1]
        if self.padding == "repeatpad":
            waveform = waveform.repeat(1, self.longest_samples // n_samples)
        waveform = F.pad(waveform, (0, self.longest_samples - waveform.shape[-1]))
        power = self.mel.to(waveform.device)(waveform).transpose(1, 2)[:, None]
        decibel = 10.0 * power.clamp_min(1e-10).log10()
        longer = torch.zeros(len(waveform), 1, dtype=torch.bool, device=waveform.device)
        copies = 4 if self.fused else 1
        return {"input_features": decibel.expand(-1, copies, -1, -1), "is_longer": longer}

    def order(self, stage: int) -> Layout | TokenGrid:
        """Patches in bands, one stretch of time below the other."""
        return TokenGrid(max(1, self.n_rows >> stage), n_chunks=self.n_chunks)

    def column_hop(self, stage: int) -> int:
        """Each stage joins two columns."""
        return 1 << stage
