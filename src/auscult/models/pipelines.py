"""Pipelines of diffusers that make sound: Stable Audio, AudioLDM, ACE-Step, and their kin."""

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from auscult.core.config import Config
from auscult.core.errors import ConfigError
from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS, AudioModel, Side, Tap, Weights
from auscult.models.generation import Generator, Prompt, Watch
from auscult.models.pipeline_codecs import Ends, ends_of
from auscult.models.pipeline_files import fresh_pipeline, load_pipeline
from auscult.models.pipeline_loop import generate_watched, rehearse, rows_of
from auscult.models.pipeline_prompts import one_by_one
from auscult.models.pipeline_taps import network_taps
from auscult.models.schedules import convention_of, is_flow
from auscult.models.weights import shuffle_weights

_NETWORKS = ("transformer", "unet", "dit")
_LENGTHS = ("audio_end_in_s", "audio_length_in_s", "audio_duration_s", "audio_duration")


class Parts(nn.Module):
    """The networks of a pipeline under one roof, by the names that the pipeline gives them."""


@MODELS.register("diffusers")
class Pipeline(AudioModel):
    """A text-to-audio pipeline of diffusers, from its folder or hub name.

    ``generator`` runs the pipeline's own loop and opens it between its steps; the result is the
    pipeline's own, bit for bit. Each prompt draws from a random generator of its own. Hearing is
    its autoencoder's: Oobleck's encoder (Stable Audio), or a mel spectrum and the picture
    autoencoder's (AudioLDM, AudioLDM 2, MusicLDM), whose latents are means, scaled as the network
    makes them. Roles: of Oobleck as in ``oobleck``; of spectra ``mel``, ``conv.0``, ``latent`` and
    ``decoder.mel``; of the network that runs at each step ``block.N`` and its parts. Where the
    pipeline sings, ``wishes`` take ``lyrics``.
    """

    class Params(Config):
        """Which pipeline, and how it is asked."""

        checkpoint: str
        """A hub name, or a local folder with model_index.json and safetensors."""
        n_steps: int | None = Field(default=None, ge=1)
        """Steps of the scheduler; as many as the pipeline takes on its own when not given."""
        guidance: float | None = Field(default=None, ge=0)
        """Scale of classifier-free guidance, none at 1; the pipeline's own when not given."""
        negative: str | None = None
        """What the unconditional rows are told; the pipeline's own nothing when not given."""
        seconds: float | None = Field(default=None, gt=0)
        """Length of what is made; the pipeline's own when not given."""
        arguments: dict[str, Any] = {}
        """Further arguments of the pipeline's call (for instance eta, audio_start_in_s)."""
        mel_window: int = Field(default=1_024, ge=2)
        """Samples of the window of mel spectra, which a checkpoint does not say."""

    def __init__(self, pipe: Any, params: "Pipeline.Params", weights: Weights) -> None:
        self.pipe = pipe
        self.params = params
        self.name = params.checkpoint
        self.weights = weights
        self._ends: Ends = ends_of(pipe, params.mel_window)
        self.sample_rate = self._ends.sample_rate
        self.n_channels = self._ends.n_channels
        self.codec = self._ends.codec
        self.module = Parts()
        for name, part in {**pipe.components, **self._ends.added}.items():
            if isinstance(part, nn.Module):
                self.module.add_module(name, part)
        self.module.eval()
        self._accepted = inspect.signature(type(pipe).__call__).parameters
        self.generator = self._generator()

    @classmethod
    def build(cls, params: "Pipeline.Params", weights: Weights, seed: int) -> "Pipeline":
        """Load, shuffle or draw afresh.

        Raises:
            MissingExtraError: diffusers, or what the pipeline needs beside it, is not installed.
            CheckpointError: It cannot be loaded, or holds code or pickles.
            ConfigError: Its autoencoder, its scheduler or an argument is not known.
        """
        with warnings.catch_warnings():
            # diffusers keeps the older style of weight normalisation, which torch deprecates.
            warnings.simplefilter("ignore", FutureWarning)
            if weights == "random":
                pipe = fresh_pipeline(params.checkpoint, seed)
            else:
                pipe = load_pipeline(params.checkpoint)
        pipe.set_progress_bar_config(disable=True)
        model = cls(pipe, params, weights)
        if weights == "shuffled":
            shuffle_weights(model.module, seed)
        return model

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Encode; returns the latents."""
        return self._ends.codec.encode(waveform)

    def taps(self) -> list[Tap]:
        """Of the autoencoder, in the order in which sound passes them."""
        return list(self._ends.taps)

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """By composition through the layers."""
        return self._ends.times.get((tap.path, side))

    def _generator(self) -> Generator:
        scheduler = self.pipe.scheduler
        convention_of(scheduler)
        path = next((name for name in _NETWORKS if hasattr(self.pipe, name)), None)
        if path is None:
            raise ConfigError(f"{type(self.pipe).__name__} has no {', '.join(_NETWORKS)} to watch")
        network = getattr(self.pipe, path)
        asked = [rehearse(self.pipe, network, self._call([Prompt("", t)])) for t in ("a", "drum")]
        self._frames = self._ends.frames(asked[0].shape, type(self.pipe).__name__)
        framed = self._frames.from_own(torch.zeros(1, *asked[0].shape))
        taps, times = network_taps(network, path, self._ends.latent)
        # What runs twice in a step, once for each kind of row, cannot be told apart at a tap.
        once = asked[0].n_passes == 1
        return Generator(
            kind="flow" if is_flow(scheduler) else "diffusion",
            n_steps=asked[0].n_steps,
            latent="latent",
            n_frames=int(framed.shape[-1]),
            generate=self._generate,
            rows=rows_of(*asked),
            taps=taps if once else (),
            times=times if once else {},
        )

    def _generate(self, prompts: Sequence[Prompt], watch: Watch | None) -> Tensor:
        known = {"lyrics"} & set(self._accepted)
        told = sorted({name for prompt in prompts for name in prompt.wishes} - known)
        if told:
            raise ConfigError(
                f"{self.name} reads text alone: put {', '.join(told)} into the prompt's words"
            )
        if self.generator is None or not prompts:
            raise ConfigError(f"{self.name} was asked for nothing")
        with torch.no_grad():
            call = one_by_one(self.pipe, self._call(prompts))
            return generate_watched(self.pipe, call, self._frames, self.generator.n_steps, watch)

    def _call(self, prompts: Sequence[Prompt]) -> dict[str, Any]:
        """Arguments of the pipeline; each prompt has a random generator of its own."""
        params = self.params
        call: dict[str, Any] = {
            "prompt": [prompt.text for prompt in prompts],
            "generator": [torch.Generator().manual_seed(prompt.seed) for prompt in prompts],
        }
        if "lyrics" in self._accepted:
            call["lyrics"] = [str(prompt.wishes.get("lyrics", "")) for prompt in prompts]
        negative = None if params.negative is None else [params.negative] * len(prompts)
        length = next((name for name in _LENGTHS if name in self._accepted), "audio_end_in_s")
        asked: Mapping[str, Any] = {
            "num_inference_steps": params.n_steps,
            "guidance_scale": params.guidance,
            "negative_prompt": negative,
            length: params.seconds,
        }
        call |= {name: value for name, value in asked.items() if value is not None}
        unknown = sorted({*call, *params.arguments} - set(self._accepted))
        if unknown:
            raise ConfigError(f"{type(self.pipe).__name__} knows no {', '.join(unknown)}")
        return {**call, **params.arguments}
