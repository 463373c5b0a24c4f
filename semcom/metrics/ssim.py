"""Structural similarity."""

from __future__ import annotations

from typing import ClassVar, Literal

import lazy_loader as lazy

from semcom.metrics import structure
from semcom.metrics.base import MetricDescription, PerImage, Quantity

torch = lazy.load("torch")


class SSIM(MetricDescription):
    """Structural similarity of each image: local means, contrasts and correlations, compared in a Gaussian window.

    Exactly scikit-image's ``structural_similarity(gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=1)`` per RGB plane, averaged over the planes: an 11-tap window,
    K1 = 0.01, K2 = 0.03, the 5-pixel border left out. On a GPU the same in PyTorch, equal within 1e-9.

    Shapes: two batches float32 [B, 3, H, W] in [0, 1], sides of at least 11 -> {"ssim": float64 [B]}.
    Units: none, at most 1, higher is better.
    References: Wang, Bovik, Sheikh, Simoncelli 2004, eq. 13.

    Example::

        metric: {kind: ssim}
    """

    kind: Literal["ssim"] = "ssim"
    COLUMNS: ClassVar = {"ssim": Quantity("SSIM", "higher", bounds=(-1.0, 1.0))}

    def check(self, size: tuple[int, int]) -> str | None:
        if min(size) >= structure.WINDOW:
            return None
        height, width = size
        return f"ssim needs a short side of at least {structure.WINDOW} pixels and the images are {height}x{width}; leave it out"

    def build(self, device: torch.device | str = "cpu") -> PerImage:
        return PerImage("ssim", ssim, device, self.check)


def ssim(original: torch.Tensor, reconstruction: torch.Tensor) -> torch.Tensor:
    """SSIM float64 [B] of [B, 3, H, W] in [0, 1]."""
    return structure.similarity(original, reconstruction).mean(1)
