"""The true label map of the picture: what a transmitter would send if its segmenter never erred."""

from __future__ import annotations

from typing import Literal

import lazy_loader as lazy

from semcom.errors import ScenarioError
from semcom.maps.classes import LABELS
from semcom.maps.transmitted import CodedMap, CodedMapTransmitter
from semcom.protocols import Context
from semcom.types import ImageBatch

torch = lazy.load("torch")


class OracleMap(CodedMap):
    """The true label map, coded as `segmentation_map` codes a segmenter's: a bound, since no transmitter knows it.

    The source must label its pictures with CamVid's classes (camvid, labelmefacade, streets); void is sent as a class.
    Figures draw it dashed.

    Cost, part and links are those of `segmentation_map`.

    Example::

        transmit: {kind: oracle_map, size: auto, lossy: true}
    """

    kind: Literal["oracle_map"] = "oracle_map"

    def build(self, context: Context) -> CodedMapTransmitter:
        if context.source is not None and tuple(context.source.classes) != LABELS:
            names = ", ".join(context.source.classes) or "none"
            raise ScenarioError(
                f"transmit oracle_map sends CamVid's classes and its source labels {names}; take camvid, labelmefacade or streets"
            )
        return self.transmitter(true_maps)


def true_maps(images: ImageBatch) -> torch.Tensor:
    """int64 [B, H, W]. Raises: ScenarioError where the pictures have none."""
    if images.labels is None:
        raise ScenarioError("transmit oracle_map sends true label maps and these pictures have none; take a labelled source")
    return images.labels
