"""Contract of every analysis that reads recorded vectors: a damaged store is an error, no finding."""

from pathlib import Path

import pytest

from auscult.analyses.base import ANALYSES, NOISE, RANDOM
from auscult.core.errors import NothingToMeasureError, StoreError
from auscult.testing.studies import open_study
from tests.contract.test_analyses import NAMES, SMALL, spec

HEAR_ALONE = {
    "atlas",
    "class-neurons",
    "code-levels",
    "code-sequences",
    "code-stability",
    "codes",
    "collapse",
    "compositionality",
    "filters",
    "gabor-latents",
    "generation",
    "generation-steering",
    "neuron-ablation",
    "neuron-contrast",
    "neuron-sharing",
    "note-interventions",
    "psychophysics",
    "representability",
    "representations",
    "selectivity",
    "code-norm",
    "steering",
    "tiling",
    "trajectories",
}
"""They look at weights, or play sounds anew, and read no recorded vector."""


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("damaged")
    with open_study({**spec(), "analyses": []}, folder, (NOISE, RANDOM)) as context:
        shards = list(folder.rglob("0*.safetensors"))
        assert shards
        for shard in shards:
            # The size stays, which is all that opening a store looks at.
            shard.chmod(0o644)
            with shard.open("r+b") as file:
                file.write(b"\xff" * 16)
        yield context


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HEAR_ALONE])
def test_it_does_not_call_a_damaged_store_untestable(name, damaged):
    cls, params = ANALYSES.parse({"type": name, **SMALL.get(name, {})}, "test")
    with pytest.raises(StoreError) as caught:
        cls().run(damaged, params)
    assert not isinstance(caught.value, NothingToMeasureError)
