"""Legends that cover no curve: below the axes, with the note on intervals as their first line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from semcom.figures import style
from semcom.figures.style import MEMBER, REFERENCE, SYSTEM, Look

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

HANDLE, GAP = 2.2, 0.5  # of a legend, in font sizes: length of the line, distance to its text
BETWEEN = 1.2  # distance between columns
#: the level line: what the evaluator makes of the pictures before anything was sent
ORIGINALS = "originals (evaluator)"


def entries_of(looks: Mapping[str, Look], table: pd.DataFrame, labels: Mapping[str, str] | None):
    """Handles and names of what is drawn; the members of envelopes share one entry, the originals' level comes last."""
    from matplotlib.lines import Line2D

    seen = set(table["system"][table["mean"].notna()])
    drawn = {name: one for name, one in looks.items() if name in seen}
    handles, names = [], []
    for name, one in sorted(drawn.items(), key=lambda item: (SYSTEM, REFERENCE, MEMBER).index(item[1].role)):
        text = "members of an envelope" if one.role == MEMBER else (labels or {}).get(name, name)
        if one.role == MEMBER and text in names:
            continue
        color = style.MEMBER_COLOR if one.role == MEMBER else one.color
        handles.append(Line2D([], [], color=color, linestyle=one.stroke, linewidth=one.width, marker=one.marker or "none",
                              markersize=3.6, markeredgecolor="white", markeredgewidth=0.35))  # fmt: skip
        names.append(text)
    if "original" in table and table["original"].notna().any():
        handles.append(Line2D([], [], color=style.LEVEL_COLOR, linewidth=0.8))
        names.append(ORIGINALS)
    return handles, names


def add_legend(parent, handles, names, width: float, note: str, loc: str, under=None) -> None:
    """Entries in columns within ``width`` inches; the note on intervals is the first line."""
    title = wrapped(note, width) or None
    anchor = {"bbox_to_anchor": (0.5, 0.0), "bbox_transform": under} if under else {}
    legend = parent.legend(
        handles, names, loc=loc, ncols=legend_columns(names, width), title=title, alignment="center", frameon=False,
        borderpad=0.0, borderaxespad=0.2, handlelength=HANDLE, handletextpad=GAP, columnspacing=BETWEEN, labelspacing=0.25,
        prop={"size": style.SIZE, "family": style.FONT}, title_fontproperties={"size": style.SMALL, "family": style.FONT}, **anchor,
    )  # fmt: skip
    legend.get_title().set_multialignment("center")


def legend_below(ax: Axes, handles, names, note: str) -> None:
    """The legend of an axes handed in, under its axis label, where it can cover no curve."""
    from matplotlib.transforms import ScaledTranslation

    below = ax.transAxes + ScaledTranslation(0, -25.0 / 72.0, ax.figure.dpi_scale_trans)
    width = ax.get_window_extent().width / ax.figure.dpi
    add_legend(ax, handles, names, width, note, "upper center", below)


def legend_height(names: Sequence[str], note: str, width: float) -> float:
    """About what a legend takes, in inches."""
    lines = wrapped(note, width).count("\n") + 1 if note else 0
    return (1.4 * style.SIZE * math.ceil(len(names) / legend_columns(names, width)) + 1.35 * style.SMALL * lines) / 72.0


def wrapped(note: str, width: float) -> str:
    """The note in as few lines as fit, of about equal length."""
    fewest = style.wrap(note, width - 0.16, style.SMALL).count("\n")
    for share in (0.6, 0.7, 0.8, 0.9, 1.0):
        lines = style.wrap(note, share * (width - 0.16), style.SMALL)
        if lines.count("\n") <= fewest:
            break
    return lines


def legend_columns(names: Sequence[str], width: float) -> int:
    """As many columns as fit ``width`` inches, and no more than fill their rows."""
    widest = max((style.text_width(name) for name in names), default=0.1) + (HANDLE + GAP + BETWEEN) * style.SIZE / 72.0
    fit = max(1, min(len(names), int((width - 0.16) / widest)))
    rows = math.ceil(len(names) / fit)
    return math.ceil(len(names) / rows)
