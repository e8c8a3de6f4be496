"""How a run says what it is doing, to whoever shows it."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Receives the course of a run: a stage begins, advances by shares of itself, and ends.

    A stage may begin within another (an analysis has a dictionary fitted); what is said then is
    about the inner one until it ends.
    """

    def begin(self, stage: str) -> None:
        """A stage begins."""
        ...

    def advance(self, share: float) -> None:
        """So much of the current stage is done, in [0, 1]."""
        ...

    def end(self, reused: bool) -> None:
        """The current stage is finished, computed now or found."""
        ...


class Silent:
    """Says nothing."""

    def begin(self, stage: str) -> None:
        """Say nothing."""

    def advance(self, share: float) -> None:
        """Say nothing."""

    def end(self, reused: bool) -> None:
        """Say nothing."""


def ticker(progress: Progress, total: int) -> Callable[[int], None]:
    """Turn counts of finished units into shares."""

    def tick(done: int) -> None:
        progress.advance(min(1.0, done / max(total, 1)))

    return tick
