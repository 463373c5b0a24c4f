"""From stored batches to tables: every row of a sweep, and every point of every curve with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from semcom.errors import StoreError
from semcom.store.layout import Layout
from semcom.store.reader import read_batches, read_json
from semcom.sweep.overlaps import class_lines, counts_of, overlaps_of, quantity_of, scored_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from semcom.metrics.base import Quantity

#: what bit errors are counted in; read from the unit of a system's first metric
COUNTS = ("raw_bit_errors", "raw_bits", "bit_errors", "bits", "block_errors", "blocks", "frame_failures", "frames", "lost", "sent")

#: what else a transmission reports, and how a point says it: retransmissions spend channel uses, amplifiers meet peaks,
#: and a label that is printed as an SNR is another PSNR and another SNR
REPORTED = {"channel_uses_spent": ("mean", "max"), "papr_db": ("mean",), "gesco_psnr_db": ("mean",), "gesco_snr_db": ("mean",)}


def rows_of(layout: Layout) -> pd.DataFrame:
    """Every planned row that is stored: system, role, axes, metric (what a tuned system was tuned for), then the batch's columns."""
    import pandas as pd

    plan, stored = read_json(layout.plan), read_batches(layout)
    axes = _axes(plan)[:-1]
    wanted = {
        source: pd.DataFrame(refs)[["id", "digest"]].rename(columns={"id": "image"}) for source, refs in plan["images"].items()
    }
    by_unit = dict(tuple(stored[stored["repeat"] < plan["repeats"]].groupby("unit")))
    tables = []
    for entry in plan["entries"]:
        for unit in dict.fromkeys(entry["unit"].values()):
            if unit not in by_unit:
                continue
            table = by_unit[unit].merge(wanted[plan["source_of"][unit]], on=["image", "digest"])
            tuned_for = ",".join(metric for metric, chosen in entry["unit"].items() if chosen == unit)
            table = table.assign(system=entry["system"], role=entry["role"], metrics=tuned_for)
            tables.append(table.assign(**{axis: entry["values"][axis] for axis in axes}))
    if not tables:
        raise StoreError(f"{layout.root} holds no finished rows of its plan yet; 'semcom run' computes them")
    table = pd.concat(tables, ignore_index=True)
    first = ["system", "role", *axes, "snr_db", "image", "repeat", "metrics", "status", "ok"]
    return table[[*first, *(column for column in table.columns if column not in first)]]


def collect(layout: Layout, rows: pd.DataFrame) -> pd.DataFrame:
    """The points of every curve: one line per system, condition, metric and way to show failures."""
    import pandas as pd

    from semcom.stats.summary import summarise

    plan = read_json(layout.plan)
    axes = _axes(plan)
    points = []
    for place, metric in enumerate(plan["metrics"]):
        counts = COUNTS if place == 0 else ()
        quantity = quantity_of(plan, metric)
        original = quantity.original if not quantity.counts else ""
        mine = _tuned_for(rows, metric, quantity, axes, (*counts, *REPORTED, *filter(None, [original])))
        point = summarise(
            mine.drop(columns=[*REPORTED], errors="ignore"), {metric: quantity.better}, axes,
            overlaps=_overlaps(rows.loc[mine.index], metric, quantity, plan), originals={metric: original} if original else {},
            bounds={metric: quantity.bounds}, events=[metric] if quantity.event else [],
        )  # fmt: skip
        silent = (point["metric"] == metric) & point["system"].isin(_silent(mine, metric, quantity))
        points.append(_with_reports(point[~silent], mine, ["system", *axes]))
    table = pd.concat(points, ignore_index=True).merge(pd.DataFrame(_described(plan)), on=["system", *axes], how="left")
    table["note"] = [_joined(note, plan) for note in table["note"]]
    return _in_order(table, plan)


def differences(layout: Layout, rows: pd.DataFrame) -> pd.DataFrame:
    """Every system less the scenario's first, paired by image and repeat: same pictures, same noise, same channel uses.

    Columns as the points have them; ``mean`` is the mean difference, in the metric's unit, with lost pictures grey.
    """
    import pandas as pd

    from semcom.stats.intervals import paired_difference, within
    from semcom.stats.overlap import Overlaps, iou_difference
    from semcom.stats.sample import Sample

    plan = read_json(layout.plan)
    axes, first = _axes(plan), plan["entries"][0]["system"]
    lines = []
    for metric in plan["metrics"]:
        quantity = quantity_of(plan, metric)
        mine = _tuned_for(rows, metric, quantity, axes, ())
        mine = mine[mine[metric].notna()].reset_index(names="row")
        measured = _overlaps(rows.loc[mine["row"]], metric, quantity, plan).get(metric)
        make, compare = (Sample.of, paired_difference) if measured is None else (Overlaps.of, iou_difference)
        values_of = mine[metric].to_numpy() if measured is None else measured
        for values, at in mine.groupby(axes, sort=True, dropna=False):
            samples = {
                system: make(values_of[part.index], part["image"], part["cluster"], part["repeat"])
                for system, part in at.groupby("system", sort=False)
            }
            for system in samples if first in samples else ():
                if system != first:
                    interval = within(compare(samples[system], samples[first]), *_span(quantity.bounds))
                    lines.append({"system": system, **dict(zip(axes, values, strict=True)), "metric": metric, "fill": "grey", **vars(interval)})
    table = pd.DataFrame(lines)
    if lines:
        table = table.merge(pd.DataFrame(_described(plan)), on=["system", *axes], how="left").assign(baseline=first)
        table["note"] = [_joined(note, plan) for note in table["note"]]
        table = _in_order(table, plan)
    return table


def by_class(layout: Layout, rows: pd.DataFrame) -> pd.DataFrame:
    """The IoU of each class at every point of every curve of a pooled metric, and the errors in it; empty where there is none.

    Columns as the points have them, and: ``class``; ``original``, the IoU of the evaluator on the originals, with its interval;
    ``pixels``, the share of the class in what is compared with; ``new_errors`` and ``repaired_errors``, shares of the class's true
    pixels, and ``invented``, the share of all other labelled pixels that the evaluator got right on the original and now takes for
    the class; all from summed counts. These three have lines of their own as well (``metric``), with their intervals.
    """
    import pandas as pd

    plan = read_json(layout.plan)
    axes, lines = _axes(plan), []
    for metric in plan["metrics"]:
        quantity = quantity_of(plan, metric)
        if not quantity.counts:
            continue
        mine = _tuned_for(rows, metric, quantity, axes, ())
        mine = mine[mine[metric].notna()]
        failed = set(mine["system"][~mine["ok"].astype(bool)])
        for values, part in mine.groupby(["system", *axes], sort=False, dropna=False):
            at = dict(zip(["system", *axes], values, strict=True))
            for fill in ("grey", "prior") if at["system"] in failed else ("grey",):
                found = class_lines(rows.loc[part.index], metric, quantity, fill, plan)
                lines += [{**at, "fill": fill, **line} for line in found]
    table = pd.DataFrame(lines)
    if lines:
        table = _in_order(table.merge(pd.DataFrame(_described(plan)), on=["system", *axes], how="left"), plan)
    return table


def _span(bounds: Sequence[float | None]) -> tuple[float | None, float | None]:
    """What a difference of two values within ``bounds`` cannot be below and above."""
    least, most = bounds
    return (None, None) if least is None or most is None else (least - most, most - least)


def _overlaps(rows: pd.DataFrame, metric: str, quantity: Quantity, plan: dict[str, Any]) -> dict[str, np.ndarray]:
    """Intersections and unions of a pooled metric, of its twin with the prior, and of the original; nothing for other metrics."""
    if not quantity.counts:
        return {}
    scored = scored_of(rows, plan)
    columns = {"": quantity.counts, "@prior": f"{quantity.counts}@prior", "@original": quantity.original}
    return {metric + twin: overlaps_of(counts_of(rows, column), quantity, scored) for twin, column in columns.items() if column}


def _silent(rows: pd.DataFrame, metric: str, quantity: Quantity) -> set[str]:
    """Systems of which a metric of maps can say nothing, since they hand over no map: not one value though they did send."""
    if not quantity.tuned_with:
        return set()
    done = rows[rows["status"] == "done"].groupby("system")[metric].count()
    return set(done.index[done == 0])


def _with_reports(point: pd.DataFrame, rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The points with NAME_mean and NAME_max of what their transmissions report, where any does."""
    wanted = {f"{name}_{how}": (name, how) for name, ways in REPORTED.items() if name in rows and rows[name].notna().any() for how in ways}
    return point.merge(rows.groupby(keys, dropna=False).agg(**wanted).reset_index(), on=keys, how="left") if wanted else point


def _in_order(table: pd.DataFrame, plan: dict[str, Any]) -> pd.DataFrame:
    """Metrics, systems and the values of every axis in the order of the scenario."""
    metrics = [*plan["metrics"], *table["metric"].unique()]
    orders = {"metric": list(dict.fromkeys(metrics)), "system": [entry["system"] for entry in plan["entries"]]}
    orders |= {axis: [entry["values"][axis] for entry in plan["entries"]] for axis in _axes(plan)[:-1]}
    ranks = {}
    for column, values in orders.items():
        place = {value: number for number, value in reversed(list(enumerate(values)))}
        ranks[f"{column} rank"] = table[column].map(place)
    ranked = table.assign(**ranks).sort_values(list(ranks), kind="stable", ignore_index=True)
    return ranked.drop(columns=list(ranks))


def _axes(plan: dict[str, Any]) -> list[str]:
    return [axis for axis in plan["axes"] if axis != "snr_db"] + ["snr_db"]


def _tuned_for(rows: pd.DataFrame, metric: str, quantity: Quantity, axes: list[str], counts: tuple[str, ...]) -> pd.DataFrame:
    """The rows whose free settings were tuned for ``metric``, with the columns that statistics need.

    A pooled metric has the values of single images in its columns, which say where it was measured.
    """
    mine = rows[[metric in metrics.split(",") for metrics in rows["metrics"]]]
    if quantity.image:
        mine = mine.assign(**{f"{metric}{twin}": mine[f"{quantity.image}{twin}"] for twin in ("", "@prior")})
    sent = mine[metric].notna()
    mine = mine.assign(lost=(sent & ~mine["ok"]).astype(int), sent=sent.astype(int))
    columns = ["system", *axes, "image", "cluster", "repeat", "status", "ok", "reason", metric, f"{metric}@prior", *counts]
    return mine[[column for column in columns if column in mine]]


def _described(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Role, order and channel uses of each entry."""
    return [
        {
            "system": entry["system"],
            **{axis: entry["values"][axis] for axis in _axes(plan)[:-1]},
            "snr_db": entry["snr_db"],
            "role": entry["role"],
            "channel_uses": plan["units"][next(iter(entry["unit"].values()))]["channel_uses"],
        }
        for entry in plan["entries"]
        if entry["unit"]
    ]


def _joined(note: str, plan: dict[str, Any]) -> str:
    return "; ".join(dict.fromkeys(filter(None, (note, *plan["notes"].values()))))
