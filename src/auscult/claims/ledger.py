"""A ledger: each published claim beside what one run measured of it.

Built from saved results alone, so it can be made again without a model, and pure: the same results
give the same ledger.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from auscult.claims.catalogue import Claim, known_claims
from auscult.core.errors import StoreError
from auscult.core.tensors import read_json, write_json

HOLDS, EXPLAINED, FAILS, UNTESTED = VERDICTS = (
    "holds",
    "explained by control",
    "does not hold",
    "cannot be tested here",
)
_WEAKEST_FIRST = (FAILS, EXPLAINED, HOLDS)
_NO_NULLS = ("another seed", "ceiling", "positive control")


@dataclass(frozen=True)
class Entry:
    """What one analysis said about a claim at one tap.

    Attributes:
        analysis: Name of the analysis in the spec.
        tap: Where it was measured, or "" for the model as a whole.
        sentence: The answer in plain words.
        measure: What was measured.
        value: In ``unit``; None when it could not be measured.
        unit: "" for shares and cosines.
        interval: 95 % interval, or None.
        controls: The same number under each control.
        published: The published value as the analysis gives it, or "".
        verdict: One of :data:`VERDICTS`.
        reason: The rule that gave the verdict.
    """

    analysis: str
    tap: str
    sentence: str
    measure: str
    value: float | None
    unit: str
    interval: tuple[float, float] | None
    controls: Mapping[str, float | None]
    published: str
    verdict: str
    reason: str

    @property
    def nulls(self) -> dict[str, float]:
        """Controls that have a value and are no ceiling: other seeds and positive controls are."""
        return {
            name: value
            for name, value in self.controls.items()
            if value is not None and not any(word in name.lower() for word in _NO_NULLS)
        }

    @property
    def nearest_null(self) -> tuple[str, float] | None:
        """The null that comes nearest to the value: the strongest argument against it."""
        if self.value is None or not self.nulls:
            return None
        value = self.value
        return min(self.nulls.items(), key=lambda item: abs(item[1] - value))

    @property
    def clear(self) -> bool | None:
        """Whether every null lies outside the interval; None without interval or nulls."""
        if self.interval is None or not self.nulls:
            return None
        low, high = self.interval
        return all(not low <= null <= high for null in self.nulls.values())


@dataclass(frozen=True)
class Standing:
    """How one claim stands in one run.

    Attributes:
        claim: The claim.
        entries: What was measured of it, tap by tap.
        verdict: The weakest at any tap where it could be tested: a claim holds if it holds at all.
        reason: Why it could not be tested, or "".
    """

    claim: Claim
    entries: tuple[Entry, ...]
    verdict: str
    reason: str = ""

    @property
    def by_tap(self) -> dict[str, str]:
        """The verdict at each tap: the weakest of its entries that could be tested."""
        taps = dict.fromkeys(entry.tap for entry in self.entries)
        return {
            tap: _weakest(entry.verdict for entry in self.entries if entry.tap == tap)
            for tap in taps
        }

    @property
    def n_agreeing(self) -> int:
        """Taps at which the verdict is the claim's."""
        return sum(verdict == self.verdict for verdict in self.by_tap.values())

    @property
    def n_tested(self) -> int:
        """Taps at which it could be tested."""
        return sum(verdict != UNTESTED for verdict in self.by_tap.values())


@dataclass(frozen=True)
class Ledger:
    """Every claim with how it stands; claims that only a result knows of come last."""

    standings: tuple[Standing, ...]

    def of(self, verdict: str) -> list[Standing]:
        """The claims with one verdict."""
        return [one for one in self.standings if one.verdict == verdict]

    @property
    def counts(self) -> dict[str, int]:
        """How many claims have each verdict."""
        return {verdict: len(self.of(verdict)) for verdict in VERDICTS}

    def to_json(self) -> dict[str, Any]:
        """As JSON types, what is derived included."""
        return {
            "version": 1,
            "counts": self.counts,
            "claims": [
                {
                    **asdict(one.claim),
                    "verdict": one.verdict,
                    "reason": one.reason,
                    "taps": one.by_tap,
                    "entries": [asdict(entry) for entry in one.entries],
                }
                for one in self.standings
            ],
        }


def ledger_of(results: Iterable[Mapping[str, Any]], taps: Sequence[str] = ()) -> Ledger:
    """Put what the results of a run say beside the claims of the studies that it speaks to.

    A run speaks to a study when it holds an analysis that tests one of the study's claims.

    Args:
        results: Contents of ``result.json``, one an analysis. Those of earlier versions, which keep
            no judgements, leave their claims untested; parts that are no judgement are passed over.
        taps: Order of the taps; others follow in the order in which they are met.
    """
    read = list(results)
    entries: dict[str, list[Entry]] = {}
    for result in read:
        for told in _judgements(result):
            claim = _text(told.get("claim"))
            if claim:
                entries.setdefault(claim, []).append(_entry(told, _text(result.get("analysis"))))
    place = {tap: i for i, tap in enumerate(taps)}
    for found in entries.values():
        found.sort(key=lambda entry: place.get(entry.tap, len(place)))
    ran = {_text(result.get("type")) for result in read}
    asked = {one.study for one in known_claims() if one.id in entries or ran & set(one.analyses)}
    known = [one for one in known_claims() if one.study in asked]
    ids = {one.id for one in known}
    strangers = [Claim(id_, found[0].sentence) for id_, found in entries.items() if id_ not in ids]
    claims = [*known, *strangers]
    return Ledger(tuple(_standing(claim, entries.get(claim.id, []), read) for claim in claims))


def ledger_in(run_folder: Path) -> Ledger:
    """The ledger of a finished run.

    Raises:
        StoreError: There is no finished run in this folder, or a result is damaged.
    """
    if not (run_folder / "manifest.json").is_file():
        raise StoreError(
            f"{run_folder} holds no finished run (no manifest.json): auscult run makes one"
        )
    return ledger_of(_results(run_folder))


def write_ledger(run_folder: Path) -> Path:
    """Write ``ledger.json`` beside the results of a run; byte-equal for equal results.

    Raises:
        StoreError: A result is damaged, or the folder cannot be written.
    """
    path = run_folder / "ledger.json"
    write_json(path, ledger_of(_results(run_folder)).to_json())
    return path


def _results(run_folder: Path) -> list[dict[str, Any]]:
    found = [read_json(path) for path in sorted((run_folder / "results").glob("*/result.json"))]
    if not all(isinstance(one, dict) for one in found):
        raise StoreError(f"a result.json below {run_folder / 'results'} is not what a run writes")
    return found


def _standing(claim: Claim, entries: list[Entry], results: list[Mapping[str, Any]]) -> Standing:
    if not entries:
        return Standing(claim, (), UNTESTED, _why_untested(claim, results))
    verdict = _weakest(entry.verdict for entry in entries)
    reasons = dict.fromkeys(entry.reason for entry in entries if entry.reason)
    reason = " ".join(reasons) if verdict == UNTESTED else ""
    return Standing(claim, tuple(entries), verdict, reason)


def _weakest(verdicts: Iterable[str]) -> str:
    given = set(verdicts)
    return next((verdict for verdict in _WEAKEST_FIRST if verdict in given), UNTESTED)


def _why_untested(claim: Claim, results: list[Mapping[str, Any]]) -> str:
    named = " or ".join(claim.analyses)
    ran = [result for result in results if result.get("type") in claim.analyses]
    if not ran:
        return f"What would test it was not run: {named}."
    if all("judgements" not in result for result in ran):
        return f"{named} was run by a version that kept no judgements: run the study again."
    return f"{named} was run and gave no judgement on it."


def _judgements(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    told = result.get("judgements")
    return [one for one in told if isinstance(one, Mapping)] if isinstance(told, list) else []


def _entry(told: Mapping[str, Any], analysis: str) -> Entry:
    measured = told.get("measurement")
    one: Mapping[str, Any] = measured if isinstance(measured, Mapping) else {}
    controls = one.get("controls")
    verdict = _text(told.get("verdict"))
    return Entry(
        analysis=analysis,
        tap=_text(one.get("tap")),
        sentence=_text(told.get("sentence")),
        measure=_text(one.get("name")),
        value=_number(one.get("value")),
        unit=_text(one.get("unit")),
        interval=_interval(one.get("interval")),
        controls={str(name): _number(value) for name, value in controls.items()}
        if isinstance(controls, Mapping)
        else {},
        published=_text(one.get("published")),
        verdict=verdict if verdict in VERDICTS else UNTESTED,
        reason=_text(told.get("reason")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _interval(value: Any) -> tuple[float, float] | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = _number(value[0]), _number(value[1])
    return None if low is None or high is None else (low, high)
