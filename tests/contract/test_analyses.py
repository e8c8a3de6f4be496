"""Contract of every registered analysis: twice the same bytes, and no number without its control."""

from pathlib import Path

import pytest

from auscult import analyses
from auscult.analyses.base import ANALYSES
from auscult.blocks import Finding, load_blocks, save_blocks
from auscult.claims import known_claims
from auscult.core.manifest import digests_below
from auscult.experiment.run import Run, run
from tests.e2e.conftest import tiny_spec

SMALL = {
    "features": {"most_vectors": 400},
    "responses": {"most_vectors": 400},
    "fragments": {"n_shown": 3, "n_compared": 20, "n_fragments": 2, "spectrum_samples": 256},
    "onsets": {"n_clips": 2, "n_features": 3},
    "narrow-band": {
        "per_octave": 4,
        "lowest_hz": 400.0,
        "n_spectra": 4,
        "n_fragments": 8,
        "spectrum_samples": 256,
        "most_vectors": 400,
    },
    "archetypes": {"n_shown": 3, "n_fragments": 2, "spectrum_samples": 256, "most_vectors": 400},
    "transitions": {"most_vectors": 400},
    "stability": {"most_vectors": 400},
    "usage": {"most_vectors": 400},
    "sufficiency": {"most_vectors": 200, "most_pursued": 100, "n_draws": 2},
    "weights-control": {"most_vectors": 400, "n_clips": 2, "most_frames": 400},
    "data-control": {"most_vectors": 400},
    "alignment": {"most_vectors": 400, "repeats": 3},
    "state-dependence": {"most_vectors": 400},
    "locality": {"most_vectors": 400},
    "trajectories": {"n_clips": 2, "stretch_s": 0.2},
    "mixtures": {"n_mixtures": 8, "seconds": 1.0, "n_gammatones": 6},
    "reuse": {"most_vectors": 400},
    "next-state": {"most_vectors": 400},
    "dictionary-quality": {"most_vectors": 400, "n_resamples": 100},
    "concept-probes": {
        "most_vectors": 100,
        "families": ["linear", "ridge"],
        "concepts": ["loudness", "centroid", {"type": "user", "label": "timbre"}],
    },
    "psychophysics": {"sweeps": ["pitch", "level"], "n_steps": 3, "n_repeats": 2, "seconds": 0.2},
    "concept-dictionaries": {
        "most_vectors": 100,
        "steps": 10,
        "concepts": ["loudness", "centroid"],
    },
    "compositionality": {"n_draws": 1, "n_mixtures": 2},
    "note-interventions": {"n_pairs": 4, "n_companies": 2, "seconds": 0.4},
    "gabor-latents": {"n_fitted": 20, "n_pairs": 8, "seconds": 0.5},
    "neuron-contrast": {"other": {"type": "toy-samplecnn"}},
    "atlas": {"n_tones": 3, "n_frames": 16},
    "collapse": {"n_tones": 24, "n_each": 2, "n_frames": 16, "n_pairs": 4},
    "selectivity": {
        "n_units": 2,
        "n_references": 2,
        "n_tones": 16,
        "n_frames": 16,
        "n_heard": 1,
        "n_steps": 2,
        "most_stages": 3,
    },
    "tiling": {"most_channels": 8, "most_stages": 2},
    "representations": {"n_clips": 2},
    "representability": {
        "n_architectures": 4,
        "n_each": 2,
        "n_partials": 3,
        "n_tones": 24,
        "n_contexts": 12,
        "n_frames": 16,
    },
    "dictionary-loss": {"n_clips": 2, "n_resamples": 100},
    "dictionary-probing": {"ks": [1], "most_frames": 100, "n_resamples": 100},
    "class-usage": {"n_deals": 200, "n_resamples": 100, "most_vectors": 400, "n_clips": 12},
    "dictionary-recovery": {"n_recipes": 1, "steps": 5, "n_vectors": 1000},
}
NAMES = [name for name in ANALYSES.names() if not name.startswith("example")]
DICTIONARIES = [
    {"name": "features", "type": "topk", "n_features": 8, "k": 2},
    {"name": "archetypes", "of": "generators", "type": "topk", "n_features": 24, "k": 2},
    {"name": "later", "of": "generators", "lag": 2, "type": "relu", "n_features": 8, "n_seeds": 1},
    {"name": "both", "type": "crosscoder", "n_features": 8, "k": 2, "n_seeds": 1}
    | {"weights": ["trained", "random"]},
]


def spec():
    sections = [{"type": name, **SMALL.get(name, {})} for name in NAMES]
    return tiny_spec(analyses=sections, dictionaries=DICTIONARIES)


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("analyses")
    for name in ("one", "two"):
        run(spec(), folder / name)
    return folder / "one", folder / "two"


def test_every_file_is_the_analysis_it_is_named_after_and_no_part_is_one():
    files = {path.stem for path in Path(analyses.__file__).parent.glob("*.py")} - {"__init__"}
    homes = {name: ANALYSES.get(name).__module__ for name in NAMES}
    own = {name: home for name, home in homes.items() if home.startswith("auscult.")}
    assert own == {stem.replace("_", "-"): f"auscult.analyses.{stem}" for stem in files}


@pytest.mark.parametrize("name", NAMES)
def test_two_runs_leave_the_same_bytes(name, twice):
    one, two = (digests_below(folder, [f"results/{name}"]) for folder in twice)
    assert len(one) >= 4
    assert one == two


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_a_control_and_says_where_it_was_measured(name, twice):
    measured = Run.open(twice[0]).result(name)["measurements"]
    assert measured
    for one in measured:
        assert one["controls"]
        assert one["tap"]


@pytest.mark.parametrize("name", NAMES)
def test_its_page_begins_with_a_finding_that_names_its_control(name, twice):
    blocks = Run.open(twice[0]).blocks(name)
    assert isinstance(blocks[0], Finding)
    for finding in (block for block in blocks if isinstance(block, Finding)):
        assert finding.control
        assert finding.reason


@pytest.mark.parametrize("name", NAMES)
def test_its_page_survives_being_saved(name, twice, tmp_path):
    blocks = Run.open(twice[0]).blocks(name)
    save_blocks(tmp_path, blocks)
    assert len(load_blocks(tmp_path)) == len(blocks)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_its_question_and_source(name):
    cls = ANALYSES.get(name)
    assert cls.question.endswith("?")
    assert cls.source
    assert cls.title


@pytest.mark.parametrize("name", NAMES)
def test_what_it_judges_is_kept_with_its_controls_and_reason(name, twice):
    known = {claim.id for claim in known_claims()} | {""}
    for one in Run.open(twice[0]).result(name)["judgements"]:
        assert one["claim"] in known
        assert one["measurement"]["controls"]
        assert one["sentence"]
        assert one["reason"]


def test_every_claim_is_spoken_to_by_some_analysis(twice):
    silent = [one.claim.id for one in Run.open(twice[0]).ledger.standings if not one.entries]
    assert silent == []
