"""Every figure of a results folder, drawn from what is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcom.figures import style
from semcom.figures.axis import facet_title
from semcom.figures.bars import class_bars
from semcom.figures.curves import curve_grid, curves
from semcom.figures.labels import CLASSES, SYSTEMS, metric_label
from semcom.figures.points import LEVEL_COLUMNS
from semcom.figures.sheets import sheet_figures
from semcom.store.cases import classes_of
from semcom.store.layout import Layout, safe_name
from semcom.store.panel import chosen, rows_of_axis
from semcom.store.reader import read_json

#: rows of bars when the scenario names none: two SNRs tell what the channel does to each class
BAR_ROWS = 2
#: rates of each class, and how figures call them
LOST_AND_INVENTED = {"new_errors": "Lost, share of its pixels ↓", "invented": "Invented, share of others' ↓"}
#: columns of a table of classes that stand beside IoU alone
BESIDE_IOU = ("original", "original_low", "original_high", "new_errors", "repaired_errors", "invented")
REFERENCE_GREYS = ("#404040", "#d0d0d0", "#8c8c8c")

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def draw(
    layout: Layout,
    points: pd.DataFrame,
    differences: pd.DataFrame,
    metrics: Sequence[str] | None = None,
    classes: pd.DataFrame | None = None,
) -> list[Path]:
    """Draw curves of ``metrics`` (the scenario's if None), of paired differences, bars of classes, and the image panels; the files,
    PNG and PDF. ``classes`` has the points of each class, where label maps were scored."""
    plan = read_json(layout.plan)
    asked = plan["figures"]["curves"]
    held = set(points["metric"][points["mean"].notna()])
    wanted = [metric for metric in metrics or asked["metrics"] or plan["metrics"] if metric in held]
    axis = horizontal_axis(plan)
    figures = chain(
        curve_figures(points, wanted, plan),
        _difference_figures(differences, wanted, plan, axis),
        class_figures(points, classes, wanted, plan, axis),
        invention_figures(classes, plan, axis) if metrics is None else (),
        sheet_figures(layout, plan) if metrics is None else (),
    )
    return [path for name, figure in figures for path in style.save(figure, layout.figures / name)]


def horizontal_axis(plan: Mapping[str, Any]) -> str:
    """The scenario's axis for curves; where it names none, the SNR if it is swept or nothing is, else the first axis."""
    axes = plan["axes"]
    return plan["figures"]["curves"]["axis"] or (axes[0] if axes and "snr_db" not in axes else "snr_db")


def curve_figures(points: pd.DataFrame, metrics: Sequence[str], plan: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """By name: one figure a metric and, for the first, two or more metrics side by side; other axes become facets."""
    axis, labels, dashed = horizontal_axis(plan), _labels(plan), oracles(plan)
    points, systems, others = _lines(points, plan, axis)
    for suffix, part in _slices(points, others[:-1]):
        for metric in metrics:
            yield f"{metric}{suffix}", _drawn(part, metric, axis, others, systems, labels, dashed)
        if len(metrics) > 1 and not others:
            yield f"overview{suffix}", curve_grid(part, metrics[:4], axis, systems=systems, labels=labels, dashed=dashed)


def oracles(plan: Mapping[str, Any]) -> set[str]:
    """The systems whose transmitter is given true labels, which no real one has: by the kind of the transmitter."""
    transmitters = {entry["system"]: plan["units"][unit]["transmit"]["kind"] for entry in plan["entries"] for unit in entry["unit"].values()}
    return {system for system, kind in transmitters.items() if kind.startswith("oracle_")}


def _drawn(
    points: pd.DataFrame, metric: str, axis: str, others: Sequence[str], systems: Sequence[str], labels: Mapping[str, str], dashed: set[str]
) -> Figure:
    """One metric over ``axis``; the last of the other axes becomes facets."""
    if others:
        return curve_grid(points, [metric], axis, facet=others[-1], systems=systems, labels=labels, dashed=dashed)
    return curves(points, metric, axis, systems, labels=labels, dashed=dashed).figure


def _difference_figures(table: pd.DataFrame, metrics: Sequence[str], plan: Mapping[str, Any], axis: str) -> Iterator[tuple[str, Figure]]:
    """Differences to the scenario's first system: paired, so their intervals are much narrower than those of the curves."""
    if not len(table):
        return
    first, held = table["baseline"].iloc[0], set(table["metric"])
    table, systems, others = _lines(table.drop(columns=["baseline", *LEVEL_COLUMNS], errors="ignore"), plan, axis)
    for suffix, part in _slices(table, others[:-1]):
        for metric in metrics:
            if metric in held:
                label = f"{metric_label(metric, _labels(plan))}, less {first}"
                less = f"{metric} less {first}"  # a name of its own: a difference of rates is no rate, and may be negative
                named = part.assign(metric=part["metric"].replace(metric, less))
                figure = _drawn(named, less, axis, others, systems, {less: label}, oracles(plan))
                for ax in figure.axes:
                    ax.axhline(0.0, color="black", linewidth=0.6)
                yield f"difference_{metric}{suffix}", figure


def class_figures(
    points: pd.DataFrame, classes: pd.DataFrame | None, metrics: Sequence[str], plan: Mapping[str, Any], axis: str
) -> Iterator[tuple[str, Figure]]:
    """Bars of each class for every pooled metric at a few values of the axis; a figure for each combination of the other axes."""
    asked = plan["figures"].get("classes") or {}
    entries = chosen(plan["entries"], asked)
    if classes is None or not len(classes) or not entries:
        return
    rows = rows_of_axis(entries, axis, asked, BAR_ROWS)
    looks = _bar_looks(plan, {entry["system"] for entry in entries})
    for metric in metrics:
        if not plan["quantities"][metric].get("image") or not (classes["metric"] == metric).any():
            continue
        # what is compared with the evaluator's map of the original needs no labels, and so may have any class
        held = "scored" if plan["quantities"][metric].get("original") else "names"
        names = list(dict.fromkeys(name for source in plan["classes"].values() for name in source[held]))
        for suffix, part in _slices(points[points["metric"] == metric], [other for other in plan["axes"] if other != axis]):
            same = classes
            for other in (other for other in plan["axes"] if other != axis):
                same = same[same[other] == part[other].iloc[0]]
            label = _labels(plan)[metric].replace("mIoU", "IoU")
            yield f"classes_{metric}{suffix}", class_bars(same, part, metric, axis, rows, names, looks, label, broken=oracles(plan))


def invention_figures(classes: pd.DataFrame | None, plan: Mapping[str, Any], axis: str) -> Iterator[tuple[str, Figure]]:
    """What was lost and what was invented over ``axis``, where label maps were scored: of the classes that the scenario asks for
    side by side, and of every class; a figure for each combination of the other axes."""
    if classes is None or not len(classes) or plan["figures"]["curves"].get("lines", "systems") != "systems":
        return
    table = classes[classes["metric"].isin(list(LOST_AND_INVENTED))].drop(columns=list(BESIDE_IOU), errors="ignore")
    table = table.rename(columns={"class": CLASSES})
    systems, scored = list(dict.fromkeys(entry["system"] for entry in plan["entries"])), list(table[CLASSES].unique())
    asked = [name for name in classes_of(plan["figures"]) if name in scored]
    for suffix, part in _slices(table, [other for other in plan["axes"] if other != axis]):
        part = part.drop(columns=[other for other in plan["axes"] if other != axis])
        for name, metrics, names in (("inventions", list(LOST_AND_INVENTED), asked), *((f"{metric}_by_class", [metric], scored) for metric in LOST_AND_INVENTED)):
            shown = part[part[CLASSES].isin(names)].sort_values(CLASSES, key=lambda column: column.map(names.index), kind="stable")
            if len(shown):
                figure = curve_grid(shown, metrics, axis, facet=CLASSES, systems=systems, labels=LOST_AND_INVENTED, dashed=oracles(plan))
                yield f"{name}{suffix}", figure


def _bar_looks(plan: Mapping[str, Any], drawn: set[str]) -> dict[str, style.Look]:
    """Looks of those systems as in curves, where references share a colour; here each has a grey of its own."""
    roles = {entry["system"]: entry["role"] for entry in plan["entries"]}
    looks = {name: look for name, look in style.looks(list(roles), roles).items() if name in drawn}
    greys = cycle(REFERENCE_GREYS)
    return {name: replace(look, color=next(greys)) if look.role == style.REFERENCE else look for name, look in looks.items()}


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
