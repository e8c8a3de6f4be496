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
from auscult.dictionaries.llamascopium import load_llamascopium
from auscult.dictionaries.openai import load_openai
from auscult.dictionaries.saebench import save_saebench
from auscult.dictionaries.saelens import load_saelens, save_saelens
from auscult.dictionaries.sparsify import load_sparsify, save_sparsify

_READERS: Mapping[tuple[str, ...], Callable[[Path], Dictionary]] = {
    ("sae_weights.safetensors", "cfg.json"): load_saelens,
    ("sae_weights.safetensors", "config.json"): load_llamascopium,
    ("sae_weights.safetensors",): load_saelens,
    ("sae.safetensors",): load_sparsify,
    ("ae.safetensors",): load_dictionary_learning,
    ("ae.pt",): load_dictionary_learning,
}
_WRITERS: Mapping[str, Callable[[Dictionary, Path], None]] = {
    "saelens": save_saelens,
    "dictionary_learning": save_dictionary_learning,
    "sparsify": save_sparsify,
    "saebench": save_saebench,
}

FORMATS = tuple(_WRITERS)
"""What :func:`convert` writes."""


def load_foreign(folder: Path) -> Dictionary:
    """Read what another package wrote, told from the names of its files.

    Args:
        folder: Its folder; or the file of openai/sparse_autoencoder, which is one alone.

    Raises:
        StoreError: It holds no weights of any known name, or files are missing or damaged.
        CheckpointError: The weights do not fit the settings, or leave something open.
    """
    if folder.is_file():
        return load_openai(folder)
    for names, read in _READERS.items():
        if all((folder / name).exists() for name in names):
            return read(folder)
    known = dict.fromkeys(names[0] for names in _READERS if names[0].endswith(".safetensors"))
    raise StoreError(
        f"{folder} holds no dictionary: there is no auscult.json, nor any of {', '.join(known)}"
    )


def convert(folder: Path, to: str, out: Path) -> str:
    """Turn a folder of any known format into another; what cannot be said there is refused.

    Preprocessing is folded into the weights, so that the new folder encodes raw vectors.

    Args:
        folder: Of auscult or of another package, or the file of openai/sparse_autoencoder.
        to: ``saelens``, ``dictionary_learning``, ``sparsify``, or ``saebench`` (SAELens' folder
            with atoms of unit length, activations rescaled).
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
