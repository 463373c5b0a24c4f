"""Where one system's curve crosses another's, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semcom.stats import resample
from semcom.stats.intervals import FEW, UNDEFINED, Interval
from semcom.stats.resample import FEWEST_CLUSTERS, LEVEL, RESAMPLES
from semcom.stats.sample import Sample, matched

CURVES = "bootstrap of curves"


@dataclass(frozen=True)
class Crossover:
    """``location`` on the axis (nan where the curves do not cross); ``none`` the fraction of resamples without a crossing."""

    location: Interval
    none: float


def crossover(
    axis: Sequence[float],
    a: Sequence[Sample],
    b: Sequence[Sample],
    *,
    level: float = LEVEL,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Crossover:
    """The first place along ``axis`` (increasing) where the mean of ``a`` - ``b`` changes its sign.

    ``a`` and ``b`` hold one sample a point. Noise is shared along the axis, so whole curves are resampled:
    a drawn cluster brings its rows at every point. Between points the difference is taken as linear. The
    interval is over the resamples that cross; read it together with ``none``.
    Raises: ValueError for unequal lengths, an axis that does not increase, or curves without common rows.
    """
    axis = np.asarray(axis, dtype=np.float64)
    if not len(axis) == len(a) == len(b):
        raise ValueError(f"{len(axis)} axis values, {len(a)} and {len(b)} samples; expected one sample of each system a point")
    if len(axis) < 2 or not (np.diff(axis) > 0).all():
        raise ValueError(f"axis is {axis.tolist()}; expected at least two increasing values")
    rows, left_out = matched([*a, *b])
    first, weight = rows[0], rows[0].row_weights()
    differences = [x.values - y.values for x, y in zip(rows[: len(axis)], rows[len(axis) :], strict=True)]
    sums = np.stack([first.cluster_sums(difference * weight) for difference in differences], axis=1)
    sizes = first.cluster_sums(weight)

    def curves(weights: np.ndarray) -> np.ndarray:
        return (weights @ sums) / (weights @ sizes)[:, None]

    clusters = len(sizes)
    location = first_crossing(axis, curves(np.ones((1, clusters)))[0])
    notes = [f"{left_out} rows without a partner left out"] if left_out else []
    if clusters == 1:
        alone = Interval(location, math.nan, math.nan, **first.counts, method=UNDEFINED, note="one cluster")
        return Crossover(alone.noting(*notes), math.nan)
    drawn = resample.resampled(curves, resample.weights(clusters, seed, resamples))
    found = np.array([first_crossing(axis, curve) for curve in drawn])
    none = float(np.isnan(found).mean())
    if math.isnan(location):
        low, high = math.nan, math.nan
        notes.insert(0, "the curves do not cross")
    else:
        low, high = resample.expanded_percentiles(found[~np.isnan(found)], clusters, level) if none < 1 else (math.nan, math.nan)
    if clusters < FEWEST_CLUSTERS:
        notes.append(FEW)
    if 0 < none < 1:
        notes.append(f"no crossing in {none:.1%} of resamples")
    return Crossover(Interval(location, low, high, **first.counts, method=CURVES).noting(*notes), none)


def first_crossing(axis: np.ndarray, difference: np.ndarray) -> float:
    """Where ``difference`` first changes its sign, linear between points; nan where it does not.

    Where it is 0 over a stretch between two signs, the middle of the stretch; touching 0 is no crossing.

    >>> first_crossing(np.array([0.0, 10.0]), np.array([-1.0, 3.0]))
    2.5
    """
    signs = np.sign(difference)
    points = np.flatnonzero(signs)
    changes = np.flatnonzero(signs[points[1:]] != signs[points[:-1]])
    if len(changes) == 0:
        return math.nan
    left, right = points[changes[0]], points[changes[0] + 1]
    if right > left + 1:
        return float((axis[left + 1] + axis[right - 1]) / 2)
    share = difference[left] / (difference[left] - difference[right])
    return float(axis[left] + share * (axis[right] - axis[left]))
