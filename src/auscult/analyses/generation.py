"""When does a generator make up its mind, and about what first?"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from auscult.analyses.base import ANALYSES, Analysis, Condition, Context, Result
from auscult.analyses.parts.answering import NOTHING_TO_MEASURE, Gathered, page
from auscult.analyses.parts.concepts.labelling import PUBLISHED, ConceptParams
from auscult.analyses.parts.generation.claims import PLACES, measured, order_judged, trusted, untold
from auscult.analyses.parts.generation.course import (
    Course,
    Taught,
    follow,
    make_prompts,
    steps_of,
    taught,
)
from auscult.analyses.parts.generation.page import pictures, sounding
from auscult.blocks import Block
from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.measures.convergence import (
    MEASURES,
    THRESHOLD,
    Lead,
    convergence_step,
    leads,
    s_end,
    settled,
)
from auscult.measures.probes import ProbeSettings


class GenerationParams(ConceptParams):
    """Settings."""

    concepts: tuple[str | dict[str, Any], ...] = Field(
        (*PUBLISHED, "harmonic-to-noise"), min_length=1
    )
    """Which concepts: a type, or a section with a type and its settings."""
    family: Literal["linear", "hidden"] = "linear"
    """Kind of probe. Latents that carry the phase of a wave say its loudness and brightness by
    their size and not by their direction: a linear probe cannot read that, one hidden layer can."""
    n_prompts: int = Field(64, ge=1)
    """Prompts; fewer than 30 make wide intervals."""
    texts: tuple[str, ...] = ()
    """What to ask for in words; none: a grid over wishes."""
    wishes: dict[str, list[str | int | float]] = {}
    """Values to ask for, by wish; of a wish that is not named, all that the generator takes."""
    open: tuple[str, ...] = ()
    """Wishes that are left to the generator."""
    n_listened: int = Field(11, ge=3)
    """Steps, evenly spread, whose clean estimates are decoded and listened to."""
    threshold: float = Field(THRESHOLD, gt=0, lt=1)
    """A concept has settled when this share of its way is behind it for good."""
    most_vectors: int = Field(4_000, ge=100)
    """Clean latents to train probes on, and as many to judge them on."""
    n_shown: int = Field(4, ge=1)
    """Prompts that can be seen and heard step by step."""


@ANALYSES.register("generation")
class Generation(Analysis):
    """How concepts take shape over the steps of a flow or a diffusion.

    Probes of the codec's clean latents read every state and every one-step clean estimate;
    estimators listen to decoded clean estimates. The null is the straight line between each
    prompt's noise and its result, on which nothing settles but by the geometry of the probes.
    """

    Params: ClassVar[type[Config]] = GenerationParams
    title: ClassVar[str] = "Making up its mind"
    question: ClassVar[str] = "Which concepts settle first while a sound is generated?"
    source: ClassVar[str] = "METHODS C-8 (arXiv 2510.23802)"
    version: ClassVar[int] = 3

    @classmethod
    def controls(cls, params: GenerationParams) -> tuple[Condition, ...]:  # noqa: ARG003
        """None are recorded: the null is made of each prompt's own noise and result."""
        return ()

    def run(self, context: Context, params: GenerationParams) -> Result:
        """Follow every prompt from noise to sound."""
        found = Gathered()
        try:
            model, generator = steps_of(context)
            prompts = make_prompts(
                generator, params.n_prompts, params.texts, params.wishes, params.open, context.seed
            )
            settings = ProbeSettings(
                family=params.family, n_most=params.most_vectors, n_most_chosen_on=4_000
            )
            teaching = taught(context, generator.latent, params.concepts, settings)
        except NOTHING_TO_MEASURE as error:
            found.add(untold(context.taps[0], str(error)))
            return found.result({"missing": [(context.taps[0], "generation", str(error))]})
        n_heard = min(params.n_listened, generator.n_steps + 1)
        listened = np.unique(np.linspace(0, generator.n_steps, n_heard).round().astype(int))
        course = follow(
            model, teaching, prompts, listened.tolist(), params.n_shown, context.advance
        )
        tap = generator.latent
        steps = convergence(course, params.threshold)
        names = np.array([one.name for one in prompts])
        rng = named_rng(context.seed, "generation", "order")
        # The straight line is read and not decoded: what is heard has no null of its own.
        unheard = {name: np.full_like(one, np.nan) for name, one in steps["straight"].items()}
        order = {
            place: leads(
                steps[place], unheard if place == "heard" else steps["straight"], names, rng
            )
            for place in PLACES
        }
        found.missing += [(tap, name, why) for name, why in teaching.lacking.items()]
        found.judgements += [
            order_judged(tap, teaching, steps, order),
            trusted(tap, course, teaching.reader.familiarity.edge),
        ]
        found.measurements += measured(tap, course, teaching, steps, names, context.seed)
        sounds, blocks = sounding(course, teaching, model.sample_rate)
        found.arrays.update(_arrays(course, steps))
        found.blocks += blocks
        facts = _facts(course, teaching, steps, order, names, context.seed)
        result = found.judged_first({**facts, "missing": found.missing})
        return Result(
            result.measurements,
            result.arrays,
            result.facts,
            result.blocks,
            result.judgements,
            tuple(sounds),
        )

    def view(self, result: Result) -> list[Block]:
        """Findings, curves of every concept, the order, and the films."""
        return page(result, _HOW_TO_READ, pictures(result))


_HOW_TO_READ = (
    "A generator goes from noise to sound in steps. At each step its state can be read by probes, "
    "and so can the clean estimate: the latents it would jump to from there in one step, which can "
    "also be decoded and listened to. Progress (s_end) is the share of the way that is behind a "
    "concept, counted in distributions over its classes, from 0 at the noise to 1 at the result; a "
    "concept has settled when it stays above the threshold. By construction every concept ends at "
    "1, so one that settles last is late, and none never converges. Read each curve beside the "
    "dashed line: what probes say on the straight line from this noise to this result, where "
    "nothing is decided at any step. What a probe says of states unlike its training is no reading "
    "of sound: see how strange states are to the probes."
)


def convergence(course: Course, threshold: float) -> dict[str, dict[str, np.ndarray]]:
    """Convergence step of every prompt, by place and concept; of heard sound on its own grid."""
    logs = {
        "states": course.states,
        "estimates": course.estimates,
        "straight": course.straight,
        "heard": course.heard,
    }
    found: dict[str, dict[str, np.ndarray]] = {}
    for place, log in logs.items():
        found[place] = {}
        for name, p in log.p.items():
            steps = convergence_step(s_end(p), threshold)
            if place == "heard":
                known = np.isfinite(steps)
                at = np.array(course.listened, dtype=float)
                steps = np.where(known, at[np.where(known, steps, 0).astype(int)], np.nan)
            found[place][name] = steps
    return found


def _arrays(course: Course, steps: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Distributions are large; progress by prompt is what pictures and readers need."""
    found = {"progress": course.progress, "listened": np.array(course.listened)}
    logs = {
        "states": course.states,
        "estimates": course.estimates,
        "straight": course.straight,
        "heard": course.heard,
    }
    for place, log in logs.items():
        for name, p in log.p.items():
            found[f"{place}/{name}/steps"] = steps[place][name]
            for measure, of in MEASURES.items():
                found[f"{place}/{name}/{measure}"] = of(p)
    for place, values in course.strange.items():
        found[f"strange/{place}"] = values
    return found


def _facts(
    course: Course,
    teaching: Taught,
    steps: Mapping[str, Mapping[str, np.ndarray]],
    order: Mapping[str, list[Lead]],
    names: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    rows = []
    for place in (*PLACES, "straight"):
        for name, values in steps[place].items():
            one = settled(values, names, named_rng(seed, "generation", place, name))
            rows.append(
                {
                    "place": place,
                    "concept": name,
                    "step": one.step,
                    "low": one.interval[0],
                    "high": one.interval[1],
                    "n": one.n_prompts,
                }
            )
    pairs = [
        {
            "place": place,
            "first": one.first,
            "then": one.then,
            "lead": one.lead,
            "low": one.interval[0],
            "high": one.interval[1],
            "p": one.p,
            "null": one.null,
            "excess low": one.excess[0],
            "excess high": one.excess[1],
            "significant": one.is_significant,
            "beyond": one.beyond_null,
            "n": one.n_prompts,
        }
        for place, found in order.items()
        for one in found
    ]
    return {
        "settled": rows,
        "order": pairs,
        "concepts": list(teaching.reader.targets),
        "n_prompts": len(course.prompts),
        "prompts": names.tolist(),
        "n_steps": len(course.progress) - 1,
        "edge": teaching.reader.familiarity.edge,
    }
