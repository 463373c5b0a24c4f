"""WebP, lossy: the stream is the VP8 payload without the RIFF container."""

from __future__ import annotations

from PIL import Image

from semcom.codecs.base import Codec, Size, Undecodable, save

RIFF_AND_CHUNK_HEADER = 20  # "RIFF" size "WEBP" "VP8 " size
VP8_START_CODE = b"\x9d\x01\x2a"


class WebP(Codec):
    """VP8 key frames (RFC 6386) through libwebp, method 4 (its default), 4:2:0. The quality is libwebp's, 0 to 100."""

    name, number, feature, libraries = "webp", 2, "webp", ("webp",)
    qualities = tuple(range(0, 101, 2))
    constant = "RIFF and chunk headers of WebP"

    def encode(self, image: Image.Image, quality: int) -> bytes:
        return save(image, {"format": "WEBP", "lossless": False, "method": 4, "use_sharp_yuv": False, "quality": quality})

    def strip(self, file: bytes) -> bytes:
        if file[:4] != b"RIFF" or file[8:16] != b"WEBPVP8 ":
            raise Undecodable("not a WebP file of one VP8 frame")
        length = int.from_bytes(file[16:20], "little")
        return file[RIFF_AND_CHUNK_HEADER : RIFF_AND_CHUNK_HEADER + length]

    def rebuild(self, stream: bytes, size: Size, quality: int) -> bytes:
        padded = stream + bytes(len(stream) % 2)  # chunks have even lengths
        riff_size = (len(padded) + 12).to_bytes(4, "little")
        return b"RIFF" + riff_size + b"WEBPVP8 " + len(stream).to_bytes(4, "little") + padded

    def check(self, stream: bytes, size: Size) -> None:
        said = tuple(int.from_bytes(stream[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        if stream[3:6] != VP8_START_CODE or said != size:
            raise Undecodable(f"not a VP8 key frame of {size}")
