"""Vectors may be float16 on disk; in memory they are float32."""

import numpy as np
import torch
from jaxtyping import Float, Float32

_PIECE = 32_767
"""One less than what torch starts to share out among threads."""


def as_float32(values: Float[np.ndarray, "*axes"]) -> Float32[np.ndarray, "*axes"]:
    """Convert stored values; float32 is passed through, not copied.

    NumPy converts halves one by one in software; torch uses the processor's instruction, four times
    as fast. It is given pieces too small for it to share out among threads: these would wait for
    one another wherever something else computes.
    """
    if values.dtype == np.float32:
        return values
    # Torch wants an array that may be written to, which a mapped one may not.
    own = np.ascontiguousarray(values if values.flags.writeable else values.copy())
    result = np.empty(own.shape, np.float32)
    halves, floats = torch.from_numpy(own.reshape(-1)), torch.from_numpy(result.reshape(-1))
    for start in range(0, len(halves), _PIECE):
        floats[start : start + _PIECE].copy_(halves[start : start + _PIECE])
    return result
