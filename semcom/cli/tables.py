"""Tables of points on stdout."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from semcom.store.panel import spread

if TYPE_CHECKING:
    import pandas as pd

#: columns of values that fit a terminal of 120 characters
COLUMNS = 6


def print_points(points: pd.DataFrame, plan: dict[str, Any]) -> None:
    """One table a metric (and a value of every other axis): systems by SNR or the scenario's axis, mean and half-width."""
    from rich.console import Console

    from semcom.figures.results import horizontal_axis

    console = Console(width=max(Console().width, 120), highlight=False, markup=False)
    axis = horizontal_axis(plan)
    others = [other for other in plan["axes"] if other != axis]
    shown = points[points["metric"].isin(plan["metrics"])]
    for key, group in shown.groupby([*others, "metric"], sort=False):
        console.print(f"\n{_title(group, dict(zip([*others, 'metric'], key, strict=True)), plan)}")
        console.print(_table(group, axis, list(dict.fromkeys(shown[axis]))))
    for metric, reason in plan["absent"].items():
        console.print(f"{metric}: absent. {reason}")
    for caveat in dict.fromkeys(part for note in shown["note"] if note for part in note.split("; ")):
        console.print(f"note: {caveat}")


def _title(group: pd.DataFrame, key: dict[str, Any], plan: dict[str, Any]) -> str:
    fixed = {name: value for name, value in key.items() if name != "metric"}
    if plan["axes"] and "snr_db" not in plan["axes"]:
        fixed["snr_db"] = f"{group['snr_db'].iloc[0]:g}"
    where = ", ".join(f"{axis} = {value}" for axis, value in fixed.items())
    uses = ", ".join(str(int(k)) for k in sorted(group["channel_uses"].unique()))
    sizes = ", ".join(_count(int(group[f"n_{what}"].max()), what) for what in ("images", "clusters", "repeats"))
    share = " [share of the evaluator's on the originals]" if "relative" in group and group["relative"].notna().any() else ""
    return f"{plan['quantities'][key['metric']]['label']}{share}{' at ' + where if where else ''}; k = {uses} channel uses; n = {sizes}"


def _table(group: pd.DataFrame, axis: str, values: list[Any]):
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("SNR [dB]" if axis == "snr_db" else axis, no_wrap=True)
    values = spread(values, COLUMNS)
    for value in values:
        table.add_column(value if isinstance(value, str) else f"{value:g}", justify="right", no_wrap=True)
    if "original" in group and group["original"].notna().any():
        known = group[group["original"].notna()].drop_duplicates(axis).set_index(axis)["original"]
        table.add_row("evaluator on originals", *(f"{known[value]:.3g}" if value in known else "" for value in values))
    for (system, fill), curve in group.groupby(["system", "fill"], sort=False):
        by_value = {row[axis]: row for _, row in curve.iterrows()}
        name = system if fill == "grey" else "  lost ones as prior"
        if curve["role"].iloc[0] == "member":
            name = "  " + name.rpartition(": ")[2]
        table.add_row(name, *(_cell(by_value.get(value)) for value in values))
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
    if not math.isnan(row.get("relative", math.nan)):
        text += f" [{row['relative']:.0%}]"
    return text
