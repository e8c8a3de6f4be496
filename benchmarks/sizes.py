"""Print the size of each layer: lines, largest file, longest function. Only the caps fail."""

import ast
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "auscult"
MOST_LINES, MOST_FUNCTION_LINES = 400, 60


def functions(path: Path) -> list[tuple[int, str]]:
    """Length and name of every function of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        ((node.end_lineno or node.lineno) - node.lineno + 1, f"{path.stem}.{node.name}")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def main() -> None:
    """Print the ledger; exit 1 when a cap is exceeded."""
    over = []
    print(f"{'layer':14} {'files':>5} {'lines':>6} {'median':>6}  largest file, longest function")
    layers = sorted({path.relative_to(SOURCE).parts[0] for path in SOURCE.rglob("*.py")})
    for layer in layers:
        root = SOURCE / layer
        paths = sorted(root.rglob("*.py")) if root.is_dir() else [root]
        sizes = sorted((len(path.read_text().splitlines()), path.name) for path in paths)
        longest = max((pair for path in paths for pair in functions(path)), default=(0, "-"))
        median = sizes[len(sizes) // 2][0]
        total = sum(n for n, _ in sizes)
        print(
            f"{layer:14} {len(sizes):5} {total:6} {median:6}  "
            f"{sizes[-1][1]} {sizes[-1][0]}, {longest[1]} {longest[0]}"
        )
        over += [f"{name}: {n} lines" for n, name in sizes if n > MOST_LINES]
        over += [
            f"{name}: a function of {n} lines"
            for path in paths
            for n, name in functions(path)
            if n > MOST_FUNCTION_LINES
        ]
    if over:
        sys.exit("over the caps: " + "; ".join(over))


if __name__ == "__main__":
    main()
