"""A pack of made-up pictures: what a smoke run trains on, so that it needs no data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from semcom.rng import generator
from semcom.train import pack

CLASSES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist", "void")
PICTURES, HEIGHT, WIDTH = 6, 48, 96


def write(path: Path) -> Path:
    """Rectangles whose class is their colour."""
    pack.write(
        path,
        [picture(number) for number in range(PICTURES)],
        CLASSES,
        [{"source": "toy", "images": PICTURES, "terms": "made up"}],
    )
    return path


def picture(number: int) -> pack.Item:
    rng = generator("toy", number)
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for _ in range(12):
        top, left = rng.integers(HEIGHT), rng.integers(WIDTH)
        labels[top : top + rng.integers(4, HEIGHT), left : left + rng.integers(4, WIDTH)] = rng.integers(len(CLASSES))
    return pack.Item(f"toy{number}", f"toy{number}", colours()[labels], labels)


def colours() -> np.ndarray:
    """uint8 [classes, 3]: colours that JPEG keeps apart."""
    levels = np.array([20, 125, 230])
    return np.stack([levels[[k % 3, k // 3 % 3, k // 9]] for k in range(len(CLASSES))]).astype(np.uint8)
