"""Numbers with what they belong to: one a transmission, named by image, cluster and repeat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sample:
    """One number a row; a row is one transmission (repeat) of one image. Built with `Sample.of`.

    Shapes: ``values`` float64 [n]; ``images``, ``clusters`` and ``repeats`` n names each. Rows are in the
    order of (image, repeat), whatever order they came in, so that results do not depend on it.
    """

    values: np.ndarray
    images: np.ndarray
    clusters: np.ndarray
    repeats: np.ndarray

    @staticmethod
    def of(
        values: Iterable[float],
        images: Iterable[str],
        clusters: Iterable[str] | None = None,
        repeats: Iterable[int] | None = None,
    ) -> Sample:
        """Without ``clusters`` each image is its own; without ``repeats`` each image was sent once.

        Raises: ValueError for unequal lengths, values that are not finite, a repeat that is there twice,
        or an image in two clusters.
        """
        values, images = _array(values, np.float64), _array(images, str)
        clusters = images if clusters is None else _array(clusters, str)
        repeats = np.zeros(len(values), dtype=np.int64) if repeats is None else _array(repeats, np.int64)
        if not len(values) == len(images) == len(clusters) == len(repeats):
            raise ValueError(
                f"{len(values)} values, {len(images)} images, {len(clusters)} clusters, {len(repeats)} repeats; "
                "expected one of each a row"
            )
        if not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            raise ValueError(f"{bad} of {len(values)} values are not finite; leave such rows out and say so")
        order = np.lexsort((repeats, images))
        sample = Sample(values[order], images[order], clusters[order], repeats[order])
        sample._check()
        return sample

    def _check(self) -> None:
        same_image = self.images[1:] == self.images[:-1]
        twice = np.flatnonzero(same_image & (self.repeats[1:] == self.repeats[:-1]))
        if len(twice):
            image, repeat = self.images[twice[0]], self.repeats[twice[0]]
            raise ValueError(f"repeat {repeat} of image '{image}' is there twice; rows must be distinct")
        moved = np.flatnonzero(same_image & (self.clusters[1:] != self.clusters[:-1]))
        if len(moved):
            raise ValueError(f"image '{self.images[moved[0]]}' is in two clusters; expected one")

    def __len__(self) -> int:
        return len(self.values)

    def select(self, rows: np.ndarray) -> Sample:
        """Some of the rows, in increasing order."""
        return Sample(self.values[rows], self.images[rows], self.clusters[rows], self.repeats[rows])

    def with_values(self, values: np.ndarray) -> Sample:
        """The same rows with other numbers."""
        return Sample(np.asarray(values, dtype=np.float64), self.images, self.clusters, self.repeats)

    @property
    def counts(self) -> dict[str, int]:
        """``n_images``, ``n_clusters`` and ``n_repeats``, as tables give them."""
        return {
            "n_images": len(np.unique(self.images)),
            "n_clusters": len(np.unique(self.clusters)),
            "n_repeats": len(np.unique(self.repeats)),
        }

    def row_weights(self) -> np.ndarray:
        """Weights [n] that count every image once, however often it was sent."""
        _, image, sent = np.unique(self.images, return_inverse=True, return_counts=True)
        return 1.0 / sent[image]

    def cluster_of_row(self) -> tuple[np.ndarray, np.ndarray]:
        """The cluster names, sorted, and each row's place [n] among them."""
        return np.unique(self.clusters, return_inverse=True)

    def cluster_sums(self, per_row: np.ndarray) -> np.ndarray:
        """Sums [C] of a number a row over each cluster, in the order of the cluster names."""
        names, place = self.cluster_of_row()
        return np.bincount(place, weights=per_row, minlength=len(names))


def _array(values: Iterable, dtype: type) -> np.ndarray:
    return np.asarray(values if isinstance(values, np.ndarray) else list(values), dtype=dtype)


def matched(samples: Sequence[Sample]) -> tuple[list[Sample], int]:
    """The rows that every sample has, by (image, repeat), and how many were left out of the largest.

    Raises: ValueError where nothing is left.
    """
    keys = [list(zip(sample.images.tolist(), sample.repeats.tolist(), strict=True)) for sample in samples]
    common = set(keys[0]).intersection(*keys[1:])
    if not common:
        raise ValueError("the samples have no (image, repeat) in common; only what was sent by both can be paired")
    kept = [sample.select(np.flatnonzero([key in common for key in rows])) for sample, rows in zip(samples, keys, strict=True)]
    return kept, max(map(len, samples)) - len(common)
