"""The buffer of surface numbers, and the table that says what each surface is.

Shapes are filled by Pillow's ImageDraw, without anti-aliasing, in a grid finer than the picture. Later shapes cover
earlier ones: callers draw from far to near.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw

#: how a surface is shaded: its own colour, or a texture in metres on its plane
PLAIN, LEAVES, FACADE, ROOF, WALL, BARKED = range(6)


class Canvas:
    def __init__(self, height: int, width: int):
        self.image = Image.new("I", (width, height), 0)
        self._draw = ImageDraw.Draw(self.image)
        self.shadow = Image.new("L", (width, height), 0)
        self._shadow = ImageDraw.Draw(self.shadow)
        # surface 0 is what lies behind everything: sky above the horizon, ground below
        self._classes, self._colours, self._planes, self._materials, self._details = [0], [(0.0,) * 3], [(0.0, 0.0)], [0], [0]

    def surface(self, label: int, colour, plane: tuple[float, float], material: int = PLAIN, detail: int = 0) -> int:
        self._classes.append(label)
        self._colours.append((float(colour[0]), float(colour[1]), float(colour[2])))
        self._planes.append(plane)
        self._materials.append(material)
        self._details.append(detail)
        return len(self._classes) - 1

    def _surfaces(self, label: int, colours: np.ndarray, plane: tuple[float, float], material: int) -> range:
        """One surface a colour [n, 3], on one plane."""
        first, n = len(self._classes), len(colours)
        self._classes += [label] * n
        self._colours += map(tuple, colours.tolist())
        self._planes += [plane] * n
        self._materials += [material] * n
        self._details += [0] * n
        return range(first, first + n)

    def polygon(self, points: np.ndarray, surface: int) -> None:
        self._draw.polygon(_grid(points), fill=surface)

    def ellipse(self, x: float, y: float, rx: float, ry: float, surface: int) -> None:
        """Filled; one sample at least."""
        left, top = round(x - rx), round(y - ry)
        self._draw.ellipse((left, top, left + max(0, round(2 * rx) - 1), top + max(0, round(2 * ry) - 1)), fill=surface)

    def ellipses(
        self, centres: np.ndarray, rx: np.ndarray, ry: np.ndarray, label: int, colours: np.ndarray, plane, material: int
    ) -> None:
        """Filled, [n, 2] and [n] each, one after the other, each a surface with its colour of [n, 3] on one plane."""
        low = np.rint(centres - np.stack([rx, ry], 1))
        high = low + np.maximum(0, np.rint(2 * np.stack([rx, ry], 1)) - 1)
        boxes = np.concatenate([low, high], 1)
        seen = ((high >= 0) & (low < self.image.size)).all(axis=1)
        for box, surface in zip(boxes[seen].tolist(), self._surfaces(label, colours[seen], plane, material), strict=True):
            self._draw.ellipse(box, fill=surface)

    def ring(self, x: float, y: float, r: float, width: float, surface: int) -> None:
        self._draw.ellipse((round(x - r), round(y - r), round(x + r), round(y + r)), outline=surface, width=max(1, round(width)))

    def stroke(self, points: np.ndarray, width: float, surface: int) -> None:
        """A line of ``width`` samples, one at least."""
        if len(points) == 2 and round(points[0][0]) == round(points[1][0]):
            return self.bar(points[0][0], points[0][1], points[1][1], width, surface)
        return self._draw.line(_grid(points), fill=surface, width=max(1, round(width)))

    def strokes(self, lines: np.ndarray, width: float, surface: int) -> None:
        """Lines [n, 2, 2] of one width, one sample at least."""
        wide = max(1, round(width))
        seen = ((lines.max(axis=1) >= -wide) & (lines.min(axis=1) < np.array(self.image.size) + wide)).all(axis=1)
        for line in np.rint(lines[seen].reshape(-1, 4) - 0.5).tolist():
            self._draw.line(line, fill=surface, width=wide)

    def bar(self, x: float, y0: float, y1: float, width: float, surface: int) -> None:
        """An upright bar centred on x, exactly ``width`` samples wide after rounding, one at least."""
        wide = max(1, round(width))
        left = round(x - wide / 2)
        top, bottom = round(min(y0, y1)), round(max(y0, y1))
        self._draw.rectangle((left, top, left + wide - 1, max(top, bottom - 1)), fill=surface)

    def cast(self, points: np.ndarray, darkness: float) -> None:
        """A shadow on the ground, over those already there."""
        self._shadow.polygon(_grid(points), fill=round(255 * darkness))

    def table(self) -> Table:
        return Table(
            np.array(self._classes, np.uint8),
            np.array(self._colours, np.float32),
            np.array(self._planes, np.float32),
            np.array(self._materials, np.uint8),
            np.array(self._details, np.int32),
        )


class Table:
    """Columns over surfaces: class, colour (radiance where plain, albedo elsewhere), plane, material, detail."""

    def __init__(self, classes, colours, planes, materials, details):
        self.classes, self.colours, self.planes, self.materials, self.details = classes, colours, planes, materials, details


def _grid(points: Iterable) -> list[int]:
    """Whole samples: a sample belongs to a shape that reaches its centre."""
    if isinstance(points, np.ndarray):
        return np.rint(points.reshape(-1) - 0.5).astype(np.int64).tolist()
    return [round(c - 0.5) for point in points for c in point]
