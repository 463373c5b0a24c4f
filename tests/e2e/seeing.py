"""Receivers that hand over a label map beside their picture: what the painted evaluator reads in it."""

from dataclasses import replace
from typing import Literal

from painted import Painted

from semcom.receive import image_codec, softcast


class Reader:
    """A prepared receiver and a reader."""

    def __init__(self, receiver):
        self.receiver = receiver

    def decode(self, received, streams):
        result = self.receiver.decode(received, streams)
        return replace(result, labels=Painted().labels(result.pixels.clamp(0, 1)))


class ReadCodec(image_codec.ImageCodec):
    """An image codec's receiver that reads its pictures."""

    kind: Literal["read_codec"] = "read_codec"

    def build(self, context):
        return Reader(super().build(context))


class ReadSoftCast(softcast.SoftCast):
    """SoftCast's receiver that reads its pictures."""

    kind: Literal["read_softcast"] = "read_softcast"

    def build(self, context):
        return Reader(super().build(context))
