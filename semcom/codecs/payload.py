"""The payload of one picture: sixteen bits that say what follows, then the stream.

====================  ====  =====================================================================
field                 bits  meaning
====================  ====  =====================================================================
codec                 3     `Codec.number`
container             1     0 stripped, 1 full
resolution            4     index into `semcom.codecs.resample.SCALES`
quality               8     as `Codec.qualities` has it
====================  ====  =====================================================================

The length is not in the payload: a link knows how many bits it was given. The size of the original
picture is known to both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

HEADER_BYTES = 2
CONTAINERS = ("stripped", "full")


@dataclass(frozen=True)
class Payload:
    """What a payload says; ``data`` is a stream or a whole file."""

    codec: int
    container: str
    resolution: int
    quality: int
    data: bytes

    def pack(self) -> bytes:
        word = self.codec << 13 | CONTAINERS.index(self.container) << 12 | self.resolution << 8 | self.quality
        return word.to_bytes(HEADER_BYTES, "big") + self.data

    @staticmethod
    def unpack(payload: bytes) -> Payload:
        """Any bytes of at least the header's length are a payload; whether it is a picture is for the codec to say."""
        word = int.from_bytes(payload[:HEADER_BYTES], "big")
        return Payload(word >> 13, CONTAINERS[word >> 12 & 1], word >> 8 & 0xF, word & 0xFF, payload[HEADER_BYTES:])
