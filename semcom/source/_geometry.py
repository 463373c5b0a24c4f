"""How every picture and its labels come to the size of a scenario: one crop, one resize, for all sources.

The largest centred crop of the target's aspect ratio is taken (fractions of a pixel included). The picture
is resized with Lanczos, whose kernel widens with the reduction, so that it is anti-aliased: in Pillow's
8-bit fixed-point arithmetic, the same pixels on every machine. Labels take the class under the centre of
each target pixel along the same geometry; averaging class indices would invent classes. A picture smaller
than the target is enlarged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


def crop_box(given: tuple[int, int], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of the largest centred crop of a ``given`` (h, w) with the aspect of ``size`` (H, W).

    >>> crop_box((288, 384), (128, 256))
    (0.0, 48.0, 384.0, 240.0)
    """
    (h, w), (height, width) = given, size
    scale = min(h / height, w / width)
    top, left = max(0.0, (h - scale * height) / 2.0), max(0.0, (w - scale * width) / 2.0)
    return left, top, w - left, h - top


def resize_picture(picture: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """uint8 [H, W, 3] from an RGB picture."""
    from PIL import Image

    box = crop_box((picture.height, picture.width), size)
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.LANCZOS, box=box))


def resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Class indices [H, W] from class indices [h, w], each the one under the target pixel's centre."""
    left, top, right, bottom = crop_box(labels.shape, size)
    rows = top + (np.arange(size[0]) + 0.5) * (bottom - top) / size[0]
    columns = left + (np.arange(size[1]) + 0.5) * (right - left) / size[1]
    return labels[np.ix_(rows.astype(np.int64), columns.astype(np.int64))]
