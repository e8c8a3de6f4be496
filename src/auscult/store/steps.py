"""What a generator says over its steps, in stores like those of hearing.

A clip is one prompt at one step, its recording the prompt: splits, dictionaries, probes and
intervals over recordings work on such a store as on any other.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auscult.models.base import AudioModel
from auscult.models.generation import Prompt, Row
from auscult.store.reader import ActivationStore
from auscult.store.sampling import Sampling
from auscult.store.writer import StoreWriter
from auscult.taps.steps import Seen, StepEdit, trace


def step_clip(prompt: Prompt, seen: Seen) -> str:
    """Id of the clip that one prompt at one step is.

    Rows of the guidance but the conditional one are told apart by their letter.
    """
    row = "u" if seen.row == "unconditional" else ""
    return f"{prompt.name}#{seen.step:04d}{row}"


def step_labels(prompt: Prompt, seen: Seen) -> dict[str, str | int | float]:
    """What is known of it: where generation stood, and what was wished for."""
    told: dict[str, str | int | float] = {
        "step": float(seen.step),
        "progress": seen.progress,
        "row": seen.row or "joint",
    }
    text = {"text": prompt.text} if prompt.text else {}
    return {**told, **text, **prompt.wishes}


def record_steps(
    model: AudioModel,
    prompts: Sequence[Prompt],
    folder: Path,
    places: Sequence[str],
    *,
    steps: Collection[int] | None = None,
    rows: Sequence[Row] = ("conditional",),
    edits: Sequence[StepEdit] = (),
    sampling: Sampling | None = None,
    seed: int = 0,
    provenance: Mapping[str, Any] | None = None,
    n_batch: int = 16,
) -> dict[str, ActivationStore]:
    """Generate, and write what places say to a store each, in memory that does not grow.

    A call that was killed is called again: what is on disk is not written twice.

    Args:
        model: Has a generator.
        prompts: What to ask for; names are unique.
        folder: Gets a folder for each place.
        places: ``state``, ``estimate``, taps inside the network; no globs.
        steps: At which steps; all when None.
        rows: Which of the guidance's rows are kept inside the network.
        edits: Changes while sounds are made.
        sampling: Which frames are kept; all when None.
        seed: Of the sampling.
        provenance: What made the vectors, as plain JSON data.
        n_batch: Prompts at a time.

    Raises:
        StoreError: A folder holds a store of other settings, or cannot be written to.
        TapError: As :func:`auscult.taps.steps.trace`.
    """
    told = {"model": model.name, "weights": model.weights, **(provenance or {})}
    with ExitStack() as stack:
        stores = _Stores(stack, folder, sampling or Sampling(), seed, told)
        for _ in trace(
            model,
            prompts,
            stores.see,
            places=places,
            steps=steps,
            rows=rows,
            edits=edits,
            n_batch=n_batch,
        ):
            pass
        return {place: writer.finish() for place, writer in stores.writers.items()}


@dataclass
class _Stores:
    """A writer for each place, opened when it first says how wide its vectors are."""

    stack: ExitStack
    folder: Path
    sampling: Sampling
    seed: int
    provenance: Mapping[str, Any]
    writers: dict[str, StoreWriter] = field(default_factory=dict)

    def see(self, prompts: Sequence[Prompt], seen: Seen) -> None:
        """Write what a place said of a batch; what is on disk already is passed over."""
        if seen.place not in self.writers:
            self.writers[seen.place] = self.stack.enter_context(
                StoreWriter(
                    self.folder / seen.place.replace(":", "-"),
                    d_in=seen.values.shape[-1],
                    time=seen.time,
                    sampling=self.sampling,
                    seed=self.seed,
                    provenance={**self.provenance, "place": seen.place},
                )
            )
        writer = self.writers[seen.place]
        for prompt, values in zip(prompts, seen.values, strict=True):
            clip_id = step_clip(prompt, seen)
            if clip_id not in writer.done:
                writer.add(clip_id, prompt.name, values, labels=step_labels(prompt, seen))
