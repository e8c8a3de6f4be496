"""Turning one format into another, and telling them apart."""

import pytest
import torch
from torch.testing import assert_close

from auscult.cli import main
from auscult.core.errors import StoreError, UnknownNameError
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.exchange import convert
from auscult.dictionaries.topk import TopKDictionary

X = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
FORMATS = ("saelens", "dictionary_learning", "sparsify")


@pytest.fixture
def native(tmp_path):
    """A folder of our own."""
    params = TopKDictionary.Params(n_features=6, k=2, centre=False, scale=False)
    dictionary = TopKDictionary.build(params, 4, seed=0)
    dictionary.linear.decoder_bias.data += 0.5
    dictionary.save(tmp_path / "native")
    return tmp_path / "native"


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("through", FORMATS)
def test_a_dictionary_is_the_same_after_two_formats(native, tmp_path, through, to):
    convert(native, through, tmp_path / "between")
    convert(tmp_path / "between", to, tmp_path / "out")
    before, after = Dictionary.load(native), Dictionary.load(tmp_path / "out")
    assert_close(after.encode(X), before.encode(X), rtol=0, atol=1e-6)
    assert_close(after(X), before(X), rtol=0, atol=1e-6)


def test_a_folder_that_holds_something_is_not_written_over(native):
    with pytest.raises(StoreError, match="holds something already"):
        convert(native, "saelens", native)


def test_an_unknown_format_is_answered_with_the_nearest(native, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'saelens'"):
        convert(native, "sealens", tmp_path / "out")


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"holds no dictionary: there is no auscult\.json"):
        Dictionary.load(tmp_path)


def test_the_command_says_what_is_left_to_do(native, tmp_path, capsys):
    out, codes = tmp_path / "out", []
    main(["convert", str(native), "--to", "dictionary_learning", "--out", str(out)], codes.append)
    assert codes == [0]
    assert "6 features of width 4, for dictionary_learning" in capsys.readouterr().out
    assert (out / "ae.safetensors").exists()


def test_the_command_answers_a_mistake_with_status_2(native, tmp_path, capsys):
    codes = []
    main(["convert", str(native), "--to", "sparsfy", "--out", str(tmp_path / "out")], codes.append)
    assert codes == [2]
    assert "did you mean 'sparsify'" in capsys.readouterr().err
