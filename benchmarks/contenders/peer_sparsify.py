"""sparsify: its coder; its trainer takes language models only, so the step is written out here."""

import os

os.environ["SPARSIFY_DISABLE_TRITON"] = "1"

import torch
from sparsify import SparseCoder, SparseCoderConfig
from turns import compete


def train(asked, batches):
    config = SparseCoderConfig(num_latents=asked["m"], k=asked["k"])
    coder = SparseCoder(asked["d"], config, dtype=torch.float32)
    adam = torch.optim.Adam(coder.parameters(), lr=asked["lr"])
    silent_for = torch.zeros(asked["m"], dtype=torch.long)
    for number, x in enumerate(batches):
        if number == 0:
            coder.b_dec.data = x.mean(0)
        coder.set_decoder_norm_to_unit_norm()
        out = coder(x, y=x, dead_mask=None)
        out.fvu.backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        adam.step()
        adam.zero_grad()
        silent_for += len(x)
        silent_for[out.latent_indices.flatten()] = 0

    def encode(x):
        found = coder.encode(x)
        dense = torch.zeros(len(x), asked["m"])
        return dense.scatter_(1, found.top_indices, found.top_acts)

    def decode(acts):
        values, places = acts.topk(asked["k"], dim=1)
        return coder.decode(values, places)

    return encode, decode


compete(train)
