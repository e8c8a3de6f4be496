"""DiffRhythm's network from the user's own checkout of its code, and its weights.

The code is not on any package index, its package is called ``model``, and importing it the usual
way loads its trainer with everything that needs. Here the one file that generation needs is
imported under its own name for a moment, and the name is given back.
"""

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from auscult.core.errors import CheckpointError, ConfigError, UserError
from auscult.core.rng import seed_of
from auscult.models.hub import transformers_module
from auscult.models.initial import redraw_weights
from auscult.models.loading import import_path
from auscult.models.weights import load_strict, read_checkpoint, read_foreign

_UNUSED = ("torchaudio", "x_transformers")
"""What the checkout imports for layers and spectra that generation does not run."""
_PUBLISHED_CONFIG = "config/diffrhythm-1b.json"


class _NotInstalled(ModuleType):
    """Stands for a package that is imported and not used: what is taken from it fails if called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: Any, **__: Any) -> Any:
            raise UserError(f"this checkout of DiffRhythm calls {self.__name__}.{name}: install it")

        return missing


def load_network(
    checkout: str, weights: str | None, config: str | None, max_frames: int, seed: int
) -> tuple[nn.Module, int]:
    """Make DiffRhythm's transformer.

    Args:
        checkout: Folder of the code, as it is cloned.
        weights: ``cfm_model.pt`` or safetensors; None to draw weights afresh.
        config: Sizes of the network; the checkout's own when None.
        max_frames: 2048, or 6144 for the long model.
        seed: Of weights that are drawn.

    Returns:
        The transformer, and the number of its latents' channels.

    Raises:
        ConfigError: The checkout, or something in it, is not there.
        UserError: Its code cannot be imported or does not make a network.
        CheckpointError: The weights do not fit.
    """
    folder = Path(checkout).expanduser()
    sizes = _sizes(folder, config)
    cls = _transformer_class(folder)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, "weights"))
            network = cls(**sizes, max_frames=max_frames).eval()
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise UserError(f"DiT of {checkout} cannot be made: {said}") from error
    if weights is None:
        redraw_weights(network, seed)
    else:
        load_strict(network, _own_tensors(Path(weights).expanduser(), network), weights)
    _return_tuples(network)
    return network, int(sizes["mel_dim"])


def _sizes(folder: Path, config: str | None) -> dict[str, Any]:
    if not (folder / "model" / "dit.py").is_file():
        raise ConfigError(
            f"model.checkout: {folder} is no checkout of DiffRhythm (it lacks model/dit.py); clone "
            f"ASLP-lab/DiffRhythm and name the folder"
        )
    file = Path(config).expanduser() if config else folder / _PUBLISHED_CONFIG
    try:
        sizes = json.loads(file.read_text(encoding="utf-8"))["model"]
        return {**sizes, "mel_dim": int(sizes["mel_dim"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"model.config: the sizes in {file} cannot be read ({error})") from error


def _transformer_class(folder: Path) -> Any:
    # transformers looks for packages that have a stand-in below: it does so before.
    transformers_module("diffrhythm")
    importlib.import_module("transformers.models.llama.modeling_llama")
    with _named_model(folder):
        try:
            module = importlib.import_module("model.dit")
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise UserError(f"{folder}/model/dit.py cannot be imported: {said}") from error
    if not hasattr(module, "DiT"):
        raise ConfigError(f"model.checkout: {folder}/model/dit.py has no class DiT")
    return module.DiT


@contextmanager
def _named_model(folder: Path) -> Iterator[None]:
    """Let ``model`` mean the checkout's package, without what its ``__init__`` imports."""
    taken = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_model(name)}
    package = ModuleType("model")
    package.__path__ = [str(folder.resolve() / "model")]
    sys.modules["model"] = package
    absent = [name for name in _UNUSED if not _imports(name)]
    for name in absent:
        for path in (name, f"{name}.{name}"):
            sys.modules[path] = _NotInstalled(path)
            sys.modules[path].__path__ = []
    try:
        with import_path(folder.resolve()):
            yield
    finally:
        for name in list(sys.modules):
            if _is_model(name) or name.split(".")[0] in absent:
                del sys.modules[name]
        sys.modules.update(taken)


def _is_model(name: str) -> bool:
    return name == "model" or name.startswith("model.")


def _imports(name: str) -> bool:
    """Whether a package can be imported; one that is there and broken cannot."""
    try:
        importlib.import_module(name)
    except Exception:  # noqa: BLE001
        return False
    return True


def _own_tensors(file: Path, network: nn.Module) -> dict[str, Tensor]:
    """The transformer's tensors out of a checkpoint of the whole model.

    Rotary tables that older versions of transformers saved with the weights are left out.
    """
    if not file.is_file():
        raise CheckpointError(f"model.checkpoint: there is no file {file}")
    pickled = file.suffix != ".safetensors"
    held: Any = read_foreign(file) if pickled else read_checkpoint(file)
    for name in ("model_state_dict", "ema_model_state_dict"):
        held = held.get(name, held)
    own = network.state_dict()
    found = {}
    for key, value in held.items():
        name = key.removeprefix("ema_model.").removeprefix("transformer.")
        if not isinstance(value, Tensor) or (name not in own and "rotary" in name):
            continue
        found[name] = value.to(own[name].dtype) if name in own else value
    return found


def _return_tuples(network: nn.Module) -> None:
    """Have each layer return a tuple, whose first item is its output.

    The checkout unpacks ``x, *_ = block(x)``. A layer of transformers 5 returns a tensor, of which
    this takes the first row; in the first half of the layers it is then added to every prompt of
    the batch without a word.
    """

    def as_tuple(module: nn.Module, args: Any, output: Any) -> Any:
        del module, args
        return (output,) if isinstance(output, Tensor) else None

    blocks = getattr(network, "transformer_blocks", [])
    for block in blocks:
        block.register_forward_hook(as_tuple)
