"""A pinhole camera behind a windscreen, and the planes that it sees.

World axes in metres: X to the right of the road's centre line, Y up from the road, Z ahead of the camera. The optical
axis is parallel to the road; pitch and yaw are shifts of the principal point, so vertical things stay vertical. A bend
moves everything at distance Z sideways by ``bend * Z**2``; positions "across" are given before that shift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: nothing nearer than this is drawn, m
NEAR = 0.7


@dataclass(frozen=True)
class Camera:
    """``f``, ``cx``, ``cy`` in samples; ``across`` and ``height`` of the lens in metres; ``bend`` in 1/m."""

    f: float
    cx: float
    cy: float
    across: float
    height: float
    bend: float
    mirrored: bool = False

    def x(self, across, z):
        """World X of a position across the road."""
        return across + self.bend * z * z

    def project(self, x, y, z):
        """Sample coordinates [..., 2] of world points; columns run the other way in a mirrored scene."""
        scale = self.f / np.asarray(z, np.float64)
        column = (np.asarray(x) - self.across) * scale
        points = np.empty((*column.shape, 2))
        points[..., 0] = self.cx - column if self.mirrored else self.cx + column
        points[..., 1] = self.cy - (np.asarray(y) - self.height) * scale
        return points

    def facing(self, z: float) -> tuple[float, float]:
        """1/Z of a plane across the view, as (slope over the column's tangent, constant)."""
        return 0.0, 1.0 / z

    def wall(self, x0: float, z0: float, x1: float, z1: float) -> tuple[float, float]:
        """1/Z of the vertical plane through two points on the ground, affine in the column's tangent (X - across) / Z."""
        nx, nz = z1 - z0, x0 - x1
        distance = nx * (x0 - self.across) + nz * z0
        if abs(distance) < 1e-6:  # seen edge on
            return 0.0, 2.0 / (z0 + z1)
        return nx / distance, nz / distance

    def tangents(self, columns: np.ndarray) -> np.ndarray:
        """(X - across) / Z under the centres of columns of samples."""
        t = (columns + 0.5 - self.cx) / self.f
        return (-t if self.mirrored else t).astype(np.float32)
