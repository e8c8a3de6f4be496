"""Gather what changed since the last release, as a section of ``CHANGELOG.md``.

    python changes/gather.py 0.2.0

writes it to standard output. At a release it is put on top of the older ones and the files that it
was made of are deleted.
"""

import sys
from pathlib import Path

KINDS = {"feature": "New", "fix": "Mended", "docs": "Documentation", "removal": "Gone"}


def gathered(folder: Path, version: str) -> str:
    """One heading a kind, one entry a file.

    Raises:
        ValueError: A file is of no known kind, or does not hold exactly one paragraph.
    """
    entries: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for path in sorted(folder.glob("*.md")):
        if path.name == "README.md":
            continue
        kind, text = path.stem.rpartition(".")[2], path.read_text(encoding="utf-8").strip()
        if kind not in entries:
            raise ValueError(f"{path.name}: the kind is one of {', '.join(KINDS)}")
        if not text or "\n\n" in text:
            raise ValueError(f"{path.name} must hold one paragraph")
        entries[kind].append(f"* {' '.join(text.split())}")
    parts = [f"## {version}"]
    for kind, told in entries.items():
        if told:
            parts.append("\n".join([f"### {KINDS[kind]}", "", *told]))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    told = sys.argv[1] if len(sys.argv) > 1 else "Unreleased"
    sys.stdout.write(gathered(Path(__file__).parent, told))
