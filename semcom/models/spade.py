"""Features that a label map scales and shifts, place by place: SPADE (Park, Liu, Wang, Zhu 2019).

    features -> normalised at each position -> times 1 + gamma(map) plus beta(map), at each position
                                  planes of a map -> 3x3, silu -> 1x1 -> gamma, beta

The paper normalises over a batch; here each position is normalised by itself, over its features: no picture's numbers depend
on its neighbours in a batch. Its gamma and beta come from a 3x3 convolution; a 1x1 costs a ninth, and the 3x3 before it sees
as far as the map is blurred. Before any training gamma and beta are 0, so that a network starts from what it makes of no map.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from semcom.models.block_code import conv, normal, resized, zero


class Spade(nn.Module):
    """Normalised features [B, width, h, w], scaled and shifted by condition planes [B, planes, H, W] of any size.

    ``hidden``: features between the planes and what they scale and shift by.
    """

    def __init__(self, width: int, planes: int, hidden: int):
        super().__init__()
        self.seen, self.modulation = conv(planes, hidden), zero(nn.Conv2d(hidden, 2 * width, 1))

    def forward(self, x: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
        seen = functional.silu(self.seen(resized(planes, tuple(x.shape[2:]))))
        scale, shift = self.modulation(seen).chunk(2, 1)
        return torch.addcmul(shift, normal(x), 1.0 + scale)


class SpadeBlock(nn.Module):
    """Two convolutions beside a skip, each after a `Spade`: [B, inputs, h, w] to [B, width, h, w].

    ``embedding`` numbers of a picture as a whole, such as how noisy it is, scale and shift the features in the middle; 0: none.
    """

    def __init__(self, inputs: int, width: int, planes: int, hidden: int, embedding: int = 0):
        super().__init__()
        self.before, self.first = Spade(inputs, planes, hidden), conv(inputs, width)
        self.between, self.second = Spade(width, planes, hidden), zero(conv(width, width))
        self.known = zero(nn.Linear(embedding, 2 * width)) if embedding else None
        self.skip = nn.Conv2d(inputs, width, 1) if inputs != width else nn.Identity()

    def forward(self, x: torch.Tensor, planes: torch.Tensor, known: torch.Tensor | None = None) -> torch.Tensor:
        """``planes`` [B, P, H, W] and, where the block has an ``embedding``, ``known`` [B, embedding]."""
        planes = resized(planes, tuple(x.shape[2:]))
        inside = self.between(self.first(functional.silu(self.before(x, planes))), planes)
        if self.known is not None:
            scale, shift = self.known(known)[:, :, None, None].chunk(2, 1)
            inside = torch.addcmul(shift, inside, 1.0 + scale)
        return self.skip(x) + self.second(functional.silu(inside))
