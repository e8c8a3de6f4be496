"""Import a user's file, package or dotted module, and call a factory of it."""

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from auscult.core.errors import ConfigError, UnknownNameError, UserError


@contextmanager
def import_path(folder: Path) -> Iterator[None]:
    """Put a folder first on ``sys.path`` for a while."""
    entry = str(folder)
    sys.path.insert(0, entry)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


def locate(path: str) -> tuple[Path, str | None]:
    """Where imports start and, for what lies in a package or has a dotted name, the module's name.

    Raises:
        ConfigError: A file or folder that does not exist, or a folder that is no package.
    """
    file = Path(path).expanduser()
    looks_like_a_file = file.suffix == ".py" or "/" in path or "\\" in path or file.exists()
    if not looks_like_a_file:
        return Path.cwd(), path
    if not file.exists():
        raise ConfigError(f"model.path: there is no file {path}")
    file = file.resolve()
    if file.is_dir() and not (file / "__init__.py").is_file():
        raise ConfigError(f"model.path: the folder {path} is no package (it lacks __init__.py)")
    parts = [file.stem if file.is_file() else file.name]
    folder = file.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    if file.is_file() and len(parts) == 1:
        return folder, None
    return folder, ".".join(parts).removesuffix(".__init__")


def load_module(path: str) -> ModuleType:
    """Import what ``path`` names: ``nets/model.py``, a package's folder, or ``package.module``.

    A lone file gets a name of its own, so that two files called ``model.py`` do not meet; a file
    within a package is imported as part of it, so that its relative imports work.

    Raises:
        ConfigError: It does not exist, or another module of its name is loaded already.
        UserError: It fails while it is imported.
    """
    folder, name = locate(path)
    try:
        with import_path(folder):
            if name is None:
                return _load_file(Path(path).expanduser().resolve())
            module = importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and name and error.name == name.split(".")[0]:
            raise ConfigError(f"model.path: there is no module {path!r}") from error
        said = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} cannot be imported: {said}") from error
    file = Path(path).expanduser()
    if file.exists() and Path(str(module.__file__)).resolve() not in (
        file.resolve(),
        file.resolve() / "__init__.py",
    ):
        raise ConfigError(
            f"{path} cannot be imported: another module named {name!r} is loaded from "
            f"{module.__file__}"
        )
    return module


def _load_file(file: Path) -> ModuleType:
    unique = f"auscult_model_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(unique, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{file} is not Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[unique]
        raise
    return module


def call_factory(path: str, factory: str, arguments: Mapping[str, Any]) -> Any:
    """Call a function of a module.

    Raises:
        UnknownNameError: The module has no such function.
        UserError: The call fails.
    """
    folder, _ = locate(path)
    function = find_factory(path, factory)
    try:
        with import_path(folder):
            return function(**arguments)
    except UserError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise UserError(f"{factory}() of {path} failed: {said}") from error


def failed_on(sound: Sequence[int], error: Exception) -> UserError | None:
    """What a network's own code says of a sound it cannot take; None for a fault elsewhere.

    Args:
        sound: Shape of the waveform, ``(batch, channel, time)``.
        error: What calling the network raised, with its traceback from the call on.
    """
    said = said_by(error)
    if said is None:
        return None
    return UserError(
        f"the network fails on a waveform [batch channel time] of {list(sound)}: {said}; "
        f"what it is called with is set by n_channels, sample_rate, probe_samples and forward of "
        f"[model], and by clip_seconds of [sounds]"
    )


def said_by(error: Exception) -> str | None:
    """What a network's own code raised, and in which line of it; None for a fault elsewhere.

    Args:
        error: What calling the network raised, with its traceback from the call on.
    """
    package = Path(__file__).parents[1]
    passed = (Path(str(torch.__file__)).parent, Path(__file__).parent)
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if not any(map(Path(one.filename).is_relative_to, passed))]
    ours = [one for one in own if Path(one.filename).is_relative_to(package)]
    # A hook or an edit at a tap, called by ours from within the network. What stands in for a
    # method while somebody looks has only called the network's own.
    if ours and not (_stands_in(ours[-1]) and ours[-1] is not own[-1]):
        return None
    own = [one for one in own if one not in ours]
    place = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return " ".join(f"{type(error).__name__}: {error}".split()) + place


def _stands_in(frame: traceback.FrameSummary) -> bool:
    """Whether it is a wrapper of ``taps/hooks.py`` that calls the method it stands in for."""
    return Path(frame.filename).name == "hooks.py" and frame.name == "__call__"


def find_factory(path: str, factory: str) -> Callable[..., Any]:
    """Look a function up.

    Raises:
        UnknownNameError: The module has no such function; its own ones are listed.
    """
    module = load_module(path)
    function = getattr(module, factory, None)
    if not callable(function):
        known = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise UnknownNameError(f"function in {path}", factory, known)
    return function  # type: ignore[no-any-return]


def accepts(function: Callable[..., Any], argument: str) -> bool:
    """Whether a function names an argument; ``**kwargs``, which takes anything, does not count."""
    try:
        return argument in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
