"""Maps that are made simpler until they fit a budget: small regions go, boundaries are smoothed, and what that costs is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semcom.codecs.label_map import coder, context
from semcom.codecs.label_map.network import Network
from semcom.errors import Infeasible


@dataclass(frozen=True)
class Step:
    """Regions of fewer than ``area`` pixels go; then each pixel takes the most frequent class within ``radius``."""

    area: int
    radius: int


#: the map as it is, then ever simpler; an area is of a 128x256 map and shrinks with smaller ones
LADDER = (Step(0, 0), *(Step(area, radius) for area, radius in (
    (2, 0), (4, 0), (4, 1), (8, 1), (16, 1), (16, 2), (32, 2), (64, 2), (64, 3), (128, 3), (128, 4), (256, 5), (512, 6),
    (1024, 8), (2048, 12), (4096, 16), (8192, 24), (32768, 24),
)))  # fmt: skip


@dataclass(frozen=True)
class Fitted:
    """What is sent of a map: ``data``, the ``labels`` that it decodes to, which ``step`` of LADDER made them.

    ``iou``: mean over the classes in the original, void left out, of intersection over union with it (nan for a map of void).
    """

    data: bytes
    labels: np.ndarray
    step: int
    iou: float


def fit(labels: np.ndarray, bits: int, model: Network | None = None) -> Fitted:
    """The least simplified map of LADDER, found by bisection, whose bytes fit into ``bits``.

    A simpler map nearly always takes fewer bytes; where it does not, a less simple one that fits as well may be missed.
    Raises: Infeasible, with the bits of the simplest.
    """
    labels = coder.checked(labels)
    made: dict[int, tuple[bytes, np.ndarray]] = {}

    def fits(step: int) -> bool:
        simple = simplify(labels, LADDER[step])
        made[step] = coder.encode(simple, model=model), simple
        return 8 * len(made[step][0]) <= bits

    low, high = 0, len(LADDER) - 1
    if fits(0):
        high = 0
    elif not fits(high):
        raise Infeasible(f"the simplest map of {labels.shape[0]}x{labels.shape[1]} needs {8 * len(made[high][0])} bits, {bits} fit")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    data, simple = made[high]
    return Fitted(data, simple, high, iou(simple, labels))


def simplify(labels: np.ndarray, step: Step) -> np.ndarray:
    """A map uint8 [H, W] with small regions removed and boundaries smoothed."""
    # as much of the picture at any size
    area = step.area * labels.size / (128 * 256)
    scale = np.sqrt(labels.size / (128 * 256))
    kept = without_small(labels, area) if area > 1 else labels
    radius = int(np.ceil(step.radius * scale)) if step.radius else 0
    return smoothed(kept, radius) if radius else kept


def without_small(labels: np.ndarray, area: float) -> np.ndarray:
    """Regions (pixels of one class that share sides) of fewer than ``area`` pixels take the class of the nearest other.

    Where every region is small the largest stays.
    """
    from scipy import ndimage

    regions, count = np.zeros(labels.shape, dtype=np.int64), 0
    for k in np.unique(labels):
        found, n = ndimage.label(labels == k)
        regions = np.where(found > 0, found + count, regions)
        count += n
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    large = sizes >= area
    large[sizes.argmax()] = True
    nearest = ndimage.distance_transform_edt(~large[regions], return_distances=False, return_indices=True)
    return labels[tuple(nearest)]


def smoothed(labels: np.ndarray, radius: int) -> np.ndarray:
    """The most frequent class of the square around each pixel; at a tie the pixel's own, then the lowest."""
    height, width = labels.shape
    tops, bottoms = _window(height, radius)
    lefts, rights = _window(width, radius)
    counts = np.empty((context.CLASSES, height, width), dtype=np.int64)
    for k in range(context.CLASSES):
        total = np.zeros((height + 1, width + 1), dtype=np.int64)
        total[1:, 1:] = (labels == k).cumsum(axis=0).cumsum(axis=1)
        strips = total[bottoms] - total[tops]
        counts[k] = 2 * (strips[:, rights] - strips[:, lefts]) + (labels == k)
    return counts.argmax(axis=0).astype(np.uint8)


def iou(labels: np.ndarray, truth: np.ndarray) -> float:
    """Mean intersection over union over the classes in the truth but void; nan where there are none."""
    classes: Sequence[int] = [k for k in np.unique(truth).tolist() if k != context.CLASSES - 1]
    valid = truth != context.CLASSES - 1
    each = [(valid & (labels == k) & (truth == k)).sum() / (valid & ((labels == k) | (truth == k))).sum() for k in classes]
    return float(np.mean(each)) if each else float("nan")


def _window(side: int, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the window of each position begins and ends."""
    at = np.arange(side)
    return np.maximum(at - radius, 0), np.minimum(at + radius + 1, side)
