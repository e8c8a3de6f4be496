"""What does each feature answer to? A browser over features.

Bars, sounds, spectra, activation over a clip.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    BASE,
    Analysis,
    Condition,
    Context,
    Judgement,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import NOTHING_TO_MEASURE, Gathered, page, verdict_of
from auscult.analyses.parts.cards import (
    Corpus,
    Places,
    fragment_clips,
    fragment_shapes,
    fragment_spectrum,
)
from auscult.analyses.parts.reading import chosen_dictionary, pooled, sample
from auscult.blocks import Axis, Bars, Block, Gallery, GalleryItem, Lanes, Missing, Text
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.measures.geometry import nearest_atom
from auscult.measures.statistics import auc, bootstrap_band
from auscult.measures.windows import FragmentMeasures, fragment_measures, pick_top

_SHAPES = ("slope", "curvature", "crest_factor", "energy_change_db")


class FragmentParams(Config):
    """Settings of the browser over features."""

    dictionary: str | None = None
    """Which dictionary; none: the first one fitted to response vectors."""
    n_shown: int = Field(64, ge=1)
    """Features shown at each tap, the most used ones."""
    n_fragments: int = Field(6, ge=2)
    """Fragments to hear for a feature, at most one a recording, and as many random ones."""
    n_compared: int = Field(150, ge=20)
    """Top fragments whose shape is compared with random ones."""
    context_s: float = Field(0.25, gt=0)
    """Sound kept on both sides of a fragment that is played."""
    spectrum_samples: int = Field(4096, ge=256)
    """Window of the spectra; a fragment itself is too short to resolve anything."""
    threshold: float = 0.8
    """Cosine from which a vector counts as assigned, for the mean deviation."""
    most_vectors: int = Field(60_000, ge=100)
    """Vectors looked at."""


@dataclass(frozen=True)
class _Heard:
    """What one tap's features are read from."""

    tap: str
    places: Places
    acts: Float[np.ndarray, "n m"]
    nearest: Int[np.ndarray, " n"]
    dictionary: Dictionary
    random_rows: Int[np.ndarray, " k"]
    corpus: Corpus


@ANALYSES.register("fragments")
class Fragments(Analysis):
    """A browser over a dictionary's features.

    Deviations, top and random fragments, spectra, activation maps.

    Shapes of the top fragments are compared with random windows of the same recordings by the area
    under the ROC curve: 0.5 is what a feature without a preference would give.
    """

    Params: ClassVar[type[Config]] = FragmentParams
    title: ClassVar[str] = "What each feature answers to"
    question: ClassVar[str] = (
        "Which sounds make a feature speak, and are their shapes other than those of random "
        "fragments?"
    )
    source: ClassVar[str] = "METHODS A-5, A-6 (Cosme-Clifford, Post 1, Fig. 2 and 3)"
    version: ClassVar[int] = 2

    @classmethod
    def controls(cls, params: FragmentParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None to be recorded: random fragments are drawn from the same sounds."""
        return ()

    def run(self, context: Context, params: FragmentParams) -> Result:
        """Build a card for the most used features of every recorded tap."""
        name = chosen_dictionary(context, params.dictionary)
        gathered = Gathered()
        for step, tap in enumerate(context.taps):
            share = 1 / len(context.taps)
            try:
                one, shown = _tap(context, params, name, tap, (step * share, share))
                judged = _judgement(one)
            except NOTHING_TO_MEASURE as error:
                one, shown = _selective(tap, [], []), []
                judged = _judgement(one, str(error))
            gathered.add(judged)
            gathered.blocks += shown
        return gathered.result({"taps": list(context.taps), "dictionary": name})

    def view(self, result: Result) -> list[Block]:
        """A finding a tap, then the browsers."""
        return page(result, _READING, result.blocks)


def _tap(
    context: Context, params: FragmentParams, name: str, tap: str, done: tuple[float, float]
) -> tuple[Measurement, list[Block]]:
    """How selective a tap's features are, and their browser."""
    heard = _listen(context, params, name, tap)
    order = np.argsort(-(heard.acts != 0).mean(0), kind="stable")[: params.n_shown]
    lanes = _lanes(context, heard, order)
    items, areas, shuffled = [], [], []
    for place, feature in enumerate(order.tolist(), 1):
        item, area, null = _card(context, params, heard, feature, lanes)
        items.append(item)
        if np.count_nonzero(heard.acts[:, feature]) >= params.n_compared:
            areas.append(area)
            shuffled.append(null)
        context.advance(done[0] + done[1] * place / len(order))
    gallery = Gallery(f"Features of {tap} (P1, Fig. 2 and 3)", tuple(items), _UNITS, "usage", _NOTE)
    return _selective(tap, areas, shuffled), [_overview(heard, lanes), gallery]


_READING = (
    "Each card holds one feature: the mean deviation of its vectors from all (P1, Fig. 2a), the "
    "waveforms of its strongest fragments beside random ones (Fig. 2b), the same to hear, and the "
    "spectrum around them (Fig. 3). What the strongest fragments of any direction look like says "
    "little by itself: look at the random ones first."
)
_UNITS = {
    "usage": "share of frames",
    "cosine": "of atom and mean deviation",
    "slope": "AUC",
    "curvature": "AUC",
    "crest factor": "AUC",
    "energy change": "AUC",
    "level": "dB re corpus peak",
}
_NOTE = (
    "Usage is the share of frames at which the feature is on. The four AUC columns compare the "
    "shape of its strongest "
    "fragments with random ones: 0.5 is no preference, near 1 higher, near 0 lower. Clips play at "
    "equal loudness."
)


def _listen(context: Context, params: FragmentParams, name: str, tap: str) -> _Heard:
    dictionary = context.dictionaries(name, tap)[0]
    own = sample(context.store(tap, BASE, "test"), params.most_vectors)
    if len(own.values) < 2:
        raise NothingToMeasureError(
            f"{tap} has too few vectors on the test side: record more frames"
        )
    with torch.no_grad():
        acts = dictionary.encode(torch.from_numpy(own.values)).numpy()
        atoms = dictionary.atoms.numpy()
    about = own.values - dictionary.preprocess.mean.numpy()
    nearest, cosine = nearest_atom(about, atoms, dictionary.signed)
    rng = named_rng(context.seed, "fragments", tap)
    rows = rng.choice(len(own.values), min(len(own.values), 4 * params.n_compared), replace=False)
    sound = lru_cache(maxsize=2048)(lambda clip_id: context.sound(clip_id).waveform)
    places = Places(own, context.time(tap), sound)
    corpus = Corpus.around(places, rows, params.spectrum_samples)
    assigned = np.where(cosine >= params.threshold, nearest, -1)
    return _Heard(tap, places, acts, assigned, dictionary, rows, corpus)


def _card(
    context: Context,
    params: FragmentParams,
    heard: _Heard,
    feature: int,
    lanes: Mapping[str, Any],
) -> tuple[GalleryItem, float, float]:
    """One feature's card, how selective the shapes of its fragments are, and of random ones."""
    own, acts = heard.places.own, heard.acts[:, feature]
    distance = float(heard.places.time.span / heard.places.time.hop)
    scores = np.where(acts != 0, np.abs(acts), np.nan)
    where = (scores, own.clip_ids, own.recording_ids, own.frames)
    few = pick_top(*where, params.n_fragments, 1, distance)
    many = pick_top(*where, params.n_compared, params.n_compared, distance)
    rng = named_rng(context.seed, "fragments", heard.tap, feature)
    areas = _areas(heard, many)
    null = _areas(heard, rng.choice(len(acts), max(len(many), 2), replace=False))
    deviation, low, high, agreement = _deviation(heard, feature, rng)
    spectrum, level_db = fragment_spectrum(heard.places, many, heard.corpus)
    random = rng.permutation(heard.random_rows)[: params.n_fragments]
    blocks: list[Block] = [
        _bars(deviation, low, high, agreement),
        fragment_shapes(heard.places, few, random),
        fragment_clips(context, heard.places, few, "Strongest fragments", params.context_s),
        fragment_clips(
            context, heard.places, random, "Random fragments (control)", params.context_s
        ),
        spectrum,
    ]
    if str(feature) in lanes:
        blocks.append(lanes[str(feature)])
    measures = {
        "usage": float(np.mean(acts != 0)),
        "cosine": agreement,
        "slope": areas["slope"],
        "curvature": areas["curvature"],
        "crest factor": areas["crest_factor"],
        "energy change": areas["energy_change_db"],
        "level": level_db,
    }
    selective = max(abs(area - 0.5) for area in areas.values())
    chance = max(abs(area - 0.5) for area in null.values())
    return GalleryItem(f"{feature}", measures, tuple(blocks)), selective, chance


def _areas(heard: _Heard, rows: Int[np.ndarray, " k"]) -> dict[str, float]:
    """AUC of each shape measure, top fragments against random ones (METHODS A-6)."""
    if len(rows) < 2:
        return dict.fromkeys(_SHAPES, 0.5)
    top, random = (_measures(heard, which) for which in (rows, heard.random_rows))
    found = {}
    for name in _SHAPES:
        a, b = getattr(top, name), getattr(random, name)
        a, b = a[np.isfinite(a)], b[np.isfinite(b)]
        found[name] = float(auc(a, b)) if len(a) and len(b) else 0.5
    return found


def _measures(heard: _Heard, rows: Int[np.ndarray, " k"]) -> FragmentMeasures:
    """Shapes of the fragments; two samples of context where a frame hears fewer than three."""
    context = 0 if heard.places.time.span >= 3 else 2
    return fragment_measures(heard.places.windows(rows, context=context))


def _deviation(
    heard: _Heard, feature: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Mean of the assigned vectors less the mean of all, with a bootstrap band.

    And its cosine with the atom (A-5).
    """
    values = heard.places.own.values
    mine = heard.nearest == feature
    if not mine.any():
        nothing = np.full(values.shape[1], np.nan)
        return nothing, nothing, nothing, float("nan")
    about = values[mine] - values.mean(0)
    deviation = about.mean(0)
    low, high = bootstrap_band(about, heard.places.own.recording_ids[mine], rng, n_resamples=300)
    with torch.no_grad():
        atom = heard.dictionary.atoms[feature].numpy()
    norms = float(np.linalg.norm(deviation) * np.linalg.norm(atom))
    return deviation, low, high, float(deviation @ atom / norms) if norms > 0 else float("nan")


def _bars(deviation: np.ndarray, low: np.ndarray, high: np.ndarray, agreement: float) -> Block:
    if np.isnan(deviation).all():
        return Missing("Mean deviation of its vectors", "no vector is nearest to this feature")
    return Bars(
        "Mean deviation of its vectors",
        tuple(str(i) for i in range(len(deviation))),
        deviation,
        Axis("channel"),
        Axis("deviation from the mean"),
        low,
        high,
        f"95 % bootstrap over recordings. Cosine with the dictionary's atom: {agreement:.2f}.",
    )


def _lanes(context: Context, heard: _Heard, order: np.ndarray) -> dict[str, Lanes]:
    """Each feature's activation over the clip in which it is strongest.

    And the overview of the first clip.
    """
    own = heard.places.own
    clip_ids = context.clip_ids("test")
    chosen: dict[str, list[int]] = {clip_ids[0]: []}
    for feature in order.tolist():
        strongest = str(own.clip_ids[int(np.abs(heard.acts[:, feature]).argmax())])
        # A browser over many features needs few clips: the sounds are the heaviest part of a page.
        clip_id = strongest if strongest in chosen or len(chosen) < 8 else next(iter(chosen))
        chosen.setdefault(clip_id, []).append(feature)
    lanes = {}
    for clip_id, features in chosen.items():
        values, times_s = _over_clip(context, heard, clip_id)
        clip = context.clip(clip_id, 0.0, float("inf"), f"the whole of {clip_id}")
        for feature in features:
            lanes[str(feature)] = Lanes(
                "Activation over a clip",
                clip,
                times_s,
                values[[feature]],
                (f"feature {feature}",),
                Axis("activation"),
            )
        if clip_id == clip_ids[0]:
            first = order[:24]
            names = tuple(f"feature {f}" for f in first.tolist())
            lanes["all"] = Lanes(
                f"{heard.tap}: the most used features over one clip",
                clip,
                times_s,
                values[first],
                names,
                Axis("activation"),
            )
    return lanes


def _over_clip(context: Context, heard: _Heard, clip_id: str) -> tuple[np.ndarray, np.ndarray]:
    """All features over one clip, shortened for a picture, and the frames' centres in seconds."""
    time = heard.places.time
    values = context.responses(heard.tap, clip_id).values[0].float()
    n_frames = len(time.frames_of(0, len(context.sound(clip_id).waveform)))
    with torch.no_grad():
        acts = heard.dictionary.encode(values[:n_frames]).numpy().T
    shown, frames = pooled(acts, 480)
    return shown.astype(np.float32), np.array([time.seconds(int(frame)) for frame in frames])


def _overview(heard: _Heard, lanes: Mapping[str, Lanes]) -> Block:
    used = int(np.sum((heard.acts != 0).any(0)))
    if "all" not in lanes:
        return Text(f"{heard.tap}: {used} of {heard.acts.shape[1]} features are on at least once.")
    return lanes["all"]


def _selective(tap: str, areas: Sequence[float], shuffled: Sequence[float]) -> Measurement:
    """Median of the largest |AUC - 0.5|, beside the same for randomly chosen fragments.

    Over the features that are on often enough to be compared; without any it is unknown.
    """
    if not areas:
        areas = shuffled = [float("nan")]
    rng = named_rng(0, "fragments", tap, "bootstrap")
    draws = [float(np.median(rng.choice(areas, len(areas)))) for _ in range(1000)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return Measurement(
        "how far a feature's strongest fragments differ in shape from random ones (median of max "
        "|AUC - 0.5|)",
        float(np.median(areas)),
        "",
        {"fragments chosen at random": float(np.median(shuffled))},
        (float(low), float(high)),
        "Feature 0: sharp rises; Feature 1: falls (P1 §1.3)",
        tap,
    )


def _judgement(one: Measurement, untested: str = "") -> Judgement:
    null = one.controls["fragments chosen at random"]
    if untested or not np.isfinite(one.value):
        reason = untested or "No feature is on often enough for its shapes to be compared."
        sentence = f"{one.tap}: the shapes that features answer to cannot be compared."
        return Judgement(sentence, one, "cannot be tested here", reason)
    return Judgement(
        f"{one.tap}: the fragments that features answer to "
        + ("have shapes of their own." if one.value > null + 0.05 else "look like random ones."),
        one,
        verdict_of(one.value, [null], "more", 0.05),
        "Largest |AUC - 0.5| over slope, curvature, crest factor and energy change, median over "
        "features; it holds when it exceeds that of random fragments by 0.05.",
    )
