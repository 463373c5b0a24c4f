"""The label maps that come with pictures, for transmitters that send what no transmitter knows."""

from __future__ import annotations

import lazy_loader as lazy

from semcom.component import Component
from semcom.errors import ScenarioError
from semcom.maps.classes import LABELS
from semcom.protocols import Context
from semcom.types import ImageBatch

torch = lazy.load("torch")


class TrueLabels(Component):
    """Base of the descriptions of transmitters that send true label maps, of CamVid's classes."""

    def maps(self, context: Context) -> Labelled:
        """Raises: ScenarioError where the source's labels are not of these classes."""
        if context.source is not None and tuple(context.source.classes) != LABELS:
            names = ", ".join(context.source.classes) or "none"
            raise ScenarioError(
                f"transmit {self.kind} sends CamVid's classes and its source labels {names}; take camvid, labelmefacade or streets"
            )
        return Labelled(self.kind)


class Labelled:
    """Label maps int64 [B, H, W] of pictures. Raises: ScenarioError where they have none."""

    def __init__(self, kind: str):
        self._kind = kind

    def __call__(self, images: ImageBatch) -> torch.Tensor:
        if images.labels is None:
            raise ScenarioError(f"transmit {self._kind} sends true label maps and these pictures have none; take a labelled source")
        return images.labels
