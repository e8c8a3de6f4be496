"""Claims about concepts, judged on scores written by hand."""

import numpy as np
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


def reading(right, majority, shuffled, untrained, rows=10, first=0):
    """Rows read rightly of each recording, beside three nulls."""
    tallies = {f"r{first + i}": (float(rows), float(n)) for i, n in enumerate(right)}
    accuracy = float(sum(right) / (rows * len(right)))
    return Read(accuracy, majority, shuffled, untrained, None, tallies)


def judged(*reads, seed=0):
    named = [(f"d{i}", "loudness", one) for i, one in enumerate(reads)]
    return aligned("latent", named, np.random.default_rng(seed))


SIX = [5, 6, 7] * 6
"""0.6 of the rows, 0.56 to 0.64 over recordings."""


@pytest.mark.parametrize(
    ("read", "verdict"),
    [
        (reading(SIX, 0.1, 0.1, 0.3), "holds"),
        (reading(SIX, 0.1, 0.1, 0.58), "explained by control"),
        (reading(SIX, 0.1, 0.58, 0.3), "explained by control"),
        (reading([1] * 9, 0.2, 0.1, 0.05), "does not hold"),
        (reading([6], 0.1, 0.1, 0.3), "cannot be tested here"),
    ],
)
def test_features_align_when_the_whole_interval_beats_every_null(read, verdict):
    assert judged(read).verdict == verdict


def test_the_reading_that_gains_most_speaks_and_without_gain_the_one_read_best():
    gains, best = reading(SIX, 0.1, 0.1, 0.1), reading([9] * 18, 0.1, 0.1, 0.89)
    told = judged(gains, best)
    assert "d0" in told.measurement.name
    assert "best of 2 readings" in told.reason
    told = judged(reading(SIX, 0.1, 0.1, 0.6), reading([9] * 18, 0.1, 0.1, 0.99))
    assert "d1" in told.measurement.name


def test_one_reading_is_judged_by_its_own_interval_and_copies_of_it_cost_nothing():
    one = reading(SIX, 0.1, 0.1, 0.3)
    told = judged(one)
    assert told.reason.endswith("One reading was looked at.")
    for same in (told, judged(one, one, one)):
        assert same.measurement.interval == told.measurement.interval
    assert told.measurement.interval == pytest.approx((0.6 - 0.037, 0.6 + 0.037), abs=0.01)


def test_the_best_of_many_readings_of_nothing_rarely_passes_though_one_of_them_often_would():
    """Forty readings that are right by chance: alone one in forty gains, of each forty the best."""
    passed, alone = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        reads = [reading(rng.binomial(20, 0.3, 30), 0.3, 0.1, 0.2, rows=20) for _ in range(40)]
        passed += judged(*reads, seed=seed).verdict == "holds"
        alone += any(judged(one, seed=seed).verdict == "holds" for one in reads[:20])
    assert alone > 12  # of 60: 1 - 0.975 ** 20 is 0.4
    assert passed <= 6


def test_a_reading_of_one_recording_is_left_out_of_the_choice():
    sure = reading([10], 0.1, 0.1, 0.3, first=0)  # nothing deviates in one recording
    told = judged(sure, reading(SIX, 0.1, 0.1, 0.58))
    assert told.verdict == "explained by control"


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
