"""The label map that a segmenter sees, as the best entropy-coded map that the budget carries."""

from __future__ import annotations

from typing import Literal

from semcom.maps.segmented import NamedSegmenter
from semcom.maps.transmitted import CodedMap, CodedMapTransmitter
from semcom.protocols import Context


class SegmentationMap(CodedMap, NamedSegmenter):
    """A segmenter's label map of the picture, coded near its entropy, as fine as the budget allows.

    For each picture one table holds what every size (that of the picture, and 1/2 to 1/16 of it) and every step of the
    coder's ladder of simplifications costs and keeps; what is sent is the entry of highest mean IoU with the segmenter's
    own map, after nearest up-sampling, that fits. A picture that nothing fits is infeasible, with the reason.

    Cost: 3 bits that name the size (27 for one that is no half, quarter, ... of the picture's), 1 that says whether there
    are tiles, and the coder's bytes. With ``tiles``, 8 bits of grid, and of each tile its length; over a link that loses
    packets one by one each packet says all of this and no tile lies in two, so that a lost one is an unknown region.
    Give such a map packets that hold its tiles: without tiles it arrives whole or not at all.

    Part: ``map``, bits. Needs a link that carries bits (digital, adaptive, packet, ideal).

    Example::

        transmit: {kind: segmentation_map, segmenter: segmenter_transmitter, size: auto, lossy: true}
    """

    kind: Literal["segmentation_map"] = "segmentation_map"

    def build(self, context: Context) -> CodedMapTransmitter:
        return self.transmitter(self.maps(context.device))
