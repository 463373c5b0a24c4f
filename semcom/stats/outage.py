"""The bad end of a distribution: how often a picture is too bad, and how bad the worst are."""

from __future__ import annotations

from typing import Literal

import numpy as np

from semcom.stats.intervals import Interval, nothing, over_clusters, probability_interval
from semcom.stats.resample import LEVEL, RESAMPLES, Statistic
from semcom.stats.sample import Sample

Better = Literal["higher", "lower"]


def outage(
    sample: Sample, threshold: float, better: Better, *, level: float = LEVEL, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """P(metric worse than ``threshold``) over transmissions; worse is below where higher is ``better``, else above."""
    _check(better)
    worse = sample.values < threshold if better == "higher" else sample.values > threshold
    return probability_interval(sample.with_values(worse), level=level, seed=seed, resamples=resamples)


def tail_mean(
    sample: Sample, better: Better, fraction: float = 0.1, *, level: float = LEVEL, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """The mean of the worst ``fraction`` of transmissions, every image counting alike.

    Where the fraction ends within a row, that row counts in part, so the value is continuous in ``fraction``
    and is the mean at 1 (expected shortfall; Acerbi and Tasche 2002).
    """
    _check(better)
    if not 0.0 < fraction <= 1.0:
        raise ValueError(f"fraction is {fraction}; allowed are numbers above 0 and at most 1")
    if len(sample) == 0:
        return nothing("no values")
    return over_clusters(_worst(sample, better, fraction), sample, level, seed, resamples)


def worst_mean(sample: Sample, better: Better, fraction: float = 0.1) -> float:
    """`tail_mean` without its interval."""
    clusters = sample.counts["n_clusters"]
    return float(_worst(sample, better, fraction)(np.ones((1, clusters)))[0])


def _worst(sample: Sample, better: Better, fraction: float) -> Statistic:
    order = np.argsort(sample.values if better == "higher" else -sample.values, kind="stable")
    values, base = sample.values[order], sample.row_weights()[order]
    place = sample.cluster_of_row()[1][order]

    def statistic(weights: np.ndarray) -> np.ndarray:
        weight = weights[:, place] * base
        before = np.cumsum(weight, axis=1) - weight
        wanted = fraction * weight.sum(axis=1, keepdims=True)
        taken = np.clip(wanted - before, 0.0, weight)
        return (taken @ values) / taken.sum(axis=1)

    return statistic


def _check(better: str) -> None:
    if better not in ("higher", "lower"):
        raise ValueError(f"better is {better!r}; allowed: 'higher', 'lower'")
