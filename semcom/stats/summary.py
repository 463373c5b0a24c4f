"""From rows (one a transmission) to points (one a system, condition and metric), as tables and figures show them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from semcom.stats.intervals import Interval, mean_interval, nothing, probability_interval, ratio_interval, ratio_of_means, within
from semcom.stats.outage import Better, worst_mean
from semcom.stats.overlap import Overlaps, iou_interval, iou_ratio, mean_iou
from semcom.stats.resample import LEVEL, RESAMPLES
from semcom.stats.sample import Sample

if TYPE_CHECKING:
    import pandas as pd

#: rate -> (errors, trials): the links' counts that it is computed from
RATES: Mapping[str, tuple[str, str]] = {
    "ber_raw": ("raw_bit_errors", "raw_bits"),
    "ber": ("bit_errors", "bits"),
    "bler": ("block_errors", "blocks"),
    "fer": ("frame_failures", "frames"),
    "failure_rate": ("lost", "sent"),
}
GREY, PRIOR = "grey", "prior"
ORIGINAL = "@original"
NO_OVERLAPS: Mapping[str, np.ndarray] = MappingProxyType({})
NO_ORIGINALS: Mapping[str, str] = MappingProxyType({})
#: what a metric cannot be below and above, None where there is no such bound
Bounds = tuple[float | None, float | None]
NO_BOUNDS: Mapping[str, Bounds] = MappingProxyType({})
UNBOUNDED: Bounds = (None, None)
COLUMNS = ("metric", "fill", "mean", "low", "high", "method", "note", "n_images", "n_clusters", "n_repeats",
           "failures", "failure_rate", "mean_given_success", "worst_tenth")  # fmt: skip
#: of metrics that the originals themselves do not reach perfectly: what they reach, and how much of it this is
OF_ORIGINAL = ("original", "original_low", "original_high", "relative", "relative_low", "relative_high")


def summarise(
    rows: pd.DataFrame,
    metrics: Mapping[str, Better],
    axes: Sequence[str],
    level: float = LEVEL,
    seed: int = 0,
    resamples: int = RESAMPLES,
    overlaps: Mapping[str, np.ndarray] = NO_OVERLAPS,
    originals: Mapping[str, str] = NO_ORIGINALS,
    bounds: Mapping[str, Bounds] = NO_BOUNDS,
    events: Collection[str] = (),
) -> pd.DataFrame:
    """Means with intervals of every metric, and rates of every count, of each system at each point.

    ``rows`` has one line a transmission: ``system``, the columns of ``axes``, ``image``, ``cluster``,
    ``repeat``, ``ok``, ``status`` (done or infeasible), optionally ``reason``; a column a metric, where a
    picture that failed is grey, beside its twin ``<metric>@prior``, where it is the prior picture; and the
    links' counts where there are any.

    Returns points, sorted by system and axes: ``system``, the axes, ``metric``, ``fill``, ``mean``, ``low``,
    ``high``, ``method``, ``note``, ``n_images``, ``n_clusters``, ``n_repeats``, ``failures``,
    ``failure_rate`` (of transmissions), ``mean_given_success`` (of transmissions that arrived) and ``worst_tenth``,
    the mean of the worst tenth of transmissions, which lies where ``metrics`` say: metric -> "higher" or "lower" is better.
    ``fill`` is grey, and for a system with any failure every metric stands a second time with prior.
    A system that is infeasible at a point has a line there whose mean is nan and whose note is the reason.

    ``overlaps`` makes metrics pooled: metric, ``<metric>@prior`` and, where the original is not perfect, ``<metric>@original`` ->
    intersections and unions float64 [n, 2, K] of the rows. Their points are IoUs of sums (their own columns in ``rows`` say only
    where there is a value). ``originals``: metric -> the column with the value of the original itself. Points
    then have ``original`` and ``relative``, the ratio to it, each with its interval. ``bounds``: metric -> what it cannot be below
    and above; its intervals are cut there. ``events``: metrics that are 1 or 0 in each row, so that their mean is a probability; where
    all rows agree it has a bound in place of an interval.
    Raises: ValueError for a missing column.
    """
    import pandas as pd

    _check(rows, metrics, axes)
    options = dict(level=level, seed=seed, resamples=resamples)
    sent, names = _Sent.of(rows, metrics, overlaps, originals, bounds, frozenset(events)), ["system", *axes]
    systems = rows["system"].to_numpy()
    failed = set(systems[sent.lost])
    points = []
    for key, part in rows[names].reset_index(drop=True).groupby(names, sort=True, dropna=False):
        place, here = dict(zip(names, key, strict=True)), sent.select(part.index.to_numpy())
        fills = (GREY, PRIOR) if place["system"] in failed else (GREY,)
        points += [{**place, **_point(here, metric, fill, metrics[metric], options)} for metric in metrics for fill in fills]
        points += [{**place, **_rate(here, rate, options)} for rate in RATES if here.counted(rate)]
    compared = bool(originals) or any(name.endswith(ORIGINAL) for name in overlaps)
    return pd.DataFrame(points, columns=[*names, *COLUMNS, *(OF_ORIGINAL if compared else ())])


@dataclass(frozen=True)
class _Sent:
    """Transmissions, column by column: arrays [n], and numbers float64 [n] by name."""

    image: np.ndarray
    cluster: np.ndarray
    repeat: np.ndarray
    ok: np.ndarray
    infeasible: np.ndarray  # of which some, an image that does not fit, were measured as the failures that they are
    impossible: np.ndarray  # a system that cannot exist here: nothing was sent and nothing was measured
    reason: np.ndarray
    numbers: Mapping[str, np.ndarray]
    overlaps: Mapping[str, np.ndarray]
    originals: Mapping[str, str]
    bounds: Mapping[str, Bounds]
    events: frozenset[str]

    @staticmethod
    def of(
        rows: pd.DataFrame,
        metrics: Sequence[str],
        overlaps: Mapping[str, np.ndarray],
        originals: Mapping[str, str],
        bounds: Mapping[str, Bounds],
        events: frozenset[str],
    ) -> _Sent:
        counts = [column for pair in RATES.values() for column in pair if column in rows]
        measured = [column for column in rows if f"{column}@prior" in rows]
        infeasible = (rows["status"] == "infeasible").to_numpy(bool)
        numbers = [*counts, *metrics, *(f"{metric}@prior" for metric in metrics), *originals.values()]
        return _Sent(
            image=rows["image"].to_numpy(str),
            cluster=rows["cluster"].to_numpy(str),
            repeat=rows["repeat"].to_numpy(np.int64),
            ok=rows["ok"].to_numpy(bool),
            infeasible=infeasible,
            impossible=infeasible & rows[measured].isna().all(axis=1).to_numpy(bool),
            reason=(rows["reason"].fillna("") if "reason" in rows else rows["status"]).to_numpy(str),
            numbers={name: rows[name].to_numpy(np.float64, na_value=np.nan) for name in dict.fromkeys(numbers)},
            overlaps=overlaps,
            originals=originals,
            bounds=bounds,
            events=events,
        )

    def __len__(self) -> int:
        return len(self.image)

    def select(self, index: np.ndarray) -> _Sent:
        fields = {name: value[index] for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        tables = {name: {key: value[index] for key, value in getattr(self, name).items()} for name in ("numbers", "overlaps")}
        return _Sent(**fields, **tables, originals=self.originals, bounds=self.bounds, events=self.events)

    @property
    def lost(self) -> np.ndarray:
        return ~self.ok & ~self.impossible

    def sample(self, name: str, rows: np.ndarray) -> Sample:
        return Sample.of(self.numbers[name][rows], self.image[rows], self.cluster[rows], self.repeat[rows])

    def pooled(self, name: str, rows: np.ndarray) -> Overlaps:
        return Overlaps.of(self.overlaps[name][rows], self.image[rows], self.cluster[rows], self.repeat[rows])

    def counted(self, rate: str) -> bool:
        return all(name in self.numbers for name in RATES[rate]) and bool(np.nansum(self.numbers[RATES[rate][1]]) > 0)


def _point(here: _Sent, metric: str, fill: str, better: Better, options: Mapping[str, Any]) -> dict[str, Any]:
    shown = metric if fill == GREY else f"{metric}@prior"
    there = np.isfinite(here.numbers[shown]) & np.isfinite(here.numbers[metric])
    if metric in here.overlaps:
        return _pooled(here, metric, shown, fill, there, options)
    line = _metric(here, metric, shown, fill, there, better, options)
    if metric not in here.originals or not there.any():
        return line
    values, original = here.sample(shown, there), here.sample(here.originals[metric], there)
    bounds = here.bounds.get(metric, UNBOUNDED)
    ratio = within(ratio_of_means(values, original, **options), 0.0 if bounds[0] == 0.0 else None, None)
    return line | _compared(within(mean_interval(original, **options), *bounds), ratio)


def _pooled(here: _Sent, metric: str, shown: str, fill: str, there: np.ndarray, options: Mapping[str, Any]) -> dict[str, Any]:
    values = here.pooled(shown, there)
    interval = iou_interval(values, **options)
    line = _line(here, metric, fill, interval.noting(_infeasible(here), _missing(here, there), _uneven(here, there)))
    line["mean_given_success"] = float(mean_iou(here.overlaps[metric][there & here.ok].sum(0)))
    if f"{metric}{ORIGINAL}" in here.overlaps and there.any():
        original = here.pooled(f"{metric}{ORIGINAL}", there)
        line |= _compared(iou_interval(original, **options), iou_ratio(values, original, **options))
    return line


def _compared(original: Interval, ratio: Interval) -> dict[str, float]:
    values = (original.mean, original.low, original.high, ratio.mean, ratio.low, ratio.high)
    return dict(zip(OF_ORIGINAL, values, strict=True))


def _metric(
    here: _Sent, metric: str, shown: str, fill: str, there: np.ndarray, better: Better, options: Mapping[str, Any]
) -> dict[str, Any]:
    sample = here.sample(shown, there)
    of_mean = probability_interval if metric in here.events else mean_interval
    interval = within(of_mean(sample, **options), *here.bounds.get(metric, UNBOUNDED)) if there.any() else nothing("")
    worst = worst_mean(sample, better) if there.any() and metric not in here.events else math.nan
    success = np.sort(here.numbers[metric][there & here.ok])  # sorted, so that the sum does not depend on the order of rows
    line = _line(here, metric, fill, interval.noting(_infeasible(here), _missing(here, there), _uneven(here, there)))
    return line | {"mean_given_success": float(success.mean()) if len(success) else math.nan, "worst_tenth": worst}


def _rate(here: _Sent, rate: str, options: Mapping[str, Any]) -> dict[str, Any]:
    errors, trials = RATES[rate]
    there = np.isfinite(here.numbers[errors]) & np.isfinite(here.numbers[trials])
    interval = ratio_interval(here.sample(errors, there), here.sample(trials, there), **options)
    return _line(here, rate, GREY, interval.noting(_infeasible(here)))


def _line(here: _Sent, metric: str, fill: str, interval: Interval) -> dict[str, Any]:
    tried, failures = len(here) - int(here.impossible.sum()), int(here.lost.sum())
    rate = failures / tried if tried else math.nan
    known = {"metric": metric, "fill": fill, "failures": failures, "failure_rate": rate}
    return {**vars(interval), **known, "mean_given_success": math.nan, "worst_tenth": math.nan}


def _infeasible(here: _Sent) -> str:
    if not here.infeasible.any():
        return ""
    reasons = sorted(set(here.reason[here.infeasible]) - {"", "infeasible"})
    share = "" if here.infeasible.all() else f" in {here.infeasible.sum()} of {len(here)} transmissions"
    return f"infeasible{share}" + (f": {reasons[0]}" if reasons else "")


def _missing(here: _Sent, there: np.ndarray) -> str:
    missing = int((~there & ~here.impossible).sum())
    return f"{missing} of {len(here)} values missing" if missing else ""


def _uneven(here: _Sent, there: np.ndarray) -> str:
    sent = np.unique(here.image[there], return_counts=True)[1]
    return f"{sent.min()} to {sent.max()} repeats an image" if len(sent) and sent.min() != sent.max() else ""


def _check(rows: pd.DataFrame, metrics: Sequence[str], axes: Sequence[str]) -> None:
    wanted = ["system", *axes, "image", "cluster", "repeat", "ok", "status", *metrics, *(f"{metric}@prior" for metric in metrics)]
    missing = [column for column in wanted if column not in rows.columns]
    if missing:
        raise ValueError(f"the rows have no column {', '.join(missing)}; they have {', '.join(map(str, rows.columns))}")
