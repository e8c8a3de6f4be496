"""What control vectors are made from: training vectors with the labels of concepts."""

from collections.abc import Sequence

import numpy as np

from auscult.analyses.base import BASE, Context
from auscult.analyses.parts.reading import sample
from auscult.concepts.base import CONCEPTS, bin_edges
from auscult.core.audio import Audio
from auscult.core.errors import UnknownNameError
from auscult.interventions.ways import Material


def material_of(
    context: Context,
    tap: str,
    concepts: Sequence[str],
    most_vectors: int,
    dictionary: str | None = None,
) -> Material:
    """Training vectors of a tap with the labels of each concept in the same frames.

    Args:
        context: Has the store and the sounds.
        tap: Where vectors are to act.
        concepts: Registered names.
        most_vectors: At most so many are drawn.
        dictionary: Whose features are spoken of; none: the first of response vectors, if any.

    Raises:
        UnknownNameError: There is no such dictionary.
    """
    drawn = sample(context.store(tap, BASE, "train"), most_vectors)
    labelers = [CONCEPTS.get(name)() for name in concepts]
    rate, time = context.model().sample_rate, context.time(tap)
    labels = np.full((len(drawn.values), len(labelers)), np.nan)
    for clip_id in np.unique(drawn.clip_ids):
        rows = np.flatnonzero(drawn.clip_ids == clip_id)
        waveform = context.sound(str(clip_id)).waveform
        audio = Audio(np.ascontiguousarray(waveform[None], dtype=np.float32), rate)
        for column, labeler in enumerate(labelers):
            values = labeler.label(audio, time).values
            inside = drawn.frames[rows] < len(values)
            labels[rows[inside], column] = values[drawn.frames[rows[inside]]]
    names = context.dictionary_names("responses")
    if dictionary is not None and dictionary not in names:
        raise UnknownNameError("dictionary of responses", dictionary, names)
    spoken = context.dictionaries(dictionary or names[0], tap)[0] if names else None
    edges = tuple(
        np.array(own) if (own := getattr(one, "edges", ())) else bin_edges(labels[:, i], one.n_bins)
        for i, one in enumerate(labelers)
    )
    return Material(drawn.values, labels, tuple(concepts), edges, drawn.recording_ids, spoken)
