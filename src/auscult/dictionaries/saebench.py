"""What SAEBench asks of a sparse autoencoder: a folder of SAELens whose atoms have unit length.

It measures by the decoder's rows (absorption, targeted perturbations, similarities), so that it
warns of, or with its own classes refuses, rows whose length is off by more than a hundred
thousandth. With ``n_i`` the length of a row, ``W_dec ← W_dec / n`` and ``W_enc``, ``b_enc``, the
threshold and both biases of a gate times ``n`` give back what was given back before, from
activations ``z ← n z``: how much of the tap's own units a feature stands for.

Which features a top-k selects would change where rows differ in length; that is refused. Its
evaluations also read ``cfg.metadata.hook_layer``, the number of a transformer's block. A tap of an
audio model has none, and none is made up: set it after loading.
"""

from pathlib import Path

import numpy as np

from auscult.core.errors import StoreError
from auscult.core.tensors import write_arrays, write_json
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.foreign import shared_form
from auscult.dictionaries.formats import saelens_settings
from auscult.dictionaries.saelens import CFG, WEIGHTS

_RULES = ("standard", "topk", "abstopk", "jumprelu", "gated", "matching_pursuit")
_AS_LONG_AS_ROWS = ("W_enc", "b_enc", "threshold", "b_gate", "b_mag")
_SELECTING = ("topk", "abstopk", "matching_pursuit")
_ROUNDING = 1e-5
"""Relative difference up to which rows are equally long, as SAEBench says it."""


def save_saebench(dictionary: Dictionary, folder: Path) -> None:
    """Write a SAELens folder with rows of unit length.

    Raises:
        StoreError: SAELens has no such encoding rule, it does not give back its own input, or rows
            that differ in length decide who is selected.
    """
    own = dictionary.saelens()
    why = "it judges what gives back its own input" if own else dictionary.unshared
    form, arrays = shared_form(dictionary, "SAEBench", _RULES, why)
    lengths = np.linalg.norm(arrays["W_dec"].astype(np.float64), axis=1)
    _check(dictionary, form.architecture, lengths)
    scales = dict.fromkeys(_AS_LONG_AS_ROWS, lengths) | {"W_dec": 1 / lengths[:, None]}
    unit = {
        name: (array * scales.get(name, 1.0)).astype(array.dtype) for name, array in arrays.items()
    }
    write_json(folder / CFG, saelens_settings(dictionary, form, str(arrays["W_dec"].dtype)))
    write_arrays(folder / WEIGHTS, unit)


def _check(dictionary: Dictionary, rule: str, lengths: np.ndarray) -> None:
    name = dictionary.registered_name
    refused = f"SAEBench has no encoding rule like that of this {name} dictionary"
    if (lengths == 0).any():
        raise StoreError(
            f"{refused}: the atoms of {(lengths == 0).sum()} features are zero and have no length"
        )
    apart = np.ptp(lengths) > _ROUNDING * lengths.min()
    if rule in _SELECTING and apart:
        raise StoreError(
            f"{refused}: its atoms differ in length, and of atoms of unit length its selection of "
            "features would be another"
        )
    if rule == "matching_pursuit" and abs(lengths[0] - 1) > _ROUNDING:
        raise StoreError(f"{refused}: it has no encoder that could take up the length of its atoms")
