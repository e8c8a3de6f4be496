"""The judgements of a made-up run: every verdict, one tap and four, with nulls and without."""

from collections.abc import Mapping, Sequence

TAPS = ("conv.0:in", "conv.0", "block.1", "block.2")


def judgements(analysis: str, hostile: Sequence[str] = ()) -> list[dict[str, object]]:
    """What an analysis of the made-up run says about claims, as ``result.json`` keeps it.

    Args:
        analysis: ``filters``, ``features`` or ``dynamics``; others say something only if hostile.
        hostile: Names that try to be more than a name.
    """
    found = {"filters": _filters, "features": _features, "dynamics": _dynamics}
    told = found[analysis]() if analysis in found else []
    if hostile:
        nulls = {hostile[0]: 0.4, hostile[1]: None, hostile[4]: 0.45}
        told.append(_judgement(hostile[3], "P1-11", hostile[2], 0.5, nulls, reason=hostile[4]))
        told.append(_judgement(hostile[5], hostile[6], hostile[7], None, nulls))
    return told


def _judgement(
    sentence: str,
    claim: str,
    tap: str,
    value: float | None,
    controls: Mapping[str, float | None],
    verdict: str = "holds",
    reason: str = "A rule of the made-up study.",
    name: str = "made-up measure",
    unit: str = "",
    interval: tuple[float, float] | None = None,
) -> dict[str, object]:
    return {
        "sentence": sentence,
        "measurement": {
            "name": name,
            "value": value,
            "unit": unit,
            "controls": dict(controls),
            "interval": None if interval is None else list(interval),
            "published": "",
            "tap": tap,
        },
        "verdict": verdict,
        "reason": reason,
        "claim": claim,
    }


def _filters() -> list[dict[str, object]]:
    return [
        _judgement(
            "A filter of 7 samples at 24,000 Hz cannot tell apart what lies closer than 3.43 kHz.",
            "P1-01",
            "conv.0",
            3428.571,
            {"rectangle at -3 dB": 3037.7, "between its first nulls": 6857.1},
            reason="It follows from the length alone.",
            name="resolution bound",
            unit="Hz",
        )
    ]


def _features() -> list[dict[str, object]]:
    values = (0.97, 0.91)
    nulls = ({"noise": 0.93, "random weights": 0.966}, {"noise": 0.72, "random weights": 0.64})
    verdicts = ("explained by control", "holds")
    return [
        _judgement(
            f"{value:.0%} of the vectors lie within cosine 0.8 of a feature.",
            "P1-02",
            tap,
            value,
            {**null, "another seed": value + 0.005},
            verdict,
            "It holds when coverage exceeds every null by 3 points.",
            "vectors assigned",
            interval=(value - 0.012, value + 0.011),
        )
        for tap, value, null, verdict in zip(TAPS, values, nulls, verdicts, strict=False)
    ]


def _dynamics() -> list[dict[str, object]]:
    counts = (4.0, 19.0, 23.0, 24.0)
    ranks = (4.0, 31.0, 44.0, 58.0)
    noise = (6.0, 47.0, 52.0, 61.0)
    used = [
        _judgement(
            f"{count:.0f} archetypes cover 90 % of the transitions.",
            "P1-07",
            tap,
            count,
            {"principal components": rank, "noise": other, "random weights": count + 1.5},
            "explained by control" if count == rank else "holds",
            "At most 25, and fewer than principal components need.",
            "archetypes that cover 90 %",
            interval=(count - 1, count + 2),
        )
        for tap, count, rank, other in zip(TAPS, counts, ranks, noise, strict=True)
    ]
    errors = [
        _judgement(
            f"Twenty archetypes leave an error of {error:.1g}.",
            "P1-09",
            tap,
            error,
            {"20 principal components": pca, "20 random directions": 0.41},
            "does not hold",
            "The published order of magnitude is 1e-6.",
            "relative squared error",
        )
        for tap, error, pca in zip(TAPS[:2], (3e-13, 4e-3), (1e-14, 9e-4), strict=True)
    ]
    nothing = _judgement(
        "Roughness cannot be compared: the constant input gave no motion.",
        "P1-16",
        "conv.0",
        None,
        {"noise": None},
        "cannot be tested here",
        "Fewer than 20 generators were left.",
        "roughness",
    )
    apart = _judgement(
        "Archetypes are less alike than chance makes them.",
        "P1-08",
        "conv.0",
        0.06,
        {"random vectors of that dimension": 0.19},
        interval=(0.03, 0.11),
        reason="Below chance plus 0.1.",
        name="mean cosine between two archetypes",
    )
    return [*used, *errors, apart, nothing]
