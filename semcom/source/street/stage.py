"""What painting needs: where to draw, from where it is seen, in which light; and flat figures that face the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semcom.source.street.camera import Camera
from semcom.source.street.canvas import Canvas
from semcom.source.street.facade import Facade
from semcom.source.street.light import Light, Skyline

#: the normal of what faces the camera
FACE = (0.0, 0.0, -1.0)


@dataclass(frozen=True)
class Stage:
    """``facades`` collects the faces of houses; ``rng`` is the scene's stream, in the order of painting."""

    canvas: Canvas
    camera: Camera
    light: Light
    skyline: Skyline
    facades: list[Facade]
    rng: np.random.Generator

    def sunlit(self, across: float, z: float, y: float = 0.9) -> float:
        return self.skyline.sunlit_at(self.light, across, y, z)

    def painter(self, across: float, z: float) -> Painter:
        return Painter(self, across, z)


class Painter:
    """Draws flat things that stand across the view: points in metres right of and above a foot."""

    def __init__(self, stage: Stage, across: float, z: float):
        self.canvas, self.camera, self.light, self.rng = stage.canvas, stage.camera, stage.light, stage.rng
        self.z, self.sunlit = z, stage.sunlit(across, z)
        self.x, self.scale, self.plane = float(stage.camera.x(across, z)), stage.camera.f / z, stage.camera.facing(z)

    def paint(self, label: int, albedo, normal=FACE, glow=0.0) -> int:
        radiance = self.light.on(albedo, normal, self.sunlit) + glow * np.asarray(albedo)
        return self.canvas.surface(label, radiance, self.plane)

    def at(self, points) -> list[tuple[float, float]]:
        c, s = self.camera, self.scale
        across = -s if c.mirrored else s
        return [(c.cx + (self.x - c.across + x) * across, c.cy - (y - c.height) * s) for x, y in points]

    def polygon(self, points, surface: int) -> None:
        self.canvas.polygon(self.at(points), surface)

    def box(self, x0, y0, x1, y1, surface: int) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], surface)

    def disc(self, x, y, r, surface: int, squash: float = 1.0) -> None:
        (px, py), s = self.at([(x, y)])[0], self.scale
        self.canvas.ellipse(px, py, r * s * squash, r * s, surface)

    def ring(self, x, y, r, width, surface: int) -> None:
        (px, py), s = self.at([(x, y)])[0], self.scale
        self.canvas.ring(px, py, r * s, width * s, surface)

    def pole(self, x, y0, y1, width, surface: int) -> None:
        (px, p0), (_, p1) = self.at([(x, y0), (x, y1)])
        self.canvas.bar(px, p0, p1, width * self.scale, surface)

    def stroke(self, points, width, surface: int) -> None:
        self.canvas.stroke(self.at(points), width * self.scale, surface)
