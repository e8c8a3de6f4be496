"""Addresses of taps: ``path[:in|out|codes][@call]``, globs over role names and module paths."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from torch import nn

from auscult.core.errors import TapError, UnknownNameError
from auscult.models.base import AudioModel, Side, Tap
from auscult.models.patterns import is_glob, matches, natural_key

Call = int | Literal["*"] | None

_GRAMMAR = re.compile(r"(?P<path>[^:@\s]*)(?::(?P<side>[a-z]+))?(?:@(?P<call>\d+|\*))?")
_SILENT_KINDS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


@dataclass(frozen=True)
class TapPoint:
    """Where to read or edit.

    Attributes:
        path: A role (``conv.0``, ``rvq.2``), a module path, or a glob over either.
        side: What comes in, what goes out, or a quantiser's indices.
        call: Which of a module's calls within a pass, counted from 0; ``"*"`` for all of them,
            their frames one after another; None for the only one.
    """

    path: str
    side: Side = "out"
    call: Call = None

    @classmethod
    def parse(cls, text: str) -> "TapPoint":
        """Read an address.

        >>> TapPoint.parse("conv.0:in@2")
        TapPoint(path='conv.0', side='in', call=2)

        Raises:
            TapError: It is not of the form ``path[:in|out|codes][@call]``.
        """
        found = _GRAMMAR.fullmatch(text.strip())
        if found is None or not found["path"] or found["side"] not in (None, "in", "out", "codes"):
            raise TapError(
                f"{text!r} is no tap: write path, path:in, path:out or path:codes, "
                f"and @0, @1, … or @* behind it for a module that is called several times"
            )
        call: Call = (
            int(found["call"]) if (found["call"] or "*") != "*" else cast(Call, found["call"])
        )
        return cls(found["path"], cast(Side, found["side"] or "out"), call)

    def __str__(self) -> str:
        """Write the address as it is parsed; ``out`` goes without saying."""
        side = "" if self.side == "out" else f":{self.side}"
        return f"{self.path}{side}" + ("" if self.call is None else f"@{self.call}")


@dataclass(frozen=True)
class ResolvedTap:
    """An address without globs, and the tap it leads to."""

    point: TapPoint
    tap: Tap

    @property
    def address(self) -> str:
        """The address as text."""
        return str(self.point)


def resolve(model: AudioModel, patterns: Iterable[str | TapPoint]) -> list[ResolvedTap]:
    """Find the taps that addresses and globs name, naturally sorted within a glob, none twice.

    A role wins over a module path of the same name. A glob over module paths leaves out what
    nothing ever calls (lists of modules, parametrisations); an explicit address does not, and
    raises when it is captured.

    Raises:
        UnknownNameError: An address or glob names nothing; the nearest names are listed.
    """
    return resolve_among(model, model.taps(), patterns)


def resolve_among(
    model: AudioModel, taps: Sequence[Tap], patterns: Iterable[str | TapPoint]
) -> list[ResolvedTap]:
    """As :func:`resolve`, where other taps than those of hearing have roles.

    Raises:
        UnknownNameError: An address or glob names nothing; the nearest names are listed.
    """
    if isinstance(patterns, str | TapPoint):
        patterns = [patterns]
    roles = {tap.role: tap for tap in taps if tap.role}
    paths = {tap.path: tap for tap in taps if tap.path and not tap.methods}
    by_path = {tap.path: tap for tap in taps if tap.path} | paths
    modules = {path: module for path, module in model.module.named_modules() if path}
    found: dict[str, ResolvedTap] = {}
    for pattern in patterns:
        point = pattern if isinstance(pattern, TapPoint) else TapPoint.parse(pattern)
        names = _names(point.path, roles, modules)
        if not names:
            raise UnknownNameError(f"tap of {model.name}", point.path, [*roles, *modules])
        for name in names:
            tap = roles.get(name) or by_path.get(name) or Tap(name)
            one = ResolvedTap(replace(point, path=name), tap)
            found.setdefault(one.address, one)
    return list(found.values())


def resolve_one(model: AudioModel, pattern: str | TapPoint) -> ResolvedTap:
    """Find the one tap that an address names.

    Raises:
        TapError: A glob that names several.
        UnknownNameError: It names nothing.
    """
    found = resolve(model, [pattern])
    if len(found) > 1:
        listed = ", ".join(one.address for one in found[:4])
        raise TapError(f"{pattern} names {len(found)} taps ({listed}, …) where one is needed")
    return found[0]


def _names(pattern: str, roles: dict[str, Tap], modules: dict[str, nn.Module]) -> Sequence[str]:
    if not is_glob(pattern):
        return [pattern] if pattern in roles or pattern in modules else []
    by_role = [role for role in roles if matches(pattern, role)]
    known = {roles[role].path for role in by_role}
    by_path = [
        path
        for path, module in modules.items()
        if path not in roles
        and path not in known
        and matches(pattern, path)
        and not _never_fires(path, module)
    ]
    return sorted([*by_role, *by_path], key=natural_key)


def _never_fires(path: str, module: nn.Module) -> bool:
    return isinstance(module, _SILENT_KINDS) or "parametrizations" in path.split(".")
