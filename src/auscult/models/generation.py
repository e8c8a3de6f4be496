"""What a generator can do: make a sound in steps, each of which can be seen and changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

from auscult.core.errors import InvariantError
from auscult.core.timebase import TimeBase
from auscult.models.base import Tap

Kind = Literal["flow", "diffusion", "tokens"]
"""What a step is: along a straight flow, down a noise schedule, or one more frame of codes."""

Row = Literal["conditional", "unconditional"]


@dataclass(frozen=True)
class Prompt:
    """What is asked of a generator.

    Attributes:
        name: Unique among those asked together; what bootstraps draw.
        text: In words; "" where the generator reads none.
        wishes: Conditions that it takes beside text, by name (``instrument``, ``pitch_midi``).
        seed: Of the prompt's own noise, so that the result does not depend on its batch.
    """

    name: str
    text: str = ""
    wishes: Mapping[str, str | int | float] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class Step:
    """Where generation stands.

    Attributes:
        index: 0 before the first step, ``n_steps`` at the result.
        n_steps: Steps in all.
        progress: From 0 (noise, or nothing) to 1 (the result): the flow's time, the share of the
            schedule's noise that is gone, or the share of frames that are written.
        state: The latents as they are; for tokens, of the frames written so far.
        estimate: The clean latents that the network would jump to from here, in one step; None
            while it has not heard the state yet, and where it never says any (at the result, or for
            tokens).
        tokens: Indices of the frames written so far; None for latents without codes.
    """

    index: int
    n_steps: int
    progress: float
    state: Float[Tensor, "prompt d_latent frame"]
    estimate: Float[Tensor, "prompt d_latent frame"] | None = None
    tokens: Int[Tensor, "prompt level frame"] | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.index <= self.n_steps and -1e-6 <= self.progress <= 1 + 1e-6):
            raise InvariantError(
                f"step {self.index} of {self.n_steps} stands at {self.progress:.3g} of the way"
            )


Watch = Callable[[Step], Tensor | None]
"""Sees each step, in order, twice.

First when the network has not heard the state yet (``estimate`` is None): what it returns, latents
of the same shape, takes the place of the state, and generation goes on from there. Then, for a flow
or diffusion, once the network has heard it and nothing else was heard meanwhile (``estimate`` is
there): what it returns then is passed over. The result, step ``n_steps``, is seen once. Whatever
taps inside the network say between the two belongs to the step.
"""


@dataclass(frozen=True)
class Generator:
    """What a model that makes sound offers, beside the codec whose latents it makes.

    Attributes:
        kind: What its steps are.
        n_steps: As many as it takes.
        latent: Role of the tap in whose space its states lie, scaled as that tap says them; noise
            is scaled along with them.
        n_frames: Latent frames of a result.
        generate: Prompts to latents ``[prompt d_latent frame]`` as the codec decodes them; the
            second argument, if given, sees step 0 to ``n_steps`` in order. Without gradients.
        rows: How the network's batch is laid out at each step: with guidance it holds every prompt
            twice, the rows of one kind one behind another.
        wishes: Values that each condition takes, in order; empty where any number will do.
        taps: Places inside the network that runs at each step, in its order, with paths in the
            model's module and roles that none of the model's own taps has; hearing does not pass
            them. The network runs once a step, its batch laid out as ``rows`` says.
        times: Where the frames of those taps lie, by path; a tap that is not among them lies as the
            latents do, some frames to a token where it has fewer.
    """

    kind: Kind
    n_steps: int
    latent: str
    n_frames: int
    generate: Callable[[Sequence[Prompt], Watch | None], Tensor]
    rows: tuple[Row, ...] = ("conditional",)
    wishes: Mapping[str, tuple[str | int | float, ...]] = field(default_factory=dict)
    taps: tuple[Tap, ...] = ()
    times: Mapping[str, TimeBase] = field(default_factory=dict)
