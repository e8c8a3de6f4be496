"""Where the frames of a tap lie in time.

Declared by the model's family, proven against the input gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from weakref import WeakKeyDictionary

import torch

from auscult.core.errors import AuscultError, SilentTapError, TapError
from auscult.core.timebase import TimeBase
from auscult.models.base import AudioModel
from auscult.taps.latents import time_from_latents
from auscult.taps.periods import (
    folded_time,
    hears_all,
    reaches,
    regular_time,
    whole_clip_time,
)
from auscult.taps.point import ResolvedTap, TapPoint, resolve_one
from auscult.taps.session import check_survey
from auscult.taps.support import Reading, read, supports

_LONGEST_S = 4.0


@dataclass(frozen=True)
class Measured:
    """A time base and how it was come by.

    Attributes:
        time: The time base of one clip's frames.
        folded: Whether frames lie in the batch axis, and were proven to follow one another evenly.
        declared: Whether the model's family says so; otherwise it was measured.
        once: Whether there is one frame for the whole clip, however long it is: its hop is that of
            the run's clips, or of the probe where clips have several lengths.
    """

    time: TimeBase
    folded: bool = False
    declared: bool = False
    once: bool = False

    def within(self, n_samples: int | None) -> TimeBase:
        """The time base in a clip of some length; None where the length is not known."""
        if not self.once or n_samples is None:
            return self.time
        return _whole_clip(self.time.sample_rate, n_samples)


@dataclass(frozen=True)
class Verification:
    """A declared time base beside the measured one.

    Attributes:
        declared: What the model's family says.
        measured: What the input gradient says.
        contains: Whether no frame hears anything outside its declared support.
        equal: Whether hop and support are the same.
    """

    declared: TimeBase
    measured: TimeBase
    contains: bool
    equal: bool


_cache: "WeakKeyDictionary[AudioModel, dict[str, Measured]]" = WeakKeyDictionary()


def time_base(model: AudioModel, point: str | TapPoint) -> TimeBase:
    """The time base of a tap: as its family declares it, else measured once and remembered.

    Raises:
        TapError: Its frames have no regular place in time.
    """
    return timing(model, resolve_one(model, point)).time


def timing(model: AudioModel, tap: ResolvedTap) -> Measured:
    """As :func:`time_base`, with how it was come by.

    Raises:
        TapError: Its frames have no regular place in time.
    """
    known = _cache.setdefault(model, {})
    if tap.address not in known:
        declared = model.time_base(tap.tap, tap.point.side)
        if declared is not None:
            known[tap.address] = Measured(declared, declared=True)
        else:
            known[tap.address] = _measured(model, tap, None)
    return known[tap.address]


def measure_time_base(model: AudioModel, point: str | TapPoint) -> TimeBase:
    """Find hop, offset and span, as exact rationals, from what the gradient of some frames reaches.

    Rectifiers leak and maxima are means while this runs, so that the support is that of the
    architecture. Behind a recurrence the past has no beginning: the span then is 1 and the offset
    the last sample heard. Where every frame hears the whole clip only the hop is measured; offset
    and span are those of one hop. What is said once a clip lies in the middle of it.

    Raises:
        TapError: The frames have no regular place in time, or nothing reaches them.
    """
    tap = resolve_one(model, point)
    return _measured(model, tap, model.time_base(tap.tap, tap.point.side)).time


def verify_time_base(model: AudioModel, point: str | TapPoint) -> Verification:
    """Compare what is declared with what the gradient says.

    Raises:
        TapError: Nothing is declared, or nothing can be measured.
    """
    tap = resolve_one(model, point)
    declared = model.time_base(tap.tap, tap.point.side)
    if declared is None:
        raise TapError(
            f"{model.name} declares no time base for {tap.address}; it is always measured"
        )
    measured = _measured(model, tap, declared).time
    return Verification(
        declared, measured, _contains(declared, measured), _is_equal(declared, measured)
    )


def _edges(time: TimeBase) -> tuple[Fraction, Fraction]:
    reach = (time.span - 1) / 2
    return time.offset - reach, time.offset + reach


def _contains(declared: TimeBase, measured: TimeBase) -> bool:
    if measured.global_ or declared.global_:
        return declared.global_
    (first, last), (heard_first, heard_last) = _edges(declared), _edges(measured)
    past = declared.unbounded_past or (not measured.unbounded_past and first <= heard_first)
    return past and heard_last <= last and declared.hop == measured.hop


def _is_equal(declared: TimeBase, measured: TimeBase) -> bool:
    if declared.global_ or measured.global_:
        return declared.global_ and measured.global_
    flags = declared.unbounded_past == measured.unbounded_past
    if declared.unbounded_past:
        return flags and declared.hop == measured.hop and _edges(declared)[1] == _edges(measured)[1]
    return flags and (declared.hop, _edges(declared)) == (measured.hop, _edges(measured))


@torch.inference_mode(False)
def _measured(model: AudioModel, tap: ResolvedTap, hint: TimeBase | None) -> Measured:
    """Try longer and longer clips until enough frames lie clear of both ends."""
    check_survey(model, [tap])
    problem: AuscultError | None = None
    lengths = _lengths(model, hint)
    for n_samples in lengths:
        try:
            reading = read(model, tap, n_samples)
        except SilentTapError:
            if model.codec is None:
                raise
            return _behind_the_quantiser(model, tap, hint)
        except (AuscultError, RuntimeError, ValueError) as error:
            # Shorter than the network's own windows: the next length may do.
            problem = error if isinstance(error, AuscultError) else TapError(str(error))
            continue
        if not reaches(reading):
            if model.codec is not None:
                return _behind_the_quantiser(model, tap, hint)
            problem = TapError(
                f"nothing that {tap.address} says depends smoothly on the sound; behind a "
                f"quantiser, name the codec: encode, quantise and decode of [model]"
            )
            continue
        found = _from_reading(model, tap, reading, n_samples)
        if found is not None and (
            hint is not None or _lasts(model, tap, found, n_samples, lengths[-1])
        ):
            return found
    raise problem or TapError(
        f"the frames of {tap.address} have no regular place in time: what they hear does not move "
        f"evenly from frame to frame; a network that repeats or windows its input may do so for a "
        f"clip of the length it takes at once (probe_samples)"
    )


def _lasts(
    model: AudioModel, tap: ResolvedTap, found: Measured, n_samples: int, longest: int
) -> bool:
    """Whether what was found in a clip also holds in a longer one.

    Frames that heard the whole past or clip must still do in the longest; those that did not must
    not hear more in one of twice the length (a kernel with wide gaps may begin before the clip);
    and a clip's only frame must stay the only one.
    """
    if model.probe_samples:
        return True
    time = found.time
    endless = time.global_ or time.unbounded_past
    try:
        reading = read(model, tap, longest if endless else 2 * n_samples)
    except (AuscultError, RuntimeError, ValueError):
        return True
    if found.once and reading.n_frames > 1:
        return False
    last = reading.n_frames - 1 - reading.n_frames // 8
    for support in supports(reading, [last]):
        if time.unbounded_past:
            return support.first == 0
        if time.global_:
            return hears_all(support, reading.n_frames, longest)
        low, high = _edges(time)
        centre = support.frame * time.hop
        return support.first >= low + centre and support.last <= high + centre
    return True


def _lengths(model: AudioModel, hint: TimeBase | None) -> Sequence[int]:
    if model.probe_samples:
        return [model.probe_samples]
    longest = int(_LONGEST_S * model.sample_rate)
    first = model.sample_rate // 4
    if hint is not None and not hint.global_:
        first = int(hint.span + 16 * max(hint.hop, Fraction(1))) + 1
        longest = max(longest, first)
    lengths = [first]
    while lengths[-1] * 2 <= longest:
        lengths.append(lengths[-1] * 2)
    return lengths


def _from_reading(
    model: AudioModel, tap: ResolvedTap, reading: Reading, n_samples: int
) -> Measured | None:
    if reading.n_frames == 1:
        length = model.clip_samples or n_samples
        return Measured(_whole_clip(model.sample_rate, length), once=True)
    if reading.n_items > 1:
        folded = folded_time(model, tap, reading, n_samples)
        return None if folded is None else Measured(folded, folded=True)
    found = regular_time(reading, model.sample_rate, n_samples)
    found = found or whole_clip_time(model, tap, reading, n_samples)
    return None if found is None else Measured(found)


def _whole_clip(sample_rate: int, n_samples: int) -> TimeBase:
    whole = Fraction(n_samples)
    return TimeBase(sample_rate, whole, (whole - 1) / 2, whole, global_=True)


def _behind_the_quantiser(model: AudioModel, tap: ResolvedTap, hint: TimeBase | None) -> Measured:
    """The time base of a tap that no gradient connects with the sound.

    Raises:
        TapError: The model is no codec that has a tap with the role ``latent``.
    """
    roles = {known.role for known in model.taps()}
    if model.codec is None or "latent" not in roles or tap.point.path == "latent":
        raise TapError(
            f"nothing that {tap.address} says depends smoothly on the sound, and {model.name} "
            f"names no encode and decode to start from its latents"
        )
    latent_time = timing(model, resolve_one(model, "latent")).time
    longest = int(_LONGEST_S * model.sample_rate)
    return Measured(time_from_latents(model, tap, latent_time, hint, longest))
