"""The files that every run leaves: table, rows and figures, made from what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from semcom.store.layout import Layout
from semcom.store.writer import atomically, write_rows

if TYPE_CHECKING:
    import pandas as pd


def write_outputs(layout: Layout) -> tuple[pd.DataFrame, list[Path]]:
    """Collect, write ``table.csv``, ``differences.csv`` and ``rows.parquet``, draw the figures; the points and the paths."""
    from semcom.figures.results import draw
    from semcom.sweep.collect import collect, differences, rows_of

    rows = rows_of(layout)
    points, paired = collect(layout, rows), differences(layout, rows)
    atomically(layout.table, lambda path: points.to_csv(path, index=False))
    atomically(layout.differences, lambda path: paired.to_csv(path, index=False))
    write_rows(layout.rows, rows)
    return points, [layout.table, layout.differences, layout.rows, *draw(layout, points, paired)]
