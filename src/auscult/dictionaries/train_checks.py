"""What a training refuses before it begins."""

import re
from collections.abc import Sequence
from typing import Any

from auscult.core.errors import ConfigError, WidthError
from auscult.dictionaries.base import Dictionary

Named = Sequence[tuple[str, Dictionary]]
"""Dictionaries that are to train side by side, and what they are called."""

_NEED_TARGETS = {
    "neighbours": "learns from each vector and the next frame's",
    "target": "learns what another tap says",
}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def check_shapes(named: Named, d_in: int, d_target: int | None) -> None:
    """Refuse names that clash or cannot be a file's, and vectors of another width.

    Args:
        named: What is to be trained.
        d_in: Width of the vectors.
        d_target: Width of what is to be reconstructed, if not they.

    Raises:
        ConfigError: A name, or targets that are missing.
        WidthError: A width.
    """
    names = [name for name, _ in named]
    for name, dictionary in named:
        if names.count(name) > 1:
            raise ConfigError(f"two dictionaries are named {name!r}: rename one")
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{name!r} cannot name a dictionary: use letters, digits and _ . + -")
        if d_target is None and dictionary.reads in _NEED_TARGETS:
            raise ConfigError(
                f"dictionary {name!r} of type {dictionary.registered_name!r} "
                f"{_NEED_TARGETS[dictionary.reads]}: give them as targets"
            )
        d_out = d_in if d_target is None else d_target
        if (dictionary.d_in, dictionary.d_out) != (d_in, d_out):
            raise WidthError(
                f"dictionary {name!r} goes from width {dictionary.d_in} to {dictionary.d_out}, "
                f"but the vectors from {d_in} to {d_out}"
            )


def check_sparsity(
    kinds: Sequence[tuple[str, type[Dictionary], Any]],
    target_l0: float | None,
    resample_every: int | None,
) -> None:
    """Refuse what a type has nothing for.

    Args:
        kinds: Names, types and settings: a spec asks before there are vectors.
        target_l0: Where weights of sparsity are to bring the L0.
        resample_every: Steps between which dead features begin anew.

    Raises:
        ConfigError: There is no weight that a target could steer, or no way to begin anew.
    """
    for name, kind, params in kinds:
        if target_l0 is not None and kind.trainable and not kind.priced_by(params):
            raise ConfigError(
                f"target_l0 steers a weight of sparsity, and {kind.registered_name} dictionaries "
                f"such as {name!r} have none: set their own k or target_l0, or leave it out"
            )
        if resample_every and kind.trainable and kind.revive is Dictionary.revive:
            raise ConfigError(
                f"resample_every lets dead features begin anew, and {kind.registered_name} "
                f"dictionaries such as {name!r} have no way to: leave it out"
            )


def check_own_losses(named: Named, local_weights: Sequence[float]) -> None:
    """Refuse to weigh with 0 what a type cannot learn without.

    Raises:
        ConfigError: It is.
    """
    for (name, made), weight in zip(named, local_weights, strict=True):
        if made.needs_own_loss and weight == 0.0:
            raise ConfigError(
                f"{made.registered_name} dictionaries such as {name!r} learn who is on from their "
                "own reconstruction alone: set local_weight above 0"
            )
