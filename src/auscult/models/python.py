"""Any network of one's own.

A Python file (or module) and the function in it that returns an ``nn.Module``.
"""

from typing import Any

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from auscult.core.config import Config
from auscult.core.errors import AuscultError, ConfigError, UserError
from auscult.models.base import MODELS, AudioModel, Codec, Layout, Method, Tap, Weights
from auscult.models.generation import Generator
from auscult.models.initial import recalibrate_norms, redraw_weights
from auscult.models.loading import accepts, call_factory, failed_on, find_factory
from auscult.models.own_methods import CODES, LATENTS, WAVEFORM, MethodRow, Promise, in_a_row
from auscult.models.patterns import matches
from auscult.models.stimulus import harmonic_noise
from auscult.models.survey import survey
from auscult.models.weights import shuffle_weights


@MODELS.register("python")
class PythonModel(AudioModel):
    """A network that a function of the user's own code returns.

    Taps are the modules that fire, under their own paths; methods named as ``encode`` and
    ``quantise`` add the roles ``latent`` and ``latent.q``. A network whose attribute ``generator``
    is a :class:`~auscult.models.generation.Generator` makes sound in steps.
    """

    class Params(Config):
        """Where the network is and what its code does not say."""

        path: str
        """A ``.py`` file, the folder of a package, or a dotted module name."""
        factory: str
        """Name of the function (or class) that returns the network."""
        args: dict[str, Any] = {}
        """Arguments for the function."""
        sample_rate: int | None = Field(default=None, gt=0)
        """Samples per second that it listens at.

        Its own ``sample_rate`` attribute when not given.
        """
        n_channels: int = Field(default=1, ge=1)
        """Channels that it listens to: it is called with ``[batch channel time]``."""
        weights_argument: str | None = None
        """Argument of the function that asks for random weights when true.

        Without one, every layer that has ``reset_parameters`` is drawn afresh and batch norms are
        calibrated on synthetic sound.
        """
        layouts: dict[str, Layout] = {}
        """Order of the axes at taps where the kind of module does not tell it.

        Tap or glob to layout.
        """
        forward: str | list[str] = []
        """Method to call instead of ``forward``.

        Of several, each gets what the one before returned.
        """
        encode: str | list[str] = []
        """Method (or several in a row) from waveform to latents ``[batch d_latent frame]``."""
        quantise: str | list[str] = []
        """Method (or several in a row) from latents to the latents that its codes stand for.

        Of several, the first gives the codes ``[batch level frame]`` and the rest take the codes of
        the first so many levels: what looks at levels one by one needs these two.
        """
        decode: str | list[str] = []
        """Method (or several in a row) from latents to waveform."""
        probe_samples: int = Field(default=0, ge=0)
        """Length of a clip that suits the network, for probes.

        0 for a second, or longer where needed.
        """

    def __init__(self, module: nn.Module, params: "PythonModel.Params", weights: Weights) -> None:
        self.module = module
        self.params = params
        self.weights = weights
        self.name = params.factory
        self.n_channels = params.n_channels
        self.sample_rate = _sample_rate(module, params)
        self.labels = _labels(module)
        self.probe_samples = params.probe_samples
        self._run = in_a_row(module, _names(params.forward)) if params.forward else module
        self.codec = _codec(module, params, len(self._layout("latent") or "bct"))
        own = getattr(module, "generator", None)
        self.generator = own if isinstance(own, Generator) else None
        self._taps: list[Tap] | None = None

    @classmethod
    def build(cls, params: "PythonModel.Params", weights: Weights, seed: int) -> "PythonModel":
        """Call the factory, and draw weights afresh where it has no argument for that.

        Raises:
            UserError: The file, the function or a method is missing, fails, or gives no network.
        """
        function = find_factory(params.path, params.factory)
        arguments = dict(params.args)
        if weights == "random" and params.weights_argument:
            arguments[params.weights_argument] = True
            if "seed" not in arguments and accepts(function, "seed"):
                arguments["seed"] = seed
        module = call_factory(params.path, params.factory, arguments)
        if not isinstance(module, nn.Module):
            raise UserError(
                f"{params.factory}() of {params.path} returned a {type(module).__name__} "
                f"and not a torch.nn.Module"
            )
        model = cls(module.eval(), params, weights)
        if weights == "shuffled":
            shuffle_weights(module, seed)
        elif weights == "random" and not params.weights_argument:
            redraw_weights(module, seed)
        if weights != "trained" and not (weights == "random" and params.weights_argument):
            recalibrate_norms(
                module, lambda: model.forward(model.probe_sound(n_clips=4, seed=seed))
            )
        return model

    def forward(self, waveform: Float[Tensor, "batch channel time"]) -> Any:
        """Call the network, or the methods named in its place.

        Raises:
            UserError: The network's own code fails on it.
        """
        try:
            return self._run(waveform)
        except (AuscultError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            said = failed_on(waveform.shape, error)
            if said is None:
                raise
            raise said from error

    def probe_sound(self, n_clips: int = 1, seed: int = 0) -> Float[Tensor, "n_clips channel time"]:
        """Synthetic sound of a length that suits the network."""
        n_samples = self.probe_samples or self.sample_rate
        return harmonic_noise(self.sample_rate, self.n_channels, n_samples, n_clips, seed)

    def taps(self) -> list[Tap]:
        """The codec's own roles, then every module that fires, in firing order."""
        if self._taps is None:
            fired = survey(self.module, lambda: self.forward(self.probe_sound()))
            self._try_codec()
            modules = [Tap(f.path, layout=self._layout(f.path)) for f in fired if f.path]
            self._taps = [*self._codec_taps(), *modules]
        return self._taps

    @torch.no_grad()
    def _try_codec(self) -> None:
        """There and back once, before hours are spent on a codec that does not keep its word."""
        if self.codec is None:
            return
        latents = self.codec.encode(self.probe_sound())
        for step in (self.codec.quantise, self.codec.codes):
            if step is not None:
                step(latents)
        self.codec.decode(latents)

    def _codec_taps(self) -> list[Tap]:
        named = {"latent": _names(self.params.encode), "latent.q": _names(self.params.quantise)}
        return [
            Tap("", role, self._layout(role) or "bct", {"out": Method(names[-1])})
            for role, names in named.items()
            if names
        ]

    def _layout(self, address: str) -> Layout | None:
        exact = self.params.layouts.get(address)
        globs = (v for pattern, v in self.params.layouts.items() if matches(pattern, address))
        return exact or next(globs, None)


def _names(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _codec(module: nn.Module, params: PythonModel.Params, n_axes: int) -> Codec | None:
    """The codec that methods of the network make.

    ``n_axes`` of its latents, as its layout says.
    """
    if bool(params.encode) != bool(params.decode):
        raise ConfigError("model: encode and decode make a codec together, give both or neither")
    if not params.encode:
        if params.quantise:
            raise ConfigError("model: quantise needs encode and decode as well")
        return None

    def row(names: str | list[str], *promise: Any, **more: Any) -> MethodRow:
        return MethodRow(module, _names(names), Promise(*promise, **more))

    heard, latents, codes = f"a waveform {WAVEFORM}", f"latents {LATENTS}", f"codes {CODES}"
    way_there = row(params.encode, "encode", heard, latents, n_axes)
    way_back = row(params.decode, "decode", latents, f"waveforms {WAVEFORM}")
    names = _names(params.quantise)
    if not names:
        return Codec(way_there, way_back)
    same_shape = ("quantise", latents, "latents of the same shape", 0, "all")
    there_and_back = row(names, *same_shape, advice=_BOTH if len(names) < 2 else "")
    if len(names) < 2:
        return Codec(way_there, way_back, there_and_back)
    same = (0, 2) if n_axes == 3 else (0,)
    indices = row(names[0], "quantise", latents, codes, like=same, integers=True)
    from_codes = row(names[1:], "quantise", codes, latents, n_axes, same)
    return Codec(way_there, way_back, there_and_back, {}, indices, from_codes)


_BOTH = (
    "; of a quantiser that tells codes, name the method that takes them back as well: "
    'quantise = ["quantize", "dequantize"]'
)


def _sample_rate(module: nn.Module, params: PythonModel.Params) -> int:
    own = getattr(module, "sample_rate", None)
    if isinstance(own, float) and own.is_integer():
        own = int(own)
    rate = params.sample_rate if params.sample_rate is not None else own
    if not isinstance(rate, int):
        lacking = "without a sample_rate attribute"
        if own is not None:
            lacking = f"whose sample_rate is a {type(own).__name__} and no whole number"
        raise ConfigError(
            f"model.sample_rate: {params.factory}() returns a network {lacking}, so say at how "
            f"many samples per second it listens"
        )
    if params.sample_rate is not None and isinstance(own, int) and own != params.sample_rate:
        raise ConfigError(
            f"model.sample_rate says {params.sample_rate} Hz, the network itself says {own} Hz"
        )
    return rate


def _labels(module: nn.Module) -> tuple[str, ...]:
    labels = getattr(module, "labels", ())
    usable = isinstance(labels, list | tuple) and all(isinstance(label, str) for label in labels)
    return tuple(labels) if usable else ()
