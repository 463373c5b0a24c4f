"""JPEG: baseline, 4:2:0, standard Huffman tables; the stream is the entropy-coded scan."""

from __future__ import annotations

from PIL import Image

from semcom.codecs.base import Codec, Size, Undecodable, save

START_OF_SCAN = 0xDA
END_OF_IMAGE = b"\xff\xd9"


def scan_start(file: bytes) -> int:
    """Where the entropy-coded scan begins: behind the header of the first scan, found from segment to segment."""
    position = 2
    while position + 4 <= len(file) and file[position] == 0xFF:
        end = position + 2 + int.from_bytes(file[position + 2 : position + 4], "big")
        if file[position + 1] == START_OF_SCAN:
            return end
        position = end
    raise Undecodable("a JPEG file without a scan")


class JPEG(Codec):
    """ITU-T T.81 baseline through libjpeg-turbo. The quality scales the tables of its annex K (1 to 95)."""

    name, number, feature, libraries = "jpeg", 0, "jpg", ("jpg", "libjpeg_turbo")
    qualities = tuple(range(1, 96))
    constant = "JPEG markers with the standard Huffman tables, and the quantisation tables that the quality stands for"

    def encode(self, image: Image.Image, quality: int) -> bytes:
        fixed = {"format": "JPEG", "subsampling": "4:2:0", "optimize": False, "progressive": False}
        return save(image, {**fixed, "quality": quality})

    def strip(self, file: bytes) -> bytes:
        return file[scan_start(file) : -len(END_OF_IMAGE)]

    def rebuild(self, stream: bytes, size: Size, quality: int) -> bytes:
        template = self.template(size, quality)
        return template[: scan_start(template)] + stream + END_OF_IMAGE

    def check(self, stream: bytes, size: Size) -> None:
        """A scan says nothing of its size."""
