"""The steering audit on codecs of which the answer is known: one whose latents hold the level, one deaf to them."""

import numpy as np
import pytest
import torch

from auscult.blocks import Choices, Heatmap, SmallMultiples, Table
from auscult.core.errors import UserError
from auscult.experiment.run import Run, run
from auscult.experiment.steer_file import steer_file
from auscult.interventions.control import ControlVector

CODEC = '''
import torch
from torch import nn

class Codec(nn.Module):
    """Frames of 80 samples: 5 log10 of their level, and their shape. A deaf one keeps the level elsewhere."""

    sample_rate = 8_000

    def __init__(self, deaf: bool = False) -> None:
        super().__init__()
        self.deaf = deaf
        self.scale = nn.Parameter(torch.tensor(5.0))

    def forward(self, x):
        return self.encode(x)

    def encode(self, x):
        frames = x[:, 0].unfold(1, 80, 80)
        level = frames.square().mean(2, keepdim=True).sqrt().clamp_min(1e-6)
        told = [self.scale * level.log10(), frames if self.deaf else frames / level]
        return torch.cat(told, 2).transpose(1, 2)

    def decode(self, z):
        told, frames = z.transpose(1, 2).split([1, 80], 2)
        frames = frames if self.deaf else frames * 10 ** (told / self.scale)
        return frames.flatten(1)[:, None]
'''


def spec(folder, deaf):
    path = folder / "codec.py"
    path.write_text(CODEC)
    return {
        "name": "known",
        "model": {
            "type": "python",
            "path": str(path),
            "factory": "Codec",
            "args": {"deaf": deaf},
            "encode": "encode",
            "decode": "decode",
        },
        "sounds": {"type": "notes", "n": 24, "seconds": 1.0, "clip_seconds": 1.0, "split": {"train": 0.7, "test": 0.3}},
        "record": {"taps": ["latent"]},
        "analyses": [
            {
                "type": "steering",
                "concepts": ["loudness", "centroid"],
                "ways": ["means"],
                "strengths": [0.05, 0.1, 0.2],
                "n_clips": 6,
                "n_calibration": 4,
                "n_corpus": 12,
                "n_random": 19,
                "n_heard": 1,
            }
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def hearing(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("hearing")
    return run(spec(folder, False), folder / "run")


@pytest.fixture(scope="module")
def deaf(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("deaf")
    return run(spec(folder, True), folder / "run")


def answer(done, concept, sign):
    told = done.result("steering")["facts"]["answers"]
    return next(one for one in told if (one["concept"], one["sign"]) == (concept, sign))


@pytest.mark.parametrize("sign", ["more", "less"])
def test_what_latents_hold_is_moved_alone_and_passes(hearing, sign):
    one = answer(hearing, "loudness", sign)
    assert one["verdict"] == "holds", one["reason"]
    assert one["isolation"] > 0.9
    assert one["interval"][0] > one["band"]


def test_the_effect_is_the_level_that_was_added(hearing):
    vector = ControlVector.load(hearing.folder / "results/steering/vectors/loudness-more-means")
    # Channel 0 is 5 log10 of the level: a step of d there is 20 d / 5 dB, whatever the sound.
    strength = vector.provenance.figures["strength"]
    decibels = 4 * strength * vector.direction[0]
    told = (
        answer(hearing, "loudness", "more")["effect"]
        * vector.provenance.figures["spread of loudness"]
    )
    assert told == pytest.approx(decibels, rel=0.1)
    assert abs(vector.direction[0]) / np.linalg.norm(vector.direction) > 0.9


def test_what_the_decoder_does_not_hear_does_not_pass(deaf):
    for sign in ("more", "less"):
        assert answer(deaf, "loudness", sign)["verdict"] != "holds"
    vector = ControlVector.load(deaf.folder / "results/steering/vectors/loudness-more-means")
    assert abs(vector.direction[0]) / np.linalg.norm(vector.direction) > 0.9  # it can be read there


def test_a_local_change_of_frames_that_do_not_overlap_stays_in_its_span(hearing):
    judged = hearing.result("steering")["judgements"]
    local = next(
        one
        for one in judged
        if "within a span" in one["sentence"] and "loudness" in one["sentence"]
    )
    assert local["verdict"] == "holds"
    assert local["measurement"]["value"] > 0.98
    assert local["measurement"]["controls"]["the same control everywhere"] < 0.7


def test_the_page_has_a_desk_a_map_and_reasons(hearing):
    blocks = hearing.blocks("steering")
    desk = next(block for block in blocks if isinstance(block, Choices))
    assert [choice.name for choice in desk.choices] == ["control", "sound", "strength"]
    assert desk.choices[2].options[4] == "round trip"
    assert all(clip is not None for clip in desk.clips)
    leakage = next(block for block in blocks if isinstance(block, Heatmap))
    assert leakage.x_names == ("loudness", "centroid")
    table = next(
        block
        for block in blocks
        if isinstance(block, Table) and block.title.startswith("What passes")
    )
    local = next(b for b in blocks if isinstance(b, SmallMultiples) and b.title.startswith("Local"))
    # By the concepts' own estimators, which are not divided by a spread.
    assert [one.y_axis.unit for one in local.curves] == ["dB re full scale", "Hz"]
    assert {row[4] for row in table.rows} <= {"holds", "does not hold", "explained by control"}
    assert all(row[-1] for row in table.rows)


def test_louder_is_the_only_thing_that_the_desk_changes(hearing):
    desk = next(block for block in hearing.blocks("steering") if isinstance(block, Choices))
    level = desk.curves.index("loudness")
    steps = desk.values[: len(desk.choices[2].options), level]  # the first control, the first sound
    means = np.nanmean(steps, axis=1)
    assert np.all(np.diff(means[1:]) > 0)
    np.testing.assert_allclose(means[0], means[4], atol=0.2)  # the round trip is exact


def test_a_file_is_steered_within_a_span_and_what_moved_is_told(hearing, tmp_path):
    import soundfile

    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "in.wav", 0.02 * rng.standard_normal(8_000), 8_000, subtype="FLOAT")
    folder = hearing.folder / "results/steering/vectors/loudness-more-means"
    span = {"start_s": 0.4, "stop_s": 0.6, "fade_s": 0.0}
    moved = steer_file(folder, tmp_path / "in.wav", tmp_path / "out.flac", 0.1, span)
    before, after = (soundfile.read(tmp_path / name)[0] for name in ("in.wav", "out.flac"))
    decibels = 4 * 0.1 * ControlVector.load(folder).direction[0]
    ratio = 20 * np.log10(np.std(after[3300:4700]) / np.std(before[3300:4700]))
    assert ratio == pytest.approx(decibels, abs=0.5)
    np.testing.assert_allclose(after[:3200], before[:3200], atol=1e-4)
    np.testing.assert_allclose(after[4900:], before[4900:], atol=1e-4)
    told = {one.concept: one for one in moved}
    assert told.keys() == {"loudness", "centroid"}
    assert told["loudness"].steered > told["loudness"].random
    assert abs(told["loudness"].floor) < 0.1


def test_the_command_line_does_the_same(hearing, tmp_path):
    import soundfile
    from typer.testing import CliRunner

    from auscult.cli import app

    sound = tmp_path / "in.wav"
    soundfile.write(sound, 0.02 * np.random.default_rng(0).standard_normal(8_000), 8_000)
    folder = hearing.folder / "results/steering/vectors/loudness-more-means"
    words = [
        "steer",
        str(folder),
        str(sound),
        "--out",
        str(tmp_path / "out.wav"),
        "--strength",
        "0.1",
    ]
    done = CliRunner().invoke(app, [*words, "--start", "0.4", "--stop", "0.6"])
    assert done.exit_code == 0, done.output
    steer_file(
        folder, sound, tmp_path / "same.wav", 0.1, {"start_s": 0.4, "stop_s": 0.6, "fade_s": 0.05}
    )
    assert (tmp_path / "out.wav").read_bytes() == (tmp_path / "same.wav").read_bytes()
    assert "loudness" in done.output and "random, at most" in done.output


@pytest.mark.slow
def test_a_second_run_leaves_the_same_bytes(hearing, tmp_path):
    from auscult.core.manifest import digests_below

    again = run(spec(tmp_path, False), tmp_path / "run")
    first, second = (digests_below(one.folder, ["results"]) for one in (hearing, again))
    changed = {name for name in first if first[name] != second[name]}
    # The network lies in another folder, which nothing but the spec may show.
    assert not changed


def test_the_starting_file_asks_what_can_be_asked(tmp_path):
    from auscult.experiment.spec import read_spec
    from auscult.experiment.start import Start, write_start

    path = write_start(Start("steering", model="mini-encodec"), tmp_path, force=False)
    ((name, cls, params),) = read_spec(path).analysis_parts()
    assert (name, cls.registered_name, params.dictionary) == ("steering", "steering", "features")


@pytest.mark.parametrize(
    ("out", "model", "what"),
    [
        ("x.mp3", "", "must end in .wav or .flac"),
        ("x.wav", "mini-encodec", "made with other weights"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(hearing, tmp_path, out, model, what):
    folder = hearing.folder / "results/steering/vectors/loudness-more-means"
    with pytest.raises(UserError, match=what):
        steer_file(folder, tmp_path / "none.wav", tmp_path / out, model=model)


def test_a_model_without_a_way_back_is_left_untested(tmp_path):
    torch.manual_seed(0)
    told = {
        **spec(tmp_path, False),
        "model": {"type": "toy-samplecnn"},
        "record": {"taps": ["conv.0"]},
    }
    told["sounds"] = {**told["sounds"], "n": 6}
    done = run(told, tmp_path / "run")
    (judged,) = done.result("steering")["judgements"]
    assert judged["verdict"] == "cannot be tested here"
    assert "cannot turn its activations back into sound" in judged["reason"]
