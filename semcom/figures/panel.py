"""The pictures themselves: a row a condition, a column a system, the original first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from semcom.errors import DataError
from semcom.figures import style

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Key = tuple[str, str]
CAPTION = 7.0  # points
LINE = 1.2 / 72.0  # inches a point of type takes with its leading
GAP = 0.04  # inches between pictures


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
    heads = [style.wrap(name, _picture_width(width, rows, columns), style.SIZE) for name in (original_label, *columns)]
    frame = _Frame(original.shape[:2], width, rows, len(columns), max(h.count("\n") + 1 for h in heads),
                   bool(captions or original_caption))  # fmt: skip
    fig = style.figure(width, frame.height, layout=None)
    with style.context():
        place = frame.place(fig, 0, 0)
        _picture(place, original)
        _texts(place, heads[0], original_caption)
        for r, row in enumerate(rows):
            for c, column in enumerate(columns):
                key, place = (row, column), frame.place(fig, r, c + 1)
                if pictures.get(key) is None:
                    _empty(place, original.shape[:2], missing)
                else:
                    _picture(place, pictures[key])
                if key in failed:
                    _cross_out(place, original.shape[:2], lost)
                _texts(place, heads[c + 1] if r == 0 else "", captions.get(key, ""))
                if c == 0:
                    place.set_ylabel(row, rotation=90, labelpad=3.0, **style.TEXT)
    return fig


class _Frame:
    """Where the pictures stand, in inches, so that none is stretched."""

    def __init__(self, size: tuple[int, int], width: float, rows: Sequence[str], columns: int, head_lines: int, captioned: bool):
        self.picture = _picture_width(width, rows, range(columns))
        self.tall = self.picture * size[0] / size[1]
        self.head = head_lines * style.SIZE * LINE + 0.03
        self.below = (CAPTION * LINE + 0.02 if captioned else 0.0) + GAP
        self.width, self.height = width, self.head + len(rows) * (self.tall + self.below) + 0.02
        self.row_label = _row_label(rows)

    def place(self, fig: Figure, row: int, column: int) -> Axes:
        left = GAP + column * (self.picture + GAP) + (self.row_label if column else 0.0)
        bottom = self.height - self.head - row * (self.tall + self.below) - self.tall
        w, h = self.width, self.height
        return fig.add_axes((left / w, bottom / h, self.picture / w, self.tall / h))


def _row_label(rows: Sequence[str]) -> float:
    return 0.2 if any(rows) else 0.0


def _picture_width(width: float, rows: Sequence[str], columns: Sequence) -> float:
    return (width - _row_label(rows) - GAP * (len(columns) + 2)) / (len(columns) + 1)


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


def _bare(place: Axes, size: tuple[int, int], edge: str, width: float, stroke: str = "-") -> None:
    place.set(xticks=[], yticks=[], xlim=(-0.5, size[1] - 0.5), ylim=(size[0] - 0.5, -0.5), aspect="equal")
    for spine in place.spines.values():
        spine.set(color=edge, linewidth=width, linestyle=stroke)


def _picture(place: Axes, picture: np.ndarray) -> None:
    place.imshow(picture, interpolation="nearest", aspect="equal")
    _bare(place, picture.shape[:2], "black", 0.4)


def _empty(place: Axes, size: tuple[int, int], text: str) -> None:
    _bare(place, size, "#808080", 0.6, ":")
    place.text(0.5, 0.5, text, transform=place.transAxes, ha="center", va="center", color="#404040", fontsize=CAPTION,
               fontfamily=style.FONT)  # fmt: skip


def _cross_out(place: Axes, size: tuple[int, int], text: str) -> None:
    tall, wide = size
    for ys in ((-0.5, tall - 0.5), (tall - 0.5, -0.5)):
        place.plot((-0.5, wide - 0.5), ys, color="white", linewidth=1.8)
        place.plot((-0.5, wide - 0.5), ys, color="black", linewidth=0.8)
    _bare(place, size, "black", 1.2)
    place.text(0.5, 0.5, text, transform=place.transAxes, ha="center", va="center", fontsize=CAPTION, fontfamily=style.FONT,
               bbox={"facecolor": "white", "edgecolor": "black", "linewidth": 0.6, "boxstyle": "square,pad=0.25"})  # fmt: skip


def _texts(place: Axes, head: str, caption: str) -> None:
    if head:
        place.set_title(head, **style.TEXT, pad=2.5, linespacing=0.95)
    if caption:
        place.set_xlabel(caption, fontsize=CAPTION, fontfamily=style.FONT, labelpad=1.5)
