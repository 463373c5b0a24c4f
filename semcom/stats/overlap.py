"""Pooled intersection over union, its interval over clusters, its paired differences, and its ratio to a reference.

``overlaps`` float64 [n, 2, K] hold the intersections and unions of K classes, one row a transmission. They add: over the
repeats of an image (each image counts once, however often it was sent), over images, over clusters. A class that is not met
has a union of 0 and is left out of the mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from semcom.stats.intervals import Interval, nothing, over_clusters, ratio, within
from semcom.stats.resample import LEVEL, RESAMPLES, Statistic
from semcom.stats.sample import Sample, matched


@dataclass(frozen=True)
class Overlaps:
    """Rows with what they belong to. ``sample`` holds each row's number in what it was made of; ``values`` float64 [n, 2, K]."""

    sample: Sample
    values: np.ndarray

    @staticmethod
    def of(
        values: np.ndarray, images: Iterable[str], clusters: Iterable[str] | None = None, repeats: Iterable[int] | None = None
    ) -> Overlaps:
        """In the order of (image, repeat), as `Sample.of`, and with its faults."""
        values = np.asarray(values, dtype=np.float64)
        sample = Sample.of(np.arange(len(values)), images, clusters, repeats)
        return Overlaps(sample, values[sample.values.astype(np.int64)])

    def __len__(self) -> int:
        return len(self.values)

    def cluster_sums(self) -> np.ndarray:
        """float64 [C, 2, K], in the order of the cluster names; every image counts once."""
        names, place = self.sample.cluster_of_row()
        sums = np.zeros((len(names), *self.values.shape[1:]))
        np.add.at(sums, place, self.values * self.sample.row_weights()[:, None, None])
        return sums

    def kept_in(self, sample: Sample) -> Overlaps:
        """The rows of ``sample``, which was selected from this one's."""
        place = {number: row for row, number in enumerate(self.sample.values.tolist())}
        return Overlaps(sample, self.values[[place[number] for number in sample.values.tolist()]])


def mean_iou(overlaps: np.ndarray) -> np.ndarray:
    """Mean over the classes with a union above 0, float64 [...] from [..., 2, K]; nan where there is none.

    >>> mean_iou(np.array([[3.0, 1.0, 0.0], [4.0, 4.0, 0.0]]))
    array(0.5)
    """
    right, union = overlaps[..., 0, :], overlaps[..., 1, :]
    met = union > 0
    each = np.divide(right, union, out=np.zeros_like(right), where=met)
    count = met.sum(-1)
    return np.divide(each.sum(-1), count, out=np.full(np.shape(count), np.nan), where=count > 0)


def statistic(sums: np.ndarray) -> Statistic:
    """The pooled mean IoU as a function of cluster weights [R, C], from cluster sums [C, 2, K]."""
    flat = sums.reshape(len(sums), -1)
    return lambda weights: mean_iou((weights @ flat).reshape(-1, *sums.shape[1:]))


def iou_interval(overlaps: Overlaps, *, level: float = LEVEL, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The pooled mean IoU with an interval over clusters, as that of a mean; within 0 and 1."""
    if not (overlaps.values[:, 1] > 0).any():
        return nothing("no values")
    return within(over_clusters(statistic(overlaps.cluster_sums()), overlaps.sample, level, seed, resamples), 0.0, 1.0)


def iou_difference(a: Overlaps, b: Overlaps, *, level: float = LEVEL, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Pooled mean IoU of a less that of b over what both sent; resampled together. Raises: ValueError where nothing matches."""
    a, b, note = _paired(a, b)
    of_a, of_b = statistic(a.cluster_sums()), statistic(b.cluster_sums())
    interval = over_clusters(lambda weights: of_a(weights) - of_b(weights), a.sample, level, seed, resamples)
    return within(interval, -1.0, 1.0).noting(note)


def iou_ratio(a: Overlaps, b: Overlaps, *, level: float = LEVEL, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Pooled mean IoU of a over that of b, paired like `iou_difference`."""
    a, b, note = _paired(a, b)
    of_a, of_b = statistic(a.cluster_sums()), statistic(b.cluster_sums())
    if not of_b(np.ones((1, a.sample.counts["n_clusters"])))[0] > 0:
        return nothing("the reference is 0")
    interval = over_clusters(lambda weights: of_a(weights) / of_b(weights), a.sample, level, seed, resamples)
    return within(interval, 0.0, None).noting(note)


def class_intervals(
    overlaps: Overlaps, *, level: float = LEVEL, seed: int = 0, resamples: int = RESAMPLES
) -> list[Interval]:
    """The pooled IoU of each of the K classes, or any other ratio of sums; clusters that do not meet a class (have no union) say
    nothing of it and are left out."""
    sums, sample = overlaps.cluster_sums(), overlaps.sample
    _, place = sample.cluster_of_row()
    found = []
    for right, union in sums.transpose(2, 1, 0):
        met = union > 0
        if not met.any():
            found.append(nothing("not met"))
            continue
        rows = sample.select(np.flatnonzero(met[place]))
        found.append(within(over_clusters(ratio(right[met], union[met]), rows, level, seed, resamples), 0.0, 1.0))
    return found


def _paired(a: Overlaps, b: Overlaps) -> tuple[Overlaps, Overlaps, str]:
    (of_a, of_b), left_out = matched([a.sample, b.sample])
    return a.kept_in(of_a), b.kept_in(of_b), f"{left_out} rows without a partner left out" if left_out else ""

