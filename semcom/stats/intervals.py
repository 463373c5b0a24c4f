"""Means, rates of counts and paired differences, each with its interval and what it rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from semcom.stats import resample
from semcom.stats.resample import FEWEST_CLUSTERS, LEVEL, RESAMPLES, Statistic
from semcom.stats.sample import Sample, matched

BOOTSTRAP = "cluster bootstrap"
STUDENT = "t over clusters"
UPPER, LOWER = "upper bound", "lower bound"
UNDEFINED = "undefined"
FEW = "fewer than ten clusters: indicative"


@dataclass(frozen=True)
class Interval:
    """An estimate and its interval. ``method`` is one of this module's names; ``note`` a caveat, or "".

    ``low`` and ``high`` are nan where there is no interval.
    """

    mean: float
    low: float
    high: float
    n_images: int
    n_clusters: int
    n_repeats: int
    method: str
    note: str = ""

    def noting(self, *notes: str) -> Interval:
        """This interval with more caveats."""
        return replace(self, note="; ".join(note for note in (self.note, *notes) if note))


def mean_interval(sample: Sample, *, level: float = LEVEL, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean over images (each the mean over its repeats) with an interval over clusters.

    Whole clusters are resampled and the mean of the images in them is taken (a ratio of sums, since
    clusters differ in size). Fewer than ten clusters: Student's t; one: no interval.

    >>> mean_interval(Sample.of([30.0, 32.0], ["a", "b"])).mean
    31.0
    """
    if len(sample) == 0:
        return nothing("no values")
    weight = sample.row_weights()
    statistic = ratio(sample.cluster_sums(sample.values * weight), sample.cluster_sums(weight))
    return over_clusters(statistic, sample, level, seed, resamples)


def paired_difference(a: Sample, b: Sample, *, level: float = LEVEL, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean of a - b over what both systems sent: rows are matched by (image, repeat).

    Noise and images are shared, so this interval is narrower than the two systems' own suggest.
    Raises: ValueError where nothing matches.
    """
    (a, b), left_out = matched([a, b])
    interval = mean_interval(a.with_values(a.values - b.values), level=level, seed=seed, resamples=resamples)
    return interval.noting(f"{left_out} rows without a partner left out" if left_out else "")


def ratio_of_means(a: Sample, b: Sample, *, level: float = LEVEL, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean of a over the mean of b, paired like `paired_difference`. Raises: ValueError where nothing matches."""
    (a, b), left_out = matched([a, b])
    weight = a.row_weights()
    above, below = a.cluster_sums(a.values * weight), b.cluster_sums(b.values * weight)
    if not below.sum() > 0:
        return nothing("the reference is 0")
    interval = over_clusters(ratio(above, below), a, level, seed, resamples)
    return interval.noting(f"{left_out} rows without a partner left out" if left_out else "")


def ratio_interval(
    errors: Sample, trials: Sample, *, level: float = LEVEL, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Errors per trial from summed counts (BER, BLER, FER): counts add, rates do not.

    Without a single error the estimate is 0 and ``high`` is the one-sided Clopper-Pearson bound at ``level``
    (at 95 %: 3 / trials, the rule of three); with errors only, ``low`` is. Such bounds take trials as
    independent, which decoded bits of one block, or blocks of one fade, are not: the note says so.
    """
    (errors, trials), _ = matched([errors, trials])
    used = np.flatnonzero(trials.values > 0)
    errors, trials = errors.select(used), trials.select(used)
    if len(trials) == 0:
        return nothing("no trials")
    wrong, total = errors.values.sum(), trials.values.sum()
    if wrong in (0.0, total):
        return _one_sided(wrong, total, level, trials)
    statistic = ratio(errors.cluster_sums(errors.values), trials.cluster_sums(trials.values))
    return within(over_clusters(statistic, trials, level, seed, resamples), 0.0, 1.0)


def probability_interval(sample: Sample, *, level: float = LEVEL, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """The mean over images of what happened (1) or did not (0), as `mean_interval`; a bound as in `ratio_interval` where it never did."""
    happened = sample.values.sum()
    if len(sample) and happened in (0.0, len(sample)):
        return _one_sided(happened, len(sample), level, sample)
    return within(mean_interval(sample, level=level, seed=seed, resamples=resamples), 0.0, 1.0)


def within(interval: Interval, least: float | None, most: float | None) -> Interval:
    """This interval, cut at what its quantity cannot be below and above (None: no such bound).

    The truth is not in what is cut off, so the interval holds it exactly as often as before. Only intervals that suppose
    Gaussian errors reach there; percentiles of resampled means never do.
    """
    least, most = -math.inf if least is None else least, math.inf if most is None else most
    return replace(interval, low=float(np.clip(interval.low, least, most)), high=float(np.clip(interval.high, least, most)))


def _one_sided(wrong: float, total: float, level: float, trials: Sample) -> Interval:
    none = wrong == 0
    reach = -math.expm1(math.log1p(-level) / total)  # 1 - (1 - level)^(1 / trials)
    low, high = (0.0, reach) if none else (1.0 - reach, 1.0)
    note = f"{'no' if none else 'only'} errors in {int(total)} trials: bound for independent trials"
    return Interval(wrong / total, low, high, **trials.counts, method=UPPER if none else LOWER, note=note)


def ratio(numerators: np.ndarray, denominators: np.ndarray) -> Statistic:
    """The ratio of two sums over clusters, as a function of cluster weights [R, C]."""
    return lambda weights: (weights @ numerators) / (weights @ denominators)


def over_clusters(statistic: Statistic, sample: Sample, level: float, seed: int, resamples: int) -> Interval:
    """The interval of any function of cluster weights, by the rule for the number of clusters."""
    counts = sample.counts
    clusters = counts["n_clusters"]
    mean = float(statistic(np.ones((1, clusters)))[0])
    if clusters == 1:
        return Interval(mean, math.nan, math.nan, **counts, method=UNDEFINED, note="one cluster")
    if clusters < FEWEST_CLUSTERS:
        return Interval(mean, *resample.jackknife_t(statistic, clusters, level), **counts, method=STUDENT, note=FEW)
    return Interval(mean, *resample.bootstrap(statistic, clusters, level, seed, resamples), **counts, method=BOOTSTRAP)


def nothing(note: str) -> Interval:
    """What stands where there are no numbers."""
    return Interval(math.nan, math.nan, math.nan, 0, 0, 0, UNDEFINED, note)
