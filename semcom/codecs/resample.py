"""Coding at a lower resolution: the scales that a payload can name, and the filter both ways."""

from __future__ import annotations

from fractions import Fraction

from PIL import Image

from semcom.codecs.base import Size

#: A payload names one by its index; sixteen fit its header.
SCALES = tuple(Fraction(s) for s in ("1", "3/4", "1/2", "3/8", "1/4", "3/16", "1/8"))


def coded_size(size: Size, resolution: int) -> Size:
    """(width, height) at a scale, each side rounded (halves up) and at least 1.

    >>> coded_size((37, 53), 2)
    (19, 27)
    """
    scale = SCALES[resolution]
    return tuple(max(1, int(side * scale + Fraction(1, 2))) for side in size)


def resample(image: Image.Image, size: Size) -> Image.Image:
    """Lanczos (three lobes), widened where it shrinks so that nothing aliases.

    Pillow does it in 8 bits and fixed point: the same on every machine.
    """
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
