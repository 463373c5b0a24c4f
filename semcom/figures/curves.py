"""One curve a system against the SNR or any other swept field, with its interval."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from semcom.errors import ScenarioError, StoreError, allowed
from semcom.figures import style
from semcom.figures.labels import axis_label, metric_label
from semcom.figures.style import MEMBER, REFERENCE, SYSTEM, Look, save

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["curve_grid", "curves", "save"]

#: the columns of a table of points that are no swept field
COLUMNS = (
    "system", "metric", "fill", "mean", "low", "high", "method", "note", "n_images", "n_clusters", "n_repeats",
    "failures", "failure_rate", "mean_given_success", "role", "channel_uses",
)  # fmt: skip
RATE = re.compile(r"(^|_)(ber|bler|fer)($|_)")
CROWD = 13  # more points than this, and only some carry a marker


def curves(
    points: pd.DataFrame,
    metric: str,
    axis: str = "snr_db",
    systems: Sequence[str] | None = None,
    ax: Axes | None = None,
    fill: str = "grey",
    labels: Mapping[str, str] | None = None,
    legend: bool = True,
    note: bool = True,
) -> Axes:
    """Draw ``metric`` of every system against ``axis``; without ``ax`` in a new figure of one IEEE column.

    ``points`` is the tidy table: one row a system, point of the sweep, metric and fill. ``systems`` is the order
    of the scenario, which fixes each system's look. ``fill`` says how lost pictures were shown. ``labels`` replaces
    the texts of metrics, axes and systems.

    Systems carry markers and shaded intervals. Members of an envelope are thin; one named "system: choice" takes that
    system's colour. References are dashed or dotted. A point that is missing or nan, as an infeasible one is, leaves
    a gap. Error rates are drawn on a logarithmic scale, and where no error was counted as an open marker at the
    interval's upper end with an arrow down. A field of names, such as a kind of channel, has nothing to join:
    markers with bars, side by side.

    Raises: ScenarioError for a metric, fill or axis that the table does not hold, or where the table holds several
    values of another swept field; StoreError for an empty table.
    """
    table = select(points, metric, axis, fill)
    _one_value_a_point(table, axis)
    order = list(dict.fromkeys([*(systems or []), *points["system"]]))
    looks = _looks(points, order)
    scale = _Scale.of(table, axis)
    said = interval_note(table) if note else ""
    entries, names = _entries(looks, table, labels)
    rows = math.ceil(len(names) / _legend_columns(names, style.COLUMN))
    own = style.figure(style.COLUMN, 2.35 + legend * (0.155 * rows + 0.27 * bool(said))) if ax is None else None
    with style.context():
        ax = own.add_subplot() if own else ax
        _draw(ax, table, axis, looks, scale, rate=is_rate(metric))
        _dress(ax, scale, axis_label(axis, labels), metric_label(metric, labels))
        if legend and own:
            _legend(own, entries, names, style.COLUMN, said, loc="outside lower center")
        elif legend:
            _legend_below(ax, entries, names, said)
    return ax


def curve_grid(
    points: pd.DataFrame,
    metrics: Sequence[str],
    axis: str = "snr_db",
    facet: str | None = None,
    systems: Sequence[str] | None = None,
    fill: str = "grey",
    labels: Mapping[str, str] | None = None,
    width: float = style.PAGE,
) -> Figure:
    """Small multiples with one legend: a panel a metric or, with ``facet``, a row a metric and a column a value of it."""
    if not metrics:
        raise ScenarioError("a grid of curves was given no metric; name at least one")
    order = list(dict.fromkeys([*(systems or []), *points["system"]]))
    cells = _cells(points, metrics, facet, labels)
    columns = len(cells[0]) if facet else min(3, len(metrics))
    panels = [cell for row in cells for cell in row]
    rows = math.ceil(len(panels) / columns)
    looks = _looks(points, order)
    kept = points[points["metric"].isin(metrics)]
    entries, names = _entries(looks, kept, labels)
    per_row = _legend_columns(names, width)
    said = interval_note(kept)
    height = rows * min(2.1, 0.8 * width / columns) + 0.16 * (math.ceil(len(names) / per_row) + bool(said)) + 0.1
    fig = style.figure(width, height)
    with style.context():
        grid = fig.subplots(rows, columns, squeeze=False, sharey="row" if facet else False)
        for place, (cell, metric, title) in zip(grid.flat, panels, strict=False):
            curves(cell, metric, axis, order, place, fill, labels, legend=False)
            place.set_title(title, fontsize=style.SIZE, fontfamily=style.FONT)
            if facet and place not in grid[:, 0]:
                place.set_ylabel("")
            if facet and place not in grid[-1, :]:
                place.set_xlabel("")
        for place in grid.flat[len(panels) :]:
            place.remove()
        _legend(fig, entries, names, width, said, loc="outside lower center")
    return fig


def is_rate(metric: str) -> bool:
    """Whether a metric is an error rate, which is drawn on a logarithmic scale."""
    return bool(RATE.search(metric))


def interval_note(table: pd.DataFrame) -> str:
    """What the intervals and arrows of a table's points are, in one line; empty where there are none."""
    systems = table[table["role"].fillna(SYSTEM) == SYSTEM] if "role" in table else table
    banded = systems[systems["low"].notna() & systems["high"].notna()]
    sentences = []
    if len(banded):
        method = " or ".join(dict.fromkeys(str(m) for m in banded["method"].dropna() if str(m)))
        counts = ", ".join(_count(banded, f"n_{what}", what[:-1]) for what in ("images", "clusters", "repeats"))
        sentences.append(f"Intervals: 95 %{f' ({method})' if method else ''}; {counts}")
        sentences += list(dict.fromkeys(str(n) for n in banded["note"].dropna() if str(n)))
    if (systems["metric"].map(is_rate) & (systems["mean"] == 0) & (systems["high"] > 0)).any():
        sentences.append("open markers with arrows: upper bound, no error counted")
    return "; ".join(sentences)


def select(points: pd.DataFrame, metric: str, axis: str, fill: str) -> pd.DataFrame:
    """The rows of one metric and fill; rows without a fill belong to both."""
    if points.empty:
        raise StoreError("the table of points is empty; run the sweep before drawing it")
    for column in ("system", "metric", "fill", "mean", "low", "high", "method", "note"):
        if column not in points:
            raise StoreError(f"the table of points has no column '{column}'; it has {', '.join(map(str, points.columns))}")
    if metric not in (held := set(points["metric"])):
        raise ScenarioError(f"there are no points of metric '{metric}'; {allowed(metric, held)}")
    if axis not in (swept := swept_fields(points)):
        raise ScenarioError(f"'{axis}' is no swept field of these points; {allowed(axis, swept)}")
    rows = points[points["metric"] == metric]
    blank = rows["fill"].isna() | (rows["fill"] == "")
    if fill not in (fills := set(rows["fill"][~blank])) and not blank.any():
        raise ScenarioError(f"there are no points of metric '{metric}' with lost pictures shown as '{fill}'; {allowed(fill, fills)}")
    return rows[blank | (rows["fill"] == fill)]


def swept_fields(points: pd.DataFrame) -> list[str]:
    """The columns of a table of points that are swept fields."""
    return [str(column) for column in points.columns if column not in COLUMNS]


def _one_value_a_point(table: pd.DataFrame, axis: str) -> None:
    if not table.duplicated(["system", axis]).any():
        return
    several = [f for f in swept_fields(table) if f != axis and table.groupby("system")[f].nunique().max() > 1]
    what = "; ".join(f"{field} is {', '.join(map(str, table[field].unique()))}" for field in several) or "rows repeat"
    raise ScenarioError(f"the points hold several values for one system and {axis} ({what}); select one of them or facet by it")


def _count(table: pd.DataFrame, column: str, unit: str) -> str:
    low, high = int(table[column].min()), int(table[column].max())
    return f"{low if low == high else f'{low} to {high}'} {unit}{'' if high == 1 else 's'}"


def _looks(points: pd.DataFrame, order: Sequence[str]) -> dict[str, Look]:
    if "role" not in points:
        return style.looks(order, {})
    roles = points.drop_duplicates("system").set_index("system")["role"].dropna().to_dict()
    envelopes = {name: name.rpartition(": ")[0] for name, role in roles.items() if role == MEMBER}
    return style.looks(order, roles, {name: envelope for name, envelope in envelopes.items() if envelope in order})


@dataclass(frozen=True)
class _Scale:
    """The values of the horizontal axis as they stand in the table, and where they are drawn."""

    values: tuple
    positions: tuple[float, ...]
    named: bool  # the values are names in no order of size: no lines between them
    fractions: bool

    @staticmethod
    def of(table: pd.DataFrame, axis: str) -> _Scale:
        values = tuple(table[axis].dropna().unique())
        try:
            numbers = {value: float(Fraction(value) if isinstance(value, str) else value) for value in values}
        except ValueError:
            return _Scale(values, tuple(map(float, range(len(values)))), True, False)
        ordered = tuple(sorted(values, key=numbers.get))
        ratio = axis.rsplit(".", 1)[-1] == "bandwidth_ratio"
        return _Scale(ordered, tuple(numbers[v] for v in ordered), False, ratio)

    def limits(self) -> tuple[float, float]:
        """The positions and a little room at both sides."""
        low, high = min(self.positions), max(self.positions)
        if self.named or low == high:
            return low - 0.5, high + 0.5
        if self.fractions:
            return low * (low / high) ** 0.045, high * (high / low) ** 0.045
        return low - 0.045 * (high - low), high + 0.045 * (high - low)


@dataclass(frozen=True)
class _Curve:
    """One system's numbers on all positions of the axis, nan where it has no point."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @staticmethod
    def of(table: pd.DataFrame, system: str, axis: str, scale: _Scale) -> _Curve:
        rows = table[table["system"] == system].set_index(axis).reindex(list(scale.values))
        return _Curve(np.array(scale.positions), *(rows[c].to_numpy(dtype=float) for c in ("mean", "low", "high")))


def _draw(ax: Axes, table: pd.DataFrame, axis: str, looks: Mapping[str, Look], scale: _Scale, rate: bool) -> None:
    drawn = {name: _Curve.of(table, name, axis, scale) for name in looks if (table["system"] == name).any()}
    if rate:
        ax.set_yscale("log")
        ax.set_ylim(*_decades(drawn.values()))
    floor = ax.get_ylim()[0] if rate else -np.inf
    systems = [name for name in drawn if looks[name].role == SYSTEM]
    for number, (name, curve) in enumerate(drawn.items()):
        mean = np.where(curve.mean > 0, curve.mean, np.nan) if rate else curve.mean
        if scale.named and name in systems:
            step = min(5.0, 0.7 * _room(ax, len(curve.x)) / len(systems))
            _stems(ax, name, looks[name], curve, mean, (systems.index(name) - (len(systems) - 1) / 2) * step)
        elif scale.named:
            _shelves(ax, name, looks[name], curve.x, mean)
        else:
            _band(ax, looks[name], curve, mean, floor)
            _line(ax, name, looks[name], curve.x, mean, number)
    if rate:
        _upper_bounds(ax, drawn, looks)


def _band(ax: Axes, look: Look, curve: _Curve, mean: np.ndarray, floor: float) -> None:
    if look.role != SYSTEM:
        return
    low, high = (np.where(np.isfinite(mean), np.maximum(bound, floor), np.nan) for bound in (curve.low, curve.high))
    ax.fill_between(curve.x, low, high, color=look.color, alpha=0.14, linewidth=0, zorder=1.5)


ORDER_OF_DRAWING = {MEMBER: 2.0, REFERENCE: 2.5, SYSTEM: 3.0}


def _line(ax: Axes, name: str, look: Look, x: np.ndarray, y: np.ndarray, number: int) -> None:
    step, alone = math.ceil(len(x) / CROWD), _alone(y)
    if look.marker:
        marked = {"marker": look.marker, "markersize": 3.4, "markeredgecolor": "white", "markeredgewidth": 0.35,
                  "markevery": sorted({*range(number % step, len(x), step), *alone})}  # fmt: skip
    else:  # a lone point has no line through it, and would not be seen
        marked = {"marker": "_", "markersize": 5.0, "markeredgewidth": look.width, "markevery": alone}
    ax.plot(x, y, label=name, color=look.color, linestyle=look.stroke, linewidth=look.width,
            alpha=0.75 if look.role == MEMBER else 1.0, zorder=ORDER_OF_DRAWING[look.role], **marked)  # fmt: skip


def _stems(ax: Axes, name: str, look: Look, curve: _Curve, mean: np.ndarray, aside: float) -> None:
    """Markers with intervals as bars, side by side: between names there is nothing to join."""
    place, gap = _aside(ax, aside), np.full_like(mean, np.nan)
    bars = np.stack([np.where(np.isfinite(mean), b, np.nan) for b in (curve.low, curve.high)] + [gap], axis=1).ravel()
    seen = np.isfinite(bars)
    ax.update_datalim(np.stack([np.repeat(curve.x, 3), bars], axis=1)[seen])  # moved artists do not count by themselves
    ax.plot(np.repeat(curve.x, 3), bars, color=look.color, linewidth=0.8, transform=place, zorder=2.8, label=f"_interval of {name}")
    ax.plot(curve.x, mean, label=name, color=look.color, linestyle="none", marker=look.marker, markersize=3.6,
            markeredgecolor="white", markeredgewidth=0.35, transform=place, zorder=3.0)  # fmt: skip
    ax.update_datalim(np.stack([curve.x, mean], axis=1)[np.isfinite(mean)])
    ax.autoscale_view()


def _shelves(ax: Axes, name: str, look: Look, x: np.ndarray, y: np.ndarray) -> None:
    """A short level line at each name."""
    across = np.stack([x - 0.36, x + 0.36, np.full_like(x, np.nan)], axis=1).ravel()
    ax.plot(across, np.repeat(y, 3), label=name, color=look.color, linestyle=look.stroke, linewidth=look.width,
            zorder=ORDER_OF_DRAWING[look.role])  # fmt: skip


def _alone(y: np.ndarray) -> list[int]:
    """Indices of points between two gaps."""
    seen = np.concatenate([[False], np.isfinite(y), [False]])
    return [int(i) for i in np.flatnonzero(seen[1:-1] & ~seen[:-2] & ~seen[2:])]


def _decades(drawn) -> tuple[float, float]:
    """Whole decades around every positive mean, and every upper bound where nothing was counted."""
    shown = np.concatenate([np.where(c.mean > 0, c.mean, np.where(c.mean == 0, c.high, np.nan)) for c in drawn])
    shown = shown[np.isfinite(shown) & (shown > 0)]
    if not len(shown):
        return 1e-3, 1.5
    bottom, top = 10.0 ** math.floor(math.log10(shown.min()) - 0.3), shown.max()
    return bottom, 1.5 if top > 0.3 else 10.0 ** math.ceil(math.log10(top) + 0.1)


def _upper_bounds(ax: Axes, drawn: Mapping[str, _Curve], looks: Mapping[str, Look]) -> None:
    """Open markers at the interval's upper end, with an arrow down, where no error was counted.

    They stand side by side where systems have equal bounds. Members of an envelope and references end without one.
    """
    bounds: dict[tuple[float, float], list[str]] = {}
    for name, curve in drawn.items():
        for x, mean, high in zip(curve.x, curve.mean, curve.high, strict=True):
            if looks[name].role == SYSTEM and mean == 0 and high > 0:
                bounds.setdefault((x, high), []).append(name)
    most = max(map(len, bounds.values()), default=1)
    step = min(4.2, 0.8 * _room(ax, len(next(iter(drawn.values())).x)) / most)
    for (x, high), names in bounds.items():
        for place, name in enumerate(names):
            aside = _aside(ax, (place - (len(names) - 1) / 2) * step)
            common = {"linestyle": "none", "color": looks[name].color, "transform": aside}
            ax.plot([x], [high], marker=_arrow(0.048 * step), markersize=16, markerfacecolor="none", markeredgewidth=0.19 * step,
                    zorder=3.4, **common)  # fmt: skip
            ax.plot([x], [high], marker=looks[name].marker, markersize=0.67 * step, markerfacecolor="white",
                    markeredgewidth=0.17 * step, zorder=3.5, label=f"_bound of {name}", **common)  # fmt: skip


def _room(ax: Axes, positions: int) -> float:
    """About how many points of width each position of the axis has."""
    across = ax.get_subplotspec().get_gridspec().ncols if ax.get_subplotspec() else 1
    return 0.8 * 72.0 * ax.figure.get_figure(root=True).get_size_inches()[0] / across / positions


def _aside(ax: Axes, points: float):
    """Data coordinates, moved sideways by printer's points."""
    from matplotlib.transforms import ScaledTranslation

    return ax.transData + ScaledTranslation(points / 72.0, 0, ax.figure.dpi_scale_trans)


def _arrow(head: float):
    """An arrow down from the marker's point; ``head`` is half its width in lengths."""
    from matplotlib.path import Path

    corners = [(0, 0), (0, -1), (-head, -1 + 1.5 * head), (0, -1), (head, -1 + 1.5 * head)]  # scaled to its largest coordinate
    move, line = Path.MOVETO, Path.LINETO
    return Path(corners, [move, line, move, line, line])


def _dress(ax: Axes, scale: _Scale, x_label: str, y_label: str) -> None:
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

    font = {"fontsize": style.SIZE, "fontfamily": style.FONT}
    ax.set_xlabel(x_label, labelpad=2.0, **font)
    ax.set_ylabel(y_label, labelpad=2.0, **font)
    # ticks are made when they are drawn, outside this style: they keep what they are told here
    ax.tick_params(which="both", labelsize=style.SIZE, labelfontfamily=style.FONT, width=0.6, length=2.5, pad=2.0)
    ax.tick_params(which="minor", length=1.5)
    ax.grid(True, color="#d9d9d9", linewidth=0.4, zorder=0.5)
    ax.set_axisbelow(True)
    if ax.get_yscale() == "linear":
        ax.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    if scale.fractions:
        ax.set_xscale("log")
        ax.xaxis.set_minor_locator(NullLocator())
    if scale.fractions or scale.named:
        texts = [_fraction(v) if scale.fractions else str(v) for v in scale.values]
        ax.xaxis.set_major_locator(FixedLocator(scale.positions))
        ax.set_xticks(scale.positions, texts)
    ax.set_xlim(*scale.limits())
    if not (scale.fractions or scale.named) and len(scale.values) <= 9 and len(set(np.round(np.diff(scale.positions), 9))) == 1:
        ax.set_xticks(scale.positions)


def _fraction(value: object) -> str:
    """1/24 for 0.041666...; the number itself where it is no simple fraction."""
    exact = Fraction(value) if isinstance(value, str) else Fraction(float(value)).limit_denominator(4096)
    close = math.isclose(float(exact), float(Fraction(value) if isinstance(value, str) else value), rel_tol=1e-6)
    return str(exact) if close and exact.denominator <= 4096 else f"{value:.3g}"


# Legends -------------------------------------------------------------------------------------------------------


def _entries(looks: Mapping[str, Look], table: pd.DataFrame, labels: Mapping[str, str] | None):
    """Handles and names of what is drawn; the members of envelopes share one entry."""
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
    return handles, names


HANDLE, GAP = 2.2, 0.5  # of a legend, in font sizes: length of the line, distance to its text
BETWEEN = 1.2  # distance between columns


def _legend_columns(names: Sequence[str], width: float) -> int:
    """As many columns as fit ``width`` inches, and no more than fill their rows."""
    widest = max((style.text_width(name) for name in names), default=0.1) + (HANDLE + GAP + BETWEEN) * style.SIZE / 72.0
    fit = max(1, min(len(names), int((width - 0.16) / widest)))
    rows = math.ceil(len(names) / fit)
    return math.ceil(len(names) / rows)


def _legend(parent, handles, names, width: float, note: str, **place) -> None:
    """Entries in columns within ``width`` inches; the note on intervals is the first line."""
    title = style.wrap(note, width - 0.16, style.SMALL) or None
    legend = parent.legend(
        handles, names, ncols=_legend_columns(names, width), title=title, alignment="center", frameon=False, borderpad=0.0, borderaxespad=0.2,
        handlelength=HANDLE, handletextpad=GAP, columnspacing=BETWEEN, labelspacing=0.25,
        prop={"size": style.SIZE, "family": style.FONT}, title_fontproperties={"size": style.SMALL, "family": style.FONT}, **place,
    )  # fmt: skip
    legend.get_title().set_multialignment("center")
    return legend


def _legend_below(ax: Axes, handles, names, note: str) -> None:
    """The legend of an axes handed in, under its axis label, where it can cover no curve."""
    from matplotlib.transforms import ScaledTranslation

    below = ax.transAxes + ScaledTranslation(0, -25.0 / 72.0, ax.figure.dpi_scale_trans)
    width = ax.get_window_extent().width / ax.figure.dpi
    _legend(ax, handles, names, width, note, loc="upper center", bbox_to_anchor=(0.5, 0.0), bbox_transform=below)


def _cells(points: pd.DataFrame, metrics: Sequence[str], facet: str | None, labels: Mapping[str, str] | None):
    """Rows of (points, metric, title)."""
    if facet is None:
        return [[(points, metric, "") for metric in metrics]]
    if facet not in (swept := swept_fields(points)):
        raise ScenarioError(f"'{facet}' is no swept field of these points; {allowed(facet, swept)}")
    values = _Scale.of(points, facet).values
    return [
        [(points[points[facet] == value], metric, _facet_title(facet, value, labels) if not row else "") for value in values]
        for row, metric in enumerate(metrics)
    ]


def _facet_title(facet: str, value: object, labels: Mapping[str, str] | None) -> str:
    """'Rician K = 6 dB' from the axis label and a value."""
    if isinstance(value, str):
        return value if facet.endswith("kind") else f"{axis_label(facet, labels)} = {value}"
    name, _, unit = axis_label(facet, labels).partition(" [")
    number = _fraction(value) if facet.rsplit(".", 1)[-1] == "bandwidth_ratio" else f"{value:g}".replace("-", "−")
    return f"{name} = {number}" + (f" {unit.rstrip(']')}" if unit else "")
