"""A ledger in words and in rows: for the terminal, and the sentences of the page."""

from collections.abc import Sequence

from auscult.claims.ledger import (
    EXPLAINED,
    FAILS,
    HOLDS,
    UNTESTED,
    VERDICTS,
    Entry,
    Ledger,
    Standing,
)
from auscult.core.numbers import amount

COLUMNS = (
    "claim",
    "verdict",
    "what was measured",
    "value (95 % interval)",
    "nearest null",
    "published",
)
_DID = {
    HOLDS: ("holds", "hold"),
    EXPLAINED: ("is explained by a control", "are explained by a control"),
    FAILS: ("does not hold", "do not hold"),
    UNTESTED: ("cannot be tested here", "cannot be tested here"),
}


def measured(entry: Entry) -> str:
    """The value of an entry with its interval."""
    value = amount(entry.value, entry.unit)
    if entry.interval is None or entry.value is None:
        return value
    low, high = entry.interval
    return f"{value} ({amount(low)} to {amount(high)})"


def rows(ledger: Ledger, every: bool = False) -> list[tuple[str, ...]]:
    """Rows in the columns of :data:`COLUMNS`: one a claim, of the entry that decided its verdict.

    Args:
        ledger: The claims.
        every: One row for every entry instead.
    """
    return [row for one in ledger.standings for row in _rows(one, every)]


def _rows(one: Standing, every: bool) -> list[tuple[str, ...]]:
    if not one.entries:
        return [(one.claim.id, one.verdict, one.claim.statement, "–", "–", one.claim.published)]
    deciding = [entry for entry in one.entries if entry.verdict == one.verdict]
    return [
        (
            one.claim.id,
            entry.verdict,
            f"{entry.tap}: {entry.measure}" if entry.tap else entry.measure,
            measured(entry),
            _nearest(entry),
            entry.published or one.claim.published,
        )
        for entry in (one.entries if every else deciding[:1])
    ]


def _nearest(entry: Entry) -> str:
    found = entry.nearest_null
    return f"{amount(found[1], entry.unit)}, {found[0]}" if found else "–"


def summary(ledger: Ledger) -> str:
    """How many claims stand how, as a sentence."""
    if not ledger.standings:
        return "No published claim is about what this run asked."
    counts = ledger.counts
    told = [f"{counts[verdict]} {_did(verdict, counts[verdict])}" for verdict in VERDICTS]
    return f"Of {len(ledger.standings)} claims, {', '.join(told[:-1])}, and {told[-1]}."


def reasons(ledger: Ledger) -> list[str]:
    """Why claims cannot be tested, those of one reason in one sentence."""
    found: dict[str, list[str]] = {}
    for one in ledger.of(UNTESTED):
        found.setdefault(one.reason or "No reason was given.", []).append(one.claim.id)
    return [f"{_listed(ids)}: {reason}" for reason, ids in found.items()]


def sureness(one: Standing) -> str:
    """How sure the verdict on a claim is: taps that agree, and intervals against nulls."""
    if not one.n_tested:
        return ""
    parts = [_agreement(one)]
    judged = [entry.clear for entry in one.entries if entry.clear is not None]
    if judged:
        parts.append(_clearness(sum(judged), len(judged)))
    elif any(entry.value is not None for entry in one.entries):
        parts.append("No interval was measured.")
    n_nulls = len({name for entry in one.entries for name in entry.nulls})
    parts.append(f"It was read against {n_nulls} {'null' if n_nulls == 1 else 'nulls'}.")
    return " ".join(parts)


def _clearness(n_clear: int, n_judged: int) -> str:
    if n_judged == 1:
        return f"The interval {'lies clear of every' if n_clear else 'reaches a'} null."
    which = "Every interval lies" if n_clear == n_judged else "No interval lies"
    if 0 < n_clear < n_judged:
        which = f"{n_clear} of {n_judged} intervals {'lies' if n_clear == 1 else 'lie'}"
    return f"{which} clear of every null."


def _agreement(one: Standing) -> str:
    taps = one.by_tap
    did = _did(one.verdict, 1)
    if one.n_agreeing == len(taps):
        if len(taps) == 1:
            tap = next(iter(taps))
            return (
                f"It {did} at {tap}, the one tap where it was put to the test."
                if tap
                else f"It {did}."
            )
        return f"It {did} at all {len(taps)} taps."
    others: dict[str, list[str]] = {}
    for tap, verdict in taps.items():
        others.setdefault(verdict, []).append(tap or "the model as a whole")
    ordered = sorted(others.items(), key=lambda item: item[0] != one.verdict)
    told = "; ".join(f"{_did(verdict, 1)} at {_listed(names)}" for verdict, names in ordered)
    return f"Its taps disagree: it {told}."


def _did(verdict: str, count: int) -> str:
    return _DID[verdict][0 if count == 1 else 1]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
