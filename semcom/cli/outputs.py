"""The files that every run leaves: table, rows and figures, made from what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from semcom.store.layout import Layout
from semcom.store.writer import atomically, write_rows

if TYPE_CHECKING:
    import pandas as pd


def write_outputs(layout: Layout) -> tuple[pd.DataFrame, list[Path]]:
    """Collect, write ``table.csv``, ``differences.csv``, ``rows.parquet`` and, where label maps are scored, ``classes.csv``; draw
    the figures. The points and the paths."""
    from semcom.figures.results import draw
    from semcom.sweep.collect import by_class, collect, differences, rows_of

    rows = rows_of(layout)
    points, paired, classes = collect(layout, rows), differences(layout, rows), by_class(layout, rows)
    atomically(layout.table, lambda path: points.to_csv(path, index=False))
    atomically(layout.differences, lambda path: paired.to_csv(path, index=False))
    write_rows(layout.rows, rows)
    if len(classes):
        atomically(layout.classes, lambda path: classes.to_csv(path, index=False))
    written = [layout.table, layout.differences, *([layout.classes] if len(classes) else []), layout.rows]
    return points, [*written, *draw(layout, points, paired, classes=classes)]
