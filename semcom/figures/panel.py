"""The pictures themselves: a row a condition, a column a system, the original first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from semcom.errors import DataError
from semcom.figures import style
from semcom.figures.sheet import Cell, Key, sheet

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure


def panel(
    original: np.ndarray,
    pictures: Mapping[Key, np.ndarray | None],
    rows: Sequence[str],
    columns: Sequence[str],
    captions: Mapping[Key, str] | None = None,
    failed: Collection[Key] = (),
    original_label: str = "original",
    original_caption: str = "",
    lost: str = "frame lost",
    missing: str = "infeasible",
    width: float = style.PAGE,
) -> Figure:
    """Draw the received pictures beside the original, undistorted and pixel by pixel.

    Shapes: ``original`` and every picture are uint8 [H, W, 3] of one size. ``pictures`` and ``captions`` are keyed by
    (row, column), for instance ("10 dB", "softcast") and "24.1 dB"; a picture that is None, or not there, leaves an
    empty frame that says ``missing``. Keys in ``failed`` are crossed out and marked ``lost`` over what the receiver
    shows then, so that a cliff is seen as one.

    Raises: DataError for no rows or columns, a picture of another shape or type, or a key that is in no row or column.
    """
    captions = captions or {}
    _check(original, pictures, rows, columns, captions, failed)
    cells = {}
    for key in ((row, column) for row in rows for column in columns):
        shown = pictures.get(key)
        cells[key] = Cell(shown, captions.get(key, ""), lost if key in failed else missing if shown is None else "")
    return sheet(original.shape[:2], {rows[0]: Cell(original, original_caption)}, cells, rows, columns, original_label, width)


def _check(original, pictures, rows, columns, captions, failed) -> None:
    import numpy as np

    if not rows or not columns:
        raise DataError(f"a panel was given {len(rows)} rows and {len(columns)} columns; it needs at least one of each")
    for name, picture in [("the original", original), *((f"the picture {k}", p) for k, p in pictures.items() if p is not None)]:
        if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            what = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
            raise DataError(f"{name} of a panel is {what}; expected uint8 [H, W, 3]")
        if picture.shape != original.shape:
            raise DataError(f"{name} of a panel is {picture.shape}, the original {original.shape}; expected one size")
    for key in (*pictures, *captions, *failed):
        if key[0] not in rows or key[1] not in columns:
            raise DataError(f"the panel has no place {key}; its rows are {list(rows)} and its columns {list(columns)}")
