"""Read and edit activations while a model runs.

Addresses, capture, intervention, and their place in time.
"""

from auscult.taps.capture import Captured, capture, intervene, run_capture
from auscult.taps.point import ResolvedTap, TapPoint, resolve
from auscult.taps.probe import Verification, measure_time_base, time_base, verify_time_base

__all__ = [
    "Captured",
    "ResolvedTap",
    "TapPoint",
    "Verification",
    "capture",
    "intervene",
    "measure_time_base",
    "resolve",
    "run_capture",
    "time_base",
    "verify_time_base",
]
