"""Bytes of a file to a picture or a label map, fully decoded, with a reason where that fails."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semcom.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

#: no class: a value that the data set does not define
UNDEFINED = -1


def read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error.strerror or error})") from error
    if not data:
        raise DataError(f"'{path}' is empty (0 bytes)")
    return data


def decode_picture(data: bytes, path: Path) -> Image.Image:
    """An 8-bit RGB picture, upright as its EXIF orientation says.

    Transparency is laid over white, 16 bits are rounded to 8, grey becomes three equal planes, of several
    frames the first counts, and embedded colour profiles are not applied. What a decoder cannot notice
    (a flipped byte inside a JPEG scan) is not noticed here either.
    """
    from PIL import Image, ImageOps

    image = _decoded(data, path)
    if image.mode.startswith("I"):
        image = _from_16_bits(image, path)
    elif image.mode == "F":
        raise DataError(f"'{path}' holds 32-bit floats, whose range is unknown; convert it to 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return ImageOps.exif_transpose(image.convert("RGB"))


def decode_labels(data: bytes, path: Path, table: np.ndarray) -> np.ndarray:
    """uint8 class indices [h, w]: ``table`` maps the file's values to classes, or to UNDEFINED."""
    image = _decoded(data, path)
    values = np.asarray(image)
    if values.ndim != 2:
        raise DataError(f"label map '{path}' is a colour picture (mode {image.mode}); expected class indices (mode L or P)")
    values = values.astype(np.int64)
    known = (values >= 0) & (values < len(table))
    classes = np.where(known, table[np.where(known, values, 0)], UNDEFINED)
    if (classes == UNDEFINED).any():
        wrong = sorted(set(values[classes == UNDEFINED].tolist()))
        right = np.flatnonzero(table != UNDEFINED).tolist()
        raise DataError(f"label map '{path}' holds {_some(wrong)}; allowed: {_ranges(right)}")
    return classes.astype(np.uint8)


def _decoded(data: bytes, path: Path) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except UnidentifiedImageError as error:
        raise DataError(f"'{path}' is not a picture that Pillow reads") from error
    except Exception as error:  # the decoders raise a dozen types; each means that this file has no picture
        raise DataError(f"'{path}' is damaged ({error})") from error
    return image


def _from_16_bits(image: Image.Image, path: Path) -> Image.Image:
    from PIL import Image

    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise DataError(f"'{path}' holds integers in {values.min()}..{values.max()}; expected 8 or 16 bits a sample")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _some(values: list[int], at_most: int = 5) -> str:
    shown = ", ".join(map(str, values[:at_most]))
    return f"the value{'s' if len(values) > 1 else ''} {shown}{', ...' if len(values) > at_most else ''}"


def _ranges(values: list[int]) -> str:
    """0-11, 255"""
    starts = [v for v in values if v - 1 not in values]
    stops = [v for v in values if v + 1 not in values]
    return ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in zip(starts, stops, strict=True))
