"""One look for every figure: IEEE column widths, 8 pt type, a palette that survives grey printing."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN = 3.5  # inches: one column of an IEEE journal
PAGE = 7.16  # inches: both columns
SIZE = 8.0  # points: labels, ticks, legends
SMALL = 7.0  # points: notes
DPI = 300

# Times-like as the papers around it, ships with matplotlib and so is the same everywhere; DejaVu has what it lacks.
FONT = ["STIXGeneral", "DejaVu Sans"]

STYLE = {
    "font.family": FONT,
    "font.size": SIZE,
    "mathtext.fontset": "stix",
    "axes.labelsize": SIZE,
    "axes.titlesize": SIZE,
    "xtick.labelsize": SIZE,
    "ytick.labelsize": SIZE,
    "legend.fontsize": SIZE,
    "legend.title_fontsize": SMALL,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "text.usetex": False,
    "pdf.fonttype": 42,  # TrueType: IEEE PDF eXpress refuses Type 3
    "ps.fonttype": 42,
    "figure.dpi": 150,
    "savefig.dpi": DPI,
    "savefig.bbox": None,  # "tight" would change the width
    "savefig.facecolor": "white",
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}

#: for texts that are made, or were made by others, outside this style
TEXT = {"fontsize": SIZE, "fontfamily": FONT, "math_fontfamily": "stix"}

# Lightness (CIE L*) 26, 61, 43, 76, 6, 50, 33, 69: at least 7 apart in grey. CIE76 distances are at least 24 for
# normal vision and for simulated protanopia, deuteranopia and tritanopia (Machado, Oliveira, Fernandes 2009).
PALETTE = ("#7a1119", "#009af1", "#007263", "#fcac11", "#280329", "#c65334", "#544486", "#ca9bbd")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
STROKES = ("-", (0, (5, 1.2)), (0, (3, 1, 1, 1)), (0, (1, 1)))
REFERENCE_STROKES = ((0, (4, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)))
REFERENCE_COLOR = "#404040"
MEMBER_COLOR = "#8c8c8c"
#: systems that are given what a receiver's or a transmitter's network would have to find out
ORACLE_STROKE = (0, (2.6, 1.3))
LEVEL_COLOR = "black"

SYSTEM, MEMBER, REFERENCE = "system", "member", "reference"


@dataclass(frozen=True)
class Look:
    """How one system is drawn; the marker is empty for members of an envelope and for references."""

    role: str
    color: str
    marker: str
    stroke: str | tuple
    width: float


def look(role: str, index: int) -> Look:
    """The look of the ``index``-th system, member or reference; those of systems never repeat below 88."""
    if role == MEMBER:
        return Look(role, MEMBER_COLOR, "", "-", 0.5)
    if role == REFERENCE:
        return Look(role, REFERENCE_COLOR, "", REFERENCE_STROKES[index % len(REFERENCE_STROKES)], 0.9)
    stroke = STROKES[index // len(PALETTE) % len(STROKES)]
    return Look(SYSTEM, PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)], stroke, 1.1)


def looks(
    order: Sequence[str], roles: Mapping[str, str], member_of: Mapping[str, str] | None = None, dashed: Collection[str] = ()
) -> dict[str, Look]:
    """A look for each system by its place in the scenario, so that it is the same in every figure of a run.

    ``roles`` maps a name to "system" (also the default), "member" or "reference"; ``member_of`` maps a
    member to its envelope, whose stroke and colour it then takes (a lighter grey where that is a reference).
    Systems that are ``dashed`` keep their place in the order, and so their colour and marker. Where there are any, the
    references that are not dashed are dotted or dash-dotted.
    """
    counts = {SYSTEM: 0, MEMBER: 0, REFERENCE: 0}
    table = {}
    for name in order:
        role = roles.get(name, SYSTEM)
        table[name] = look(role, counts[role])
        if role == SYSTEM and name in dashed:
            table[name] = replace(table[name], stroke=ORACLE_STROKE)
        counts[role] += 1
    references = [name for name in table if table[name].role == REFERENCE]
    if any(name in dashed for name in table):
        oracles, others = ([name for name in references if (name in dashed) is given] for given in (True, False))
        for names, strokes in ((oracles, REFERENCE_STROKES[::3]), (others, REFERENCE_STROKES[1:3])):
            for number, name in enumerate(names):
                table[name] = replace(table[name], stroke=strokes[number % len(strokes)])
    for member, envelope in (member_of or {}).items():
        if member in table and envelope in table:
            of = table[envelope]
            table[member] = Look(MEMBER, MEMBER_COLOR if of.role == REFERENCE else of.color, "", of.stroke, 0.5)
    return table


def context() -> AbstractContextManager:
    """The style as a context: ``with context(): ...`` changes matplotlib's settings inside it only."""
    from matplotlib import rc_context

    return rc_context(STYLE)


def figure(width: float = COLUMN, height: float = 2.4, layout: str | None = "constrained") -> Figure:
    """An empty figure of ``width`` x ``height`` inches that pyplot does not know of, so that none stays open."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with context():
        fig = Figure(figsize=(width, height), layout=layout)
        if layout == "constrained":
            fig.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.04, hspace=0.04)
        FigureCanvasAgg(fig)
        return fig


@lru_cache(maxsize=4096)
def text_width(text: str, size: float = SIZE) -> float:
    """The width of a line of text in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    with context():
        ismath = text.count("$") >= 2
        return text_to_path.get_text_width_height_descent(text, FontProperties(family=FONT, size=size), ismath)[0] / 72.0


def wrap(text: str, width: float, size: float = SIZE) -> str:
    """``text`` with line breaks between words so that it fits ``width`` inches, where its words do; none at a no-break space."""
    lines: list[str] = []
    for word in filter(None, re.split(r"[ \t\n]+", text)):
        if lines and text_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)


def save(fig: Figure, path: str | Path) -> tuple[Path, Path]:
    """Write ``path``.png (300 dpi) and ``path``.pdf (embedded TrueType), each whole or not at all; returns both.

    Equal figures give equal bytes: no dates and no versions are written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    png, pdf = path.with_name(path.name + ".png"), path.with_name(path.name + ".pdf")
    metadata = {png: {"Software": None}, pdf: {"Creator": None, "Producer": None, "CreationDate": None}}
    with context():
        for target, said in metadata.items():
            unfinished = target.with_name(f".{target.name}.{os.getpid()}")
            try:
                fig.savefig(unfinished, format=target.suffix[1:], metadata=said)
                os.replace(unfinished, target)
            finally:
                unfinished.unlink(missing_ok=True)
    return png, pdf
