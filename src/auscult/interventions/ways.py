"""Ways to make control vectors from vectors and the values of concepts (METHODS C-7)."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Shaped

from auscult.core.errors import ConfigError, NothingToMeasureError
from auscult.dictionaries.base import Dictionary
from auscult.interventions.control import ControlProvenance, ControlVector
from auscult.measures.concept_directions import difference_of_means, others_held, readout
from auscult.measures.probe_families import LinearReadout
from auscult.measures.probe_targets import binned
from auscult.measures.probes import ProbeSettings, fit_probe

WayName = Literal["published", "published-kept", "feature", "means", "readout", "held"]
Variant = Literal["unit", "raw", "difference"]
Sign = Literal["more", "less"]

WAYS: tuple[WayName, ...] = get_args(WayName)
OF_FEATURES: tuple[WayName, ...] = ("published", "published-kept", "feature")
WORDS: dict[WayName, str] = {
    "published": "as published",
    "published-kept": "as published, error kept",
    "feature": "one feature set",
    "means": "difference of means",
    "readout": "direction of a readout",
    "held": "others held fixed",
}
_AT_ONCE = 8192


@dataclass(frozen=True)
class Material:
    """What vectors are made from.

    Attributes:
        x: Response vectors of training recordings.
        concepts: Value of each concept in the same frames; NaN where there is none.
        names: Of the concepts.
        edges: Of the bins that the published way divides each concept into.
        recordings: Recording of each row.
        dictionary: Whose features the published ways speak in; None where there is none.
    """

    x: Float[np.ndarray, "n d"]
    concepts: Float[np.ndarray, "n concept"]
    names: tuple[str, ...]
    edges: tuple[np.ndarray, ...]
    recordings: Shaped[np.ndarray, " n"]
    dictionary: Dictionary | None = None

    @property
    def spread(self) -> float:
        """Root mean square distance of the vectors from their mean: the unit of strength."""
        centred = self.x.astype(np.float64) - self.x.mean(0, dtype=np.float64)
        return float(np.sqrt(np.square(centred).sum(1).mean()))

    def acts(self) -> Float[np.ndarray, "n n_features"]:
        """What the dictionary says of the vectors.

        Raises:
            ConfigError: There is no dictionary.
        """
        if self.dictionary is None:
            raise ConfigError("this way needs a dictionary of response vectors, and none is fitted")
        with torch.no_grad():
            parts = [
                self.dictionary.encode(torch.from_numpy(self.x[i : i + _AT_ONCE])).numpy()
                for i in range(0, len(self.x), _AT_ONCE)
            ]
        return np.concatenate(parts)


@dataclass
class Maker:
    """Makes the vectors of each way, and remembers what several ways need.

    Attributes:
        material: From which.
        told: Where it comes from; concept and way are filled in.
        seed: Makes the generator that draws rows and validation recordings.
        variant: The published direction: w_k at unit length, as it is, or minus the w_k of the
            other end.
        clamp: Whether published ways clamp negative features to 0.
    """

    material: Material
    told: ControlProvenance
    seed: Callable[[], np.random.Generator]
    variant: Variant = "unit"
    clamp: Literal["none", "relu"] = "none"
    _acts: np.ndarray | None = None
    _readouts: dict[int, tuple[np.ndarray, dict[Sign, int]]] = field(default_factory=dict)

    def make(self, way: WayName, which: int, sign: Sign) -> ControlVector:
        """The vector of one way that moves a concept towards more or less of it.

        Of response vectors, strength 1 moves by the vectors' spread; of features, by unit length
        (or what ``variant`` says), or sets a feature to the most that it was seen at.

        Raises:
            NothingToMeasureError: The concept has too few values, or does not vary.
            ConfigError: The way needs a dictionary.
        """
        concept = self.material.names[which]
        told = replace(self.told, concept=concept, towards=sign, made=WORDS[way])
        name = f"{concept}, {sign} ({WORDS[way]})"
        if way not in OF_FEATURES:
            direction = self._raw(way, which)
            length = np.linalg.norm(direction)
            if not length > 0:
                raise NothingToMeasureError(f"{concept} has no direction by this way")
            step = direction / length * self.material.spread * (1 if sign == "more" else -1)
            return ControlVector(name, step.astype(np.float32), replace(told, dictionary=""))
        weights, classes = self._weights(which)
        if way == "feature":
            return self._one_feature(name, told, weights[classes[sign]])
        direction = weights[classes[sign]]
        if self.variant == "difference":
            direction = direction - weights[classes["less" if sign == "more" else "more"]]
        if self.variant == "unit":
            direction = direction / max(float(np.linalg.norm(direction)), 1e-12)
        return ControlVector(
            name,
            direction.astype(np.float32),
            told,
            space="features",
            renorm="rms",
            clamp=self.clamp,
            keep_error=way == "published-kept",
            dictionary=self.material.dictionary,
        )

    def _raw(self, way: WayName, which: int) -> np.ndarray:
        one = self.material
        if way == "means":
            return difference_of_means(one.x, one.concepts[:, which])
        if way == "readout":
            return readout(one.x, one.concepts[:, which])
        return others_held(one.x, one.concepts, which)

    def _weights(self, which: int) -> tuple[np.ndarray, dict[Sign, int]]:
        """Weights of a linear probe on the features, and the class at each end of the concept.

        The ends are the bins that hold its 12.5 and 87.5 % quantiles: the middles of the outer
        quarters.
        """
        if which not in self._readouts:
            one = self.material
            values = one.concepts[:, which]
            known = np.isfinite(values)
            if known.sum() < 50:
                raise NothingToMeasureError(f"only {int(known.sum())} frames have the concept")
            low, high = np.quantile(values[known], [0.125, 0.875])
            ends = binned(np.array([low, high]), one.edges[which], "").labels
            if ends[0] == ends[1]:
                raise NothingToMeasureError(
                    f"three quarters of the frames have {one.names[which]} in one bin: its two "
                    "ends cannot be told apart"
                )
            target = binned(values, one.edges[which], "")
            settings = ProbeSettings(n_most=5_000, n_most_chosen_on=2_000)
            probe = fit_probe(self.acts, target, one.recordings, self.seed(), settings)
            if not isinstance(probe.readout, LinearReadout):
                raise ConfigError("the published way reads with a linear probe")
            classes: dict[Sign, int] = {"less": int(ends[0]), "more": int(ends[1])}
            self._readouts[which] = (probe.readout.weights, classes)
        return self._readouts[which]

    @property
    def acts(self) -> Float[np.ndarray, "n n_features"]:
        """The features' activations, encoded once."""
        if self._acts is None:
            self._acts = self.material.acts()
        return self._acts

    def _one_feature(
        self, name: str, told: ControlProvenance, weights: Float[np.ndarray, " n_features"]
    ) -> ControlVector:
        """The feature that contributes most to the class where it is on."""
        most = self.acts.max(0)
        chosen = int(np.argmax(weights * most))
        return set_feature(name, told, chosen, float(most[chosen]), self.material.dictionary)


def set_feature(
    name: str, told: ControlProvenance, feature: int, most: float, dictionary: Dictionary | None
) -> ControlVector:
    """Set a feature to α times the most that it was seen at, and keep the error.

    Raises:
        ConfigError: The feature was never on.
    """
    direction = np.zeros(dictionary.n_features if dictionary else 1, np.float32)
    direction[feature] = most
    return ControlVector(
        name,
        direction,
        replace(told, made=f"{told.made}: feature {feature}"),
        space="features",
        operation="set",
        keep_error=True,
        dictionary=dictionary,
    )
