"""The published claims, one file of them a study."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

STUDIES = (
    "first_layer",
    "dictionaries",
    "concepts",
    "neurons",
    "architecture",
    "generation",
)
"""Studies in the ledger's order; the claims of each stand in ``STUDY.toml``."""


@dataclass(frozen=True)
class Claim:
    """Something that was published about neural audio models and can be tested on another.

    Attributes:
        id: ``P1-07`` and the like: how judgements name it.
        statement: What is claimed, in plain words.
        published: The value it was made with and where it stands, as text.
        spec: Items of the method reference that test it.
        analyses: Types of the analyses that speak to it.
        rule: When it passes, beside beating its nulls.
        study: One of :data:`STUDIES`, or "" for a claim that only a result knows of.
    """

    id: str
    statement: str
    published: str = ""
    spec: str = ""
    analyses: tuple[str, ...] = ()
    rule: str = ""
    study: str = ""


@cache
def known_claims() -> tuple[Claim, ...]:
    """Every claim of every study, in order."""
    return tuple(claim for study in STUDIES for claim in _claims_of(study))


def _claims_of(study: str) -> list[Claim]:
    file = files("auscult.claims") / f"{study}.toml"
    told = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return [
        Claim(id=id_, study=study, **{**one, "analyses": tuple(one["analyses"])})
        for id_, one in told.items()
    ]
