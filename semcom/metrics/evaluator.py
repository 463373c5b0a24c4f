"""The fixed reader of pictures: label maps of what was received, and of each original once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING

import lazy_loader as lazy

from semcom.models import segmenter

if TYPE_CHECKING:
    from semcom.models.segmenter import Segmenter

torch = lazy.load("torch")


class Evaluator:
    """A prepared segmenter. The maps of originals are computed once and kept."""

    #: pictures that are read at a time, and maps of originals that are kept (of 128x256: 128 MB)
    TOGETHER, KEPT = 16, 4096

    def __init__(self, net: Segmenter, device: torch.device | str = "cpu"):
        self._net, self._device = net, device
        self._maps: OrderedDict[bytes, torch.Tensor] = OrderedDict()

    @staticmethod
    def named(name: str, device: torch.device | str = "cpu") -> Evaluator:
        """Raises: WeightsError where the weights are absent or damaged."""
        return Evaluator(segmenter.named(name, str(device)), device)

    def labels(self, pixels: torch.Tensor) -> torch.Tensor:
        """What is read in pictures float32 [B, 3, H, W] in [0, 1]: classes int64 [B, H, W] on the CPU."""
        with torch.no_grad():
            maps = [self._net.labels(some.to(self._device)).cpu() for some in pixels.split(self.TOGETHER)]
        return torch.cat(maps) if maps else torch.zeros((0, *pixels.shape[2:]), dtype=torch.int64)

    def of_originals(self, pixels: torch.Tensor) -> torch.Tensor:
        """`labels`, each distinct picture read once."""
        keys = [_content(picture) for picture in pixels]
        fresh = {key: row for row, key in enumerate(keys) if key not in self._maps}
        if fresh:
            maps = self.labels(pixels[torch.tensor(list(fresh.values()), device=pixels.device)])
            self._maps.update(zip(fresh, maps.to(torch.uint8), strict=True))
        found = torch.stack([self._maps[key] for key in keys]).to(torch.int64)
        while len(self._maps) > self.KEPT:
            self._maps.popitem(last=False)
        return found


def _content(picture: torch.Tensor) -> bytes:
    codes = (picture * 255.0).round().to(torch.uint8).cpu().numpy()
    return hashlib.blake2b(repr(codes.shape).encode() + codes.tobytes(), digest_size=16).digest()
