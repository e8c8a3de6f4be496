"""The claims ledger: what was published, and how it stands for one model."""

from auscult.claims.catalogue import Claim, known_claims
from auscult.claims.ledger import (
    VERDICTS,
    Entry,
    Ledger,
    Standing,
    ledger_in,
    ledger_of,
    write_ledger,
)

__all__ = [
    "VERDICTS",
    "Claim",
    "Entry",
    "Ledger",
    "Standing",
    "known_claims",
    "ledger_in",
    "ledger_of",
    "write_ledger",
]
