"""Dictionaries on the Hugging Face hub, and the very folder without it.

What is uploaded is a folder that stands by itself: the native files, which SAELens opens as well,
and a card that says where the dictionary came from and what was measured of it, each figure beside
its control. Copied by hand, it loads the same. Only JSON, safetensors and text go either way.
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from auscult.core.errors import CheckpointError, MissingExtraError, StoreError
from auscult.core.numbers import number
from auscult.core.tensors import read_json, write_bytes
from auscult.dictionaries.base import Dictionary

CARD = "README.md"
ALLOWED = ("*.json", "*.safetensors", "*.md")
"""What is sent and fetched; anything else could be code."""


@runtime_checkable
class Api(Protocol):
    """What is used of ``huggingface_hub.HfApi``."""

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> Any:
        """Make a repository, or find it made."""

    def upload_folder(
        self, *, repo_id: str, folder_path: str, path_in_repo: str, commit_message: str
    ) -> Any:
        """Upload a folder's files as one commit."""

    def snapshot_download(
        self, repo_id: str, *, revision: str | None, local_dir: str, allow_patterns: list[str]
    ) -> Any:
        """Fetch a repository's files of some names into a folder."""


def bundle(folder: Path, out: Path, run: Path | None = None) -> None:
    """Write the folder that is valid with and without the hub: a dictionary's files and its card.

    Args:
        folder: Of a dictionary, of any format that is known here.
        out: Where to write; it must not hold anything yet.
        run: A finished run, whose measurements at the dictionary's tap the card tells.

    Raises:
        StoreError: A file is missing or damaged, or ``out`` holds something.
        CheckpointError: The weights do not fit.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StoreError(f"{out} holds something already: choose another folder")
    dictionary = Dictionary.load(folder)
    dictionary.save(out)
    figures = [] if run is None else figures_of(run, dictionary)
    write_bytes(out / CARD, card(dictionary, figures).encode())


def push(
    folder: Path,
    repo: str,
    *,
    inside: str = "",
    run: Path | None = None,
    private: bool = False,
    api: Api | None = None,
) -> str:
    """Upload a dictionary with its card.

    Args:
        folder: Of a dictionary, of any format that is known here.
        repo: ``owner/name`` on the hub; made if it is not there.
        inside: Folder within the repository; "" for its root.
        run: A finished run, whose measurements at the dictionary's tap the card tells.
        private: Make a new repository private.
        api: Stands in for the hub.

    Returns:
        Where it can be seen.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        StoreError: The folder is damaged, or the hub cannot be reached or refuses.
    """
    _check(repo)
    hub = api or _hub()
    with tempfile.TemporaryDirectory() as aside:
        staged = Path(aside) / "dictionary"
        bundle(folder, staged, run)
        try:
            hub.create_repo(repo, private=private, exist_ok=True)
            hub.upload_folder(
                repo_id=repo,
                folder_path=str(staged),
                path_in_repo=inside or ".",
                commit_message="A dictionary, its provenance and its figures",
            )
        except Exception as error:
            raise _refused(repo, "sent to", error, "bundle it and copy the folder") from error
    return f"https://huggingface.co/{repo}" + (f"/tree/main/{inside}" if inside else "")


def pull(
    repo: str, out: Path, *, inside: str = "", revision: str | None = None, api: Api | None = None
) -> Dictionary:
    """Fetch a dictionary into a folder, and load it.

    Args:
        repo: ``owner/name`` on the hub.
        out: Where to put its folder; it must not hold anything yet.
        inside: Folder within the repository; "" for its root.
        revision: Branch, tag or commit; None: the newest.
        api: Stands in for the hub.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        StoreError: The hub cannot be reached or refuses, ``out`` holds something, or what came is
            no dictionary.
        CheckpointError: What came does not fit its settings; nothing is left in ``out``.
    """
    _check(repo)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StoreError(f"{out} holds something already: choose another folder")
    hub = api or _hub()
    wanted = [f"{inside}/{name}" if inside else name for name in ALLOWED]
    with tempfile.TemporaryDirectory() as aside:
        try:
            hub.snapshot_download(repo, revision=revision, local_dir=aside, allow_patterns=wanted)
        except Exception as error:
            raise _refused(repo, "fetched from", error, "copy its folder by hand") from error
        came = Path(aside) / inside
        Dictionary.load(came)
        out.mkdir(parents=True, exist_ok=True)
        for path in sorted(came.iterdir()):
            if path.is_file() and any(path.match(pattern) for pattern in ALLOWED):
                shutil.copyfile(path, out / path.name)
    return Dictionary.load(out)


def figures_of(run: Path, dictionary: Dictionary) -> list[Mapping[str, Any]]:
    """What a finished run measured of a dictionary, each figure with its controls.

    An entry of the run's spec with the same settings is taken for the dictionary's; where there is
    none, figures are all of those at its tap. What could not be measured is left out.

    Raises:
        StoreError: There is no finished run, it is damaged, or the dictionary is of its random
            weights, of which it tells nothing but as a control.
    """
    if not (run / "manifest.json").is_file():
        raise StoreError(f"{run} holds no finished run (no manifest.json)")
    manifest, said = read_json(run / "manifest.json"), dictionary.provenance
    weights = manifest.get("weights", {})
    if said.weights and said.weights == weights.get("random") != weights.get("trained"):
        raise StoreError(
            f"{run} tells figures of dictionaries of its trained weights, and this one was fitted "
            "to random weights: leave the run out"
        )
    results = [read_json(path) for path in sorted(run.glob("results/*/result.json"))]
    figures = [
        one
        for told in results
        for one in told["measurements"]
        if one["tap"] == said.tap and one["value"] is not None
    ]
    own = {"type": dictionary.registered_name, **dictionary.params.model_dump(mode="json")}
    entries = [
        entry["name"]
        for entry in manifest.get("spec", {}).get("dictionaries", [])
        if (entry["section"], entry["of"]) == (own, said.of)
    ]
    if not entries:
        return figures
    before = f"{entries[0]}: "
    return [
        {**one, "name": one["name"].removeprefix(before)}
        for one in figures
        if one["name"].startswith(before)
    ]


def card(dictionary: Dictionary, figures: list[Mapping[str, Any]]) -> str:
    """The card of a dictionary: what it is, where it came from, what was measured.

    Every figure stands beside its controls; one without any is refused.

    Raises:
        CheckpointError: A figure has no control.
    """
    said, time = dictionary.provenance, dictionary.provenance.time
    settings = dictionary.params.model_dump(mode="json")
    rows = [
        ("type", dictionary.registered_name),
        ("features", str(dictionary.n_features)),
        ("width", f"{dictionary.d_in}" + _other_width(dictionary)),
        ("model", said.model or "not told"),
        ("weights (SHA-256)", said.weights or "not told"),
        ("tap", said.tap or "not told"),
        *([("gives back", said.target)] if said.target else []),
        *([("parts", "; ".join(said.parts))] if said.parts else []),
        ("vectors", said.of + (f" of lag {said.lag}" if said.of == "generators" else "")),
        ("frames per second", f"{float(time.frame_rate):.6g}" if time else "not told"),
        *sorted((key, str(value)) for key, value in settings.items() if key != "n_features"),
    ]
    table = "\n".join(f"| {_cell(name)} | {_cell(value)} |" for name, value in rows)
    return f"""---
library_name: auscult
tags: [sparse-autoencoder, audio, interpretability]
---

# {_cell(dictionary.registered_name)} dictionary of {_cell(said.tap or "unknown vectors")}

| | |
| --- | --- |
{table}

## Use

```python
from auscult import Dictionary

dictionary = Dictionary.load(folder)  # a pathlib.Path
acts = dictionary.encode(vectors)     # [..., {dictionary.d_in}] to [..., {dictionary.n_features}]
```

{_in_saelens(dictionary)}

## Figures

{_measured(figures)}
"""


def _other_width(dictionary: Dictionary) -> str:
    return "" if dictionary.d_out == dictionary.d_in else f" to {dictionary.d_out}"


def _in_saelens(dictionary: Dictionary) -> str:
    form = dictionary.saelens()
    if form is None:
        return f"SAELens has no such encoding rule, as `cfg.json` tells it: {dictionary.unshared}."
    return (
        f"SAELens 6 loads the same folder as `{form.architecture}`: `SAE.load_from_disk(folder)`; "
        "preprocessing is folded into those weights."
    )


def _measured(figures: list[Mapping[str, Any]]) -> str:
    if not figures:
        return "None were given: whoever uses it should measure it beside its controls."
    lines = ["| | measured | 95 % interval | control |", "| --- | --- | --- | --- |"]
    for one in figures:
        if not one["controls"]:
            raise CheckpointError(f"{one['name']!r} has no control, so the card cannot tell it")
        nulls = "; ".join(f"{key}: {_number(value)}" for key, value in one["controls"].items())
        interval = one.get("interval")
        within = " to ".join(_number(end) for end in interval) if interval else ""
        value = f"{_number(one['value'])} {one['unit']}".strip()
        lines.append("| " + " | ".join(map(_cell, (one["name"], value, within, nulls))) + " |")
    return "\n".join(lines)


def _number(value: Any) -> str:
    return number(value) if isinstance(value, int | float) else "undefined"


def _cell(text: str) -> str:
    """Text that cannot end a table's cell, nor be taken for HTML."""
    for letter, instead in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("\n", " ")):
        text = text.replace(letter, instead)
    return text


def _check(repo: str) -> None:
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise StoreError(f"{repo!r} names no repository on the hub: write owner/name")


def _hub() -> Api:
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MissingExtraError("the hub", "huggingface_hub", "hub") from error
    hub: Api = HfApi()
    return hub


def _refused(repo: str, verb: str, error: Exception, instead: str) -> StoreError:
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    return StoreError(f"{repo} could not be {verb} the hub ({reason}): try again, or {instead}")
