"""The horizontal axis: values as they stand in the table, where they are drawn, and what is written there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from semcom.figures import style
from semcom.figures.labels import CLASSES, NUMBERED, SYSTEMS, axis_label

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Scale:
    """The values of the horizontal axis as they stand in the table, and where they are drawn."""

    values: tuple
    positions: tuple[float, ...]
    named: bool  # the values are names in no order of size: no lines between them
    fractions: bool
    steps: bool = False  # numbers that say an order and no distance: drawn at equal distances, joined by lines

    @staticmethod
    def of(table: pd.DataFrame, axis: str) -> Scale:
        """Numbers and fractions in their order; names as they come."""
        values = tuple(table[axis].dropna().unique())
        try:
            numbers = {value: float(Fraction(value) if isinstance(value, str) else value) for value in values}
        except ValueError:
            return Scale(values, tuple(map(float, range(len(values)))), True, False)
        ordered = tuple(sorted(values, key=numbers.get))
        last = axis.rsplit(".", 1)[-1]
        if last in NUMBERED:
            return Scale(ordered, tuple(map(float, range(len(ordered)))), False, False, True)
        ratio = last == "bandwidth_ratio"
        return Scale(ordered, tuple(numbers[v] for v in ordered), False, ratio)

    def limits(self) -> tuple[float, float]:
        """The positions and a little room at both sides."""
        low, high = min(self.positions), max(self.positions)
        if self.named or low == high:
            return low - 0.5, high + 0.5
        if self.fractions:
            return low * (low / high) ** 0.045, high * (high / low) ** 0.045
        return low - 0.045 * (high - low), high + 0.045 * (high - low)


def dress(ax: Axes, scale: Scale, x_label: str, y_label: str) -> None:
    """Labels, ticks, grid and limits."""
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

    ax.set_xlabel(x_label, labelpad=2.0, **style.TEXT)
    ax.set_ylabel(y_label, labelpad=2.0, **style.TEXT)
    # ticks are made when they are drawn, outside this style: they keep what they are told here
    ax.tick_params(which="both", labelsize=style.SIZE, labelfontfamily=style.FONT, width=0.6, length=2.5, pad=2.0)
    ax.tick_params(which="minor", length=1.5)
    ax.grid(True, color="#d9d9d9", linewidth=0.4, zorder=0.5)
    ax.set_axisbelow(True)
    if ax.get_yscale() == "linear":
        ax.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    if scale.fractions:
        ax.set_xscale("log")
        ax.xaxis.set_minor_locator(NullLocator())
    if scale.fractions or scale.named or scale.steps:
        texts = [_fraction(v) if scale.fractions else f"{v:g}" if scale.steps else str(v) for v in scale.values]
        ax.xaxis.set_major_locator(FixedLocator(scale.positions))
        ax.set_xticks(scale.positions, texts)
    ax.set_xlim(*scale.limits())
    if not (scale.fractions or scale.named or scale.steps) and len(scale.values) <= 9 and len(set(np.round(np.diff(scale.positions), 9))) == 1:
        ax.set_xticks(scale.positions)


def facet_title(facet: str, value: object, labels: Mapping[str, str] | None) -> str:
    """'Rician K = 6 dB' from the axis label and a value; the name of a system, a component or a kind alone."""
    if isinstance(value, str):
        by_name = facet in (SYSTEMS, CLASSES, "channel", "source") or facet.endswith(("kind", ".csi"))
        return value if by_name else f"{axis_label(facet, labels)} = {value}"
    name, _, unit = axis_label(facet, labels).partition(" [")
    number = _fraction(value) if facet.rsplit(".", 1)[-1] == "bandwidth_ratio" else f"{value:g}".replace("-", "−")
    return f"{name} = {number}" + (f" {unit.rstrip(']')}" if unit else "")


def _fraction(value: object) -> str:
    """1/24 for 0.041666...; the number itself where it is no simple fraction."""
    exact = Fraction(value) if isinstance(value, str) else Fraction(float(value)).limit_denominator(4096)
    close = math.isclose(float(exact), float(Fraction(value) if isinstance(value, str) else value), rel_tol=1e-6)
    return str(exact) if close and exact.denominator <= 4096 else f"{value:.3g}"
