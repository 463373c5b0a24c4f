"""The classical transmitter: an image codec at the best quality and resolution that the budget carries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from PIL import Image
from pydantic import Field

from semcom import codecs
from semcom.codecs.rate_table import best_payloads
from semcom.component import Component
from semcom.errors import ScenarioError
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.types import Bits, Budget, ImageBatch, Message

torch = lazy.load("torch")


class ImageCodec(Component):
    """A picture as the best JPEG, JPEG 2000, WebP or AVIF file that fits its budget.

    For each picture one rate table holds what every quality at seven resolutions (1, 3/4, 1/2, 3/8, 1/4,
    3/16, 1/8) costs and gives; what is sent is the entry of highest PSNR, after Lanczos upscaling and
    rounding to 8 bits, that fits. A picture that nothing fits is infeasible, with the reason.

    Cost: 16 bits (codec, container, resolution, quality) and what ``container`` says, byte by byte.
    `stripped` sends the elementary stream alone (JPEG: the entropy-coded scan, with the standard Huffman
    tables; JPEG 2000: the raw codestream; WebP: the VP8 payload; AVIF: the AV1 units) and the receiver
    rebuilds the same file around it; what that takes for granted is listed as `free`. `full` sends the file.

    Settings: JPEG baseline 4:2:0; JPEG 2000 irreversible 9-7, one layer; WebP method 4; AVIF libaom speed 6,
    tuned for PSNR, 4:2:0. Files depend on the codec builds, whose versions are part of the identity.

    Part: ``image``, bits. Needs a link that carries bits (digital, ideal).

    References: ITU-T T.81 (1992); ISO/IEC 15444-1 (2000); RFC 6386 (2011), the VP8 format; AV1 Bitstream and
    Decoding Process Specification (2019).

    Example::

        transmit: {kind: image_codec, codec: avif, container: stripped}
    """

    CARRIES: ClassVar[frozenset[str]] = frozenset({"bits"})
    PARTS: ClassVar[frozenset[str]] = frozenset({"image"})

    kind: Literal["image_codec"] = "image_codec"
    codec: Literal["jpeg", "jpeg2000", "webp", "avif"] = Field("avif", description="image codec")
    container: Literal["stripped", "full"] = Field("stripped", description="what is charged: elementary stream, or whole file")

    @classmethod
    def choices(cls, field: str) -> tuple[Any, ...]:
        return codecs.NAMES if field == "codec" else ()

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "libraries": codecs.versions(self.codec)}

    def build(self, context: Context) -> CodecTransmitter:
        return CodecTransmitter(codecs.codec(self.codec), self.container)


class CodecTransmitter:
    """Shapes: images [B, 3, H, W] to part ``image``, bits uint8 [B, K], zeros behind each row's length."""

    side_bits = 0
    adapts_to_snr = False

    def __init__(self, codec: codecs.Codec, container: str):
        self.codec, self.container = codec, container
        self.free = ("size of the picture",) + ((codec.constant,) if container == "stripped" else ())

    def encode(self, images: ImageBatch, budget: Budget, streams: Streams) -> Message:
        """The best payload of each image within ``budget.bits``."""
        bits = budget.part("image").bits
        if bits is None:
            raise ScenarioError("transmit image_codec makes bits and its link carries none; give it a digital or ideal link")
        pictures = [Image.fromarray(p) for p in eight_bit(images.pixels)]
        with ThreadPoolExecutor() as pool:
            made = best_payloads(pictures, self.codec, bits // 8, self.container, pool)
        payloads = [p if isinstance(p, bytes) else b"" for p in made]
        reasons = tuple(
            None if isinstance(p, bytes) else f"smallest {self.codec.name} file needs {p} bytes, {bits // 8} fit" for p in made
        )
        return Message({"image": to_bits(payloads)}, budget, images.size, infeasible=reasons, free=self.free)


def eight_bit(pixels: torch.Tensor) -> np.ndarray:
    """[B, 3, H, W] in [0, 1] to uint8 [B, H, W, 3], rounded."""
    return (pixels.detach().cpu() * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def to_bits(payloads: list[bytes]) -> Bits:
    """Bytes to bits, the most significant first; shorter rows end in zeros that do not count."""
    lengths = [8 * len(p) for p in payloads]
    bits = np.zeros((len(payloads), max(lengths, default=0)), dtype=np.uint8)
    for row, payload in zip(bits, payloads, strict=True):
        row[: 8 * len(payload)] = np.unpackbits(np.frombuffer(payload, dtype=np.uint8))
    return Bits(torch.from_numpy(bits), torch.tensor(lengths, dtype=torch.int64))
