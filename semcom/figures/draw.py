"""Putting numbers on an axes: lines, bands, levels, upper bounds, and bars where there is nothing to join."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from semcom.figures.axis import Scale
from semcom.figures.points import is_rate
from semcom.figures.style import LEVEL_COLOR, MEMBER, ORACLE_STROKE, REFERENCE, SYSTEM, Look

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

CROWD = 13  # more points than this, and only some carry a marker
ORDER_OF_DRAWING = {MEMBER: 2.0, REFERENCE: 2.5, SYSTEM: 3.0}


@dataclass(frozen=True)
class Curve:
    """One system's numbers on all positions of the axis, nan where it has no point."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @staticmethod
    def of(table: pd.DataFrame, system: str, axis: str, scale: Scale) -> Curve:
        rows = table[table["system"] == system].set_index(axis).reindex(list(scale.values))
        return Curve(np.array(scale.positions), *(rows[c].to_numpy(dtype=float) for c in ("mean", "low", "high")))


def draw(
    ax: Axes, table: pd.DataFrame, axis: str, looks: Mapping[str, Look], scale: Scale, limits_from: pd.DataFrame | None = None
) -> None:
    """Draw one metric's rows; the limits of a logarithmic scale come from ``limits_from`` where panels share it."""
    whole = table if limits_from is None else limits_from
    drawn = {name: Curve.of(table, name, axis, scale) for name in looks if (table["system"] == name).any()}
    if rate := is_rate(whole["metric"].iloc[0]):
        ax.set_yscale("log")
        ax.set_ylim(*_decades(whole))
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
    level = level_of(table, axis, scale)
    if level is not None:
        _level(ax, level, scale)
    if rate:
        _upper_bounds(ax, drawn, looks, len(scale.values))


def _band(ax: Axes, look: Look, curve: Curve, mean: np.ndarray, floor: float) -> None:
    if look.role != SYSTEM:
        return
    low, high = (np.where(np.isfinite(mean), np.maximum(bound, floor), np.nan) for bound in (curve.low, curve.high))
    ax.fill_between(curve.x, low, high, color=look.color, alpha=0.14, linewidth=0, zorder=1.5)


def _line(ax: Axes, name: str, look: Look, x: np.ndarray, y: np.ndarray, number: int) -> None:
    step, alone = math.ceil(len(x) / CROWD), _alone(y)
    if look.marker:
        marked = {"marker": look.marker, "markersize": 3.4, "markeredgecolor": "white", "markeredgewidth": 0.35,
                  "markevery": sorted({*range(number % step, len(x), step), *alone})}  # fmt: skip
    else:  # a lone point has no line through it, and would not be seen
        marked = {"marker": "_", "markersize": 5.0, "markeredgewidth": look.width, "markevery": alone}
    ax.plot(x, y, label=name, color=look.color, linestyle=look.stroke, linewidth=look.width,
            alpha=0.75 if look.role == MEMBER else 1.0, zorder=ORDER_OF_DRAWING[look.role], **marked)  # fmt: skip


def level_of(table: pd.DataFrame, axis: str, scale: Scale) -> Curve | None:
    """What the originals score at each position; None where the table does not say. All systems met the same originals,
    where one has values for fewer of them, another's are taken."""
    if "original" not in table or table["original"].isna().all():
        return None
    rows = table[table["original"].notna()].sort_values("n_images", kind="stable").groupby(axis, sort=False).last()
    rows = rows.reindex(list(scale.values))
    return Curve(np.array(scale.positions), *(rows[c].to_numpy(dtype=float) for c in ("original", "original_low", "original_high")))


def _level(ax: Axes, level: Curve, scale: Scale) -> None:
    """From edge to edge where it is one value everywhere, as it is unless the axis changes the originals."""
    x, values = level.x, np.stack([level.mean, level.low, level.high])
    if np.nanmax(level.mean) - np.nanmin(level.mean) < 1e-9:
        first = values[:, np.flatnonzero(np.isfinite(level.mean))[0]]
        x, values = np.array(scale.limits()), np.repeat(first[:, None], 2, axis=1)
    elif scale.named:
        x = np.stack([x - 0.45, x + 0.45, np.full_like(x, np.nan)], axis=1).ravel()
        values = np.repeat(values, 3, axis=1)
    mean, low, high = values
    ax.fill_between(x, low, high, color=LEVEL_COLOR, alpha=0.09, linewidth=0, zorder=1.2)
    ax.plot(x, mean, color=LEVEL_COLOR, linewidth=0.8, zorder=2.2, label="_level of the originals")


def _stems(ax: Axes, name: str, look: Look, curve: Curve, mean: np.ndarray, aside: float) -> None:
    """Markers with intervals as bars, side by side: between names there is nothing to join."""
    place, gap = _aside(ax, aside), np.full_like(mean, np.nan)
    bars = np.stack([np.where(np.isfinite(mean), b, np.nan) for b in (curve.low, curve.high)] + [gap], axis=1).ravel()
    seen = np.isfinite(bars)
    ax.update_datalim(np.stack([np.repeat(curve.x, 3), bars], axis=1)[seen])  # moved artists do not count by themselves
    ax.plot(np.repeat(curve.x, 3), bars, color=look.color, linewidth=0.8, transform=place, zorder=2.8, label=f"_interval of {name}")
    hollow = {"markerfacecolor": "white", "markeredgecolor": look.color, "markeredgewidth": 0.9}
    filled = {"markeredgecolor": "white", "markeredgewidth": 0.35}
    ax.plot(curve.x, mean, label=name, color=look.color, linestyle="none", marker=look.marker, markersize=3.6, transform=place,
            zorder=3.0, **(hollow if look.stroke == ORACLE_STROKE else filled))  # fmt: skip
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


def _decades(table: pd.DataFrame) -> tuple[float, float]:
    """Whole decades, two at least, around every positive mean, and every upper bound where nothing was counted."""
    shown = table["mean"].where(table["mean"] != 0, table["high"]).to_numpy(dtype=float)
    shown = shown[np.isfinite(shown) & (shown > 0)]
    if not len(shown):
        return 1e-3, 1.5
    bottom, top = 10.0 ** math.floor(math.log10(shown.min()) - 0.3), shown.max()
    top = 1.5 if top > 0.3 else 10.0 ** math.ceil(math.log10(top) + 0.1)
    return min(bottom, 10.0 ** (math.floor(math.log10(top)) - 2)), top


def _upper_bounds(ax: Axes, drawn: Mapping[str, Curve], looks: Mapping[str, Look], positions: int) -> None:
    """Open markers at the interval's upper end, with an arrow down, where no error was counted.

    They stand side by side where systems have equal bounds. Members of an envelope and references end without one.
    """
    bounds: dict[tuple[float, float], list[str]] = {}
    for name, curve in drawn.items():
        for x, mean, high in zip(curve.x, curve.mean, curve.high, strict=True):
            if looks[name].role == SYSTEM and mean == 0 and high > 0:
                bounds.setdefault((x, high), []).append(name)
    most = max(map(len, bounds.values()), default=1)
    step = min(4.2, 0.8 * _room(ax, positions) / most)
    for (x, high), names in bounds.items():
        for place, name in enumerate(names):
            aside = _aside(ax, (place - (len(names) - 1) / 2) * step)
            common = {"linestyle": "none", "color": looks[name].color, "transform": aside, "clip_on": False}
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
