"""The spec of an experiment: one frozen tree, checked whole before anything is computed."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from auscult.analyses.base import ANALYSES, Analysis
from auscult.core.config import Config, override, parse, read_toml
from auscult.core.errors import ConfigError, UnknownNameError
from auscult.dictionaries.base import DICTIONARIES, Dictionary
from auscult.dictionaries.end_to_end import EndToEndSettings
from auscult.dictionaries.train import TrainSettings
from auscult.dictionaries.train_checks import check_sparsity
from auscult.models.base import AudioModel, Weights, model_part
from auscult.sounds.base import SOUNDS, SoundSource
from auscult.store.sampling import Sampling

_OWN_KEYS = (
    "name", "of", "lag", "n_seeds", "tap", "target", "context", "taps", "weights", "end_to_end"
)  # fmt: skip


class SplitSpec(Config):
    """How recordings are divided; a recording is never on both sides."""

    train: float = Field(0.8, gt=0, lt=1)
    """Share of recordings that dictionaries and probes are fitted on."""
    test: float = Field(0.2, gt=0, lt=1)
    """Share of recordings that every number is measured on."""
    by: Literal["recording"] = "recording"
    """The unit of splitting."""
    group: str | None = None
    """A label whose equal values stay on one side (an artist, a fold)."""
    side: str | None = None
    """A label that says on which side a recording is (a published split, a fold): no shares."""
    test_values: tuple[str, ...] = ("test",)
    """Values of that label on the test side."""
    train_values: tuple[str, ...] = ()
    """Values on the training side; none: all others."""

    @model_validator(mode="after")
    def _shares_fit(self) -> "SplitSpec":
        if self.train + self.test > 1 + 1e-9:
            raise ValueError(f"train and test add up to {self.train + self.test:g}, more than 1")
        return self


class RecordSpec(Config):
    """What is recorded."""

    taps: tuple[str, ...] = Field(min_length=1)
    """Addresses: module paths or roles, with globs, ``:in``, ``:codes`` and ``@call``."""
    sampling: Sampling = Sampling()
    """Which frames are kept; a first layer kept whole fills any disk."""
    silence_db: float | None = -60.0
    """Frames in whose hop every 10-ms block is below this level (dB re full scale) are left out.

    None keeps all.
    """
    batch_clips: int = Field(8, ge=1)
    """Clips that go through the model at once."""
    dtype: Literal["float32", "float16"] = "float32"
    """Precision on disk."""


class ControlSpec(Config):
    """How the control conditions are recorded."""

    recordings: int = Field(16, ge=2)
    """Recordings of each stimulus.

    And at most so many of the spec's own sounds under other weights.
    """
    level_db: float = -20.0
    """Level of the stimuli in dB re full scale."""


class TrainSpec(TrainSettings):
    """The training loop's settings, and the seeds of the dictionaries."""

    seeds: tuple[int, ...] = Field((0, 1, 2, 3, 4), min_length=1)
    """One dictionary is trained for each; the spread between them is part of every answer.

    Five are the least that a verdict about what training finds should rest on (METHODS §1.4).
    """


class DictionarySpec(Config):
    """Which dictionary is fitted to what; the type's own parameters stand in the same section."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.,=-]*$")
    """Name by which analyses find it."""
    of: Literal["responses", "generators"] = "responses"
    """Response vectors, or differences of successive ones."""
    lag: int = Field(1, ge=1)
    """Frames between the two response vectors of a generator, or of a temporal dictionary."""
    tap: str | None = None
    """The one recorded tap that it reads; none: one dictionary for each."""
    target: str | None = None
    """The recorded tap that a transcoder gives back."""
    context: int = Field(0, ge=0)
    """Frames on either side of each that a transcoder reads as well."""
    taps: tuple[str, ...] = ()
    """Recorded taps that a crosscoder puts end to end; none: one tap under several weights."""
    weights: tuple[Weights, ...] = ()
    """Weights under which a crosscoder reads the same sounds; none: those that are asked for.

    Sounds under other weights are those of the controls: ``controls.recordings`` says how many.
    """
    end_to_end: EndToEndSettings | None = None
    """Train on the model's own task as well; none: on the vectors alone."""
    n_seeds: int | None = Field(None, ge=1)
    """Train under the first so many seeds only; none: under all."""
    section: dict[str, Any]
    """Type and parameters, for the registry."""

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or "section" in data:
            return data
        own = {key: data[key] for key in _OWN_KEYS if key in data}
        return {**own, "section": {key: data[key] for key in data if key not in own}}

    @property
    def reads(self) -> str:
        """What its type learns from; see :data:`auscult.dictionaries.base.Reads`."""
        return self.parsed()[0].reads

    @property
    def plain(self) -> bool:
        """Whether it encodes the vectors of every recorded tap, so that any analysis can use it."""
        return self.tap is None and self.reads in ("vectors", "neighbours")

    @property
    def joint(self) -> bool:
        """Whether it reads several taps or weights at once, or gives back another tap."""
        return self.reads in ("parts", "target")

    def check(self) -> None:
        """Refuse keys that do not go with the type, or with one another.

        Raises:
            ConfigError: Naming the entry and what to change.
        """
        cls, _ = self.parsed()
        said = f"dictionary {self.name!r} of type {cls.registered_name!r}"
        parts = len(self.taps or ("one",)) * len(self.weights or ("one",))
        faults = {
            "needs a tap to read and a target to give back: tap = …, target = …": (
                cls.reads == "target" and (self.tap is None or self.target is None)
            ),
            "has no target: only a transcoder gives back another tap": (
                cls.reads != "target" and (self.target is not None or self.context > 0)
            ),
            "needs taps = [two or more], or weights = [two or more]": (
                cls.reads == "parts" and (parts < 2 or self.tap is not None)
            ),
            "reads one tap under one set of weights: taps and weights are for a crosscoder": (
                cls.reads != "parts" and bool(self.taps or self.weights)
            ),
            "names a tap, or weights, twice": (
                len(set(self.taps)) < len(self.taps) or len(set(self.weights)) < len(self.weights)
            ),
            "reads response vectors: of = 'generators' does not go with it": (
                cls.reads != "vectors" and self.of == "generators"
            ),
            "cannot be trained end to end: it needs a type that is trained, of response vectors, "
            "that can take a tap's place": self.end_to_end is not None
            and (not cls.trainable or self.of == "generators" or cls.reads == "parts"),
            "learns who is on from its own reconstruction alone: set end_to_end.local_weight above "
            "0": self.end_to_end is not None
            and cls.needs_own_loss
            and self.end_to_end.local_weight == 0,
        }
        for fault, is_so in faults.items():
            if is_so:
                raise ConfigError(f"{said} {fault}")

    def parsed(self) -> tuple[type[Dictionary], Config]:
        """The class and its checked parameters."""
        try:
            return DICTIONARIES.parse(self.section, f"dictionaries {self.name!r}")
        except ConfigError as error:
            lists = {
                k: v for k, v in self.section.items() if isinstance(v, list) and k in str(error)
            }
            if not lists:
                raise
            point = ", ".join(f"{key} = {values}" for key, values in lists.items())
            raise ConfigError(
                f"{error}; to fit one for each of several values write grid = {{ {point} }}"
            ) from error


class Spec(Config):
    """One experiment."""

    name: str = Field(min_length=1)
    """Heading of the report."""
    seed: int = Field(0, ge=0)
    """Of everything that is drawn, by name."""
    model: dict[str, Any]
    """Type, weights and the family's parameters."""
    sounds: dict[str, Any]
    """Type and the source's parameters."""
    clip_seconds: float | None = Field(None, gt=0)
    """Length of the clips that the model is fed; none: whole recordings.

    Given as ``sounds.clip_seconds``.
    """
    split: SplitSpec = SplitSpec()
    """Given as ``sounds.split``."""
    record: RecordSpec
    """What is recorded."""
    controls: ControlSpec = ControlSpec()
    """How the control conditions are recorded."""
    dictionaries: tuple[DictionarySpec, ...] = ()
    """What is fitted."""
    train: TrainSpec = TrainSpec()
    """How it is trained."""
    analyses: tuple[dict[str, Any], ...] = ()
    """The questions: type, optional name, parameters."""

    @model_validator(mode="before")
    @classmethod
    def _lift(cls, data: Any) -> Any:
        """Take the two settings of the experiment out of the section of the sounds.

        Where people write them.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("sounds"), Mapping):
            return data
        sounds = dict(data["sounds"])
        lifted = {key: sounds.pop(key) for key in ("clip_seconds", "split") if key in sounds}
        return {**data, **lifted, "sounds": sounds}

    @field_validator("dictionaries", mode="before")
    @classmethod
    def _expand_grids(cls, value: Any) -> Any:
        if not isinstance(value, Sequence) or isinstance(value, str):
            return value
        return [entry for section in value for entry in _grid(section)]

    @model_validator(mode="after")
    def _parts_exist(self) -> "Spec":
        self.model_part()
        self.sound_part()
        names = [entry.name for entry in self.dictionaries]
        if len(set(names)) < len(names):
            raise ValueError(f"two dictionaries share a name: {', '.join(sorted(names))}")
        for entry in self.dictionaries:
            entry.check()
            step = self.record.sampling.step
            if entry.context and step > 1:
                raise ConfigError(
                    f"dictionary {entry.name!r} reads the frames next to each, but one frame in "
                    f"{step} is recorded: record with the policy all or runs, or set context = 0"
                )
            if entry.end_to_end is not None and self.clip_seconds is None:
                raise ConfigError(
                    f"dictionary {entry.name!r} is trained end to end on batches of clips, which "
                    "must be equally long: set sounds.clip_seconds"
                )
        kinds = [(entry.name, *entry.parsed()) for entry in self.dictionaries]
        check_sparsity(kinds, self.train.target_l0, self.train.resample_every)
        for _, _, params in self.analysis_parts():
            for key in ("dictionary", "archetypes"):
                asked = getattr(params, key, None)
                if asked is not None and asked not in names:
                    raise UnknownNameError("dictionary", asked, names)
        titles = [name for name, _, _ in self.analysis_parts()]
        if len(set(titles)) < len(titles):
            raise ValueError("two analyses share a name; give one of them a name of its own")
        return self

    def model_part(self) -> tuple[type[AudioModel], Config, Weights]:
        """The model's class, its parameters, and which weights it is to carry."""
        return model_part(self.model)

    def sound_part(self) -> tuple[type[SoundSource], Config]:
        """The sound source's class and parameters."""
        return SOUNDS.parse(self.sounds, "sounds")

    def analysis_parts(self) -> list[tuple[str, type[Analysis], Config]]:
        """Name, class and parameters of each analysis."""
        parts = []
        for section in self.analyses:
            rest = dict(section)
            name = rest.pop("name", rest.get("type", ""))
            cls, params = ANALYSES.parse(rest, f"analyses {name!r}")
            parts.append((str(name), cls, params))
        return parts

    def resolved(self) -> dict[str, Any]:
        """The whole tree with every default written out, as JSON types."""
        data: dict[str, Any] = self.model_dump(mode="json")
        cls, params, weights = self.model_part()
        data["model"] = {"type": cls.registered_name, "weights": weights, **_plain(params)}
        source, sound_params = self.sound_part()
        data["sounds"] = {"type": source.registered_name, **_plain(sound_params)}
        for entry, spec in zip(data["dictionaries"], self.dictionaries, strict=True):
            kind, kind_params = spec.parsed()
            entry["section"] = {"type": kind.registered_name, **_plain(kind_params)}
        data["analyses"] = [
            {"name": name, "type": analysis.registered_name, **_plain(own)}
            for name, analysis, own in self.analysis_parts()
        ]
        return data


def _plain(params: Config) -> dict[str, Any]:
    return params.model_dump(mode="json")


def _grid(section: Any) -> Iterator[Any]:
    """A section with ``grid = { n_features = [8, 16], k = [1, 2] }`` as one section a point."""
    if not isinstance(section, Mapping) or "grid" not in section:
        yield section
        return
    grid = section["grid"]
    if not isinstance(grid, Mapping) or not all(
        isinstance(values, list) for values in grid.values()
    ):
        raise ConfigError("grid must map keys to lists, as in grid = { n_features = [64, 128] }")
    rest = {key: value for key, value in section.items() if key != "grid"}
    for point in product(*grid.values()):
        chosen = dict(zip(grid, point, strict=True))
        suffix = ",".join(f"{key}={value}" for key, value in chosen.items())
        yield {**rest, **chosen, "name": f"{rest.get('name', 'grid')} {suffix}"}


def read_spec(
    source: "Spec | Mapping[str, Any] | Path | str", assignments: Sequence[str] = ()
) -> Spec:
    """Read a spec from a TOML file, a mapping or a spec, with ``a.b=value`` assignments applied.

    Relative paths in a file are relative to that file.

    Raises:
        ConfigError: With the section, the key and the nearest known key.
    """
    if isinstance(source, Spec):
        if not assignments:
            return source
        data: dict[str, Any] = _unresolved(source)
    elif isinstance(source, Mapping):
        data = dict(source)
    else:
        path = Path(source)
        data = _anchored(read_toml(path), path.resolve().parent)
    return parse(Spec, override(data, assignments), "")


def _unresolved(spec: Spec) -> dict[str, Any]:
    data = spec.model_dump(mode="json")
    data["dictionaries"] = [
        {**{key: entry[key] for key in _OWN_KEYS}, **entry["section"]}
        for entry in data["dictionaries"]
    ]
    return data


def _anchored(data: Any, folder: Path) -> Any:
    """Make relative paths absolute where they exist beside the spec's file."""
    if isinstance(data, list):
        return [_anchored(item, folder) for item in data]
    if not isinstance(data, dict):
        return data
    anchored = {key: _anchored(value, folder) for key, value in data.items()}
    for key in ("path", "table", "weights", "checkpoint"):
        value = anchored.get(key)
        if isinstance(value, str) and not Path(value).is_absolute() and (folder / value).exists():
            anchored[key] = str(folder / value)
    return anchored
