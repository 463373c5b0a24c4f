"""Semantic diffusion: a denoiser of pictures in sigma form, conditioned on a label map by SPADE, and what makes them larger.

    noisy picture, half size --> 2x2 to one position --> way down: residual blocks         \
                                            map --> middle and way up: SPADE blocks         --> F
    estimate = c_skip x + c_out F
    picture, half size; map, full size --> upsampler, one pass --> picture, full size

The architecture is that of semantic diffusion models (Wang et al. 2022), which GESCO uses (Grassucci et al. 2023): the way down
sees the noisy picture alone, the middle and the way up see the map. It is small: half of the resolution on each side, two
halvings, attention at an eighth of the picture's sides. Those pixels are of unit variance, so that what the network is
trained for, F, is v of variance-preserving diffusion (Salimans, Ho 2022): sigma form and DDPM are one and the same network
(`semcom.diffusion.variance_preserving`). GESCO's networks also see edges of instances; labels of classes have none, and
edges of classes say nothing that the map does not.
"""

from __future__ import annotations

import math

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional

from semcom.models.block_code import conv, normal, zero
from semcom.models.denoiser import PLANES, Attention, Residual, log_ratio, preconditioning
from semcom.models.spade import SpadeBlock

#: mean and deviation of the pixels of the packs that what ships was trained on, at half size
MEAN, DEVIATION = 0.379, 0.246
#: pixels of the generated picture in a position of the network, along each side; and of the picture in one that is generated
PATCH, HALF = 2, 2
#: halvings of the positions
HALVINGS = 2
#: sides of the generated picture are multiples of this
MULTIPLE = PATCH * 2**HALVINGS
#: sines and cosines of the noise level
FREQUENCIES = 8


class SemanticUNet(ModelMixin, ConfigMixin):
    """D(x, sigma, planes): the estimate of a picture of half size from a noisy one and a label map; and the upsampler.

    Shapes: ``x`` [B, 3, h, w], sides multiples of 8 (`MULTIPLE`); ``sigma`` [B], above 0, inf included; ``planes``
    [B, 13, 2h, 2w], the classes and whether they are known, or None for no map. With ``picture`` [B', 3, h, w], pictures of
    the first B' rows: their upsampled ones [B', 3, 2h, 2w] as well.
    Units: pixels less their mean over their deviation (`normalised`, `pixels`).
    References: Wang et al. 2022, arXiv 2207.00050, semantic diffusion; Grassucci, Barbarossa, Comminiello 2023, arXiv
    2306.04321, GESCO; Park et al. 2019, SPADE; Karras et al. 2022, sigma form; Ho et al. 2022, arXiv 2106.15282, cascades.
    """

    @register_to_config
    def __init__(
        self,
        widths: tuple[int, int, int] = (48, 96, 176),
        hidden: int = 32,
        heads: int = 4,
        embedding: int = 128,
        upsampler_width: int = 32,
    ):
        """``widths``: features at a half, a quarter and an eighth of the positions of the generated picture; ``hidden``:
        features of SPADE; ``upsampler_width``: of the upsampler."""
        super().__init__()
        inputs = 3 * PATCH**2
        self.embed = nn.Sequential(
            nn.Linear(2 * FREQUENCIES + 2, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU()
        )
        self.stem = conv(inputs, widths[0])
        self.net = Level(widths, PLANES * PATCH**2, hidden, heads, embedding)
        self.head = zero(conv(widths[0], inputs))
        self.upsampler = Upsampler(upsampler_width)

    def forward(
        self, x: torch.Tensor, sigma: torch.Tensor, planes: torch.Tensor | None = None, picture: torch.Tensor | None = None
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        if planes is None:
            planes = x.new_zeros((len(x), PLANES, HALF * x.shape[2], HALF * x.shape[3]))
        estimate = self.denoised(x, sigma, planes)
        return estimate if picture is None else (estimate, self.upsampler(picture, planes[: len(picture)]))

    def denoised(self, x: torch.Tensor, sigma: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
        one = torch.ones((), device=x.device)
        skip, scale_in, scale_out = (part[:, None, None, None] for part in preconditioning(sigma, one))
        # the level as the map is part of what is known of the whole picture
        level, share = log_ratio(sigma, one)[:, None], planes[:, -1].mean(dim=(1, 2))[:, None]
        waves = math.pi * level * torch.arange(1, FREQUENCIES + 1, device=x.device)
        known = self.embed(torch.cat([level, share, waves.sin(), waves.cos()], dim=1))
        # means over the generated picture's pixels; a position sees those of all of its pixels
        shown = functional.pixel_unshuffle(functional.avg_pool2d(planes, HALF), PATCH)
        features = functional.pixel_unshuffle(scale_in * x, PATCH).contiguous(memory_format=torch.channels_last)
        made = self.net(self.stem(features), shown.contiguous(memory_format=torch.channels_last), known)
        out = functional.pixel_shuffle(self.head(functional.silu(normal(made))), PATCH)
        return skip * x + scale_out * out.float()


class Level(nn.Module):
    """A level of the U-Net and, inside it, the levels below."""

    def __init__(self, widths: tuple[int, ...], planes: int, hidden: int, heads: int, embedding: int):
        super().__init__()
        width, *below = widths
        self.down = Residual(width, width, embedding)
        self.inner = None
        if not below:
            self.middle = SpadeBlock(width, width, planes, hidden, embedding)
            self.attention = Attention(width, heads)
            self.up = SpadeBlock(width, width, planes, hidden, embedding)
            return
        self.shrink = nn.Conv2d(width, below[0], 2, stride=2)
        self.inner = Level(tuple(below), PLANES, hidden, heads, embedding)
        self.grow = nn.Conv2d(below[0], 4 * width, 1)
        self.up = SpadeBlock(2 * width, width, planes, hidden, embedding)

    def forward(self, x: torch.Tensor, planes: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        x = self.down(x, known)
        if self.inner is None:
            x = self.attention(self.middle(x, planes, known))
        else:
            inside = self.inner(self.shrink(x), _coarser(planes), known)
            x = torch.cat([x, functional.pixel_shuffle(self.grow(inside), 2)], dim=1)
        return self.up(x, planes, known)


class Upsampler(nn.Module):
    """A picture of twice the size, in one pass: the enlarged picture, and what the map's edges and the picture say beside.

    Shapes: ``picture`` [B, 3, h, w], ``planes`` [B, 13, 2h, 2w] to [B, 3, 2h, 2w]; pixels as the denoiser's.
    """

    def __init__(self, width: int):
        super().__init__()
        self.map = nn.Conv2d(PLANES * HALF**2, width // 4, 1)
        self.stem = conv(3 + width // 4, width)
        self.blocks = nn.ModuleList(nn.ModuleList([conv(width, width), zero(conv(width, width))]) for _ in range(2))
        self.head = zero(conv(width, 3 * HALF**2))

    def forward(self, picture: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
        shown = self.map(functional.pixel_unshuffle(planes, HALF).contiguous(memory_format=torch.channels_last))
        x = self.stem(torch.cat([picture, shown], dim=1).contiguous(memory_format=torch.channels_last))
        for first, second in self.blocks:
            x = x + second(functional.silu(first(functional.silu(normal(x)))))
        finer = functional.pixel_shuffle(self.head(functional.silu(x)), HALF).float()
        return functional.interpolate(picture.float(), scale_factor=HALF, mode="bilinear", align_corners=False) + finer


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels in [0, 1] in the networks' units."""
    return (pixels - MEAN) / DEVIATION


def pixels_of(x: torch.Tensor, clamped: bool = True) -> torch.Tensor:
    """Pixels in [0, 1] from the networks' units; not ``clamped`` where gradients are wanted of those beyond."""
    pixels = x * DEVIATION + MEAN
    return pixels.clamp(0.0, 1.0) if clamped else pixels


def halved(pixels: torch.Tensor) -> torch.Tensor:
    """Means over 2x2 pixels."""
    return functional.avg_pool2d(pixels, HALF)


def _coarser(planes: torch.Tensor) -> torch.Tensor:
    """Planes [B, 13, h/2, w/2] from planes of the level above, which are those of 2x2 pixels a position at the first."""
    if planes.shape[1] != PLANES:
        planes = planes.unflatten(1, (PLANES, -1)).mean(2)
    return functional.avg_pool2d(planes, 2)
