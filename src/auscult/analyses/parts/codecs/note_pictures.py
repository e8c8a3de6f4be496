"""Pictures of interventions on notes: every way at one dose, and each over its doses."""

from auscult.analyses.base import Result
from auscult.analyses.parts.codecs.note_edits import DENOISE, NOISE, OWN
from auscult.blocks import Axis, Block, Curve, Series, Table


def note_pictures(result: Result) -> list[Block]:
    """The table of every way, and dose and response of each."""
    return [_table(result), *(_dose(result, way) for way in result.facts["ways"])]


def _table(result: Result) -> Table:
    columns = (
        "tap and intervention", "dose", "the meant note", "the other note", "the whole sound",
        "isolation", "gap", "gap of the best control",
    )  # fmt: skip
    rows = tuple(tuple(row) for row in result.facts["rows"])
    units = ("", "", "dB", "dB", "dB", "", "dB", "dB")
    return Table("Every intervention at one dose", columns, rows, units)


def _dose(result: Result, way: str) -> Curve:
    """Gap over dose at every tap, controls of the deepest one dashed."""
    taps = result.facts["taps"]
    doses = result.arrays[f"{taps[-1]}/{way}/doses"]
    series = [Series(tap, result.arrays[f"{tap}/{way}/gap/{OWN}"]) for tap in taps]
    start = f"{taps[-1]}/{way}/gap/"
    series += [
        Series(f"{taps[-1]}, {name.removeprefix(start)}", values, control=True)
        for name, values in result.arrays.items()
        if name.startswith(start) and name != start + OWN
    ]
    moved = "rise" if way == NOISE else "drop"
    note = (
        "Doses of a patch are shares of the channels, those first that the note moves most."
        if way in (DENOISE, NOISE)
        else ""
    )
    gap = Axis(f"{moved} of the note beyond the other's", "dB")
    dose = Axis(result.facts["doses"][way])
    return Curve(f"{way[0].upper()}{way[1:]}", doses, tuple(series), dose, gap, note)
