"""Where the frames of a tap lie in time.

Declared by the model's family, proven against the input gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from weakref import WeakKeyDictionary

import torch

from auscult.core.errors import AuscultError, SilentTapError, TapError
from auscult.core.timebase import TimeBase
from auscult.models.base import AudioModel
from auscult.models.stimulus import harmonic_noise
from auscult.taps.point import ResolvedTap, TapPoint, resolve_one
from auscult.taps.session import check_survey
from auscult.taps.support import (
    Reading,
    Support,
    hop_from_lengths,
    moved_frames,
    read,
    read_from_latents,
    supports,
)

_LONGEST_S = 4.0
_WINDOWS = (6, 24, 96, 272, 544)


@dataclass(frozen=True)
class Measured:
    """A time base and how it was come by.

    Attributes:
        time: The time base of one clip's frames.
        folded: Whether frames lie in the batch axis, and were proven to follow one another evenly.
        declared: Whether the model's family says so; otherwise it was measured.
    """

    time: TimeBase
    folded: bool = False
    declared: bool = False


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
    """Find hop, offset and span from what the gradient of several frames reaches.

    In exact rationals.

    Rectifiers leak and maxima are means while this runs, so that the support is that of the
    architecture. Behind a recurrence the past has no beginning: the span then is 1 and the offset
    the last sample heard. Where every frame hears the whole clip, offset and span tell where most
    of the gradient lies.

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
            return Measured(_from_latents(model, tap))
        except (AuscultError, RuntimeError, ValueError) as error:
            # Shorter than the network's own windows: the next length may do.
            problem = error if isinstance(error, AuscultError) else TapError(str(error))
            continue
        if not _reaches(reading):
            return Measured(_from_latents(model, tap))
        found = _from_reading(model, tap, reading, n_samples)
        if found is not None and (hint is not None or _lasts(model, tap, found.time, lengths[-1])):
            return found
    raise problem or TapError(
        f"the frames of {tap.address} have no regular place in time; what they hear does not move "
        f"evenly from frame to frame"
    )


def _lasts(model: AudioModel, tap: ResolvedTap, time: TimeBase, longest: int) -> bool:
    """Whether frames that heard the whole past or clip still do in the longest one."""
    if not (time.global_ or time.unbounded_past) or model.probe_samples:
        return True
    try:
        reading = read(model, tap, longest)
    except (AuscultError, RuntimeError, ValueError):
        return True
    heard = supports(reading, [reading.n_frames - 1 - reading.n_frames // 8])
    if not heard:
        return True
    return heard[0].first == 0 and (time.unbounded_past or heard[0].last == longest - 1)


def _lengths(model: AudioModel, hint: TimeBase | None) -> Sequence[int]:
    if model.probe_samples:
        return [model.probe_samples]
    longest = int(_LONGEST_S * model.sample_rate)
    first = model.sample_rate // 4
    if hint is not None and not hint.global_:
        first = int(hint.span + 16 * max(hint.hop, 1)) + 1
        longest = max(longest, first)
    lengths = [first]
    while lengths[-1] * 2 <= longest:
        lengths.append(lengths[-1] * 2)
    return lengths


def _reaches(reading: Reading) -> bool:
    """Whether the middle frame of the middle piece, or one beside it, hears anything."""
    n_items, n_frames = reading.frames.shape[:2]
    middle = n_items // 2 * n_frames + n_frames // 2
    nearby = [frame for frame in (middle, middle - 1, middle + 1) if 0 <= frame < reading.n_frames]
    return bool(supports(reading, nearby))


def _from_reading(
    model: AudioModel, tap: ResolvedTap, reading: Reading, n_samples: int
) -> Measured | None:
    if reading.n_frames == 1:
        whole = Fraction(n_samples)
        time = TimeBase(model.sample_rate, whole, (whole - 1) / 2, whole, global_=True)
        return Measured(time)
    if reading.n_items > 1:
        return _folded(model, tap, reading, n_samples)
    time_found = _regular(reading, model.sample_rate, n_samples)
    if time_found is not None:
        return Measured(time_found)
    return _whole_clip(model, tap, reading, n_samples)


def _regular(reading: Reading, sample_rate: int, n_samples: int) -> TimeBase | None:
    """Look for a period in what neighbouring frames hear, over wider and wider windows.

    The window lies late in the clip, where the beginning is out of reach of what is not recurrent.
    """
    for width in _WINDOWS:
        start = max(0, min(reading.n_frames * 2 // 3, reading.n_frames - width))
        heard = supports(reading, list(range(start, min(reading.n_frames, start + width))))
        clear = [support for support in heard if support.last < n_samples - 1]
        found = _periodic(clear, sample_rate)
        if found is not None:
            return found
        if len(clear) < 4 or start == 0:
            # A wider window cannot help where frames hear both ends.
            return None
    return None


def _periodic(heard: list[Support], sample_rate: int) -> TimeBase | None:
    """The time base of supports that repeat every few frames, shifted by a constant."""
    inner = [support for support in heard if support.first > 0]
    if len(inner) >= 3 and (found := _period([s.first for s in inner], [s.last for s in inner])):
        frames_apart, samples_apart = found
        hop = Fraction(samples_apart, frames_apart)
        low = min(support.first - support.frame * hop for support in inner)
        high = max(support.last - support.frame * hop for support in inner)
        return TimeBase(sample_rate, hop, (low + high) / 2, high - low + 1)
    lasts = [support.last for support in heard]
    if len(heard) >= 4 and (found := _period(lasts, lasts)):
        frames_apart, samples_apart = found
        hop = Fraction(samples_apart, frames_apart)
        high = max(support.last - support.frame * hop for support in heard)
        return TimeBase(sample_rate, hop, high, unbounded_past=True)
    return None


def _period(firsts: list[int], lasts: list[int]) -> tuple[int, int] | None:
    """The shortest period after which both sequences have moved by one and the same amount."""
    for period in range(1, max(1, len(lasts) // 2) + 1):
        steps = {b - a for a, b in zip(firsts, firsts[period:], strict=False)}
        steps |= {b - a for a, b in zip(lasts, lasts[period:], strict=False)}
        if len(steps) == 1 and (step := steps.pop()) > 0:
            return period, step
    return None


def _whole_clip(
    model: AudioModel, tap: ResolvedTap, reading: Reading, n_samples: int
) -> Measured | None:
    """The time base of frames that all hear everything; None when they do not."""
    n_frames = reading.n_frames
    some = sorted({n_frames // 4, n_frames // 2, 3 * n_frames // 4, n_frames - 1})
    heard = supports(reading, some)
    if not heard or any(s.first > 0 or s.last < n_samples - 1 for s in heard):
        return None

    def count(length: int) -> int:
        with torch.no_grad():
            return read(model, tap, length).n_frames

    near = Fraction(n_samples, n_frames)
    try:
        hop = hop_from_lengths(count, n_samples, near) if not model.probe_samples else near
    except (AuscultError, RuntimeError, ValueError):
        hop = near
    time = TimeBase(model.sample_rate, hop, (hop - 1) / 2, max(hop, Fraction(1)), global_=True)
    return Measured(time)


def _folded(
    model: AudioModel, tap: ResolvedTap, reading: Reading, n_samples: int
) -> Measured | None:
    """The time base of frames folded into the batch, if they follow one another evenly.

    What a piece hears must move by one amount from piece to piece, the same at another length of
    clip, and the frames within a piece must move by their share of it.
    """
    found = _fold_time(reading, model.sample_rate, n_samples)
    if found is None and reading.n_items < 6:
        return None
    if found is not None and _moves_evenly(model, tap, reading, *found):
        longer = read(model, tap, n_samples + n_samples // 3)
        again = _fold_time(longer, model.sample_rate, n_samples + n_samples // 3)
        if again is not None and again[0].hop == found[0].hop:
            return Measured(found[0], folded=True)
    raise TapError(
        f"{tap.address} holds {reading.n_items} pieces of a clip in its batch axis, which do not "
        f"follow one another evenly: they overlap, or their places depend on the clip's length"
    )


def _fold_time(reading: Reading, sample_rate: int, n_samples: int) -> tuple[TimeBase, int] | None:
    """Compare frames of two neighbouring pieces in the middle.

    Also how many samples a piece hears.
    """
    n_items, n_frames = reading.frames.shape[:2]
    spread = (n_frames // 4, n_frames // 3, n_frames // 2, 3 * n_frames // 4)
    every = sorted({*range(n_frames)[:4], *spread, *range(n_frames)[-4:]})
    for item in (n_items // 2, n_items // 2 - 1):
        frames = [i * n_frames + j for i in (item, item + 1) if 0 <= i < n_items for j in every]
        heard = supports(reading, frames)
        clear = all(s.first > 0 and s.last < n_samples - 1 for s in heard)
        if not clear or len(heard) < 2 * len(every):
            continue
        here, there = heard[: len(every)], heard[len(every) :]
        steps = {b.first - a.first for a, b in zip(here, there, strict=True)}
        steps |= {b.last - a.last for a, b in zip(here, there, strict=True)}
        if len(steps) != 1 or (step := steps.pop()) <= 0:
            return None
        hop = Fraction(step, n_frames)
        low = min(support.first - support.frame * hop for support in heard)
        high = max(support.last - support.frame * hop for support in heard)
        width = max(s.last for s in here) - min(s.first for s in here) + 1
        return TimeBase(sample_rate, hop, (low + high) / 2, high - low + 1), width
    return None


def _moves_evenly(
    model: AudioModel, tap: ResolvedTap, reading: Reading, time: TimeBase, width: int
) -> bool:
    """Whether the frames of a piece shift by one when the sound is shifted by one hop.

    Other shifts must not fit better. Where none fits clearly (each frame hears the whole piece, and
    its place in it only through the padding), the pieces must at least not overlap by much.
    """
    n_samples = reading.sound.shape[-1]
    frames = reading.frames.detach()
    n_frames = frames.shape[1]
    if n_frames == 1 or time.hop.denominator != 1:
        return n_frames == 1

    def agreement(shift: int) -> float:
        later = read(model, tap, n_samples, shift=shift).frames.detach()
        n_items = min(len(frames), len(later))
        pair = [frames[:n_items, 1:], later[:n_items, :-1]]
        centred = [(one - one.mean(0, keepdim=True)).flatten() for one in pair]
        return float(torch.corrcoef(torch.stack(centred))[0, 1])

    hop = int(time.hop)
    shifts = {0, hop // 2, hop + 1, 3 * hop // 2, 2 * hop, round(Fraction(width, n_frames))}
    margin = agreement(hop) - max(agreement(shift) for shift in shifts - {hop})
    overlap = Fraction(width, hop * n_frames)
    return margin > 0.02 or (margin > -0.02 and overlap <= Fraction(5, 4))


def _from_latents(model: AudioModel, tap: ResolvedTap) -> TimeBase:
    """Behind a quantiser no gradient passes: count in latent frames, then place those in time.

    Replacing latent ``k`` moves the outputs a + q·k … b + q·k, so output ``j`` hears the latents
    from (j − b) / q to (j − a) / q: the map of a transposed convolution of stride q.

    Raises:
        TapError: The model is no codec, or outputs do not follow the latents evenly.
    """
    if model.codec is None:
        raise TapError(
            f"nothing that {tap.address} says depends smoothly on the sound, and {model.name} "
            "names no "
            f"encode and decode to start from its latents"
        )
    for n_latents in (48, 96, 192, 384, 768):
        latent_time, latents = _latents(model, n_latents)
        if n_latents > 96 and n_latents * latent_time.hop > _LONGEST_S * model.sample_rate:
            break
        start = latents.shape[-1] // 2
        moved = [
            moved_frames(lambda z: read_from_latents(model, tap, z), latents, position)
            for position in range(start, min(start + 3, latents.shape[-1]))
        ]
        found = _affine([m for m in moved if m is not None], len(moved))
        if found is not None:
            n_frames = read_from_latents(model, tap, latents).shape[0]
            ratio = Fraction(n_frames, latents.shape[-1])
            return _placed(latent_time, found, start, ratio)
    raise TapError(f"the frames of {tap.address} do not follow the latents evenly")


def _placed(latent_time: TimeBase, found: "_Moves", start: int, ratio: Fraction) -> TimeBase:
    """The time base of frames that the latents from ``start`` on move as ``found`` says."""
    hop = latent_time.hop
    if found.everywhere:
        return replace(latent_time, hop=hop / ratio, global_=True)
    per_latent = found.per_latent
    first, last = found.first - per_latent * start, found.last - per_latent * start
    if found.all_later or latent_time.unbounded_past:
        right = _edges(latent_time)[1] + hop * Fraction(-first, per_latent)
        return replace(
            latent_time, hop=hop / per_latent, offset=right, span=Fraction(1), unbounded_past=True
        )
    return replace(
        latent_time,
        hop=hop / per_latent,
        offset=latent_time.offset - hop * Fraction(first + last, 2 * per_latent),
        span=latent_time.span + hop * Fraction(last - first, per_latent),
    )


@dataclass(frozen=True)
class _Moves:
    """First and last frame that the first latent moves, frames per latent.

    And what else it moves.
    """

    first: int
    last: int
    per_latent: int
    all_later: bool = False
    everywhere: bool = False


def _affine(moved: list[tuple[int, int]], n_wanted: int) -> _Moves | None:
    """Whether the moved frames advance evenly from latent to latent, clear of the clip's ends."""
    if not moved or len(moved) < n_wanted:
        return None
    (first, last), *_ = moved
    if len(set(moved)) == 1 and first == 0:
        return _Moves(first, last, 1, everywhere=True)
    steps = {b[0] - a[0] for a, b in zip(moved, moved[1:], strict=False)}
    ends = {b[1] - a[1] for a, b in zip(moved, moved[1:], strict=False)}
    if len(steps) != 1 or (step := steps.pop()) <= 0:
        return None
    if ends not in ({0}, {step}):
        return None
    return _Moves(first, last, step, all_later=ends == {0})


_latent_cache: "WeakKeyDictionary[AudioModel, dict[int, tuple[TimeBase, torch.Tensor]]]" = (
    WeakKeyDictionary()
)


def _latents(model: AudioModel, n_latents: int) -> tuple[TimeBase, torch.Tensor]:
    """The latents of synthetic sound and their place in time."""
    known = _latent_cache.setdefault(model, {})
    if n_latents not in known:
        roles = {tap.role for tap in model.taps()}
        if "latent" not in roles or model.codec is None:
            raise TapError(f"{model.name} has no tap with the role 'latent'")
        time = time_base(model, "latent")
        n_samples = model.probe_samples or int(n_latents * time.hop)
        with torch.no_grad():
            sound = harmonic_noise(model.sample_rate, model.n_channels, n_samples)
            known[n_latents] = time, model.codec.encode(sound)
    return known[n_latents]
