"""What the analyses of filters at depth share: which stages, and units under four weights."""

from contextlib import nullcontext

import numpy as np
from jaxtyping import Float, Int

from auscult.analyses.base import Context
from auscult.analyses.parts.answering import DRAWN, OWN
from auscult.measures.effective_filters import effective_filters
from auscult.measures.stages import Stage, evenly_spread, stages_of, turning_points
from auscult.models.base import AudioModel
from auscult.taps.linear import without_nonlinearities

LINEAR, SHUFFLED = "without activations", "shuffled weights"
NORMAL = "normal taps"


def spread_stages(model: AudioModel, most: int) -> list[Stage]:
    """The stages at which the rate changes; evenly spread ones where there are more of them."""
    stages = stages_of(model)[0]
    if not stages:
        return []
    turning = turning_points(stages)
    return [turning[i] for i in evenly_spread(len(turning), most)]


def spread_channels(stage: Stage, most: int) -> Int[np.ndarray, " channel"]:
    """Channels of a stage, evenly spread where there are more than so many."""
    return evenly_spread(stage.n_channels, most)


def filters_by_weights(
    context: Context,
    stage: Stage,
    references: Float[np.ndarray, "reference time"],
    channels: Int[np.ndarray, " channel"],
) -> dict[str, Float[np.ndarray, "reference channel tap"]]:
    """Units linearised at the same sounds: as they are, without activations, random, shuffled.

    Raises:
        NothingToMeasureError: No frame lies within the references, or none depends on them.
    """
    model = context.model()
    found = {}
    for name, network, within in (
        (OWN, model, nullcontext()),
        (LINEAR, model, without_nonlinearities(model)),
        (DRAWN, context.model("random"), nullcontext()),
        (SHUFFLED, context.model("shuffled"), nullcontext()),
    ):
        with within:
            found[name] = effective_filters(network, stage, references, channels)
    return found
