"""From stored batches to tables: every row of a sweep, and every point of every curve with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from semcom.errors import StoreError
from semcom.store.layout import Layout
from semcom.store.reader import read_batches, read_json

if TYPE_CHECKING:
    import pandas as pd

#: what bit errors are counted in; read from the unit of a system's first metric
COUNTS = ("raw_bit_errors", "raw_bits", "bit_errors", "bits", "block_errors", "blocks", "frame_failures", "frames")


def rows_of(layout: Layout) -> pd.DataFrame:
    """Every planned row that is stored: system, role, axes, metric (what a tuned system was tuned for), then the batch's columns."""
    import pandas as pd

    plan, stored = read_json(layout.plan), read_batches(layout)
    axes = [axis for axis in plan["axes"] if axis != "snr_db"]
    wanted = {
        source: pd.DataFrame(refs)[["id", "digest"]].rename(columns={"id": "image"}) for source, refs in plan["images"].items()
    }
    by_unit = dict(tuple(stored[stored["repeat"] < plan["repeats"]].groupby("unit")))
    tables = []
    for place, entry in enumerate(plan["entries"]):
        for unit in dict.fromkeys(entry["unit"].values()):
            if unit not in by_unit:
                continue
            table = by_unit[unit].merge(wanted[plan["source_of"][unit]], on=["image", "digest"])
            tuned_for = ",".join(metric for metric, chosen in entry["unit"].items() if chosen == unit)
            table = table.assign(system=entry["system"], role=entry["role"], entry=place, metrics=tuned_for)
            tables.append(table.assign(**{axis: entry["values"][axis] for axis in axes}))
    if not tables:
        raise StoreError(f"{layout.root} holds no finished rows of its plan yet; 'semcom run' computes them")
    table = pd.concat(tables, ignore_index=True)
    first = ["system", "role", *axes, "snr_db", "image", "repeat", "metrics", "status", "ok"]
    return table[[*first, *(column for column in table.columns if column not in first)]]


def collect(layout: Layout) -> pd.DataFrame:
    """The points of every curve; one line per system, condition, metric and way to show failures."""
    import pandas as pd

    from semcom.stats.summary import summarise

    plan, rows = read_json(layout.plan), rows_of(layout)
    axes = [axis for axis in plan["axes"] if axis != "snr_db"] + ["snr_db"]
    points = []
    for place, metric in enumerate(plan["metrics"]):
        mine = rows[[metric in metrics.split(",") for metrics in rows["metrics"]]]
        columns = [metric, f"{metric}@prior", *(COUNTS if place == 0 else ())]
        keep = ["system", *axes, "image", "cluster", "repeat", "status", "ok", *(column for column in columns if column in mine)]
        points.append(summarise(mine[keep], [metric], axes))
    table = pd.concat(points, ignore_index=True)
    described = pd.DataFrame(_described(plan))
    table = table.merge(described, on=["system", *axes], how="left")
    table["note"] = [_joined(note, plan) for note in table["note"]]
    return table


def _described(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Role, order and channel uses of each entry."""
    axes = [axis for axis in plan["axes"] if axis != "snr_db"]
    return [
        {
            "system": entry["system"],
            **{axis: entry["values"][axis] for axis in axes},
            "snr_db": entry["snr_db"],
            "role": entry["role"],
            "channel_uses": plan["units"][next(iter(entry["unit"].values()))]["channel_uses"],
        }
        for entry in plan["entries"]
        if entry["unit"]
    ]


def _joined(note: str, plan: dict[str, Any]) -> str:
    return "; ".join(dict.fromkeys(filter(None, (note, *plan["notes"].values()))))
