"""The classical receiver: payload bits back to a picture."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, ClassVar, Literal

import lazy_loader as lazy
import numpy as np

from semcom import codecs
from semcom.codecs.payload import HEADER_BYTES, Payload
from semcom.codecs.resample import SCALES, coded_size, resample
from semcom.component import Component
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.types import GREY, Received, ReceivedBits, Reconstruction

torch = lazy.load("torch")

MEMO_BYTES = 64 * 2**20  # of pictures decoded before, so that the same payload at many SNRs is decoded once


class ImageCodec(Component):
    """The picture in a payload of the `image_codec` transmitter, upscaled to its original size.

    Everything it needs stands in the payload, so it has no parameters. A payload that did not arrive, or
    that is no picture, counts as a failure: its picture is grey (0.5). Decoding is deterministic.

    Part: ``image``, bits; necessary.

    Example::

        receive: {kind: image_codec}
    """

    TAKES: ClassVar[frozenset[str]] = frozenset({"image_codec"})

    kind: Literal["image_codec"] = "image_codec"

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "libraries": codecs.versions()}

    def build(self, context: Context) -> CodecReceiver:
        return CodecReceiver(context.device)


class CodecReceiver:
    """Shapes: part ``image``, bits [B, K], to pixels [B, 3, H, W]."""

    def __init__(self, device: str = "cpu"):
        self.device = device
        self._memo: OrderedDict[tuple[bytes, tuple[int, int]], np.ndarray | None] = OrderedDict()

    def decode(self, received: Received, streams: Streams) -> Reconstruction:
        """Pictures of the rows that arrived."""
        height, width = received.image_size
        part = received.parts["image"]
        pictures = [None if payload is None else self._picture(payload, (width, height)) for payload in payloads(part)]
        grey = torch.full((3, height, width), GREY)
        rows = [grey if p is None else torch.from_numpy(p).permute(2, 0, 1) / 255.0 for p in pictures]
        ok = torch.tensor([p is not None for p in pictures], dtype=torch.bool)
        return Reconstruction(torch.stack(rows).to(self.device), ok.to(self.device))

    def _picture(self, payload: bytes, size: tuple[int, int]) -> np.ndarray | None:
        key = payload, size
        if key not in self._memo:
            self._memo[key] = picture(payload, size)
            if len(self._memo) > max(1, MEMO_BYTES // (3 * size[0] * size[1])):
                self._memo.popitem(last=False)
        self._memo.move_to_end(key)
        return self._memo[key]


def payloads(part: ReceivedBits) -> list[bytes | None]:
    """The bytes of each row; None where they did not arrive."""
    bits, lengths, ok = part.bits.cpu().numpy(), part.lengths.tolist(), part.ok.tolist()
    return [np.packbits(row[:n]).tobytes() if good else None for row, n, good in zip(bits, lengths, ok, strict=True)]


def picture(payload: bytes, size: tuple[int, int]) -> np.ndarray | None:
    """uint8 [H, W, 3] of ``size`` (width, height); None where the payload is no picture."""
    said = Payload.unpack(payload)
    codec = codecs.numbered(said.codec)
    if len(payload) <= HEADER_BYTES or codec is None or said.resolution >= len(SCALES) or said.quality not in codec.qualities:
        return None
    coded = coded_size(size, said.resolution)
    try:
        stream = said.data if said.container == "stripped" else codec.unwrap(said.data, coded, said.quality)
        small = codec.decode(stream, coded, said.quality)
    except codecs.Undecodable:
        return None
    return np.array(resample(small, size))
