"""Write the generated pages of the reference: settings, command line, errors, public names.

``python docs/generate.py`` writes them; ``python docs/generate.py --check`` says which are stale.
"""

import inspect
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import auscult
from auscult.concepts.base import CONCEPTS
from auscult.core import errors
from auscult.core.config import Config
from auscult.core.errors import StoreError
from auscult.dictionaries.exchange import FORMATS, convert
from auscult.interventions.base import EDITS
from auscult.testing.dictionaries import D_IN, N_FEATURES, planted

HERE = Path(__file__).parent / "reference"

# What a person sees, why, and what to do: one row for each class of auscult.core.errors.
ERRORS = {
    "AuscultError": (
        "never raised itself",
        "base of all",
        "catch it to catch everything that auscult raises on purpose",
    ),
    "UserError": (
        "one sentence, exit status 2",
        "something the caller can mend",
        "do what the sentence says",
    ),
    "ConfigError": (
        "`train has no key 'step'; did you mean 'steps'?`",
        "a spec that is misspelled or contradicts itself",
        "correct the key it names",
    ),
    "UnknownNameError": (
        "`there is no model 'encodecc'; did you mean 'encodec'?`",
        "a name that nothing is registered under",
        "take one of the names it lists; `auscult list KIND` shows all",
    ),
    "AudioError": (
        "`x.wav holds no samples`",
        "a sound that cannot be decoded, is empty or not finite, or no usable sound at all",
        "in a folder it is skipped and listed; alone, replace it",
    ),
    "CheckpointError": (
        "`weights do not fit: missing …, unexpected …`",
        "other weights than the architecture's, or a file that could execute code",
        "point at the matching folder, or convert it to safetensors",
    ),
    "TapError": (
        "`relu fired 4 times; address one call, relu@0 to relu@3`",
        "an address that is ambiguous or cannot be read as frames",
        "use the spelling it gives; `auscult taps MODEL` lists all",
    ),
    "SilentTapError": (
        "`self_attn.out_proj did not fire`",
        "the module's weights are used through a function, or its stage did not run",
        "tap the module around it, or its input",
    ),
    "WidthError": (
        "`a dictionary of width 32 got vectors of width 64`",
        "vectors of one tap given to something made for another",
        "use the dictionary of that tap",
    ),
    "NothingToMeasureError": (
        "`only 12 generators move`",
        "intact data that cannot answer: too few, too short, flat or silent",
        "give more or longer sounds; analyses say *cannot be tested here* and go on",
    ),
    "DivergedError": (
        "`the loss of dictionary 'features' is not finite at step 412`",
        "training that left what floats can hold: a learning rate that is too high",
        "train anew with the lower learning rate that the message names",
    ),
    "StoreError": (
        "`shard-00003 … differs from its digest`",
        "a damaged store, one of another origin, or a full disk",
        "delete the stage's folder and run again, or make room",
    ),
    "OtherFramesError": (
        "`sources to be joined must hold the same frames of the same clips`",
        "dictionaries of several taps, over recordings that keep other frames",
        "record with the policy all, stride or runs, at taps with as many frames a clip",
    ),
    "NoVectorsError": (
        "`there are no generators of lag 8: the longest unbroken stretch has 4 frames`",
        "an intact store that has none of the vectors asked for",
        "record more frames, or in longer runs",
    ),
    "RunLockedError": (
        "`another process works on runs/demo`",
        "two processes on one run folder",
        "wait, or give another folder with `--out`",
    ),
    "MissingExtraError": (
        "`encodec needs transformers: pip install 'auscult[codecs]'`",
        "an optional dependency is absent",
        "install the extra it names",
    ),
    "InvariantError": ("a traceback", "a bug of auscult", "report it, traceback included"),
}


# Settings other than a type's defaults that decide which packages have its encoding rule.
VARIANTS: tuple[dict[str, Any], ...] = (
    {"type": "kmeans", "k": 3},
    {"type": "matching-pursuit", "scale": False},
    {"type": "random", "k": 1},
    {"type": "topk", "signed": True},
    {"type": "transcoder", "rule": "relu"},
)

PACKAGES = {
    "saelens": "SAELens",
    "dictionary_learning": "dictionary_learning",
    "sparsify": "sparsify",
    "saebench": "SAEBench",
}

READ_TABLE = [
    "| package | recognised by | read as |",
    "|---|---|---|",
    "| auscult | `auscult.json` | every type |",
    "| SAELens 6 | `cfg.json`, `sae_weights.safetensors` | `relu`, `topk`, `jump-relu`, `gated`, "
    "`transcoder`, `matching-pursuit` |",
    "| dictionary_learning | `config.json`, `ae.safetensors` (one line makes it of `ae.pt`, and the "
    "refusal tells it) | `relu`, `topk`, `batch-topk`, `matryoshka`, `jump-relu`, `gated` |",
    "| sparsify | `cfg.json`, `sae.safetensors` | `topk`, `transcoder` |",
    "| openai/sparse_autoencoder | one file that `torch.save` wrote | `relu`; from Python, with "
    "`auscult.dictionaries.openai`, `topk` of vectors that are normed one by one |",
    "| Llamascopium 2 | `config.json`, `sae_weights.safetensors` | `relu`, `topk`, `jump-relu` |",
]

FORMATS_HEAD = """# Formats of dictionaries

`auscult convert FOLDER --to FORMAT --out OUT` writes a dictionary for another package; `Dictionary.load(FOLDER)`, and every command
that takes a dictionary, reads one of another package where it lies. None of these packages is needed for it, and nothing pickled is
executed or written.

## Written, and read again

This table was made by writing each type in each format. Where a type is named, it is the one as which auscult reads the folder
again, with the same activations and reconstructions up to the rounding of float32; a test holds every type to that. A dash is a
refusal, and the next table says why. `auscult` is the native folder, which keeps settings, preprocessing and provenance bit for bit;
where the column SAELens names a type, SAELens opens that very folder as well. The folder for SAEBench is one of SAELens whose atoms have
unit length, as SAEBench asks: reconstructions are the same, and each activation is multiplied by the length that its atom had.
"""


def formats_page() -> str:
    """Which types can be written in which formats, found out by writing them."""
    sections: list[dict[str, Any]] = [{"type": name} for name in auscult.DICTIONARIES.names()]
    rows: list[str] = []
    refused: dict[tuple[str, str], list[str]] = {}
    for section in sorted([*sections, *VARIANTS], key=lambda section: str(section["type"])):
        others = [f"`{key} = {str(value).lower()}`" for key, value in section.items()][1:]
        name = ", ".join([f"`{section['type']}`", *others]).replace("= relu", '= "relu"')
        cells = [name, "the same"]
        for to, answer in exchanged(section).items():
            cells.append(f"`{answer}`" if isinstance(answer, str) else "-")
            if not isinstance(answer, str):
                why = str(answer).split(" dictionary: ", 1)[-1]
                refused.setdefault((PACKAGES[to], why), []).append(name)
        rows.append(f"| {' | '.join(cells)} |")
    heads = [PACKAGES[to] for to in FORMATS]
    reasons = [f"| {to} | {'; '.join(of)} | {why} |" for (to, why), of in refused.items()]
    parts = [
        FORMATS_HEAD,
        f"| type | auscult | {' | '.join(heads)} |",
        "|---" * (2 + len(heads)) + "|",
        *rows,
        "\n## Why not\n\n| not for | of | why |\n|---|---|---|",
        *sorted(reasons),
        "\n## Read\n",
        *READ_TABLE,
        "",
    ]
    return "\n".join(parts)


def exchanged(section: dict[str, Any]) -> dict[str, str | StoreError]:
    """By format: as which type a dictionary of these settings comes back, or why it cannot go."""
    source = planted(200)[0]
    cls, params = auscult.DICTIONARIES.parse({"n_features": N_FEATURES, **section}, "formats")
    dictionary = cls.build(params, D_IN, 0, source.statistics, source.statistics)
    begin = dictionary.prepare if dictionary.trainable else dictionary.fit_from
    begin(source, np.random.default_rng(0))
    told: dict[str, str | StoreError] = {}
    with tempfile.TemporaryDirectory() as aside:
        native = Path(aside) / "native"
        dictionary.save(native)
        for to in FORMATS:
            try:
                convert(native, to, Path(aside) / to)
            except StoreError as refusal:
                told[to] = refusal
            else:
                told[to] = auscult.Dictionary.load(Path(aside) / to).registered_name
    return told


def errors_page() -> str:
    """Every error class: what one sees, why, what to do."""
    classes = [
        name
        for name, cls in vars(errors).items()
        if inspect.isclass(cls) and cls.__module__ == errors.__name__
    ]
    rows = [f"| `{name}` | {' | '.join(ERRORS[name])} |" for name in classes]
    return "\n".join(
        [
            "# Errors",
            "",
            "| class | what one sees | why | what to do |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def fields(model: type[Config]) -> Iterator[str]:
    """One row a setting."""
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else f"`{_default(field)}`"
        kind = _kind(field.annotation)
        text = " ".join((field.description or "").split())
        yield f"| `{name}` | {kind} | {default} | {text} |"


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    return "its own defaults" if isinstance(value, Config) else repr(value).replace("|", "\\|")


def _kind(annotation: Any) -> str:
    text = getattr(annotation, "__name__", None) if inspect.isclass(annotation) else None
    bare = re.sub(r"\b(?:\w+\.)+(?=[A-Za-z_])", "", str(annotation))  # a type, not where it lives
    return "`" + (text or bare.replace("|", "\\|")) + "`"


def table(model: type[Config]) -> list[str]:
    """The settings of one class as a table."""
    rows = list(fields(model))
    head = ["| key | type | default | meaning |", "|---|---|---|---|"]
    return [*head, *rows, ""] if rows else ["It has no settings.", ""]


def registry_page(title: str, intro: str, registry: Any) -> str:
    """Every name of a registry with its docstring and settings."""
    parts = [f"# {title}", "", intro, ""]
    for name in registry.names():
        cls = registry.get(name)
        parts += [f"## {name}", "", inspect.cleandoc(cls.__doc__ or ""), ""]
        for attribute in ("question", "source"):
            if getattr(cls, attribute, ""):
                parts += [f"*{attribute.capitalize()}:* {getattr(cls, attribute)}", ""]
        parts += table(cls.Params)
    return "\n".join(parts)


def spec_page() -> str:
    """The sections of a spec."""
    from auscult.experiment import spec

    sections = {
        "the top of the file": spec.Spec,
        "[record]": spec.RecordSpec,
        "[record] sampling": spec.Sampling,
        "[sounds] split": spec.SplitSpec,
        "[controls]": spec.ControlSpec,
        "[[dictionaries]], beside the type's own settings": spec.DictionarySpec,
        "[train]": spec.TrainSpec,
    }
    parts = ["# The spec", "", "An experiment is one TOML file. An unknown key is an error.", ""]
    for title, model in sections.items():
        parts += [f"## {title}", "", inspect.cleandoc(model.__doc__ or ""), "", *table(model)]
    return "\n".join(parts)


def api_page() -> str:
    """The public names."""
    parts = ["# Public names", "", "Everything that `import auscult` offers.", ""]
    for name in auscult.__all__:
        value = getattr(auscult, name)
        document = inspect.cleandoc(value.__doc__ or "").split("\n")[0]
        home = auscult._HOMES[name]
        parts.append(f"* `auscult.{name}` (`auscult.{home}`): {document}")
    return "\n".join([*parts, ""])


def cli_page() -> str:
    """The command line's own help."""
    import typer

    from auscult.cli import app

    group: Any = typer.main.get_command(app)
    parts = ["# Command line", "", inspect.cleandoc(group.help or ""), ""]
    for name, command in sorted(group.commands.items()):
        parts += [f"## auscult {name}", "", inspect.cleandoc(command.help or ""), ""]
        parts += ["| argument or option | meaning |", "|---|---|"]
        for parameter in command.params:
            spelled = (
                ", ".join(parameter.opts)
                if parameter.param_type_name == "option"
                else parameter.name.upper()
            )
            parts.append(
                f"| `{spelled}` | {' '.join((getattr(parameter, 'help', '') or '').split())} |"
            )
        parts.append("")
    return "\n".join(parts)


def pages() -> dict[str, str]:
    """Every generated page by file name."""
    return {
        "spec.md": spec_page(),
        "models.md": registry_page(
            "Models", "`auscult list models`; `type` in `[model]`.", auscult.MODELS
        ),
        "sounds.md": registry_page(
            "Sounds", "`auscult list sounds`; `type` in `[sounds]`.", auscult.SOUNDS
        ),
        "dictionaries.md": registry_page(
            "Dictionaries",
            "`auscult list dictionaries`; `type` in `[[dictionaries]]`.",
            auscult.DICTIONARIES,
        ),
        "formats.md": formats_page(),
        "analyses.md": registry_page(
            "Analyses", "`auscult list analyses`; `type` in `[[analyses]]`.", auscult.ANALYSES
        ),
        "concepts.md": registry_page(
            "Concepts", "`auscult list concepts`; `type` in a list of concepts.", CONCEPTS
        ),
        "edits.md": registry_page(
            "Edits", "`auscult list edits`; [how](../how-to/taps.md) a tap is changed.", EDITS
        ),
        "cli.md": cli_page(),
        "errors.md": errors_page(),
        "api.md": api_page(),
    }


def main() -> None:
    """Write the pages, or with ``--check`` list the stale ones and fail."""
    stale = []
    for name, text in pages().items():
        path = HERE / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if "--check" in sys.argv and stale:
        sys.exit(f"stale: {', '.join(stale)}; run python docs/generate.py")


if __name__ == "__main__":
    main()
