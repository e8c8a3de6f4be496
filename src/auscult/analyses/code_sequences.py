"""What do the codes of a quantiser say about the codes that come next?"""

from typing import ClassVar

import numpy as np
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
    in_turn,
    page,
    untested,
    verdict_of,
)
from auscult.analyses.parts.codecs.code_order import (
    SHUFFLED,
    SURROGATE,
    Read,
    Stretches,
    figures,
    noise_like,
    read_level,
    stretches_of,
)
from auscult.analyses.parts.codecs.code_reading import at_level, code_readers
from auscult.analyses.parts.codecs.order_pictures import (
    entropy_picture,
    matrix,
    moments,
    transition_table,
)
from auscult.analyses.parts.reading import spread_over_recordings
from auscult.blocks import Block
from auscult.core.config import Config
from auscult.core.errors import NothingToMeasureError
from auscult.core.rng import named_rng
from auscult.measures.code_sequences import told_interval

_NOISE = "white noise"
_ONE = "share of the next code's entropy that the code before removes"
_TWO = "further share that the code before that one removes"
_MOSTLY_ONCE = 0.9
_ONCE = "More than nine in ten of its different {} were met once only: read more sound."


class CodeSequencesParams(Config):
    """Settings of the analysis of sequences of codes."""

    n_levels: int = Field(8, ge=1)
    """Levels that are read, from the first on."""
    n_clips: int = Field(120, ge=3)
    """Clips that are read, spread over the recordings."""
    repeats: int = Field(5, ge=2)
    """Shuffled orders, and other orders of the same transitions, that are averaged."""
    margin: float = Field(0.05, gt=0)
    """By how much the first share must exceed every control."""
    margin_further: float = Field(0.02, gt=0)
    """By how much the further share must."""
    n_shown: int = Field(20, ge=2)
    """Codes in the picture of transitions."""


@ANALYSES.register("code-sequences")
class CodeSequences(Analysis):
    """Entropy of codes alone and given those before, level by level, and commonest transitions.

    Entropies are corrected for bias (Chao, Wang and Jost). Read against the order shuffled within
    clips, other orders of the very same transitions, white noise and random weights.
    """

    Params: ClassVar[type[Config]] = CodeSequencesParams
    title: ClassVar[str] = "Sequences of codes"
    question: ClassVar[str] = "What do a quantiser's codes say about the codes that come next?"
    source: ClassVar[str] = "METHODS B-9.7 (Cosme-Clifford, Post 1, closing sentence)"

    @classmethod
    def controls(cls, params: CodeSequencesParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """Nothing to record: both weights hear the clips, and noise, anew."""
        return ()

    def run(self, context: Context, params: CodeSequencesParams) -> Result:
        """Count every level."""
        found = Gathered()
        try:
            heard = _heard(context, params)
        except NOTHING_TO_MEASURE as error:
            for name, null in ((_ONE, SHUFFLED), (_TWO, SURROGATE)):
                sentence = "Whether codes say anything about the next cannot be told."
                found.add(untested(sentence, str(error), "", name, context.taps[0], [null]))
            return found.result({"levels": 0})
        levels = min(params.n_levels, len(heard[OWN].codes[0]))
        for level in in_turn(context, range(levels)):
            _level(context, params, heard, level, found)
        return found.result({"levels": levels})

    def view(self, result: Result) -> list[Block]:
        """Findings, entropies over levels, transitions, moments to hear."""
        return page(result, _HOW_TO_READ, [*entropy_picture(result), *result.blocks])


_HOW_TO_READ = (
    "The entropy of a code says how many bits it takes to tell it, alone or once the codes before "
    "it are known. Where order does not matter they are equal; the share that the code before "
    "removes is 0 for any order, 1 where it decides.\n\n"
    "Counted plainly, a large codebook in a small corpus has hardly any pair twice, and everything "
    "looks foretold: entropies here are corrected for what was not seen (Chao, Wang and Jost "
    "2013), the shuffled order tells what error is left, and a level of which nearly all pairs "
    "were seen once is not judged. Neighbouring frames hear some of the same samples, so that "
    "noise has an order as well, and so has a network that learned nothing. Two steps back are "
    "read against other orders of the very same transitions, drawn evenly among all that there "
    "are: what is left beyond them does not follow from one step at a time."
)


def _heard(context: Context, params: CodeSequencesParams) -> dict[str, Stretches]:
    """Codes of clips and of noise.

    Raises:
        NothingToMeasureError: The model tells no codes, or every clip is silent or too short.
    """
    readers = code_readers(context)
    ids = [*context.clip_ids("test"), *context.clip_ids("train")]
    sounds = [context.sound(one) for one in spread_over_recordings(ids, params.n_clips)]
    own = stretches_of(readers[OWN], sounds)
    if not any(one.shape[1] >= 3 for one in own.codes):
        raise NothingToMeasureError("no clip has three frames in a row in which something sounds")
    rng = named_rng(context.seed, "code-sequences", "noise")
    noise = stretches_of(readers[OWN], noise_like(own, readers[OWN], rng))
    return {OWN: own, _NOISE: noise, DRAWN: stretches_of(readers[DRAWN], sounds)}


def _level(
    context: Context,
    params: CodeSequencesParams,
    heard: dict[str, Stretches],
    level: int,
    found: Gathered,
) -> None:
    read: dict[str, Read] = {}
    for name, stretches in heard.items():
        sequences = stretches.at(level)
        rng = named_rng(context.seed, "code-sequences", level, name)
        n_codes = int(max(one.max() for one in sequences if len(one))) + 1
        read[name] = read_level(sequences, n_codes, rng, params.repeats)
    own, where = read[OWN], at_level(level)
    interval = told_interval(own.sequences, heard[OWN].owners, own.n_codes)
    both = _first(params, where, read, interval), _further(params, where, read)
    # First what one code says at every level, then what two do: a page shows alike ones together.
    found.judgements.insert(level, both[0])
    found.judgements.append(both[1])
    found.measurements += [one.measurement for one in both]
    found.measurements += [
        Measurement(name, value, unit, controls, tap=where)
        for name, unit, value, controls in figures(read, OWN)
    ]
    found.arrays[f"order/{level}"] = np.array(
        [own.order.alone, own.order.after_one, own.order.after_two]
    )
    found.arrays[f"nulls/{level}"] = np.array([own.null.after_one, own.surrogate.after_two])
    rng = named_rng(context.seed, "code-sequences", level, "matrix")
    if level == 0:
        found.blocks.append(matrix(where, own, rng, params.n_shown))
    found.blocks.append(transition_table(where, own, folded=level > 0))
    if level == 0:
        found.blocks += moments(context, where, heard[OWN], level, own, rng)


def _first(
    params: CodeSequencesParams,
    where: str,
    read: dict[str, Read],
    interval: tuple[float, float] | None,
) -> Judgement:
    own = read[OWN]
    controls = {SHUFFLED: own.null.told}
    controls |= {name: one.order.told for name, one in read.items() if name != OWN}
    value = own.order.told
    verdict = verdict_of(value, list(controls.values()), "more", params.margin)
    if verdict == "explained by control" and value <= own.null.told + params.margin:
        verdict = "does not hold"
    rule = (
        f"It holds when the share exceeds that of the shuffled order, of noise and of random "
        f"weights by {params.margin:g}; it does not when it exceeds not even the shuffled order. "
        "The interval is a jackknife over recordings."
    )
    one = Measurement(_ONE, value, "", controls, interval, tap=where)
    if own.order.pairs_once > _MOSTLY_ONCE or not np.isfinite(value):
        return Judgement(
            f"{where}: too little was heard to tell what follows what.",
            one,
            "cannot be tested here",
            _ONCE.format("pairs"),
        )
    return Judgement(
        f"{where}: the code before removes {value:.0%} of the {own.order.alone:.1f} bit of the "
        f"next, {own.null.told:.0%} where the order is shuffled.",
        one,
        verdict,
        rule,
    )


def _further(params: CodeSequencesParams, where: str, read: dict[str, Read]) -> Judgement:
    own = read[OWN]
    controls = {SURROGATE: own.surrogate.told_more}
    controls |= {name: one.order.told_more for name, one in read.items() if name != OWN}
    value = own.order.told_more
    one = Measurement(_TWO, value, "", controls, tap=where)
    if own.order.triples_once > _MOSTLY_ONCE or not np.isfinite(value):
        return Judgement(
            f"{where}: too little was heard to tell what two codes say.",
            one,
            "cannot be tested here",
            _ONCE.format("triples"),
        )
    margin = params.margin_further
    verdict = verdict_of(value, list(controls.values()), "more", margin)
    if value <= own.surrogate.told_more + margin:
        verdict = "does not hold"
    return Judgement(
        f"{where}: the code before that one removes {value:.0%} more, "
        f"{own.surrogate.told_more:.0%} in other orders of the same transitions.",
        one,
        verdict,
        f"It holds when it exceeds other orders of the same transitions, noise and random weights "
        f"by {margin:g}: then codes are no chain of single steps.",
    )
