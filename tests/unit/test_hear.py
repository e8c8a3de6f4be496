"""A tap as a HEAR model: its vectors, their mean, their times."""

import pytest
import torch

from auscult.core.errors import ConfigError
from auscult.experiment.hear import get_scene_embeddings, get_timestamp_embeddings, load_model
from auscult.taps.capture import run_capture

GIVEN = {"tap": "latent", "model": {"type": "mini-encodec"}}


@pytest.fixture(scope="module")
def model():
    return load_model(GIVEN)


@pytest.fixture(scope="module")
def audio(model):
    return 0.1 * torch.randn(2, model.sample_rate, generator=torch.Generator().manual_seed(0))


def test_embeddings_are_the_response_vectors_of_the_tap(model, audio):
    embeddings, _ = get_timestamp_embeddings(audio, model)
    heard = run_capture(model.model, audio[:, None], ["latent"])["latent"].values
    torch.testing.assert_close(embeddings, heard, rtol=0, atol=0)
    assert embeddings.shape[2] == model.timestamp_embedding_size
    assert embeddings.dtype == torch.float32


def test_a_scene_is_the_mean_over_its_frames(model, audio):
    embeddings, _ = get_timestamp_embeddings(audio, model)
    scenes = get_scene_embeddings(audio, model)
    torch.testing.assert_close(scenes, embeddings.sum(1) / embeddings.shape[1])
    assert scenes.shape == (2, model.scene_embedding_size)


def test_times_are_the_middles_of_hops_in_milliseconds(model, audio):
    _, times = get_timestamp_embeddings(audio, model)
    hop_ms = 1000 * float(model.time.hop) / model.sample_rate
    assert times.shape[0] == 2
    assert times[0, 0] == pytest.approx(hop_ms / 2)
    torch.testing.assert_close(
        times[0].diff(), torch.full_like(times[0, 1:], hop_ms), rtol=1e-4, atol=0
    )
    assert times.max() <= 1000


def test_sounds_of_a_batch_do_not_hear_one_another(model, audio):
    both, _ = get_timestamp_embeddings(audio, model)
    alone, _ = get_timestamp_embeddings(audio[1:], model)
    torch.testing.assert_close(both[1:], alone)


def test_a_file_names_model_and_tap(tmp_path, audio, model):
    path = tmp_path / "hear.toml"
    path.write_text('tap = "conv.0"\n\n[model]\ntype = "mini-encodec"\n')
    loaded = load_model(path)
    assert loaded.tap == "conv.0"
    assert loaded.sample_rate == model.sample_rate
    assert loaded.timestamp_embedding_size == 8


@pytest.mark.parametrize("key", ["tap", "model"])
def test_what_lacks_is_named(key):
    with pytest.raises(ConfigError, match=f"needs '{key}'"):
        load_model({k: v for k, v in GIVEN.items() if k != key})


def test_several_taps_are_refused():
    with pytest.raises(ConfigError, match="must be one tap"):
        load_model({**GIVEN, "tap": "conv.*"})
