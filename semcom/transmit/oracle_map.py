"""The true label map of the picture: what a transmitter would send if its segmenter never erred."""

from __future__ import annotations

from typing import Literal

from semcom.maps.transmitted import CodedMap, CodedMapTransmitter
from semcom.maps.true_labels import TrueLabels
from semcom.protocols import Context


class OracleMap(CodedMap, TrueLabels):
    """The true label map, coded as `segmentation_map` codes a segmenter's: a bound, since no transmitter knows it.

    The source must label its pictures with CamVid's classes (camvid, labelmefacade, streets); void is sent as a class.
    Figures draw it dashed.

    Cost, part and links are those of `segmentation_map`.

    Example::

        transmit: {kind: oracle_map, size: auto, lossy: true}
    """

    kind: Literal["oracle_map"] = "oracle_map"

    def build(self, context: Context) -> CodedMapTransmitter:
        return self.transmitter(self.maps(context))
