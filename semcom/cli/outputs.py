"""The files that every run leaves: table, rows and figures, made from what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from semcom.store.layout import Layout
from semcom.store.writer import atomically, write_rows

if TYPE_CHECKING:
    import pandas as pd


def write_outputs(layout: Layout) -> tuple[pd.DataFrame, list[Path]]:
    """Collect, write ``table.csv`` and ``rows.parquet``, draw the figures; the points and the paths."""
    from semcom.figures.results import draw
    from semcom.sweep.collect import collect, rows_of

    points = collect(layout)
    atomically(layout.table, lambda path: points.to_csv(path, index=False))
    write_rows(layout.rows, rows_of(layout))
    return points, [layout.table, layout.rows, *draw(layout, points)]
