"""The published claims, as ``claims.toml`` tells them."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


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
    """

    id: str
    statement: str
    published: str = ""
    spec: str = ""
    analyses: tuple[str, ...] = ()
    rule: str = ""


@cache
def known_claims() -> tuple[Claim, ...]:
    """Every claim of the ledger, in order."""
    text = (files("auscult.claims") / "claims.toml").read_text(encoding="utf-8")
    return tuple(
        Claim(id=id_, **{**told, "analyses": tuple(told["analyses"])})
        for id_, told in tomllib.loads(text).items()
    )
