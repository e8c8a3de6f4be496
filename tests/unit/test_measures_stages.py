import pytest
import torch
from torch import nn

from auscult.core.errors import TapError
from auscult.measures.stages import stages_of, turning_points
from auscult.models.base import MODELS, Codec
from auscult.testing.known_answer import Attending, CellPerFrame, as_model


def net():
    torch.manual_seed(0)
    return as_model(
        nn.Sequential(
            nn.Conv1d(1, 4, 5),
            nn.ReLU(),
            nn.Conv1d(4, 6, 8, 4),
            nn.Conv1d(6, 6, 1),
            nn.MaxPool1d(3),
        ),
        9_000,
    )


def test_stages_are_what_moves_along_time():
    stages, refused = stages_of(net())
    assert [one.address for one in stages] == ["0", "2", "4"]
    assert refused == []


def test_a_stage_says_what_follows_from_its_time_and_width():
    """Span 5 + 7 = 12, hop 4; then 12 + 2 · 4 = 20, hop 12: 750 Hz, bound 450 Hz."""
    last = stages_of(net())[0][-1]
    assert (float(last.time.span), float(last.time.hop), last.n_channels) == (20.0, 12.0, 6)
    assert last.rate_hz == 750.0
    assert last.nyquist_hz == 375.0
    assert last.resolution_hz == 450.0
    assert last.numbers_per_s == 4_500.0
    assert (last.n_bands, last.n_separable) == (1, 6)  # channels, of 20 samples' ten
    assert last.multiplicity == 12.0
    assert last.bounded


def test_no_more_partials_are_told_apart_than_the_sound_of_a_span_has():
    """Three bands of 32 channels: but seven samples hold three partials, phases and all."""
    torch.manual_seed(0)
    filters = as_model(nn.Sequential(nn.Conv1d(1, 32, 7)), 24_000)
    first = stages_of(filters)[0][0]
    assert (first.n_bands, first.n_channels) == (3, 32)
    assert first.n_separable == 3
    # What that rests on: channels' answers to tones are of the rank that the samples have.
    tones = torch.exp(2j * torch.pi * torch.rand(50)[:, None] * torch.arange(7))
    answers = tones @ filters.module[0].weight[:, 0].T.to(tones.dtype)
    assert int(torch.linalg.matrix_rank(answers)) == 7


def test_turning_points_are_first_new_hops_and_last():
    stages, _ = stages_of(
        MODELS.get("mini-encodec").build(
            MODELS.parse({"type": "mini-encodec"}, "m")[1], "random", 0
        )
    )
    assert [one.address for one in turning_points(stages)] == [
        "conv.0", "conv.1", "conv.2", "conv.3", "conv.4", "latent",
    ]  # fmt: skip
    by_name = {one.address: one for one in stages}
    assert not by_name["lstm"].bounded
    assert float(by_name["latent"].time.span) == 2718
    assert by_name["conv.4"].n_bands == 1
    assert by_name["latent"].n_bands == 4


def test_attention_is_unbounded():
    stages, _ = stages_of(as_model(Attending(), 8_000))
    assert [one.bounded for one in stages] == [True, False]


def test_a_network_without_places_in_time_has_no_turning_points():
    stages, _ = stages_of(as_model(CellPerFrame(), 8_000))
    with pytest.raises(TapError, match="no stage"):
        turning_points(stages)


class Decoding(nn.Module):
    """Its decoder convolves as its encoder does."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Conv1d(1, 4, 8, 4)
        self.decoder = nn.Sequential(nn.Upsample(scale_factor=4), nn.Conv1d(4, 1, 3))

    def forward(self, x):
        return self.decoder(self.encoder(x))


def test_a_codec_is_read_up_to_its_latents():
    codec = Decoding()
    model = as_model(codec, 8_000)
    assert [one.address for one in stages_of(model)[0]] == ["encoder", "decoder.1"]
    model.codec = Codec(codec.encoder, codec.decoder)
    assert [one.address for one in stages_of(model)[0]] == ["encoder"]
