"""Every type, written by us and read by SAELens, dictionary_learning and sparsify themselves.

The packages cannot share an environment, so each has one of its own: point ``AUSCULT_PEERS`` at a
folder with the virtual environments ``saelens``, ``dictionary_learning`` and ``sparsify``, in which
the versions that ``tests/golden/dictionaries/recipe.py`` names are installed. Without it the golden
folders stand in for them, in the default tests.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = Path(__file__).parents[1] / "golden" / "dictionaries" / "recipe.py"
PEERS = os.environ.get("AUSCULT_PEERS", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PEERS, reason="AUSCULT_PEERS names no folder of environments"),
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    subprocess.run([sys.executable, str(RECIPE), "export", str(folder)], check=True)
    return folder


@pytest.mark.parametrize("package", ["saelens", "dictionary_learning", "sparsify"])
def test_a_package_computes_from_our_folders_what_we_do(exported, package):
    python = Path(PEERS) / package / "bin" / "python"
    words = [str(python), str(RECIPE), "check", package, str(exported)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
