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
    "failures", "failure_rate", "mean_given_success", "worst_tenth", "role", "channel_uses",
    "original", "original_low", "original_high", "relative", "relative_low", "relative_high", "class", "pixels",
    "new_errors", "repaired_errors", "invented",
)  # fmt: skip
#: of them, what the originals themselves score, and how a system's score compares with that
LEVEL_COLUMNS = ("original", "original_low", "original_high", "relative", "relative_low", "relative_high")
LEVEL = "95 %"  # of every stored interval
BOUNDS = ("upper bound", "lower bound")  # methods of intervals with one end
FILLS = ("grey", "prior")
RATE = re.compile(r"(^|_)(ber|bler|fer|outage)($|_)|^failure_rate$")


def select(points: pd.DataFrame, metric: str, axis: str, fill: str) -> pd.DataFrame:
    """The rows of one metric, with lost pictures shown as ``fill`` in the systems that lost any."""
    if points.empty:
        raise StoreError("the table of points is empty; run the sweep before drawing it")
    for column in ("system", "metric", "fill", "mean", "low", "high", "method", "note"):
        if column not in points:
            raise StoreError(f"the table of points has no column '{column}'; it has {', '.join(map(str, points.columns))}")
    if metric not in (held := set(points["metric"])):
        raise ScenarioError(f"there are no points of metric '{metric}'; {allowed(metric, held)}")
    if axis not in (swept := swept_fields(points)):
        raise ScenarioError(f"'{axis}' is no swept field of these points; {allowed(axis, swept)}")
    if fill not in FILLS:
        raise ScenarioError(f"lost pictures cannot be shown as '{fill}'; {allowed(fill, FILLS)}")
    rows = points[points["metric"] == metric]
    if rows["mean"].isna().all():
        raise StoreError(f"no point of metric '{metric}' has a value; the table's column 'note' says why")
    split = rows["system"].isin(rows["system"][rows["fill"] == fill])  # a system that lost nothing has points of one fill only
    return rows[~split | (rows["fill"] == fill)]


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
    """What the intervals and open markers of a table's points are, in one line; empty where there are none.

    Of the points' caveats it has those that hold at every interval; the others stand in the table.
    """
    systems = table[table["role"].fillna(SYSTEM) == SYSTEM] if "role" in table else table
    banded = systems[systems["low"].notna() & systems["high"].notna() & ~systems["method"].isin(BOUNDS)]
    sentences = []
    if len(banded):
        method = " or ".join(dict.fromkeys(str(m) for m in banded["method"].dropna() if str(m)))
        counts = ", ".join(_count(banded, f"n_{what}", what[:-1]) for what in ("images", "clusters", "repeats"))
        caveats = [[c for c in str(note).split("; ") if c] for note in banded["note"].fillna("")]
        everywhere = [caveat for caveat in dict.fromkeys(caveats[0]) if all(caveat in others for others in caveats)]
        sentences += [f"Intervals: {LEVEL}{f', {method}' if method else ''} ({counts})", *everywhere]
    if (systems["metric"].map(is_rate) & (systems["mean"] == 0) & (systems["high"] > 0)).any():
        sentences.append(f"open markers: no error counted, {LEVEL} upper bound")
    return "; ".join(sentences)


def _count(table: pd.DataFrame, column: str, unit: str) -> str:
    low, high = int(table[column].min()), int(table[column].max())
    return f"{low if low == high else f'{low} to {high}'} {unit}{'' if high == 1 else 's'}"
