"""A generator that makes a picture in one pass from a label map, noisy latents, or both (SPADE, Park et al. 2019).

    latents, their noise levels, map, noise --> features at 1/8 --> blocks --> 1/4 --> blocks --> 1/2 --> blocks --> residual
                                                   map, at each resolution ---^-----------------^-----------------^     |
    base: the autoencoder's picture of the linear estimate ------------------------------^-----------------^----> + --> pixels

The base is what a receiver without any generator would show; grey where no latent arrived. Before any training the picture is
the base, so what is learned is what a map, neighbours and a critic have to say about it. Most features are at 1/8 of the
resolution, where a CPU's time is well spent; the finer levels put edges where the map has them.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional

from semcom.models.block_code import conv, normal, resized, unshuffled, zero
from semcom.models.denoiser import PLANES, log_ratio, preconditioning
from semcom.models.spade import SpadeBlock
from semcom.types import GREY

#: pixels of a position of the three levels, along each side
COARSE, MIDDLE, FINE = 8, 4, 2


class SpadeGenerator(ModelMixin, ConfigMixin):
    """G(x, sigma, planes, base, noise): pixels [B, 3, 8h, 8w], not clamped.

    Shapes: ``x`` [B, C, h, w]; ``sigma`` [B, C, h, w], 0 to inf; ``planes`` [B, 13, H, W] of any size, 0 for no map
    (`semcom.models.denoiser.planes_of` for half the resolution is what it was trained with); ``base`` [B, 3, 8h, 8w], what a decoder
    shows of the latents' linear estimate, grey where there are none;
    ``noise`` [B, N, h, w] of unit variance for a sample, or 0 for the one picture that is shown.
    Units: latents of unit RMS over all C channels, as `semcom.models.autoencoder.Autoencoder.encode` gives them.
    References: Park, Liu, Wang, Zhu 2019, SPADE; Shi et al. 2016, space to depth and back.
    """

    @register_to_config
    def __init__(
        self,
        power: tuple[float, ...] = (1.0,) * 16,
        widths: tuple[int, int, int] = (128, 64, 32),
        blocks: tuple[int, int, int] = (5, 2, 1),
        hidden: tuple[int, int, int] = (48, 32, 24),
        noise: int = 16,
        embedding: int = 128,
    ):
        """``power``: mean square of each latent channel. ``widths``, ``blocks``, ``hidden``: features, residual blocks, and
        features between the map and what it scales by, at 1/8, 1/4 and 1/2 of the resolution. ``noise``: planes of it."""
        super().__init__()
        self.channels, self.noise_planes = len(power), noise
        self.register_buffer("deviation", torch.tensor(power, dtype=torch.float32).sqrt()[:, None, None], persistent=False)
        self.embed = nn.Sequential(nn.Linear(2 * self.channels + 1, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU())
        self.stem = conv(3 * self.channels + PLANES * (COARSE // MIDDLE) ** 2 + noise, widths[0])
        self.coarse, self.middle, self.fine = (
            nn.ModuleList(SpadeBlock(width, width, PLANES, inside, embedding) for _ in range(count))
            for width, count, inside in zip(widths, blocks, hidden, strict=True)
        )
        self.to_middle = nn.Conv2d(widths[0], 4 * widths[1], 1)
        self.to_fine = nn.Conv2d(widths[1], 4 * widths[2], 1)
        self.base_middle = nn.Conv2d(3 * MIDDLE**2, widths[1], 1)
        self.base_fine = nn.Conv2d(3 * FINE**2, widths[2], 1)
        self.head = zero(conv(widths[2], 3 * FINE**2))

    def forward(
        self, x: torch.Tensor, sigma: torch.Tensor, planes: torch.Tensor, base: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        _, scale_in, _ = preconditioning(sigma, self.deviation)
        scaled = scale_in * torch.where(sigma.isfinite(), x, 0.0)
        level, known = log_ratio(sigma, self.deviation), known_share(sigma, self.deviation)
        places = resized(planes, tuple(COARSE // MIDDLE * side for side in x.shape[2:]))
        summary = self.embed(torch.cat([level.mean((2, 3)), known.mean((2, 3)), planes[:, -1:].mean((2, 3))], 1))
        given = torch.cat([scaled, level, known, functional.pixel_unshuffle(places, COARSE // MIDDLE), noise], 1)
        shown = base - GREY
        features = _through(self.coarse, self.stem(given.contiguous(memory_format=torch.channels_last)), planes, summary)
        features = functional.pixel_shuffle(self.to_middle(features), 2) + self.base_middle(unshuffled(shown, MIDDLE))
        features = _through(self.middle, features, planes, summary)
        features = functional.pixel_shuffle(self.to_fine(features), 2) + self.base_fine(unshuffled(shown, FINE))
        features = _through(self.fine, features, planes, summary)
        return base + functional.pixel_shuffle(self.head(functional.silu(normal(features))), FINE).float()


def known_share(sigma: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """Of each element's power, the share that the linear estimate knows: 1 without noise, 0 where nothing arrived."""
    return 1.0 / (1.0 + (sigma / deviation).square())


def linear(x: torch.Tensor, sigma: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """Latents [B, C, h, w] for a decoder: the linear MMSE estimate of each element, at unit RMS over the channels of which
    something arrived; 0 where nothing did."""
    power = power[:, None, None]
    some = sigma.isfinite().flatten(2).any(2).float()[:, :, None, None]
    usual = (some * power).sum((1, 2, 3), keepdim=True) / some.sum((1, 2, 3), keepdim=True).clamp(min=1.0)
    estimate = torch.where(sigma.isfinite(), x, 0.0) * known_share(sigma, power.sqrt())
    return estimate / torch.where(usual > 0.0, usual, 1.0).sqrt()


def shown_where(pictures: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Pictures [B, 3, H, W] as a base: grey of those of which no latent arrived."""
    return torch.where(sigma.isfinite().flatten(1).any(1)[:, None, None, None], pictures, GREY)


def _through(blocks: nn.ModuleList, features: torch.Tensor, planes: torch.Tensor, summary: torch.Tensor) -> torch.Tensor:
    planes = resized(planes, tuple(features.shape[2:]))
    for block in blocks:
        features = block(features, planes, summary)
    return features
