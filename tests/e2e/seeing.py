"""Receivers that hand over more than a picture: a label map, which the painted evaluator reads in it, or samples."""

from dataclasses import replace
from typing import Literal

import torch
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


class Doubter:
    """A prepared receiver that takes what it shows for one of four, which differ by noise of its own stream."""

    def __init__(self, receiver):
        self.receiver = receiver

    def decode(self, received, streams):
        result = self.receiver.decode(received, streams)
        noise = [torch.from_numpy(streams.generator("decoder doubt", row).standard_normal((4, *result.pixels.shape[1:]))) for row in range(len(streams))]
        samples = (result.pixels[:, None] + 0.1 * torch.stack(noise).float()).clamp(0, 1)
        return replace(result, samples=samples, uncertainty=samples.std(1).mean(1))


class DoubtfulCodec(image_codec.ImageCodec):
    """An image codec's receiver that shows its doubts."""

    kind: Literal["doubtful_codec"] = "doubtful_codec"

    def build(self, context):
        return Doubter(super().build(context))
