"""TorchScript exports, small and random, in the shapes in which RAVE and DiffRhythm share theirs."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

HOP = 16
N_LATENTS, N_KEPT = 6, 4


class Rave(nn.Module):
    """As `rave export` makes a variational one: latents are drawn, rotated, and cut to a few.

    Args:
        streaming: Whether the encoder begins with the end of what it heard last.
        promised: What it says of its own hop.
        fading: Whether the decoder's filters are three hops long and fade to 1e-16 at
            both ends, as those of a filter bank do.
    """

    def __init__(self, streaming: bool = False, promised: int = HOP, fading: bool = False) -> None:
        super().__init__()
        self.streaming = streaming
        self.sr = 16_000
        self.encoder = nn.Sequential(
            nn.Conv1d(1, 8, 8, stride=4),
            nn.LeakyReLU(0.2),
            nn.Conv1d(8, 2 * N_LATENTS, 4, stride=4),
        )
        self.decoder = nn.ConvTranspose1d(N_LATENTS, 1, 3 * HOP if fading else HOP, stride=HOP)
        if fading:
            distance = torch.linspace(-1, 1, 3 * HOP).abs()
            self.decoder.weight.data *= 10 ** (-16 * distance)
        self.pqmf = nn.Conv1d(1, 1, 1, bias=False)
        self.register_buffer("encode_params", torch.tensor([1, 1, N_KEPT, promised]))
        self.register_buffer("latent_pca", torch.linalg.qr(torch.randn(N_LATENTS, N_LATENTS))[0])
        self.register_buffer("latent_mean", torch.randn(N_LATENTS))
        self.register_buffer("pad", torch.zeros(64, 1, 4))

    def means(self, x: Tensor) -> Tensor:
        """Means of all latents, rotated: what a drawn latent is when nothing is drawn."""
        padded = torch.cat([torch.zeros_like(x[..., :4]), x], -1)
        mean = self.encoder(self.pqmf(padded)).chunk(2, 1)[0]
        return torch.einsum("oi,bit->bot", self.latent_pca, mean - self.latent_mean[:, None])

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        padded = torch.cat([self.pad[: x.shape[0]], x], -1)
        if self.streaming:
            self.pad[: x.shape[0]].copy_(x[..., -4:])
        mean, scale = self.encoder(self.pqmf(padded)).chunk(2, 1)
        z = torch.randn_like(mean) * nn.functional.softplus(scale) + mean
        z = nn.functional.conv1d(z - self.latent_mean[:, None], self.latent_pca[:, :, None])
        return z[:, :4]

    @torch.jit.export
    def decode(self, z: Tensor) -> Tensor:
        lacking = torch.randn(z.shape[0], 2, z.shape[2])
        z = torch.cat([z, lacking], 1)
        z = nn.functional.conv1d(z, self.latent_pca.t()[:, :, None]) + self.latent_mean[:, None]
        sound = self.decoder(z)[:, :, : 16 * z.shape[2]]
        return sound + 0.01 * torch.rand(z.shape[0], 1, 16 * z.shape[2])

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


class Discrete(Rave):
    """One that gives indices."""

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        padded = nn.functional.pad(x, (4, 0))
        return (self.encoder(padded)[:, :4] * 10).round()


class Layers(nn.Module):
    """Layers in a row, under the name that stable-audio-tools gives to every list."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Unit(Layers):
    """A residual unit."""

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class StableAudio(nn.Module):
    """The layers of a diffusers autoencoder, in the nested lists of stable-audio-tools."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()

        def unit(u: nn.Module) -> Unit:
            return Unit(u.snake1, u.conv1, u.snake2, u.conv2)

        def units(b: nn.Module) -> list[Unit]:
            return [unit(b.res_unit1), unit(b.res_unit2), unit(b.res_unit3)]

        there, back = module.encoder, module.decoder
        self.encoder = Layers(
            there.conv1,
            *(Layers(*units(b), b.snake1, b.conv1) for b in there.block),
            there.snake1,
            there.conv2,
        )
        self.decoder = Layers(
            back.conv1,
            *(Layers(b.snake1, b.conv_t1, *units(b)) for b in back.block),
            back.snake1,
            back.conv2,
        )

    def encode_export(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def decode_export(self, z: Tensor) -> Tensor:
        return self.decoder(z)

    def published(self) -> dict[str, Tensor]:
        """Its tensors in their published shapes: slopes of snakes are vectors."""
        return {
            key: value.flatten() if key.endswith(("alpha", "beta")) else value
            for key, value in self.state_dict().items()
        }


def save_script(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module.eval()).save(str(path))
    return path


def save_traced(module: nn.Module, path: Path, inputs: dict[str, Tensor], frozen: bool) -> Path:
    """Traced; frozen: with its tensors folded into the program, where nobody finds them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace_module(module.eval(), inputs, check_trace=False)
        if frozen:
            traced = torch.jit.freeze(traced, preserved_attrs=list(inputs))
        traced.save(str(path))
    return path
