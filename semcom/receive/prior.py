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

    What a system shows beyond this picture it has learned from the channel. It never fails: there is nothing
    that could be lost.

    Example::

        receive: {kind: prior}
    """

    kind: Literal["prior"] = "prior"

    def build(self, context: Context) -> PriorReceiver:
        if context.source is None:
            raise ScenarioError("receive: prior has no source whose average to show; build it with Context(source=...)")
        return PriorReceiver(context.source.prior().to(context.device))


class PriorReceiver:
    """A prepared `semcom.protocols.Receiver`."""

    def __init__(self, picture: torch.Tensor):
        self.picture = picture

    def decode(self, received: Received, streams: Streams) -> Reconstruction:
        if tuple(self.picture.shape[1:]) != tuple(received.image_size):
            given, expected = "x".join(map(str, self.picture.shape[1:])), "x".join(map(str, received.image_size))
            raise DataError(f"the prior is {given} and the pictures sent are {expected}; use the source of the pictures")
        count = len(received.usage.granted)
        return Reconstruction(
            self.picture.expand(count, -1, -1, -1).contiguous(),
            torch.ones(count, dtype=torch.bool, device=self.picture.device),
        )
