import numpy as np
import pytest
import torch
from torch.testing import assert_close

from auscult.core.errors import CheckpointError, ConfigError, InvariantError, UserError, WidthError
from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.codebook import CodebookDictionary
from auscult.dictionaries.greedy import matching_pursuit
from auscult.dictionaries.kmeans import KMeansDictionary
from auscult.dictionaries.pca import PcaDictionary
from auscult.dictionaries.preprocessing import Preprocessing
from auscult.dictionaries.random import RandomDictionary
from auscult.dictionaries.relu import ReluDictionary
from auscult.dictionaries.selection import keep_top, top_acts
from auscult.dictionaries.topk import TopKDictionary
from auscult.store.source import ArraySource
from auscult.store.statistics import Statistics
from tests.known_dictionaries import dense, untouched

RAW = {"centre": False, "scale": False}


def relu_by_hand(**settings):
    """Two features of two dimensions: z = relu(v + (0.5, -0.5)), atoms (1, 0) and (0, 2)."""
    dictionary = ReluDictionary(ReluDictionary.Params(n_features=2, **RAW, **settings), 2)
    with torch.no_grad():
        dictionary.linear.encoder.copy_(torch.eye(2))
        dictionary.linear.encoder_bias.copy_(torch.tensor([0.5, -0.5]))
        dictionary.linear.decoder.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    return dictionary


class TestPreprocessing:
    def test_vectors_come_out_centred_with_unit_mean_square_length(self):
        values = np.random.default_rng(0).normal(3.0, 2.0, (500, 4)).astype(np.float32)
        preprocess = Preprocessing(4)
        preprocess.fit(ArraySource(values).statistics, centre=True, scale=True)
        vectors = preprocess(torch.from_numpy(values))
        assert_close(vectors.mean(0), torch.zeros(4), rtol=0, atol=1e-6)
        assert_close(vectors.square().sum(1).mean(), torch.tensor(1.0), rtol=1e-5, atol=0)

    def test_without_centring_it_scales_by_the_length_about_zero(self):
        preprocess = Preprocessing(2)
        preprocess.fit(ArraySource(np.array([[3.0, 4.0]] * 3)).statistics, centre=False, scale=True)
        assert_close(preprocess.scale, torch.tensor(0.2), rtol=1e-6, atol=0)

    def test_what_was_done_can_be_undone(self):
        values = np.random.default_rng(1).normal(3.0, 2.0, (50, 4)).astype(np.float32)
        preprocess = Preprocessing(4)
        preprocess.fit(ArraySource(values).statistics, centre=True, scale=True)
        x = torch.from_numpy(values)
        assert_close(preprocess.undo(preprocess(x)), x, rtol=0, atol=1e-5)

    def test_what_varies_by_rounding_alone_is_not_scaled(self):
        preprocess = Preprocessing(2)
        rounding = Statistics(9, np.ones(2), np.full(2, 1e-15), None)
        preprocess.fit(rounding, centre=True, scale=True)
        assert float(preprocess.scale) == 1.0


class TestBase:
    def test_preprocessing_without_statistics_is_refused(self):
        with pytest.raises(ConfigError, match="need statistics"):
            ReluDictionary.build(ReluDictionary.Params(n_features=2), 4)

    def test_statistics_of_another_width_are_refused(self):
        statistics = ArraySource(np.ones((3, 5))).statistics
        with pytest.raises(WidthError, match=r"width 4.*width 5"):
            ReluDictionary.build(ReluDictionary.Params(n_features=2), 4, 0, statistics)

    def test_a_type_that_was_not_fitted_does_not_encode(self):
        dictionary = PcaDictionary(PcaDictionary.Params(n_features=2), 4)
        with pytest.raises(UserError, match="not been fitted"):
            dictionary.encode(torch.zeros(1, 4))

    def test_a_trained_type_cannot_be_fitted(self):
        with pytest.raises(InvariantError, match="trained, not fitted"):
            relu_by_hand().fit_from(ArraySource(np.ones((3, 2))), np.random.default_rng(0))

    def test_an_unknown_type_is_answered_with_the_nearest(self):
        with pytest.raises(UserError, match="did you mean 'topk'"):
            DICTIONARIES.get("topkk")

    def test_a_feature_is_dead_after_so_many_vectors_without_it(self):
        dictionary = relu_by_hand()
        dictionary.dead_after = 20
        dictionary.count(torch.tensor([3.0, 0.0]), 10)
        dictionary.count(torch.tensor([0.0, 0.0]), 10)
        assert dictionary.vectors_since_fired.tolist() == [10, 20]
        assert dictionary.dead.tolist() == [1]


class TestRelu:
    def test_activations_and_reconstruction_by_hand(self):
        dictionary = relu_by_hand()
        x = torch.tensor([[1.0, 2.0], [-1.0, 0.0]])
        assert_close(dictionary.encode(x), torch.tensor([[1.5, 1.5], [0.0, 0.0]]))
        assert_close(dictionary(x), torch.tensor([[1.5, 3.0], [0.0, 0.0]]))

    @pytest.mark.parametrize(("norm", "l1"), [("unit", 0.1 * 1.5), ("weighted", 0.1 * 2.25)])
    def test_losses_by_hand(self, norm, l1):
        losses = relu_by_hand(norm=norm, l1_weight=0.1).losses(
            torch.tensor([[1.0, 2.0], [-1.0, 0.0]])
        )
        # Squared errors 0.25 + 1 and 1; activations 1.5 + 1.5 (weighted: 1.5 + 3) and none.
        assert float(losses["mse"].detach()) == pytest.approx(2.25 / 2)
        assert float(losses["l1"].detach()) == pytest.approx(l1)

    def test_lengths_of_free_atoms_end_in_the_activations(self):
        dictionary = relu_by_hand(norm="weighted")
        x = torch.tensor([[1.0, 2.0]])
        before = dictionary(x)
        dictionary.after_training()
        assert_close(dictionary(x), before)
        assert_close(dictionary.encode(x), torch.tensor([[1.5, 3.0]]))
        assert_close(dictionary.linear.decoder.detach(), torch.eye(2))

    def test_the_gradient_along_unit_atoms_is_removed(self):
        dictionary = relu_by_hand()
        dictionary.after_step()
        dictionary.gradients(torch.tensor([[1.0, 2.0], [3.0, -1.0]]))
        dictionary.before_step()
        along = (dictionary.linear.decoder.grad * dictionary.linear.decoder).sum(1)
        assert_close(along.detach(), torch.zeros(2))


class TestTopK:
    def test_the_largest_positive_are_kept(self):
        pre = torch.tensor([[3.0, -5.0, 2.0, 1.0], [-1.0, -2.0, 4.0, -3.0]])
        kept = torch.tensor([[3.0, 0.0, 2.0, 0.0], [0.0, 0.0, 4.0, 0.0]])
        assert_close(keep_top(pre, 2, signed=False), kept)

    def test_signed_keeps_the_largest_by_magnitude(self):
        pre = torch.tensor([[3.0, -5.0, 2.0, 1.0]])
        assert_close(keep_top(pre, 2, signed=True), torch.tensor([[3.0, -5.0, 0.0, 0.0]]))

    @pytest.mark.parametrize("signed", [False, True])
    @pytest.mark.parametrize("fast", [False, True])
    def test_of_equal_ones_no_more_than_k_are_kept(self, fast, signed):
        pre = torch.ones(3, 6)
        kept = dense(top_acts(untouched(6), pre, 2, signed)) if fast else keep_top(pre, 2, signed)
        assert (kept != 0).sum(1).tolist() == [2, 2, 2]

    def test_more_active_features_than_there_are_is_refused(self):
        with pytest.raises(ValueError, match="k = 9 is more than n_features = 8"):
            TopKDictionary.Params(n_features=8, k=9)

    def test_without_dead_features_there_is_no_auxiliary_term(self):
        params = TopKDictionary.Params(n_features=6, k=2, **RAW)
        assert set(TopKDictionary.build(params, 4).losses(torch.randn(9, 4))) == {"mse"}

    def test_the_auxiliary_term_trains_dead_features_only(self):
        params = TopKDictionary.Params(n_features=6, k=2, **RAW)
        dictionary = TopKDictionary.build(params, 4)
        dictionary.dead_after = 1
        dictionary.vectors_since_fired[[1, 4]] = 1
        dictionary.losses(torch.randn(50, 4, generator=torch.manual_seed(0)))["aux"].backward()
        moved = dictionary.linear.encoder.grad.abs().sum(1) > 0
        assert moved.nonzero().flatten().tolist() == [1, 4]

    def test_the_auxiliary_term_is_its_weight_when_dead_features_explain_nothing(self):
        params = TopKDictionary.Params(n_features=3, k=1, aux_weight=0.25, **RAW)
        dictionary = TopKDictionary(params, 2)
        dictionary.dead_after = 1
        dictionary.vectors_since_fired[:] = 1
        # All weights are zero: the residual is the vectors, of mean zero.
        x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        assert float(dictionary.losses(x)["aux"].detach()) == pytest.approx(0.25)


class TestPca:
    def test_more_components_than_dimensions_are_refused(self):
        with pytest.raises(ConfigError, match="at most 4 principal components"):
            PcaDictionary(PcaDictionary.Params(n_features=5), 4)


class TestRandom:
    @pytest.mark.parametrize(("space", "inside"), [("subspace", True), ("ambient", False)])
    def test_atoms_lie_where_the_vectors_are_only_if_asked(self, space, inside):
        values = np.random.default_rng(0).standard_normal((300, 6))
        values[:, 3:] = 0.0
        params = RandomDictionary.Params(n_features=20, space=space)
        dictionary = RandomDictionary(params, 6)
        dictionary.fit_from(ArraySource(values), np.random.default_rng(1))
        outside = dictionary.atoms[:, 3:].abs().max()
        assert bool(outside < 1e-6) == inside


class TestKMeans:
    def test_vectors_without_a_direction_are_left_out(self):
        values = np.zeros((400, 3))
        values[::4, 0], values[1::4, 1] = 2.0, 5.0
        dictionary = KMeansDictionary(KMeansDictionary.Params(n_features=2, **RAW), 3)
        dictionary.fit_from(ArraySource(values), np.random.default_rng(0))
        found = dictionary.atoms[dictionary.atoms[:, 0].argsort(descending=True)]
        assert_close(found, torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), rtol=0, atol=1e-6)

    def test_a_vector_is_encoded_by_its_nearest_direction(self):
        dictionary = KMeansDictionary(KMeansDictionary.Params(n_features=2, **RAW), 2)
        dictionary.centres.copy_(torch.eye(2))
        dictionary.ready = True
        acts = dictionary.encode(torch.tensor([[3.0, 1.0], [-1.0, -2.0]]))
        assert_close(acts, torch.tensor([[3.0, 0.0], [0.0, 0.0]]))


class TestCodebook:
    def test_the_nearest_codeword_stands_for_a_vector(self):
        table = torch.randn(9, 4, generator=torch.manual_seed(0))
        x = torch.randn(50, 4, generator=torch.manual_seed(1))
        dictionary = CodebookDictionary.from_table(table)
        nearest = table[torch.cdist(x, table).argmin(1)]
        assert torch.equal(dictionary(x), nearest)
        assert dictionary.encode(x).sum(1).tolist() == [1.0] * 50

    def test_of_two_codewords_of_one_direction_length_decides(self):
        dictionary = CodebookDictionary.from_table(torch.tensor([[1.0, 0.0], [4.0, 0.0]]))
        assert dictionary.encode(torch.tensor([[2.0, 0.0]])).tolist() == [[1.0, 0.0]]

    def test_a_table_of_zeros_is_refused(self):
        with pytest.raises(CheckpointError, match="all codewords of the codebook are equal"):
            CodebookDictionary.from_table(torch.zeros(8, 4))


class TestMatchingPursuit:
    def test_two_picks_by_hand(self):
        atoms = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
        # First pick the second atom (product 2.2), then what is left, (-0.32, 0.24), only in sign.
        acts = matching_pursuit(torch.tensor([[1.0, 2.0]]), atoms, 2, signed=True)
        assert_close(acts, torch.tensor([[-0.32, 2.2]]))

    def test_without_signs_it_stops_where_nothing_points_the_same_way(self):
        atoms = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
        acts = matching_pursuit(torch.tensor([[1.0, 2.0]]), atoms, 2)
        assert_close(acts, torch.tensor([[0.0, 2.2]]))
