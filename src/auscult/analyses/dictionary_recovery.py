"""Would these recipes find directions that are known to be there?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np
from jaxtyping import Float
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
from auscult.analyses.parts.answering import NOTHING_TO_MEASURE, Gathered, guided, untested
from auscult.analyses.parts.dictionaries.lineup import FROZEN, LEARNED, Entry, tap_by_tap
from auscult.blocks import Axis, Block, Curve, Series, Table, Verdict
from auscult.core.config import Config
from auscult.core.errors import DivergedError, NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.metrics import evaluate
from auscult.dictionaries.spectrum import covariance_of
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.measures.matching import cosine_matrix, random_directions
from auscult.measures.null_dictionaries import atoms_of
from auscult.measures.recovery import Planted, plant, recovery
from auscult.measures.statistics import bootstrap_interval
from auscult.store.source import ArraySource

_RANDOM = "as many random directions"
_NAME = "share of planted directions met at a cosine of {:g}, mean over recipes"
_PUBLISHED = "9 % at 71 % explained variance (arXiv 2602.14111, abstract)"


class DictionaryRecoveryParams(Config):
    """Settings of the analysis of planted directions."""

    n_recipes: int = Field(2, ge=1)
    """Most learned dictionaries whose recipe is tried, evenly spread over the spec's."""
    steps: int = Field(2000, ge=1)
    """Steps of training on planted vectors."""
    batch: int = Field(1024, ge=1)
    """Vectors in a batch."""
    n_vectors: int = Field(50_000, ge=1000)
    """Planted vectors to train on; a fifth as many more are judged on."""
    threshold: float = Field(0.9, gt=0, lt=1)
    """Cosine from which a planted direction counts as met."""


@dataclass(frozen=True)
class _Tried:
    """One recipe on planted vectors.

    Attributes:
        name: Of the entry.
        role: ``learned`` or a sanity baseline.
        best: Highest cosine of each planted direction with a used one.
        f1: At the threshold.
        explained: Variance explained on planted vectors that it was not trained on.
        l0: Features on at once.
    """

    name: str
    role: str
    best: Float[np.ndarray, " m"]
    f1: float
    explained: float
    l0: float


@dataclass(frozen=True)
class _Trial:
    """A recipe, its baselines, and random directions, on one truth.

    Attributes:
        entry: The learned dictionary whose recipe is tried.
        k: Planted directions in a vector, on average.
        tried: The recipe itself first.
        by_chance: Highest cosine of each planted direction with random ones.
    """

    entry: Entry
    k: float
    tried: Sequence[_Tried]
    by_chance: Float[np.ndarray, " m"]


@ANALYSES.register("dictionary-recovery")
class DictionaryRecovery(Analysis):
    """Recipes of the spec, trained anew on vectors whose directions are known.

    As many directions as the dictionary has features are planted, with the shape of the tap's own
    vectors and as many of them on at once as the dictionary has. What a recipe does not find there
    it cannot be trusted to have found in the model.
    """

    Params: ClassVar[type[Config]] = DictionaryRecoveryParams
    title: ClassVar[str] = "Recovery of planted directions"
    question: ClassVar[str] = "Would these recipes find directions that are known to be there?"
    source: ClassVar[str] = "METHODS §8.2 (Korznikov et al. 2026, synthetic trial)"

    @classmethod
    def controls(cls, params: DictionaryRecoveryParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None to be recorded: frozen baselines and random directions are the controls."""
        return ()

    def run(self, context: Context, params: DictionaryRecoveryParams) -> Result:
        """Plant, train and compare at every tap."""
        gathered = Gathered()
        for tap, entries in tap_by_tap(context, gathered):
            try:
                trials = _trials(context, params, tap, entries)
            except (*NOTHING_TO_MEASURE, DivergedError) as error:
                gathered.missing.append((tap, "planted directions", f"{error}."))
                gathered.add(_untold(params, tap, f"{error}."))
                continue
            gathered.judgements.append(_judged(context, params, tap, trials))
            gathered.measurements += [
                one for trial in trials for one in _numbers(params, tap, trial)
            ]
            gathered.blocks += [
                *(_curve(tap, trial) for trial in trials),
                _table(params, tap, trials),
            ]
        return gathered.result({"missing": gathered.missing})

    def view(self, result: Result) -> list[Block]:
        """Findings, how to read it, cosines of planted directions, every trial."""
        return guided(result, _HOW_TO_READ)


_HOW_TO_READ = (
    "Planted vectors are sparse mixtures of known directions that share the covariance of the "
    "tap's own vectors; the most common is on about eleven times as often as the rarest, each by "
    "itself. This is kinder than any model: real features come together and change with the sound. "
    "A direction counts as met when a feature that is ever on points the same way.\n\n"
    "High explained variance beside low recovery means that the error which training lowers does "
    "not tell true directions from others. A frozen decoder meets directions by luck alone."
)


def _trials(
    context: Context, params: DictionaryRecoveryParams, tap: str, entries: Sequence[Entry]
) -> list[_Trial]:
    """One trial for each recipe.

    Raises:
        NothingToMeasureError: No dictionary of the spec learns by steps from single vectors.
        DivergedError: A recipe does not train on such vectors.
    """
    learned = [
        one
        for one in entries
        if one.role == LEARNED
        and one.seeds[0].trainable
        and one.seeds[0].reads == "vectors"  # planted vectors come in no order
    ]
    if not learned:
        raise NothingToMeasureError(
            "no dictionary of the spec learns single vectors by gradient steps"
        )
    places = np.linspace(0, len(learned) - 1, min(params.n_recipes, len(learned)))
    covariance = covariance_of(context.store(tap, BASE, "train"))
    return [
        _trial(context, params, tap, learned[i], entries, covariance)
        for i in np.unique(places.astype(np.int64))
    ]


def _trial(
    context: Context,
    params: DictionaryRecoveryParams,
    tap: str,
    entry: Entry,
    entries: Sequence[Entry],
    covariance: Float[np.ndarray, "d d"],
) -> _Trial:
    rng = named_rng(context.seed, "dictionary-recovery", tap, entry.name)
    store = context.store(tap, BASE, "test")
    k = max(1.0, evaluate(entry.seeds[0], store).l0)
    n = params.n_vectors + params.n_vectors // 5
    truth = plant(entry.n_features, n, k, covariance, rng)
    frozen: dict[str, Entry] = {}
    for one in entries:
        if one.role in FROZEN and one.n_features == entry.n_features:
            gap = abs(_k_of(one) - _k_of(entry))
            if one.role not in frozen or gap < abs(_k_of(frozen[one.role]) - _k_of(entry)):
                frozen[one.role] = one
    tried = _trained(context.seed, params, [entry, *frozen.values()], truth)
    drawn = random_directions(entry.n_features, truth.atoms.shape[1], rng)
    signed = entry.seeds[0].signed
    by_chance = cosine_matrix(truth.atoms, drawn, signed).max(axis=1)
    return _Trial(entry, k, tried, by_chance)


def _k_of(entry: Entry) -> float:
    """Features that its settings allow at once; of types without such a setting, its width."""
    return float(getattr(entry.seeds[0].params, "k", None) or entry.n_features)


def _trained(
    seed: int, params: DictionaryRecoveryParams, entries: Sequence[Entry], truth: Planted
) -> list[_Tried]:
    """Train the recipes side by side on the planted vectors, and compare each with the truth."""
    source = ArraySource(truth.values[: params.n_vectors])
    held_out = ArraySource(truth.values[params.n_vectors :])
    jobs = []
    for place, entry in enumerate(entries):
        own = entry.seeds[0]
        built = type(own).build(own.params, own.d_in, seed, source.statistics)
        jobs.append(TrainingJob(built, f"recipe-{place}", seed))
    settings = TrainSettings(
        steps=params.steps,
        batch=min(params.batch, params.n_vectors),
        checkpoint_every=params.steps,
        seed=seed,
    )
    with TemporaryDirectory() as folder:
        trained = train(jobs, source, settings, Path(folder))
    return [
        _compared(params, entry, one, truth, held_out)
        for entry, one in zip(entries, trained, strict=True)
    ]


def _compared(
    params: DictionaryRecoveryParams,
    entry: Entry,
    dictionary: Dictionary,
    truth: Planted,
    held_out: ArraySource,
) -> _Tried:
    metrics = evaluate(dictionary, held_out)
    used = atoms_of(dictionary)[metrics.usage > 0]
    found = recovery(truth.atoms, used, params.threshold, dictionary.signed)
    best = cosine_matrix(truth.atoms, used, dictionary.signed).max(axis=1, initial=-1.0)
    return _Tried(entry.name, entry.role, best, found.f1, 1 - metrics.fvu, metrics.l0)


def _numbers(params: DictionaryRecoveryParams, tap: str, trial: _Trial) -> list[Measurement]:
    """Recall, mean cosine, F1 and explained variance of a recipe, beside its baselines."""
    own, *others = trial.tried
    chance = trial.by_chance
    told = (
        (
            f"share of planted directions met at a cosine of {params.threshold:g}",
            [float((one.best >= params.threshold).mean()) for one in trial.tried],
            float((chance >= params.threshold).mean()),
        ),
        (
            "mean over planted directions of the highest cosine",
            [float(one.best.mean()) for one in trial.tried],
            float(chance.mean()),
        ),
        (f"F1 at a cosine of {params.threshold:g}", [one.f1 for one in trial.tried], None),
        ("variance of planted vectors explained", [one.explained for one in trial.tried], None),
    )
    numbers = []
    for words, values, by_chance in told:
        controls = {one.role: value for one, value in zip(others, values[1:], strict=True)}
        controls |= {} if by_chance is None else {_RANDOM: by_chance}
        controls = controls or {"frozen baselines": float("nan")}
        name = f"{own.name}: {words}"
        numbers.append(Measurement(name, values[0], "", controls, tap=tap))
    return numbers


def _judged(
    context: Context, params: DictionaryRecoveryParams, tap: str, trials: Sequence[_Trial]
) -> Judgement:
    """KO-02."""
    met = np.concatenate([one.tried[0].best >= params.threshold for one in trials]).astype(float)
    value, explained = float(met.mean()), float(np.mean([t.tried[0].explained for t in trials]))
    controls = {_RANDOM: float(np.mean([(t.by_chance >= params.threshold).mean() for t in trials]))}
    for role in FROZEN:
        there = [
            float((one.best >= params.threshold).mean())
            for trial in trials
            for one in trial.tried
            if one.role == role
        ]
        if there:
            controls[role] = float(np.mean(there))
    rng = named_rng(context.seed, "dictionary-recovery", tap, "interval")
    interval = bootstrap_interval(met, np.arange(len(met)), rng)
    beaten = value > max(controls.values()) + 0.05
    verdict: Verdict = "holds" if beaten else "explained by control"
    verdict = "does not hold" if value < 0.5 else verdict
    recipes = ", ".join(trial.entry.name for trial in trials)
    return Judgement(
        f"{tap}: trained on planted vectors, the recipe of {recipes} explains {explained:.0%} of "
        f"the variance and meets {value:.0%} of the planted directions.",
        Measurement(_NAME.format(params.threshold), value, "", controls, interval, _PUBLISHED, tap),
        verdict,
        "It holds when at least half are met, 5 points more than by every frozen baseline and by "
        "random directions. The interval is a bootstrap over planted directions.",
        "KO-02",
    )


def _untold(params: DictionaryRecoveryParams, tap: str, why: str) -> Judgement:
    sentence = f"{tap}: whether these recipes find what is there cannot be told."
    name = _NAME.format(params.threshold)
    return untested(sentence, why, "KO-02", name, tap, [_RANDOM], _PUBLISHED)


def _curve(tap: str, trial: _Trial) -> Curve:
    """Highest cosine of each planted direction, in order of how often it is on."""
    size = max(1, len(trial.by_chance) // 64)
    starts = np.arange(0, len(trial.by_chance), size)
    counts = np.diff([*starts, len(trial.by_chance)])

    def smooth(values: np.ndarray) -> np.ndarray:
        means: np.ndarray = np.add.reduceat(values.astype(np.float64), starts) / counts
        return means

    lines = [Series(one.name, smooth(one.best), control=one.role != LEARNED) for one in trial.tried]
    lines.append(Series(_RANDOM, smooth(trial.by_chance), control=True))
    return Curve(
        f"{tap}: planted directions found by the recipe of {trial.entry.name}",
        starts + 1.0,
        tuple(lines),
        Axis("planted direction, most common first"),
        Axis("highest cosine with a learned direction", ""),
        f"{trial.k:.3g} of {len(trial.by_chance)} are on at once. Means over {size} neighbours.",
    )


def _table(params: DictionaryRecoveryParams, tap: str, trials: Sequence[_Trial]) -> Table:
    rows = [
        (
            trial.entry.name,
            one.name,
            one.role,
            one.l0,
            one.explained,
            float((one.best >= params.threshold).mean()),
            float(one.best.mean()),
            one.f1,
        )
        for trial in trials
        for one in trial.tried
    ]
    columns = ("truth like", "recipe", "role", "l0", "explained", "met", "mean cosine", "F1")
    return Table(f"{tap}: every trial", columns, tuple(rows))
