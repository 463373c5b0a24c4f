"""The true label map beside latents: what both would be worth if the transmitter's segmenter never erred."""

from __future__ import annotations

from typing import Literal

from semcom.protocols import Context
from semcom.transmit.map_and_latent import MapAndLatentTransmitter, MapWithLatent
from semcom.transmit.oracle_map import OracleMap


class OracleMapAndLatent(MapWithLatent, OracleMap):
    """The true label map as bits and latents as real numbers: a bound on `map_and_latent`, since no transmitter knows the map.

    The source must label its pictures with CamVid's classes (camvid, labelmefacade, streets). Figures draw it dashed. Parts,
    links and cost are those of `map_and_latent`.

    Example::

        transmit: {kind: oracle_map_and_latent, channels: 4}
    """

    kind: Literal["oracle_map_and_latent"] = "oracle_map_and_latent"

    def build(self, context: Context) -> MapAndLatentTransmitter:
        return self.both(OracleMap.build(self, context), context)
