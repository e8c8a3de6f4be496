"""The atlas of full-size encoders: ``python benchmarks/bench_atlas.py [encodec dac oobleck]``.

Stages with spans, rates and bounds, and the fold of stepped tones at every stage, activations
removed. Weights are random: time, spans and folds do not depend on them.
"""

import sys
import time

import numpy as np

from auscult.measures.stages import stages_of, turning_points
from auscult.measures.tone_sweep import clear_tones, clip_samples, sweep
from auscult.models.base import MODELS
from auscult.taps.linear import without_nonlinearities

SPANS = {"encodec": 2718, "dac": 7978, "oobleck": 31818}
N_FRAMES, N_TONES = 32, 4


def atlas(name: str) -> dict[str, float]:
    """Seconds to build the network and to draw its atlas, and what it says."""
    began = time.perf_counter()
    cls, params = MODELS.parse({"type": name}, "model")
    model = cls.build(params, "random", 0)
    built = time.perf_counter()
    stages, refused = stages_of(model)
    turning = turning_points(stages)
    n_samples = clip_samples(model, turning, N_FRAMES)
    wanted = np.geomspace(300, 0.4 * model.sample_rate, N_TONES)
    tones = clear_tones(turning, wanted, model.sample_rate, n_samples)
    with without_nonlinearities(model):
        lines = sweep(model, turning, tones, N_FRAMES)
    missed = [np.abs(one.peak_hz - one.predicted_hz) / one.bin_hz for one in lines.values()]
    return {
        "seconds to build": built - began,
        "seconds of the atlas": time.perf_counter() - built,
        "stages": len(stages),
        "stages without a time": len(refused),
        "span of the last stage": float(stages[-1].time.span),
        "span in the literature": SPANS.get(name, float("nan")),
        "largest distance from the predicted line, bins": float(np.nanmax(missed)),
    }


def main() -> None:
    """Print one network after another."""
    for name in sys.argv[1:] or list(SPANS):
        print(name)
        for what, value in atlas(name).items():
            print(f"  {what:48} {value:10.4g}")


if __name__ == "__main__":
    main()
