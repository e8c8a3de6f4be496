"""One dictionary in training: its optimiser, its log, and its part of the checkpoint."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from auscult.core.errors import DivergedError, StoreError
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary, Objective
from auscult.dictionaries.checkpoint import Checkpoint
from auscult.dictionaries.flat_adam import MOMENTS, FlatAdam
from auscult.dictionaries.linear import LinearCoder, row_norms
from auscult.dictionaries.products import Bf16, reads_bf16

ExtraLosses = Callable[[Dictionary, Tensor, int], Mapping[str, Tensor]]
"""Further terms to be minimised, from a dictionary, a batch of vectors and the step from 0 on.

It may have an attribute ``identity``, which says all that decides its values.
"""

PENALTIES = frozenset({"l1", "l0"})
"""Terms of a loss that are no reconstruction, whatever they are weighed against."""


@dataclass(frozen=True)
class Conduct:
    """What a training asks of each of its dictionaries, beside learning rate and batch.

    Attributes:
        clip_norm: Longest gradient; None for no limit.
        dead_after: Vectors without a feature after which it counts as dead.
        bf16: What large products read.
        sparsity_warm_up: Steps over which the weight of sparsity rises.
        target_l0: Where that weight is to bring the L0; None to leave it alone.
        resample_every: Steps between which dead features begin anew; None for never.
        seed: Decides which vectors they begin with.
        steps: How many there are.
        log_every: Steps between lines of the log; the last step has one.
    """

    clip_norm: float | None
    dead_after: int
    bf16: Bf16 = "off"
    sparsity_warm_up: int = 0
    target_l0: float | None = None
    resample_every: int | None = None
    seed: int = 0
    steps: int = 0
    log_every: int = 1


_GAIN = 0.02
"""How much of its distance from the target, as a logarithm, the L0 moves the weight in a step."""


class Learner:
    """A dictionary, Adam, and what must be remembered between steps.

    Attributes:
        name: Of the dictionary among those that train side by side.
        dictionary: What learns.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        name: str,
        extra_losses: ExtraLosses | None,
        conduct: Conduct,
        local_weight: float = 1.0,
        member: tuple[FlatAdam, int] | None = None,
    ) -> None:
        """Get ready.

        Args:
            dictionary: What learns.
            name: Of its log and its part of the checkpoint.
            extra_losses: Further terms to be minimised.
            conduct: What is asked of it.
            local_weight: What its own reconstruction terms weigh beside these.
            member: An optimiser that has its parameters already, and which of its members it is.
        """
        self.name = name
        self._local_weight = local_weight
        self.dictionary = dictionary.requires_grad_(True).train()
        self.dictionary.dead_after = conduct.dead_after
        self._conduct = conduct
        self._steering = torch.zeros((), dtype=torch.float64)
        self._extra_losses = extra_losses
        self._adam, self._member = member or (FlatAdam(dict(dictionary.named_parameters())), 0)
        span = dictionary.preprocess.span
        # Adam moves each coordinate by so much: in fewer of them a vector would move less.
        self._pace = 1.0 if span is None else math.sqrt(dictionary.d_in / len(span))
        for coder in self._coders():
            coder.bf16 = reads_bf16(
                conduct.bf16, self.device, dictionary.n_features * dictionary.d_in
            )
        self._log: BinaryIO | None = None
        self._line: dict[str, Any] = {}

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        return self._adam.values.device

    def _coders(self) -> list[LinearCoder]:
        modules = self.dictionary.modules()
        return [module for module in modules if isinstance(module, LinearCoder)]

    def begin(self, folder: Path, checkpoint: Checkpoint | None) -> None:
        """Open the log, and take up the state of a checkpoint.

        Raises:
            StoreError: The checkpoint does not fit, or the log is shorter than it was then.
        """
        path = folder / f"{self.name}.jsonl"
        if checkpoint is None:
            self._log = path.open("wb")
            return
        self._restore(checkpoint)
        size = checkpoint.log_bytes.get(self.name, 0)
        if not path.exists() or path.stat().st_size < size:
            raise StoreError(f"{path} is damaged: delete {folder} to start anew")
        self._log = path.open("r+b")
        self._log.truncate(size)
        self._log.seek(size)

    def step(
        self,
        step: int,
        x: Float[Tensor, "n d_in"],
        target: Float[Tensor, "n d_out"] | None,
        lr: float,
        vectors: Float[Tensor, "n d"] | None = None,
    ) -> None:
        """Learn from one batch.

        Args:
            step: From 0 on.
            x: The batch.
            target: What is to be made of it, if not itself.
            lr: Learning rate.
            vectors: The batch, preprocessed, where someone did it already; it has no target then.

        Raises:
            DivergedError: A term of the loss is not finite; parameters are as they were.
            UserError: It is not, because the batch is not.
        """
        dictionary = self.dictionary
        self.brief(step)
        objective = self._differentiated(x, target, vectors)
        terms = objective.terms
        if self._extra_losses is not None:
            extras = self._extra_losses(dictionary, x, step)
            torch.stack(list(extras.values())).sum().backward()  # type: ignore[no-untyped-call]
            terms = {**terms, **extras}
        losses = self.checked(step, terms, x, target, lr)
        dictionary.before_step()
        self._adam.gather()
        self.descend(lr)
        dictionary.after_step()
        dictionary.count(objective.fired, len(x))
        self.note(step, losses, objective, x, target)

    def brief(self, step: int) -> None:
        """Set the weight of sparsity for a step, and whether features are to be counted."""
        self._rise = min(1.0, (step + 1) / max(1, self._conduct.sparsity_warm_up))
        sparsity = self._rise * math.exp(float(self._steering))
        counting = self._conduct.target_l0 is not None or self.logs(step)
        # Telling a module costs as much as a small product.
        if self.dictionary.sparsity != sparsity:
            self.dictionary.sparsity = sparsity
        if self.dictionary.counting != counting:
            self.dictionary.counting = counting

    def logs(self, step: int) -> bool:
        """Whether a step has a line in the log."""
        done, conduct = step + 1, self._conduct
        return done % conduct.log_every == 0 or done == conduct.steps

    def checked(
        self,
        step: int,
        terms: Mapping[str, Float[Tensor, ""]],
        x: Float[Tensor, "n d_in"],
        target: Float[Tensor, "n d_out"] | None,
        lr: float,
    ) -> dict[str, float]:
        """The terms of a loss as numbers; they are looked at before parameters change.

        Raises:
            DivergedError: One is not finite.
            UserError: It is not, because the batch is not.
        """
        losses = {name: float(term.detach()) for name, term in terms.items()}
        if not math.isfinite(sum(losses.values())):
            self.dictionary.pair(x, target)  # says so where it is for the vectors
            raise DivergedError(
                f"the loss of dictionary {self.name!r} is not finite at step {step + 1}"
                f" ({losses}): train anew with a lower learning rate than {lr:.3g}"
            )
        return losses

    def descend(self, lr: float) -> None:
        """Let the optimiser, and so all of its members, take a step."""
        if self._conduct.clip_norm is not None:
            self._adam.clip(self._conduct.clip_norm)
        self._adam.step(self._pace * lr)

    def note(
        self,
        step: int,
        losses: Mapping[str, float],
        objective: Objective,
        x: Float[Tensor, "n d_in"],
        target: Float[Tensor, "n d_out"] | None,
    ) -> None:
        """Remember what a step came to, once it is taken, and act on it."""
        self._line = {"step": step + 1, "losses": losses, **objective.notes}
        self._fired, self._n = objective.fired, len(x)
        self._steer()
        every = self._conduct.resample_every
        if every and (step + 1) % every == 0:
            self._line["resampled"] = self._resample(step, x, target)

    def _steer(self) -> None:
        """Bring the L0 nearer to its target by the weight of sparsity, once this is warm."""
        if self._conduct.target_l0 is None or self._rise < 1.0:
            return
        l0 = max(float(self._fired.sum()) / self._n, 1e-3)
        away = math.log(l0 / self._conduct.target_l0)
        self._steering += _GAIN * max(-1.0, min(1.0, away))

    @torch.no_grad()
    def _resample(
        self, step: int, x: Float[Tensor, "n d_in"], target: Float[Tensor, "n d_out"] | None
    ) -> int:
        """Let dead features begin anew, and say how many.

        Their directions are those of vectors of the batch, drawn with a probability that grows with
        the square of how badly they are rebuilt (Bricken et al. 2023).
        """
        dictionary, dead = self.dictionary, self.dictionary.dead
        if len(dead) == 0:
            return 0
        vectors, wanted = dictionary.pair(x, target)
        estimate = dictionary.reconstruct(dictionary.activate(vectors))
        losses = (estimate - wanted).square().sum(1).square().double().cpu().numpy()
        if not losses.sum() > 0.0:
            return 0
        rng = named_rng(self._conduct.seed, "resample", self.name, step)
        # Two that began alike would stay so.
        again = len(dead) > int(np.count_nonzero(losses))
        chosen = rng.choice(len(vectors), len(dead), again, p=losses / losses.sum())
        rows = vectors[torch.from_numpy(chosen).to(vectors.device)]
        for name in dictionary.revive(dead, rows / row_norms(rows)):
            self._adam.forget(name, dead, self._member)
        dictionary.vectors_since_fired[dead] = 0
        return len(dead)

    def _differentiated(
        self, x: Tensor, target: Tensor | None, vectors: Tensor | None
    ) -> Objective:
        """The dictionary's own gradient; by autograd where its terms weigh otherwise."""
        dictionary, weight = self.dictionary, self._local_weight
        if weight == 1.0 and vectors is not None:
            return dictionary.differentiate(vectors, vectors)
        if weight == 1.0:
            return dictionary.gradients(x, target)
        own = dictionary.whole_objective(x, target)
        terms = {n: t if n in PENALTIES else weight * t for n, t in own.terms.items()}
        for parameter in dictionary.parameters():
            parameter.grad = torch.zeros_like(parameter)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        return Objective(terms, own.fired, own.notes)

    def write_line(self) -> None:
        """Note the last step in the log."""
        dead_fraction = len(self.dictionary.dead) / self.dictionary.n_features
        l0 = float(self._fired.sum()) / self._n
        line = self._line | {"l0": l0, "dead_fraction": dead_fraction}
        if self._log:
            self._log.write((json.dumps(line) + "\n").encode())

    def log_bytes(self) -> int:
        """Length of the log, all of it on disk."""
        if self._log is None:
            return 0
        self._log.flush()
        return self._log.tell()

    def arrays(self) -> dict[str, Shaped[np.ndarray, "..."]]:
        """All of its state, by ``name/kind/parameter``."""
        kinds: dict[str, Mapping[str, Tensor]] = {
            "weights": self.dictionary.state_dict(),
            "counters": {
                "vectors_since_fired": self.dictionary.vectors_since_fired,
                "steering": self._steering,
            },
        }
        kinds |= self._adam.state(self._member)
        return {
            f"{self.name}/{kind}/{key}": tensor.detach().cpu().numpy()
            for kind, tensors in kinds.items()
            for key, tensor in tensors.items()
        }

    def _restore(self, checkpoint: Checkpoint) -> None:
        def tensor(kind: str, key: str) -> Tensor:
            return torch.from_numpy(checkpoint.arrays[f"{self.name}/{kind}/{key}"])

        try:
            weights = {key: tensor("weights", key) for key in self.dictionary.state_dict()}
            self.dictionary.load_state_dict(weights)
            self.dictionary.ready = True
            self.dictionary.vectors_since_fired.copy_(tensor("counters", "vectors_since_fired"))
            self._steering.copy_(tensor("counters", "steering"))
            kinds = {
                moment: {
                    key: tensor(moment, key) for key in dict(self.dictionary.named_parameters())
                }
                for moment in MOMENTS
            }
            self._adam.restore(kinds | {"step": {"adam": tensor("step", "adam")}}, self._member)
        except (KeyError, RuntimeError) as error:
            raise StoreError(f"the checkpoint does not fit {self.name!r}: {error}") from error

    def close(self) -> None:
        """Let go of the log, and of memory that only training needs."""
        if self._log:
            self._log.close()
        self._adam.release()
        for coder in self._coders():
            coder.bf16 = False
            coder.scratch.clear()
