"""TorchScript exports: programs of others, run as they are, with no surprise left in them.

torch refuses every hook on a module of TorchScript, its inner modules and methods included, and a
method that it runs calls none of Python. What can be tapped is where Python calls it:
:class:`ExportedMethod` is a module around one method. Three surprises are taken away: normal noise
(so that a sampled latent is its mean), other noise that differs from call to call, and state that
a streaming export carries from one call to the next.
"""

import hashlib
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import optimized_execution  # type: ignore[attr-defined]
from torch.utils._python_dispatch import TorchDispatchMode

from auscult.core.errors import CheckpointError, ConfigError
from auscult.core.rng import seed_of

_NORMAL = (torch.ops.aten.randn, torch.ops.aten.randn_like)


def is_torchscript(path: Path) -> bool:
    """Whether a file is an archive with code in it, and not tensors alone."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


class Export:
    """A TorchScript module whose methods give equal results for equal sounds.

    Args:
        path: The file.
        trusted: The user's word for it: TorchScript is a program, which can read and write files.

    Raises:
        ConfigError: Nobody vouched for it.
        CheckpointError: It is missing, damaged, or no TorchScript.
    """

    def __init__(self, path: Path, trusted: bool) -> None:
        if not path.is_file() or not is_torchscript(path):
            raise CheckpointError(f"{path} is not a TorchScript file")
        if not trusted:
            raise ConfigError(
                f"{path.name} is TorchScript, a program that runs with your rights: say trusted = "
                "true under [model] if you know where it comes from"
            )
        try:
            with _quiet_jit():
                self.script: Any = torch.jit.load(  # type: ignore[no-untyped-call]
                    str(path), map_location="cpu"
                )
        except (OSError, RuntimeError, ValueError) as error:
            said = str(error).strip().split("\n")[0]
            raise CheckpointError(f"{path} cannot be read as TorchScript: {said}") from error
        self.script.eval()
        for buffer in self.script.buffers():
            buffer.requires_grad_(False)
        self.name = path.name
        self.digest = hashlib.sha256(path.read_bytes()).digest()
        self._state: list[tuple[Tensor, Tensor]] = []

    def method(self, *names: str) -> str:
        """The first of some names that the export has as a method.

        Raises:
            CheckpointError: It has none of them; its methods are listed.
        """
        known = sorted(set(self.script._c._method_names()))
        found = next((name for name in names if name in known), None)
        if found is None:
            raise CheckpointError(
                f"{self.name} has no method {' or '.join(names)}; it has {', '.join(known)}"
            )
        return found

    @torch.no_grad()
    def watch_state(self, method: str, sound: Tensor) -> Tensor:
        """Call a method once and note the buffers that it changed: each call will begin as now."""
        buffers = list(self.script.buffers())
        before = [buffer.clone() for buffer in buffers]
        said = self.call(method, sound)
        known = {id(buffer) for buffer, _ in self._state}
        self._state += [
            (buffer, old)
            for buffer, old in zip(buffers, before, strict=True)
            if id(buffer) not in known and not torch.equal(buffer, old)
        ]
        self._restore()
        return said

    def call(self, method: str, values: Tensor) -> Tensor:
        """Run a method clip by clip, each as if it were the first that the export ever heard.

        Normal noise is zero; other noise is drawn anew from the same seed for every clip.
        """
        run = getattr(self.script, method)
        said = []
        for clip in values:
            self._restore()
            with _quiet_jit(), _same_noise():
                said.append(run(clip[None]))
        self._restore()
        return torch.cat(said)

    @torch.no_grad()
    def _restore(self) -> None:
        for buffer, value in self._state:
            # A gradient may have come with what it was overwritten by.
            buffer.detach_().copy_(value)

    def tensors(self, child: str = "") -> nn.Module:
        """The export's parameters and buffers as a tree of modules that do nothing.

        The very tensors: what is written into them, the export uses.
        """
        inner = getattr(self.script, child) if child else self.script
        return _shell(inner)


class ExportedMethod(nn.Module):
    """One method of an export as a module, so that taps find it.

    Args:
        export: The export; hidden from the tree of modules, whose hooks it would refuse.
        method: Name of the method.
        tensors: The tensors that the method uses, for digests and controls.
    """

    def __init__(self, export: Export, method: str, tensors: nn.Module | None = None) -> None:
        super().__init__()
        self.__dict__["export"] = export
        self.method = method
        if tensors is not None:
            self.tensors = tensors

    def forward(self, values: Tensor) -> Tensor:
        """Call it."""
        export: Export = self.__dict__["export"]
        return export.call(self.method, values)

    def get_extra_state(self) -> Tensor:
        """The file's digest: what a program says depends on more than on its tensors."""
        export: Export = self.__dict__["export"]
        return torch.tensor(list(export.digest), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Nothing to set: a program is not loaded with its tensors."""


@torch.no_grad()
def redraw_tensors(module: nn.Module, seed: int, keep: tuple[str, ...] = ()) -> None:
    """Draw the parameters of an export afresh: the twin of ``redraw_weights`` without its layers.

    Filters and matrices are He-uniform, biases zero; slopes, gains and buffers stay.

    Args:
        module: Holds the tensors.
        seed: Each tensor's draw also depends on its name.
        keep: Parts of a name that mark what is not learned (fixed filter banks).
    """
    for name, parameter in module.named_parameters():
        if any(part in keep for part in name.split(".")):
            continue
        if parameter.ndim > 1:
            rng = torch.Generator().manual_seed(seed_of(seed, "weights", name))
            nn.init.kaiming_uniform_(parameter, nonlinearity="relu", generator=rng)
        elif name.endswith("bias"):
            parameter.zero_()


def _shell(script: Any) -> nn.Module:
    shell = nn.Module()
    for name, parameter in script.named_parameters(recurse=False):
        # A program hands out plain tensors; a parameter made of one shares its memory.
        shell.register_parameter(name, nn.Parameter(parameter.detach()))
    for name, buffer in script.named_buffers(recurse=False):
        shell.register_buffer(name, buffer)
    for name, child in script.named_children():
        shell.add_module(name, _shell(child))
    return shell.eval()


class _NoNormalNoise(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Zeros in place of normal noise, also where a program of TorchScript draws it."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        drawn = func(*args, **(kwargs or {}))
        return torch.zeros_like(drawn) if func.overloadpacket in _NORMAL else drawn


@contextmanager
def _same_noise() -> Iterator[None]:
    """Leave torch's global random state as it was."""
    with torch.random.fork_rng(devices=[]), _NoNormalNoise():  # type: ignore[no-untyped-call]
        torch.manual_seed(0)
        yield


@contextmanager
def _quiet_jit() -> Iterator[None]:
    """No optimised runs: those of a later call may round in another order than the first's."""
    with warnings.catch_warnings(), optimized_execution(False):
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield
