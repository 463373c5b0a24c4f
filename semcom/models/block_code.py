"""What networks share that code a picture block by block: an exact linear transform, and residual blocks beside it.

A linear code over 8x8 blocks is where training starts, so that a network learns what a linear code cannot do and not
the transform once more.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from semcom.softcast import PLANES, dct_matrix, typical_variance

#: pixels of a latent position along each side, and of a position of the fine features
FACTOR, FINE = 8, 4
#: samples of a block
COEFFICIENTS = 3 * FACTOR**2
#: frequencies of the frame that a block's coefficient gathers, for the power that is typical of it
FINER = (16, 32)


class Block(nn.Module):
    """A residual block whose features are scaled and shifted by their own means, and by ``known`` numbers of an image.

    A ``bounded`` factor cannot grow block upon block on pictures that are out of the ordinary.
    """

    def __init__(self, width: int, known: int = 0, bounded: bool = True):
        super().__init__()
        self.bounded = bounded
        self.first, self.second = conv(width, width), conv(width, width)
        self.attention = nn.Sequential(nn.Linear(width + known, width // 2), nn.SiLU(), nn.Linear(width // 2, 2 * width))
        zero(self.attention[2])

    def forward(self, x: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """[B, width, h, w] from the same and ``known`` [B, known]."""
        features = x.mean(dim=(2, 3)) if known is None else torch.cat([x.mean(dim=(2, 3)), known], 1)
        scale, shift = self.attention(features)[:, :, None, None].chunk(2, 1)
        factor = 1.0 + (scale.tanh() if self.bounded else scale)
        return x + self.second(functional.silu(self.first(x) * factor + shift))


def block_transform() -> tuple[torch.Tensor, torch.Tensor]:
    """(typical variances [192], orthonormal basis [192, 3 * 8 * 8]) of a block DCT, float64, the strongest first."""
    dct = dct_matrix(FACTOR)
    basis = torch.einsum("pc,ui,vj->puvcij", colour_planes(), dct, dct).reshape(COEFFICIENTS, COEFFICIENTS)
    variance = typical_variance((FACTOR, FACTOR), FINER).flatten()
    order = torch.argsort(variance, descending=True, stable=True)
    return variance[order], basis[order]


def colour_planes() -> torch.Tensor:
    """SoftCast's colour planes, orthonormal, float64 [3, 3]."""
    planes = torch.tensor(PLANES, dtype=torch.float64)
    return planes / planes.norm(dim=1, keepdim=True)


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def zero(layer: nn.Module) -> nn.Module:
    """A layer that adds nothing at first."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def unshuffled(pixels: torch.Tensor, factor: int) -> torch.Tensor:
    return functional.pixel_unshuffle(pixels, factor).contiguous(memory_format=torch.channels_last)


def resized(planes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Planes [B, P, H, W] at another size (h, w): means over the area of a place, or the value there where they are coarser."""
    given = tuple(planes.shape[2:])
    if given == tuple(size):
        return planes
    if all(have % want == 0 for have, want in zip(given, size, strict=True)):
        return functional.avg_pool2d(planes, [have // want for have, want in zip(given, size, strict=True)])
    if any(have > want for have, want in zip(given, size, strict=True)):
        return functional.adaptive_avg_pool2d(planes, size)
    return functional.interpolate(planes, size, mode="nearest-exact")


def normal(x: torch.Tensor) -> torch.Tensor:
    """Features of mean 0 and variance 1 at each position: cheap on a CPU, where axes lie channels-last."""
    return functional.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],)).permute(0, 3, 1, 2)
