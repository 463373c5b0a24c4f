"""JPEG 2000: the 9-7 wavelet, one layer at a stated size; the stream is the raw codestream."""

from __future__ import annotations

from PIL import Image

from semcom.codecs.base import Codec, Size, Undecodable, save

CODESTREAM = b"\xff\x4f\xff\x51"  # SOC and SIZ markers
COMMENT = b"\xff\x64"
START_OF_TILE_PART = b"\xff\x90"
BOX_HEADER = 8  # length and name of the box jp2c, just before the codestream

#: Bytes of a file apart from its packets: 85 of boxes, 109 of main header with the comment, 14 of tile-part header, 2 of end;
#: rounded, since more decomposition levels make the main header longer.
HEADERS = 208


def target_bytes(size: Size, quality: int) -> float:
    """File size that a quality asks for: 0.01 bits per pixel and a sixth of an octave more a step, beside the headers."""
    return HEADERS + size[0] * size[1] * 0.01 * 2.0 ** (quality / 6) / 8


def without_comment(codestream: bytes) -> bytes:
    """The codestream without the comment that OpenJPEG always writes: nobody needs it to decode."""
    start = codestream.index(COMMENT, 0, codestream.index(START_OF_TILE_PART))
    length = int.from_bytes(codestream[start + 2 : start + 4], "big")
    return codestream[:start] + codestream[start + 2 + length :]


def main_header(codestream: bytes) -> bytes:
    """Size, coding style and quantisation: all that stands before the first tile-part."""
    return codestream[: codestream.index(START_OF_TILE_PART)]


class JPEG2000(Codec):
    """ISO/IEC 15444-1 through OpenJPEG: irreversible 9-7 wavelet and colour transform, one quality layer, one tile.

    OpenJPEG is told a size, not a quality: quality i asks for 0.01 * 2^(i/6) bits per pixel beside the headers.
    """

    name, number, feature, libraries = "jpeg2000", 1, "jpg_2000", ("jpg_2000",)
    qualities = tuple(range(0, 63))  # up to 13 bits per pixel
    constant = "JP2 boxes around the codestream"

    def encode(self, image: Image.Image, quality: int) -> bytes:
        width, height = image.size
        ratio = 3 * width * height / target_bytes(image.size, quality)
        settings = {
            "format": "JPEG2000",
            "irreversible": True,
            "mct": 1,  # the colour transform, without which R, G and B are coded apart
            "quality_mode": "rates",
            "quality_layers": [max(ratio, 1.0)],
            "comment": b".",  # goes again below, but OpenJPEG counts it; none at all makes it write a longer one of its own
        }
        file = save(image, settings)
        start = file.index(CODESTREAM)
        return _boxed(file[: start - BOX_HEADER], without_comment(file[start:]))

    def strip(self, file: bytes) -> bytes:
        return file[_codestream_start(file) :]

    def rebuild(self, stream: bytes, size: Size, quality: int) -> bytes:
        template = self.template(size, 0)
        return _boxed(template[: _codestream_start(template) - BOX_HEADER], stream)

    def check(self, stream: bytes, size: Size) -> None:
        expected = main_header(self.strip(self.template(size, 0)))
        if stream[: len(expected) + 2] != expected + START_OF_TILE_PART:
            raise Undecodable(f"not a codestream of {size}")


def _codestream_start(file: bytes) -> int:
    start = file.find(b"jp2c" + CODESTREAM)
    if start < 0:
        raise Undecodable("a JP2 file without a codestream")
    return start + len(b"jp2c")


def _boxed(boxes: bytes, codestream: bytes) -> bytes:
    return boxes + (BOX_HEADER + len(codestream)).to_bytes(4, "big") + b"jp2c" + codestream
