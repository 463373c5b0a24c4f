"""Tables of points on stdout."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from semcom.store.panel import spread

if TYPE_CHECKING:
    import pandas as pd

#: columns of SNR that fit a terminal of 100 characters
COLUMNS = 6


def print_points(points: pd.DataFrame, plan: dict[str, Any]) -> None:
    """One table a metric (and a value of every other axis): systems by SNR, mean and half-width of the interval."""
    from rich.console import Console

    console = Console(width=max(Console().width, 120), highlight=False, markup=False)
    others = [axis for axis in plan["axes"] if axis != "snr_db"]
    groups = points[points["metric"].isin(plan["metrics"])].groupby([*others, "metric"], sort=False)
    for key, group in groups:
        console.print(f"\n{_title(group, dict(zip([*others, 'metric'], key, strict=True)), plan['quantities'])}")
        console.print(_table(group))
    for metric, reason in plan["absent"].items():
        console.print(f"{metric}: absent. {reason}")
    shown = points[points["metric"].isin(plan["metrics"])]
    for note in dict.fromkeys(part for note in shown["note"] if note for part in note.split("; ")):
        console.print(f"note: {note}")


def _title(group: pd.DataFrame, key: dict[str, Any], quantities: dict[str, Any]) -> str:
    where = ", ".join(f"{axis} = {value}" for axis, value in key.items() if axis != "metric")
    uses = ", ".join(str(int(k)) for k in sorted(group["channel_uses"].unique()))
    sizes = ", ".join(_count(int(group[f"n_{what}"].max()), what) for what in ("images", "clusters", "repeats"))
    return f"{quantities[key['metric']]['label']}{' at ' + where if where else ''}; k = {uses} channel uses; n = {sizes}"


def _table(group: pd.DataFrame):
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("SNR [dB]", no_wrap=True)
    snrs = spread(sorted(group["snr_db"].unique()), COLUMNS)
    for snr_db in snrs:
        table.add_column(f"{snr_db:g}", justify="right", no_wrap=True)
    for (system, fill), curve in group.groupby(["system", "fill"], sort=False):
        by_snr = {row["snr_db"]: row for _, row in curve.iterrows()}
        name = system if fill == "grey" else "  lost ones as prior"
        if curve["role"].iloc[0] == "member":
            name = "  " + name.rpartition(": ")[2]
        table.add_row(name, *(_cell(by_snr.get(snr_db)) for snr_db in snrs))
    return table


def _count(number: int, what: str) -> str:
    return f"{number} {what.removesuffix('s') if number == 1 else what}"


def _cell(row) -> str:
    if row is None or math.isnan(row["mean"]):
        return "infeasible"
    text = f"{row['mean']:.3g}"
    if row["failure_rate"] > 0:
        text += f" ({row['failures']:.0f} lost)"
    elif not math.isnan(row["low"]):
        text += f" ±{(row['high'] - row['low']) / 2:.2g}"
    return text
