"""Dictionaries that learn from one batch at the same time, each on one processor core."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

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
    bit, what one thread alone computes. One stacked product for all was measured to be slower: see
    ADR "Fast paths of training".
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
