"""One curve a system against the SNR or any other swept field, with its interval."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from semcom.errors import ScenarioError, allowed
from semcom.figures import style
from semcom.figures.axis import Scale, dress, facet_title
from semcom.figures.draw import draw
from semcom.figures.labels import axis_label, metric_label
from semcom.figures.legend import add_legend, entries_of, legend_below, legend_height
from semcom.figures.points import interval_note, one_value_a_point, select, swept_fields
from semcom.figures.style import MEMBER, Look, save

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["curve_grid", "curves", "save"]


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
    dashed: Collection[str] = (),
) -> Axes:
    """Draw ``metric`` of every system against ``axis``; without ``ax`` in a new figure of one IEEE column.

    ``points`` is the tidy table: one row a system, point of the sweep, metric and fill. ``systems`` is the order
    of the scenario, which fixes each system's look. ``fill`` says how lost pictures were shown. ``labels`` replaces
    the texts of metrics, axes and systems. Systems in ``dashed`` (those that are given true labels) have broken lines.

    Systems carry markers and shaded intervals. Members of an envelope are thin; one named "system: choice" takes that
    system's colour. References are dashed or dotted. A point that is missing or nan, as an infeasible one is, leaves
    a gap. Error rates are drawn on a logarithmic scale, and where no error was counted as an open marker at the
    interval's upper end with an arrow down. A field of names, such as a kind of channel, has nothing to join:
    markers with bars, side by side. Where the table says what the originals score (column ``original``), that is a
    level black line with its interval.

    Raises: ScenarioError for a metric, fill or axis that the table does not hold, or where the table holds several
    values of another swept field; StoreError for an empty table.
    """
    table = select(points, metric, axis, fill)
    one_value_a_point(table, axis)
    looks = _looks(points, systems, dashed)
    handles, names = entries_of(looks, table, labels)
    said = interval_note(table) if note else ""
    own = None
    if ax is None:
        own = style.figure(style.COLUMN, 2.4 + (legend_height(names, said, style.COLUMN) if legend else 0.0))
    with style.context():
        ax = own.add_subplot() if own else ax
        scale = Scale.of(table, axis)
        draw(ax, table, axis, looks, scale)
        dress(ax, scale, axis_label(axis, labels), metric_label(metric, labels))
        if legend and own:
            add_legend(own, handles, names, style.COLUMN, said, "outside lower center")
        elif legend:
            legend_below(ax, handles, names, said)
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
    dashed: Collection[str] = (),
) -> Figure:
    """Small multiples with one legend, two IEEE columns wide.

    A panel for each of ``metrics``, up to three in a row; with ``facet``, another swept field, a panel for each of its
    values, on equal scales, and a row for each metric where there are several. The rest is as in `curves`.
    """
    import pandas as pd

    if not metrics:
        raise ScenarioError("a grid of curves was given no metric; name at least one")
    tables = {metric: select(points, metric, axis, fill) for metric in metrics}
    values = _values(points, facet) if facet else [None]
    shown = pd.concat(tables.values())
    looks, scale, said = _looks(points, systems, dashed), Scale.of(shown, axis), interval_note(shown)
    handles, names = entries_of(looks, shown, labels)
    panels = [(metric, value) for metric in metrics for value in values]
    matrix = facet is not None and len(metrics) > 1
    columns = len(values) if matrix else _balanced(len(panels), 4 if facet else 3)
    rows = math.ceil(len(panels) / columns)
    tall = min(2.1, 0.8 * width / columns) + (0.15 if facet else 0.0)
    fig = style.figure(width, rows * tall + legend_height(names, said, width) + 0.1)
    with style.context():
        grid = fig.subplots(rows, columns, squeeze=False, sharey=("row" if matrix else True) if facet else False)
        for place in grid.flat[len(panels) :]:
            place.remove()
        for number, ((metric, value), place) in enumerate(zip(panels, grid.flat, strict=False)):
            table = tables[metric] if facet is None else tables[metric][tables[metric][facet] == value]
            one_value_a_point(table, axis)
            draw(place, table, axis, looks, scale, limits_from=tables[metric])
            across = axis_label(axis, labels) if not facet or number + columns >= len(panels) else ""
            up = metric_label(metric, labels) if not facet or number % columns == 0 else ""
            dress(place, scale, across, up)
            if facet and (number < columns or not matrix):
                place.set_title(facet_title(facet, value, labels), **style.TEXT)
        add_legend(fig, handles, names, width, said, "outside lower center")
    return fig


def _balanced(panels: int, most: int) -> int:
    """Columns, at most ``most``, that leave the last row as full as can be.

    >>> [_balanced(panels, 3) for panels in (1, 2, 3, 4, 5)]
    [1, 2, 3, 2, 3]
    """
    return math.ceil(panels / math.ceil(panels / most))


def _looks(points: pd.DataFrame, systems: Sequence[str] | None, dashed: Collection[str]) -> dict[str, Look]:
    """A look for every system of the scenario, in its order, and for those of the table that it does not name."""
    order = list(dict.fromkeys([*(systems or []), *points["system"]]))
    if "role" not in points:
        return style.looks(order, {}, dashed=dashed)
    roles = points.drop_duplicates("system").set_index("system")["role"].dropna().to_dict()
    envelopes = {name: name.rpartition(": ")[0] for name, role in roles.items() if role == MEMBER}
    return style.looks(order, roles, {name: envelope for name, envelope in envelopes.items() if envelope in order}, dashed)


def _values(points: pd.DataFrame, facet: str) -> tuple:
    if facet not in (swept := swept_fields(points)):
        raise ScenarioError(f"'{facet}' is no swept field of these points; {allowed(facet, swept)}")
    return Scale.of(points, facet).values
