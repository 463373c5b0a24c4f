"""What transmitters of entropy-coded maps have in common: their fields, and maps to messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field, PositiveInt

from semcom.component import Component
from semcom.errors import ScenarioError
from semcom.maps import coded
from semcom.maps.received import PART
from semcom.maps.table import Choice, best_messages
from semcom.rng import Streams
from semcom.types import Budget, ImageBatch, Message

torch = lazy.load("torch")

FREE = ("size of the picture", "the classes of the map", "the weights of the label-map coder")

Side = tuple[PositiveInt, PositiveInt]


class CodedMap(Component):
    """Base of the descriptions of transmitters of entropy-coded maps."""

    CARRIES: ClassVar[frozenset[str]] = frozenset({"bits"})
    PARTS: ClassVar[frozenset[str]] = frozenset({PART})

    size: Literal["auto"] | Side = Field(
        "auto", description="(H, W) that the map is sent at; auto: the best one of the picture's and 1/2, 1/4, 1/8, 1/16 of it"
    )
    lossy: bool = Field(True, description="whether a map may be simplified to fit: small regions removed, boundaries smoothed")
    tiles: tuple[int, int] = Field((1, 1), description="(down, across) tiles that are decoded on their own, 1 to 16 a side")

    @classmethod
    def choices(cls, field: str) -> tuple[Any, ...]:
        return ((1, 1), (2, 2), (2, 4), (4, 4)) if field == "tiles" else ()

    def model_post_init(self, context: Any) -> None:
        if not all(1 <= side <= coded.MOST_TILES_A_SIDE for side in self.tiles):
            raise ValueError(f"tiles {list(self.tiles)} were given; allowed: 1 to {coded.MOST_TILES_A_SIDE} a side")

    def transmitter(self, maps: Callable[[ImageBatch], torch.Tensor]) -> CodedMapTransmitter:
        return CodedMapTransmitter(self, maps)


class CodedMapTransmitter:
    """Shapes: maps [B, H, W] to part ``map``, bits uint8 [B, K], zeros behind each row's length."""

    side_bits = 0
    adapts_to_snr = False

    def __init__(self, description: CodedMap, maps: Callable[[ImageBatch], torch.Tensor]):
        self._description, self._maps = description, maps

    def encode(self, images: ImageBatch, budget: Budget, streams: Streams) -> Message:
        """The best map of each image within the bits of its part."""
        mine, kind = budget.part(PART), self._description.kind
        if mine.bits is None:
            raise ScenarioError(f"transmit {kind} makes bits and its link carries none; give it a digital, packet or ideal link")
        maps = self._maps(images).cpu().numpy().astype(np.uint8)
        payloads, reasons = best_messages(maps, self._choice(images.size), mine.bits, mine.slice_bits)
        return Message({PART: coded.message(payloads)}, budget, images.size, infeasible=reasons, free=FREE)

    def _choice(self, picture: tuple[int, int]) -> Choice:
        size, kind = self._description.size, self._description.kind
        if size == "auto":
            sizes = tuple(reversed(dict.fromkeys(coded.sizes(picture))))
        elif size[0] <= picture[0] and size[1] <= picture[1] and max(size) <= 2**coded.SIDE_BITS:
            sizes = (tuple(size),)
        else:
            raise ScenarioError(
                f"transmit {kind}: a map of {size[0]}x{size[1]} of a picture of {picture[0]}x{picture[1]}; "
                f"allowed: up to the size of the picture, and to {2**coded.SIDE_BITS} a side"
            )
        return Choice(sizes, self._description.lossy, self._description.tiles)
