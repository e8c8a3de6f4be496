"""Every way in which a hook can lie, on networks of which the answer is known."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from auscult.core.errors import SilentTapError, TapError, UnknownNameError, WidthError
from auscult.models.base import Codec, Method, Tap
from auscult.taps.capture import capture, intervene, run_capture
from auscult.taps.point import TapPoint, resolve
from auscult.taps.probe import measure_time_base
from auscult.taps.table import receipt, tap_table
from auscult.testing.known_answer import (
    Attending,
    CalledThrice,
    CellPerFrame,
    Functional,
    InPlace,
    KnownModel,
    TinyCodec,
    Windowed,
    as_model,
)

RATE = 800


def sound(n: int = RATE, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 1, n, generator=torch.Generator().manual_seed(5))


def built(cls: type[nn.Module]) -> KnownModel:
    with torch.random.fork_rng():
        torch.manual_seed(11)
        return as_model(cls(), RATE)


class CodecModel(KnownModel):
    """A codec whose quantiser no forward hook sees; its points are named as methods."""

    def taps(self):
        methods = {
            "in": Method("encode", takes="argument"),
            "codes": Method("encode"),
            "out": Method("decode"),
        }
        return [
            Tap("encoder", role="latent"),
            Tap("quantiser", role="rvq.0", layout="bct", methods=methods),
        ]


def codec() -> CodecModel:
    with torch.random.fork_rng():
        torch.manual_seed(11)
        model = CodecModel(TinyCodec(), RATE)
    network = model.module
    model.codec = Codec(
        encode=network.encoder,
        quantise=lambda z: network.quantiser.decode(network.quantiser.encode(z)),
        decode=network.decoder,
    )
    return model


def test_a_capture_is_a_copy_that_no_later_module_overwrites():
    model = built(InPlace)
    heard = run_capture(model, sound(), ["conv"])["conv"].values
    expected = model.module.conv(sound()).transpose(1, 2)
    assert_close(heard, expected, rtol=0, atol=0)
    assert heard.min() < 0


def test_a_module_called_several_times_is_refused_with_the_spelling():
    with pytest.raises(TapError, match=r"relu@0"):
        run_capture(built(CalledThrice), sound(), ["relu"])


@pytest.mark.parametrize("call", [0, 1, 2])
def test_one_call_is_addressed_by_its_number(call):
    model = built(CalledThrice)
    x = sound()
    for conv in model.module.convs[: call + 1]:
        x = conv(x).relu()
    heard = run_capture(model, sound(), [f"relu@{call}"])[f"relu@{call}"].values
    assert_close(heard, x.transpose(1, 2))


def test_all_calls_are_stacked_along_frames():
    model = built(CellPerFrame)
    heard = run_capture(model, sound(), ["cell@*"])["cell@*"].values
    assert_close(heard, model.forward(sound()))
    assert heard.shape == (2, RATE // 8, 6)


@pytest.mark.parametrize(
    ("cls", "address"), [(Attending, "attention.out_proj"), (Functional, "conv")]
)
def test_a_tap_that_did_not_fire_raises(cls, address):
    with pytest.raises(SilentTapError, match=address):
        run_capture(built(cls), sound(), [address])


def test_a_tuple_is_read_and_put_back_as_a_tuple():
    model = built(Attending)
    heard = run_capture(model, sound(), ["attention"])["attention"].values
    assert_close(heard, model.forward(sound()))
    with intervene(model, {"attention": lambda values, time: values * 0}):
        assert model.forward(sound()).abs().max() == 0


def test_windows_folded_into_the_batch_are_unfolded_in_time():
    model = built(Windowed)
    heard = run_capture(model, sound(640), ["conv"])["conv"]
    expected = model.module.conv(sound(640)).transpose(1, 2)  # windows and stride fit each other
    assert_close(heard.values, expected)
    assert (heard.time.hop, heard.time.span) == (4, 4)


def test_a_quantiser_is_read_where_no_hook_fires():
    model = codec()
    latent = model.module.encoder(sound())
    codes = model.module.quantiser.encode(latent)
    heard = run_capture(model, sound(), ["latent", "rvq.0:in", "rvq.0:codes", "rvq.0"])
    assert_close(heard["latent"].values, latent.transpose(1, 2))
    assert_close(heard["rvq.0:in"].values, latent.transpose(1, 2))
    assert torch.equal(heard["rvq.0:codes"].values[..., 0], codes)
    assert_close(heard["rvq.0"].values, model.module.quantiser.decode(codes).transpose(1, 2))
    assert codes.unique().numel() > 4, "a codebook that says one thing proves nothing"


def test_an_edited_latent_changes_the_codes():
    model = codec()
    before = run_capture(model, sound(), ["rvq.0:codes"])["rvq.0:codes"].values
    edits = {"latent": lambda values, time: -values}
    with intervene(model, edits), capture(model, ["rvq.0:codes"]) as captured:
        model.forward(sound())
    assert not torch.equal(captured["rvq.0:codes"].values, before)


@pytest.mark.parametrize("cls", [InPlace, CalledThrice, Attending, CellPerFrame, Windowed])
def test_a_model_is_bit_equal_after_any_capture(cls):
    model = built(cls)
    before = model.forward(sound(640))
    addresses = [tap.path for tap in model.taps() if "relu" not in tap.path and tap.path != "cell"]
    with capture(model, addresses):
        during = model.forward(sound(640))
    assert torch.equal(during, before)
    assert torch.equal(model.forward(sound(640)), before)


def test_a_model_is_clean_after_an_error_in_the_block():
    model = codec()
    before = model.forward(sound())
    edits = {"latent": lambda values, time: values + 1}
    with pytest.raises(ZeroDivisionError), intervene(model, edits):
        model.forward(sound())
        raise ZeroDivisionError
    assert torch.equal(model.forward(sound()), before)
    assert "encode" not in vars(model.module.quantiser)
    assert not any(module._forward_hooks for module in model.module.modules())


def test_a_capture_sees_what_an_edit_changed():
    model = built(InPlace)
    with intervene(model, {"conv": lambda values, time: values + 7}), capture(model, ["conv"]) as c:
        model.forward(sound())
    plain = run_capture(model, sound(), ["conv"])["conv"].values
    assert_close(c["conv"].values, plain + 7)


def test_an_edit_of_another_width_names_both():
    model = built(InPlace)
    with (
        pytest.raises(WidthError, match=r"width 3.*width 4"),
        intervene(model, {"conv": lambda values, time: values[..., :3]}),
    ):
        model.forward(sound())


def test_an_edit_that_never_happens_raises():
    model = built(Functional)
    with pytest.raises(SilentTapError), intervene(model, {"conv": lambda values, time: values}):
        model.forward(sound())


def test_stopping_early_runs_nothing_behind_the_last_tap():
    model = built(CalledThrice)
    ran = []
    model.module.convs[2].register_forward_hook(lambda *_: ran.append(2))
    run_capture(model, sound(), ["convs.0"])
    ran.clear()
    run_capture(model, sound(), ["convs.0"])
    assert ran == []


def test_an_unknown_address_names_the_nearest():
    with pytest.raises(UnknownNameError, match="'latent'"):
        run_capture(codec(), sound(), ["latnet"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("conv.0", TapPoint("conv.0")),
        ("conv.0:in", TapPoint("conv.0", "in")),
        ("relu@2", TapPoint("relu", "out", 2)),
        ("cell:in@*", TapPoint("cell", "in", "*")),
    ],
)
def test_addresses_are_read_and_written(text, expected):
    assert TapPoint.parse(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize("wrong", ["", "conv:sideways", "conv@x", "conv@"])
def test_a_broken_address_is_refused(wrong):
    with pytest.raises(TapError):
        TapPoint.parse(wrong)


def test_globs_sort_naturally():
    module = nn.Sequential(*(nn.Conv1d(1, 1, 1) for _ in range(12)))
    found = [tap.address for tap in resolve(as_model(module, RATE), ["*"])]
    assert found == [str(i) for i in range(12)]


@pytest.mark.parametrize(
    ("cls", "address", "hop", "span"),
    [(InPlace, "conv", 1, 5), (CalledThrice, "convs.2", 1, 7), (TinyCodec, "encoder", 4, 8)],
)
def test_the_gradient_gives_hop_and_span(cls, address, hop, span):
    time = measure_time_base(built(cls), address)
    assert (time.hop, time.span, time.global_) == (hop, span, False)


def test_attention_hears_the_whole_clip_and_a_cell_all_before():
    assert measure_time_base(built(Attending), "attention").global_
    cell = measure_time_base(built(CellPerFrame), "cell@*")
    assert cell.unbounded_past
    assert not cell.global_
    assert cell.hop == 8


def test_the_table_says_why_a_tap_cannot_be_read():
    rows = {row.address: row for row in tap_table(built(CalledThrice))}
    assert rows["convs.0"].time.span == 3
    assert rows["relu"].time is None
    assert "relu@0" in rows["relu"].verified


def test_a_receipt_changes_with_the_weights_and_not_with_time():
    model = built(InPlace)
    first = receipt(model, "conv")
    assert receipt(model, "conv") == first
    with torch.no_grad():
        model.module.conv.weight[0, 0, 0] += 1e-3
    changed = receipt(model, "conv")
    assert changed.digest != first.digest
    assert (changed.path, changed.kind) == ("conv", "Conv1d")
