"""The label map that a segmenter sees, four bits a pixel: nothing of it depends on anything else of it."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field, PositiveInt

from semcom.errors import ScenarioError
from semcom.maps import index
from semcom.maps.received import PART
from semcom.maps.resize import resize
from semcom.maps.segmented import NamedSegmenter, SegmentedMaps
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.types import Budget, ImageBatch, Message

torch = lazy.load("torch")

FREE = ("size of the picture", "the classes of the map", "the size of the index map, which depends on the budget alone")


class IndexMap(NamedSegmenter):
    """A segmenter's label map as a fixed-length index map: the class of each pixel of a coarse map in 4 bits.

    Bits of a fixed place mean something when others are wrong, so no CRC decides over them: over link `digital` the
    receiver is given the LLR of every bit, which say how probable each class is, pixel by pixel. Without a code
    (``code: uncoded``) these are the demapper's; with LDPC those that belief propagation ends with. The link's CRC and
    length field are charged as ever. Packets bring or lose runs of pixels; an ideal link brings all or none.

    ``size: auto`` takes the largest map of the picture's shape that fits, in 4 bits a pixel; both ends know it from the
    budget. A picture of which one pixel does not fit is infeasible.

    Part: ``map``, bits. Needs a link that carries bits (digital, adaptive, packet, ideal).

    Example::

        transmit: {kind: index_map, segmenter: segmenter_transmitter, size: [32, 62]}
    """

    CARRIES: ClassVar[frozenset[str]] = frozenset({"bits"})
    PARTS: ClassVar[frozenset[str]] = frozenset({PART})

    kind: Literal["index_map"] = "index_map"
    size: Literal["auto"] | tuple[PositiveInt, PositiveInt] = Field(
        "auto", description="(H, W) that the map is sent at; auto: the largest of the picture's shape that fits"
    )

    def build(self, context: Context) -> IndexMapTransmitter:
        return IndexMapTransmitter(self.maps(context.device), None if self.size == "auto" else self.size)


class IndexMapTransmitter:
    """Shapes: images [B, 3, H, W] to part ``map``, bits uint8 [B, 4 h w]."""

    side_bits = 0
    adapts_to_snr = False
    #: a frame whose CRC fails is not lost: how probably it arrives says nothing of the map
    survives_errors = True

    def __init__(self, maps: SegmentedMaps, size: tuple[int, int] | None):
        self._maps, self._size = maps, size

    def encode(self, images: ImageBatch, budget: Budget, streams: Streams) -> Message:
        bits = budget.part(PART).bits
        if bits is None:
            raise ScenarioError("transmit index_map makes bits and its link carries none; give it a digital, packet or ideal link")
        size = self._size or largest(images.size, bits // index.BITS)
        if size[0] > images.size[0] or size[1] > images.size[1]:
            raise ScenarioError(
                f"transmit index_map: a map of {size[0]}x{size[1]} of a picture of {images.size[0]}x{images.size[1]}; "
                "allowed: up to the size of the picture"
            )
        needed, reasons = index.BITS * size[0] * size[1], ()
        if needed > bits:
            reasons = (f"an index map of {size[0]}x{size[1]} needs {needed} bits and {bits} fit",) * len(images)
        part = index.message(resize(self._maps(images), size))
        return Message({PART: part}, budget, images.size, infeasible=reasons, free=FREE)


def largest(picture: tuple[int, int], pixels: int) -> tuple[int, int]:
    """The largest (h, w) of about the shape of ``picture`` that holds at most ``pixels``, at least one.

    >>> largest((128, 256), 2048), largest((128, 256), 2000), largest((128, 256), 10**6)
    ((32, 64), (31, 64), (128, 256))
    """
    height, width = picture
    rows = min(height, max(1, math.isqrt(max(1, pixels) * height // width)))
    return rows, min(width, max(1, pixels // rows), -(-rows * width // height) + (width + height - 1) // height)
