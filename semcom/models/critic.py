"""A critic of patches: which parts of a picture look made up."""

from __future__ import annotations

import torch
from torch import nn


class PatchCritic(nn.Module):
    """Logits [B, 1, H/8, W/8] of pixels [B, 3, H, W] in [0, 1], high where a patch looks real.

    References: Isola, Zhu, Zhou, Efros 2017, the PatchGAN discriminator; Wu, He 2018, group normalisation.
    """

    def __init__(self, width: int = 48):
        super().__init__()

        def down(inside: int, outside: int) -> list[nn.Module]:
            return [nn.Conv2d(inside, outside, 4, stride=2, padding=1), nn.GroupNorm(8, outside), nn.LeakyReLU(0.2)]

        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            *down(width, 2 * width),
            *down(2 * width, 4 * width),
            nn.Conv2d(4 * width, 4 * width, 3, padding=1),
            nn.GroupNorm(8, 4 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * width, 1, 3, padding=1),
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layers(pixels * 2.0 - 1.0)
