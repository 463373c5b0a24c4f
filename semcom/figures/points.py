"""The table that figures are drawn from: which rows a figure needs, and what its intervals are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from semcom.errors import ScenarioError, StoreError, allowed
from semcom.figures.style import SYSTEM

if TYPE_CHECKING:
    import pandas as pd

#: the columns of a table of points that are no swept field
COLUMNS = (
    "system", "metric", "fill", "mean", "low", "high", "method", "note", "n_images", "n_clusters", "n_repeats",
    "failures", "failure_rate", "mean_given_success", "role", "channel_uses",
)  # fmt: skip
RATE = re.compile(r"(^|_)(ber|bler|fer)($|_)")


def select(points: pd.DataFrame, metric: str, axis: str, fill: str) -> pd.DataFrame:
    """The rows of one metric and fill; rows without a fill belong to both."""
    if points.empty:
        raise StoreError("the table of points is empty; run the sweep before drawing it")
    for column in ("system", "metric", "fill", "mean", "low", "high", "method", "note"):
        if column not in points:
            raise StoreError(f"the table of points has no column '{column}'; it has {', '.join(map(str, points.columns))}")
    if metric not in (held := set(points["metric"])):
        raise ScenarioError(f"there are no points of metric '{metric}'; {allowed(metric, held)}")
    if axis not in (swept := swept_fields(points)):
        raise ScenarioError(f"'{axis}' is no swept field of these points; {allowed(axis, swept)}")
    rows = points[points["metric"] == metric]
    blank = rows["fill"].isna() | (rows["fill"] == "")
    if fill not in (fills := set(rows["fill"][~blank])) and not blank.any():
        raise ScenarioError(f"there are no points of metric '{metric}' with lost pictures shown as '{fill}'; {allowed(fill, fills)}")
    return rows[blank | (rows["fill"] == fill)]


def one_value_a_point(table: pd.DataFrame, axis: str) -> None:
    if not table.duplicated(["system", axis]).any():
        return
    several = [f for f in swept_fields(table) if f != axis and table.groupby("system")[f].nunique().max() > 1]
    what = "; ".join(f"{field} is {', '.join(map(str, table[field].unique()))}" for field in several) or "rows repeat"
    raise ScenarioError(f"the points hold several values for one system and {axis} ({what}); select one of them or facet by it")


def swept_fields(points: pd.DataFrame) -> list[str]:
    """The columns of a table of points that are swept fields."""
    return [str(column) for column in points.columns if column not in COLUMNS]


def is_rate(metric: str) -> bool:
    """Whether a metric is an error rate, which is drawn on a logarithmic scale."""
    return bool(RATE.search(metric))


def interval_note(table: pd.DataFrame) -> str:
    """What the intervals and arrows of a table's points are, in one line; empty where there are none."""
    systems = table[table["role"].fillna(SYSTEM) == SYSTEM] if "role" in table else table
    banded = systems[systems["low"].notna() & systems["high"].notna()]
    sentences = []
    if len(banded):
        method = " or ".join(dict.fromkeys(str(m) for m in banded["method"].dropna() if str(m)))
        counts = ", ".join(_count(banded, f"n_{what}", what[:-1]) for what in ("images", "clusters", "repeats"))
        sentences.append(f"Intervals: 95 %{f' ({method})' if method else ''}; {counts}")
        sentences += list(dict.fromkeys(str(n) for n in banded["note"].dropna() if str(n)))
    if (systems["metric"].map(is_rate) & (systems["mean"] == 0) & (systems["high"] > 0)).any():
        sentences.append("open markers with arrows: upper bound, no error counted")
    return "; ".join(sentences)


def _count(table: pd.DataFrame, column: str, unit: str) -> str:
    low, high = int(table[column].min()), int(table[column].max())
    return f"{low if low == high else f'{low} to {high}'} {unit}{'' if high == 1 else 's'}"
