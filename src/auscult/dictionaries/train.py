"""The one training loop: a dictionary says what its loss is, all else happens here."""

import hashlib
import json
import math
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from auscult.core.config import Config
from auscult.core.rng import named_rng
from auscult.dictionaries.base import Dictionary
from auscult.dictionaries.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from auscult.dictionaries.interrupt import interrupt_deferred
from auscult.dictionaries.joined import JoinedSource
from auscult.dictionaries.learner import Conduct, ExtraLosses, Learner
from auscult.dictionaries.products import Bf16, reads_bf16
from auscult.dictionaries.side_by_side import Preprocessed, side_by_side
from auscult.dictionaries.span import Span, may_turn, span_of, within
from auscult.dictionaries.stack import Member, Team, teams_of
from auscult.dictionaries.train_checks import check_own_losses, check_shapes, check_sparsity
from auscult.store.source import VectorSource


class TrainSettings(Config):
    """How dictionaries are trained; the same for all that train side by side."""

    steps: PositiveInt = 20_000
    """Steps of the optimiser."""
    batch: PositiveInt = 4_096
    """Vectors in a batch."""
    lr: PositiveFloat = 1e-3
    """Highest learning rate of Adam."""
    warm_up: NonNegativeInt = 100
    """Steps over which the learning rate rises to its highest value."""
    decay: Literal["none", "linear", "cosine"] = "linear"
    """How the learning rate falls to zero at the end."""
    decay_share: float = Field(0.2, ge=0.0, le=1.0)
    """Share of the steps over which it falls."""
    clip_norm: PositiveFloat | None = 1.0
    """Longest gradient of a dictionary, over all of its parameters; absent: no limit."""
    sparsity_warm_up: NonNegativeInt = 0
    """Steps over which the weight of sparsity rises from 0, where a type has one."""
    target_l0: PositiveFloat | None = None
    """L0 towards which that weight is steered while training; absent: it stays as it is set."""
    resample_every: PositiveInt | None = None
    """Steps between which dead features begin anew, from vectors that are badly rebuilt."""
    dead_after: PositiveInt | None = None
    """Vectors without a feature after which it counts as dead; absent: one pass over the data."""
    checkpoint_every: PositiveInt = 1_000
    """Steps between checkpoints."""
    log_every: PositiveInt = 100
    """Steps between lines of the log."""
    bf16: Bf16 = "auto"
    """Large products read bfloat16; weights, losses and moments stay float32.

    ``auto``: where the processor has it and the dictionary is large enough to gain."""
    rotate: bool = True
    """Train in the subspace that the vectors take up, where this is smaller than their width."""
    prefetch: NonNegativeInt = 1
    """Reads that a thread stays ahead of the training; results are the same.

    Vectors in memory are read in turn where the processor trains: such a thread would take a core
    from the training and wait for nothing."""
    seed: int = 0
    """Decides the order of the vectors."""


@dataclass(frozen=True)
class TrainingJob:
    """One dictionary to be trained.

    Attributes:
        dictionary: With its starting values; it is changed in place.
        name: Names its log and its part of the checkpoint; letters, digits and ``_.+-``.
        seed: That it was built with; also draws what fitted types need.
        extra_losses: Further terms to be minimised, weights inside, from the dictionary and a
            batch: the model's own loss on what the dictionary gives back (Braun et al. 2024), for
            instance.
        local_weight: What its own reconstruction terms weigh beside these.
    """

    dictionary: Dictionary
    name: str
    seed: int = 0
    extra_losses: ExtraLosses | None = None
    local_weight: float = 1.0


def learning_rate(settings: TrainSettings, step: int) -> float:
    """The learning rate of a step, counted from 0: up in a line, level, then down towards zero.

    >>> settings = TrainSettings(steps=10, lr=1.0, warm_up=2, decay="linear", decay_share=0.4)
    >>> [learning_rate(settings, step) for step in range(10)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    rise = min(1.0, (step + 1) / settings.warm_up) if settings.warm_up else 1.0
    n_decay = round(settings.decay_share * settings.steps)
    into = step - (settings.steps - n_decay)
    if settings.decay == "none" or into <= 0:
        return settings.lr * rise
    progress = into / n_decay
    fall = (
        1.0 - progress if settings.decay == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
    )
    return settings.lr * rise * fall


def train(
    jobs: Sequence[TrainingJob],
    source: VectorSource,
    settings: TrainSettings,
    folder: Path,
    on_progress: Callable[[int, int], None] | None = None,
    targets: VectorSource | None = None,
) -> list[Dictionary]:
    """Train dictionaries side by side on the same batches, or go on where a call stopped.

    All jobs see the same batches in the same order, and learn from each at the same time. The
    folder holds a log for each job (``NAME.jsonl``: step, loss terms, l0, dead_fraction) and the
    last checkpoint; a call with the same arguments goes on from there and ends with the bytes that
    an uninterrupted training would have left. Ctrl-C waits for the step to end and writes a
    checkpoint. Types that are not trained are fitted.

    Args:
        jobs: What to train.
        source: Vectors to learn from.
        settings: How.
        folder: Where logs and checkpoints go.
        on_progress: Told the steps done and the steps in all.
        targets: What is to be reconstructed, frame by frame with ``source``, if not its vectors.

    Returns:
        The jobs' dictionaries, trained, frozen and in evaluation mode.

    Raises:
        ConfigError: Names clash or cannot be file names.
        WidthError: A dictionary was made for vectors of another width.
        StoreError: The folder holds another training, or damage.
        DivergedError: A loss is not finite; the last checkpoint is kept.
    """
    named = [(job.name, job.dictionary) for job in jobs]
    check_shapes(named, source.d_in, None if targets is None else targets.d_in)
    kinds = [(name, type(made), made.params) for name, made in named]
    check_sparsity(kinds, settings.target_l0, settings.resample_every)
    check_own_losses(named, [job.local_weight for job in jobs])
    for job in jobs:
        if not job.dictionary.trainable:
            job.dictionary.fit_from(
                source, named_rng(job.seed, "fit", job.dictionary.registered_name)
            )
    learners = [job for job in jobs if job.dictionary.trainable]
    if learners:
        joined = source if targets is None else JoinedSource([source, targets])
        spans = _spans(learners, joined, settings)
        _loop(learners, source, joined, settings, folder, on_progress, spans)
        for job in learners:
            job.dictionary.after_training()
    for job in jobs:
        job.dictionary.requires_grad_(False).eval()
    return [job.dictionary for job in jobs]


def _loop(
    jobs: Sequence[TrainingJob],
    source: VectorSource,
    joined: VectorSource,
    settings: TrainSettings,
    folder: Path,
    on_progress: Callable[[int, int], None] | None,
    spans: Sequence[Span | None],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _keep_memory()
    identity = _identity(jobs, joined, settings, spans)
    before = read_checkpoint(folder, identity)
    done = before.step if before else 0
    if before is None:
        _prepare(jobs, source)
    device = next(jobs[0].dictionary.parameters()).device
    apart = _one_by_one(jobs, device)
    with ExitStack() as stack:
        for job, span in zip(jobs, spans, strict=True):
            stack.enter_context(within(job.dictionary, span))
        preprocessed = Preprocessed([job.dictionary for job in jobs])
        learners, teams = _learners(jobs, joined, settings, preprocessed, apart)
        for learner in learners:
            stack.enter_context(closing(learner))
            learner.begin(folder, before)
        together = stack.enter_context(side_by_side(1 if apart else len(teams)))
        interrupted = stack.enter_context(interrupt_deferred())
        batches = stack.enter_context(
            closing(_batches(joined, source.d_in, settings, done, device))
        )
        for step in range(done, settings.steps):
            x, target = next(batches)
            last = step + 1 == settings.steps
            lr = learning_rate(settings, step)
            known = preprocessed(x, target)
            together(
                [partial(team.step, step, x, target, lr, known[first]) for first, team in teams]
            )
            for learner in learners:
                if learner.logs(step):
                    learner.write_line()
            if last or interrupted.is_set() or (step + 1) % settings.checkpoint_every == 0:
                _save(folder, identity, step + 1, learners)
            if interrupted.is_set():
                raise KeyboardInterrupt
            if on_progress:
                on_progress(step + 1, settings.steps)


def _prepare(jobs: Sequence[TrainingJob], source: VectorSource) -> None:
    for job in jobs:
        rng = named_rng(job.seed, "prepare", job.dictionary.registered_name)
        job.dictionary.prepare(source, rng)


def _one_by_one(jobs: Sequence[TrainingJob], device: torch.device) -> bool:
    """What a caller adds to a loss may share a model between dictionaries; a GPU queues anyhow."""
    return device.type != "cpu" or any(job.extra_losses for job in jobs)


def _learners(
    jobs: Sequence[TrainingJob],
    source: VectorSource,
    settings: TrainSettings,
    preprocessed: Preprocessed,
    apart: bool,
) -> tuple[list[Learner], list[Team]]:
    conduct = Conduct(
        clip_norm=settings.clip_norm,
        dead_after=settings.dead_after or source.n_vectors,
        bf16=settings.bf16,
        sparsity_warm_up=settings.sparsity_warm_up,
        target_l0=settings.target_l0,
        resample_every=settings.resample_every,
        seed=settings.seed,
        steps=settings.steps,
        log_every=settings.log_every,
    )

    def make(position: int, member: Member | None) -> Learner:
        job = jobs[position]
        return Learner(
            job.dictionary, job.name, job.extra_losses, conduct, job.local_weight, member
        )

    alone = [
        job.extra_losses is not None
        or job.local_weight != 1.0
        or source.d_in != job.dictionary.d_in
        for job in jobs
    ]
    return teams_of(
        [job.dictionary for job in jobs],
        [None if own else like for own, like in zip(alone, preprocessed.like, strict=True)],
        min(settings.batch, source.n_vectors),
        1 if apart else torch.get_num_threads(),
        make,
    )


def _keep_memory() -> None:
    """Let the C library keep what is freed of up to 32 MB, and not hand it back to the system.

    Else the system clears the temporaries of every step anew, page by page. glibc keeps as much as
    the largest piece that it saw come and go, up to a bound of 32 MB; to others this means nothing.
    """
    torch.empty(31 << 20, dtype=torch.uint8)


def _batches(
    source: VectorSource, d_in: int, settings: TrainSettings, done: int, device: torch.device
) -> Generator[tuple[Tensor, Tensor | None], None, None]:
    """Batches without end, from the step ``done`` on: columns up to ``d_in``, and the others.

    A batch that the data cannot fill is left out, unless there is no other.
    """
    size = min(settings.batch, source.n_vectors)
    prefetch = settings.prefetch if source.waits or device.type != "cpu" else 0
    first_pass, skipped = divmod(done, source.n_vectors // size)
    for number in count(first_pass):
        batches = source.vectors(
            size,
            named_rng(settings.seed, "order", number),
            prefetch=prefetch,
            skip_batches=skipped if number == first_pass else 0,
            drop_last=True,
        )
        for values in batches:
            x = torch.from_numpy(values).to(device)
            yield (x, None) if source.d_in == d_in else (x[:, :d_in], x[:, d_in:])


def _save(folder: Path, identity: str, step: int, learners: Sequence[Learner]) -> None:
    arrays = {name: array for learner in learners for name, array in learner.arrays().items()}
    log_bytes = {learner.name: learner.log_bytes() for learner in learners}
    write_checkpoint(folder, Checkpoint(identity, step, log_bytes, arrays))


def _identity(
    jobs: Sequence[TrainingJob],
    source: VectorSource,
    settings: TrainSettings,
    spans: Sequence[Span | None],
) -> str:
    """Digest of all that decides the result; reading ahead and saving do not."""
    said = {
        "settings": settings.model_dump(exclude={"prefetch", "checkpoint_every"}),
        "source": source.digest,
        "jobs": [
            [
                job.name,
                job.seed,
                job.dictionary.registered_name,
                job.dictionary.params.model_dump(),
                getattr(job.extra_losses, "identity", job.extra_losses is not None),
                job.local_weight,
                _reads_bf16(job.dictionary, settings),
                None if span is None else [len(span.held), len(span.spare)],
            ]
            for job, span in zip(jobs, spans, strict=True)
        ],
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _spans(
    jobs: Sequence[TrainingJob], source: VectorSource, settings: TrainSettings
) -> list[Span | None]:
    """The subspace in which each is trained; a loss from elsewhere knows the whole space only."""
    known: dict[bool, Span | None] = {}
    found: list[Span | None] = []
    for job in jobs:
        dictionary, centred = job.dictionary, bool(job.dictionary.params.centre)
        turns = settings.rotate and job.extra_losses is None and source.d_in == dictionary.d_in
        if not turns or not may_turn(dictionary):
            found.append(None)
            continue
        if centred not in known:
            known[centred] = span_of(source.statistics, centred=centred)
        found.append(known[centred])
    return found


def _reads_bf16(dictionary: Dictionary, settings: TrainSettings) -> bool:
    """What ``auto`` comes to on this machine: another must not go on with other roundings."""
    device = next(dictionary.parameters()).device
    return reads_bf16(settings.bf16, device, dictionary.n_features * dictionary.d_in)
