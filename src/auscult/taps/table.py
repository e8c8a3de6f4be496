"""What each tap of a model is: a table for people, and a receipt for the manifest."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from auscult.core.errors import TapError, UserError
from auscult.core.manifest import package_version
from auscult.core.responses import Responses
from auscult.core.timebase import TimeBase
from auscult.models.base import AudioModel, Side
from auscult.models.stimulus import harmonic_noise
from auscult.taps.capture import run_capture
from auscult.taps.point import ResolvedTap, TapPoint, resolve, resolve_one
from auscult.taps.probe import timing, verify_time_base


@dataclass(frozen=True)
class TapRow:
    """One row of the table of taps.

    Attributes:
        address: What to write in a spec.
        path: Module path.
        kind: Class of the module.
        shape: Of the responses to the probe sound, ``(frame, d_in)``; () when it cannot be read.
        time: Where its frames lie; None when it cannot be read.
        verified: What the input gradient says of the declared time base, or why there is none.
    """

    address: str
    path: str
    kind: str
    shape: tuple[int, ...]
    time: TimeBase | None
    verified: str

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        if self.time is None:
            return (self.address, self.path, self.kind, "-", "-", "-", "-", "-", self.verified)
        time = self.time
        heard = "whole clip" if time.global_ else "all before" if time.unbounded_past else ""
        causal = "causal" if time.causal else "looks ahead"
        places = (str(time.hop), str(time.span), f"{float(time.frame_rate):g}")
        if time.global_ and self.shape[:1] == (1,):
            places = ("clip", "clip", "one a clip")
        return (
            self.address,
            self.path,
            self.kind,
            " x ".join(str(size) for size in self.shape),
            *places,
            heard or causal,
            self.verified,
        )

    def to_json(self) -> dict[str, Any]:
        """The row as plain data."""
        return {
            "address": self.address,
            "path": self.path,
            "kind": self.kind,
            "shape": list(self.shape),
            "time": None if self.time is None else self.time.to_json(),
            "verified": self.verified,
        }


@dataclass(frozen=True)
class Receipt:
    """Proof of which layer an address meant: "final layer" can never come to mean layer 6.

    Attributes:
        address: As in the spec.
        path: Module path that it resolved to.
        kind: Class of that module.
        library: Package that the class comes from, and its version.
        layout: Order of axes that its family declares, or "judged by kind".
        call: Which call of the module, or "only".
        shape: Of the responses to the probe, ``(frame, d_in)``.
        digest: SHA-256 of the float32 responses to the fixed probe sound.
    """

    address: str
    path: str
    kind: str
    library: str
    layout: str
    call: str
    shape: tuple[int, ...]
    digest: str


def tap_table(model: AudioModel, pattern: str = "*", verify: bool = True) -> list[TapRow]:
    """Describe every tap that a pattern names; with ``*`` those that the family lists.

    A tap that cannot be read has a row that says why: nothing is passed over.

    Raises:
        UnknownNameError: The pattern names nothing.
    """
    return [_row(model, tap, verify) for tap in _listed(model, pattern)]


def receipt(model: AudioModel, point: str | TapPoint) -> Receipt:
    """Run the fixed probe sound through a model and say what an address stands for.

    Raises:
        TapError: The tap cannot be read.
    """
    tap = resolve_one(model, point)
    heard = _heard(model, tap).values
    module = model.module.get_submodule(tap.tap.path)
    package = type(module).__module__.partition(".")[0]
    values = heard.detach().cpu().to(torch.float32).contiguous().numpy()
    return Receipt(
        tap.address,
        tap.tap.path,
        type(module).__name__,
        f"{package} {package_version(package)}",
        str(tap.tap.layout or "judged by kind"),
        "only" if tap.point.call is None else str(tap.point.call),
        tuple(heard.shape[1:]),
        hashlib.sha256(values.tobytes()).hexdigest(),
    )


def _listed(model: AudioModel, pattern: str) -> Iterator[ResolvedTap]:
    if pattern != "*":
        yield from resolve(model, [pattern])
        return
    for tap in model.taps():
        sides: list[Side] = ["codes"] if set(tap.methods) == {"codes"} else ["out"]
        for side in [*sides, *(s for s in tap.methods if s not in sides)]:
            yield ResolvedTap(TapPoint(tap.role or tap.path, side), tap)


def _row(model: AudioModel, tap: ResolvedTap, verify: bool) -> TapRow:
    kind = type(model.module.get_submodule(tap.tap.path)).__name__.removeprefix("Parametrized")
    try:
        shape = tuple(_heard(model, tap).values.shape[1:]) if not tap.tap.decodes else ()
        found = timing(model, tap)
        said = _verified(model, tap) if found.declared and verify else ""
        said = said or ("declared" if found.declared else "measured")
        folded = ", folded frames" if found.folded else ""
        return TapRow(tap.address, tap.tap.path, kind, shape, found.time, said + folded)
    except UserError as error:
        return TapRow(tap.address, tap.tap.path, kind, (), None, str(error))


def _verified(model: AudioModel, tap: ResolvedTap) -> str:
    try:
        checked = verify_time_base(model, tap.point)
    except TapError:
        return "declared, not measurable"
    if checked.equal:
        return "yes"
    return "yes, within" if checked.contains else "NO"


def _heard(model: AudioModel, tap: ResolvedTap) -> Responses:
    n_samples = model.probe_samples or model.sample_rate
    sound = harmonic_noise(model.sample_rate, model.n_channels, n_samples)
    heard = run_capture(model, sound, [tap.point])
    if not heard:
        raise TapError(f"{tap.address} said nothing")
    return next(iter(heard.values()))
