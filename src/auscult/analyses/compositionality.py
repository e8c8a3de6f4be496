"""Are partials, pitches, timbres and chords separable and stable directions of a layer?"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    Analysis,
    Condition,
    Context,
    ControlWeights,
    Judgement,
    MadeSound,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import (
    DRAWN,
    NOTHING_TO_MEASURE,
    OWN,
    Gathered,
    in_turn,
    page,
    untested,
)
from auscult.blocks import Axis, Block, ClipGrid, Curve, Heatmap, Series, Verdict
from auscult.core.config import Config
from auscult.measures.company import (
    CONTEXTS,
    POLYPHONIES,
    Bench,
    Chords,
    InCompany,
    chords,
    partials,
    pitches,
    timbres,
)
from auscult.measures.compositionality import (
    Composed,
    in_company,
    of_chords,
    of_timbres,
    quality_over_roots,
    standardised,
)
from auscult.measures.constant_q import constant_q
from auscult.taps.capture import run_capture

_CONCEPTS = ("partial", "pitch", "timbre", "chord")
_BANK = "log constant-Q (must pass)"
_WEIGHTS: Mapping[str, ControlWeights] = {OWN: "trained", DRAWN: "random"}
_PASSES = 0.3
_MARGIN = 0.1
_NAME = "compositionality of {}, of 1"


class CompositionalityParams(Config):
    """Settings of the compositionality test."""

    seconds: float = Field(1.0, ge=0.2, le=20)
    """Length of each sound; a model that takes clips of one length gets that length."""
    pooling: Literal["mean", "deviation", "both"] = "both"
    """What a sound's vector is: each channel's mean over time, its mean distance from this mean, or
    both. A layer that oscillates with the sound says nothing by its mean."""
    n_draws: int = Field(2, ge=1)
    """Draws of phases, timbres and company for each component."""
    n_mixtures: int = Field(10, ge=2)
    """Mixtures of each number of components, for partials and for pitches."""
    batch: int = Field(16, ge=1)
    """Sounds that go through the model at once."""


@ANALYSES.register("compositionality")
class Compositionality(Analysis):
    """One score a concept: stable in any company, additive, and found in mixtures.

    Every sound is made here, so that its components are known. A part of a score is read beyond
    the same number with components shuffled; a log constant-Q spectrum of the same sounds must
    pass, and the same network with random weights shows what the architecture gives.
    """

    Params: ClassVar[type[Config]] = CompositionalityParams
    title: ClassVar[str] = "Compositionality"
    question: ClassVar[str] = (
        "Are partials, pitches, timbres and chords separable directions that no company changes?"
    )
    source: ClassVar[str] = "METHODS B-6 (Cosme-Clifford, Post 0)"

    @classmethod
    def controls(cls, params: CompositionalityParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Nothing to record: random weights hear the sounds that are made here."""
        return ()

    def run(self, context: Context, params: CompositionalityParams) -> Result:
        """Hear the sounds once under both weights, at every tap, and through the constant-Q."""
        model = context.model()
        n_samples = model.probe_samples or round(params.seconds * model.sample_rate)
        bench = Bench(model.sample_rate, n_samples, context.seed)
        bench.add(np.zeros(n_samples))
        material = {
            "partial": partials(bench, params.n_draws, params.n_mixtures),
            "pitch": pitches(bench, params.n_draws, params.n_mixtures),
            "timbre": timbres(bench),
            "chord": chords(bench, params.n_draws),
        }
        found = Gathered()
        bank = _composed(_through_bank(bench.waves, model.sample_rate), material, context.seed)
        vectors = _heard(context, params, bench.waves)
        for tap in context.taps:
            try:
                told = {
                    name: _composed(vectors[name, tap], material, context.seed) for name in _WEIGHTS
                }
            except NOTHING_TO_MEASURE as error:
                _not_told(tap, str(error), found)
                continue
            _judge(tap, told, bank, found)
        for concept, one in bank[0].items():
            found.arrays[f"polyphony/{concept}/{_BANK}"] = one.polyphony
        sounds = _examples(bench, material)
        found.blocks.append(
            ClipGrid("What was played, for instance", tuple(one.clip() for one in sounds))
        )
        result = found.result({"taps": list(context.taps), "pooling": params.pooling})
        return replace(result, sounds=sounds)

    def view(self, result: Result) -> list[Block]:
        """Findings, scores over depth and concept, components found over polyphony, examples."""
        pictures: list[Block] = []
        if any(np.isfinite(one.value) for one in _scores(result)):
            pictures = [_over_depth(result), _heatmap(result), *_over_polyphony(result)]
        return page(result, _READING.format(result.facts["pooling"]), [*pictures, *result.blocks])


_READING = (
    "A sound is one vector: what a tap says to it, pooled over time ({}), each dimension in its "
    "own standard deviations, silence at the origin. A component is compositional as far as adding "
    "it moves the vector by the same amount in silence, in noise, under a chord and among onsets; "
    "as far as two of them together move it by the sum; and as far as a linear readout that heard "
    "only single components names those of a mixture.\n\nEach part of a score is what it has "
    "beyond shuffled names, 1 is perfect. Timbres have no sum, so theirs has two parts: the same "
    "move at every pitch, and a readout that works at pitches it never heard. Chords are judged as "
    "sums of notes: their quality is no single direction where notes are kept apart, which the "
    "constant-Q spectrum shows."
)


def _through_bank(waves: np.ndarray, sample_rate: int) -> np.ndarray:
    batches = [waves[i : i + 16] for i in range(0, len(waves), 16)]
    return np.concatenate([constant_q(batch, sample_rate)[0].mean(1) for batch in batches])


def _heard(
    context: Context, params: CompositionalityParams, waves: np.ndarray
) -> dict[tuple[str, str], np.ndarray]:
    """Vectors ``[sound d]`` by weights and tap."""
    gathered: dict[tuple[str, str], list[np.ndarray]] = {}
    steps = [(name, start) for name in _WEIGHTS for start in range(0, len(waves), params.batch)]
    for name, start in in_turn(context, steps):
        model = context.model(_WEIGHTS[name])
        batch = torch.from_numpy(waves[start : start + params.batch])
        sound = batch[:, None].expand(-1, model.n_channels, -1).contiguous()
        with torch.no_grad():
            answers = run_capture(model, sound, list(context.taps))
        for tap in context.taps:
            responses = answers[tap]
            inside = responses.time.frames_within(0, waves.shape[1])
            values = responses.values.double()
            whole = range(max(inside.start, 0), min(inside.stop, values.shape[1]))
            values = values[:, whole.start : whole.stop] if len(whole) else values
            gathered.setdefault((name, tap), []).append(_pooled(values, params.pooling))
    return {key: np.concatenate(parts) for key, parts in gathered.items()}


def _pooled(values: torch.Tensor, pooling: str) -> np.ndarray:
    mean = values.mean(1)
    deviation = (values - mean[:, None]).abs().mean(1)
    chosen = {"mean": [mean], "deviation": [deviation], "both": [mean, deviation]}[pooling]
    return np.asarray(torch.cat(chosen, 1).numpy())


def _composed(
    heard: np.ndarray, material: Mapping[str, Any], seed: int
) -> tuple[dict[str, Composed], float]:
    """Every concept of one layer, and how far a chord's quality is one direction."""
    vectors = standardised(heard)
    told: dict[str, Composed] = {}
    for concept, sounds in material.items():
        if isinstance(sounds, InCompany):
            told[concept] = in_company(vectors, sounds, seed)
        elif isinstance(sounds, Chords):
            told[concept] = of_chords(vectors, sounds, seed)
        else:
            told[concept] = of_timbres(vectors, sounds, seed)
    return told, quality_over_roots(vectors, material["chord"]).corrected


def _not_told(tap: str, reason: str, found: Gathered) -> None:
    for concept in _CONCEPTS:
        sentence = f"{tap}: whether {concept}s are separable and stable cannot be told."
        nulls = (_BANK, DRAWN)
        found.add(untested(sentence, reason, "P0-01", _NAME.format(concept), tap, nulls))


def _judge(
    tap: str,
    told: Mapping[str, tuple[dict[str, Composed], float]],
    bank: tuple[dict[str, Composed], float],
    found: Gathered,
) -> None:
    own, random = told[OWN], told[DRAWN]
    for concept in _CONCEPTS:
        one, drawn, best = own[0][concept], random[0][concept], bank[0][concept]
        controls = {_BANK: best.score, DRAWN: drawn.score}
        measured = Measurement(
            _NAME.format(concept), one.score, "", controls, one.interval, tap=tap
        )
        found.add(_judgement(concept, measured))
        for name, part in one.parts.items():
            nulls = {
                "shuffled": part.null,
                DRAWN: drawn.parts[name].value,
                _BANK: best.parts[name].value,
            }
            found.measurements.append(
                Measurement(f"{concept}: {name}", part.value, "", nulls, tap=tap)
            )
        if one.analogy:
            found.measurements += _analogies(tap, concept, one, drawn, best)
        for source, composed in ((OWN, one), (DRAWN, drawn)):
            found.arrays[f"{tap}/polyphony/{concept}/{source}"] = composed.polyphony
        found.arrays[f"chance/{concept}"] = one.chance
    name = "chord quality as one move on every root, beyond shuffled names"
    controls = {DRAWN: random[1], _BANK: bank[1]}
    found.measurements.append(Measurement(name, own[1], "", controls, tap=tap))


def _analogies(
    tap: str, concept: str, one: Composed, drawn: Composed, best: Composed
) -> list[Measurement]:
    """Transposition and readouts in reverse: told beside their controls, in no score."""
    trio = (one.analogy, drawn.analogy, best.analogy)
    moved = [a.cosine.value if a else float("nan") for a in trio]
    right = [a.retrieval if a else float("nan") for a in trio]
    null = one.analogy.cosine.null if one.analogy else float("nan")
    chance = one.analogy.chance if one.analogy else float("nan")
    told = (
        ("transposition as one move, cosine", moved, null),
        ("transposition finds the right item", right, chance),
        (
            "single ones found by a readout of mixtures",
            [c.reverse for c in (one, drawn, best)],
            float(one.chance[0]) / POLYPHONIES[0],
        ),
    )
    return [
        Measurement(
            f"{concept}: {name}",
            values[0],
            "",
            {"shuffled or chance": low, DRAWN: values[1], _BANK: values[2]},
            tap=tap,
        )
        for name, values, low in told
    ]


def _judgement(concept: str, one: Measurement) -> Judgement:
    """The claim is that latents fall short of what composition would give."""
    bank, random = one.controls[_BANK], one.controls[DRAWN]
    highest = one.interval[1] if one.interval else one.value
    short = highest < bank - _MARGIN
    verdict: Verdict = "holds" if short else "does not hold"
    works = bank >= _PASSES
    rule = (
        "The claim is that layers are not compositional, and that this comes with the "
        "architecture: the upper end of the score's interval stays "
        f"{_MARGIN:g} below what a log constant-Q spectrum gets. Random weights tell what training "
        "adds or takes."
    )
    if not works:
        rule += " The constant-Q spectrum itself does not pass: the test says nothing here."
    reaches = "fall short of" if short else "are as separable and stable as in"
    return Judgement(
        f"{one.tap}: {concept}s {reaches} a log constant-Q spectrum: {one.value:.2f} of 1, "
        f"{random:.2f} under random weights.",
        one,
        verdict if works else "cannot be tested here",
        rule,
        "P0-01",
    )


def _scores(result: Result) -> list[Measurement]:
    return [one.measurement for one in result.judgements]


def _table(result: Result) -> dict[str, np.ndarray]:
    """Scores ``[concept tap]`` by source."""
    by = {(one.name, one.tap): one for one in _scores(result)}
    rows = {
        source: [
            [
                by[_NAME.format(concept), tap].value
                if source == OWN
                else by[_NAME.format(concept), tap].controls[source]
                for tap in result.facts["taps"]
            ]
            for concept in _CONCEPTS
        ]
        for source in (OWN, DRAWN, _BANK)
    }
    return {source: np.array(values, dtype=np.float64) for source, values in rows.items()}


def _over_depth(result: Result) -> Curve:
    """Each concept over the taps in order of depth; controls dashed."""
    table, places = _table(result), np.arange(len(result.facts["taps"]), dtype=np.float64)
    bands = {(one.name, one.tap): one.interval for one in _scores(result)}
    series = []
    for i, concept in enumerate(_CONCEPTS):
        ends = [
            bands[_NAME.format(concept), tap] or (np.nan, np.nan) for tap in result.facts["taps"]
        ]
        low, high = np.array(ends, dtype=np.float64).T
        series.append(Series(concept, table[OWN][i], low=low, high=high))
    series += [
        Series(f"{concept}, random weights", table[DRAWN][i], control=True)
        for i, concept in enumerate(_CONCEPTS)
    ]
    note = "Taps: " + ", ".join(f"{i} {tap}" for i, tap in enumerate(result.facts["taps"]))
    axis = Axis("tap, in the order given")
    return Curve("Score over depth", places, tuple(series), axis, Axis("score"), note=note)


def _heatmap(result: Result) -> Heatmap:
    table = _table(result)
    labels = [f"{i}" for i in range(len(result.facts["taps"]))]
    values = np.concatenate([table[OWN], table[_BANK][:, :1]], axis=1)
    rows = "; ".join(f"{i} {concept}" for i, concept in enumerate(_CONCEPTS))
    return Heatmap(
        "Score by concept and tap",
        values,
        np.arange(len(labels) + 1),
        np.arange(len(_CONCEPTS)),
        Axis("tap; the last column is the log constant-Q spectrum"),
        Axis("concept"),
        Axis("score"),
        note=f"Concepts: {rows}.",
    )


def _over_polyphony(result: Result) -> list[Curve]:
    curves = []
    for concept in ("partial", "pitch"):
        taps = [
            tap
            for tap in result.facts["taps"]
            if f"{tap}/polyphony/{concept}/{OWN}" in result.arrays
        ]
        own = [Series(t, result.arrays[f"{t}/polyphony/{concept}/{OWN}"]) for t in taps]
        last = f"{taps[-1]}/polyphony/{concept}/{DRAWN}"
        controls = {
            f"{taps[-1]}, random weights": result.arrays[last],
            _BANK: result.arrays[f"polyphony/{concept}/{_BANK}"],
            "chance": result.arrays[f"chance/{concept}"],
        }
        dashed = [Series(name, y, control=True) for name, y in controls.items()]
        curves.append(
            Curve(
                f"{concept.capitalize()}s of a mixture found by a readout of single ones",
                np.array(POLYPHONIES, dtype=np.float64),
                (*own, *dashed),
                Axis(f"{concept}s that sound at once"),
                Axis("share found"),
            )
        )
    return curves


def _examples(bench: Bench, material: Mapping[str, Any]) -> tuple[MadeSound, ...]:
    """A note in each company, a mixture of four, and a chord."""
    notes: InCompany = material["pitch"]
    rows = [
        (f"a note: {company}", int(notes.joined[0, c, 0])) for c, company in enumerate(CONTEXTS)
    ]
    rows.append(("four notes", int(notes.mixed[notes.present.sum(1) == 4][0])))
    rows.append(("a chord", int(material["chord"].rows[0, 0])))
    return tuple(MadeSound(bench.sounds[row], bench.sample_rate, label) for label, row in rows)
