"""Label maps for tests: scenes of rectangles and stripes, of which a few classes each."""

import numpy as np
import torch

from semcom.types import ImageBatch

SIZE = (32, 64)


def scene(seed, size=SIZE):
    """int64 [H, W]: sky, building and road in layers, boxes of other classes before them; 4 to 12 classes."""
    rng = np.random.default_rng(seed)
    height, width = size
    labels = np.zeros(size, dtype=np.int64)
    horizon = int(rng.integers(height // 4, height // 2))
    labels[horizon:] = 1
    labels[int(rng.integers(horizon + height // 8, height - height // 8)) :] = 3
    for label in rng.choice([2, 4, 5, 6, 7, 8, 9, 10, 11], size=int(rng.integers(1, 10)), replace=False):
        top, left = int(rng.integers(0, height - 4)), int(rng.integers(0, width - 4))
        labels[top : top + int(rng.integers(2, height // 2)), left : left + int(rng.integers(2, width // 4))] = label
    return torch.from_numpy(labels)


def images(count, size=SIZE):
    labels = torch.stack([scene(seed, size) for seed in range(count)])
    return ImageBatch(torch.zeros(count, 3, *size), tuple(f"scene{n}" for n in range(count)), labels)
