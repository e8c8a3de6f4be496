"""What a model's own task keeps when a dictionary stands in its way (METHODS §8.2)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from auscult.dictionaries.own_task import OwnTask
from auscult.taps.capture import EditFunction
from auscult.taps.point import TapPoint

Reference = Callable[[OwnTask, Tensor, Tensor], Tensor]
"""From the task, a waveform and the model's own output, what outputs are compared with."""

MODEL, ZERO, MEAN = "model as it is", "zero ablation", "mean ablation"
TOTAL = "total"


@dataclass(frozen=True)
class Recovered:
    """Share of an ablation's damage that a dictionary does not do.

    ``(L_ablated - L_dictionary) / (L_ablated - L_model)``, each L the mean over clips. 1 where the
    model does its task as if nothing stood at the tap, 0 where the dictionary does as much damage
    as the ablation, below 0 where it does more. Higher is better. Bias: zero ablation is far from
    anything the model has seen and flatters every dictionary; the mean of the training vectors is
    the stricter of the two. Quotients of a small damage are noisy: read the interval.

    Attributes:
        value: On all clips; NaN where the ablation does no damage.
        resampled: Over draws of the recordings.
    """

    value: float
    resampled: Float[np.ndarray, " b"]


def loss_recovered(
    dictionary: Float[np.ndarray, " clip"],
    ablated: Float[np.ndarray, " clip"],
    model: Float[np.ndarray, " clip"],
    draws: Float[np.ndarray, "b clip"],
) -> Recovered:
    """Share recovered, from the losses of each clip.

    Args:
        dictionary: With the dictionary at the tap.
        ablated: With the ablation.
        model: As it is. For a figure that is better when higher all three may be that figure.
        draws: How often each clip counts in each draw of the recordings.
    """
    weights = np.vstack([np.ones(len(model)), draws])
    above, below = weights @ (ablated - dictionary), weights @ (ablated - model)
    scale = np.abs(weights) @ (np.abs(ablated) + np.abs(model))
    some = np.abs(below) > 1e-9 * scale
    shares = np.divide(above, below, np.full(len(weights), np.nan), where=some)
    return Recovered(float(shares[0]), shares[1:])


@torch.no_grad()
def task_losses(
    task: OwnTask,
    edits: Mapping[str, Mapping[str | TapPoint, EditFunction]],
    waveforms: Sequence[Float[Tensor, "one channel time"]],
    reference: Reference,
) -> dict[str, dict[str, Float[np.ndarray, " clip"]]]:
    """Run every clip through the model once as it is and once for each edit.

    Args:
        task: Of the model.
        edits: By name, each with the tap that it acts at.
        waveforms: One clip each.
        reference: What outputs are compared with.

    Returns:
        By name of the edit (and :data:`MODEL`), the parts of the loss and their :data:`TOTAL`.

    Raises:
        AudioError: A clip is silent.
    """
    gathered: dict[str, dict[str, list[float]]] = {}
    for waveform in waveforms:
        own = task.output(waveform)
        against = reference(task, waveform, own)
        for name in (MODEL, *edits):
            output = own if name == MODEL else task.output(waveform, edits[name])
            loss = task.loss(output, against)
            parts = {**loss.parts, TOTAL: loss.total}
            kept = gathered.setdefault(name, {})
            for part, values in parts.items():
                kept.setdefault(part, []).append(float(values.mean()))
    return {
        name: {part: np.array(values) for part, values in parts.items()}
        for name, parts in gathered.items()
    }
