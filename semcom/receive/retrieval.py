"""The training image that a number names."""

from __future__ import annotations

from typing import ClassVar, Literal

import lazy_loader as lazy

from semcom.classes import UNKNOWN
from semcom.component import Component
from semcom.errors import ScenarioError
from semcom.protocols import Context, Source
from semcom.rng import Streams
from semcom.types import GREY, Received, Reconstruction

torch = lazy.load("torch")


class Retrieval(Component):
    """The training image whose number arrived, with its label map where the source has them.

    A number that did not arrive is a failure: the picture is grey and no pixel's class is known.

    Part: ``index``, bits; necessary.

    Example::

        receive: {kind: retrieval}
    """

    TAKES: ClassVar[frozenset[str]] = frozenset({"retrieval"})

    kind: Literal["retrieval"] = "retrieval"

    def build(self, context: Context) -> RetrievalReceiver:
        if context.source is None:
            raise ScenarioError("receive retrieval has no source whose training images to show; build it with Context(source=...)")
        return RetrievalReceiver(context.source, context.device)


class RetrievalReceiver:
    """A prepared `semcom.protocols.Receiver`."""

    def __init__(self, source: Source, device: str = "cpu"):
        self._source, self._device, self._names = source, device, source.training()

    def decode(self, received: Received, streams: Streams) -> Reconstruction:
        part = received.parts["index"]
        bits = part.bits.to("cpu", torch.int64)
        index = (bits << torch.arange(bits.shape[1] - 1, -1, -1)).sum(dim=1)
        ok = part.ok.cpu() & (index < len(self._names))  # beyond: an error that no CRC saw
        shown = torch.where(ok, index, 0).tolist()
        batch = self._source.load([self._names[number] for number in dict.fromkeys(shown)])
        place = {number: row for row, number in enumerate(dict.fromkeys(shown))}
        rows = torch.tensor([place[number] for number in shown])
        pixels = torch.where(ok[:, None, None, None], batch.pixels[rows], GREY)
        labels = None if batch.labels is None else torch.where(ok[:, None, None], batch.labels[rows], UNKNOWN).to(self._device)
        return Reconstruction(pixels.to(self._device), ok.to(self._device), labels)
