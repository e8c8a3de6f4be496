import json

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from auscult.core.audio import Audio
from auscult.core.errors import AudioError, StoreError
from auscult.dictionaries.base import DICTIONARIES
from auscult.dictionaries.train import TrainingJob, TrainSettings, train
from auscult.models.base import MODELS
from auscult.sounds.base import Recording, SoundSource
from auscult.store.live import LiveSource
from auscult.store.mixing import mixing
from auscult.store.source import ArraySource
from auscult.taps.capture import run_capture
from auscult.testing.dictionaries import files

N_RECORDINGS, TAP = 24, "conv.1"


class Notes(SoundSource):
    """One steady note a recording, each of its own pitch and level: frames of one are alike."""

    def recordings(self):
        return [Recording(f"{n}", f"digest {n}") for n in range(N_RECORDINGS)]

    def load(self, recording, sample_rate=None):
        n = int(recording.recording_id)
        if n == 5:
            raise AudioError("'5' is broken")
        rate = sample_rate or 22_050
        t = np.arange(rate // 2 + 100 * n) / rate
        sound = 0.02 * (n + 1) * np.sin(2 * np.pi * 200.0 * (n + 1) * t)
        return Audio(sound[None].astype(np.float32), rate)


@pytest.fixture(scope="module")
def model():
    cls, params = MODELS.parse({"type": "toy-samplecnn"}, "model")
    return cls.build(params, "random", seed=0)


def live(model, recordings=None, **given):
    sounds = Notes(Notes.Params(), 0)
    return LiveSource(
        model, TAP, sounds, recordings or sounds.recordings(), **{"clip_seconds": 0.4} | given
    )


@pytest.fixture(scope="module")
def source(model):
    return live(model)


def passed(source, seed=0, batch=64, **given):
    return list(source.vectors(batch, np.random.default_rng(seed), **given))


def sorted_rows(values):
    return values[np.lexsort(values.T)]


class TestLiveSource:
    def test_rows_are_what_the_tap_says(self, model, source):
        clip_ids, frames = source.locate(np.array([0, source.n_vectors - 1, 700]))
        rows = source.rows(np.array([0, source.n_vectors - 1, 700]))
        for clip_id, frame, row in zip(clip_ids, frames, rows, strict=True):
            name, _, number = clip_id.rpartition("#")
            sound = source.sounds.load(Recording(name, "")).samples
            n = round(0.4 * model.sample_rate)
            clip = np.zeros((1, 1, n), np.float32)
            part = sound[:, int(number) * n : (int(number) + 1) * n]
            clip[0, :, : part.shape[1]] = part
            heard = run_capture(model, torch.from_numpy(clip), [TAP])[TAP].values[0, frame]
            assert_close(torch.from_numpy(row), heard, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("buffer_vectors", [128, 1000, 10**6])
    def test_a_pass_gives_every_vector_once(self, source, buffer_vectors):
        given = np.concatenate(passed(source, buffer_bytes=4 * source.d_in * buffer_vectors))
        every = source.rows(np.arange(source.n_vectors))
        assert given.shape == every.shape
        assert_close(sorted_rows(given), sorted_rows(every), rtol=1e-3, atol=1e-4)

    def test_its_statistics_are_those_of_its_vectors(self, source):
        every = source.rows(np.arange(source.n_vectors)).astype(np.float64)
        assert_close(source.statistics.mean, every.mean(0), rtol=1e-4, atol=1e-6)
        assert_close(source.statistics.variance, every.var(0), rtol=1e-3, atol=1e-6)

    def test_what_cannot_be_read_is_left_out_and_named(self, source):
        assert source.n_vectors > 0
        assert [skipped.name for skipped in source.skipped] == ["5"]
        assert "5#0" not in source.locate(np.arange(source.n_vectors))[0]

    def test_padding_is_not_given_out(self, model, source):
        clip_ids, _ = source.locate(np.arange(source.n_vectors))
        hop = 3
        n = round(0.4 * model.sample_rate)
        rest = (22_050 // 2) % n
        assert clip_ids.count("0#0") == -(-n // hop)
        assert clip_ids.count("0#1") == -(-rest // hop)

    @pytest.mark.parametrize("prefetch", [0, 2])
    def test_a_pass_goes_on_where_it_stopped(self, source, prefetch):
        small = 4 * source.d_in * 300
        whole = passed(source, 3, buffer_bytes=small, drop_last=True)
        rest = passed(
            source, 3, buffer_bytes=small, drop_last=True, skip_batches=7, prefetch=prefetch
        )
        assert len(whole) == source.n_vectors // 64
        assert len(rest) == len(whole) - 7
        assert all(np.array_equal(a, b) for a, b in zip(whole[7:], rest, strict=True))

    def test_another_seed_is_another_order(self, source):
        assert not np.array_equal(passed(source, 0)[0], passed(source, 1)[0])

    def test_other_recordings_are_another_source(self, model, source):
        assert source.digest == live(model).digest
        assert source.digest != live(model, source.recordings[1:]).digest
        assert source.digest != live(model, clip_seconds=0.3).digest

    def test_without_recordings_there_is_no_source(self, model):
        with pytest.raises(StoreError, match="at least one"):
            LiveSource(model, TAP, Notes(Notes.Params(), 0), [])

    def test_where_nothing_can_be_read_it_says_so(self, model):
        with pytest.raises(AudioError, match="broken"):
            _ = live(model, [Recording("5", "")]).n_vectors

    def test_a_dictionary_trained_on_it_resumes_to_the_same_bytes(self, source, tmp_path):
        settings = TrainSettings(
            steps=30, batch=64, checkpoint_every=8, log_every=5, lr=1e-2, warm_up=0
        )

        def jobs():
            cls, params = DICTIONARIES.parse({"type": "topk", "n_features": 16, "k": 4}, "here")
            made = cls.build(params, source.d_in, 0, source.statistics)
            return [TrainingJob(made, "it")]

        train(jobs(), source, settings, tmp_path / "whole")

        def stop(step, steps):
            if step == 19:
                raise MemoryError

        with pytest.raises(MemoryError):
            train(jobs(), source, settings, tmp_path / "broken", stop)
        train(jobs(), source, settings, tmp_path / "broken")
        assert files(tmp_path / "whole") == files(tmp_path / "broken")
        log = (tmp_path / "whole" / "it.jsonl").read_text().splitlines()
        assert json.loads(log[-1])["losses"]["mse"] < json.loads(log[0])["losses"]["mse"]


class TestMixing:
    def measured(self, source, buffer_vectors):
        return mixing(
            source,
            256,
            np.random.default_rng(0),
            buffer_bytes=4 * source.d_in * buffer_vectors,
        )

    def test_a_buffer_that_holds_everything_is_as_good_as_an_array(self, source):
        array = ArraySource(source.rows(np.arange(source.n_vectors)))
        for each in (source, array):
            assert self.measured(each, 10**6).noise == pytest.approx(1.0, abs=0.5)

    def test_the_smaller_the_buffer_the_worse(self, source):
        noises = [self.measured(source, n).noise for n in (10**6, 4000, 600)]
        assert noises[0] < 1.5 < noises[1] < noises[2]

    def test_of_batches_of_one_vector_repeated_it_is_the_size_of_the_batch(self):
        rng = np.random.default_rng(0)
        values = np.repeat(rng.standard_normal((400, 8)), 64, axis=0)

        class InOrder(ArraySource.__mro__[1]):
            def __init__(self):
                self.n_vectors, self.d_in = values.shape

            digest = rows = locate = _measure = None

            def vectors(self, batch, rng, **given):
                return iter(values.astype(np.float32).reshape(-1, batch, 8))

            statistics = ArraySource(values).statistics

        found = mixing(InOrder(), 64, rng, n_batches=400)
        assert found.noise == pytest.approx(64.0, rel=1e-3)
        assert found.n_batches == 400
