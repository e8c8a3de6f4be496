"""Dictionaries that learn from one batch at the same time, each on one processor core."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from auscult.dictionaries.base import Dictionary

Together = Callable[[Sequence[Callable[[], None]]], None]
"""Does all of some tasks, and comes back when all are done."""


def _in_turn(tasks: Sequence[Callable[[], None]]) -> None:
    for task in tasks:
        task()


@contextmanager
def side_by_side(n_tasks: int) -> Iterator[Together]:
    """A way to do so many independent tasks at once with the threads that torch has.

    Cores work on different dictionaries and not on parts of one product: none waits for another
    within a step, and what a dictionary needs stays in its core's cache. Each result is, bit for
    bit, what one thread alone computes.
    """
    n_threads = torch.get_num_threads()
    if min(n_threads, n_tasks) < 2:
        yield _in_turn
        return

    def at_once(tasks: Sequence[Callable[[], None]]) -> None:
        for waiting in [pool.submit(task) for task in tasks]:
            waiting.result()

    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(
            min(n_threads, n_tasks), "auscult-train", torch.set_num_threads, (1,)
        ) as pool:
            yield at_once
    finally:
        torch.set_num_threads(n_threads)


class Preprocessed:
    """Batches that are preprocessed once for all dictionaries that make the same of them.

    Attributes:
        like: For each dictionary, the position of the first that makes the same of vectors.
    """

    def __init__(self, dictionaries: Sequence[Dictionary]) -> None:
        self._dictionaries = dictionaries
        self.like = [
            next(i for i, first in enumerate(dictionaries) if _alike(first, each))
            for each in dictionaries
        ]

    def __call__(
        self, x: Float[Tensor, "n d_in"], target: Float[Tensor, "n d_out"] | None = None
    ) -> list[Float[Tensor, "n d"] | None]:
        """The vectors of each dictionary, not to be overwritten: some are the same tensor.

        They are not looked through for values that are not finite: these end in the loss. Where
        there is a target, each makes a pair of them for itself: None for all.
        """
        if target is not None:
            return [None] * len(self.like)
        made = {first: self._dictionaries[first].preprocess(x) for first in {*self.like}}
        return [made[first] for first in self.like]


def _alike(one: Dictionary, other: Dictionary) -> bool:
    a, b = one.preprocess, other.preprocess
    if one.d_in != other.d_in or (a.span is None) != (b.span is None):
        return False
    pairs = [(a.mean, b.mean), (a.scale, b.scale)]
    if a.span is not None and b.span is not None:
        pairs.append((a.span, b.span))
    return all(torch.equal(left, right) for left, right in pairs)
