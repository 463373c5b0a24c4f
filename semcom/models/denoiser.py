"""A denoiser of latents in sigma form: what arrived, how noisy each element is, and a label map, to the clean latents.

    x, sigma, map --> features (c_in x, how much of each element is known, classes) --> U-Net over positions --> F
    estimate = c_skip x + c_out F, an element at a time (Karras et al. 2022, table 1, with a sigma of its own for each)

An element that did not arrive (sigma = inf) is not looked at: c_skip and c_in are 0 there and c_out is the deviation of
its channel. One that arrived without noise is kept: c_skip = 1, c_out = 0. So before any training the network is the linear
MMSE estimate of independent elements, and what it learns is what neighbours, channels and the map say beside.
"""

from __future__ import annotations

import math

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional

from semcom.models.block_code import conv, normal, resized, zero

#: classes of a map: CamVid's eleven, and void
CLASSES = 12
#: places of a map inside a latent position, along each side
FINER = 2
#: planes of a map at a place: its classes, and whether it is known there
PLANES = CLASSES + 1
#: noise-to-signal ratios (amplitudes) between which the logarithm tells levels apart
LEAST, MOST = 1e-3, 1e3
#: halvings inside the U-Net: positions are processed in multiples of 2^HALVINGS
HALVINGS = 2


class LatentDenoiser(ModelMixin, ConfigMixin):
    """D(x, sigma, planes): the estimate of latents from noisy ones, and how far it is a picture that the map describes.

    Shapes: ``x`` [B, C, h, w]; ``sigma`` [B, C, h, w], 0 to inf; ``planes`` [B, 13, 2h, 2w] (`planes_of`) or None for no map.
    Units: latents of unit RMS over all C channels, as `semcom.models.autoencoder.Autoencoder.encode` gives them.
    References: Karras, Aittala, Aila, Laine 2022, "Elucidating the design space of diffusion-based generative models";
    Ronneberger, Fischer, Brox 2015, U-Net; Ho, Salimans 2022, guidance by a map that is left out in part of the training.
    """

    @register_to_config
    def __init__(
        self,
        power: tuple[float, ...] = (1.0,) * 16,
        widths: tuple[int, int, int] = (96, 176, 320),
        blocks: tuple[int, int, int] = (1, 1, 2),
        heads: int = 5,
        embedding: int = 256,
        fast: bool = False,
    ):
        """``power``: mean square of each latent channel. ``widths``, ``blocks``: features, and residual blocks on the
        way down and as many on the way up, at the latents' resolution, half and a quarter of it. ``fast``: the same weights
        have a second mode, which starts as the first and may learn to show in one evaluation what the first shows in several."""
        super().__init__()
        self.channels = len(power)
        self.register_buffer("deviation", torch.tensor(power, dtype=torch.float32).sqrt()[:, None, None], persistent=False)
        seen = 2 * self.channels + 1
        self.embed = nn.Sequential(nn.Linear(seen, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU())
        self.stem = conv(3 * self.channels + PLANES * FINER**2, widths[0])
        self.net = Level(widths, blocks, heads, embedding)
        self.head = zero(conv(widths[0], self.channels))
        if fast:
            self.fast_embed, self.fast_head = zero(nn.Linear(seen, embedding)), zero(conv(widths[0], self.channels))

    @property
    def has_fast(self) -> bool:
        return self.config.fast

    def forward(
        self, x: torch.Tensor, sigma: torch.Tensor, planes: torch.Tensor | None = None, fast: torch.Tensor | None = None
    ) -> torch.Tensor:
        """``fast`` bool [B]: rows in the second mode; None for none."""
        skip, scale_in, scale_out = preconditioning(sigma, self.deviation)
        x = torch.where(sigma.isfinite(), x, 0.0)
        return skip * x + scale_out * self.residual(scale_in * x, sigma, planes, fast)

    def residual(
        self, scaled: torch.Tensor, sigma: torch.Tensor, planes: torch.Tensor | None = None, fast: torch.Tensor | None = None
    ) -> torch.Tensor:
        """F: what the network is trained for, of unit variance an element; ``scaled`` is c_in x."""
        level = log_ratio(sigma, self.deviation)
        known = 1.0 / (1.0 + (sigma / self.deviation).square())
        if planes is None:
            planes = scaled.new_zeros((len(scaled), PLANES, FINER * scaled.shape[2], FINER * scaled.shape[3]))
        summary = torch.cat([level.mean(dim=(2, 3)), known.mean(dim=(2, 3)), planes[:, -1:].mean(dim=(2, 3))], dim=1)
        features = torch.cat([scaled, level, known, functional.pixel_unshuffle(planes, FINER)], dim=1)
        features, (height, width) = _whole(features), scaled.shape[2:]
        features, embedding = self.stem(features.contiguous(memory_format=torch.channels_last)), self.embed(summary)
        if fast is not None:
            embedding = embedding + fast[:, None] * self.fast_embed(summary)
        features = functional.silu(normal(self.net(features, embedding)))
        out = self.head(features)
        if fast is not None:
            out = out + fast[:, None, None, None] * self.fast_head(features)
        return out[:, :, :height, :width].float()


def preconditioning(sigma: torch.Tensor, deviation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(c_skip, c_in, c_out) of elements with noise ``sigma`` in 0 to inf, where the data's deviation is ``deviation`` > 0.

    >>> [x.tolist() for x in preconditioning(torch.tensor([0.0, 1.0, math.inf]), torch.tensor(1.0))]
    [[1.0, 0.5, 0.0], [1.0, 0.7071067690849304, 0.0], [0.0, 0.7071067690849304, 1.0]]
    """
    ratio = sigma / deviation
    root = torch.rsqrt(1.0 + ratio.square())
    return root.square(), root / deviation, deviation * torch.where(ratio.isinf(), 1.0, ratio * root)


def log_ratio(sigma: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """The logarithm of noise over signal, -1 to 1."""
    return (sigma / deviation).clamp(LEAST, MOST).log() / math.log(MOST)


def planes_of(probabilities: torch.Tensor, known: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Planes float32 [B, 13, 2h, 2w] of a map, for latents of ``size`` (h, w).

    ``probabilities`` [B, 12, H, W] of the classes and ``known`` [B, H, W], at any resolution: means over the area of a
    place, or the value there where the map is coarser.
    """
    planes = torch.cat([probabilities.float() * known[:, None], known[:, None].float()], dim=1)
    return resized(planes, (FINER * size[0], FINER * size[1]))


class Level(nn.Module):
    """A level of the U-Net and, inside it, the levels below."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...], heads: int, embedding: int):
        super().__init__()
        width, *below = widths
        self.down = nn.ModuleList(Residual(width, width, embedding) for _ in range(blocks[0]))
        self.inner = None
        if not below:
            self.attention = Attention(width, heads)
            self.up = nn.ModuleList(Residual(width, width, embedding) for _ in range(blocks[0]))
            return
        self.shrink = nn.Conv2d(width, below[0], 2, stride=2)
        self.inner = Level(tuple(below), blocks[1:], heads, embedding)
        self.grow = nn.Conv2d(below[0], 4 * width, 1)
        self.up = nn.ModuleList(Residual(2 * width if first else width, width, embedding) for first in _first(blocks[0]))

    def forward(self, x: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        for block in self.down:
            x = block(x, known)
        if self.inner is None:
            x = self.attention(x)
        else:
            x = torch.cat([x, functional.pixel_shuffle(self.grow(self.inner(self.shrink(x), known)), 2)], dim=1)
        for block in self.up:
            x = block(x, known)
        return x


class Residual(nn.Module):
    """Two convolutions beside a skip, scaled and shifted by what is known of the whole picture."""

    def __init__(self, inputs: int, width: int, embedding: int):
        super().__init__()
        self.first, self.second = conv(inputs, width), zero(conv(width, width))
        self.modulation = zero(nn.Linear(embedding, 2 * width))
        self.skip = nn.Conv2d(inputs, width, 1) if inputs != width else nn.Identity()

    def forward(self, x: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        scale, shift = self.modulation(known)[:, :, None, None].chunk(2, 1)
        inside = self.first(functional.silu(normal(x)))
        inside = torch.addcmul(shift, normal(inside), 1.0 + scale)
        return self.skip(x) + self.second(functional.silu(inside))


class Attention(nn.Module):
    """Every position looks at every other (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.into, self.out = nn.Conv2d(width, 3 * width, 1), zero(nn.Conv2d(width, width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            part.flatten(2).unflatten(1, (self.heads, -1)).transpose(2, 3) for part in self.into(normal(x)).chunk(3, 1)
        )
        seen = functional.scaled_dot_product_attention(query, key, value)
        return x + self.out(seen.transpose(2, 3).flatten(1, 2).unflatten(2, x.shape[2:]))


def _first(count: int) -> list[bool]:
    return [place == 0 for place in range(count)]


def _whole(features: torch.Tensor) -> torch.Tensor:
    """With rows and columns repeated at the ends, so that they can be halved."""
    height, width = (-side % 2**HALVINGS for side in features.shape[2:])
    return functional.pad(features, (0, width, 0, height), mode="replicate") if height or width else features
