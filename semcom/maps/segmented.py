"""The label maps that a segmenter makes of pictures, each made once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from functools import lru_cache
from typing import Any

import lazy_loader as lazy
from pydantic import Field

from semcom.component import Component
from semcom.models import segmenter
from semcom.types import ImageBatch

torch = lazy.load("torch")

#: of maps made before, one byte a pixel
MEMO_BYTES = 128 * 2**20


class NamedSegmenter(Component):
    """Base of the descriptions of transmitters that send what a segmenter sees."""

    segmenter: str = Field(
        "segmenter_transmitter", min_length=1, description="weights that ship (`semcom weights list`), a local folder, or a hub id"
    )

    def available(self) -> str | None:
        return segmenter.missing(self.segmenter)

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "segmenter": segmenter.identity(self.segmenter)}

    def maps(self, device: str) -> SegmentedMaps:
        """Makes maps; descriptions of the same segmenter share one, and its memory. Raises: WeightsError."""
        return _maps(self.segmenter, segmenter.identity(self.segmenter), device)


@lru_cache(maxsize=4)
def _maps(name: str, digest: str, device: str) -> SegmentedMaps:
    return SegmentedMaps(segmenter.named(name, device), device)


class SegmentedMaps:
    """Label maps int64 [B, H, W] on the CPU, of pictures; classes 0 to 10, no void.

    Pictures go through the network one by one, so that no map depends on what else is in its batch.
    """

    def __init__(self, network: Any, device: str = "cpu"):
        self._network, self._device = network, device
        self._memo: OrderedDict[bytes, torch.Tensor] = OrderedDict()

    def __call__(self, images: ImageBatch) -> torch.Tensor:
        return torch.stack([self._map(picture) for picture in images.pixels]).to(torch.int64)

    def _map(self, picture: torch.Tensor) -> torch.Tensor:
        content = picture.detach().cpu().contiguous()
        key = hashlib.blake2b(repr(tuple(content.shape)).encode() + content.numpy().tobytes(), digest_size=16).digest()
        if key not in self._memo:
            with torch.no_grad():
                made = self._network.labels(content[None].to(self._device))[0]
            self._memo[key] = made.to("cpu", torch.uint8)
            while len(self._memo) > max(1, MEMO_BYTES // made.numel()):
                self._memo.popitem(last=False)
        self._memo.move_to_end(key)
        return self._memo[key]
