"""A scene before any pixel: the camera, the light, the road, and everything that stands on a box of ground."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from semcom.source.street.camera import Camera
from semcom.source.street.light import Light, Skyline
from semcom.source.street.order import far_to_near
from semcom.source.street.road import Road
from semcom.source.street.stage import Stage


@dataclass(frozen=True)
class Item:
    """Something that stands on ``box`` (across from, to, Z from, to) and how it is painted, its shadow first."""

    box: tuple[float, float, float, float]
    paint: Callable[[Stage], None]
    cast: Callable[[Stage], None] | None = None


@dataclass(frozen=True)
class View:
    """The camera before the picture's size is known: angles, and shifts as shares of the picture."""

    field_of_view: float  # horizontal, rad
    right: float  # of the vanishing point, in widths
    below: float  # of the horizon, in the lesser of height and half a width
    across: float
    height: float
    bend: float
    mirrored: bool

    def camera(self, height: int, width: int) -> Camera:
        f = width / 2 / math.tan(self.field_of_view / 2)
        column = width * (0.5 - self.right if self.mirrored else 0.5 + self.right)
        return Camera(
            f, column, height / 2 + self.below * min(height, width / 2), self.across, self.height, self.bend, self.mirrored
        )


@dataclass
class Scene:
    view: View
    light: Light
    road: Road
    skyline: Skyline
    end: float
    items: list[Item] = field(default_factory=list)

    def add(self, across: float, z: float, half: float, paint, cast=None, long: float = 0.15) -> None:
        self.items.append(Item((across - half, across + half, z - long, z + long), paint, cast))

    def ordered(self) -> list[Item]:
        boxes = np.array([item.box for item in self.items], np.float64).reshape(-1, 4)
        return [self.items[i] for i in far_to_near(boxes, self.view.across)]

    def free(self, across: float, z: float, half: float = 0.4) -> bool:
        """Whether nothing but houses stands within ``half`` across and twice that along the road."""
        near = (i.box for i in self.items if i.box[3] - i.box[2] < 6 or i.box[1] - i.box[0] < 6)
        return not any(a < across + half and b > across - half and n < z + 2 * half and f > z - 2 * half for a, b, n, f in near)
