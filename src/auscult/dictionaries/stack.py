"""Learners whose dictionaries have one small shape, and take their steps with the same calls."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.core.errors import InvariantError
from auscult.dictionaries.base import Dictionary, Objective
from auscult.dictionaries.flat_adam import FlatAdam
from auscult.dictionaries.learner import Learner


class StackedGradients(ABC):
    """What a type has to say in order that dictionaries of it can learn as a stack.

    A step of a small dictionary is spent in calls, not in arithmetic: here one call serves all.
    Results are those of the type's own ``differentiate``, ``before_step`` and ``after_step``, but
    for rounding; these are the slow twins.
    """

    @staticmethod
    @abstractmethod
    def key(dictionary: Any, batch: int) -> Hashable | None:
        """What is equal in dictionaries that can be stacked; None if one is better off alone."""

    @abstractmethod
    def __init__(self, dictionaries: Sequence[Any], adam: FlatAdam) -> None:
        """Take dictionaries of one key, whose parameters are the members of an optimiser."""

    @abstractmethod
    def differentiate(self, vectors: Float[Tensor, "n d"]) -> Sequence[Objective]:
        """Put the gradients of all into the optimiser, and say what the batch costs each."""

    @abstractmethod
    def before_step(self) -> None:
        """Change gradients before the optimiser sees them."""

    @abstractmethod
    def after_step(self) -> None:
        """Put parameters back where they must lie after a step of the optimiser."""


class Stack:
    """Several learners as one."""

    def __init__(self, learners: Sequence[Learner], gradients: StackedGradients) -> None:
        self._learners, self._gradients = learners, gradients
        dictionaries = [each.dictionary for each in learners]
        self._idle = torch.stack([each.vectors_since_fired for each in dictionaries])
        for dictionary, row in zip(dictionaries, self._idle, strict=True):
            dictionary.vectors_since_fired = row

    def step(
        self,
        step: int,
        x: Float[Tensor, "n d_in"],
        target: Float[Tensor, "n d_out"] | None,
        lr: float,
        vectors: Float[Tensor, "n d"] | None = None,
    ) -> None:
        """Learn from one batch; arguments and errors are those of :meth:`Learner.step`.

        Raises:
            InvariantError: There is a target: what learns from one has no stack.
        """
        if target is not None:
            raise InvariantError("a stack learns from vectors alone")
        if vectors is None:
            vectors, _ = self._learners[0].dictionary.pair(x, target)
        for learner in self._learners:
            learner.brief(step)
        objectives = self._gradients.differentiate(vectors)
        losses = [
            learner.checked(step, objective.terms, x, target, lr)
            for learner, objective in zip(self._learners, objectives, strict=True)
        ]
        self._gradients.before_step()
        self._learners[0].descend(lr)
        self._gradients.after_step()
        self._idle += len(x)
        self._idle.masked_fill_(torch.stack([each.fired for each in objectives]) > 0, 0)
        for learner, objective, terms in zip(self._learners, objectives, losses, strict=True):
            learner.note(step, terms, objective, x, target)


Member = tuple[FlatAdam, int]
"""An optimiser, and which of its members one is."""

Team = tuple[int, Learner | Stack]
"""The position of its first learner, and what takes the steps of all."""


def teams_of(
    dictionaries: Sequence[Dictionary],
    like: Sequence[int | None],
    batch: int,
    n_teams: int,
    make: Callable[[int, Member | None], Learner],
) -> tuple[list[Learner], list[Team]]:
    """Learners of dictionaries, and who of them take their steps together.

    Args:
        dictionaries: As they are when they learn: in their subspace.
        like: Equal numbers for dictionaries that preprocess vectors alike; None for one that goes
            its own type's way.
        batch: Vectors in a batch.
        n_teams: Into how many teams those of one shape are split, as evenly as can be.
        make: Makes the learner of one, by its position; the member of an optimiser that it is.

    Returns:
        The learners in order; and the teams, each with the position of its first learner.
    """
    learners: dict[int, Learner] = {}
    teams: list[Team] = []
    for kind, positions in _together(dictionaries, like, batch, n_teams):
        some = [dictionaries[each] for each in positions]
        if kind is None:
            learners |= {each: make(each, None) for each in positions}
            teams += [(each, learners[each]) for each in positions]
            continue
        adam = FlatAdam(*(dict(each.named_parameters()) for each in some))
        own = [make(each, (adam, of)) for of, each in enumerate(positions)]
        learners |= dict(zip(positions, own, strict=True))
        teams.append((positions[0], Stack(own, kind(some, adam))))
    return [learners[each] for each in range(len(dictionaries))], teams


def _together(
    dictionaries: Sequence[Dictionary], like: Sequence[int | None], batch: int, n_teams: int
) -> Iterator[tuple[type[StackedGradients] | None, list[int]]]:
    """Positions of each team, and what its gradients are; None where each goes its own way.

    One alone is a stack as well: what it learns must not depend on who learns beside it.
    """
    by_key: dict[Hashable, list[int]] = {}
    alone: list[int] = []
    for position, dictionary in enumerate(dictionaries):
        kind = dictionary.stacked
        key = None
        if kind is not None and like[position] is not None:
            key = kind.key(dictionary, batch)
        if key is None:
            alone.append(position)
        else:
            by_key.setdefault((kind, key, like[position]), []).append(position)
    yield None, alone
    for positions in by_key.values():
        n = min(n_teams, len(positions))
        for team in range(n):
            yield dictionaries[positions[0]].stacked, positions[team::n]
