"""What analyses of concepts share: response vectors with labels, and other things to read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from pydantic import Field, field_validator

from auscult.analyses.base import BASE, Condition, Context
from auscult.analyses.parts.reading import Sample, sample
from auscult.concepts.base import CONCEPTS, Concept, Labels
from auscult.concepts.log_mel import log_mel
from auscult.core.audio import Audio
from auscult.core.config import Config
from auscult.core.errors import ConfigError, NothingToMeasureError
from auscult.core.rng import named_rng, seed_of
from auscult.core.timebase import TimeBase
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.by_threshold import ByThreshold
from auscult.dictionaries.random import RandomDictionary
from auscult.measures.probe_targets import Target
from auscult.store.source import ArraySource

Pooling = Literal["frame", "clip"]
PUBLISHED = ("pitch", "loudness", "centroid")
"""The concepts of arXiv 2510.23802, in its order: pitch, amplitude, timbre."""

FEWEST = 60
_N_TYPES = 64


@dataclass(frozen=True)
class Labelled:
    """Vectors of both sides of the split, training first, with all that may be read from them.

    Attributes:
        x: Response vectors.
        recording_ids: Of each.
        test: Which of them are of test recordings.
        targets: By concept. A concept whose training frames are all alike is not among them.
        lacking: Concepts that are not, and why.
        labels: What each concept's labeler said, row by row.
        log_mels: Log-mel spectrum at each frame, in dB.
        types: Cluster of its log-mel spectrum: the kind of sound, for control tasks.
        every: The vectors before pooling.
        starts: Which of them each row begins with.
    """

    x: Float[np.ndarray, "n d"]
    recording_ids: Shaped[np.ndarray, " n"]
    test: Bool[np.ndarray, " n"]
    targets: Mapping[str, Target]
    lacking: Mapping[str, str]
    labels: Mapping[str, Labels]
    log_mels: Float[np.ndarray, "n band"]
    types: Int[np.ndarray, " n"]
    every: Float[np.ndarray, "m d"]
    starts: Int[np.ndarray, " n"]

    @property
    def training(self) -> Float[np.ndarray, "k d"]:
        """The vectors of training recordings before pooling."""
        lengths = np.diff(self.starts, append=len(self.every))
        found: np.ndarray = self.every[~np.repeat(self.test, lengths)]
        return found

    def through(
        self, encode: Callable[[Float[np.ndarray, "m d"]], Float[np.ndarray, "m k"]]
    ) -> Float[np.ndarray, "n k"]:
        """What something makes of each vector, pooled afterwards as the vectors are.

        The mean of a clip's features is no feature of its mean vector, which a dictionary of single
        frames has never seen.
        """
        values: np.ndarray = encode(self.every)
        return values if len(self.starts) == len(values) else _means(values, self.starts)


def concepts_of(sections: Sequence[str | Mapping[str, Any]]) -> dict[str, Concept]:
    """Concepts by name: each given by its type, or as a section with a type and settings.

    A section may hold a ``name``; a ``user`` concept is named by its label unless it does.

    Raises:
        ConfigError: Two share a name, or a section is wrong.
    """
    found: dict[str, Concept] = {}
    for given in sections:
        section = {"type": given} if isinstance(given, str) else dict(given)
        name = section.pop("name", None) or section.get("label") or section.get("type", "")
        cls, params = CONCEPTS.parse(section, f"concept {name!r}")
        if name in found:
            raise ConfigError(f"two concepts are called {name!r}; give one of them a name")
        found[str(name)] = cls(params)
    return found


class ConceptParams(Config):
    """Settings of whatever reads concepts from vectors."""

    concepts: tuple[str | dict[str, Any], ...] = Field(PUBLISHED, min_length=1)
    """Which concepts: a type, or a section with a type and its settings."""

    @field_validator("concepts")
    @classmethod
    def _exist(cls, value: Any) -> Any:
        concepts_of(value)
        return value


class Labeller:
    """Labels frames of stored vectors; a clip is listened to once for all taps of one hop."""

    def __init__(self, context: Context, concepts: Mapping[str, Concept]) -> None:
        self._context = context
        self._concepts = concepts
        self._heard: dict[tuple[str, str, str], Labels] = {}
        self._mels: dict[tuple[str, str], np.ndarray] = {}

    def frames(
        self, tap: str, n_most: int, condition: Condition = BASE, pooling: Pooling = "frame"
    ) -> Labelled:
        """Label at most so many vectors of each side of a tap, evenly spread over it.

        Args:
            tap: Where.
            n_most: Of vectors, on each side.
            condition: Which weights heard the sounds; the labels are the sounds' own.
            pooling: One row a frame, or the mean over the drawn frames of each clip.

        Raises:
            NothingToMeasureError: There are fewer than 60 frames, or too few recordings.
        """
        sides = [
            sample(self._context.store(tap, condition, side), n_most) for side in ("train", "test")
        ]
        counts = [len(one.values) for one in sides]
        if min(counts) < (FEWEST if pooling == "frame" else 2):
            raise NothingToMeasureError(f"only {min(counts)} frames are there to read from")
        drawn = Sample(*(np.concatenate([getattr(one, name) for one in sides]) for name in _PARTS))
        test = np.arange(sum(counts)) >= counts[0]
        time = self._context.time(tap)
        labels = {name: self._labels(name, drawn, time) for name in self._concepts}
        mels = np.concatenate(
            [self._mel(clip_id, time)[frames] for clip_id, frames in _by_clip(drawn)]
        )
        parts: dict[str, list[Labels]] = labels
        every, starts = drawn.values, np.arange(len(drawn.values))
        if pooling == "clip":
            starts = _starts(drawn)
            drawn, test, parts, mels = _pooled(drawn, test, labels, mels)
        targets, lacking = self._targets(parts, ~test)
        return Labelled(
            drawn.values,
            drawn.recording_ids,
            test,
            targets,
            lacking,
            {name: _joined(some) for name, some in parts.items()},
            mels,
            _types(mels, test, self._context.seed),
            every,
            starts,
        )

    def _targets(
        self, parts: Mapping[str, list[Labels]], fitted: Bool[np.ndarray, " n"]
    ) -> tuple[dict[str, Target], dict[str, str]]:
        targets, lacking = {}, {}
        for name, concept in self._concepts.items():
            try:
                target = concept.target(parts[name], fitted)
            except ConfigError as error:
                lacking[name] = str(error)
                continue
            seen = [
                np.unique(target.labels[side & (target.labels >= 0)]) for side in (fitted, ~fitted)
            ]
            if len(seen[0]) < 2 or not len(seen[1]):
                lacking[name] = "the sounds of one side are all of one class"
            else:
                targets[name] = target
        return targets, lacking

    def _labels(self, name: str, drawn: Sample, time: TimeBase) -> list[Labels]:
        found = []
        for clip_id, frames in _by_clip(drawn):
            one = self._clip(name, clip_id, time)
            found.append(Labels(one.values[frames], one.confidence[frames], one.names))
        return found

    def _clip(self, name: str, clip_id: str, time: TimeBase) -> Labels:
        key = (name, clip_id, str(time.hop))
        if key not in self._heard:
            sound = self._context.sound(clip_id)
            concept = self._concepts[name].about(sound.labels)
            self._heard[key] = concept.label(_audio(sound.waveform, time), time)
        return self._heard[key]

    def _mel(self, clip_id: str, time: TimeBase) -> np.ndarray:
        key = (clip_id, str(time.hop))
        if key not in self._mels:
            heard = log_mel(_audio(self._context.sound(clip_id).waveform, time), time)
            self._mels[key] = heard.astype(np.float32)
        return self._mels[key]


_PARTS = ("values", "clip_ids", "frames", "recording_ids")


def _audio(waveform: np.ndarray, time: TimeBase) -> Audio:
    return Audio(waveform.astype(np.float32)[None], time.sample_rate)


def _by_clip(drawn: Sample) -> list[tuple[str, np.ndarray]]:
    """Stretches of rows of one clip, in order: its id and the frames."""
    starts = _starts(drawn)
    stops = [*starts[1:].tolist(), len(drawn.clip_ids)]
    return [
        (str(drawn.clip_ids[a]), drawn.frames[a:b])
        for a, b in zip(starts.tolist(), stops, strict=True)
    ]


def _starts(drawn: Sample) -> Int[np.ndarray, " clip"]:
    """The first row of each clip."""
    return np.flatnonzero(np.append(True, drawn.clip_ids[1:] != drawn.clip_ids[:-1]))


def _means(
    values: Float[np.ndarray, "m k"], starts: Int[np.ndarray, " clip"]
) -> Float[np.ndarray, "clip k"]:
    lengths = np.diff(starts, append=len(values))[:, None]
    means: np.ndarray = np.add.reduceat(values, starts, axis=0) / lengths
    return means.astype(np.float32)


def _joined(parts: Sequence[Labels]) -> Labels:
    return Labels(
        np.concatenate([one.values for one in parts]),
        np.concatenate([one.confidence for one in parts]),
    )


def _pooled(
    drawn: Sample,
    test: Bool[np.ndarray, " n"],
    labels: Mapping[str, list[Labels]],
    mels: np.ndarray,
) -> tuple[Sample, np.ndarray, dict[str, list[Labels]], np.ndarray]:
    """One row a clip: means of vectors, spectra and values; of classes the most frequent."""
    starts = _starts(drawn)
    pooled = Sample(
        _means(drawn.values, starts),
        drawn.clip_ids[starts],
        drawn.frames[starts],
        drawn.recording_ids[starts],
    )
    parts = {name: [_one(clip) for clip in some] for name, some in labels.items()}
    return pooled, test[starts], parts, _means(mels, starts)


def _one(labels: Labels) -> Labels:
    """One label for a clip."""
    known = labels.values[labels.known]
    if not len(known):
        return Labels(np.array([np.nan]), np.zeros(1), labels.names)
    value = float(np.bincount(known.astype(np.int64)).argmax()) if labels.names else known.mean()
    return Labels(np.array([value]), np.array([labels.confidence.mean()]), labels.names)


def _types(mels: np.ndarray, test: np.ndarray, seed: int) -> Int[np.ndarray, " n"]:
    """Kinds of sound: clusters of the training frames' log-mel spectra."""
    from sklearn.cluster import MiniBatchKMeans

    fitted = MiniBatchKMeans(
        min(_N_TYPES, max(2, int((~test).sum()) // 4)),
        random_state=seed_of(seed, "types of sound") % (1 << 31),
        n_init=1,
        batch_size=2048,
    ).fit(mels[~test])
    return np.asarray(fitted.predict(mels), dtype=np.int64)


def features_of(dictionary: Dictionary, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n m"]:
    """Feature activations of some vectors."""
    with torch.inference_mode():
        parts = [
            dictionary.encode(torch.from_numpy(np.ascontiguousarray(some)))
            for some in np.array_split(x, max(1, len(x) // 4096))
        ]
    return np.asarray(torch.cat(parts).float().numpy())


def reconstructed(dictionary: Dictionary, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """What a dictionary makes of some vectors."""
    with torch.inference_mode():
        return np.asarray(dictionary(torch.from_numpy(np.ascontiguousarray(x))).float().numpy())


def untrained(dictionary: Dictionary, x: Float[np.ndarray, "n d"], seed: int) -> Dictionary:
    """The same dictionary before training; where there is no training, random directions.

    Its preprocessing is the trained one's. A threshold that follows the batches has seen the
    vectors once, so that as many features are on as the settings say; without, half of them were.

    Args:
        dictionary: The trained one.
        x: Training vectors, for types that start from some.
        seed: Decides the starting values.
    """
    rng = named_rng(seed, "untrained dictionary")
    if dictionary.trainable:
        drawn = type(dictionary)(dictionary.params, dictionary.d_in)
        drawn.preprocess.load_state_dict(dictionary.preprocess.state_dict())
        drawn.initialise(rng)
        drawn.prepare(ArraySource(x), rng)
        if isinstance(drawn, ByThreshold):
            vectors = drawn.preprocess(torch.from_numpy(np.ascontiguousarray(x)))
            with torch.no_grad():
                drawn.running.keep(drawn.linear.pre_activations(vectors), drawn.params.k * len(x))
            drawn.running.follow()
        return drawn.eval()
    params = RandomDictionary.Params(
        n_features=dictionary.n_features, space="ambient", centre=False, scale=False
    )
    atoms = rng.standard_normal((dictionary.n_features, dictionary.d_in))
    control = RandomDictionary(params, dictionary.d_in)
    control.rows.copy_(torch.from_numpy(atoms / np.linalg.norm(atoms, axis=1, keepdims=True)))
    control.ready = True
    return control
