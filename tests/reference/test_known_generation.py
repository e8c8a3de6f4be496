"""A generator whose concepts settle at planted steps: each is found, and nothing in the null."""

from pathlib import Path

import numpy as np
import pytest

from auscult.analyses.base import Result
from auscult.blocks import ClipGrid
from auscult.testing.planted_generation import N_STEPS, RATE, note_sounds
from auscult.testing.studies import answer

PLANTED = {"pitch": 6, "centroid": 11, "loudness": 16}
PITCH = {"type": "pitch", "estimator": "yin", "unvoiced": "left out"}
THRESHOLD = 0.75
"""A jump of one channel moves probes of the others a few percent: they are linear, and the latents
are three numbers. The planted steps are sharp, so any threshold above that finds them."""


def spec(folder: Path, factory: str) -> dict:
    import soundfile

    sounds = folder / "sounds"
    sounds.mkdir()
    for place, wave in enumerate(note_sounds(70)):
        soundfile.write(sounds / f"{place:03d}.wav", wave, RATE, subtype="PCM_24")
    return {
        "name": "planted generation",
        "model": {
            "type": "python",
            "path": "auscult.testing.planted_generation",
            "factory": factory,
            "encode": "encode",
            "decode": "decode",
        },
        "sounds": {"type": "folder", "path": str(sounds), "split": {"train": 0.6, "test": 0.4}},
        "record": {"taps": ["latent"]},
    }


def study(folder: Path, factory: str) -> Result:
    return answer(
        spec(folder, factory),
        folder,
        "generation",
        concepts=[PITCH, "centroid", "loudness"],
        n_prompts=24,
        n_listened=N_STEPS + 1,
        n_shown=2,
        most_vectors=1600,
        threshold=THRESHOLD,
    )


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Result:
    return study(tmp_path_factory.mktemp("planted"), "PlantedGenerator")


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Result:
    return study(tmp_path_factory.mktemp("straight"), "straight")


@pytest.mark.parametrize("place", ["states", "estimates", "heard"])
@pytest.mark.parametrize("concept", sorted(PLANTED))
def test_every_planted_step_is_found_within_one(planted, place, concept):
    row = next(
        one
        for one in planted.facts["settled"]
        if (one["place"], one["concept"]) == (place, concept)
    )
    assert row["n"] >= 20
    assert abs(row["step"] - PLANTED[concept]) <= 1


def test_the_order_is_significant_beyond_the_straight_line_and_the_claim_holds(planted):
    order = [one for one in planted.facts["order"] if one["place"] == "states"]
    assert {(one["first"], one["then"]) for one in order} == {
        ("pitch", "centroid"), ("centroid", "loudness"), ("pitch", "loudness"),
    }  # fmt: skip
    assert all(one["beyond"] for one in order)
    (claim,) = (one for one in planted.judgements if one.claim == "PK-04")
    assert claim.verdict == "holds"
    assert claim.measurement.value == pytest.approx(10, abs=1)


def test_nothing_is_found_where_all_moves_on_the_straight_line(straight):
    assert not any(one["beyond"] for one in straight.facts["order"])
    (claim,) = (one for one in straight.judgements if one.claim == "PK-04")
    assert claim.verdict != "holds"


def test_probes_of_estimates_agree_with_ears_beyond_shuffled_prompts(planted):
    agreeing = [one for one in planted.measurements if "correlation" in one.name]
    assert len(agreeing) == len(PLANTED)
    for one in agreeing:
        assert one.value > 0.8
        assert abs(one.controls["prompts shuffled"]) < 0.5


def test_every_step_of_the_first_prompts_can_be_heard(planted):
    assert len(planted.sounds) == 2 * 2 * (N_STEPS + 1)


def test_states_are_decoded_as_they_are_beside_what_they_would_jump_to(planted):
    waves = {one.label: one.waveform for one in planted.sounds}
    states = {k.replace("the state at ", ""): k for k in waves if "the state at" in k}
    assert len(states) == 2 * (N_STEPS + 1)
    for estimate, state in states.items():
        # A step of this generator begins at its clean estimate, but for the steps that are jumps.
        jump = any(estimate.endswith(f"step {step - 1}") for step in PLANTED.values())
        assert np.allclose(waves[estimate], waves[state]) or jump
    first = next(iter(waves.values()))
    assert all(one.shape == first.shape for one in waves.values())
    firsts = {
        estimate.partition(":")[0]: (waves[state], waves[estimate.partition(":")[0] + ": result"])
        for estimate, state in states.items()
        if estimate.endswith("step 0")
    }
    assert len(firsts) == 2
    assert not any(np.allclose(noise, result, atol=1e-2) for noise, result in firsts.values())
    grids = [one for one in planted.blocks if isinstance(one, ClipGrid)]
    told = [one for one in grids if one.title.endswith("the states themselves")]
    played = {clip.clip_id for one in told for clip in one.clips}
    assert played == {one.clip_id for one in planted.sounds if "the state at" in one.label}


def steered(folder: Path, place: str, strength: float) -> Result:
    return answer(
        spec(folder, "PlantedGenerator"),
        folder,
        "generation-steering",
        concepts=["pitch", "loudness"],
        places=[place],
        n_windows=2,
        n_made=72,
        n_prompts=8,
        n_random=2,
        strength=strength,
    )


@pytest.fixture(scope="module")
def steered_state(tmp_path_factory) -> Result:
    return steered(tmp_path_factory.mktemp("state"), "state", 2.0)


def test_a_concept_that_is_a_channel_of_the_state_is_moved_beyond_chance_and_alone(steered_state):
    assert len(steered_state.facts["rows"]) == 4
    for row in steered_state.facts["rows"]:
        assert row["low"] > row["seed"]
        assert row["isolation"] > 0.7
    # Of three channels a random direction may take most of one along in its best window, so that
    # intervals of eight prompts do not clear it; but none moves a concept as far as its own.
    for concept in ("pitch", "loudness"):
        own = [row for row in steered_state.facts["rows"] if row["concept"] == concept]
        assert max(row["effect"] for row in own) > own[0]["random"]
        assert own[0]["random"] >= max(row["random here"] for row in own)
        assert "holds" not in {row["verdict"] for row in own}  # of two random directions


def test_what_is_steered_can_be_heard_beside_the_untouched(steered_state):
    labels = [one.label for one in steered_state.sounds]
    assert sum("untouched" in one for one in labels) == 2
    assert sum("steps 10 to 19" in one for one in labels) == 2


@pytest.mark.slow
def test_inside_the_network_a_direction_points_the_right_way_once_the_concept_is_decided(tmp_path):
    rows = steered(tmp_path, "say", 0.2).facts["rows"]
    effect = {(one["concept"], one["first"]): one["effect"] for one in rows}
    # Pitch is decided at step 6, loudness at 16; before, every prompt is on the other side.
    assert effect["pitch", 10] > 1
    assert effect["pitch", 0] < 0
    assert effect["loudness", 10] < 0
