"""Provenance: what a run was made with, as plain data.

Torch is asked only for what it already told.
"""

import hashlib
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "soundfile",
    "soxr",
    "safetensors",
    "transformers",
)


def digest_of(data: bytes | str) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's content, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests_below(folder: Path, names: Iterable[str] = ("results", "clips")) -> dict[str, str]:
    """SHA-256 of every file under some folders of a run, by path relative to the run."""
    files = [path for name in names for path in (folder / name).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): digest_of_file(path) for path in sorted(files)}


def package_version(name: str) -> str:
    """Version of an installed package, or "absent"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def environment() -> dict[str, Any]:
    """Versions of auscult, Python and the libraries that numbers depend on.

    And the source's revision.
    """
    return {
        "auscult": package_version("auscult"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "revision": revision(),
        **_torch_settings(),
    }


def _torch_settings() -> dict[str, Any]:
    """Threads, BLAS and determinism of torch, if something has imported it."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    return {
        "threads": torch.get_num_threads(),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "float32_matmul": torch.get_float32_matmul_precision(),
        "mkl": torch.backends.mkl.is_available(),
        "onednn": torch.backends.mkldnn.is_available(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def revision() -> dict[str, str]:
    """Git revision of the source tree and a digest of what differs from it.

    Empty when installed.
    """
    here = Path(__file__).resolve().parent
    commit = _git(here, "rev-parse", "HEAD")
    if not commit or not _git(here, "ls-files", "manifest.py"):
        return {}
    change = _git(here, "diff", "HEAD", "--", str(here.parent))
    return {"commit": commit, "diff": digest_of(change) if change else ""}


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
