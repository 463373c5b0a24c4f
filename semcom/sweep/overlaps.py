"""From stored confusion counts to intersections and unions, which is all that IoU needs and which add over images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from semcom.classes import NAMES
from semcom.metrics.base import Quantity
from semcom.stats.intervals import nothing
from semcom.stats.overlap import Overlaps, class_intervals

if TYPE_CHECKING:
    import pandas as pd

K = len(NAMES)
#: rates of each class in ``classes.csv``: of its pixels, those that are wrong now or right again; of all others, those taken for it
WRONG = ("new_errors", "repaired_errors", "invented")
#: rows whose counts are unpacked at a time
TOGETHER = 4096


def quantity_of(plan: dict[str, Any], metric: str) -> Quantity:
    """What a stored plan says of a metric."""
    return Quantity(**plan["quantities"][metric])


def scored_classes(source) -> np.ndarray:
    """bool [K]: the classes that a source (its description) labels; all of them where it labels none of ours."""
    labelled = getattr(source, "LABELLED", ())
    mask = np.array([name in labelled for name in NAMES])
    return mask if mask.any() else ~mask


def scored_of(rows: pd.DataFrame, plan: dict[str, Any]) -> np.ndarray:
    """bool [n, K]: the classes that the source of each stored row labels."""
    masks = {source: np.isin(NAMES, known["scored"]) for source, known in plan["classes"].items()}
    of_unit = {unit: masks[source] for unit, source in plan["source_of"].items()}
    return np.array([of_unit[unit] for unit in rows["unit"]], dtype=bool).reshape(-1, K)


def counts_of(rows: pd.DataFrame, column: str) -> np.ndarray:
    """A column of stored confusion counts, int64 [n, K (K + 1)]: 0 where there are none.

    Counts of a row that arrived stand once, and are those with the prior as well.
    """
    twin = rows[column.removesuffix("@prior")].to_numpy()
    found = np.zeros((len(rows), K * (K + 1)), dtype=np.int64)
    for row, (own, other) in enumerate(zip(rows[column].to_numpy(), twin, strict=True)):
        counts = own if _is_counts(own) else other
        if _is_counts(counts):
            found[row] = counts
    return found


def _is_counts(value: Any) -> bool:
    return isinstance(value, (np.ndarray, list))


def overlaps_of(counts: np.ndarray, quantity: Quantity, scored: np.ndarray) -> np.ndarray:
    """Intersections and unions float64 [n, 2, K] from confusion counts [n, K (K + 1)].

    ``scored`` bool [K] or [n, K]: the classes that a truth holds. Others have neither there. What is compared with the
    evaluator's map of the original (a quantity of which the original is perfect) is scored over all classes.
    """
    parts = [intersections_and_unions(counts[start : start + TOGETHER]) for start in range(0, len(counts), TOGETHER)]
    found = np.concatenate(parts) if parts else np.zeros((0, 2, K))
    return found * np.broadcast_to(scored, (len(counts), K))[:, None] if quantity.original else found


def intersections_and_unions(counts: np.ndarray) -> np.ndarray:
    """float64 [n, 2, K] from counts [n, K (K + 1)]."""
    table = np.asarray(counts, dtype=np.float64).reshape(-1, K, K + 1)
    right = np.diagonal(table, axis1=1, axis2=2)
    return np.stack([right, table.sum(2) + table[:, :, :K].sum(1) - right], axis=1)


def class_lines(rows: pd.DataFrame, metric: str, quantity: Quantity, fill: str, plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Lines of every class that is met: of ``metric``, its IoU with its interval, that of the original, its share of pixels and the
    rates of `WRONG`; and of each of these rates one of its own, with its interval."""
    twin, scored = "@prior" if fill == "prior" else "", scored_of(rows, plan)
    counts = counts_of(rows, f"{quantity.counts}{twin}")
    belongs = (rows["image"], rows["cluster"], rows["repeat"])
    intervals = class_intervals(Overlaps.of(overlaps_of(counts, quantity, scored), *belongs))
    true = counts.reshape(-1, K, K + 1).sum(2).astype(np.float64)
    others = true.sum(1, keepdims=True) - true
    trials = {"new_errors": true, "repaired_errors": true, "invented": others}
    wrong = {
        name: class_intervals(Overlaps.of(np.stack([_by_class(rows, quantity, name, twin), trials[name]], axis=1), *belongs)) for name in WRONG
    }
    before = [nothing("")] * K
    if quantity.original:
        before = class_intervals(Overlaps.of(overlaps_of(counts_of(rows, quantity.original), quantity, scored), *belongs))
    shares = (true / rows.groupby("image")["repeat"].transform("size").to_numpy()[:, None]).sum(0)
    for place, interval in enumerate(intervals):
        if math.isnan(interval.mean):
            continue
        of = {"class": NAMES[place], "pixels": float(shares[place] / shares.sum())}
        level = {"original": before[place].mean, "original_low": before[place].low, "original_high": before[place].high}
        yield {"metric": metric, **of, **vars(interval), **level, **{name: found[place].mean for name, found in wrong.items()}}
        for name, found in wrong.items():
            if not math.isnan(found[place].mean):
                yield {"metric": f"{name}{_end(quantity)}", **of, **vars(found[place])}


def _end(quantity: Quantity) -> str:
    """How the columns of a quantity's map end."""
    return quantity.counts.removeprefix("confusion")


def _by_class(rows: pd.DataFrame, quantity: Quantity, name: str, twin: str) -> np.ndarray:
    """Stored errors of each class, float64 [n, K]; nan where they are not counted."""
    column = f"{name}_by_class{_end(quantity)}"
    if not quantity.original or column not in rows:
        return np.full((len(rows), K), math.nan)
    pairs = zip(rows[f"{column}{twin}"].to_numpy(), rows[column].to_numpy(), strict=True)
    return np.array([own if _is_counts(own) else other for own, other in pairs], dtype=np.float64)
