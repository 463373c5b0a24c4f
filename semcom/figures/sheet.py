"""Pictures and maps in rows and columns, undistorted, with captions and a legend of the kinds that maps show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from semcom.figures import style
from semcom.figures.textures import Kind, painted

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Key = tuple[str, str]
CAPTION = 7.0  # points
LINE = 1.2 / 72.0  # inches a point of type takes with its leading
GAP = 0.04  # inches between pictures
ROW_LABEL = 0.2  # inches: a row's name of one line
LEGEND_LINE = 1.15 * style.SIZE * LINE  # inches
SWATCH = (0.2, 0.1)  # inches: width and height of a legend's sample
BESIDE, BETWEEN = 0.05, 0.14  # inches: from a sample to its text, from there to the next sample
BAR = (1.6, 0.09)  # inches: width and height of the bar that explains shades
BAR_LINE = 0.31  # inches: the bar with its numbers
#: lightness rises evenly, for grey printing as for any colour vision
SHADES = "cividis"
#: where scales end
ROUND = (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


@dataclass(frozen=True)
class Shades:
    """Numbers as lightness, from 0 to ``most`` (what is above is shown as ``most``), and what they are, with their unit."""

    most: float
    label: str

    @staticmethod
    def over(planes: Sequence[np.ndarray], label: str) -> Shades:
        """A scale that ends at a round number, above all but a twentieth of each plane."""
        import numpy as np

        reach = max((float(np.quantile(plane, 0.95)) for plane in planes), default=0.0)
        return Shades(next((most for most in ROUND if most >= reach), ROUND[-1]), label)

    def painted(self, values: np.ndarray) -> np.ndarray:
        import numpy as np
        from matplotlib import colormaps

        return colormaps[SHADES](np.clip(values / self.most, 0.0, 1.0), bytes=True)[..., :3]


@dataclass(frozen=True)
class Cell:
    """A place of a sheet: a picture uint8 [H, W, 3]; or a map [H, W] with the ``kinds`` of its values; or numbers [H, W] with the
    ``shades`` that they are shown in; or None, an empty frame.

    ``mark`` stands over the picture, which is then crossed out, or in the empty frame.
    """

    shown: np.ndarray | None
    caption: str = ""
    mark: str = ""
    kinds: Mapping[int, Kind] | None = None
    shades: Shades | None = None


def sheet(
    size: tuple[int, int],
    firsts: Mapping[str, Cell],
    cells: Mapping[Key, Cell],
    rows: Sequence[str],
    columns: Sequence[str],
    first_label: str,
    width: float = style.PAGE,
    names_first: bool = False,
    note: str = "",
) -> Figure:
    """Draw ``firsts`` (by row) as the first column and ``cells`` (by row and column) beside it; all show images of ``size`` (H, W).

    Names of rows stand between the first column, which is then of no row, and the others; ``names_first``: left of all. A legend
    below names the kinds that occur in maps, and a bar the shades of numbers, which share one scale; ``note`` is the last line.
    """
    frame = _Frame.of(size, firsts, cells, rows, (first_label, *columns), width, names_first, note)
    fig = style.figure(width, frame.height, layout=None)
    with style.context():
        for r, row in enumerate(rows):
            frame.name_row(fig, r)
            for c, column in enumerate(["", *columns]):
                cell = cells.get((row, column)) if c else firsts.get(row)
                if cell is not None:
                    place = frame.place(fig, r, c)
                    _draw(place, cell, size, frame.picture)
                    _texts(place, frame.heads[c] if r == 0 else "", style.wrap(cell.caption, frame.picture, CAPTION))
        for number, line in enumerate(frame.legend):
            _legend_line(fig, frame, line, number)
        if frame.shades:
            _bar(fig, frame, frame.shades)
        if frame.note:
            fig.text(0.5, GAP / frame.height, frame.note, ha="center", va="bottom", fontsize=CAPTION, fontfamily=style.FONT, linespacing=1.1)
    return fig


@dataclass(frozen=True)
class _Frame:
    """Where everything stands, in inches, so that no picture is stretched."""

    width: float
    picture: float  # width of each
    tall: float  # height of each
    rows: Sequence[str]  # wrapped to their height
    heads: Sequence[str]  # wrapped to their width
    captions: Sequence[int]  # lines of each row's
    label: float  # width of the rows' names
    names_first: bool
    legend: Sequence[Sequence[Kind]]
    shades: Shades | None
    note: str  # wrapped to the width

    @staticmethod
    def of(size, firsts, cells, rows, heads, width, names_first, note) -> _Frame:
        for lines in (1, 2, 3):
            label = ROW_LABEL + (lines - 1) * style.SIZE * LINE if any(rows) else 0.0
            picture = (width - label - GAP * (len(heads) + 1)) / len(heads)
            tall = picture * size[0] / size[1]
            names = [style.wrap(row, tall) for row in rows]
            if _most_lines(names) <= lines:
                break
        captions = []
        for row in rows:
            of_row = [firsts.get(row), *(cell for (of, _), cell in cells.items() if of == row)]
            captions.append(_most_lines([style.wrap(cell.caption, picture, CAPTION) for cell in of_row if cell and cell.caption]))
        legend = _legend_lines(_occurring([*firsts.values(), *cells.values()]), width)
        shades = next((cell.shades for cell in [*firsts.values(), *cells.values()] if cell.shades), None)
        heads, note = [style.wrap(head, picture) for head in heads], style.wrap(note, width - 2 * GAP, CAPTION)
        return _Frame(width, picture, tall, names, heads, captions, label, names_first, legend, shades, note)

    @property
    def head(self) -> float:
        return _most_lines(self.heads) * style.SIZE * LINE + 0.03

    @property
    def note_height(self) -> float:
        return (self.note.count("\n") + 1) * CAPTION * LINE + GAP if self.note else 0.0

    @property
    def below_legend(self) -> float:
        return self.note_height + (BAR_LINE if self.shades else 0.0)

    @property
    def foot(self) -> float:
        return 0.02 + self.below_legend + (len(self.legend) * LEGEND_LINE + GAP if self.legend else 0.0)

    @property
    def height(self) -> float:
        return self._down(len(self.rows)) + self.foot

    def top(self, row: int) -> float:
        return self.height - self._down(row)

    def _down(self, row: int) -> float:
        """From the top edge to a row."""
        below = sum(lines * CAPTION * LINE + 0.02 for lines in self.captions[:row] if lines)
        return self.head + row * (self.tall + GAP) + below

    def place(self, fig: Figure, row: int, column: int) -> Axes:
        left = GAP + column * (self.picture + GAP) + (self.label if column or self.names_first else 0.0)
        w, h = self.width, self.height
        return fig.add_axes((left / w, (self.top(row) - self.tall) / h, self.picture / w, self.tall / h))

    def name_row(self, fig: Figure, row: int) -> None:
        left = 0.0 if self.names_first else self.picture + GAP
        at = ((left + self.label / 2 + 0.02) / self.width, (self.top(row) - self.tall / 2) / self.height)
        fig.text(*at, self.rows[row], rotation=90, ha="center", va="center", linespacing=0.95, **style.TEXT)


def _most_lines(texts: Sequence[str]) -> int:
    return max((text.count("\n") + 1 for text in texts), default=0)


def _draw(place: Axes, cell: Cell, size: tuple[int, int], inches: float) -> None:
    if cell.shown is None:
        return _empty(place, size, cell.mark)
    picture = painted(cell.shown, cell.kinds, inches) if cell.kinds else cell.shades.painted(cell.shown) if cell.shades else cell.shown
    place.imshow(picture, interpolation="nearest", extent=(-0.5, size[1] - 0.5, size[0] - 0.5, -0.5))
    _bare(place, size, "black", 0.4)
    if cell.mark:
        _cross_out(place, size, cell.mark)


def _bare(place: Axes, size: tuple[int, int], edge: str, width: float, stroke: str = "-") -> None:
    place.set(xticks=[], yticks=[], xlim=(-0.5, size[1] - 0.5), ylim=(size[0] - 0.5, -0.5), aspect="equal")
    for spine in place.spines.values():
        spine.set(color=edge, linewidth=width, linestyle=stroke)


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
        place.set_xlabel(caption, fontsize=CAPTION, fontfamily=style.FONT, labelpad=1.5, linespacing=0.95)


def _occurring(cells: Sequence[Cell]) -> list[list[Kind]]:
    """The kinds that maps show, in their order; those of each mapping together."""
    import numpy as np

    seen: dict[int, tuple[Mapping[int, Kind], set[int]]] = {}
    for cell in cells:
        if cell.kinds and cell.shown is not None:
            seen.setdefault(id(cell.kinds), (cell.kinds, set()))[1].update(np.unique(cell.shown).tolist())
    return [[kind for value, kind in kinds.items() if value in values] for kinds, values in seen.values()]


def _legend_lines(groups: Sequence[Sequence[Kind]], width: float) -> list[list[Kind]]:
    """Each group's entries in as few lines as fit ``width`` inches, of about equal length."""
    lines: list[list[Kind]] = []
    for group in groups:
        fewest = len(_broken(group, width - 2 * GAP))
        for share in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
            if len(balanced := _broken(group, share * (width - 2 * GAP))) <= fewest:
                break
        lines += balanced
    return lines


def _broken(group: Sequence[Kind], width: float) -> list[list[Kind]]:
    lines: list[list[Kind]] = [[]]
    for kind in group:
        if lines[-1] and _line_width([*lines[-1], kind]) > width:
            lines.append([])
        lines[-1].append(kind)
    return lines


def _entry_width(kind: Kind) -> float:
    return SWATCH[0] + BESIDE + style.text_width(kind.name)


def _line_width(kinds: Sequence[Kind]) -> float:
    return sum(map(_entry_width, kinds)) + BETWEEN * (len(kinds) - 1)


def _legend_line(fig: Figure, frame: _Frame, kinds: Sequence[Kind], number: int) -> None:
    import numpy as np

    left = 0.5 * (frame.width - _line_width(kinds))
    middle = frame.foot - GAP - (number + 0.5) * LEGEND_LINE
    w, h = frame.width, frame.height
    for kind in kinds:
        place = fig.add_axes((left / w, (middle - SWATCH[1] / 2) / h, SWATCH[0] / w, SWATCH[1] / h), label=f"sample of {kind.name}")
        sample = np.zeros((round(100 * SWATCH[1]), round(100 * SWATCH[0])), np.uint8)
        place.imshow(painted(sample, {0: kind}, SWATCH[0]), interpolation="nearest", aspect="auto")
        place.set(xticks=[], yticks=[])
        for spine in place.spines.values():
            spine.set(color="black", linewidth=0.4)
        fig.text((left + SWATCH[0] + BESIDE) / w, middle / h, kind.name, va="center_baseline", **style.TEXT)
        left += _entry_width(kind) + BETWEEN


def _bar(fig: Figure, frame: _Frame, shades: Shades) -> None:
    """The scale of the shades: a bar with numbers below, and what they are at its side."""
    import numpy as np

    w, h, (wide, tall) = frame.width, frame.height, BAR
    left = 0.5 * (w - wide - BESIDE - style.text_width(shades.label))
    bottom = frame.note_height + BAR_LINE - tall - GAP
    place = fig.add_axes((left / w, bottom / h, wide / w, tall / h), label="sample of the shades")
    place.imshow(shades.painted(np.linspace(0.0, shades.most, 256)[None]), aspect="auto", extent=(0.0, shades.most, 0.0, 1.0))
    place.set(yticks=[], xticks=[0.0, shades.most / 2, shades.most])
    place.set_xticklabels(["0", f"{shades.most / 2:g}", f"≥ {shades.most:g}"])
    place.tick_params(labelsize=CAPTION, labelfontfamily=style.FONT, width=0.4, length=2.0, pad=1.5)
    for spine in place.spines.values():
        spine.set(color="black", linewidth=0.4)
    fig.text((left + wide + BESIDE + 0.08) / w, (bottom + tall / 2) / h, shades.label, va="center_baseline", **style.TEXT)
