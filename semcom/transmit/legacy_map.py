"""A segmenter's label map as GESCO's circulating code sends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import lazy_loader as lazy

from semcom import units
from semcom.maps import gesco
from semcom.maps.received import CLASSES, PART
from semcom.maps.segmented import NamedSegmenter
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.types import Budget, ImageBatch, Message

torch = lazy.load("torch")


class LegacyMap(NamedSegmenter):
    """A segmenter's label map as planes of ones and zeros, one a class and one of edges: a published path as it circulates.

    One plane each of the classes that are in the map, then one of edges, where the label changes. (The published code marks
    edges of instances; without labels of instances they are those of classes.) Nothing is coded, averaged or normalised.
    Beside them goes the list of the classes that are there, 12 bits.

    It goes with `link: {kind: gesco}` alone, whose noise is that of a printed label, and costs more channel uses than the
    picture has numbers: see there. `physical_map` is the honest one.

    Part: ``map``, reals of peak 1. References: Grassucci, Barbarossa, Comminiello 2023, arXiv 2306.04321; its code.

    Example::

        transmit: {kind: legacy_map, segmenter: segmenter_transmitter}
    """

    CARRIES: ClassVar[frozenset[str]] = frozenset({gesco.CARRIED})
    PARTS: ClassVar[frozenset[str]] = frozenset({PART})

    kind: Literal["legacy_map"] = "legacy_map"

    def build(self, context: Context) -> LegacyMapTransmitter:
        return LegacyMapTransmitter(self.maps(context.device))


class LegacyMapTransmitter:
    """A prepared `semcom.protocols.Transmitter`; ``maps`` gives the label map int64 [B, H, W] of each picture."""

    side_bits = CLASSES
    adapts_to_snr = False

    def __init__(self, maps: Callable[[ImageBatch], torch.Tensor]):
        self._maps = maps

    def encode(self, images: ImageBatch, budget: Budget, streams: Streams) -> Message:
        part, side = gesco.encode(self._maps(images).cpu())
        planes = gesco.planes_sent(side.bits).tolist()
        return Message(
            parts={PART: part},
            budget=budget,
            image_size=images.size,
            side=side,
            infeasible=tuple(_reason(count, budget, images.size) for count in planes),
            free=(),
        )


def _reason(planes: int, budget: Budget, size: tuple[int, int]) -> str | None:
    """None where this many planes fit, or why they do not."""
    reals = planes * size[0] * size[1]
    if reals <= budget.reals:
        return None
    uses, numbers = gesco.channel_uses(reals) + budget.channel_uses - budget.reals // gesco.REALS_A_USE, units.source_dimensions(*size)
    return (
        f"legacy_map: {planes} planes of {size[0]}x{size[1]} and the class list take {uses} channel uses, {uses / numbers:.2f} for each of "
        f"the picture's {numbers} numbers, and {budget.channel_uses} were granted; give bandwidth_ratio 11/5, which holds any map"
    )
