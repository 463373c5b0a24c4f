"""Whether one number a pixel foretells another: rank statistics of two arrays."""

from __future__ import annotations

import math

import numpy as np


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """P(a positive scores higher than a negative), ties counting half; nan without positives or without negatives.

    The area under the curve of true over false positives is the Mann-Whitney statistic over the number of pairs (Hanley, McNeil
    1982). ``scores`` float [n], ``positive`` bool [n].

    >>> auroc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True]))
    0.875
    """
    from scipy.stats import rankdata

    many = int(positive.sum())
    few = len(positive) - many
    if not many or not few:
        return math.nan
    return float((rankdata(scores)[positive].sum() - many * (many + 1) / 2) / (many * few))


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation of two arrays [n]; nan where one of them is constant."""
    from scipy.stats import rankdata

    a, b = rankdata(a), rankdata(b)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])
