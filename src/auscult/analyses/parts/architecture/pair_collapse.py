"""What two partials at once say of collapse: numbers, judgements and pictures for its page."""

from collections.abc import Mapping, Sequence

import numpy as np

from auscult.analyses.base import Judgement, Measurement
from auscult.analyses.parts.answering import DRAWN
from auscult.analyses.parts.architecture.stage_pictures import over_stages
from auscult.blocks import Axis, Block, Scatter, Series, Verdict
from auscult.core.rng import named_rng
from auscult.measures.collapse import correlation
from auscult.measures.pairs import PairsHeard, agreement
from auscult.measures.stages import Stage
from auscult.measures.statistics import bootstrap_interval

_OTHER = "strides of another stage"
_MET, _APART = "lines meet", "lines apart"
_FEWEST = 4
PREFIX = "pairs/"


def judged_pairs(
    own: PairsHeard, drawn: PairsHeard, stages: Sequence[Stage], least_cosine: float, seed: int
) -> tuple[Judgement, Judgement, list[Measurement]]:
    """Whether lines meet as foretold, how many of those that meet are lost for good, and more."""
    strided = np.array([stage.time.hop > 1 for stage in stages])
    tap = stages[-1].address
    return (
        _meetings(own, drawn, strided, tap, seed),
        _losses(own, drawn, strided, tap, least_cosine, seed),
        _more(own, drawn, strided, tap),
    )


def _meetings(
    own: PairsHeard, drawn: PairsHeard, strided: np.ndarray, tap: str, seed: int
) -> Judgement:
    rows, others = strided[own.stage], strided[drawn.stage]
    foretold, met = own.foretold[rows], own.met[rows]
    value, wrong = agreement(foretold, met), agreement(own.wrong[rows], met)
    random = agreement(drawn.foretold[others], drawn.met[others])
    interval = bootstrap_interval(
        lambda some: agreement(foretold[some], met[some]),
        own.pair[rows],
        named_rng(seed, "collapse", "pairs", "interval"),
        300,
    )
    one = Measurement(
        "pairs of partials: balanced accuracy of foretold meetings of lines",
        value,
        "",
        {_OTHER: wrong, "knowing nothing": 0.5, f"positive control: {DRAWN}": random},
        interval,
        tap=tap,
    )
    known = np.isfinite(value)
    verdict: Verdict = "holds" if value > 0.9 and interval[0] > wrong else "does not hold"
    return Judgement(
        f"Played together, the lines of two partials meet where strides and spans say so: "
        f"{value:.0%} right over {int(rows.sum())} pairs at a stage ({wrong:.0%} by another "
        "stage's strides).",
        one,
        verdict if known else "cannot be tested here",
        "Balanced accuracy; it holds above 0.9, with its interval over pairs above what another "
        "stage's strides foretell.",
    )


def _losses(
    own: PairsHeard,
    drawn: PairsHeard,
    strided: np.ndarray,
    tap: str,
    least_cosine: float,
    seed: int,
) -> Judgement:
    def rate(of: PairsHeard) -> float:
        met = of.met & strided[of.stage]
        return float(of.lost(least_cosine)[met].mean()) if met.any() else float("nan")

    met = own.met & strided[own.stage]
    lost, value, random = own.lost(least_cosine)[met], rate(own), rate(drawn)
    apart = ~own.met & strided[own.stage]
    alike = float((own.cosine[apart] > least_cosine).mean()) if apart.any() else float("nan")
    enough = met.sum() >= _FEWEST
    interval = (
        bootstrap_interval(
            lost.astype(np.float64),
            own.pair[met],
            named_rng(seed, "collapse", "pairs", "lost"),
            300,
        )
        if enough
        else None
    )
    alone = own.met & (own.cosine_alone > least_cosine)
    one = Measurement(
        "pairs of partials: share of those whose lines meet that lose their identity",
        value,
        "",
        {
            DRAWN: random,
            "foretold from each alone": float(alone[met].mean()) if met.any() else float("nan"),
            "as alike, of pairs whose lines keep apart": alike,
        },
        interval,
        tap=tap,
    )
    same = abs(value - random) <= 0.05
    verdict: Verdict = "explained by control" if same else "does not hold"
    if not enough or not np.isfinite(random):
        verdict = "cannot be tested here"
    elif value > random + 0.05:
        verdict = "holds"
    return Judgement(
        f"Of {int(met.sum())} meetings of two lines {value:.0%} are losses of identity: no channel "
        f"parts the two partials ({random:.0%} with random weights).",
        one,
        verdict,
        "It holds when more is lost than random weights lose, by 5 points; equal losses are the "
        "architecture's.",
    )


def _more(own: PairsHeard, drawn: PairsHeard, strided: np.ndarray, tap: str) -> list[Measurement]:
    """What tones played one at a time say of pairs."""

    def told(of: PairsHeard, name: str) -> float:
        rows = strided[of.stage] & np.isfinite(of.cosine)
        if name == "kept":
            return float(np.nanmean(of.kept[rows])) if rows.any() else float("nan")
        return correlation(of.cosine_alone[rows], of.cosine[rows])

    names = {
        "kept": "pairs of partials: |cos| of a pattern alone and in company",
        "likeness": "pairs of partials: correlation of |cos| between patterns, alone and together",
    }
    return [
        Measurement(name, told(own, key), "", {DRAWN: told(drawn, key)}, tap=tap)
        for key, name in names.items()
    ]


def pair_arrays(own: PairsHeard) -> dict[str, np.ndarray]:
    """For the page."""
    return {PREFIX + name: getattr(own, name) for name in PairsHeard.__dataclass_fields__}


def pair_pictures(
    arrays: Mapping[str, np.ndarray], stages: Sequence[Stage], least_cosine: float
) -> list[Block]:
    """Likeness of patterns alone and together, and meetings and losses over depth."""
    if PREFIX + "pair" not in arrays:
        return []
    own = PairsHeard(**{n: arrays[PREFIX + n] for n in PairsHeard.__dataclass_fields__})

    def over(values: np.ndarray) -> np.ndarray:
        places = range(len(stages))
        return np.array([values[own.stage == i].mean() if np.any(own.stage == i) else np.nan
                         for i in places], dtype=np.float64)  # fmt: skip

    strided = np.array([stage.time.hop > 1 for stage in stages])[own.stage]
    depth = over_stages(
        "Two partials at once, over depth",
        stages,
        (
            Series("lines meet", over(own.met)),
            Series("identity lost", over(own.lost(least_cosine))),
            Series("meetings foretold", over(own.foretold), control=True),
        ),
        Axis("share of pairs"),
    )
    likeness = Scatter(
        "Two partials at once: likeness of their channel patterns",
        own.cosine_alone[strided],
        own.cosine[strided],
        Axis("|cos| of both played alone"),
        Axis("|cos| of both played together"),
        tuple(
            f"pair {p + 1} at {stages[s].address}"
            for p, s in zip(own.pair[strided], own.stage[strided], strict=True)
        ),
        tuple(_MET if m else _APART for m in own.met[strided]),
        f"Where lines meet and |cos| exceeds {least_cosine:g}, identity is lost.",
        diagonal=True,
    )
    return [depth, likeness]
