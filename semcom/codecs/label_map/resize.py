"""Label maps at other sizes: the class under the centre of each target pixel, so that no class is invented."""

from __future__ import annotations

import numpy as np

#: (H, W) that maps are sent at, the finest first
SIZES = ((128, 256), (64, 128), (32, 64), (16, 32), (8, 16))


def resize(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Classes [..., H, W] from classes [..., h, w]: down and up along the same path as labels of data sets (`semcom.source`).

    >>> resize(np.array([[0, 1, 2, 3]]), (1, 2)), resize(np.array([[1, 3]]), (1, 4))
    (array([[1, 3]]), array([[1, 1, 3, 3]]))
    """
    (h, w), (height, width) = labels.shape[-2:], size
    # floor((i + 1/2) h / H) in whole numbers
    rows = (2 * np.arange(height) + 1) * h // (2 * height)
    columns = (2 * np.arange(width) + 1) * w // (2 * width)
    return labels[..., rows[:, None], columns]
