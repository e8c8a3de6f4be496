"""What the command line puts on a terminal: bars, tables, and names that are shown, not obeyed."""

from typing import Any

import typer


class Bars:
    """Progress bars with time left on a terminal; one line a stage elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._open: list[tuple[str, Any]] = []

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def begin(self, stage: str) -> None:
        """A stage begins, possibly within another."""
        self._open.append((stage, self._bars.add_task(stage, total=1.0)))

    def advance(self, share: float) -> None:
        """So much of it is done."""
        self._bars.update(self._open[-1][1], completed=share)

    def end(self, reused: bool) -> None:
        """It is finished."""
        stage, task = self._open.pop()
        self._bars.update(task, completed=1.0)
        if not self._console.is_terminal:
            typer.echo(f"{'found' if reused else 'done '}  {stage}", err=True)


def print_registry(registry: Any) -> None:
    """Names of one kind, and what each is."""
    rows = [
        (name, (registry.get(name).__doc__ or "").strip().split("\n")[0])
        for name in registry.names()
    ]
    print_table((registry.kind, "what it is"), rows)


def print_table(headings: tuple[str, ...], rows: Any, most_width: int = 200) -> None:
    """A table as wide as the terminal, or in a pipe as ``most_width`` characters."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(visible(str(cell))) for cell in row))
    console = Console()
    # In a pipe there is no width to fit: a table that programs may read is not folded there.
    width = console.width if console.is_terminal else most_width
    Console(width=width).print(table)


def visible(text: str) -> str:
    """Names of files and labels may hold terminal escapes: show them, do not obey them."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text
    )
