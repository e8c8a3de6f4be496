"""What every dictionary offers, and the registry of types."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from pydantic import PositiveInt
from torch import Tensor, nn

from auscult.core.config import Config
from auscult.core.errors import ConfigError, InvariantError, UserError, WidthError
from auscult.core.registry import Registry
from auscult.core.rng import named_rng
from auscult.dictionaries.preprocessing import Preprocessing
from auscult.dictionaries.provenance import Provenance
from auscult.store.source import VectorSource
from auscult.store.statistics import Statistics

if TYPE_CHECKING:
    from auscult.dictionaries.stack import StackedGradients

DICTIONARIES: Registry["Dictionary"] = Registry("dictionary", "auscult.dictionaries")


class DictionaryParams(Config):
    """Settings that every type of dictionary has."""

    n_features: PositiveInt
    """Number of atoms."""
    centre: bool = True
    """Subtract the mean of the training vectors first."""
    scale: bool = True
    """Divide by the root mean square length of the training vectors (after centring)."""


Reads = Literal["vectors", "neighbours", "target", "parts"]
"""What a type learns from: vectors; vectors and the next frame's; vectors of one tap and what is
said at another; vectors of several taps or models, end to end."""


@dataclass(frozen=True)
class Objective:
    """What one batch costs.

    Attributes:
        terms: The parts of the loss by name, each with its weight inside; training minimises their
            sum.
        fired: On how many vectors of the batch each feature was on; unless the dictionary is
            ``counting``, it may be any number above 0 where it was.
        notes: Further numbers for the training log; nothing is learned from them.
    """

    terms: Mapping[str, Float[Tensor, ""]]
    fired: Float[Tensor, " n_features"]
    notes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SaeLensForm:
    """A dictionary as SAELens knows it, still in preprocessed coordinates.

    Attributes:
        architecture: SAELens' name of the encoding rule.
        tensors: ``W_dec``, ``b_dec`` and what else its rule has: ``W_enc``, ``b_enc``,
            ``threshold``, …
        settings: Further keys of its ``cfg.json``.
        input_bias: Whether ``b_dec`` is subtracted from the input; a transcoder's is of another
            width.
    """

    architecture: str
    tensors: Mapping[str, Tensor]
    settings: Mapping[str, Any]
    input_bias: bool = True


class Dictionary(nn.Module, ABC):
    """Directions and an encoding rule; final classes implement the abstract members.

    Vectors come and go in the tap's own units. Inside, a dictionary works on preprocessed vectors
    ``v = (x - mean) * scale``; what does the work (:meth:`activate`, :meth:`reconstruct`,
    :meth:`objective`) sees only these. Parameters are what the training loop may change, persistent
    buffers are saved with them.

    Attributes:
        trainable: Whether the training loop fits it; otherwise :meth:`fit_from` does.
        reads: What it learns from.
        needs_own_loss: Whether part of it learns from its own reconstruction terms alone.
        unit_atoms: Whether its atoms have unit length.
        rotates: Whether a rotation of vectors and weights changes nothing but their coordinates.
        stacked: How several of one small shape learn with the same calls, if they can.
        params: Its settings.
        d_in: Width of the vectors that it encodes.
        d_out: Width of the vectors that it gives back (a transcoder's differs from ``d_in``).
        n_features: Number of atoms.
        preprocess: Its preprocessing, saved with the weights.
        provenance: Where its vectors came from.
        vectors_since_fired: How many vectors training has shown since each feature was last on.
        dead_after: A feature that was off on so many vectors counts as dead while training.
        counting: Whether objectives must say how often features were on, and not only whether.
        sparsity: Factor on the weight of sparsity, with which training warms it up and controls it.
    """

    registered_name: ClassVar[str] = ""
    Params: ClassVar[type[DictionaryParams]] = DictionaryParams
    trainable: ClassVar[bool] = True
    reads: ClassVar[Reads] = "vectors"
    needs_own_loss: ClassVar[bool] = False
    unit_atoms: ClassVar[bool] = True
    rotates: ClassVar[bool] = False
    stacked: "ClassVar[type[StackedGradients] | None]" = None
    vectors_since_fired: Tensor

    def __init__(self, params: Any, d_in: int) -> None:
        super().__init__()
        self.params = params
        self.d_in = d_in
        self.d_out = d_in
        self.n_features = int(params.n_features)
        self.preprocess = Preprocessing(d_in)
        self.provenance = Provenance()
        self.ready = self.trainable
        self.dead_after = 1 << 62
        self.counting = True
        self.sparsity = 1.0
        never = torch.zeros(self.n_features, dtype=torch.int64)
        self.register_buffer("vectors_since_fired", never, persistent=False)

    @classmethod
    def build(
        cls,
        params: Any,
        d_in: int,
        seed: int = 0,
        statistics: Statistics | None = None,
        target_statistics: Statistics | None = None,
    ) -> "Dictionary":
        """Make one with its starting values.

        Args:
            params: Its settings.
            d_in: Width of the vectors.
            seed: Decides the starting values.
            statistics: Of the training vectors; needed to centre and to scale.
            target_statistics: Of what is to be given back, where that is not the vectors.

        Raises:
            ConfigError: Preprocessing was asked for without statistics.
            WidthError: The statistics are of vectors of another width.
        """
        dictionary = cls(params, d_in)
        if statistics is None and (params.centre or params.scale):
            raise ConfigError(
                "centring and scaling need statistics of the vectors: give them, "
                "or set centre = false and scale = false"
            )
        if statistics is not None:
            dictionary._expect(len(statistics.mean), "statistics of vectors")
            dictionary.preprocess.fit(statistics, centre=params.centre, scale=params.scale)
        dictionary.fit_target(target_statistics)
        dictionary.initialise(named_rng(seed, "dictionary", cls.registered_name))
        return dictionary

    @property
    @abstractmethod
    def atoms(self) -> Float[Tensor, "n_features d_in"]:
        """The directions as rows of unit length, unless the type says otherwise."""

    @property
    def signed(self) -> bool:
        """Whether activations may be negative: an atom and its opposite are then one feature."""
        return False

    @abstractmethod
    def activate(self, vectors: Float[Tensor, "n d_in"]) -> Float[Tensor, "n n_features"]:
        """Encode preprocessed vectors."""

    @abstractmethod
    def reconstruct(self, acts: Float[Tensor, "n n_features"]) -> Float[Tensor, "n d_out"]:
        """Decode to preprocessed vectors."""

    @classmethod
    def priced_by(cls, params: Any) -> bool:  # noqa: ARG003
        """Whether, with these settings, a weight in its loss decides how sparse it is.

        ``sparsity`` multiplies it.
        """
        return False

    def fit_target(self, statistics: Statistics | None) -> None:
        """Take preprocessing of what is given back from its statistics; most give back vectors."""

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw starting values; types that are fitted have none."""

    def prepare(self, source: VectorSource, rng: np.random.Generator) -> None:
        """Look at the vectors once before the first step; types that start from data say how."""

    def encode(self, x: Float[Tensor, "*n d_in"]) -> Float[Tensor, "*n n_features"]:
        """Turn vectors into feature activations; leading axes are free.

        Raises:
            WidthError: The vectors were made for another dictionary.
            UserError: A value is not finite, or the dictionary has not been fitted.
        """
        vectors = self.preprocess(self._checked(x))
        acts = self.activate(vectors.reshape(-1, self.d_in))
        return acts.reshape(*x.shape[:-1], self.n_features)

    def decode(self, acts: Float[Tensor, "*n n_features"]) -> Float[Tensor, "*n d_out"]:
        """Turn feature activations into vectors.

        Raises:
            WidthError: There are activations of another number of features.
        """
        if acts.shape[-1] != self.n_features:
            raise WidthError(
                f"this {self.registered_name} dictionary has {self.n_features} features, "
                f"but was given activations of {acts.shape[-1]}"
            )
        vectors = self.reconstruct(acts.reshape(-1, self.n_features))
        return self.undo(vectors).reshape(*acts.shape[:-1], self.d_out)

    @property
    def output(self) -> Preprocessing:
        """Preprocessing of what is given back: that of the vectors, but for a transcoder."""
        return self.preprocess

    def undo(self, vectors: Float[Tensor, "n d_out"]) -> Float[Tensor, "n d_out"]:
        """Back to the units of what is given back; the inverse of :meth:`preprocess_target`."""
        restored: Tensor = self.output.undo(vectors)
        return restored

    def rebuild(
        self, x: Float[Tensor, "*n d_in"], acts: Float[Tensor, "*n n_features"]
    ) -> Float[Tensor, "*n d_out"]:
        """Decode the activations of vectors, with what passes the features by, where there is any.

        Types with a shortcut from input to output say so here; for all others it is ``decode``.
        """
        del x
        return self.decode(acts)

    def forward(self, x: Float[Tensor, "*n d_in"]) -> Float[Tensor, "*n d_out"]:
        """Encode, and rebuild."""
        return self.rebuild(x, self.encode(x))

    def objective(
        self,
        vectors: Float[Tensor, "n d_in"],  # noqa: ARG002
        targets: Float[Tensor, "n d_out"],  # noqa: ARG002
    ) -> Objective:
        """The loss on preprocessed vectors, term by term, differentiable."""
        raise InvariantError(f"{self.registered_name} dictionaries are fitted, not trained")

    def losses(
        self, x: Float[Tensor, "n d_in"], target: Float[Tensor, "n d_out"] | None = None
    ) -> dict[str, Float[Tensor, ""]]:
        """The loss term by term, weights inside; without a target vectors are their own."""
        return dict(self.whole_objective(x, target).terms)

    def whole_objective(
        self, x: Float[Tensor, "n d_in"], target: Float[Tensor, "n d_out"] | None = None
    ) -> Objective:
        """:meth:`objective` of vectors in the tap's own units."""
        return self.objective(*self.pair(x, target))

    def gradients(
        self, x: Float[Tensor, "n d_in"], target: Float[Tensor, "n d_out"] | None = None
    ) -> Objective:
        """Put the gradient of the summed loss into ``.grad`` of every parameter."""
        return self.differentiate(*self.pair(x, target))

    def differentiate(
        self, vectors: Float[Tensor, "n d_in"], targets: Float[Tensor, "n d_out"]
    ) -> Objective:
        """Gradients by autograd; a type with a faster way says it here, beside this slow twin."""
        objective = self.objective(vectors, targets)
        for parameter in self.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            else:
                parameter.grad.zero_()
        torch.stack(list(objective.terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        return objective

    def claims(self) -> Mapping[str, frozenset[str]]:
        """Which parameters each term of the loss reaches: these, and no others."""
        return {}

    def before_step(self) -> None:
        """Change gradients before the optimiser sees them."""

    def after_step(self) -> None:
        """Put parameters back where they must lie after a step of the optimiser."""

    def after_training(self) -> None:
        """Rewrite parameters once, after the last step, without changing what is reconstructed."""

    def revive(
        self,
        dead: Int64[Tensor, " n_dead"],  # noqa: ARG002
        directions: Float[Tensor, "n_dead d_in"],  # noqa: ARG002
    ) -> Sequence[str]:
        """Let dead features begin anew with these directions, of unit length.

        Returns:
            The parameters of which these features' rows were rewritten; none where a type has no
            such way.
        """
        return ()

    def count(self, fired: Float[Tensor, " n_features"], n: int) -> None:
        """Note which features were on in a batch of ``n`` vectors."""
        self.vectors_since_fired += n
        self.vectors_since_fired.masked_fill_(fired > 0, 0)

    @property
    def dead(self) -> Int64[Tensor, " n_dead"]:
        """Indices of features that have been off for ``dead_after`` vectors of training."""
        return (self.vectors_since_fired >= self.dead_after).nonzero().squeeze(1)

    def fit_from(self, source: VectorSource, rng: np.random.Generator) -> None:  # noqa: ARG002
        """Fit a type that is not trained by gradient steps, and make it ready.

        Raises:
            InvariantError: It is trained by gradient steps.
        """
        raise InvariantError(f"{self.registered_name} dictionaries are trained, not fitted")

    @property
    def unshared(self) -> str:
        """Why :meth:`saelens` gives None and what to do, as the end of a sentence."""
        return "keep it as it is, or train a type that both have, such as topk"

    def saelens(self) -> SaeLensForm | None:
        """The same encoding rule in SAELens' terms, or None where SAELens has no such rule."""
        return None

    def save(self, folder: Path) -> None:
        """Write the native folder; see :mod:`auscult.dictionaries.formats`."""
        from auscult.dictionaries.formats import save

        save(self, folder)

    @staticmethod
    def load(folder: Path) -> "Dictionary":
        """Read a native folder, of whatever type; see :mod:`auscult.dictionaries.formats`."""
        from auscult.dictionaries.formats import load

        return load(folder)

    def pair(
        self, x: Float[Tensor, "n d_in"], target: Float[Tensor, "n d_out"] | None
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d_back"]]:
        """Preprocessed vectors and what is to be made of them."""
        vectors = self.preprocess(self._checked(x))
        return vectors, vectors if target is None else self.preprocess_target(target)

    def preprocess_target(self, target: Float[Tensor, "n d_out"]) -> Float[Tensor, "n d_out"]:
        """Preprocess what is to be reconstructed; a transcoder has a way of its own for it."""
        processed: Tensor = self.preprocess(self._checked(target))
        return processed

    def _checked(self, x: Tensor) -> Tensor:
        self._expect(x.shape[-1], "vectors")
        if not self.ready:
            raise UserError(
                f"this {self.registered_name} dictionary has not been fitted: call fit_from first"
            )
        # The sum of finite numbers is finite but for overflow; only then is every value looked at.
        if not math.isfinite(float(x.detach().sum())) and not bool(torch.isfinite(x).all()):
            raise UserError(
                "the vectors hold values that are not finite (NaN or infinite): leave them out"
            )
        return x.to(self.preprocess.mean.dtype)

    def _expect(self, width: int, what: str) -> None:
        if width != self.d_in:
            where = f" from tap {self.provenance.tap!r}" if self.provenance.tap else ""
            raise WidthError(
                f"this {self.registered_name} dictionary takes vectors of width {self.d_in}"
                f"{where}, but was given {what} of width {width}"
            )
