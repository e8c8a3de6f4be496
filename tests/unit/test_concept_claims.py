"""Claims about concepts, judged on scores written by hand."""

import pytest

from auscult.analyses.parts.concepts.claims import (
    Read,
    aligned,
    of_its_own,
    pitch_first,
    untold,
)

NAN = float("nan")
LOUDNESS, CENTROID = Read(0.5, 0.1, 0.1), Read(0.4, 0.1, 0.1)


@pytest.mark.parametrize(
    ("pitch", "verdict"),
    [
        (Read(0.8, 0.1, 0.1), "holds"),
        (Read(0.8, 0.78, 0.78), "explained by control"),
        (Read(0.45, 0.1, 0.1), "does not hold"),
    ],
)
def test_pitch_must_be_first_and_stay_first_above_its_majority(pitch, verdict):
    scores = {"pitch": pitch, "loudness": LOUDNESS, "centroid": CENTROID}
    judged = pitch_first("latent", "features", scores)
    assert judged.verdict == verdict
    assert judged.measurement.controls["majority class, pitch"] == pitch.majority


def test_without_all_three_concepts_nothing_is_judged():
    judged = pitch_first("latent", "features", {"pitch": LOUDNESS})
    assert judged.verdict == "cannot be tested here"


@pytest.mark.parametrize(
    ("read", "verdict"),
    [
        (Read(0.6, 0.1, 0.1, 0.3, (0.5, 0.7)), "holds"),
        (Read(0.6, 0.1, 0.1, 0.55, (0.5, 0.7)), "explained by control"),
        (Read(0.6, 0.1, 0.55, 0.3, (0.5, 0.7)), "explained by control"),
        (Read(0.1, 0.2, 0.1, 0.05, (0.0, 0.2)), "does not hold"),
        (Read(0.6, 0.1, 0.1, 0.3, (NAN, NAN)), "cannot be tested here"),
    ],
)
def test_features_align_when_the_whole_interval_beats_every_null(read, verdict):
    assert aligned("latent", [("wide", "loudness", read)]).verdict == verdict


def test_the_concept_that_gains_most_speaks_and_without_gain_the_one_read_best():
    gains, best = Read(0.5, 0.1, 0.1, 0.1, (0.4, 0.6)), Read(0.9, 0.1, 0.1, 0.85, (0.88, 0.92))
    judged = aligned("latent", [("a", "loudness", gains), ("b", "pitch", best)])
    assert "loudness" in judged.measurement.name
    assert "2 readings were looked at" in judged.reason
    none = Read(0.5, 0.1, 0.1, 0.6, (0.4, 0.6))
    worse = Read(0.9, 0.1, 0.1, 0.99, (0.88, 0.92))
    judged = aligned("latent", [("a", "loudness", none), ("b", "pitch", worse)])
    assert "pitch" in judged.measurement.name


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.5, 0.7), "holds"),
        ((0.3, 0.7), "explained by control"),
        ((NAN, NAN), "cannot be tested here"),
        (None, "cannot be tested here"),
    ],
)
def test_a_character_is_one_that_training_gave_when_intervals_do_not_meet(interval, verdict):
    trained, random = Read(0.6, 0.1, 0.1, NAN, interval), Read(0.35, 0.1, 0.1, NAN, (0.3, 0.4))
    assert of_its_own("latent", trained, random).verdict == verdict


@pytest.mark.parametrize("claim", ["PK-01", "PK-01b", "PK-02"])
def test_what_cannot_be_told_says_why(claim):
    judged = untold("latent", claim, "only 3 frames are there")
    assert judged.claim == claim
    assert judged.reason == "only 3 frames are there"
