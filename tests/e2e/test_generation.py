"""A generation followed end to end, from a spec to a page that plays."""

import pytest

from auscult.blocks import Choices, Curve, Finding
from auscult.experiment.run import Run, run
from tests.e2e.conftest import tiny_spec

SPEC = {
    "name": "generation",
    "model": {"type": "mini-flow", "steps": 6},
    "sounds": {
        "type": "notes", "n": 16, "seconds": 0.5, "sample_rate": 24_000, "octaves": [4],
        "split": {"train": 0.6, "test": 0.4},
    },
    "record": {"taps": ["latent"]},
    "analyses": [
        {
            "type": "generation", "concepts": ["loudness", "centroid"], "n_prompts": 4,
            "n_listened": 3, "n_shown": 2, "most_vectors": 300, "wishes": {"pitch_midi": [60, 67]},
        }
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("generation")
    run(SPEC, folder)
    return Run.open(folder)


def test_every_concept_has_its_course_beside_the_straight_line(followed):
    curves = {
        block.title: block for block in followed.blocks("generation") if isinstance(block, Curve)
    }
    for concept in ("loudness", "centroid"):
        names = {
            series.name: series.control for series in curves[f"{concept} over the steps"].series
        }
        assert names["straight line"]
        assert not names["states"]


def test_each_shown_prompt_can_be_heard_at_each_step_that_was_listened_to(followed):
    (desk,) = (block for block in followed.blocks("generation") if isinstance(block, Choices))
    assert [len(choice.options) for choice in desk.choices] == [2, 3]
    for clip in desk.clips:
        assert (followed.folder / "clips").is_dir()
        assert clip.stop_s == pytest.approx(80 * 320 / 24_000)


def test_wishes_of_the_spec_are_what_is_asked_for(followed):
    asked = followed.result("generation")["facts"]["prompts"]
    assert len(asked) == 4
    assert all("pitch 60" in name or "pitch 67" in name for name in asked)


def test_a_model_that_generates_nothing_is_told_so(tmp_path):
    run(tiny_spec(analyses=[{"type": "generation"}], dictionaries=[]), tmp_path)
    (finding,) = (b for b in Run.open(tmp_path).blocks("generation") if isinstance(b, Finding))
    assert finding.verdict == "cannot be tested here"
    assert "makes no sound in steps" in finding.reason
