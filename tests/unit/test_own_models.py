"""Bringing one's own network: files, packages, seeds, and what is refused."""

import sys

import pytest
import torch

from auscult.core.errors import ConfigError, UnknownNameError, UserError
from auscult.models.base import MODELS
from auscult.taps.capture import intervene, run_capture
from auscult.taps.probe import time_base

NET = """
import torch
class Net(torch.nn.Module):
    sample_rate = 1000
    labels = ("low", "high")
    def __init__(self, width=4):
        super().__init__()
        self.conv = torch.nn.Conv1d(1, width, 5, 2)
        self.norm = torch.nn.BatchNorm1d(width)
        self.back = torch.nn.ConvTranspose1d(width, 1, 5, 2)
    def encode(self, x):
        return self.norm(self.conv(x))
    def round(self, z):
        return torch.round(4 * z) / 4
    def decode(self, z):
        return self.back(z)
    def forward(self, x):
        return self.decode(self.round(self.encode(x)))
def make(width=4, random=False, seed=None):
    net = Net(width)
    net.asked = (random, seed)
    return net
"""


def build(path, weights="trained", seed=0, **more):
    section = {"type": "python", "path": str(path), "factory": "make", **more}
    cls, params = MODELS.parse(section, "model")
    return cls.build(params, weights, seed)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


def test_a_lone_file_is_found_from_the_working_folder(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert build("net.py").sample_rate == 1000


def test_two_files_of_one_name_do_not_meet(tmp_path):
    for width in (2, 3):
        (tmp_path / str(width)).mkdir()
        text = NET.replace("width=4", f"width={width}")
        (tmp_path / str(width) / "model.py").write_text(text)
    widths = [build(tmp_path / str(w) / "model.py").module.conv.out_channels for w in (2, 3)]
    assert widths == [2, 3]


@pytest.mark.parametrize(
    ("name", "where"), [("one", "one"), ("two", "two/deep/net.py"), ("three", "three.deep.net")]
)
def test_a_package_keeps_its_relative_imports(tmp_path, monkeypatch, name, where):
    folder = tmp_path / f"own_package_{name}"
    (folder / "deep").mkdir(parents=True)
    (folder / "__init__.py").write_text("from .deep.net import make\n")
    (folder / "deep" / "__init__.py").write_text("")
    (folder / "deep" / "net.py").write_text("from .sizes import WIDTH\n" + NET)
    (folder / "deep" / "sizes.py").write_text("WIDTH = 4\n")
    monkeypatch.chdir(tmp_path)
    assert build(f"own_package_{where}").name == "make"


def test_the_search_path_is_as_before(file):
    before = list(sys.path)
    build(file)
    assert sys.path == before


def test_a_module_beside_the_file_is_found(file):
    (file.parent / "beside_the_file.py").write_text("WIDTH = 7\n")
    file.write_text(
        NET + "\ndef make():\n    from beside_the_file import WIDTH\n    return Net(WIDTH)\n"
    )
    assert build(file).module.conv.out_channels == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [("import nothing_of_this_name", "nothing_of_this_name"), ("def make(:", "SyntaxError")],
)
def test_a_file_that_cannot_be_imported_says_why(tmp_path, text, said):
    (tmp_path / "net.py").write_text(text)
    with pytest.raises(UserError, match=said):
        build(tmp_path / "net.py")


def test_a_module_that_does_not_exist_is_a_wrong_setting():
    with pytest.raises(ConfigError, match=r"no module 'no\.such\.thing'"):
        build("no.such.thing")


def test_a_network_that_names_no_rate_must_be_told_it(file):
    file.write_text(NET.replace("sample_rate = 1000", "pass"))
    with pytest.raises(ConfigError, match="sample_rate"):
        build(file)
    assert build(file, sample_rate=500).sample_rate == 500


def test_two_rates_that_differ_are_refused(file):
    with pytest.raises(ConfigError, match=r"500 Hz.*1000 Hz"):
        build(file, sample_rate=500)


def test_the_factory_s_own_randomness_is_asked_for_and_seeded(file):
    model = build(file, "random", 5, weights_argument="random")
    assert model.module.asked == (True, 5)
    assert build(file, "trained", 5, weights_argument="random").module.asked == (False, None)


def test_random_weights_come_with_statistics_that_fit_them(file):
    model = build(file, "random", 1)
    normed = run_capture(model, model.probe_sound(n_clips=4, seed=1), ["norm"])["norm"].values
    assert normed.mean((0, 1)).abs().max() < 0.1
    assert (normed.std((0, 1)) - 1).abs().max() < 0.1
    assert not model.module.norm.training


def test_a_codec_s_methods_are_taps_with_roles(file):
    model = build(file, encode="encode", quantise=["round"], decode="decode")
    x = model.probe_sound()
    latent = model.module.norm(model.module.conv(x))
    heard = run_capture(model, x, ["latent", "latent.q"])
    torch.testing.assert_close(heard["latent"].values, latent.transpose(1, 2).detach())
    quantised = model.module.round(latent).transpose(1, 2)
    torch.testing.assert_close(heard["latent.q"].values, quantised.detach())
    torch.testing.assert_close(model.codec.quantise(latent), model.module.round(latent))


def test_what_lies_behind_a_quantiser_is_placed_through_the_latents(file):
    model = build(file, encode="encode", quantise="round", decode="decode")
    here = time_base(model, "back")
    # Two convolutions of five with a hop of two, there and back: nine samples around each.
    assert (here.hop, here.offset, here.span) == (1, 0, 9)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"encode": "encode"}, "encode and decode"),
        ({"quantise": "round"}, "quantise needs encode and decode"),
    ],
)
def test_half_a_codec_is_refused(file, more, said):
    with pytest.raises(ConfigError, match=said):
        build(file, **more)


def test_a_misspelled_method_names_the_nearest(file):
    with pytest.raises(UnknownNameError, match="'encode'"):
        build(file, encode="enocde", decode="decode")


def test_another_method_can_stand_for_forward(file):
    model = build(file, forward=["encode", "round"])
    assert "back" not in {tap.path for tap in model.taps()}


def test_a_declared_layout_is_used(tmp_path):
    text = NET.replace("return self.norm(self.conv(x))", "return self.norm(self.conv(x)) * 1")
    (tmp_path / "net.py").write_text(text)
    model = build(tmp_path / "net.py", layouts={"c*": "btc"})
    heard = run_capture(model, model.probe_sound(), ["conv:in"])["conv:in"]
    assert heard.values.shape == (1, 1, 1000)


def test_a_sound_that_the_network_cannot_take_is_told_with_the_line_that_fails(file):
    file.write_text(NET.replace("Conv1d(1, width", "Conv1d(2, width"))
    line = 1 + next(i for i, one in enumerate(NET.splitlines()) if "self.norm(self.conv(x))" in one)
    with pytest.raises(
        UserError, match=rf"\[1, 1, 1000\].*2 channels.*net\.py, line {line}\).*n_chan"
    ):
        build(file).taps()
    assert build(file, n_channels=2).taps()


def test_what_an_edit_raises_is_not_said_of_the_network(file):
    def wrong(values, time):
        raise KeyError("mine")

    model = build(file)
    with pytest.raises(KeyError, match="mine"), intervene(model, {"conv": wrong}):
        model.forward(model.probe_sound())


def line_of(text, code):
    return 1 + next(i for i, one in enumerate(text.splitlines()) if code in one)


CODEC = {"encode": "encode", "quantise": ["tell", "take"], "decode": "decode"}
WITH_CODES = NET.replace(
    "    def decode(self, z):",
    """    def tell(self, z):
        return torch.round(4 * z[:, :2]).long()
    def take(self, codes):
        return codes.repeat(1, 2, 1) / 4
    def decode(self, z):""",
)


def test_a_codec_that_keeps_its_word_is_used(file):
    file.write_text(WITH_CODES)
    model = build(file, **CODEC)
    assert {"latent", "latent.q"} < {tap.role for tap in model.taps()}
    latents = model.codec.encode(model.probe_sound())
    assert model.codec.codes(latents).shape == (1, 2, 498)
    assert model.codec.quantise(latents).shape == latents.shape


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "return self.norm(self.conv(x))",
            "return self.norm(self.conv(x)), 1",
            r"model\.encode: Net\.encode\(\) returned a tuple of 2 for a waveform \[batch channel "
            r"time\] of \[1, 1, 1000\], where latents \[batch d_latent frame\] of floats",
        ),
        (
            "return self.norm(self.conv(x))",
            "return self.norm(self.conv(x))[0]",
            r"model\.encode: Net\.encode\(\) returned a tensor of \[4, 498\] for",
        ),
        (
            "return self.norm(self.conv(x))",
            "return self.norm(self.conv(x)).repeat(2, 1, 1)",
            r"model\.encode: Net\.encode\(\) returned a tensor of \[2, 4, 498\] for",
        ),
        (
            "return self.norm(self.conv(x))",
            "return None",
            r"model\.encode: Net\.encode\(\) returned nothing for",
        ),
        (
            "z[:, :2]).long()",
            "z[:, :2])",
            r"model\.quantise: Net\.tell\(\) returned a tensor of \[1, 2, 498\] for latents .* where "
            r"codes \[batch level frame\] of whole numbers",
        ),
        (
            "z[:, :2]).long()",
            "z[:, :2, ::2]).long()",
            r"model\.quantise: Net\.take\(\) returned a tensor of \[1, 4, 249\] for latents .* of "
            r"\[1, 4, 498\], where latents of the same shape of floats",
        ),
        (
            "return codes.repeat",
            "raise KeyError('mine'); codes.repeat",
            r"model\.quantise: Net\.take\(\) fails on a int64 tensor of \[1, 2, 498\]: KeyError: "
            r"'mine' \(net\.py, line LINE\)",
        ),
        (
            "return self.back(z)",
            "return self.back(z)[:, 0]",
            r"model\.decode: Net\.decode\(\) returned a tensor of \[1, 999\] for latents .* where "
            r"waveforms \[batch channel time\] of floats",
        ),
        (
            "return self.back(z)",
            "return self.back(z[:, :3])",
            r"model\.decode: Net\.decode\(\) fails on latents \[batch d_latent frame\] of \[1, 4, "
            r"498\]: RuntimeError: .*\(net\.py, line LINE\)",
        ),
    ],
)
def test_a_codec_that_breaks_its_word_is_told_before_anything_is_recorded(
    file, before, after, said
):
    text = WITH_CODES.replace(before, after)
    file.write_text(text.replace("self.decode(self.round(self.encode(x)))", "self.conv(x)"))
    model = build(file, **CODEC)
    with pytest.raises(UserError, match=said.replace("LINE", str(line_of(text, after)))):
        model.taps()


def test_a_quantiser_that_only_tells_codes_is_told_to_name_the_way_back(file):
    file.write_text(WITH_CODES)
    with pytest.raises(UserError, match=r"int64 tensor of \[1, 2, 498\].*the method that takes"):
        build(file, encode="encode", quantise="tell", decode="decode").taps()


def test_what_fails_beneath_a_tap_on_a_method_is_told_of_the_network(file):
    model = build(file, encode="encode", quantise="round", decode="decode")
    file.write_text(NET)
    line = line_of(NET, "return self.norm(self.conv(x))")
    with intervene(model, {"latent": lambda values, time: values}):
        with pytest.raises(UserError, match=rf"Net\.encode\(\) fails.*net\.py, line {line}\)"):
            model.codec.encode(torch.zeros(1, 2, 1000))
        with pytest.raises(UserError, match=rf"network fails.*net\.py, line {line}\)"):
            model.forward(torch.zeros(1, 2, 1000))
        model.forward(model.probe_sound())


def test_what_an_edit_of_latents_raises_is_not_said_of_the_network(file):
    def wrong(values, time):
        raise KeyError("mine")

    model = build(file, encode="encode", quantise="round", decode="decode")
    with pytest.raises(KeyError, match="mine"), intervene(model, {"latent": wrong}):
        model.codec.encode(model.probe_sound())


@pytest.mark.parametrize(
    ("rate", "said"), [("1000.0", None), ("torch.tensor(1000)", "a Tensor and no whole number")]
)
def test_a_rate_that_is_no_whole_number_is_named(file, rate, said):
    file.write_text(NET.replace("sample_rate = 1000", f"sample_rate = {rate}"))
    if said is None:
        assert build(file).sample_rate == 1000
    else:
        with pytest.raises(ConfigError, match=said):
            build(file)


def test_labels_are_taken_over(file):
    assert build(file).labels == ("low", "high")
