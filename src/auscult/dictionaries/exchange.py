"""Folders of dictionaries that other packages read and write: which they are, and turning them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from auscult.core.errors import StoreError, UnknownNameError
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.dictionary_learning import (
    FROM_SAFETENSORS,
    load_dictionary_learning,
    save_dictionary_learning,
)
from auscult.dictionaries.saelens import load_saelens, save_saelens
from auscult.dictionaries.sparsify import load_sparsify, save_sparsify

_READERS: Mapping[str, Callable[[Path], Dictionary]] = {
    "sae_weights.safetensors": load_saelens,
    "sae.safetensors": load_sparsify,
    "ae.safetensors": load_dictionary_learning,
    "ae.pt": load_dictionary_learning,
}
_WRITERS: Mapping[str, Callable[[Dictionary, Path], None]] = {
    "saelens": save_saelens,
    "dictionary_learning": save_dictionary_learning,
    "sparsify": save_sparsify,
}

FORMATS = tuple(_WRITERS)
"""What :func:`convert` writes."""


def load_foreign(folder: Path) -> Dictionary:
    """Read a folder that another package wrote, told from the name of the file with its weights.

    Raises:
        StoreError: It holds no weights of any known name, or files are missing or damaged.
        CheckpointError: The weights do not fit the settings, or leave something open.
    """
    found = [name for name in _READERS if (folder / name).exists()]
    if not found:
        raise StoreError(
            f"{folder} holds no dictionary: there is no auscult.json, nor any of "
            + ", ".join(name for name in _READERS if name.endswith(".safetensors"))
        )
    return _READERS[found[0]](folder)


def convert(folder: Path, to: str, out: Path) -> str:
    """Turn a folder of any known format into another; what cannot be said there is refused.

    Preprocessing is folded into the weights, so that the new folder encodes raw vectors.

    Args:
        folder: Of auscult, SAELens, dictionary_learning or sparsify.
        to: ``saelens``, ``dictionary_learning`` or ``sparsify``.
        out: Where to write; it must not hold anything yet.

    Returns:
        What was done, and what is left to do, as a sentence.

    Raises:
        UnknownNameError: There is no such format.
        StoreError: A file is missing, ``out`` holds something, or the other package has no such
            encoding rule.
    """
    if to not in _WRITERS:
        raise UnknownNameError("format", to, _WRITERS)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StoreError(f"{out} holds something already: choose another folder")
    dictionary = Dictionary.load(folder)
    _WRITERS[to](dictionary, out)
    done = f"{out}: {dictionary.n_features} features of width {dictionary.d_in}, for {to}"
    if to == "dictionary_learning":
        done += f"; for the ae.pt that it loads, run there: {FROM_SAFETENSORS}"
    return done
