"""What a pipeline of diffusers reads, prompt by prompt, where its batch would make a difference."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from auscult.core.errors import ConfigError

_READ = ("prompt_embeds", "attention_mask", "generated_prompt_embeds")


def one_by_one(pipe: Any, call: Mapping[str, Any]) -> dict[str, Any]:
    """A call whose result for a prompt does not depend on the others of its batch.

    AudioLDM 2 pads prompts to the longest of a batch, and its language model, which goes on from
    them, counts the padding as words. Here each is read alone; what the network attends to is
    padded afterwards, behind its mask. ACE-Step reads prompts without a mask, padding and all: it
    is asked for one at a time. Other pipelines pad to a fixed length, or behind a mask, and are
    called as they are.

    Args:
        pipe: The pipeline.
        call: Its arguments, with a list of prompts.

    Returns:
        The arguments, prompts in the pipeline's own words.

    Raises:
        ConfigError: Several prompts for a pipeline that cannot keep them apart.
    """
    if type(pipe).__name__ == "AceStepPipeline" and len(call["prompt"]) > 1:
        raise ConfigError(
            "AceStepPipeline pads prompts to the longest of a batch and hears the padding: ask for "
            "one at a time (n_batch = 1)"
        )
    if type(pipe).__name__ != "AudioLDM2Pipeline" or len(call["prompt"]) == 1:
        return dict(call)
    rest = dict(call)
    prompts, negatives = rest.pop("prompt"), rest.pop("negative_prompt", None)
    more = {name: rest.pop(name) for name in ("transcription", "max_new_tokens") if name in rest}
    scale = rest.get("guidance_scale")
    guided = scale is None or scale > 1
    read: dict[str, list[Tensor]] = {}
    for index, prompt in enumerate(prompts):
        told = None if negatives is None else [negatives[index]]
        said = pipe.encode_prompt(
            [prompt], pipe._execution_device, 1, guided, negative_prompt=told, **more
        )
        for name, value in zip(_READ, said, strict=True):
            rows = value.chunk(2) if guided else (value,)
            # diffusers puts the unconditional row first.
            names = (f"negative_{name}", name) if guided else (name,)
            for own, row in zip(names, rows, strict=True):
                read.setdefault(own, []).append(row)
    return {**rest, **{name: _padded(rows) for name, rows in read.items()}}


def _padded(rows: list[Tensor]) -> Tensor:
    """Rows of different lengths below one another, zeros behind the shorter ones."""
    longest = max(row.shape[1] for row in rows)
    padded = []
    for row in rows:
        room = row.new_zeros(1, longest - row.shape[1], *row.shape[2:])
        padded.append(torch.cat([row, room], 1))
    return torch.cat(padded)
