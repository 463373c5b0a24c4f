"""The true label map as GESCO's circulating code sends it."""

from __future__ import annotations

from typing import ClassVar, Literal

from semcom.maps import gesco
from semcom.maps.received import PART
from semcom.maps.true_labels import TrueLabels
from semcom.protocols import Context
from semcom.transmit.legacy_map import LegacyMapTransmitter


class OracleLegacyMap(TrueLabels):
    """The true label map, sent as `legacy_map` sends a segmenter's; it is what the published figures send.

    The source must label its pictures with CamVid's classes (camvid, labelmefacade, streets); void is sent as a class.
    Figures draw it dashed. Cost, part and link are those of `legacy_map`.

    Example::

        transmit: {kind: oracle_legacy_map}
    """

    CARRIES: ClassVar[frozenset[str]] = frozenset({gesco.CARRIED})
    PARTS: ClassVar[frozenset[str]] = frozenset({PART})

    kind: Literal["oracle_legacy_map"] = "oracle_legacy_map"

    def build(self, context: Context) -> LegacyMapTransmitter:
        return LegacyMapTransmitter(self.maps(context))
