"""The only entry: a spec goes in, a run folder comes out."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from auscult.analyses.base import BASE, Analysis, Condition, ControlWeights, Split
from auscult.blocks import Block, load_blocks
from auscult.claims import Ledger, ledger_in, write_ledger
from auscult.core.config import Config
from auscult.core.errors import ConfigError, StoreError, UnknownNameError
from auscult.core.manifest import digest_of, digests_below, environment
from auscult.core.tensors import read_json, write_json
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.end_to_end import EndToEnd
from auscult.dictionaries.own_task import own_task as own_task_of
from auscult.dictionaries.provenance import Provenance
from auscult.experiment.context import RunContext
from auscult.experiment.feeds import (
    Feed,
    Stores,
    check_rates,
    conditions,
    feed_of,
    in_words,
    on_one_pass,
    places,
)
from auscult.experiment.keep import keep_clips, keep_result
from auscult.experiment.listening import Listening, TrainingClips
from auscult.experiment.progress import Progress, Silent
from auscult.experiment.spec import DictionarySpec, Spec, read_spec
from auscult.experiment.stages import (
    check_sounds,
    fit,
    load_fitted,
    record,
    tap_folder,
    training_logs,
)
from auscult.experiment.workspace import Stage, Workspace
from auscult.sounds.base import Skipped
from auscult.store.reader import ActivationStore


class Run:
    """What an experiment left: a folder, opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: dict[str, Any] = read_json(folder / "manifest.json")

    @classmethod
    def open(cls, folder: Path | str) -> "Run":
        """Open a finished run.

        Raises:
            StoreError: There is no finished run in this folder.
        """
        path = Path(folder)
        if not (path / "manifest.json").is_file():
            raise StoreError(f"{path} holds no finished run (no manifest.json)")
        return cls(path)

    @property
    def analyses(self) -> list[str]:
        """Names of the analyses that were run, in the spec's order."""
        return [entry["name"] for entry in self.manifest["spec"]["analyses"]]

    def result(self, name: str) -> dict[str, Any]:
        """The numbers of one analysis: measurements with their controls, and facts.

        Raises:
            UnknownNameError: No analysis of this name was run.
        """
        if name not in self.analyses:
            raise UnknownNameError("analysis in this run", name, self.analyses)
        result: dict[str, Any] = read_json(self.folder / "results" / name / "result.json")
        return result

    @property
    def ledger(self) -> Ledger:
        """Every published claim beside what this run measured of it."""
        return ledger_in(self.folder)

    def blocks(self, name: str) -> list[Block]:
        """What the page of one analysis shows."""
        return load_blocks(self.folder / "results" / name)


def run(
    spec: Spec | Mapping[str, Any] | Path | str,
    root: Path | str,
    *,
    assignments: Sequence[str] = (),
    progress: Progress | None = None,
) -> Run:
    """Carry out an experiment, or what is left to do of it.

    Args:
        spec: A TOML file, a mapping of the same form, or a :class:`Spec`.
        root: The run's folder. What an earlier run left there and still fits is not computed again.
        assignments: ``section.key=value`` changes, as ``--set`` takes them.
        progress: Is told what goes on.

    Returns:
        The finished run. Its results are byte-equal for equal spec, machine and versions on a CPU.

    Raises:
        UserError: The spec, the sounds, the model or the disk need the caller's attention.
        RunLockedError: Another process works on the folder.
    """
    checked = read_spec(spec, assignments)
    workspace = Workspace(Path(root))
    with workspace.locked(), warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("default")
        experiment = Experiment(checked, workspace, progress or Silent())
        experiment.carry_out()
        write_ledger(workspace.root)
        said = sorted({str(warning.message) for warning in raised})
        write_json(workspace.root / "manifest.json", experiment.manifest(said))
    return Run(workspace.root)


@contextmanager
def listening_to(
    spec: Spec | Mapping[str, Any] | Path | str,
    root: Path | str,
    controls: Sequence[Condition] = (),
    *,
    progress: Progress | None = None,
) -> Iterator[RunContext]:
    """Record what a spec says and hand out the context that analyses get: for notebooks and tests.

    Args:
        spec: As for :func:`run`; its analyses are not carried out.
        root: The run's folder, locked while the block lasts.
        controls: Conditions to record beside the base one.
        progress: Is told what goes on.

    Raises:
        UserError: As :func:`run`.
        RunLockedError: Another process works on the folder.
    """
    workspace = Workspace(Path(root))
    with workspace.locked():
        experiment = Experiment(read_spec(spec), workspace, progress or Silent())
        experiment.listen(controls)
        yield experiment.context(controls)


class Experiment:
    """The order of stages, and what each is made of."""

    def __init__(self, spec: Spec, workspace: Workspace, progress: Progress) -> None:
        self.spec = spec
        self.workspace = workspace
        self.progress = progress
        self.listening = Listening(spec)
        self.resolved = spec.resolved()
        self.recorded: dict[Condition, Stage] = {}
        self.fitted: dict[str, Stage] = {}

    def carry_out(self) -> None:
        """Record, fit, analyse, and keep the sounds that pages play.

        What is fitted under control conditions is fitted when an analysis asks for it.
        """
        parts, entries = self.spec.analysis_parts(), self.spec.dictionaries
        recorded = [tap.address for tap in self.listening.taps]
        check_rates(entries, recorded, self.listening.times())
        controls = [wanted for _, cls, params in parts for wanted in cls.controls(params)]
        self.listen([*conditions(entries), *controls])
        for group in on_one_pass(entries):
            for tap in places(group[0], recorded):
                self._fit(BASE, tap, group, "train")
        answered = [self._analyse(name, cls, params) for name, cls, params in parts]
        self._keep_clips(answered)

    def listen(self, controls: Sequence[Condition]) -> None:
        """Record the base condition, and each control once."""
        self._check_sounds()
        for condition in dict.fromkeys((BASE, *controls)):
            self._record(condition)

    def context(self, controls: Sequence[Condition]) -> RunContext:
        """What an analysis with these controls may ask."""
        recorded = {condition: self.recorded[condition].folder for condition in (BASE, *controls)}
        return RunContext(
            self.listening,
            recorded,
            self._dictionaries,
            self._feed,
            self._logs,
            self.progress.advance,
        )

    def _stage(self, name: str, build: Any, **described: Any) -> Stage:
        self.progress.begin(name)
        stage = self.workspace.stage(name, build, **described)
        self.progress.end(stage.reused)
        return stage

    def _check_sounds(self) -> None:
        """Decode every recording once, so that the split is made among those that can be heard."""
        source, recordings = self.listening.found()
        stage = self._stage(
            "decode the sounds",
            lambda folder: check_sounds(folder, source, recordings, self.progress),
            params={},
            inputs=[f"{r.recording_id} {r.digest}" for r in recordings],
        )
        told = read_json(stage.folder / "skipped.json")
        self.listening.leave_out(Skipped(**one) for one in told)

    def _record(self, condition: Condition) -> None:
        listening = self.listening
        self.recorded[condition] = self._stage(
            f"record {condition}",
            lambda folder: record(listening, condition, folder, self.progress),
            params={
                "record": self.resolved["record"],
                "clip_seconds": self.spec.clip_seconds,
                "seed": self.spec.seed,
                "taps": [tap.address for tap in listening.taps],
            },
            inputs=[listening.digest(condition.weights), listening.corpus(condition).digest],
            resumable=True,
        )

    def _dictionaries(
        self, condition: Condition, tap: str, entry: DictionarySpec, split: Split
    ) -> list[Dictionary]:
        """Load the dictionaries of one entry of the spec; fit them first where nobody has.

        Raises:
            ConfigError: The entry is not fitted at this tap, or not under other weights.
        """
        at = places(entry, [one.address for one in self.listening.taps])
        if tap not in at:
            raise ConfigError(f"dictionary {entry.name!r} is of {', '.join(at)}, not of {tap}")
        if entry.weights and condition != BASE:
            raise ConfigError(
                f"dictionary {entry.name!r} is of several weights already: it has no control "
                f"under {condition}"
            )
        group = [entry]
        if condition == BASE and split == "train":
            group = self._group(entry)
        stage = self._fit(condition, tap, group, split)
        return load_fitted(stage.folder, entry.name, self._seeds(condition, entry, split))

    def _logs(self, tap: str, entry: DictionarySpec) -> list[list[Mapping[str, Any]]]:
        stage = self._fit(BASE, tap, self._group(entry), "train")
        return training_logs(stage.folder, entry.name, self._seeds(BASE, entry, "train"))

    def _group(self, entry: DictionarySpec) -> list[DictionarySpec]:
        return next(group for group in on_one_pass(self.spec.dictionaries) if entry in group)

    def _seeds(self, condition: Condition, entry: DictionarySpec, split: Split) -> tuple[int, ...]:
        """All of the spec's under the base condition, one under controls, another on the test side.

        Agreement with a dictionary of other recordings must not come from the same start.
        """
        seeds = self.spec.train.seeds
        if split == "test":
            return (max(seeds) + 1,)
        return seeds[: entry.n_seeds] if condition == BASE else seeds[:1]

    def _fit(
        self, condition: Condition, tap: str, group: list[DictionarySpec], split: Split
    ) -> Stage:
        seeds = {entry.name: self._seeds(condition, entry, split) for entry in group}
        first, model = group[0], self.listening.model(condition.weights)
        side_of = "" if split == "train" else ", test side"
        name = f"fit {', '.join(seeds)} to {in_words(first, tap)}, {condition}{side_of}"
        if name in self.fitted:
            return self.fitted[name]
        entries = [e for e in self.resolved["dictionaries"] if e["name"] in seeds]
        heard = [condition, *conditions([first])]

        def own_task(entry: DictionarySpec, seed: int) -> EndToEnd | None:
            if entry.end_to_end is None:
                return None
            stores = self._stores(condition, split)
            clips = TrainingClips(self.listening, condition, stores(tap, condition.weights))
            return EndToEnd(own_task_of(model), tap, entry.end_to_end, clips, seed)

        def build(folder: Path) -> None:
            provenance = Provenance(
                model=model.name,
                weights=self.listening.digest(condition.weights),
                tap=tap,
                of=first.of,
                lag=first.lag,
                time=self.listening.times()[tap],
            )
            feed = self._feed(condition, tap, first, split)
            fit(self.spec, feed, group, seeds, provenance, folder, self.progress, own_task)

        self.fitted[name] = self._stage(
            name,
            build,
            params={
                "split": split,
                "dictionaries": entries,
                "train": self.resolved["train"],
                "seeds": {name: list(own) for name, own in seeds.items()},
            },
            inputs=[self.recorded[one].key for one in dict.fromkeys(heard)],
            resumable=True,
        )
        return self.fitted[name]

    def _feed(self, condition: Condition, tap: str, entry: DictionarySpec, split: Split) -> Feed:
        return feed_of(entry, tap, condition.weights, self._stores(condition, split))

    def _stores(self, condition: Condition, split: Split) -> Stores:
        """Opens one side of what was recorded, under the condition or other weights."""

        def opened(tap: str, weights: ControlWeights) -> ActivationStore:
            under = replace(condition, weights=weights)
            store = ActivationStore.open(self.recorded[under].folder / tap_folder(tap))
            sides = self.listening.corpus(under).sides[split]
            return store.select([recording.recording_id for recording in sides])

        return opened

    def _analyse(self, name: str, cls: type[Analysis], params: Config) -> Stage:
        controls = tuple(dict.fromkeys(cls.controls(params)))
        context = self.context(controls)

        def build(folder: Path) -> None:
            analysis = cls()
            result = analysis.run(context, params)
            keep_result(folder, name, analysis, result)

        stage = self._stage(
            f"analyse {name}",
            build,
            version=cls.version,
            params={
                "analysis": cls.registered_name,
                "params": params.model_dump(mode="json"),
                "seed": self.spec.seed,
                "dictionaries": self.resolved["dictionaries"],
                "train": self.resolved["train"],
            },
            inputs=[self.recorded[condition].key for condition in (BASE, *controls)],
        )
        self.workspace.publish(stage.folder, f"results/{name}")
        return stage

    def _keep_clips(self, answered: list[Stage]) -> None:
        stage = self._stage(
            "keep the sounds that pages play",
            lambda folder: keep_clips(
                folder, [done.folder for done in answered], self.listening, self.progress
            ),
            params={},
            inputs=[self.recorded[BASE].key, *(done.key for done in answered)],
        )
        self.workspace.publish(stage.folder, "clips")

    def manifest(self, said: list[str]) -> dict[str, Any]:
        """Provenance of the finished run."""
        listening = self.listening
        corpora = {str(c): listening.corpus(c) for c in self.recorded}
        return {
            "name": self.spec.name,
            "spec": self.resolved,
            "spec_digest": digest_of(repr(self.resolved)),
            "environment": environment(),
            "seeds": {"run": self.spec.seed, "dictionaries": list(self.spec.train.seeds)},
            "recordings": len(corpora[str(BASE)].recordings),
            "inputs": {r.recording_id: r.digest for r in corpora[str(BASE)].recordings},
            "sides": {
                name: {side: [r.recording_id for r in rs] for side, rs in corpus.sides.items()}
                for name, corpus in corpora.items()
            },
            "skipped": [asdict(skip) for _, skip in sorted(listening.skipped.items())],
            "weights": {str(c.weights): listening.digest(c.weights) for c in self.recorded},
            "receipts": [asdict(one) for one in listening.receipts("trained")],
            "times": {tap: time.to_json() for tap, time in listening.times().items()},
            "stages": [
                {"name": s.name, "key": s.key, "seconds": round(s.seconds, 3), "reused": s.reused}
                for s in self.workspace.stages
            ],
            "warnings": said,
            "outputs": digests_below(self.workspace.root),
        }
