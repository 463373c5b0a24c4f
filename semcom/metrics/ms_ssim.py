"""Multi-scale structural similarity, over five scales and, for small images, over four."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal

import lazy_loader as lazy

from semcom.metrics import structure
from semcom.metrics.base import MetricDescription, PerImage, Quantity

torch = lazy.load("torch")

#: exponents from the finest scale to the coarsest (Wang, Simoncelli, Bovik 2003, section 3.2)
FIVE_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
#: the first four of them over their sum, so that the exponents sum to one again
FOUR_SCALES = tuple(weight / sum(FIVE_SCALES[:4]) for weight in FIVE_SCALES[:4])


class _MultiScale(MetricDescription):
    WEIGHTS: ClassVar[tuple[float, ...]]

    def check(self, size: tuple[int, int]) -> str | None:
        limit = _limit(self.WEIGHTS)
        if min(size) > limit:
            return None
        instead = "leave it out" if min(size) <= _limit(FOUR_SCALES) else "use ms_ssim_4"
        return f"{self.kind} needs a short side above {limit} pixels and the images are {size[0]}x{size[1]}; {instead}"

    def build(self, device: torch.device | str = "cpu") -> PerImage:
        return PerImage(self.kind, partial(multi_scale, weights=self.WEIGHTS), device, self.check)


def _limit(weights: Sequence[float]) -> int:
    """The short side [pixels] that must be exceeded: the window has to fit the coarsest scale."""
    return (structure.WINDOW - 1) * 2 ** (len(weights) - 1)


class MSSSIM(_MultiScale):
    """Multi-scale SSIM of each image over five scales: structure at five viewing distances in one number.

    The product over scales of the contrast-structure factors, and of SSIM at the coarsest, each to its
    exponent (0.0448, 0.2856, 0.3001, 0.2363, 0.1333), per RGB plane, then averaged over the planes; between
    scales a 2x2 mean; negative factors count as 0. Window and constants as in ``ssim``. These are the
    numbers of the pytorch-msssim package.

    Shapes: two batches float32 [B, 3, H, W] in [0, 1], short side above 160 -> {"ms_ssim": float64 [B]}.
    Units: none, in [0, 1], higher is better.
    References: Wang, Simoncelli, Bovik 2003, eq. 7.

    Example::

        metric: {kind: ms_ssim}
    """

    kind: Literal["ms_ssim"] = "ms_ssim"
    COLUMNS: ClassVar = {"ms_ssim": Quantity("MS-SSIM", "higher", bounds=(-1.0, 1.0))}
    WEIGHTS: ClassVar = FIVE_SCALES


class MSSSIM4(_MultiScale):
    """Multi-scale SSIM of each image over four scales, for images too small for the usual five.

    As ``ms_ssim`` with the coarsest scale left out: the exponents are the first four of the five, divided
    by their sum (0.0517, 0.3295, 0.3462, 0.2726), so that the scales keep their weights relative to each
    other. Not comparable with ``ms_ssim``, hence a column of its own.

    Shapes: two batches float32 [B, 3, H, W] in [0, 1], short side above 80 -> {"ms_ssim_4": float64 [B]}.
    Units: none, in [0, 1], higher is better.
    References: Wang, Simoncelli, Bovik 2003, eq. 7.

    Example::

        metric: {kind: ms_ssim_4}
    """

    kind: Literal["ms_ssim_4"] = "ms_ssim_4"
    COLUMNS: ClassVar = {"ms_ssim_4": Quantity("MS-SSIM (4 scales)", "higher", bounds=(-1.0, 1.0))}
    WEIGHTS: ClassVar = FOUR_SCALES


def multi_scale(original: torch.Tensor, reconstruction: torch.Tensor, weights: Sequence[float]) -> torch.Tensor:
    """MS-SSIM float64 [B] of [B, 3, H, W] in [0, 1], one scale a weight, the finest first."""
    x, y, product = original.double(), reconstruction.double(), 1.0
    for scale, weight in enumerate(weights):
        coarsest = scale == len(weights) - 1
        product = product * structure.similarity(x, y, luminance=coarsest).clamp(min=0.0) ** weight
        if not coarsest:
            x, y = _half(x), _half(y)
    return product.mean(1)


def _half(x: torch.Tensor) -> torch.Tensor:
    """The 2x2 mean; an odd side is padded with zeros on both ends, as pytorch-msssim does."""
    return torch.nn.functional.avg_pool2d(x, 2, padding=[side % 2 for side in x.shape[2:]])
