"""The command line: parse words, call the library, print. It holds no logic."""

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from auscult.cli_hub import bundle, pull, push
from auscult.cli_registries import KINDS, registry_of
from auscult.cli_terminal import Bars, print_registry, print_table, visible
from auscult.core.errors import AuscultError, UserError

app = typer.Typer(
    name="auscult",
    help="Listen to the inside of neural audio models: features, dynamics, neurons, concepts, "
    "with their controls.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_INTERRUPTED = 130

Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Change a setting; may be repeated."),
]

OfModel = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="model.B=VALUE", help="Change a setting of the model; may be repeated."
    ),
]


def _print_version(asked: bool) -> bool:
    if asked:
        typer.echo(f"auscult {version('auscult')}")
        raise typer.Exit
    return asked


@app.callback()
def _top(
    asked: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


@app.command()
def init(
    study: Annotated[
        str,
        typer.Argument(
            help="first-layer, architecture, dictionaries, concepts, steering, generation, "
            "neurons, or any name for a study of your own."
        ),
    ],
    model: Annotated[
        str, typer.Option(help="A model's type, or FILE.py:FACTORY for a model of your own.")
    ] = "toy-samplecnn",
    sounds: Annotated[
        str, typer.Option(help="A folder of sounds, or a source's type.")
    ] = "bundled",
    name: Annotated[
        str, typer.Option(help="The file is called NAME.toml; what is asked when left out.")
    ] = "",
    preset: Annotated[
        str,
        typer.Option(
            help="How claims are read: sound (lags and nulls that the sources lack) or published."
        ),
    ] = "sound",
    taps: Annotated[
        list[str] | None,
        typer.Option("--tap", help="Where to listen; may be repeated. auscult taps MODEL lists."),
    ] = None,
    assignments: OfModel = None,
    force: Annotated[bool, typer.Option(help="Write over an existing file.")] = False,
) -> None:
    """Write a commented spec to start from."""
    from auscult.experiment.start import Start, write_start

    start = Start(study, model, sounds, name, preset, tuple(taps or ()), tuple(assignments or ()))
    path = write_start(start, Path.cwd(), force)
    typer.echo(f"{path}: read it, change it, then: auscult run {path.name}")


@app.command(name="list")
def list_(
    kind: Annotated[str, typer.Argument(help=", ".join(KINDS) + ".")],
) -> None:
    """List what is registered of one kind."""
    print_registry(registry_of(kind))


@app.command()
def taps(
    model: Annotated[
        str, typer.Argument(help="A model's type, FILE.py:FACTORY, or a spec (.toml).")
    ],
    weights: Annotated[
        str, typer.Option(help="trained, random, shuffled, a folder or a hub name.")
    ] = "trained",
    pattern: Annotated[str, typer.Option(help="Which taps, as a glob over roles and paths.")] = "*",
    check: Annotated[
        bool, typer.Option(help="Verify each time base against the input gradient.")
    ] = True,
    assignments: OfModel = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show every tap of a model: where it is, how wide, how often it speaks and what it hears."""
    from auscult.experiment.start import model_of
    from auscult.taps.table import tap_table

    rows = tap_table(model_of(model, weights, assignments or []), pattern=pattern, verify=check)
    if as_json:
        typer.echo(json.dumps([row.to_json() for row in rows], indent=1))
        return
    headings = (
        "module",
        "frames x width",
        "hop",
        "span",
        "frames/s",
        "hears",
        "time base verified",
    )
    cells = [row.cells() for row in rows]
    if all(address == path for address, path, *_ in cells):  # no roles: say it once
        print_table(("address", *headings), [(path, *others) for _, path, *others in cells])
    else:
        print_table(("address", "path", *headings), cells)


@app.command()
def run(
    spec: Annotated[Path, typer.Argument(help="The spec (TOML).")],
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; runs/ and the spec's name when left out.")
    ] = None,
    assignments: Assignments = None,
    report: Annotated[
        bool, typer.Option(help="Render the report when the run is finished.")
    ] = True,
) -> None:
    """Carry out a spec, or what is left to do of it."""
    from auscult.experiment.run import run as carry_out

    folder = out or Path("runs") / spec.stem
    with Bars() as bars:
        finished = carry_out(spec, folder, assignments=assignments or [], progress=bars)
        if report:
            _render(finished.folder, bars)
    reused = sum(stage["reused"] for stage in finished.manifest["stages"])
    typer.echo(
        f"{len(finished.manifest['stages'])} stages, {reused} of them found finished: {folder}"
    )
    if report:
        typer.echo(f"Report: {(folder / 'report' / 'index.html').resolve()}")


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="A run's folder.")]) -> None:
    """Render the report of a finished run again."""
    with Bars() as bars:
        index = _render(folder, bars)
    typer.echo(f"Report: {index.resolve()}")


@app.command()
def claims(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run's folder.")],
    every: Annotated[
        bool, typer.Option("--all", help="Every measurement, not only the one that decided.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show how each published claim stands for a run's model, beside its nulls."""
    from auscult.claims import ledger_in, words

    ledger = ledger_in(folder)
    if as_json:
        typer.echo(json.dumps(ledger.to_json(), indent=1))
        return
    print_table(words.COLUMNS, words.rows(ledger, every), most_width=100)
    for line in (words.summary(ledger), *words.reasons(ledger)):
        typer.echo(visible(line))


@app.command()
def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN [RUN ...]", help="Two or more finished runs.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the comparison's page.")] = Path(
        "comparison"
    ),
    clear: Annotated[
        bool, typer.Option("--clear", help="Only differences whose interval leaves out 0.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Line up what finished runs measured: each difference with its interval, and a page."""
    from auscult.report.comparison import compare as line_up
    from auscult.report.comparison_page import (
        columns,
        rows_as_text,
        settings_grid,
        write_comparison,
    )

    found = line_up(folders)
    page = write_comparison(found, out)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=1))
        return
    differing = settings_grid(found)
    if differing is not None:
        print_table(differing.columns, differing.rows, most_width=160)
    print_table(columns(found), rows_as_text(found, clear), most_width=200)
    typer.echo("* the interval of the difference leaves out 0")
    for trouble in found.troubles:
        typer.echo(f"damaged: {visible(trouble)}", err=True)
    typer.echo(f"Page: {page.resolve()}")


@app.command()
def serve(
    folder: Annotated[Path, typer.Argument(help="A run's folder.")],
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 0,
) -> None:
    """Serve a rendered report on this machine only (127.0.0.1)."""
    from auscult.report.serve import serve as serve_report

    serve_report(folder, port=port, on_ready=lambda url: typer.echo(f"{url}  (Ctrl-C ends it)"))


@app.command()
def steer(
    vector: Annotated[
        Path, typer.Argument(help="A control vector's folder, as the steering analysis leaves it.")
    ],
    sound: Annotated[Path, typer.Argument(help="The sound to steer.")],
    out: Annotated[Path, typer.Option(help="The new file, .wav or .flac.")],
    strength: Annotated[
        float | None, typer.Option(help="How much; what the audit chose when left out.")
    ] = None,
    start: Annotated[float | None, typer.Option(help="Only from here on, in seconds.")] = None,
    stop: Annotated[float | None, typer.Option(help="Only up to here, in seconds.")] = None,
    fade: Annotated[float, typer.Option(help="Length of the crossfades, in seconds.")] = 0.05,
    requantise: Annotated[bool, typer.Option(help="Pass the model's quantiser.")] = False,
    model: Annotated[
        str, typer.Option(help="A type, FILE.py:FACTORY or spec; the run's when left out.")
    ] = "",
) -> None:
    """Move a concept in a sound by a saved control vector, and show what moved."""
    from auscult.experiment.steer_file import HEADINGS, steer_file

    span = {"start_s": start, "stop_s": stop, "fade_s": fade}
    moved = steer_file(vector, sound, out, strength, span, requantise, model)
    print_table(HEADINGS, [one.cells() for one in moved])
    typer.echo(out)


@app.command()
def fitted(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    named: Annotated[
        str, typer.Argument(help="Only those whose name, or what they learned from, holds this.")
    ] = "",
) -> None:
    """Show which dictionaries a run fitted, and where they lie."""
    from auscult.experiment.fitted import fitted_in

    for one in fitted_in(run, named):
        typer.echo(visible(str(one)))


@app.command()
def convert(
    folder: Annotated[Path, typer.Argument(help="A dictionary's folder, of any known format.")],
    to: Annotated[str, typer.Option(help="saelens, dictionary_learning, sparsify or saebench.")],
    out: Annotated[Path, typer.Option(help="The new folder; it must not hold anything yet.")],
) -> None:
    """Turn a dictionary into the format of another package, preprocessing folded in."""
    from auscult.dictionaries.exchange import convert as turn

    typer.echo(turn(folder, to, out))


for _word in (push, pull, bundle):
    app.command()(_word)


def _render(folder: Path, bars: Bars) -> Path:
    from auscult.report.render import render

    bars.begin("render the report")
    index = render(folder, on_progress=bars.advance)
    bars.end(reused=False)
    return index


def main(words: list[str] | None = None, stop: Callable[[int], Any] = sys.exit) -> None:
    """Run the command line: 0 done, 1 a bug, 2 the user's turn, 130 interrupted."""
    try:
        code = app(words, standalone_mode=False)
    except UserError as error:
        typer.echo(f"auscult: {visible(str(error))}", err=True)
        code = 2
    except AuscultError:
        raise
    except typer.Exit as leaving:
        code = leaving.exit_code
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except Exception as error:
        # Typer raises its own parsing errors only when it does not run standalone.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        code = getattr(error, "exit_code", 2)
    if code == _INTERRUPTED:  # Typer makes this exit code of a Ctrl-C by itself, without a word
        typer.echo(
            "\nInterrupted. What was finished is kept: the same command goes on from there.",
            err=True,
        )
    stop(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
