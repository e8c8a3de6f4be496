"""The claims ledger: what a run's judgements make of the published claims."""

import json

import pytest
from typer.testing import CliRunner

from auscult.analyses.base import ANALYSES
from auscult.claims import known_claims, ledger_in, ledger_of, write_ledger
from auscult.claims.words import reasons, rows, summary, sureness
from auscult.cli import app
from auscult.core.errors import StoreError
from auscult.core.numbers import amount
from auscult.testing.runs import fabricated_run

IDS = [f"P1-{number:02}" for number in range(1, 19)]


def judged(
    claim="P1-02",
    tap="conv",
    verdict="holds",
    value=0.9,
    controls=None,
    interval=None,
    reason="why",
):
    """A judgement as result.json keeps it."""
    measurement = {
        "name": "share",
        "value": value,
        "unit": "",
        "controls": {"noise": 0.5} if controls is None else controls,
        "interval": interval,
        "published": "",
        "tap": tap,
    }
    return {
        "sentence": "said",
        "measurement": measurement,
        "verdict": verdict,
        "reason": reason,
        "claim": claim,
    }


def of(*judgements, kind="features", taps=()):
    return ledger_of([{"analysis": "mine", "type": kind, "judgements": list(judgements)}], taps)


def standing(ledger, claim="P1-02"):
    return next(one for one in ledger.standings if one.claim.id == claim)


def test_the_catalogue_holds_the_eighteen_claims_of_the_first_layer_in_order():
    assert [claim.id for claim in known_claims() if claim.study == "first_layer"] == IDS


def test_no_two_claims_share_an_id():
    ids = [claim.id for claim in known_claims()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("claim", known_claims(), ids=lambda claim: claim.id)
def test_every_claim_says_what_it_claims_and_how_it_is_tested(claim):
    assert claim.statement.endswith(".")
    assert claim.rule.endswith(".")
    assert claim.published
    assert claim.spec
    assert claim.analyses
    assert set(claim.analyses) <= set(ANALYSES.names())


def test_a_run_without_judgements_leaves_every_claim_of_its_study_untested():
    ledger = ledger_of([{"type": "filters"}])
    assert ledger.counts == {
        "holds": 0,
        "explained by control": 0,
        "does not hold": 0,
        "cannot be tested here": 18,
    }


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ([{"type": "filters"}], "What would test it was not run: features."),
        ([{"type": "features"}], "kept no judgements: run the study again"),
        ([{"type": "features", "judgements": []}], "was run and gave no judgement on it"),
        ([{"type": "onsets", "judgements": []}], "What would test it was not run: features."),
    ],
    ids=["not run", "an earlier version", "silent", "another analysis"],
)
def test_a_claim_without_entries_says_why(results, reason):
    assert reason in standing(ledger_of(results)).reason


@pytest.mark.parametrize(
    ("verdicts", "claim"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "explained by control"], "explained by control"),
        (["does not hold", "explained by control", "holds"], "does not hold"),
        (["holds", "cannot be tested here"], "holds"),
        (["cannot be tested here", "cannot be tested here"], "cannot be tested here"),
    ],
)
def test_a_claim_is_judged_by_its_weakest_tap_that_could_be_tested(verdicts, claim):
    told = [judged(tap=f"tap {i}", verdict=verdict) for i, verdict in enumerate(verdicts)]
    assert standing(of(*told)).verdict == claim


def test_two_rules_at_one_tap_must_both_pass():
    found = standing(of(judged(verdict="holds"), judged(verdict="does not hold")))
    assert found.by_tap == {"conv": "does not hold"}


def test_the_reason_of_a_claim_that_could_not_be_judged_is_kept():
    told = judged(verdict="cannot be tested here", value=None, reason="Too few vectors.")
    assert standing(of(told)).reason == "Too few vectors."


def test_taps_lie_in_the_order_that_is_given():
    told = [judged(tap=tap) for tap in ("a", "c", "b")]
    assert list(standing(of(*told, taps=["c", "b", "a"])).by_tap) == ["c", "b", "a"]


def test_the_nearest_null_is_the_strongest_argument_whichever_way_is_better():
    controls = {"far": 0.1, "near": 0.8, "beyond": 1.2}
    (entry,) = standing(of(judged(value=0.9, controls=controls))).entries
    assert entry.nearest_null == ("near", 0.8)


@pytest.mark.parametrize("name", ["another seed", "ceiling: real against real", "positive control"])
def test_a_ceiling_is_no_null(name):
    (entry,) = standing(of(judged(value=0.9, controls={name: 0.9, "noise": 0.2}))).entries
    assert entry.nearest_null == ("noise", 0.2)


@pytest.mark.parametrize(
    ("interval", "clear"), [([0.8, 1.0], True), ([0.4, 1.0], False), (None, None)]
)
def test_an_interval_is_clear_when_no_null_lies_in_it(interval, clear):
    controls = {"noise": 0.5, "random weights": 0.1}
    (entry,) = standing(of(judged(interval=interval, controls=controls))).entries
    assert entry.clear is clear


@pytest.mark.parametrize(
    "told",
    [
        {"claim": "P1-02"},
        {"claim": "P1-02", "measurement": [], "verdict": 3, "sentence": None},
        {"claim": "P1-02", "measurement": {"value": "0.9", "controls": [1], "interval": [1]}},
        {"claim": "P1-02", "measurement": {"value": True, "interval": [None, 1], "tap": 3}},
        {"claim": "P1-02", "verdict": "wonderful", "measurement": {"value": float("inf")}},
    ],
    ids=["nothing", "wrong types", "text for numbers", "a truth for a number", "a made-up verdict"],
)
def test_a_damaged_judgement_is_an_entry_that_says_nothing(told):
    (entry,) = standing(of(told)).entries
    assert (entry.value, entry.verdict) == (None, "cannot be tested here")


@pytest.mark.parametrize("told", [None, "text", 3, ["text", None], {"claim": "P1-02"}])
def test_what_is_no_list_of_judgements_is_passed_over(told):
    ledger = ledger_of([{"type": "features", "judgements": told}])
    assert ledger.counts["cannot be tested here"] == 18


def test_a_run_is_asked_only_for_the_claims_of_studies_that_it_speaks_to():
    assert ledger_of([]).standings == ()
    assert ledger_of([{"type": "my-own-question", "judgements": []}]).standings == ()
    assert {one.claim.study for one in of(judged()).standings} == {"first_layer"}


def test_a_ledger_without_claims_says_so():
    assert summary(ledger_of([])) == "No published claim is about what this run asked."


def test_a_claim_of_somebody_else_comes_last_with_its_sentence():
    ledger = of(judged(claim="MY-01"), judged(claim=""))
    assert [one.claim.id for one in ledger.standings] == [*IDS, "MY-01"]
    assert ledger.standings[-1].claim.statement == "said"


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (["holds"], "It holds at tap 0, the one tap where it was put to the test."),
        (["holds", "holds"], "It holds at all 2 taps."),
        (
            ["does not hold", "holds", "holds"],
            "Its taps disagree: it does not hold at tap 0; holds at tap 1 and tap 2.",
        ),
        (
            ["holds", "cannot be tested here"],
            "Its taps disagree: it holds at tap 0; cannot be tested here at tap 1.",
        ),
    ],
)
def test_the_taps_that_agree_are_told(verdicts, said):
    told = [judged(tap=f"tap {i}", verdict=verdict) for i, verdict in enumerate(verdicts)]
    assert sureness(standing(of(*told))).startswith(said)


@pytest.mark.parametrize(
    ("intervals", "said"),
    [
        ([[0.8, 1.0]], "The interval lies clear of every null."),
        ([[0.4, 1.0]], "The interval reaches a null."),
        ([[0.8, 1.0], [0.4, 1.0]], "1 of 2 intervals lies clear of every null."),
        ([[0.4, 1.0], [0.4, 1.0]], "No interval lies clear of every null."),
        ([None], "No interval was measured."),
    ],
)
def test_intervals_are_told_against_the_nulls(intervals, said):
    told = [judged(tap=f"tap {i}", interval=one) for i, one in enumerate(intervals)]
    assert said in sureness(standing(of(*told)))


def test_a_summary_counts_every_verdict():
    ledger = of(judged(), judged("P1-03", verdict="does not hold"))
    assert summary(ledger) == (
        "Of 18 claims, 1 holds, 0 are explained by a control, 1 does not hold, "
        "and 16 cannot be tested here."
    )


def test_claims_of_one_reason_share_a_sentence():
    assert "P1-07 and P1-08: What would test it was not run" in " ".join(
        reasons(ledger_of([{"type": "filters"}]))
    )


def test_a_row_shows_value_interval_and_nearest_null():
    row = next(row for row in rows(of(judged(interval=[0.85, 0.95]))) if row[0] == "P1-02")
    assert row[:2] == ("P1-02", "holds")
    assert row[2].startswith("conv: ")
    assert row[3:5] == ("0.9 (0.85 to 0.95)", "0.5, noise")


@pytest.mark.parametrize(
    ("every", "verdicts"), [(False, ["does not hold"]), (True, ["holds", "does not hold"])]
)
def test_a_claim_s_row_is_that_of_the_entry_that_decided_it(every, verdicts):
    ledger = of(judged(tap="a"), judged(tap="b", verdict="does not hold"))
    assert [row[1] for row in rows(ledger, every) if row[0] == "P1-02"] == verdicts


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (3428.571, "Hz", "3,429 Hz"),
        (-1e-14, "", "−1.00 × 10⁻¹⁴"),
        (0.0, "", "0"),
        (None, "Hz", "–"),
    ],
)
def test_an_amount_is_short_text(value, unit, text):
    assert amount(value, unit) == text


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fabricated_run(tmp_path_factory.mktemp("claims") / "run", n_features=1, n_clips=1)


def test_a_ledger_is_written_beside_the_results_and_again_with_the_same_bytes(run):
    path = write_ledger(run)
    before = path.read_bytes()
    write_ledger(run)
    assert path == run / "ledger.json"
    assert path.read_bytes() == before
    assert json.loads(before) == json.loads(json.dumps(ledger_in(run).to_json()))


def test_a_made_up_run_has_every_verdict(run):
    assert min(ledger_in(run).counts.values()) >= 1


def test_the_command_prints_a_table_of_a_hundred_columns(run):
    done = CliRunner().invoke(app, ["claims", str(run)])
    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    table = lines[: next(i for i, line in enumerate(lines) if line.startswith("Of 18"))]
    assert max(map(len, table)) <= 100
    assert any("P1-07" in line and "principal" in line for line in table)
    assert "What would test it was not run: trajectories." not in done.stdout


def test_the_command_prints_json(run):
    done = CliRunner().invoke(app, ["claims", str(run), "--json"])
    assert json.loads(done.stdout) == json.loads(json.dumps(ledger_in(run).to_json()))


@pytest.mark.parametrize("name", ["", "results/features"])
def test_a_folder_without_a_finished_run_is_refused_with_a_sentence(name, run, tmp_path):
    folder = run / name if name else tmp_path
    with pytest.raises(StoreError, match="holds no finished run"):
        ledger_in(folder)


def test_a_result_that_is_no_result_is_refused_with_its_place(tmp_path):
    (tmp_path / "results" / "one").mkdir(parents=True)
    (tmp_path / "results" / "one" / "result.json").write_text("[]")
    with pytest.raises(StoreError, match="not what a run writes"):
        write_ledger(tmp_path)


def test_terminal_escapes_in_a_judgement_are_shown_and_not_obeyed(tmp_path):
    folder = fabricated_run(tmp_path / "run", n_features=1, n_clips=1, hostile=True)
    shown = CliRunner().invoke(app, ["claims", str(folder)]).stdout
    assert "\x1b" not in shown
    assert "\\x1b[31mred" in "".join(shown.split())
