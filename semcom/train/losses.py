"""What a reconstruction is compared by. Every term is a mean over pixels or images, so weights mean the same at any size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

#: levels of the pyramid: 8 pixels, one latent position, is the coarsest
LEVELS = 4
#: the squared error (50 dB) below which nothing is gained
FINEST = 1e-5


def l1(original: Tensor, other: Tensor) -> Tensor:
    return (original - other).abs().mean()


def mse(original: Tensor, other: Tensor) -> Tensor:
    return (original - other).square().mean()


def log_mse(original: Tensor, other: Tensor) -> Tensor:
    """log10 of each picture's squared error, averaged: minus a tenth of the mean PSNR in dB, so that easy pictures count too."""
    return ((original - other).square().mean(dim=(1, 2, 3)) + FINEST).log10().mean()


def pyramid(original: Tensor, other: Tensor) -> Tensor:
    """L1 over the bands of a Laplacian pyramid with 2x2 means (Burt, Adelson 1983): edges count at every scale."""
    total, rest = torch.zeros((), device=original.device), (original - other).float()
    for _ in range(LEVELS - 1):
        coarse = functional.avg_pool2d(rest, 2)
        total = total + (rest - functional.interpolate(coarse, scale_factor=2.0, mode="nearest")).abs().mean()
        rest = coarse
    return (total + rest.abs().mean()) / LEVELS


def hinge_critic(real: Tensor, made: Tensor) -> Tensor:
    """What a critic descends (Lim, Ye 2017): real patches above 1, made ones below -1."""
    return 0.5 * ((1.0 - real).relu().mean() + (1.0 + made).relu().mean())


def hinge_maker(made: Tensor) -> Tensor:
    return -made.mean()


def matched(real: Sequence[Tensor], made: Sequence[Tensor]) -> Tensor:
    """How far a critic's features of pictures differ, the mean over its layers (Wang et al. 2018, feature matching)."""
    return sum((a - b).abs().mean() for a, b in zip(real, made, strict=True)) / len(real)
