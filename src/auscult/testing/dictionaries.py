"""What every dictionary must do, whatever its type."""

import os
import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from auscult.core.errors import StoreError, UserError, WidthError
from auscult.dictionaries.base import DICTIONARIES, Dictionary
from auscult.dictionaries.exchange import FORMATS, convert
from auscult.dictionaries.provenance import Provenance
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.store.source import ArraySource

D_IN = 16
N_FEATURES = 12

Build = Callable[..., Dictionary]


def planted(
    n: int, n_active: int = 1, d_in: int = D_IN, n_atoms: int = N_FEATURES, seed: int = 0
) -> tuple[ArraySource, np.ndarray]:
    """Vectors made of few atoms each, about an offset, and the atoms as unit rows.

    Each vector is the sum of ``n_active`` different atoms with weights between 0.5 and 1.5, plus
    noise of a hundredth, plus the same vector of length 3.
    """
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((n_atoms, d_in))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    chosen = np.argsort(rng.random((n, n_atoms)), axis=1)[:, :n_active]
    weights = np.zeros((n, n_atoms))
    np.put_along_axis(weights, chosen, rng.uniform(0.5, 1.5, (n, n_active)), axis=1)
    offset = np.full(d_in, 3.0 / np.sqrt(d_in))
    values = weights @ atoms + 0.01 * rng.standard_normal((n, d_in)) + offset
    return ArraySource(values.astype(np.float32)), atoms


def recovered(found: np.ndarray, atoms: np.ndarray) -> float:
    """Mean over planted atoms of the largest cosine with any that was found."""
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    return float((atoms @ unit.T).max(1).mean())


class DictionaryFixtures:
    """A type under test, and vectors."""

    @pytest.fixture
    def section(self) -> Mapping[str, Any]:
        """Type and settings, as in a spec."""
        raise NotImplementedError

    @pytest.fixture
    def source(self) -> ArraySource:
        """Vectors to fit to."""
        return planted(600, n_active=2)[0]

    @pytest.fixture
    def build(self, section: Mapping[str, Any], source: ArraySource, tmp_path: Path) -> Build:
        """Build the type, and fit or train it for a moment."""

        def make(of: ArraySource = source, seed: int = 0, steps: int = 30) -> Dictionary:
            cls, params = DICTIONARIES.parse({"n_features": N_FEATURES, **section}, "section")
            made = cls.build(params, of.d_in, seed, of.statistics, of.statistics)
            if steps or not made.trainable:
                settings = TrainSettings(steps=max(1, steps), batch=64, prefetch=0)
                folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
                job = TrainingJob(made, "it", seed)
                train([job], of, settings, folder, targets=targets_of(made, of))
            else:
                made.prepare(of, np.random.default_rng(seed))
            return made

        return make


class DictionaryContract(DictionaryFixtures):
    """Tests that hold for every type. Subclass it and give the fixture ``section``."""

    def test_it_gives_one_activation_a_feature_and_back_a_vector(self, build: Build) -> None:
        """Shapes of encode, decode and atoms."""
        x = torch.randn(5, D_IN)
        dictionary = build()
        assert dictionary.encode(x).shape == (5, N_FEATURES)
        assert dictionary(x).shape == (5, dictionary.d_out)
        assert dictionary.atoms.shape == (N_FEATURES, D_IN)

    def test_leading_axes_are_free(self, build: Build) -> None:
        """Batches of frames are encoded as a list of frames would be."""
        x = torch.randn(2, 3, D_IN)
        dictionary = build()
        flat = dictionary.encode(x.reshape(6, D_IN))
        assert_close(dictionary.encode(x), flat.reshape(2, 3, N_FEATURES), rtol=0, atol=0)

    def test_atoms_have_unit_length_unless_the_type_says_otherwise(self, build: Build) -> None:
        """``unit_atoms`` is kept after training, too."""
        dictionary = build()
        lengths = torch.linalg.vector_norm(dictionary.atoms, dim=1)
        if dictionary.unit_atoms:
            assert_close(lengths, torch.ones(N_FEATURES), rtol=0, atol=1e-5)

    def test_decoding_is_affine(self, build: Build) -> None:
        """What two activations give together is the sum of what each gives."""
        dictionary = build()
        a, b = torch.rand(2, 4, N_FEATURES)
        nothing = dictionary.decode(torch.zeros(4, N_FEATURES))
        apart = dictionary.decode(a) + dictionary.decode(b) - nothing
        assert_close(dictionary.decode(a + b), apart, rtol=0, atol=1e-5)

    def test_activations_are_negative_only_where_it_says_so(
        self, build: Build, source: ArraySource
    ) -> None:
        """``signed`` decides how atoms are matched."""
        dictionary = build()
        acts = dictionary.encode(torch.from_numpy(source.rows(np.arange(100))))
        assert dictionary.signed == bool((acts < 0).any())

    def test_another_width_is_refused_and_both_are_named(self, build: Build) -> None:
        """A dictionary is fed from the tap it was made for."""
        with pytest.raises(WidthError, match=r"16.*17"):
            build().encode(torch.zeros(2, D_IN + 1))

    def test_activations_of_another_number_are_refused(self, build: Build) -> None:
        """And is given its own activations back."""
        with pytest.raises(WidthError, match=r"12.*13"):
            build().decode(torch.zeros(2, N_FEATURES + 1))

    def test_values_that_are_not_finite_are_refused(self, build: Build) -> None:
        """One NaN is enough."""
        x = torch.zeros(3, D_IN)
        x[1, 2] = float("nan")
        with pytest.raises(UserError, match="not finite"):
            build().encode(x)

    def test_the_batch_changes_nothing(self, build: Build, source: ArraySource) -> None:
        """Who else is in the batch does not matter, so neither does its size for the l0."""
        dictionary = build()
        x = torch.from_numpy(source.rows(np.arange(60)))
        apart = torch.cat([dictionary.encode(part) for part in torch.split(x, 7)])
        assert_close(dictionary.encode(x), apart, rtol=0, atol=1e-5)

    def test_the_same_seed_gives_the_same_bits(self, build: Build) -> None:
        """Starting values, fitting and training."""
        first, second = build(seed=3).state_dict(), build(seed=3).state_dict()
        assert all(torch.equal(first[key], second[key]) for key in first)

    def test_a_saved_dictionary_encodes_the_same_bits(
        self, build: Build, source: ArraySource, tmp_path: Path
    ) -> None:
        """Preprocessing, settings and provenance included."""
        dictionary = build()
        dictionary.provenance = Provenance(model="a model", tap="conv.0")
        dictionary.save(tmp_path / "saved")
        again = Dictionary.load(tmp_path / "saved")
        x = torch.from_numpy(source.rows(np.arange(50)))
        assert torch.equal(again.encode(x), dictionary.encode(x))
        assert torch.equal(again(x), dictionary(x))
        assert again.params == dictionary.params
        assert again.provenance == dictionary.provenance

    def test_every_format_gives_back_the_same_or_says_why_it_cannot(
        self, build: Build, source: ArraySource, tmp_path: Path
    ) -> None:
        """Written and read again: activations and reconstructions to the rounding of float32.

        Atoms are of unit length for SAEBench, and what they were longer by is in the activations.
        """
        dictionary = build()
        dictionary.save(tmp_path / "native")
        x = torch.from_numpy(source.rows(np.arange(100)))
        acts, estimate = dictionary.encode(x), dictionary(x)
        reason = re.compile(rf"rule like that of this {dictionary.registered_name} dictionary: .")
        for to in FORMATS:
            try:
                convert(tmp_path / "native", to, tmp_path / to)
            except StoreError as refused:
                if not reason.search(str(refused)) or (tmp_path / to).exists():
                    raise
                continue
            again = Dictionary.load(tmp_path / to)
            bias = dictionary.decode(torch.zeros(1, N_FEATURES))
            rows = dictionary.decode(torch.eye(N_FEATURES)) - bias
            lengths = torch.linalg.vector_norm(rows, dim=1) if to == "saebench" else 1.0
            same(again.encode(x), acts * lengths)
            same(again(x), estimate)

    def test_vectors_that_do_not_vary_are_no_obstacle(self, build: Build) -> None:
        """A constant sound is a control that is really run."""
        flat = ArraySource(np.full((200, D_IN), 0.3, np.float32))
        dictionary = build(of=flat)
        x = torch.from_numpy(flat.rows(np.arange(5)))
        assert bool(torch.isfinite(dictionary.encode(x)).all())
        assert bool(torch.isfinite(dictionary(x)).all())

    def test_few_vectors_are_no_obstacle(self, build: Build) -> None:
        """Fewer than features."""
        few = planted(N_FEATURES - 5)[0]
        dictionary = build(of=few)
        assert bool(
            torch.isfinite(dictionary.encode(torch.from_numpy(few.rows(np.arange(3))))).all()
        )


class TrainingContract(DictionaryFixtures):
    """Tests that hold for every type that is trained. Subclass it and give ``section``."""

    def test_each_term_alone_reaches_the_parameters_it_claims_and_no_others(
        self, build: Build, source: ArraySource
    ) -> None:
        """A gradient that is dropped shows here."""
        dictionary = shaken(build).double()
        x = torch.from_numpy(source.rows(np.arange(200))).double()
        assert set(dictionary.losses(x)) == set(dictionary.claims())
        for name, claimed in dictionary.claims().items():
            dictionary.zero_grad()
            dictionary.losses(x)[name].backward()  # type: ignore[no-untyped-call]
            reached = {
                key
                for key, parameter in dictionary.named_parameters()
                if parameter.grad is not None and bool(parameter.grad.any())
            }
            assert reached == claimed, name

    def test_its_gradient_is_that_of_autograd(self, build: Build, source: ArraySource) -> None:
        """With a target apart from the vectors, some features dead, in float64."""
        dictionary = shaken(build).double()
        x = torch.from_numpy(source.rows(np.arange(200))).double()
        target = x + 0.1
        expected = Dictionary.differentiate(
            dictionary, dictionary.preprocess(x), dictionary.preprocess(target)
        )
        wanted = {key: p.grad for key, p in dictionary.named_parameters()}
        dictionary.zero_grad()
        objective = dictionary.gradients(x, target)
        assert_close(objective.fired, expected.fired, rtol=0, atol=0)
        for name, term in expected.terms.items():
            assert_close(objective.terms[name].detach(), term.detach(), rtol=1e-9, atol=1e-12)
        for key, parameter in dictionary.named_parameters():
            assert_close(parameter.grad, wanted[key], rtol=1e-7, atol=1e-12)

    def test_interrupted_training_ends_with_the_same_bytes(
        self, build: Build, source: ArraySource, tmp_path: Path
    ) -> None:
        """Weights, optimiser, counters and log."""
        settings = TrainSettings(
            steps=25, batch=64, checkpoint_every=10, log_every=5, dead_after=100
        )
        other = targets_of(build(steps=0), source)
        job = TrainingJob(build(steps=0), "it")
        train([job], source, settings, tmp_path / "whole", targets=other)

        def press_ctrl_c(step: int, steps: int) -> None:  # noqa: ARG001
            if step == 13:
                os.kill(os.getpid(), signal.SIGINT)

        jobs = [TrainingJob(build(steps=0), "it")]
        with pytest.raises(KeyboardInterrupt):
            train(jobs, source, settings, tmp_path / "broken", press_ctrl_c, targets=other)
        job = TrainingJob(build(steps=0), "it")
        train([job], source, settings, tmp_path / "broken", targets=other)
        whole, broken = files(tmp_path / "whole"), files(tmp_path / "broken")
        assert whole == broken


def targets_of(dictionary: Dictionary, source: ArraySource) -> ArraySource | None:
    """What a type is trained towards beside its vectors: the next ones, or others that they decide.

    A transcoder's are the vectors, turned and bent.
    """
    rows = source.rows(np.arange(source.n_vectors))
    if dictionary.reads == "neighbours":
        return ArraySource(np.roll(rows, -1, axis=0))
    return ArraySource(np.tanh(rows[:, ::-1])) if dictionary.reads == "target" else None


def same(found: Tensor, expected: Tensor) -> None:
    """To the rounding of float32, of the largest number."""
    assert_close(found, expected, rtol=0, atol=2e-6 * float(expected.abs().max()))


def shaken(build: Build) -> Dictionary:
    """A dictionary near its starting values, half of its features dead."""
    dictionary = build(steps=0)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in dictionary.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    dictionary.dead_after = 10
    dictionary.vectors_since_fired[::2] = 10
    return dictionary


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
