"""Peak signal-to-noise ratio."""

from __future__ import annotations

from typing import ClassVar, Literal

import lazy_loader as lazy

from semcom.metrics.base import MetricDescription, PerImage, Quantity

torch = lazy.load("torch")

#: [dB] Just above what one sample that is off by one 8-bit level gives in 128x256 (98.1 dB).
CAP_DB = 100.0


class PSNR(MetricDescription):
    """Peak signal-to-noise ratio of each image, in dB: how far the samples are from the original's.

    PSNR = -10 log10(MSE) with peak 1, the mean squared error taken over the 3HW samples of one image in
    [0, 1] (RGB, no luma weighting) after rounding to 8 bits. Capped at 100 dB, which is also the value of
    identical pictures, so that means stay finite. A mean over images is the mean of their decibels.

    Shapes: two batches float32 [B, 3, H, W] in [0, 1] -> {"psnr": float64 [B]}.
    Units: dB, higher is better.

    Example::

        metric: {kind: psnr}
    """

    kind: Literal["psnr"] = "psnr"
    COLUMNS: ClassVar = {"psnr": Quantity("PSNR [dB]", "higher")}

    def build(self, device: torch.device | str = "cpu") -> PerImage:
        return PerImage("psnr", psnr, device)


def psnr(original: torch.Tensor, reconstruction: torch.Tensor) -> torch.Tensor:
    """PSNR [dB] float64 [B] of [B, 3, H, W] in [0, 1], at most CAP_DB."""
    mse = (original.double() - reconstruction.double()).square().flatten(1).mean(1)
    return (-10.0 * torch.log10(mse)).clamp(max=CAP_DB)
