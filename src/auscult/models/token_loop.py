"""MusicGen's own decoding, a pass at a time: seen, changed, each prompt with a seed of its own.

The library's ``generate`` draws for a whole batch from torch's global random state, so that what a
prompt becomes depends on its neighbours; and what it wrote cannot be changed from outside. This is
the same loop (tests compare the codes), with a random generator for each prompt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from auscult.core.errors import ConfigError
from auscult.models.delayed_codes import DelayPattern
from auscult.models.generation import Step, Watch


@dataclass(frozen=True)
class Drawing:
    """How the next codes are drawn.

    Attributes:
        guidance: Scale of classifier-free guidance; none at 1 or below.
        sampled: Whether codes are drawn; the likeliest otherwise.
        temperature: Divides the logits before.
        top_k: Of how many likeliest codes; 0 for all.
    """

    guidance: float
    sampled: bool
    temperature: float
    top_k: int


@dataclass(frozen=True)
class Told:
    """What the decoder reads of the prompts: conditional rows, then the unconditional ones.

    Attributes:
        hidden: Hidden states of the text.
        mask: Which of them are words.
    """

    hidden: Float[Tensor, "row word d_text"]
    mask: Int[Tensor, "row word"]


class TokenLoop:
    """One batch of prompts on its way from the start token to the last frame."""

    def __init__(
        self,
        module: Any,
        pattern: DelayPattern,
        drawing: Drawing,
        latents_of: Callable[[Tensor], Tensor],
        codes_of: Callable[[Tensor], Tensor],
    ) -> None:
        self.module = module
        self.pattern = pattern
        self.drawing = drawing
        self.latents_of = latents_of
        self.codes_of = codes_of

    def run(self, told: Told, seeds: Sequence[int], watch: Watch | None) -> Tensor:
        """Write every frame.

        Returns:
            Latents ``[prompt d_latent frame]``, the sum of the entries that the codes stand for.

        Raises:
            ConfigError: What the watch returns does not fit.
        """
        rngs = [torch.Generator(told.hidden.device).manual_seed(seed) for seed in seeds]
        shape = (len(seeds), self.pattern.n_books, 1)
        written = torch.full(shape, self.pattern.blank, device=told.hidden.device)
        cache = None
        for n_passes in range(self.pattern.n_passes):
            changed = self._seen(n_passes, written, watch)
            if changed is not None:
                # What the decoder remembers is of codes that are no longer there.
                written, cache = changed, None
            logits, cache = self._pass(written if cache is None else written[..., -1:], told, cache)
            drawn = self._drawn(logits, rngs)
            new = self.pattern.masked(drawn, written.shape[2])
            written = torch.cat([written, new[..., None]], 2)
        changed = self._seen(self.pattern.n_passes, written, watch)
        return self.latents_of(self.pattern.frames(written if changed is None else changed))

    def _pass(self, tokens: Tensor, told: Told, cache: Any) -> tuple[Tensor, Any]:
        """Logits of the next position ``[prompt book code]``, guidance included."""
        guided = self.drawing.guidance > 1
        flat = tokens.flatten(0, 1)
        said = self.module(
            encoder_outputs=(told.hidden,),
            attention_mask=told.mask,
            decoder_input_ids=flat.repeat(2, 1) if guided else flat,
            past_key_values=cache,
            use_cache=True,
        )
        logits = said.logits[:, -1].float()
        if guided:
            with_text, without = logits.chunk(2)
            logits = without + (with_text - without) * self.drawing.guidance
        return logits.unflatten(0, tokens.shape[:2]), said.past_key_values  # type: ignore[no-untyped-call, unused-ignore]

    def _drawn(
        self, logits: Float[Tensor, "prompt book code"], rngs: Sequence[torch.Generator]
    ) -> Int[Tensor, "prompt book"]:
        if not self.drawing.sampled:
            return logits.argmax(-1)
        logits = logits / self.drawing.temperature
        if self.drawing.top_k:
            k = min(self.drawing.top_k, logits.shape[-1])
            least = logits.topk(k).values[..., -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        chances = logits.softmax(-1)
        drawn = [
            torch.multinomial(one, 1, generator=rng)[:, 0]
            for one, rng in zip(chances, rngs, strict=True)
        ]
        return torch.stack(drawn)

    def _seen(self, n_passes: int, written: Tensor, watch: Watch | None) -> Tensor | None:
        """Let the watch see what is complete; what was written, if it changed a frame of it."""
        if watch is None:
            return None
        codes = self.pattern.frames(written)
        state = self.latents_of(codes)
        progress = codes.shape[2] / self.pattern.n_frames
        new = watch(Step(n_passes, self.pattern.n_passes, progress, state.clone(), None, codes))
        if new is None:
            return None
        if new.shape != state.shape:
            raise ConfigError(
                f"what takes the place of a state must have its shape {list(state.shape)}, "
                f"this has {list(new.shape)}"
            )
        touched = (new != state).any(1)
        if not touched.any():
            return None
        # A sum of entries need not be read back as the codes that made it: what was left alone is.
        others = torch.where(touched[:, None], self.codes_of(new), codes)
        return self.pattern.put(written, others)
