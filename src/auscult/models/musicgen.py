"""MusicGen through transformers: a decoder that writes EnCodec's codes, told in words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from auscult.core.config import Config
from auscult.core.errors import CheckpointError, ConfigError
from auscult.core.timebase import TimeBase
from auscult.models.base import MODELS, AudioModel, Codec, Method, Side, Tap, Weights
from auscult.models.delayed_codes import DelayPattern
from auscult.models.generation import Generator, Prompt, Watch
from auscult.models.hub import fresh, load_pretrained, read_kind, transformers_module
from auscult.models.nested import taps_below, times_below
from auscult.models.seanet import Seanet
from auscult.models.token_loop import Drawing, TokenLoop, Told
from auscult.models.weights import shuffle_weights


@MODELS.register("musicgen")
class Musicgen(AudioModel):
    """MusicGen (Copet et al. 2023), mono and stereo, from its folder or hub name.

    A step is a pass of the decoder, which writes one code of each level; frames come complete as
    many passes late as there are levels behind the first, and states are the quantiser's latents of
    the frames that are. Each prompt draws from a random generator of its own. Hearing is EnCodec's:
    its roles are those of ``encodec``. Of the decoder ``block.N`` and its parts: ``attn.out``,
    ``cross.out`` (what it takes from the prompt), ``mlp.act`` (the neurons) and ``mlp.out``; of its
    rows the conditional come first. A state that is put back is quantised, frames that it leaves
    alone keep their codes, and the decoder reads all of them anew.
    """

    class Params(Config):
        """Which MusicGen, and how it is asked."""

        checkpoint: str
        """A hub name, or a local folder with config.json, safetensors and a tokenizer."""
        seconds: float = Field(default=8.0, gt=0)
        """Length of what is made."""
        guidance: float | None = Field(default=None, ge=0)
        """Scale of classifier-free guidance, none at 1; the checkpoint's own when not given."""
        sample: bool = True
        """Whether codes are drawn; the likeliest are taken otherwise."""
        temperature: float = Field(default=1.0, gt=0)
        """Divides the logits before codes are drawn."""
        top_k: int = Field(default=250, ge=0)
        """Of how many of the likeliest codes one is drawn; 0 for all."""

    def __init__(self, module: Any, tokenizer: Any, params: "Musicgen.Params") -> None:
        self.module = module.eval()
        self.tokenizer = tokenizer
        self.params = params
        self.name = params.checkpoint
        self._musicgen = module
        self.seanet = Seanet(module.audio_encoder, None)
        decoder = module.decoder.config
        self.n_channels = int(decoder.audio_channels)
        self.sample_rate = self.seanet.sample_rate
        self.n_levels = int(decoder.num_codebooks) // self.n_channels
        if self.seanet.n_levels < self.n_levels or self.seanet.n_channels != 1:
            raise CheckpointError(
                f"{self.name}: its decoder writes {self.n_levels} levels of a channel, its codec "
                f"has {self.seanet.n_levels} of {self.seanet.n_channels} channels"
            )
        tables = dict(list(self.seanet.codec().codebooks.items())[: self.n_levels])
        self.codec = Codec(
            self._encode, self._decode, self._quantise, tables, self._codes, self._from_codes
        )
        self.generator = self._generator()

    @classmethod
    def build(cls, params: "Musicgen.Params", weights: Weights, seed: int) -> "Musicgen":
        """Load, shuffle or draw afresh.

        Raises:
            MissingExtraError: transformers is not installed.
            CheckpointError: It cannot be loaded, is no MusicGen, or hears what is to come.
            ConfigError: A length that is too short for its levels.
        """
        transformers = transformers_module("musicgen")
        kind = read_kind(params.checkpoint)
        if kind != "musicgen":
            raise CheckpointError(f"{params.checkpoint} is a {kind} and no musicgen")
        network = transformers.MusicgenForConditionalGeneration
        folder = Path(params.checkpoint).expanduser()
        where = str(folder) if folder.is_dir() else params.checkpoint
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                where, local_files_only=folder.is_dir()
            )
            if weights == "random":
                config = network.config_class.from_pretrained(where)
                module = fresh(network, config, seed)
                module.generation_config = transformers.GenerationConfig.from_pretrained(where)
            else:
                module = load_pretrained(network, params.checkpoint)
        except (OSError, ValueError) as error:
            if isinstance(error, CheckpointError):
                raise
            said = str(error).strip().split("\n")[0]
            raise CheckpointError(f"{params.checkpoint} cannot be loaded ({said})") from error
        if weights == "shuffled":
            shuffle_weights(module, seed)
        make_causal(module, params.checkpoint)
        model = cls(module, tokenizer, params)
        model.weights = weights
        if weights != "trained":
            model.seanet.fill(seed)
        return model

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Encode and quantise; returns the quantised latents."""
        return self._quantise(self._encode(waveform))

    def taps(self) -> list[Tap]:
        """Of the codec, in the order in which sound passes them."""
        return list(taps_below("audio_encoder", self.seanet.taps()))

    def time_base(self, tap: Tap, side: Side = "out") -> TimeBase | None:
        """By composition through the codec's layers."""
        return times_below("audio_encoder", self.seanet.times).get((tap.path, side))

    def _generator(self) -> Generator:
        told = self._musicgen.generation_config.guidance_scale
        own = self.params.guidance if self.params.guidance is not None else told
        self._drawing = Drawing(
            float(own or 1.0), self.params.sample, self.params.temperature, self.params.top_k
        )
        latent = self.seanet.times["quantizer", "out"]
        n_frames = round(self.params.seconds * self.sample_rate / latent.hop)
        if n_frames < self.n_levels:
            least = float(self.n_levels * latent.hop / self.sample_rate)
            raise ConfigError(
                f"model.seconds: {self.params.seconds:g} s are {n_frames} frames, of which "
                f"{self.n_levels} are needed ({least:.3g} s) to write every level"
            )
        decoder = self._musicgen.decoder.config
        blank = self._musicgen.generation_config.decoder_start_token_id
        self._pattern = DelayPattern(
            n_frames,
            int(decoder.num_codebooks),
            self.n_channels,
            int(decoder.pad_token_id if blank is None else blank),
        )
        taps = _decoder_taps(self._musicgen)
        guided = self._drawing.guidance > 1
        return Generator(
            kind="tokens",
            n_steps=self._pattern.n_passes,
            latent="latent.q",
            n_frames=n_frames,
            generate=self._generate,
            rows=("conditional", "unconditional") if guided else ("conditional",),
            taps=taps,
            times={tap.path: latent.after_recurrence() for tap in taps},
        )

    def _generate(self, prompts: Sequence[Prompt], watch: Watch | None) -> Tensor:
        wishes = sorted({name for prompt in prompts for name in prompt.wishes})
        if wishes:
            raise ConfigError(
                f"{self.name} reads text alone: put {', '.join(wishes)} into the prompt's words"
            )
        loop = TokenLoop(
            self._musicgen, self._pattern, self._drawing, self._from_codes, self._codes
        )
        with torch.no_grad():
            told = self._told([prompt.text for prompt in prompts])
            return loop.run(told, [prompt.seed for prompt in prompts], watch)

    def _told(self, texts: list[str]) -> Told:
        """The text's hidden states; the unconditional rows hear nothing."""
        read = self.tokenizer(texts, padding=True, return_tensors="pt")
        device = next(self.module.parameters()).device
        mask: Tensor = read.attention_mask.to(device)
        encoder = self._musicgen.text_encoder
        hidden: Tensor = encoder(read.input_ids.to(device), attention_mask=mask).last_hidden_state
        if self._drawing.guidance > 1:
            hidden = torch.cat([hidden, torch.zeros_like(hidden)])
            mask = torch.cat([mask, torch.zeros_like(mask)])
        return Told(hidden, mask)

    def _encode(self, waveform: Tensor) -> Tensor:
        """Each channel is heard alone; their latents stand below one another."""
        n, channels, time = waveform.shape
        latents = self.seanet.encode(waveform.reshape(n * channels, 1, time))
        return latents.reshape(n, -1, latents.shape[-1])

    def _decode(self, latents: Tensor) -> Tensor:
        waveform = self.seanet.decode(self._by_channel(latents))
        return waveform.reshape(len(latents), self.n_channels, -1)

    def _quantise(self, latents: Tensor) -> Tensor:
        return self._from_codes(self._codes(latents))

    def _codes(
        self, latents: Float[Tensor, "batch d_latent frame"]
    ) -> Int[Tensor, "batch level frame"]:
        """Indices of the levels that the decoder writes, both channels' of a level together."""
        codes = self.seanet.codes(self._by_channel(latents))[:, : self.n_levels]
        paired = codes.reshape(len(latents), self.n_channels, self.n_levels, -1)
        return paired.transpose(1, 2).flatten(1, 2)

    def _from_codes(
        self, codes: Int[Tensor, "batch level frame"]
    ) -> Float[Tensor, "batch d_latent frame"]:
        n, books, frames = codes.shape
        by_level = codes.reshape(n, books // self.n_channels, self.n_channels, frames)
        by_channel = by_level.transpose(1, 2).flatten(0, 1)
        latents = self.seanet.from_codes(by_channel)
        return latents.reshape(n, self.n_channels * latents.shape[1], frames)

    def _by_channel(self, latents: Tensor) -> Tensor:
        n, width, frames = latents.shape
        return latents.reshape(n * self.n_channels, width // self.n_channels, frames)


def _decoder_taps(module: nn.Module) -> tuple[Tap, ...]:
    """Places in the decoder, in the order in which a layer computes them."""
    stack = "decoder.model.decoder.layers"
    heard = Method("forward", takes="argument")
    taps = []
    for index in range(len(module.get_submodule(stack))):  # type: ignore[arg-type]
        path, role = f"{stack}.{index}", f"block.{index}"
        taps += [
            Tap(f"{path}.self_attn", f"{role}.attn.out", "btc"),
            Tap(f"{path}.encoder_attn", f"{role}.cross.out", "btc"),
            Tap(f"{path}.fc2", f"{role}.mlp.act", "btc", {"out": heard}),
            Tap(f"{path}.fc2", f"{role}.mlp.out", "btc"),
            Tap(path, role, "btc"),
        ]
    return tuple(taps)


def make_causal(module: Any, name: str) -> None:
    """See to it that no position of the decoder hears a later one.

    A MusicGen assembled from its parts has no attention implementation set in transformers 5 and
    then, without a word, no causal mask: codes learn from what comes after them.

    Raises:
        CheckpointError: It hears what is to come whatever is set.
    """
    if is_causal(module):
        return
    module.set_attn_implementation("eager")
    if not is_causal(module):
        raise CheckpointError(
            f"the decoder of {name} hears tokens that are yet to come: save it with "
            f"save_pretrained and load it again"
        )


@torch.no_grad()
def is_causal(module: Any) -> bool:
    """Whether earlier logits stay where they are when the last token changes."""
    decoder = module.decoder
    books, last = decoder.num_codebooks, decoder.config.vocab_size - 1
    device = next(decoder.parameters()).device
    tokens = torch.arange(4, device=device).repeat(books, 1) % last
    other = tokens.clone()
    other[:, -1] = last
    one, two = (decoder(input_ids=ids).logits[:, :-1] for ids in (tokens, other))
    return torch.equal(one, two)
