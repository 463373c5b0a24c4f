"""Cars, vans and buses: stacked frusta with wheels, glass and lamps, seen from any direction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from semcom.source.street.camera import NEAR
from semcom.source.street.classes import CAR
from semcom.source.street.stage import Stage

PAINTS = (
    (0.50, 0.50, 0.49), (0.25, 0.26, 0.27), (0.02, 0.02, 0.022), (0.02, 0.05, 0.20), (0.30, 0.02, 0.02), (0.09, 0.10, 0.11),
    (0.015, 0.07, 0.05), (0.60, 0.60, 0.58), (0.05, 0.10, 0.16), (0.28, 0.24, 0.17),
)  # fmt: skip
GLASS = np.array([0.02, 0.025, 0.03])


@dataclass(frozen=True)
class Shape:
    """Metres, from the tail (0) to the nose: length, width, height; shoulder; the cabin's foot and top along the length."""

    length: float
    width: float
    height: float
    shoulder: float
    foot: tuple[float, float]
    top: tuple[float, float]
    taper: float = 0.80
    panelled: bool = False


SHAPES = {
    "hatch": Shape(3.9, 1.70, 1.46, 0.92, (0.08, 2.95), (0.45, 2.15)),
    "saloon": Shape(4.5, 1.76, 1.43, 0.92, (0.65, 3.35), (1.25, 2.55)),
    "estate": Shape(4.6, 1.76, 1.48, 0.94, (0.05, 3.35), (0.35, 2.6)),
    "suv": Shape(4.6, 1.88, 1.75, 1.08, (0.06, 3.4), (0.4, 2.7), 0.84),
    "van": Shape(5.2, 1.98, 2.25, 1.15, (0.0, 4.6), (0.04, 3.8), 0.92, True),
    "bus": Shape(10.5, 2.5, 3.1, 1.2, (0.0, 10.5), (0.05, 10.4), 0.97),
    "double decker": Shape(10.5, 2.5, 4.3, 1.2, (0.0, 10.5), (0.05, 10.4), 0.97),
}
KINDS, SHARES = tuple(SHAPES), (0.36, 0.24, 0.12, 0.12, 0.10, 0.04, 0.02)


@dataclass(frozen=True)
class Vehicle:
    """Its tail's middle stands ``across`` at ``z``; ``heading`` (across, Z) is where the nose points."""

    kind: str
    across: float
    z: float
    heading: tuple[float, float]
    paint: np.ndarray
    moving: bool

    @property
    def far(self) -> float:
        """Z of its far end."""
        shape = SHAPES[self.kind]
        return self.z + max(0.0, self.heading[1] * shape.length) + abs(self.heading[0]) * shape.width * 0.5


def draw_vehicle(
    rng: np.random.Generator, across: float, z: float, heading: tuple[float, float], moving: bool, large: bool = True
) -> Vehicle:
    shares = np.array(SHARES) * ([1] * 5 + [int(large)] * 2)
    kind = KINDS[int(rng.choice(len(KINDS), p=shares / shares.sum()))]
    paint = np.array(PAINTS[int(rng.integers(len(PAINTS)))]) * rng.uniform(0.75, 1.2)
    if kind == "van" and rng.random() < 0.6:
        paint = np.array([0.58, 0.58, 0.56])
    return Vehicle(kind, across, z, heading, paint, moving)


class _Body:
    """Turns (along, aside, up) of a vehicle into samples and paints its faces."""

    def __init__(self, stage: Stage, vehicle: Vehicle, sunlit: float):
        self.canvas, self.camera, self.light = stage.canvas, stage.camera, stage.light
        self.v, self.sunlit = vehicle, sunlit
        middle = vehicle.z + vehicle.heading[1] * SHAPES[vehicle.kind].length / 2
        self.shift = self.camera.bend * max(middle, 0.0) ** 2

    def world(self, points) -> np.ndarray:
        p = np.asarray(points, np.float64)
        hx, hz = self.v.heading
        x = self.v.across + p[:, 0] * hx + p[:, 1] * hz + self.shift
        z = self.v.z + p[:, 0] * hz - p[:, 1] * hx
        return np.stack([x, p[:, 2], z], -1)

    def corners(self, points) -> list[tuple[float, float, float]]:
        """`world` of a few points, faster."""
        (hx, hz), x, z = self.v.heading, self.v.across + self.shift, self.v.z
        return [(x + a * hx + b * hz, up, z + a * hz - b * hx) for a, b, up in points]

    def normal(self, along: float, aside: float, up: float) -> tuple[float, float, float]:
        hx, hz = self.v.heading
        n = math.hypot(along, aside, up)
        return (along * hx + aside * hz) / n, up / n, (along * hz - aside * hx) / n

    def seen(self, points, normal) -> bool:
        ((x, y, z),) = self.corners(points[:1])
        n = self.normal(*normal)
        return (self.camera.across - x) * n[0] + (self.camera.height - y) * n[1] - z * n[2] > 0

    def face(self, points, albedo, normal, glow=0.0, gloss=0.0) -> None:
        corners, c = [(x, y, max(z, NEAR)) for x, y, z in self.corners(points)], self.camera
        way = -c.f if c.mirrored else c.f
        n = self.normal(*normal)
        radiance = self.light.on(albedo, n, self.sunlit, 0.85) + glow * np.asarray(albedo)
        mirror = self.light.horizon * 0.45 + self.light.zenith * 0.35 * max(0.0, n[1])
        surface = self.canvas.surface(
            CAR, radiance + gloss * (0.3 + 0.7 * max(0.0, n[1])) * mirror, c.facing(sum(z for _, _, z in corners) / len(corners))
        )
        self.canvas.polygon([(c.cx + way * (x - c.across) / z, c.cy - c.f * (y - c.height) / z) for x, y, z in corners], surface)


def _frustum(low, high) -> list[tuple[list, tuple]]:
    """Faces (points, outward normal) between rectangles (along from, to, half width, up): tail, nose, left, right, top."""
    (a0, a1, w0, y0), (b0, b1, w1, y1) = low, high
    rise = y1 - y0
    return [
        ([(a0, -w0, y0), (a0, w0, y0), (b0, w1, y1), (b0, -w1, y1)], (-rise, 0, b0 - a0)),
        ([(a1, -w0, y0), (a1, w0, y0), (b1, w1, y1), (b1, -w1, y1)], (rise, 0, a1 - b1)),
        ([(a0, -w0, y0), (a1, -w0, y0), (b1, -w1, y1), (b0, -w1, y1)], (0, -rise, w0 - w1)),
        ([(a0, w0, y0), (a1, w0, y0), (b1, w1, y1), (b0, w1, y1)], (0, rise, w0 - w1)),
        ([(b0, -w1, y1), (b1, -w1, y1), (b1, w1, y1), (b0, w1, y1)], (0, 0, 1)),
    ]


def _inset(face, u0, u1, v0, v1) -> list[tuple[float, float, float]]:
    """A part of a four-cornered face, by shares of its width and height."""
    a, b, c, d = face

    def at(u, v):
        return tuple((p * (1 - u) + q * u) * (1 - v) + (s * (1 - u) + r * u) * v for p, q, r, s in zip(a, b, c, d, strict=True))

    return [at(u0, v0), at(u1, v0), at(u1, v1), at(u0, v1)]


def paint_vehicle(stage: Stage, vehicle: Vehicle, sunlit: float) -> None:
    s, body = SHAPES[vehicle.kind], _Body(stage, vehicle, sunlit)
    w, paint = s.width / 2, vehicle.paint
    tall = s.height > 3
    _wheels(body, s)
    skirt = _frustum((0.12, s.length - 0.12, w * 0.9, 0.22), (0.0, s.length, w * 0.98, 0.55))
    shoulder = _frustum((0.0, s.length, w * 0.98, 0.55), (0.06, s.length - 0.12, w * 0.95, s.shoulder))
    cabin = _frustum((*s.foot, w * 0.93, s.shoulder), (*s.top, w * 0.93 * s.taper, s.height))
    for faces, gloss in ((skirt, 0.03), (shoulder, 0.10), (cabin, 0.12)):
        for i, (points, normal) in enumerate(faces):
            if not body.seen(points, normal):
                continue
            bumper = faces is skirt and i < 2
            body.face(
                points, paint * (0.35 if bumper and paint.mean() > 0.03 else 0.8 if faces is skirt else 1.0), normal, gloss=gloss
            )
            if faces is skirt and i in (2, 3):
                _arches(body, s, w * (0.985 if i == 3 else -0.985), normal)
            if faces is shoulder and i < 2:
                _lamps(body, points, normal, tail=i == 0)
            if faces is cabin and i < 4:
                _windows(body, points, normal, i, s, tall)


def _windows(body: _Body, points, normal, i: int, s: Shape, tall: bool) -> None:
    rows = ((0.1, 0.40), (0.58, 0.88)) if s.height > 4 else ((0.12, 0.85),)
    for v0, v1 in rows if tall else ((0.1, 0.88),):
        if i < 2:
            if s.panelled and i == 0:
                panes = ((0.12, 0.46, 0.45, 0.85), (0.54, 0.88, 0.45, 0.85))
            else:
                panes = ((0.07, 0.93, v0, v1),)
        elif s.panelled:
            panes = ((0.72, 0.93, 0.1, 0.7),)
        elif tall:
            panes = tuple((k / 9 + 0.012, (k + 1) / 9 - 0.012, v0, v1) for k in range(9))
        else:
            panes = ((0.12, 0.36, v0, v1), (0.39, 0.60, v0, v1), (0.63, 0.90, v0, v1 * 0.97))
        for pane in panes:
            body.face(_inset(points, *pane), GLASS, normal, gloss=0.16, glow=8.0 * body.light.night if tall else 0.0)


def _lamps(body: _Body, points, normal, tail: bool) -> None:
    night = body.light.night if body.v.moving else 0.0
    if tail:
        colour, glow = np.array([0.38, 0.02, 0.015]), 2.2 * night
    else:
        colour, glow = np.array([0.62, 0.62, 0.60]), 5.0 * night
    for u in (0.03, 0.81):
        body.face(_inset(points, u, u + 0.16, 0.35, 0.92), colour, normal, glow=glow, gloss=0.1)
    if not tail:
        body.face(_inset(points, 0.25, 0.75, 0.3, 0.75), np.array([0.02] * 3), normal)
    plate = np.array([0.55, 0.43, 0.06]) if tail else np.array([0.6] * 3)
    body.face(_inset(points, 0.36, 0.64, 0.02, 0.32), plate, normal)
    body.face(_inset(points, 0.39, 0.61, 0.1, 0.22), plate * 0.25, normal)


def _wheels(body: _Body, s: Shape) -> None:
    """Tyres under the body, and the dark between them."""
    w = s.width / 2
    for a in (0.0, s.length):
        normal = (-1.0 if a == 0 else 1.0, 0, 0)
        under = [
            (a + 0.2 * (1 if a == 0 else -1), x, y)
            for x, y in ((-w * 0.85, 0.08), (w * 0.85, 0.08), (w * 0.85, 0.4), (-w * 0.85, 0.4))
        ]
        if body.seen(under, normal):
            body.face(under, np.array([0.008] * 3), normal)
            for x in (-w * 0.93, w * 0.71):
                tyre = [(a + 0.3 * (1 if a == 0 else -1), x, 0), (a + 0.3 * (1 if a == 0 else -1), x + w * 0.22, 0)]
                body.face([*tyre, *((p[0], p[1], 0.4) for p in tyre[::-1])], np.array([0.015] * 3), normal)


def _arches(body: _Body, s: Shape, aside: float, normal) -> None:
    """Wheels on a side: arch, tyre, rim."""
    r = 0.32 if s.height < 2 else 0.36 if s.height < 3 else 0.5
    turn = np.linspace(0, 2 * math.pi, 13)[:-1]
    for a in (0.19 * s.length, 0.81 * s.length):
        for scale, colour in ((1.16, 0.006), (1.0, 0.018), (0.62, 0.22), (0.18, 0.06)):
            disc = [(a + math.cos(t) * r * scale, aside, max(0.0, r + math.sin(t) * r * scale)) for t in turn]
            body.face(disc, np.array([colour] * 3), normal)


def cast_vehicle(stage: Stage, vehicle: Vehicle, sunlit: float) -> None:
    """Dark under the car on any day, and the shadow of its box in the sun."""
    canvas, camera, light = stage.canvas, stage.camera, stage.light
    s = SHAPES[vehicle.kind]
    body = _Body(stage, vehicle, sunlit)
    w = s.width / 2
    foot = body.world([(0, -w, 0), (s.length, -w, 0), (s.length, w, 0), (0, w, 0)])
    sx, sy, sz = light.sun
    strength = min(1.0, float(np.mean(light.sun_colour)) * sunlit)
    if strength > 0.1:
        t = min(s.height / max(sy, 0.12), 9.0)
        top = foot - np.array([sx * t, 0, sz * t])
        hull = _hull(np.concatenate([foot, top])[:, [0, 2]])
        hull[:, 1] = np.maximum(hull[:, 1], NEAR)
        canvas.cast(camera.project(hull[:, 0], np.zeros(len(hull)), hull[:, 1]), 0.72)
    for grow, dark in ((0.35, 0.45), (0.12, 0.85)):
        g = body.world(
            [(-grow, -w - grow, 0), (s.length + grow, -w - grow, 0), (s.length + grow, w + grow, 0), (-grow, w + grow, 0)]
        )
        g[:, 2] = np.maximum(g[:, 2], NEAR)
        canvas.cast(camera.project(g[:, 0], g[:, 1], g[:, 2]), max(dark, 0.72 if strength > 0.1 and grow > 0.3 else dark))


def _hull(points: np.ndarray) -> np.ndarray:
    """The convex hull of a few points, in order (Andrew's monotone chain)."""
    ordered = sorted(map(tuple, points.tolist()))

    def half(sequence):
        chain: list[tuple[float, float]] = []
        for p in sequence:
            while len(chain) > 1 and (chain[-1][0] - chain[-2][0]) * (p[1] - chain[-2][1]) <= (chain[-1][1] - chain[-2][1]) * (
                p[0] - chain[-2][0]
            ):
                chain.pop()
            chain.append(p)
        return chain[:-1]

    return np.array(half(ordered) + half(ordered[::-1]))
