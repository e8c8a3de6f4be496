"""What does each feature answer to? A browser over features.

Bars, sounds, spectra, activation over a clip.
"""

from collections.abc import Mapping
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
from auscult.analyses.parts.dictionaries.fragment_shapes import (
    RANDOM_FRAGMENTS,
    Compared,
    ShapeBench,
    selective,
)
from auscult.analyses.parts.reading import chosen_dictionary, pooled, sample
from auscult.blocks import Axis, Bars, Block, Gallery, GalleryItem, Lanes, Missing, Text
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.measures.geometry import nearest_atom
from auscult.measures.statistics import bootstrap_band
from auscult.measures.usage import cohens_d
from auscult.measures.windows import pick_top


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
    bench: ShapeBench
    corpus: Corpus
    mean: Float[np.ndarray, " d"]
    squares: Float[np.ndarray, " d"]


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
    version: ClassVar[int] = 4

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
                one, shown = selective(tap, [], []), []
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
    items: list[GalleryItem] = []
    shapes: list[Compared] = []
    shuffled: list[Compared] = []
    for place, feature in enumerate(order.tolist(), 1):
        item, compared, null = _card(context, params, heard, feature, lanes)
        items.append(item)
        if np.count_nonzero(heard.acts[:, feature]) >= params.n_compared:
            shapes.append(compared)
            shuffled.append(null)
        context.advance(done[0] + done[1] * place / len(order))
    gallery = Gallery(f"Features of {tap} (P1, Fig. 2 and 3)", tuple(items), _UNITS, "usage", _NOTE)
    return selective(tap, shapes, shuffled), [_overview(heard, lanes), gallery]


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
    "peak": "dB re corpus peak",
}
_NOTE = (
    "Usage is the share of frames at which the feature is on. The four AUC columns compare the "
    "shape of its strongest "
    "fragments with random ones: 0.5 is no preference, near 1 higher, near 0 lower. Peak is the "
    "height of their spectrum re the corpus', both brought to one power. Clips play at equal "
    "loudness."
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
    bench = ShapeBench.of(places, rows, rng)
    mean = own.values.mean(0)
    squares = np.square(own.values - mean).sum(0, dtype=np.float64)
    return _Heard(tap, places, acts, assigned, dictionary, rows, bench, corpus, mean, squares)


def _card(
    context: Context,
    params: FragmentParams,
    heard: _Heard,
    feature: int,
    lanes: Mapping[str, Any],
) -> tuple[GalleryItem, Compared, Compared]:
    """One feature's card, how the shapes of its fragments compare, and those of random ones."""
    own, acts = heard.places.own, heard.acts[:, feature]
    distance = float(heard.places.time.span / heard.places.time.hop)
    scores = np.where(acts != 0, np.abs(acts), np.nan)
    where = (scores, own.clip_ids, own.recording_ids, own.frames)
    few = pick_top(*where, params.n_fragments, 1, distance)
    many = pick_top(*where, params.n_compared, params.n_compared, distance)
    rng = named_rng(context.seed, "fragments", heard.tap, feature)
    compared = heard.bench.compare(many)
    null = heard.bench.compare(heard.bench.matched(many, rng), resampled=False)
    areas = compared.areas
    deviation = _deviation(heard, feature, rng)
    spectrum, peak_db = fragment_spectrum(heard.places, many, heard.corpus)
    random = rng.permutation(heard.random_rows)[: params.n_fragments]
    blocks: list[Block] = [
        _bars(deviation),
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
        "cosine": deviation.cosine if deviation else float("nan"),
        "slope": areas["slope"],
        "curvature": areas["curvature"],
        "crest factor": areas["crest_factor"],
        "energy change": areas["energy_change_db"],
        "peak": peak_db,
    }
    return GalleryItem(f"{feature}", measures, tuple(blocks)), compared, null


@dataclass(frozen=True)
class _Deviation:
    """Mean of the vectors assigned to a feature less the mean of all (A-5)."""

    mean: Float[np.ndarray, " d"]
    low: Float[np.ndarray, " d"]
    high: Float[np.ndarray, " d"]
    effect: Float[np.ndarray, " d"]
    cosine: float


def _deviation(heard: _Heard, feature: int, rng: np.random.Generator) -> _Deviation | None:
    """With a bootstrap band, Cohen's d, and its cosine with the atom; None of no vector."""
    own = heard.places.own
    mine = heard.nearest == feature
    if not mine.any():
        return None
    about = own.values[mine] - heard.mean
    mean = about.mean(0)
    low, high = bootstrap_band(about, own.recording_ids[mine], rng, n_resamples=300)
    with torch.no_grad():
        atom = heard.dictionary.atoms[feature].numpy()
    norms = float(np.linalg.norm(mean) * np.linalg.norm(atom))
    cosine = float(mean @ atom / norms) if norms > 0 else float("nan")
    return _Deviation(mean, low, high, cohens_d(about, len(mine), heard.squares), cosine)


def _bars(one: _Deviation | None) -> Block:
    if one is None:
        return Missing("Mean deviation of its vectors", "no vector is nearest to this feature")
    strong = np.argsort(-np.abs(np.nan_to_num(one.effect)), kind="stable")[:3].tolist()
    told = ", ".join(f"{one.effect[i]:+.1f} at {i}" for i in strong if np.isfinite(one.effect[i]))
    return Bars(
        "Mean deviation of its vectors",
        tuple(str(i) for i in range(len(one.mean))),
        one.mean,
        Axis("channel"),
        Axis("deviation from the mean"),
        one.low,
        one.high,
        f"95 % bootstrap over recordings. Cosine with the dictionary's atom: {one.cosine:.2f}."
        + (f" Largest Cohen's d: {told}." if told else ""),
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


def _judgement(one: Measurement, untested: str = "") -> Judgement:
    null = one.controls[RANDOM_FRAGMENTS]
    if untested or not np.isfinite(one.value):
        reason = untested or (
            "No feature is on often enough, in fragments within their clips, to be compared."
        )
        sentence = f"{one.tap}: the shapes that features answer to cannot be compared."
        return Judgement(sentence, one, "cannot be tested here", reason)
    return Judgement(
        f"{one.tap}: the fragments that features answer to "
        + ("have shapes of their own." if one.value > null + 0.05 else "look like random ones."),
        one,
        verdict_of(one.value, [null], "more", 0.05),
        "Largest |AUC - 0.5| over slope, curvature, crest factor and energy change, median over "
        "features; it holds when it exceeds that of random fragments of the same recordings by "
        "0.05.",
    )
