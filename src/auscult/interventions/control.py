"""Control vectors as data: a direction, how it is applied, and where it came from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from auscult.core.errors import CheckpointError, ConfigError, StoreError, WidthError
from auscult.core.manifest import digest_of, package_version
from auscult.core.tensors import read_arrays, read_json, write_arrays, write_json
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import Dictionary
from auscult.models.base import AudioModel
from auscult.models.weights import weights_digest

_VERSION = 1

Space = Literal["responses", "features"]
Operation = Literal["add", "set"]


@dataclass(frozen=True)
class ControlProvenance:
    """Where a control vector came from; it travels with it.

    Attributes:
        model: Name of the model.
        weights: Digest of the model's weights.
        tap: Address within the model.
        time: Where the tap's frames lie.
        concept: What it is to move.
        towards: Which way, or to which class.
        made: How it was made, in words.
        dictionary: Digest of the dictionary whose features it is made of, or "".
        recordings: Ids of the recordings that it was made from.
        figures: What was measured of it, by name.
        parts: Names of the vectors that it is composed of; none where it is not.
        written_by: The version that wrote it.
    """

    model: str
    weights: str
    tap: str
    time: TimeBase
    concept: str
    towards: str
    made: str
    dictionary: str = ""
    recordings: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    written_by: str = field(default_factory=lambda: f"auscult {package_version('auscult')}")


@dataclass(frozen=True, eq=False)
class ControlVector:
    """A direction that moves a concept, with how strength α applies it (METHODS C-7).

    Of response vectors x, with ``renorm = "rms"`` scaled back to the level of x::

        x + α w

    Of features f = enc(x)::

        f' = f + α w          operation "add"; relu where clamp = "relu"
        f'_j = α w_j          operation "set", where w_j is not 0
        f' · rms(f) / rms(f') renorm "rms": for a code of fixed length this is RMSNorm(f + α w)
        dec(f')               or x + dec(f') - dec(f) with keep_error

    Vectors of one tap and one rule make an algebra: ``2 * a``, ``-a``, ``a + b``.

    Attributes:
        name: For people and folders.
        direction: What strength 1 adds, in the tap's own units or in feature activations.
        provenance: Where it came from.
        space: What the direction is made of.
        operation: Whether features are moved or set.
        renorm: Whether what was changed gets back its root mean square.
        clamp: Whether negative features become 0 ("relu").
        keep_error: Whether what the dictionary cannot say is kept.
        dictionary: The dictionary of the features; None for response vectors.
    """

    name: str
    direction: Float[np.ndarray, " d"]
    provenance: ControlProvenance
    space: Space = "responses"
    operation: Operation = "add"
    renorm: Literal["none", "rms"] = "none"
    clamp: Literal["none", "relu"] = "none"
    keep_error: bool = False
    dictionary: Dictionary | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.direction).all() or not np.any(self.direction):
            raise ConfigError(f"the control vector {self.name!r} is zero or not finite")
        if self.space == "responses":
            if self.dictionary is not None or self.operation == "set" or self.keep_error:
                raise ConfigError(
                    f"{self.name!r}: setting and keeping the error are for features of a dictionary"
                )
        elif self.dictionary is None:
            raise ConfigError(f"{self.name!r} is made of features and needs their dictionary")
        elif len(self.direction) != self.dictionary.n_features:
            raise WidthError(
                f"{self.name!r} has {len(self.direction)} features, its dictionary has "
                f"{self.dictionary.n_features}"
            )

    @property
    def d_in(self) -> int:
        """Width of the tap that it is for."""
        return self.dictionary.d_in if self.dictionary is not None else len(self.direction)

    def check(self, model: AudioModel) -> None:
        """Refuse a model with other weights than those that the vector was made with.

        Raises:
            CheckpointError: Names both.
        """
        digest = weights_digest(model.module)
        if digest != self.provenance.weights:
            raise CheckpointError(
                f"the control vector {self.name!r} was made with other weights of "
                f"{self.provenance.model} ({self.provenance.weights[:12]}) than those of "
                f"{model.name} ({digest[:12]}): directions of one do not mean the same in the other"
            )

    def __mul__(self, factor: float | int) -> "ControlVector":
        """The same with another unit of strength."""
        return replace(self, direction=self.direction * np.float32(factor))

    __rmul__ = __mul__

    def __neg__(self) -> "ControlVector":
        """The opposite."""
        told = replace(self.provenance, towards=f"the opposite of {self.provenance.towards}")
        return replace(self, direction=-self.direction, provenance=told)

    def __add__(self, other: "ControlVector") -> "ControlVector":
        """Both at once: the sum of the directions, under the rule that both have.

        Raises:
            ConfigError: They are not of one tap, one model or one rule.
        """
        first, second = self.provenance, other.provenance
        for what, one, two in (
            ("weights", first.weights[:12], second.weights[:12]),
            ("tap", first.tap, second.tap),
            ("rule", self.rule, other.rule),
            ("dictionary", first.dictionary[:12], second.dictionary[:12]),
        ):
            if one != two:
                raise ConfigError(
                    f"{self.name!r} and {other.name!r} cannot be added: "
                    f"their {what} is {one or 'none'} and {two or 'none'}"
                )
        told = ControlProvenance(
            model=first.model,
            weights=first.weights,
            tap=first.tap,
            time=first.time,
            concept=f"{first.concept} and {second.concept}",
            towards=f"{first.towards}; {second.towards}",
            made=first.made if first.made == second.made else f"{first.made}; {second.made}",
            dictionary=first.dictionary,
            recordings=tuple(sorted({*first.recordings, *second.recordings})),
            parts=(*(first.parts or (self.name,)), *(second.parts or (other.name,))),
        )
        name = f"{self.name} + {other.name}"
        direction = self.direction + other.direction
        return replace(self, name=name, direction=direction, provenance=told)

    @property
    def rule(self) -> str:
        """How strength is applied, in words."""
        parts = [f"{self.operation} {self.space}"]
        parts += ["renormalised"] if self.renorm == "rms" else []
        parts += ["no negative features"] if self.clamp == "relu" else []
        parts += ["error kept"] if self.keep_error else []
        return ", ".join(parts)

    def save(self, folder: Path) -> None:
        """Write ``control.json``, ``control.safetensors`` and the dictionary, if there is one."""
        told = asdict(self.provenance)
        told["time"] = self.provenance.time.to_json()
        write_arrays(folder / "control.safetensors", {"direction": self.direction})
        if self.dictionary is not None:
            self.dictionary.save(folder / "dictionary")
        settings = {
            "version": _VERSION,
            "name": self.name,
            "space": self.space,
            "operation": self.operation,
            "renorm": self.renorm,
            "clamp": self.clamp,
            "keep_error": self.keep_error,
            "provenance": told,
        }
        write_json(folder / "control.json", settings)

    @classmethod
    def load(cls, folder: Path | str) -> "ControlVector":
        """Read what :meth:`save` wrote.

        Raises:
            StoreError: A file is missing or damaged.
        """
        path = Path(folder)
        if not (path / "control.json").is_file():
            raise StoreError(f"{path} holds no control vector (no control.json)")
        told = read_json(path / "control.json")
        if not isinstance(told, dict) or told.get("version") != _VERSION:
            raise StoreError(f"{path / 'control.json'} is of another version of auscult")
        try:
            rest = {k: v for k, v in told.items() if k not in ("version", "provenance")}
            return cls(
                direction=read_arrays(path / "control.safetensors")["direction"],
                provenance=_provenance(told["provenance"]),
                dictionary=Dictionary.load(path / "dictionary")
                if told["space"] == "features"
                else None,
                **rest,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"the control vector in {path} is damaged: {error!r}") from error


def _provenance(told: Mapping[str, Any]) -> ControlProvenance:
    lists = {key: tuple(told[key]) for key in ("recordings", "parts")}
    return ControlProvenance(**{**told, **lists, "time": TimeBase.from_json(told["time"])})


def dictionary_digest(dictionary: Dictionary) -> str:
    """Digest of a dictionary's parameters and preprocessing."""
    told = [dictionary.registered_name, weights_digest(dictionary)]
    return digest_of(repr(told))
