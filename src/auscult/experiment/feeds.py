"""What an entry of the spec is fitted to: vectors of one tap, of two, or of several end to end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auscult.analyses.base import Condition, ControlWeights
from auscult.core.errors import ConfigError, OtherFramesError, UnknownNameError
from auscult.core.timebase import TimeBase
from auscult.dictionaries.joined import JoinedSource
from auscult.experiment.spec import DictionarySpec
from auscult.store.reader import ActivationStore
from auscult.store.source import VectorSource
from auscult.taps.point import TapPoint

Stores = Callable[[str, ControlWeights], ActivationStore]
"""The recording of a tap under some weights, one side of the split."""


@dataclass(frozen=True)
class Feed:
    """Vectors to fit a dictionary to.

    Attributes:
        source: What it reads.
        targets: What it is to give back, frame by frame, if not its vectors.
        widths: Of the parts that are put end to end.
        provenance: What of its provenance follows from the entry.
    """

    source: VectorSource
    targets: VectorSource | None
    widths: tuple[int, ...]
    provenance: Mapping[str, Any]

    def settings(self, reads: str) -> dict[str, Any]:
        """Settings of a type that only the vectors tell."""
        if reads == "target" and self.targets is not None:
            return {"d_out": self.targets.d_in}
        return {"widths": self.widths} if reads == "parts" else {}


def places(entry: DictionarySpec, recorded: Sequence[str]) -> list[str]:
    """Taps at which an entry is fitted: all that are recorded, or those that it names.

    A crosscoder of several taps is fitted once; it is found under the first of them.

    Raises:
        UnknownNameError: One that it names is not recorded.
    """
    named = [entry.tap, entry.target, *entry.taps]
    for tap in named:
        if tap is not None and _address(tap) not in recorded:
            raise UnknownNameError(f"recorded tap for dictionary {entry.name!r}:", tap, recorded)
    if entry.taps:
        return [_address(entry.taps[0])]
    return list(recorded) if entry.tap is None else [_address(entry.tap)]


def check_rates(
    entries: Sequence[DictionarySpec], recorded: Sequence[str], times: Mapping[str, TimeBase]
) -> None:
    """Refuse, before anything is recorded, entries whose taps do not speak frame by frame.

    Raises:
        UnknownNameError: A tap that an entry names is not recorded.
        ConfigError: Two of its taps have other frame rates; both are named.
    """
    for entry in entries:
        places(entry, recorded)
        taps = [_address(tap) for tap in (entry.tap, entry.target, *entry.taps) if tap is not None]
        for other in taps[1:]:
            if times[other].hop != times[taps[0]].hop:
                raise ConfigError(
                    f"dictionary {entry.name!r} puts {taps[0]} beside {other} frame by frame, but "
                    f"they have {_rate(times[taps[0]])} and {_rate(times[other])}: choose taps of "
                    "one frame rate"
                )


def feed_of(entry: DictionarySpec, tap: str, weights: ControlWeights, stores: Stores) -> Feed:
    """The vectors that an entry is fitted to at a tap.

    Args:
        entry: Of the spec.
        tap: One of its :func:`places`.
        weights: Those that are asked for; an entry over several weights has its own.
        stores: Opens recordings.

    Raises:
        ConfigError: Two of its taps keep other frames.
        StoreError: There is nothing to fit to.
    """
    reads = entry.reads
    store = stores(tap, weights)
    if entry.of == "generators":
        return Feed(store.generators(entry.lag), None, (), {})
    if reads == "neighbours":
        reach = (0, entry.lag)
        return Feed(store.windows([0], reach), store.windows([entry.lag], reach), (), {})
    if reads == "target" and entry.target is not None:
        reach = (-entry.context, entry.context)
        around = range(reach[0], reach[1] + 1)
        goal = stores(_address(entry.target), weights)
        source, targets = store.windows([*around], reach), goal.windows([0], reach)
        _joined(entry, [tap, entry.target], [source, targets])
        said = {"target": _address(entry.target), "context": entry.context}
        return Feed(source, targets, (), said)
    if reads == "parts":
        return _parts(entry, tap, weights, stores)
    return Feed(store, None, (), {})


def _parts(entry: DictionarySpec, tap: str, weights: ControlWeights, stores: Stores) -> Feed:
    """Taps times weights, end to end; of recordings of other sizes what all of them have."""
    taps = [_address(part) for part in entry.taps] or [tap]
    names, parts = [], []
    for part in taps:
        for own in entry.weights or (weights,):
            names.append(f"{part}, {own} weights" if entry.weights else part)
            parts.append(stores(part, own))
    shared = set.intersection(*({clip.clip_id for clip in part.clips} for part in parts))
    chosen = [part.select(clip_ids=[c.clip_id for c in part.clips if c.clip_id in shared])
              for part in parts]  # fmt: skip
    widths = tuple(part.d_in for part in chosen)
    return Feed(_joined(entry, names, chosen), None, widths, {"parts": tuple(names)})


def _joined(
    entry: DictionarySpec, names: Sequence[str], parts: Sequence[VectorSource]
) -> JoinedSource:
    try:
        return JoinedSource(parts)
    except OtherFramesError as error:
        raise ConfigError(
            f"dictionary {entry.name!r} puts {' and '.join(names)} beside one another, but their "
            f"recordings keep other frames ({error}): record with the policy all, stride or runs, "
            "and taps with as many frames a clip"
        ) from error


def conditions(entries: Sequence[DictionarySpec]) -> list[Condition]:
    """What must be recorded beside the base condition for crosscoders over several weights."""
    wanted = [own for entry in entries for own in entry.weights if own != "trained"]
    return [Condition(weights=own) for own in dict.fromkeys(wanted)]


def in_words(entry: DictionarySpec, tap: str) -> str:
    """What a dictionary is fitted to, in words."""
    lag = f" at lag {entry.lag}" if entry.of == "generators" or entry.reads == "neighbours" else ""
    taps = " and ".join(entry.taps) or tap
    over = f" under {' and '.join(entry.weights)} weights" if entry.weights else ""
    towards = f" to {entry.target}" if entry.target else ""
    return f"{entry.of}{lag} of {taps}{towards}{over}"


def on_one_pass(entries: Sequence[DictionarySpec]) -> list[list[DictionarySpec]]:
    """Dictionaries of the same vectors, which train on one pass."""
    groups: dict[tuple[object, ...], list[DictionarySpec]] = {}
    for entry in entries:
        paired = entry.of == "generators" or entry.reads == "neighbours"
        joint = (entry.tap, entry.target, entry.context, entry.taps, entry.weights)
        vectors = (entry.of, entry.lag if paired else 1, entry.reads, *joint)
        groups.setdefault(vectors, []).append(entry)
    return list(groups.values())


def _address(tap: str) -> str:
    return str(TapPoint.parse(tap))


def _rate(time: TimeBase) -> str:
    return f"{float(time.frame_rate):.6g} frames/s"
