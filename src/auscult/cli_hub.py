"""The words of the command line that send dictionaries around; they hold no logic."""

from pathlib import Path
from typing import Annotated

import typer

Figures = Annotated[
    Path | None, typer.Option("--run", help="A finished run; the card tells its figures.")
]
Inside = Annotated[str, typer.Option(help="A folder within the repository.")]
Repo = Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Where on the hub.")]


def push(
    folder: Annotated[Path, typer.Argument(help="A dictionary's folder, of any known format.")],
    repo: Repo,
    inside: Inside = "",
    run: Figures = None,
    private: Annotated[bool, typer.Option(help="Make a new repository private.")] = False,
) -> None:
    """Put a dictionary and its card on the Hugging Face hub."""
    from auscult.dictionaries.hub import push as upload

    typer.echo(upload(folder, repo, inside=inside, run=run, private=private))


def pull(
    repo: Repo,
    out: Annotated[Path, typer.Argument(help="The new folder; it must not hold anything yet.")],
    inside: Inside = "",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
) -> None:
    """Fetch a dictionary from the Hugging Face hub."""
    from auscult.dictionaries.hub import pull as download

    came = download(repo, out, inside=inside, revision=revision)
    typer.echo(f"{out}: {came.n_features} features of width {came.d_in}")


def bundle(
    folder: Annotated[Path, typer.Argument(help="A dictionary's folder, of any known format.")],
    out: Annotated[Path, typer.Argument(help="The new folder; it must not hold anything yet.")],
    run: Figures = None,
) -> None:
    """Write the folder that push would upload: a dictionary's files and its card."""
    from auscult.dictionaries.hub import bundle as write

    write(folder, out, run)
    typer.echo(f"{out}: it loads without the hub")
