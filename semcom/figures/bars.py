"""IoU of each class as bars, with intervals, beside what the evaluator reaches on the originals."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from semcom.errors import ScenarioError, StoreError
from semcom.figures import style
from semcom.figures.axis import facet_title
from semcom.figures.legend import ORIGINALS, add_legend, legend_height
from semcom.figures.points import interval_note
from semcom.figures.style import Look

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: of the distance between two classes, the share that bars fill, and how far the level of the originals reaches to both sides
FILLED, REACH = 0.82, 0.455
#: from the last class to the mean over classes, in distances between classes
ASIDE = 1.35
MEAN = "mIoU"  # how the mean over classes is called


def class_bars(
    classes: pd.DataFrame,
    points: pd.DataFrame,
    metric: str,
    axis: str,
    values: Sequence[object],
    names: Sequence[str],
    looks: Mapping[str, Look],
    label: str = "IoU",
    fill: str = "grey",
    labels: Mapping[str, str] | None = None,
    broken: Collection[str] = (),
) -> Figure:
    """A panel for each of ``values`` of ``axis``; in it a group of bars for each class of ``names``, and the mean over classes.

    ``classes`` has a row a system, value of the axis and class, with ``mean``, ``low``, ``high`` and ``original``, of which a table
    may have the interval too (``original_low``, ``original_high``: a grey band behind the bars);
    ``points`` has the same of the mean over classes. ``looks`` are those of the systems to draw, in their order; the bars of those
    in ``broken`` (given true labels) are drawn hollow. A class that the pictures have not, or whose score is not defined, has no bar.

    Raises: ScenarioError where nothing is to be drawn; StoreError where no class has a value.
    """
    import pandas as pd

    if not values or not looks:
        raise ScenarioError(f"bars of classes were given {len(values)} values of '{axis}' and {len(looks)} systems; name at least one of each")
    table = pd.concat([classes, points.assign(**{"class": MEAN})], ignore_index=True)
    table = _filled(table[(table["metric"] == metric) & table["system"].isin(list(looks)) & table[axis].isin(list(values))], fill)
    there = [name for name in names if table["mean"][table["class"] == name].notna().any()]
    if not there:
        raise StoreError(f"no class has a value of '{metric}' for these systems and values of '{axis}'")
    groups, seen = [*there, MEAN], set(table["system"][table["mean"].notna()])
    looks = {system: look for system, look in looks.items() if system in seen}
    wide = style.COLUMN if len(looks) <= 2 else style.PAGE
    slanted = max(map(style.text_width, groups)) > 0.85 * wide / (len(groups) + 1)
    handles, entries = _entries(looks, table, labels, broken)
    note = interval_note(table)
    fig = style.figure(wide, 1.3 * len(values) + (0.55 if slanted else 0.3) + legend_height(entries, note, wide) + 0.1)
    with style.context():
        grid = fig.subplots(len(values), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
        for ax, value in zip(grid, values, strict=True):
            _panel(ax, table[table[axis] == value], groups, looks, broken)
            _dress(ax, groups, label, slanted)
            ax.set_title(facet_title(axis, value, labels), **style.TEXT, pad=3.0)
        top = np.nanmax(table[[name for name in ("mean", "high", "original", "original_high") if name in table]].to_numpy(dtype=float))
        grid[0].set_ylim(0.0, min(1.0, 1.06 * top))
        add_legend(fig, handles, entries, wide, note, "outside lower center")
    return fig


def _filled(table: pd.DataFrame, fill: str) -> pd.DataFrame:
    """Lost pictures as ``fill``, in the systems that lost any."""
    split = table["system"].isin(table["system"][table["fill"] == fill])
    return table[~split | (table["fill"] == fill)]


def _places(groups: Sequence[str]) -> np.ndarray:
    return np.append(np.arange(len(groups) - 1.0), len(groups) - 2 + ASIDE)


def _panel(ax: Axes, table: pd.DataFrame, groups: Sequence[str], looks: Mapping[str, Look], broken: Collection[str]) -> None:
    places, width = _places(groups), FILLED / len(looks)
    for number, (system, look) in enumerate(looks.items()):
        rows = table[table["system"] == system].set_index("class").reindex(groups)
        mean, low, high = (rows[column].to_numpy(dtype=float) for column in ("mean", "low", "high"))
        x = places + (number - (len(looks) - 1) / 2) * width
        ax.bar(x, mean, 0.9 * width, label=system, zorder=2, **_face(look, system in broken))
        seen = np.isfinite(mean) & np.isfinite(low) & np.isfinite(high)
        reach = np.maximum(np.stack([mean - low, high - mean])[:, seen], 0.0)
        # a dark line on a dark bar is not seen, with a white one below it is
        ax.errorbar(x[seen], mean[seen], reach, fmt="none", ecolor="white", elinewidth=1.3, zorder=2.4)
        ax.errorbar(x[seen], mean[seen], reach, fmt="none", ecolor="black", elinewidth=0.6, capsize=min(1.6, 20.0 * width / len(looks)),
                    capthick=0.6, zorder=3.1)  # fmt: skip
    ends = [name for name in ("original", "original_low", "original_high") if name in table]
    original = table.groupby("class")[ends].first().reindex(groups)
    level = original["original"].to_numpy(dtype=float)
    ax.hlines(level, places - REACH, places + REACH, color=style.LEVEL_COLOR, linewidth=1.0, zorder=2.6, label="_level of the originals")
    if len(ends) == 3:
        low, high = (original[name].to_numpy(dtype=float) for name in ends[1:])
        ax.bar(places, high - low, 2 * REACH, bottom=low, color=style.LEVEL_COLOR, alpha=0.13, linewidth=0, zorder=1.2,
               label="_interval of the originals")  # fmt: skip


def _face(look: Look, broken: bool) -> dict:
    if broken:
        return {"facecolor": "white", "edgecolor": look.color, "linewidth": 0.9, "linestyle": style.ORACLE_STROKE}
    return {"facecolor": look.color, "edgecolor": "black", "linewidth": 0.3}


def _dress(ax: Axes, groups: Sequence[str], label: str, slanted: bool) -> None:
    places = _places(groups)
    ax.set_ylabel(label, labelpad=2.0, **style.TEXT)
    ax.tick_params(labelsize=style.SIZE, labelfontfamily=style.FONT, width=0.6, length=2.5, pad=2.0)
    ax.tick_params(axis="x", length=0.0)
    turn = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    ax.set_xticks(places, groups, **turn)
    ax.set_xlim(places[0] - 0.6, places[-1] + 0.6)
    ax.grid(True, axis="y", color="#d9d9d9", linewidth=0.4, zorder=0.5)
    ax.set_axisbelow(True)
    ax.axvline(0.5 * (places[-1] + places[-2]), color="#808080", linewidth=0.5, linestyle=(0, (1, 1.5)), zorder=0.6)


def _entries(looks: Mapping[str, Look], table: pd.DataFrame, labels: Mapping[str, str] | None, broken: Collection[str]):
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [Patch(**_face(look, system in broken)) for system, look in looks.items()]
    entries = [(labels or {}).get(system, system) for system in looks]
    if table["original"].notna().any():
        handles.append(Line2D([], [], color=style.LEVEL_COLOR, linewidth=1.0))
        entries.append(ORIGINALS)
    return handles, entries
