"""The true label map as real numbers: what `physical_map` would send if its segmenter never erred."""

from __future__ import annotations

from typing import Literal

from semcom.maps.true_labels import TrueLabels
from semcom.protocols import Context
from semcom.transmit.physical_map import AnalogMap, AnalogMapTransmitter


class OraclePhysicalMap(AnalogMap, TrueLabels):
    """The true label map, sent as `physical_map` sends a segmenter's: a bound, since no transmitter knows it.

    The source must label its pictures with CamVid's classes (camvid, labelmefacade, streets); of void nothing is sent.
    Figures draw it dashed. Codes, cost, part and links are those of `physical_map`.

    Example::

        transmit: {kind: oracle_physical_map, code: dct}
    """

    kind: Literal["oracle_physical_map"] = "oracle_physical_map"

    def build(self, context: Context) -> AnalogMapTransmitter:
        return AnalogMapTransmitter(self, self.maps(context), context.device)
