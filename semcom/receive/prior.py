"""The receiver that answers without having received anything."""

from __future__ import annotations

from typing import Literal

import lazy_loader as lazy

from semcom.component import Component
from semcom.errors import DataError, ScenarioError
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.types import Received, Reconstruction

torch = lazy.load("torch")


class Prior(Component):
    """The average training picture of the scenario's source, whatever was sent.

    Its label map is the most frequent class of each pixel in the training set, where that is labelled. What a system shows
    beyond this picture and this map it has learned from the channel. It never fails: there is nothing that could be lost.

    Example::

        receive: {kind: prior}
    """

    kind: Literal["prior"] = "prior"

    def build(self, context: Context) -> PriorReceiver:
        if context.source is None:
            raise ScenarioError("receive: prior has no source whose average to show; build it with Context(source=...)")
        labels = context.source.prior_labels()
        return PriorReceiver(context.source.prior().to(context.device), None if labels is None else labels.to(context.device))


class PriorReceiver:
    """A prepared `semcom.protocols.Receiver`."""

    def __init__(self, picture: torch.Tensor, labels: torch.Tensor | None = None):
        self.picture, self.labels = picture, labels

    def decode(self, received: Received, streams: Streams) -> Reconstruction:
        if tuple(self.picture.shape[1:]) != tuple(received.image_size):
            given, expected = "x".join(map(str, self.picture.shape[1:])), "x".join(map(str, received.image_size))
            raise DataError(f"the prior is {given} and the pictures sent are {expected}; use the source of the pictures")
        count = len(received.usage.granted)
        return Reconstruction(
            self.picture.expand(count, -1, -1, -1).contiguous(),
            torch.ones(count, dtype=torch.bool, device=self.picture.device),
            None if self.labels is None else self.labels.expand(count, -1, -1).contiguous(),
        )
