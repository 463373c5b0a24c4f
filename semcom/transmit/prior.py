"""The transmitter that sends nothing."""

from __future__ import annotations

from typing import ClassVar, Literal

import lazy_loader as lazy

from semcom.component import Component
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.types import Bits, Budget, ImageBatch, Message

torch = lazy.load("torch")


class Prior(Component):
    """Sends zero bits: with ``receive: prior`` the floor under every other system.

    The message has one digital part, ``image``, of length 0. Nothing of the grant is used.

    Example::

        transmit: {kind: prior}
    """

    CARRIES: ClassVar[frozenset[str]] = frozenset({"bits"})
    PARTS: ClassVar[frozenset[str]] = frozenset({"image"})
    SILENT: ClassVar[bool] = True

    kind: Literal["prior"] = "prior"

    def build(self, context: Context) -> PriorTransmitter:
        return PriorTransmitter()


class PriorTransmitter:
    """A prepared `semcom.protocols.Transmitter`."""

    side_bits = 0
    adapts_to_snr = False

    def encode(self, images: ImageBatch, budget: Budget, streams: Streams) -> Message:
        nothing = Bits(torch.zeros((len(images), 0), dtype=torch.uint8), torch.zeros(len(images), dtype=torch.int64))
        return Message(
            parts={"image": nothing},
            budget=budget,
            image_size=images.size,
            free=("prior: the average picture and the most frequent classes of the training set",),
        )
