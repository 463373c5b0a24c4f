"""Every figure of a results folder, drawn from what is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcom.figures import style
from semcom.figures.axis import facet_title
from semcom.figures.curves import curve_grid, curves
from semcom.figures.labels import SYSTEMS, metric_label
from semcom.figures.panel import panel
from semcom.store.layout import Layout, safe_name
from semcom.store.panel import Cell, panel_cells
from semcom.store.reader import read_batches, read_json, read_picture

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure


def draw(layout: Layout, points: pd.DataFrame, differences: pd.DataFrame, metrics: Sequence[str] | None = None) -> list[Path]:
    """Draw curves of ``metrics`` (the scenario's if None), of paired differences, and the image panels; the files, PNG and PDF."""
    plan = read_json(layout.plan)
    asked = plan["figures"]["curves"]
    held = set(points["metric"][points["mean"].notna()])
    wanted = [metric for metric in metrics or asked["metrics"] or plan["metrics"] if metric in held]
    axis = horizontal_axis(plan)
    figures = dict(curve_figures(points, wanted, plan))
    figures.update(_difference_figures(differences, wanted, plan, axis))
    if metrics is None:
        figures.update(_panel_figures(layout, plan))
    return [path for name, figure in figures.items() for path in style.save(figure, layout.figures / name)]


def horizontal_axis(plan: Mapping[str, Any]) -> str:
    """The scenario's axis for curves; where it names none, the SNR if it is swept or nothing is, else the first axis."""
    axes = plan["axes"]
    return plan["figures"]["curves"]["axis"] or (axes[0] if axes and "snr_db" not in axes else "snr_db")


def curve_figures(points: pd.DataFrame, metrics: Sequence[str], plan: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """By name: one figure a metric and, for the first, two or more metrics side by side; other axes become facets."""
    axis, labels = horizontal_axis(plan), _labels(plan)
    points, systems, others = _lines(points, plan, axis)
    for suffix, part in _slices(points, others[:-1]):
        for metric in metrics:
            yield f"{metric}{suffix}", _drawn(part, metric, axis, others, systems, labels)
        if len(metrics) > 1 and not others:
            yield f"overview{suffix}", curve_grid(part, metrics[:4], axis, systems=systems, labels=labels)


def _drawn(points: pd.DataFrame, metric: str, axis: str, others: Sequence[str], systems: Sequence[str], labels: Mapping[str, str]) -> Figure:
    """One metric over ``axis``; the last of the other axes becomes facets."""
    if others:
        return curve_grid(points, [metric], axis, facet=others[-1], systems=systems, labels=labels)
    return curves(points, metric, axis, systems, labels=labels).figure


def _difference_figures(table: pd.DataFrame, metrics: Sequence[str], plan: Mapping[str, Any], axis: str) -> Iterator[tuple[str, Figure]]:
    """Differences to the scenario's first system: paired, so their intervals are much narrower than those of the curves."""
    if not len(table):
        return
    first, held = table["baseline"].iloc[0], set(table["metric"])
    table, systems, others = _lines(table.drop(columns="baseline"), plan, axis)
    for suffix, part in _slices(table, others[:-1]):
        for metric in metrics:
            if metric in held:
                label = f"{metric_label(metric, _labels(plan))}, less {first}"
                figure = _drawn(part, metric, axis, others, systems, {metric: label})
                for ax in figure.axes:
                    ax.axhline(0.0, color="black", linewidth=0.6)
                yield f"difference_{metric}{suffix}", figure


def _lines(points: pd.DataFrame, plan: Mapping[str, Any], axis: str) -> tuple[pd.DataFrame, list[Any], list[str]]:
    """The points with what the lines of the figures are as their column ``system``, the lines in their order, and the other axes.

    Where the lines are an axis, systems (without references and members) become an axis of their own.
    """
    others = [other for other in plan["axes"] if other != axis]
    lines = plan["figures"]["curves"].get("lines", "systems")
    if lines == "systems":
        return points, list(dict.fromkeys(entry["system"] for entry in plan["entries"])), others
    names = {value: _line_name(lines, value) for value in dict.fromkeys(entry["values"][lines] for entry in plan["entries"])}
    turned = points[points["role"] == style.SYSTEM].rename(columns={"system": SYSTEMS, lines: "system"})
    turned = turned.assign(system=turned["system"].map(names))
    return turned, list(names.values()), [*(other for other in others if other != lines), SYSTEMS]


def _line_name(axis: str, value: Any) -> str:
    """What a line is called: a name as it stands, a number with its field and unit."""
    return value if isinstance(value, str) else facet_title(axis, value, None)


def _labels(plan: Mapping[str, Any]) -> dict[str, str]:
    """Labels of the plan's metrics, of which some may come from outside the package."""
    return {name: f"{q['label']} ↓" if q["better"] == "lower" else q["label"] for name, q in plan["quantities"].items()}


def _slices(points: pd.DataFrame, axes: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The points at each combination of ``axes``, with a suffix for file names."""
    if not axes:
        yield "", points
        return
    for values, part in points.groupby(list(axes), sort=False):
        yield "".join(f"_{axis}={safe_name(str(value))}" for axis, value in zip(axes, values, strict=True)), part


def _panel_figures(layout: Layout, plan: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    images = [ref["id"] for refs in plan["images"].values() for ref in refs]
    by_image: dict[str, list[Cell]] = {}
    for cell in panel_cells(plan["entries"], images, plan["figures"]):
        by_image.setdefault(cell.image, []).append(cell)
    if not by_image:
        return
    rows = read_batches(layout)
    rows = rows[rows["repeat"] == 0].set_index(["unit", "image"])
    for image, cells in by_image.items():
        original = read_picture(layout.original(plan["source_of"][cells[0].unit], image))
        if original is not None:
            yield f"panel_{safe_name(image)}", _panel(layout, plan, original, cells, rows)


def _panel(layout: Layout, plan: Mapping[str, Any], original: np.ndarray, cells: Sequence[Cell], rows: pd.DataFrame) -> Figure:
    import numpy as np

    metric = plan["metrics"][0]
    unit = plan["quantities"][metric]["label"].partition("[")[2].rstrip("]")
    pictures, captions, failed = {}, {}, set()
    for cell in cells:
        key = (f"{cell.snr_db:g} dB", cell.system)
        if (cell.unit, cell.image) not in rows.index:
            continue
        row = rows.loc[(cell.unit, cell.image)]
        pictures[key] = read_picture(layout.picture(cell.unit, cell.image))
        if not row["ok"]:
            if row["status"] == "done":
                failed.add(key)
                pictures[key] = np.full_like(original, 128)
            continue
        captions[key] = f"{row[metric]:.3g} {unit}".strip()
    names = [list(dict.fromkeys(values)) for values in ([f"{c.snr_db:g} dB" for c in cells], [c.system for c in cells])]
    return panel(original, pictures, *names, captions=captions, failed=failed)
