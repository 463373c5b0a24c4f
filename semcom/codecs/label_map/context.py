"""What the coder knows of a pixel before it is coded: an order in waves, and features of what was coded before.

Pixels are coded in waves: pixel (y, x) belongs to wave x + LEAN y. All pixels of a wave are coded from earlier waves alone,
so that a wave is one step of array arithmetic; LEAN = 4 lets a pixel see three columns to the right in the row above.
Encoder, decoder and training share this file.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

#: CamVid's eleven classes and void
CLASSES = 12
#: what stands outside a map, or where there is no such class
NONE = CLASSES
LEAN = 4


def _near() -> list[tuple[int, int]]:
    """(rows, columns) away, nearest first."""
    rows = {0: range(-7, 0), 1: range(-6, 4), 2: range(-5, 7), 3: range(-3, 6), 4: (-4, -2, 0, 2, 4), 5: (0,), 6: (-3, 3)}
    places = [(-dy, dx) for dy, columns in rows.items() for dx in columns]
    return sorted(places, key=lambda place: (place[0] ** 2 + place[1] ** 2, place))


NEAR = _near()
#: a few that tell of the layout; the class itself counts in the first LAYOUT of them
FAR = [(-8, 0), (-14, 0), (-28, 0), (0, -10), (0, -16), (0, -28), (-8, -8), (-8, 8), (-16, -16), (-16, 16), (-8, -24), (-12, 30)]
LAYOUT = 8
PLACES = NEAR + FAR
THIRD = 20  # of the nearest, where the third class is looked for
ABOVE = -min(dy for dy, _ in PLACES)
BESIDE = max(abs(dx) for _, dx in PLACES)
LEFT, UP = PLACES.index((0, -1)), PLACES.index((-1, 0))

#: columns of 0 and 1
COLUMNS = 2 * len(PLACES) + THIRD + CLASSES + LAYOUT * (CLASSES + 1)
#: position in the map, in so many bands a side
BANDS = 32
#: data sets come to 128x256 by taking every so many-th row and column, unevenly: the pattern repeats after 4 (1.5 x 2.5 is
#: 15 / 4 of CamVid's own pixels), and edges are likelier across its wider steps. Smaller maps have no such pattern.
PERIOD = 4
#: sizes that the network tells apart: 128x256 pixels and each quarter of them
LEVELS = 5
_KINDS = CLASSES + 1
#: rows of the table that index features look up, by feature
TABLES = {
    "pair": _KINDS**2,
    "others": _KINDS**2,
    "first_row": _KINDS * BANDS,
    "column": BANDS,
    "phase": PERIOD**2 + 1,
    "level": LEVELS,
    "first_level": _KINDS * LEVELS,
    "second_level": _KINDS * LEVELS,
}
ROWS = sum(TABLES.values())
_CLASS = np.arange(_KINDS, dtype=np.uint8)


def level_of(height: int, width: int) -> int:
    """Which of LEVELS is nearest in number of pixels, in octaves of the side.

    >>> level_of(128, 256), level_of(64, 128), level_of(8, 16), level_of(1, 1), level_of(1000, 1000)
    (0, 1, 4, 4, 0)
    """
    # half way between two levels in octaves of the side is a factor 2 in pixels
    return min(sum(height * width * 2 * 4**level < 128 * 256 for level in range(LEVELS)), LEVELS - 1)


@lru_cache(maxsize=64)
def offsets(width: int) -> np.ndarray:
    """int64 [places], how far away they are in a padded map that is read row by row."""
    return np.array([dy * (width + 2 * BESIDE) + dx for dy, dx in PLACES], dtype=np.int64)


def padded(height: int, width: int) -> np.ndarray:
    """uint8, a map of nothing with room for every place around it."""
    return np.full((height + ABOVE, width + 2 * BESIDE), NONE, dtype=np.uint8)


def inside(canvas: np.ndarray) -> np.ndarray:
    """The view of a padded map that is the map."""
    return canvas[ABOVE:, BESIDE:-BESIDE]


@lru_cache(maxsize=16)
def waves(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(pixels in the order of coding, as indices row by row; where each wave begins, and the end)."""
    wave = np.arange(width)[None, :] + LEAN * np.arange(height)[:, None]
    order = np.argsort(wave.ravel(), kind="stable")
    counts = np.bincount(wave.ravel())
    return order, np.concatenate([[0], np.cumsum(counts[counts > 0])])


def candidates(near: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first three different classes among the near places, or NONE; uint8 [n] each. The first is left, or above."""
    rows = np.arange(len(near))
    first = near[:, LEFT]
    first = np.where(first == NONE, near[:, UP], first)
    other = (near != first[:, None]) & (near != NONE)
    at = other.argmax(axis=1)
    second = np.where(other[rows, at], near[rows, at], NONE)
    nearest = near[:, :THIRD]
    other = other[:, :THIRD] & (nearest != second[:, None])
    at = other.argmax(axis=1)
    third = np.where(other[rows, at], nearest[rows, at], NONE)
    return first, second, third


def position(
    y: np.ndarray, x: np.ndarray, whole: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """(vertical and horizontal band, phase, level) of pixels of a map of size ``whole`` (H, W)."""
    height, width = whole
    level = level_of(height, width)
    phase = y % PERIOD * PERIOD + x % PERIOD if level == 0 else np.full_like(y, PERIOD**2)
    return y * BANDS // height, x * BANDS // width, phase, level


def features(
    around: np.ndarray, seen: np.ndarray, row: np.ndarray, column: np.ndarray, phase: np.ndarray, level: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(columns float32 [n, COLUMNS] of 0 and 1, rows of the table int64 [n, tables], candidates int64 [n, 3]).

    ``around``: classes at PLACES, uint8 [n, places]; ``seen``: which classes stood in earlier waves, bool [n or 1, classes];
    ``row``, ``column``, ``phase``, int64 [n], and ``level`` are those of `position`.
    """
    n, near, places = len(around), len(NEAR), len(PLACES)
    first, second, third = candidates(around[:, :near])
    made = np.empty((n, COLUMNS), dtype=np.float32)
    made[:, :places] = around == first[:, None]
    np.logical_and(around == second[:, None], (second != NONE)[:, None], out=made[:, places : 2 * places])
    np.logical_and(
        around[:, :THIRD] == third[:, None], (third != NONE)[:, None], out=made[:, 2 * places : 2 * places + THIRD]
    )
    start = 2 * places + THIRD
    made[:, start : start + CLASSES] = seen
    made[:, start + CLASSES :] = (around[:, near : near + LAYOUT, None] == _CLASS).reshape(n, -1)
    found = np.stack([first, second, third], axis=1).astype(np.int64)
    a, b, c = found.T
    index, start = np.empty((n, len(TABLES)), dtype=np.int64), 0
    parts = (a * _KINDS + b, b * _KINDS + c, a * BANDS + row, column, phase, level, a * LEVELS + level, b * LEVELS + level)
    for place, (part, rows) in enumerate(zip(parts, TABLES.values(), strict=True)):
        index[:, place] = part + start
        start += rows
    return made, index, found
