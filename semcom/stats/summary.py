"""From rows (one a transmission) to points (one a system, condition and metric), as tables and figures show them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from semcom.stats.intervals import Interval, mean_interval, nothing, ratio_interval
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
}
GREY, PRIOR = "grey", "prior"


def summarise(
    rows: pd.DataFrame, metrics: Sequence[str], axes: Sequence[str], level: float = LEVEL, seed: int = 0, resamples: int = RESAMPLES
) -> pd.DataFrame:
    """Means with intervals of every metric, and rates of every count, of each system at each point.

    ``rows`` has one line a transmission: ``system``, the columns of ``axes``, ``image``, ``cluster``,
    ``repeat``, ``ok``, ``status`` (done or infeasible), optionally ``reason``; a column a metric, where a
    picture that failed is grey, beside its twin ``<metric>@prior``, where it is the prior picture; and the
    links' counts where there are any.

    Returns points, sorted by system and axes: ``system``, the axes, ``metric``, ``fill``, ``mean``, ``low``,
    ``high``, ``method``, ``note``, ``n_images``, ``n_clusters``, ``n_repeats``, ``failures``,
    ``failure_rate`` (of transmissions) and ``mean_given_success`` (of transmissions that arrived).
    ``fill`` is grey, and for a system with any failure every metric stands a second time with prior.
    A system that is infeasible at a point has a line there whose mean is nan and whose note is the reason.
    Raises: ValueError for a missing column.
    """
    import pandas as pd

    _check(rows, metrics, axes)
    options = dict(level=level, seed=seed, resamples=resamples)
    failed = rows[_lost(rows)]["system"].unique()
    points = []
    for key, point in rows.groupby(["system", *axes], sort=True, dropna=False):
        place = dict(zip(("system", *axes), key, strict=True))
        fills = (GREY, PRIOR) if place["system"] in failed else (GREY,)
        points += [{**place, **_metric(point, metric, fill, options)} for metric in metrics for fill in fills]
        points += [{**place, **_rate(point, rate, options)} for rate in RATES if _counted(point, rate)]
    return pd.DataFrame(points, columns=[*("system", *axes), *COLUMNS])


COLUMNS = ("metric", "fill", "mean", "low", "high", "method", "note", "n_images", "n_clusters", "n_repeats",
           "failures", "failure_rate", "mean_given_success")  # fmt: skip


def _metric(point: pd.DataFrame, metric: str, fill: str, options: Mapping[str, Any]) -> dict[str, Any]:
    shown = point[metric if fill == GREY else f"{metric}@prior"].astype(float)
    there = shown.notna() & point[metric].notna()
    kept, ok = point[there], point[there]["ok"].astype(bool)
    interval = mean_interval(_sample(kept, shown[there]), **options) if len(kept) else nothing("")
    success = kept[metric][ok].sort_values()  # sorted, so that the sum does not depend on the order of rows
    return _point(point, metric, fill, interval.noting(_infeasible(point), _missing(point, there), _uneven(kept))) | {
        "mean_given_success": float(success.mean()) if len(success) else math.nan
    }


def _rate(point: pd.DataFrame, rate: str, options: Mapping[str, Any]) -> dict[str, Any]:
    errors, trials = RATES[rate]
    kept = point[point[errors].notna() & point[trials].notna()]
    interval = ratio_interval(_sample(kept, kept[errors]), _sample(kept, kept[trials]), **options)
    return _point(point, rate, GREY, interval.noting(_infeasible(point)))


def _point(point: pd.DataFrame, metric: str, fill: str, interval: Interval) -> dict[str, Any]:
    tried = point[~_impossible(point)]
    failures = int(_lost(point).sum())
    return {
        "metric": metric,
        "fill": fill,
        **vars(interval),
        "failures": failures,
        "failure_rate": failures / len(tried) if len(tried) else math.nan,
        "mean_given_success": math.nan,
    }


def _sample(kept: pd.DataFrame, values: pd.Series) -> Sample:
    return Sample.of(values, kept["image"], kept["cluster"], kept["repeat"])


def _impossible(rows: pd.DataFrame) -> pd.Series:
    """Rows of a system that cannot exist at their point: nothing was sent and nothing was measured.

    Where only this image does not fit, it was measured as the failure that it is.
    """
    twins = [column for column in rows.columns if f"{column}@prior" in rows.columns]
    return (rows["status"] == "infeasible") & rows[twins].isna().all(axis=1)


def _lost(rows: pd.DataFrame) -> pd.Series:
    return ~rows["ok"].astype(bool) & ~_impossible(rows)


def _counted(point: pd.DataFrame, rate: str) -> bool:
    errors, trials = RATES[rate]
    return errors in point and trials in point and float(point[trials].fillna(0).sum()) > 0


def _infeasible(point: pd.DataFrame) -> str:
    infeasible = point[point["status"] == "infeasible"]
    if infeasible.empty:
        return ""
    reasons = sorted({str(reason) for reason in infeasible["reason"].dropna() if str(reason)}) if "reason" in point else []
    share = "" if len(infeasible) == len(point) else f" in {len(infeasible)} of {len(point)} transmissions"
    return f"infeasible{share}" + (f": {reasons[0]}" if reasons else "")


def _missing(point: pd.DataFrame, there: pd.Series) -> str:
    missing = int((~there & ~_impossible(point)).sum())
    return f"{missing} of {len(point)} values missing" if missing else ""


def _uneven(kept: pd.DataFrame) -> str:
    sent = kept.groupby("image").size()
    return f"{sent.min()} to {sent.max()} repeats an image" if len(sent) and sent.min() != sent.max() else ""


def _check(rows: pd.DataFrame, metrics: Sequence[str], axes: Sequence[str]) -> None:
    wanted = ["system", *axes, "image", "cluster", "repeat", "ok", "status", *metrics, *(f"{metric}@prior" for metric in metrics)]
    missing = [column for column in wanted if column not in rows.columns]
    if missing:
        raise ValueError(f"the rows have no column {', '.join(missing)}; they have {', '.join(map(str, rows.columns))}")
