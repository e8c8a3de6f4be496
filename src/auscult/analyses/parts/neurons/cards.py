"""Cards of neurons: class profile, the clips that drive them most, and tuning to tones."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from auscult.analyses.base import Context
from auscult.analyses.parts.neurons.tasks import Task
from auscult.blocks import Axis, Bars, Block, ClipGrid, Curve, Gallery, GalleryItem, Series
from auscult.core.errors import UserError
from auscult.core.rng import named_rng
from auscult.measures.firing import ClipFiring, FiringPass
from auscult.measures.selectors import entropy
from auscult.measures.statistics import bootstrap_interval

_LONGEST_S = 5.0
_N_TONES = 24
_TONE_DB = -20.0


def neuron_gallery(
    context: Context,
    title: str,
    task: Task,
    rows: ClipFiring,
    labels: Int[np.ndarray, " clip"],
    probabilities: Float[np.ndarray, "neuron class"],
    neurons: Sequence[int],
    q_values: Float[np.ndarray, " neuron"],
    n_clips: int,
    table: ClipFiring,
    dictionary: str | None,
) -> Gallery:
    """One card for each neuron."""
    rng = named_rng(context.seed, "neuron cards", task.title)
    entropies = entropy(probabilities) / np.log(len(task.classes))
    tuning = {} if dictionary else _tuning(context, table, neurons)
    items = []
    for neuron in neurons:
        rate = rows.fired[:, neuron] / rows.n_tokens[:, rows.layer_of[neuron]]
        best = int(probabilities[neuron].argmax())
        blocks: list[Block] = [_profile(task, rate, labels, rows.recording_ids, rng)]
        strongest = _strongest(rate, rows, n_clips)
        blocks.append(_clips(context, rows, labels, task, strongest, rate, "Strongest clips"))
        drawn = rng.permutation(len(rate))[:n_clips]
        blocks.append(_clips(context, rows, labels, task, drawn, rate, "Random clips (control)"))
        blocks += tuning.get(neuron, [])
        measures = {
            "entropy": float(entropies[neuron]),
            "on": float(rate.mean()),
            "on in its class": float(probabilities[neuron, best]),
            "q": float(q_values[neuron]),
            "layer": float(rows.layer_of[neuron]),
        }
        items.append(
            GalleryItem(f"{rows.name(neuron)}: {task.classes[best]}", measures, tuple(blocks))
        )
    units = {
        "entropy": "share of ln C",
        "on": "share of tokens",
        "on in its class": "share of tokens",
        "q": "false-discovery rate",
        "layer": "from the input",
    }
    note = (
        "Strongest clips are those in which the neuron is on for the largest share of the tokens, "
        "one for each recording; random clips are any. Clips play at equal loudness."
    )
    return Gallery(title, tuple(items), units, "entropy", note)


def _profile(
    task: Task,
    rate: np.ndarray,
    labels: np.ndarray,
    recording_ids: np.ndarray,
    rng: np.random.Generator,
) -> Bars:
    low, high, mean = [], [], []
    for label in range(len(task.classes)):
        mine = rate[labels == label]
        ends = bootstrap_interval(mine, recording_ids[labels == label], rng, 200)
        low.append(ends[0])
        high.append(ends[1])
        mean.append(mine.mean())
    return Bars(
        "How often it is on", task.classes, np.array(mean), Axis("class"),
        Axis("probability of being on"), np.array(low), np.array(high),
        "95 % intervals over recordings.",
    )  # fmt: skip


def _strongest(rate: np.ndarray, rows: ClipFiring, n: int) -> np.ndarray:
    """Clips with the highest rate, one for each recording."""
    order = np.argsort(-rate, kind="stable")
    _, first = np.unique(rows.recording_ids[order], return_index=True)
    return np.asarray(order[np.sort(first)][:n])


def _clips(
    context: Context,
    rows: ClipFiring,
    labels: np.ndarray,
    task: Task,
    chosen: np.ndarray,
    rate: np.ndarray,
    title: str,
) -> ClipGrid:
    clips = [
        context.clip(
            str(rows.clip_ids[row]),
            0.0,
            _LONGEST_S,
            f"{task.classes[labels[row]]}, on {rate[row]:.0%}: {rows.clip_ids[row]}",
        )
        for row in chosen.tolist()
    ]
    return ClipGrid(title, tuple(clips))


def _tuning(context: Context, table: ClipFiring, neurons: Sequence[int]) -> dict[int, list[Block]]:
    """How often each neuron is on in a tone, over its frequency; none where no tone can be fed."""
    model = context.model()
    n_samples = model.probe_samples or model.sample_rate
    hz = np.geomspace(60.0, 0.45 * model.sample_rate, _N_TONES)
    time = np.arange(n_samples) / model.sample_rate
    tones = 10 ** (_TONE_DB / 20) * np.sqrt(2) * np.sin(2 * np.pi * hz[:, None] * time)
    waveform = torch.from_numpy(tones[:, None].astype(np.float32))
    waveform = waveform.expand(-1, model.n_channels, -1).contiguous()
    counting, rates = FiringPass(model, [layer.address for layer in table.layers]), []
    try:
        for part in torch.split(waveform, 8):
            heard = counting.count(part, [n_samples] * len(part))
            one = [heard[layer.address] for layer in table.layers]
            rates.append(torch.cat([c.fired / c.n_tokens[:, None] for c in one], dim=1).numpy())
    except UserError:
        return {}
    rate = np.concatenate(rates)
    return {
        neuron: [
            Curve(
                "Tuning to tones", hz,
                (
                    Series("this neuron", rate[:, neuron]),
                    Series("mean of its layer (control)", _layer_mean(table, rate, neuron),
                           control=True),
                ),
                Axis("frequency", "Hz", "log"), Axis("share of tokens on"),
                f"Tones of {n_samples / model.sample_rate:.2g} s at {_TONE_DB:g} dB re full scale.",
            )
        ]
        for neuron in neurons
    }  # fmt: skip


def _layer_mean(table: ClipFiring, rate: np.ndarray, neuron: int) -> np.ndarray:
    same = table.layer_of == table.layer_of[neuron]
    return np.asarray(rate[:, same].mean(axis=1))
