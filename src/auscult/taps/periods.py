"""From what frames hear to a time base: supports repeat after a period, moved by a constant."""

from fractions import Fraction
from itertools import pairwise

import torch

from auscult.core.errors import AuscultError, TapError
from auscult.core.timebase import TimeBase
from auscult.models.base import AudioModel
from auscult.taps.point import ResolvedTap
from auscult.taps.support import Reading, Support, hop_from_lengths, read, supports

_WINDOWS = (6, 24, 96, 272, 544)
_FEW = 24
_FEWEST = 8


def reaches(reading: Reading) -> bool:
    """Whether the middle frame of the middle piece, or one beside it, hears anything."""
    n_items, n_frames = reading.frames.shape[:2]
    middle = n_items // 2 * n_frames + n_frames // 2
    nearby = [frame for frame in (middle, middle - 1, middle + 1) if 0 <= frame < reading.n_frames]
    return bool(supports(reading, nearby))


def regular_time(reading: Reading, sample_rate: int, n_samples: int) -> TimeBase | None:
    """Look for a period in what neighbouring frames hear, over wider and wider windows.

    The windows lie in the middle of the clip, clear of both ends; the last frame tells where the
    end is, which no frame may quite reach.
    """
    n_frames = reading.n_frames
    end = min([n_samples - 1, *(support.last for support in supports(reading, [n_frames - 1]))])
    for width in _WINDOWS:
        start = max(0, (n_frames - width) // 2)
        heard = supports(reading, list(range(start, min(n_frames, start + width))))
        clear = [support for support in heard if support.last < end]
        found = _periodic(clear, sample_rate)
        if found is not None and _fits_elsewhere(reading, found):
            return found
        same = sum(a.last == b.last for a, b in pairwise(clear))
        if n_frames <= _FEW and width >= n_frames:
            return _one_sided(heard, end, sample_rate)
        if n_frames > _FEW and (len(clear) < 4 or (width > 6 and same < len(clear) // 2)):
            # Wider windows help only where several frames in a row hear the same.
            return None
    return None


def _one_sided(heard: list[Support], end: int, sample_rate: int) -> TimeBase | None:
    """Join where early frames end and where late frames begin, when none is clear of both ends."""
    begins = [support for support in heard if support.first > 0]
    ends = [support for support in heard if support.last < end]
    steps = {b.first - a.first for a, b in pairwise(begins)}
    steps |= {b.last - a.last for a, b in pairwise(ends)}
    if min(len(begins), len(ends)) < 3 or len(steps) != 1 or (step := steps.pop()) <= 0:
        return None
    hop = Fraction(step)
    low, high = begins[0].first - begins[0].frame * hop, ends[0].last - ends[0].frame * hop
    return TimeBase(sample_rate, hop, (low + high) / 2, high - low + 1)


def _fits_elsewhere(reading: Reading, time: TimeBase) -> bool:
    """Whether frames far from the window hear nothing but what the time base says.

    A network that repeats a short clip has frames as regular as any, whose places are in a copy;
    and a narrow window may hold fewer frames than a period has.
    """
    reach = (time.span - 1) / 2
    n_frames = reading.n_frames
    for support in supports(reading, [n_frames // 4, n_frames // 2, 3 * n_frames // 4]):
        centre = time.centre(support.frame)
        if support.last > centre + reach and centre - reach > 0:
            return False
        if not time.unbounded_past and (support.first < centre - reach or centre + reach < 0):
            return False
    return True


def _periodic(heard: list[Support], sample_rate: int) -> TimeBase | None:
    """The time base of supports that repeat every few frames, shifted by a constant."""
    inner = [support for support in heard if support.first > 0]
    if len(inner) >= 3 and (found := _period({s.frame: (s.first, s.last) for s in inner})):
        frames_apart, samples_apart = found
        hop = Fraction(samples_apart, frames_apart)
        low = min(support.first - support.frame * hop for support in inner)
        high = max(support.last - support.frame * hop for support in inner)
        return TimeBase(sample_rate, hop, (low + high) / 2, high - low + 1)
    if len(heard) >= 4 and (found := _period({s.frame: (s.last, s.last) for s in heard})):
        frames_apart, samples_apart = found
        hop = Fraction(samples_apart, frames_apart)
        high = max(support.last - support.frame * hop for support in heard)
        return TimeBase(sample_rate, hop, high, unbounded_past=True)
    return None


def _period(ends: dict[int, tuple[int, int]]) -> tuple[int, int] | None:
    """The shortest period, in frames, after which both ends have moved by one and the same amount.

    Behind a transposed convolution some frames may hear nothing; those too must repeat.
    """
    first, last = min(ends), max(ends)
    for period in range(1, (last - first + 1) // 2 + 1):
        pairs = [(frame, frame + period) for frame in range(first, last - period + 1)]
        if any((a in ends) != (b in ends) for a, b in pairs):
            continue
        both = [(ends[a], ends[b]) for a, b in pairs if a in ends]
        steps = {later[side] - earlier[side] for earlier, later in both for side in (0, 1)}
        if len(both) >= 2 and len(steps) == 1 and (step := steps.pop()) > 0:
            return period, step
    return None


def hears_all(support: Support, n_frames: int, n_samples: int) -> bool:
    """Whether a frame hears all of a clip but a rest that is too short for one more frame.

    A convolution without padding leaves such a rest. Of one vector for the whole clip it is not
    known how many frames it was made of: more than seven.
    """
    rest = n_samples - 1 - support.last
    return support.first == 0 and rest * max(n_frames, _FEWEST) < n_samples


def whole_clip_time(
    model: AudioModel, tap: ResolvedTap, reading: Reading, n_samples: int
) -> TimeBase | None:
    """The time base of frames that all hear everything; None when they do not."""
    n_frames = reading.n_frames
    some = sorted({n_frames // 4, n_frames // 2, 3 * n_frames // 4, n_frames - 1})
    heard = supports(reading, some)
    if not heard or not all(hears_all(support, n_frames, n_samples) for support in heard):
        return None

    def count(length: int) -> int:
        with torch.no_grad():
            return read(model, tap, length).n_frames

    near = Fraction(n_samples, n_frames)
    try:
        hop = hop_from_lengths(count, n_samples, near) if not model.probe_samples else near
    except (AuscultError, RuntimeError, ValueError):
        hop = near
    return TimeBase(model.sample_rate, hop, (hop - 1) / 2, max(hop, Fraction(1)), global_=True)


def folded_time(
    model: AudioModel, tap: ResolvedTap, reading: Reading, n_samples: int
) -> TimeBase | None:
    """The time base of frames folded into the batch, if they follow one another evenly.

    What a piece hears must move by one amount from piece to piece, the same at another length of
    clip, and the frames within a piece must move by their share of it. None when the clip is too
    short to tell.

    Raises:
        TapError: They do not.
    """
    found = _fold_time(reading, model.sample_rate, n_samples)
    if found is None and reading.n_items < 6:
        return None
    if found is not None and _moves_evenly(model, tap, reading, *found):
        longer = read(model, tap, n_samples + n_samples // 3)
        again = _fold_time(longer, model.sample_rate, n_samples + n_samples // 3)
        if again is not None and again[0].hop == found[0].hop:
            return found[0]
    raise TapError(
        f"{tap.address} holds {reading.n_items} pieces of a clip in its batch axis, which do not "
        f"follow one another evenly: they overlap, or their places depend on the clip's length"
    )


def _fold_time(reading: Reading, sample_rate: int, n_samples: int) -> tuple[TimeBase, int] | None:
    """Compare frames of two neighbouring pieces in the middle.

    Also how many samples a piece hears.
    """
    n_items, n_frames = reading.frames.shape[:2]
    middle = (n_frames // 3, n_frames // 2)
    every = sorted({*range(n_frames)[:2], *middle, *range(n_frames)[-2:]})
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
    """Whether the frames within a piece move by one hop each.

    They do where pieces abut: what they hear then is as long as the way from one to the next, or a
    little longer. Where not, a sound that is shifted by one hop must shift the frames by one, and
    other shifts must fit less well.
    """
    n_samples = reading.sound.shape[-1]
    frames = reading.frames.detach()
    n_frames = frames.shape[1]
    if n_frames == 1 or time.hop.denominator != 1:
        return n_frames == 1
    hop = int(time.hop)
    if Fraction(15, 16) <= Fraction(width, hop * n_frames) <= Fraction(5, 4):
        return True

    def agreement(shift: int) -> float:
        later = read(model, tap, n_samples, shift=shift).frames.detach()
        n_items = min(len(frames), len(later))
        pair = [frames[:n_items, 1:], later[:n_items, :-1]]
        centred = [(one - one.mean(0, keepdim=True)).flatten() for one in pair]
        return float(torch.corrcoef(torch.stack(centred))[0, 1])

    shifts = {0, hop // 2, hop + 1, 3 * hop // 2, 2 * hop, round(Fraction(width, n_frames))}
    return agreement(hop) > 0.02 + max(agreement(shift) for shift in shifts - {hop})
