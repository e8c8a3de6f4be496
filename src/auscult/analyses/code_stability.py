"""Does a code stand for a note: does it stay when the note begins later, or in company?"""

from typing import ClassVar

import numpy as np
from jaxtyping import Int
from pydantic import Field

from auscult.analyses.base import (
    ANALYSES,
    Analysis,
    Condition,
    Context,
    Judgement,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import (
    DRAWN,
    NOTHING_TO_MEASURE,
    OWN,
    Gathered,
    page,
    untested,
    verdict_of,
)
from auscult.analyses.parts.codecs.code_reading import CodeParams, at_level, code_readers
from auscult.blocks import Axis, Block, Curve, Series
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.measures.code_hearing import CodeReader, pairs_of_notes, steady_codes, steady_notes
from auscult.measures.codes import agreement, mixture_codes

_OTHER, _COMMONEST, _CROSSED = (
    "another note",
    "commonest code",
    "codes of other notes",
)
_FORETOLD = "mixture's code foretold by its parts'"
_MIDDLE_OCTAVE, _BRIGHT = 4, 1


class CodeStabilityParams(CodeParams):
    """Settings of the test of codes."""

    n_shifts: int = Field(8, ge=2)
    """Delays, from 0 to one hop, at which a note is coded again."""
    n_pairs: int = Field(48, ge=4)
    """Pairs of notes whose sum is coded."""


@ANALYSES.register("code-stability")
class CodeStability(Analysis):
    """The same note a few samples later, and two notes at once, level by level.

    Notes are steady: whatever changes their codes is the place of the frame or the company.
    """

    Params: ClassVar[type[Config]] = CodeStabilityParams
    title: ClassVar[str] = "Stability of codes"
    question: ClassVar[str] = "Does a note keep its codes, when it begins later or has company?"
    source: ClassVar[str] = "METHODS B-9 (Cosme-Clifford, Post 0, the discretised latent space)"

    @classmethod
    def controls(cls, params: CodeStabilityParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Nothing to record: both weights hear notes that are made here."""
        return ()

    def run(self, context: Context, params: CodeStabilityParams) -> Result:
        """Code notes at every delay and in pairs, under both weights."""
        found = Gathered()
        try:
            readers = code_readers(context)
            shifts = _place(context, params, readers, found)
            context.advance(0.5)
            _company(context, params, readers, found)
        except NOTHING_TO_MEASURE as error:
            sentence = "Whether codes stand for notes cannot be told."
            told = untested(
                sentence, str(error), "", "codes kept", context.taps[0], (DRAWN, _OTHER)
            )
            return Result((told.measurement,), facts={"levels": 0}, judgements=(told,))
        found.arrays["shifts"] = shifts
        return found.result({"levels": len(found.arrays[f"place/{OWN}"])})

    def view(self, result: Result) -> list[Block]:
        """Findings, agreement over delays, and how well mixtures are foretold by level."""
        if not result.facts["levels"]:
            return page(result, _READING, [])
        return page(result, _READING, [_place_picture(result), _company_picture(result)])


_READING = (
    "A code that stands for a note stays when the note begins a few samples later: the sound is "
    "the same, only the frames' places within its period and its start differ. What another note "
    "shares at the same delay is what equal codes are worth. Where codes are parts of a sound, the "
    "code of two notes is foretold by the codes of each: a decision tree learns it on some pairs "
    "and is judged on others; codes of other notes, and the commonest code, are its controls."
)


def _n_samples(context: Context, params: CodeStabilityParams) -> int:
    model = context.model()
    return model.probe_samples or round(params.note_seconds * model.sample_rate)


def _delayed(
    reader: CodeReader, waves: np.ndarray, shifts: np.ndarray
) -> Int[np.ndarray, "note shift level frame"]:
    """Codes of notes, each begun a few samples later; all are cut to one length."""
    longest = int(shifts.max())
    n = waves.shape[1] - longest
    cut = [waves[:, longest - int(s) : longest - int(s) + n] for s in shifts]
    return np.stack([steady_codes(reader, one) for one in cut], axis=1)


def _place(
    context: Context, params: CodeStabilityParams, readers: dict[str, CodeReader], found: Gathered
) -> np.ndarray:
    """Whether a note keeps its codes when it begins a few samples later."""
    hop = int(readers[OWN].time.hop)
    shifts = np.unique(np.linspace(0, hop, params.n_shifts).round().astype(np.int64))
    n_samples = _n_samples(context, params)
    length = n_samples if context.model().probe_samples else n_samples + hop
    notes = steady_notes(context.model().sample_rate, length, context.seed)
    waves = notes.waves[(notes.octave == _MIDDLE_OCTAVE) & (notes.timbre == _BRIGHT)]
    told = {
        name: agreement(_delayed(reader, waves, shifts), shifts) for name, reader in readers.items()
    }
    levels = min(params.n_levels, len(told[OWN].same))
    moved = slice(1, None)
    for level in range(levels):
        value = float(told[OWN].same[level, moved].mean())
        controls = {
            _OTHER: float(told[OWN].other[level, moved].mean()),
            DRAWN: float(told[DRAWN].same[level, moved].mean()),
        }
        one = Measurement(
            "codes kept when a note begins later", value, "", controls, tap=at_level(level)
        )
        if level:
            found.measurements.append(one)
            continue
        stays = value > 0.9
        found.add(
            Judgement(
                f"A note begun up to a hop later keeps {value:.0%} of its first codes.",
                one,
                "holds" if stays and controls[_OTHER] < value - 0.2 else "does not hold",
                "Codes stand for notes, not for places in time, when 90 % stay, and another "
                "note shares at least 20 points fewer.",
            )
        )
    found.arrays |= {f"place/{name}": one.same[:levels] for name, one in told.items()} | {
        f"place/{_OTHER}": told[OWN].other[:levels]
    }
    return shifts


def _company(
    context: Context, params: CodeStabilityParams, readers: dict[str, CodeReader], found: Gathered
) -> None:
    """Whether the code of two notes follows from the codes of each."""
    rate, n_samples = context.model().sample_rate, _n_samples(context, params)
    pairs = list(pairs_of_notes(params.n_pairs, rate, n_samples, context.seed))
    first, second = (np.stack([pair[i] for pair in pairs]) for i in range(2))
    heard = {
        name: [steady_codes(reader, waves) for waves in (first, second, first + second)]
        for name, reader in readers.items()
    }
    _, n_levels, n_frames = heard[OWN][0].shape
    levels = min(params.n_levels, n_levels)
    ids = np.repeat(np.arange(len(pairs)), n_frames)
    for level in range(levels):
        told = {}
        for name, parts in heard.items():
            a, b, both = (part[:, level].ravel() for part in parts)
            told[name] = mixture_codes(a, b, both, ids, named_rng(context.seed, "company", level))
        own = told[OWN]
        controls = {
            _CROSSED: own.shuffled,
            _COMMONEST: own.majority,
            DRAWN: told[DRAWN].accuracy,
        }
        one = Measurement(_FORETOLD, own.accuracy, "", controls, tap=at_level(level))
        if level:
            found.measurements.append(one)
            continue
        nulls = [own.shuffled, own.majority]
        found.add(
            Judgement(
                f"The first code of two notes follows from their own in {own.accuracy:.0%} of "
                "frames.",
                one,
                verdict_of(own.accuracy, nulls, "more", 0.05),
                "A decision tree on unseen pairs; it holds when it beats codes of other notes and "
                "the commonest code by 5 points.",
            )
        )


def _place_picture(result: Result) -> Curve:
    levels = min(3, result.facts["levels"])
    own, other = result.arrays[f"place/{OWN}"], result.arrays[f"place/{_OTHER}"]
    drawn = result.arrays[f"place/{DRAWN}"]
    series = [Series(at_level(level), own[level]) for level in range(levels)]
    series.append(Series("level 1, another note", other[0], control=True))
    series.append(Series(f"level 1, {DRAWN}", drawn[0], control=True))
    x = result.arrays["shifts"].astype(np.float64)
    axes = (Axis("the note begins later by", "samples"), Axis("share of codes kept"))
    return Curve("Does a note keep its codes?", x, tuple(series), *axes)


def _company_picture(result: Result) -> Curve:
    rows = [one for one in result.measurements if one.name == _FORETOLD]
    names = ("this codec", _CROSSED, _COMMONEST, DRAWN)
    values = [[one.value, *(one.controls[name] for name in names[1:])] for one in rows]
    series = tuple(
        Series(name, column, control=i > 0)
        for i, (name, column) in enumerate(zip(names, np.array(values).T, strict=True))
    )
    x = np.arange(1, len(rows) + 1, dtype=np.float64)
    axes = (Axis("level"), Axis("share of frames foretold"))
    return Curve("Is the code of two notes told by the codes of each?", x, series, *axes)
