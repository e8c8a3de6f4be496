"""What the template of a study of neurons is filled with, from the model and the sounds at hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from auscult.models.base import AudioModel
from auscult.taps.neurons import embedding_tap, neuron_layers, neuron_taps

_SECONDS = 4.0


def neurons_values(
    model: AudioModel, sounds: Mapping[str, Any], taps: Sequence[str]
) -> dict[str, str]:
    """Taps by role, the embedding that a head reads, the length of clips, where labels come from.

    Args:
        model: Its structure gives the taps.
        sounds: The section of the sounds.
        taps: Addresses to take instead.

    Raises:
        TapError: The model has no neurons that can be found by role, or no embedding.
    """
    addresses = [layer.address for layer in neuron_layers(model, taps or neuron_taps(model))]
    seconds = model.probe_samples / model.sample_rate
    return {
        "TAPS": ",\n  ".join(json.dumps(address) for address in addresses),
        "EMBEDDING": json.dumps(embedding_tap(model)),
        "SECONDS": str(round(seconds, 5) if seconds >= 0.5 else _SECONDS),
        "LABELS": _labels(sounds),
    }


def _labels(sounds: Mapping[str, Any]) -> str:
    """A table of labels beside the sounds, else the names of their folders."""
    if sounds["type"] != "folder":
        return ""
    if (Path(sounds["path"]) / "labels.csv").is_file():
        return 'labels = { table = "labels.csv" }'
    return 'label_from = "folder"             # label "class" is the name of a file\'s folder'
