"""The received label map, painted: what the map alone is worth, before anything is generated from it."""

from __future__ import annotations

from typing import ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field

from semcom.component import Component
from semcom.maps.analog import Denoise
from semcom.maps.classes import colours_of, paint
from semcom.maps.received import received_map
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.types import GREY, Received, Reconstruction

torch = lazy.load("torch")

#: transmit kinds whose maps are real numbers
ANALOG = frozenset({"physical_map", "oracle_physical_map", "legacy_map", "oracle_legacy_map"})


class MapAsIs(Component):
    """The label map that arrived, each class in its mean colour over the training images of the source.

    Of an index map the most probable class of each pixel is shown; of an analog map the class whose plane is largest after
    a 3x3 mean (of the planes of `legacy_map` as they arrived, of the classes' probabilities of `physical_map`). ``denoise``
    takes GESCO's "fast denoising" in place of the mean, a 3x3 mean and then a 3x3 maximum, or nothing. What did not arrive is UNKNOWN in the label map and
    grey in the picture; a map of which nothing arrived is a failure. A class that no training image has, or all of them
    where the source does not label these classes, has its mean colour in procedural street scenes.

    Part: ``map``; necessary.

    Example::

        receive: {kind: map_as_is}
    """

    TAKES: ClassVar[frozenset[str]] = frozenset({"segmentation_map", "oracle_map", "index_map"}) | ANALOG

    kind: Literal["map_as_is"] = "map_as_is"
    denoise: Denoise | None = Field(None, description="of analog maps: mean, fds (fast denoising) or none; mean if left out")

    def fits(self, transmit: Component) -> str | None:
        if self.denoise is None or getattr(transmit, "kind", None) in ANALOG:
            return None
        return f"`denoise: {self.denoise}` is for analog maps and transmit '{transmit.kind}' sends bits; leave it out"

    def build(self, context: Context) -> MapAsIsReceiver:
        return MapAsIsReceiver(colours_of(context.source), context.device, self.denoise)


class MapAsIsReceiver:
    """A prepared `semcom.protocols.Receiver`. Shapes: part ``map`` to labels int64 [B, H, W] and pixels [B, 3, H, W]."""

    def __init__(self, colours: torch.Tensor, device: str = "cpu", denoise: Denoise | None = None):
        self.colours, self.device, self.denoise = colours.to(device), device, denoise

    def decode(self, received: Received, streams: Streams) -> Reconstruction:
        found = received_map(received, self.denoise)
        labels, ok = found.labels.to(self.device), found.ok.to(self.device)
        pixels = torch.where(ok[:, None, None, None], paint(labels, self.colours), GREY)
        known = None if found.soft is None else found.soft.probabilities.to(self.device)
        return Reconstruction(pixels, ok, labels, label_probabilities=known)
