"""What the page of a steering audit shows, in order."""

from collections.abc import Callable, Sequence

import numpy as np

from auscult.analyses.parts.steering.audit import Answer
from auscult.analyses.parts.steering.desk import desk_blocks
from auscult.analyses.parts.steering.local import composed_blocks, local_blocks
from auscult.analyses.parts.steering.shown import Made, Shown
from auscult.blocks import Axis, Block, Curve, Heatmap, Series, SmallMultiples, Table
from auscult.interventions.ways import WORDS
from auscult.measures.draws import edge_words
from auscult.measures.steering import monotonicity, saturation


def blocks_of(shown: Shown, n_heard: int, advance: Callable[[float], None]) -> Made:
    """The desk first, then tables and pictures."""
    made = Made()
    made.blocks += desk_blocks(shown, made, n_heard)
    made.blocks += [*_passes(shown.answers, shown.concepts), *_leakage(shown)]
    made.blocks += [_doses(shown), _quality(shown)]
    advance(0.95)
    made.blocks += local_blocks(shown, made)
    made.blocks += composed_blocks(shown)
    return made


def _passes(answers: Sequence[Answer], concepts: Sequence[str]) -> list[Block]:
    rows, more = [], []
    for one in answers:
        trial = one.trial
        worst = max(trial.quality, key=lambda name: trial.quality[name] - trial.bounds[name])
        verdict, why = trial.judged()
        what = (concepts[one.which], one.sign, WORDS[one.way], one.dose)
        rows.append(
            (*what, verdict, trial.effect, trial.band, trial.isolation, *trial.isolated,
             trial.quality[worst], trial.bounds[worst], why)
        )  # fmt: skip
        more.append(
            (*what, *trial.interval, one.shuffled, *one.hits,
             monotonicity(np.array([0.0, *one.doses]), _with_zero(one)),
             saturation(np.array(one.doses), one.effects[:, one.which]), one.requantised)
        )  # fmt: skip
    columns = ("concept", "towards", "way", "strength")
    edge = edge_words(min(one.trial.n_draws for one in answers))
    judged = (
        "verdict", "effect", edge, "isolation", "from", "to", "distance", "bound", "why",
    )  # fmt: skip
    counted = (
        "from", "to", "shuffled labels", "target hit", "target hit at 0", "monotonicity",
        "saturates at", "re-quantised",
    )  # fmt: skip
    return [
        Table(
            "What passes, and why not",
            (*columns, *judged),
            tuple(rows),
            (*[""] * 5, "s.d.", "s.d.", *[""] * 6),
            "Effects are positive towards what was asked for; isolation with its 95 % interval "
            "over recordings. The distance is that of the embedding which comes nearest to its "
            "bound, or is furthest beyond it.",
        ),
        Table(
            "More about each effect",
            (*columns, *counted),
            tuple(more),
            (*[""] * 4, "s.d.", "s.d.", "s.d.", *[""] * 4, "s.d."),
            "95 % interval over recordings; effect of a vector of shuffled labels; share of frames "
            "in the corpus's outer quarter of the concept, with the control and without; mean rank "
            "correlation of strength and change over clips; the strength at which 90 % of the "
            "largest effect is reached (∞: not before the last); effect through the quantiser.",
            folded=True,
        ),
    ]


def _with_zero(answer: Answer) -> np.ndarray:
    own = answer.side * answer.moved[:, :, answer.which]
    return np.concatenate([np.where(np.isfinite(own[:1]), 0.0, np.nan), own])


def _leakage(shown: Shown) -> list[Block]:
    found: list[Block] = []
    published = [one for one in shown.answers if one.way == "published"]
    measured = tuple(shown.concepts)
    for title, some in (
        ("What moved when a concept was moved, best way of each", shown.best),
        ("What moved when a concept was moved as published", published),
    ):
        if some:
            values = np.stack([one.effects[one.chosen] for one in some])
            found.append(
                Heatmap(
                    title,
                    values,
                    np.arange(float(len(measured))),
                    np.arange(float(len(some))),
                    Axis("measured"),
                    Axis("moved"),
                    Axis("change", "s.d."),
                    "diverging",
                    "At the strength that calibration chose. The diagonal is what was asked for, "
                    "the rest is leakage.",
                    measured,
                    tuple(f"{one.vector.name} × {one.dose:g}" for one in some),
                )
            )
    return found


def _doses(shown: Shown) -> SmallMultiples:
    """Effect over how far vectors moved, less to the left and more to the right."""
    found: list[Curve] = []
    fewest = min(one.trial.n_draws for one in shown.answers)
    for which, concept in enumerate(shown.concepts):
        series = []
        ways = dict.fromkeys(a.way for a in shown.answers if a.which == which)
        for way in ways:
            x, y, low, high = [0.0], [0.0], [0.0], [0.0]
            for sign in ("less", "more"):
                one = shown.of(which, sign, way)
                if one is None:
                    continue
                x += (one.side * one.displacement).tolist()
                y += one.effects[:, which].tolist()
                band = one.band
                low += (-band[:, which]).tolist()
                high += band[:, which].tolist()
            order = np.argsort(x, kind="stable")
            xs, ys = np.array(x)[order], np.array(y)[order]
            series.append(Series(WORDS[way], ys, xs))
            edges = np.array(low)[order], np.array(high)[order]
            if way in ("published", "held"):
                name = f"random, {'as published' if way == 'published' else 'of responses'}"
                series.append(Series(name, np.zeros(len(xs)), xs, *edges, control=True))
        found.append(
            Curve(
                concept,
                np.zeros(0),
                tuple(series),
                Axis("vectors moved, less or more", "of their spread"),
                Axis(f"change of {concept}", "s.d."),
            )
        )
    return SmallMultiples(
        "Dose and response",
        tuple(found),
        f"Bands: {edge_words(fewest)} of the same length and rule, of the kind that moves the "
        "concept furthest.",
    )


def _quality(shown: Shown) -> Table:
    names = list(shown.audit.bounds("test"))
    columns = (
        "control", "strength", *(f"kernel, {name}" for name in names),
        *(f"Fréchet, {name}" for name in names), "SI-SDR", "log spectrum", "clipping", "DC",
    )  # fmt: skip
    units = ("", "", *[""] * 2 * len(names), "dB", "", "", "")
    audit = shown.audit
    plain, original = audit.zero("test", "means").sounds, audit.test.original.sounds
    rows: list[tuple[str | float, ...]] = []
    for label, sounds in (("original", original), ("round trip, α = 0", plain)):
        kernel = audit.quality.distances(sounds, plain)
        frechet = audit.quality.frechet(sounds, plain, audit.rng("frechet"))
        rows.append((label, 0.0, *kernel.values(), *frechet.values(), *[float("nan")] * 4))
    rows.append(
        ("bound", float("nan"), *audit.bounds("test").values(), *[float("nan")] * (4 + len(names)))
    )
    for one in shown.answers:
        told = one.figures
        rows.append(
            (
                one.vector.name,
                one.dose,
                *(one.trial.quality[name] for name in names),
                *(told[f"frechet {name}"] for name in names),
                told["si_sdr_db"],
                told["log_spectrum"],
                told["clipping"],
                told["standing"],
            )
        )
    note = (
        "Kernel distances (× 100) and Fréchet distances, extrapolated to infinitely many sounds, "
        "are from other recordings of the corpus, at equal level. SI-SDR and the log spectrum "
        "compare each version with the same clip at strength 0."
    )
    title = "Quality at the strength that was chosen"
    return Table(title, columns, tuple(rows), units, note, folded=True)
