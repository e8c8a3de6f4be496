"""Does silencing the neurons of a class harm it more than silencing neurons like them?"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from auscult.analyses.base import (
    ANALYSES,
    Analysis,
    Condition,
    Context,
    Judgement,
    Measurement,
    Result,
)
from auscult.analyses.parts.answering import NOTHING_TO_MEASURE, Gathered, page, untested
from auscult.analyses.parts.neurons.ablation_pictures import HOW_TO_READ, pictures
from auscult.analyses.parts.neurons.ablation_study import AblationStudy, NeuronAblationParams
from auscult.blocks import Block, Missing, Verdict
from auscult.core.config import Config
from auscult.measures.ablation import lower_share
from auscult.measures.statistics import bootstrap_interval, holm, mcnemar

RANDOM, NEXT = "matched random sets", "next indices (published control)"
_WHERE = "all neuron taps"
_NAN = float("nan")
_PUBLISHED = "−1.51 pp anger against −0.38 pp, 265 clips; jazz and classical 0 (AAPE's code)"


@ANALYSES.register("neuron-ablation")
class NeuronAblation(Analysis):
    """Silence, replace, attenuate and amplify the neurons of each class during the forward pass.

    A linear head on clip embeddings is trained once and kept; the whole matrix of silenced and
    measured class, gains, stretches of time, other selectors, and a head that is trained anew.
    Beside each: random sets of the same layers and firing rates, and the neighbours in index that
    were published as a random control.
    """

    Params: ClassVar[type[Config]] = NeuronAblationParams
    title: ClassVar[str] = "Silenced neurons"
    question: ClassVar[str] = (
        "Does silencing the neurons of a class harm it more than silencing neurons like them?"
    )
    source: ClassVar[str] = "METHODS D-5 (arXiv 2602.15307 and its evaluation code)"
    version: ClassVar[int] = 2

    @classmethod
    def controls(cls, params: NeuronAblationParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """The controls are other sets of the same network's neurons."""
        return ()

    def run(self, context: Context, params: NeuronAblationParams) -> Result:
        """Train the head, silence, compare."""
        found = Gathered()
        try:
            study = AblationStudy.begin(context, params)
        except NOTHING_TO_MEASURE as error:
            told = "Whether silencing harms a class cannot be told."
            name = "change of a class's accuracy when its neurons are silenced"
            found.add(untested(told, str(error), "AA-04", name, _WHERE, [RANDOM, NEXT], _PUBLISHED))
            return found.result({"reason": str(error)})
        study.measure(context)
        found.judgements.append(_judged(study))
        found.measurements += _numbers(study)
        found.arrays |= study.arrays()
        return found.judged_first(study.facts())

    def view(self, result: Result) -> list[Block]:
        """The finding, effect matrix, dose and response, random sets."""
        if result.facts["reason"]:
            missing = Missing("Silenced neurons", result.facts["reason"])
            return page(result, HOW_TO_READ, [missing])
        return page(result, HOW_TO_READ, pictures(result))


def _judged(study: AblationStudy) -> Judgement:
    before, after, where = study.pooled("zero")
    value, _ = study.over_classes("zero")
    random = study.arrays()["random"]
    means = random[:, :, 0].mean(0)
    beside, _ = study.over_classes("next, gain 0")
    controls = {
        RANDOM: float(means.mean()),
        f"{RANDOM}, 5th percentile": float(np.quantile(means, 0.05)),
        NEXT: beside,
    }
    change = 100 * (after.astype(float) - before.astype(float))
    interval = bootstrap_interval(change, study.recordings[where], study.rng)
    name = "change of a class's accuracy when its neurons are silenced"
    measured = Measurement(name, value, "pp", controls, interval, _PUBLISHED, _WHERE)
    p_pair = mcnemar(before, after)
    p_random = lower_share(float(np.mean(study.arrays()["targeted"])), random[:, :, 1].mean(0))
    verdict: Verdict = "does not hold"
    if p_random < 0.05 and p_pair < 0.05 and value < 0:
        verdict = "holds"
    elif p_random >= 0.05 and value < 0:
        verdict = "explained by control"
    return Judgement(
        f"{study.task.title}: silencing a class's neurons changes its accuracy by {value:+.1f} pp "
        f"(McNemar p = {p_pair:.2g}, {len(where)} clips); {p_random:.0%} of matched random sets "
        f"harm the class as selectively.",
        measured,
        verdict,
        "It holds when the accuracy falls (McNemar, exact, 5 %), and the fall of the class's "
        "log-probability less that of other classes exceeds that of 95 % of random sets matched "
        "for layer and firing rate, averaged over classes.",
        "AA-04",
    )


def _numbers(study: AblationStudy) -> list[Measurement]:
    found = []
    for what in dict.fromkeys(what for what, _ in study.after if not what.startswith("next")):
        accuracy, cross = study.over_classes(what)
        beside = f"next, {what}" if what.startswith("gain") else "next, gain 0"
        controls = study.over_classes(beside)
        found += [
            Measurement(f"own accuracy, {what}", accuracy, "pp", {NEXT: controls[0]}, tap=_WHERE),
            Measurement(
                f"own log-probability less others', {what}", cross, "nat", {NEXT: controls[1]},
                tap=_WHERE,
            ),
        ]  # fmt: skip
    found.append(
        Measurement(
            "own accuracy with the head trained anew, mean over classes",
            float(np.nanmean(study.retrained)) if np.isfinite(study.retrained).any() else _NAN, "",
            {"nothing silenced": float(study.before.right.mean())}, tap=_WHERE,
        )
    )  # fmt: skip
    if study.random:
        keys: Sequence[int] = sorted(study.random)
        p_values = np.array([lower_share(study.same_clips[k], study.random[k][:, 1]) for k in keys])
        found.append(
            Measurement(
                "classes harmed more selectively than by matched random sets (Holm, 5 %)",
                float((holm(p_values) < 0.05).sum()), f"of {len(study.classes)}",
                {"expected by chance": 0.05}, tap=_WHERE,
            )
        )  # fmt: skip
    return found
