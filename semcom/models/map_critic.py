"""A critic of pictures and label maps: which parts look made up, or like another class than the map has there."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from semcom.models.block_code import resized, unshuffled
from semcom.models.denoiser import PLANES

#: pixels a side that the first layer sees as one position
PATCH = 2


class MapCritic(nn.Module):
    """What patches of pictures look like, at several resolutions: a list of the features of each layer, the last its logits,
    a resolution; high where a patch looks real and like its map.

    Shapes: pixels [B, 3, H, W] in [0, 1]; planes [B, 13, h, w] of any size, 0 where there is no map; logits [B, 1, H/8, W/8] at
    the first resolution, [B, 1, H/16, W/16] at the next.
    References: Wang et al. 2018, pix2pixHD, several resolutions and the features; Isola et al. 2017, patches; Miyato et al. 2018,
    spectral normalisation, by which no picture depends on its neighbours in a batch.
    """

    def __init__(self, width: int = 48, scales: int = 2):
        super().__init__()
        self.scales = nn.ModuleList(_layers(width) for _ in range(scales))

    def forward(self, pixels: torch.Tensor, planes: torch.Tensor) -> list[list[torch.Tensor]]:
        found = []
        for number, layers in enumerate(self.scales):
            if number:
                pixels = functional.avg_pool2d(pixels, 2)
            places = resized(planes, tuple(side // PATCH for side in pixels.shape[2:]))
            seen = [torch.cat([unshuffled(pixels * 2.0 - 1.0, PATCH), places], 1)]
            for layer in layers:
                seen.append(layer(seen[-1]))
            found.append(seen[1:])
        return found


def _layers(width: int) -> nn.ModuleList:
    def layer(inside: int, outside: int, side: int, stride: int) -> nn.Sequential:
        made = nn.Conv2d(inside, outside, side, stride=stride, padding=1)
        return nn.Sequential(spectral_norm(made), nn.LeakyReLU(0.2))

    return nn.ModuleList([
        layer(3 * PATCH**2 + PLANES, width, 4, 2),
        layer(width, 2 * width, 4, 2),
        layer(2 * width, 3 * width, 3, 1),
        spectral_norm(nn.Conv2d(3 * width, 1, 3, padding=1)),
    ])  # fmt: skip
