"""Street furniture: lamp posts, signals, signs, bollards, fences, walls, bins, benches, shelters, parked bicycles."""

from __future__ import annotations

import math

import numpy as np

from semcom.source.street.camera import NEAR
from semcom.source.street.canvas import WALL
from semcom.source.street.classes import FENCE, POLE, SIGN, VOID
from semcom.source.street.stage import Painter, Stage

METAL = np.array([0.16, 0.17, 0.17])


def paint_lamp(p: Painter, side: int) -> None:
    height, reach = p.rng.uniform(5.5, 9.0), p.rng.uniform(0.8, 1.8) * (1 - 2 * side)
    colour = METAL * p.rng.choice([0.3, 0.9, 1.6])
    post = p.paint(POLE, colour)
    p.pole(0, 0, 1.1, 0.17, post)
    p.pole(0, 1.0, height, 0.11, post)
    p.stroke([(0, height), (reach * 0.5, height + 0.35), (reach, height + 0.4)], 0.06, post)
    head = p.paint(POLE, np.array([0.5, 0.48, 0.42]), glow=6.0 * p.light.night)
    p.polygon(
        [(reach * 0.8, height + 0.33), (reach * 1.3, height + 0.36), (reach * 1.25, height + 0.5), (reach * 0.85, height + 0.5)],
        head,
    )


def paint_signal(p: Painter, side: int) -> None:
    """A traffic light; its head is a sign, its post a pole."""
    height = p.rng.uniform(3.2, 3.9)
    p.pole(0, 0, height, 0.12, p.paint(POLE, METAL * 0.8))
    back, low = p.paint(SIGN, np.array([0.015, 0.015, 0.016])), height - 1.0
    p.box(-0.28, low, 0.28, height + 0.1, back)
    lit = int(p.rng.integers(3))
    for i, colour in enumerate(((1.0, 0.05, 0.03), (1.0, 0.5, 0.02), (0.03, 0.9, 0.4))):
        lamp = np.array(colour)
        p.disc(
            0, height - 0.12 - 0.33 * i, 0.12, p.paint(SIGN, lamp * (0.6 if i == lit else 0.05), glow=1.2 if i == lit else 0.0)
        )


def paint_sign(p: Painter) -> None:
    height = p.rng.uniform(2.3, 3.2)
    p.pole(0, 0, height + 0.2, 0.075, p.paint(POLE, METAL * 1.1))
    red, white, blue = np.array([0.42, 0.02, 0.02]), np.array([0.66, 0.66, 0.64]), np.array([0.02, 0.08, 0.36])
    shape, r = p.rng.choice(["round", "triangle", "plate", "direction"], p=[0.35, 0.2, 0.25, 0.2]), p.rng.uniform(0.32, 0.45)
    if shape == "round":
        outer, inner = (red, white) if p.rng.random() < 0.7 else (blue, blue * 1.4)
        p.disc(0, height, r, p.paint(SIGN, outer))
        p.disc(0, height, r * 0.7, p.paint(SIGN, inner))
        p.box(
            -r * 0.4,
            height - r * 0.12,
            r * 0.4,
            height + r * 0.12,
            p.paint(SIGN, np.array([0.03] * 3) if outer is red else white),
        )
    elif shape == "triangle":
        for size, colour in ((1.2, red), (0.75, white)):
            s = r * size
            p.polygon([(-s, height - s * 0.6), (s, height - s * 0.6), (0, height + s * 1.05)], p.paint(SIGN, colour))
    else:
        w, h = (
            (p.rng.uniform(0.3, 0.5), p.rng.uniform(0.35, 0.7))
            if shape == "plate"
            else (p.rng.uniform(0.5, 0.85), p.rng.uniform(0.22, 0.36))
        )
        colour = [white, blue, np.array([0.02, 0.16, 0.06]), np.array([0.55, 0.42, 0.03])][int(p.rng.integers(4))]
        p.box(-w, height - h, w, height + h, p.paint(SIGN, colour))
        ink = p.paint(SIGN, np.array([0.04] * 3) if colour.mean() > 0.3 else white)
        for y in (-0.45, 0.1):
            p.box(-w * 0.75, height + h * y, w * p.rng.uniform(0.2, 0.75), height + h * (y + 0.3), ink)


def paint_bollard(p: Painter) -> None:
    post = p.paint(POLE, np.array([0.03, 0.03, 0.03]) if p.rng.random() < 0.6 else METAL)
    p.pole(0, 0, 1.0, 0.15, post)
    p.pole(0, 0.78, 0.88, 0.16, p.paint(POLE, np.array([0.6, 0.6, 0.56])))


def paint_bin(p: Painter) -> None:
    colour = np.array([(0.03, 0.03, 0.035), (0.03, 0.09, 0.04), (0.16, 0.16, 0.16), (0.25, 0.03, 0.03)][int(p.rng.integers(4))])
    w, h = p.rng.uniform(0.22, 0.42), p.rng.uniform(0.9, 1.5)
    p.box(-w, 0.03, w, h, p.paint(VOID, colour))
    p.box(-w * 0.75, h * 0.66, w * 0.75, h * 0.82, p.paint(VOID, colour * 0.3))
    p.box(-w * 1.1, h - 0.05, w * 1.1, h + 0.07, p.paint(VOID, colour * 1.3, (0, 0.8, -0.6)))


def paint_cabinet(p: Painter) -> None:
    """A telephone box or a cabinet for cables."""
    tall = p.rng.random() < 0.45
    w, h = (0.45, 2.4) if tall else (p.rng.uniform(0.4, 0.8), p.rng.uniform(1.1, 1.6))
    colour = np.array([0.30, 0.02, 0.015]) if tall else np.array([0.09, 0.12, 0.09]) * p.rng.uniform(0.7, 1.6)
    p.box(-w, 0, w, h, p.paint(VOID, colour))
    pane = p.paint(VOID, np.array([0.10, 0.12, 0.13]) if tall else colour * 0.8)
    for column in range(3 if tall else 2):
        for row in range(5 if tall else 1):
            x0, step = -w * 0.8 + column * w * 1.6 / (3 if tall else 2), w * 1.6 / (3 if tall else 2)
            y0, lift = 0.35 + row * 0.34, 0.34 if tall else h - 0.5
            p.box(x0 + 0.03, y0, x0 + step - 0.03, y0 + lift - 0.05, pane)


def paint_bench(p: Painter) -> None:
    wood, leg = p.paint(VOID, np.array([0.16, 0.10, 0.05])), p.paint(VOID, np.array([0.03, 0.03, 0.03]))
    w = p.rng.uniform(0.7, 1.0)
    for x in (-w * 0.8, w * 0.8):
        p.pole(x, 0, 0.85, 0.08, leg)
    for y in (0.42, 0.6, 0.75):
        p.box(-w, y, w, y + 0.11, wood)


def paint_shelter(p: Painter, side: int) -> None:
    """A bus shelter: roof, posts, a poster."""
    metal, w = p.paint(VOID, METAL * 0.6), p.rng.uniform(1.2, 1.7)
    pane = p.paint(VOID, np.array([0.22, 0.25, 0.26]) * p.rng.uniform(0.5, 1.0))
    p.box(-w, 0.25, w, 2.2, pane)
    for x in (-w, -w * 0.33, w * 0.33, w):
        p.pole(x, 0, 2.3, 0.08, metal)
    p.box(-w * 1.05, 2.25, w * 1.05, 2.5, metal)
    poster = p.rng.uniform(0.1, 0.5, 3)
    a = w * (1 - 2 * side) * 0.98
    p.box(min(a, a * 0.4), 0.5, max(a, a * 0.4), 2.05, p.paint(VOID, poster, glow=0.7 * p.light.night))
    p.box(min(a * 0.9, a * 0.5), 1.1, max(a * 0.9, a * 0.5), 1.6, p.paint(VOID, poster[::-1] * 0.6, glow=0.7 * p.light.night))


def paint_parked_bicycle(p: Painter) -> None:
    tyre, frame = p.paint(VOID, np.array([0.02, 0.02, 0.02])), p.paint(VOID, p.rng.uniform(0.02, 0.35, 3))
    s = math.copysign(1, p.rng.random() - 0.5)
    for x in (-0.5, 0.52):
        p.ring(x, 0.34, 0.34, 0.05, tyre)
    for line in (
        [(-0.5, 0.34), (-0.15, 0.8)], [(-0.15, 0.8), (0.38, 0.82)], [(0.0, 0.32), (0.38, 0.8)], [(0.0, 0.32), (-0.15, 0.95)],
        [(-0.5, 0.34), (0.0, 0.32)], [(0.52, 0.34), (0.36, 1.02)], [(0.28, 1.02), (0.45, 1.02)], [(-0.25, 0.97), (-0.05, 0.97)],
    ):  # fmt: skip
        p.stroke([(s * x, y) for x, y in line], 0.05, frame)


def paint_railings(stage: Stage, across: float, z0: float, z1: float, sunlit: float) -> None:
    """Iron bars on a low plinth, one by one, far end first."""
    canvas, camera, light, rng = stage.canvas, stage.camera, stage.light, stage.rng
    tone, height = np.array([0.02, 0.02, 0.022]) if rng.random() < 0.7 else np.array([0.03, 0.08, 0.05]), rng.uniform(1.0, 1.5)
    a, b = max(z0, NEAR + 0.4), z1
    x0, x1 = camera.x(across, a), camera.x(across, b)
    normal, plane = (-math.copysign(1, across), 0, 0), camera.wall(x0, a, x1, b)
    stone = canvas.surface(FENCE, np.array([0.24, 0.20, 0.15]) * rng.uniform(0.5, 1.2), plane, WALL)
    plinth = rng.uniform(0.25, 0.6)
    canvas.polygon(camera.project([x0, x1, x1, x0], [0, 0, plinth, plinth], [a, b, b, a]), stone)
    bar = canvas.surface(FENCE, light.on(tone, normal, sunlit), plane)
    spacing = 0.14
    z = np.arange(b, a, -spacing)
    tops, feet = (
        camera.project(camera.x(across, z), np.full(len(z), height), z),
        camera.project(camera.x(across, z), np.full(len(z), plinth), z),
    )
    # bars nearer to each other than a sample would fill the panel: leave out what a sample cannot tell apart
    last = -math.inf
    for (px, top), (_, foot), zz in zip(tops.tolist(), feet.tolist(), z.tolist(), strict=True):
        width = max(1.0, 0.035 * camera.f / zz)
        if abs(px - last) >= 2.0 * width:
            canvas.bar(px, top, foot, width, bar)
            last = px
    for y in (plinth + 0.12, height - 0.06):
        rail = camera.project([x0, x1, x1, x0], [y, y, y + 0.05, y + 0.05], [a, b, b, a])
        canvas.polygon(rail, bar)


def paint_wall(stage: Stage, across: float, z0: float, z1: float, height: float, label: int = FENCE) -> None:
    """A garden wall or a boarded fence along the back of a pavement."""
    canvas, camera, light, rng = stage.canvas, stage.camera, stage.light, stage.rng
    a, b = max(z0, NEAR), z1
    x0, x1 = camera.x(across, a), camera.x(across, b)
    albedo = [
        np.array([0.24, 0.11, 0.07]),
        np.array([0.30, 0.25, 0.17]),
        np.array([0.20, 0.13, 0.07]),
        np.array([0.33, 0.32, 0.30]),
    ][int(rng.integers(4))]
    surface = canvas.surface(label, albedo * rng.uniform(0.7, 1.2), camera.wall(x0, a, x1, b), WALL)
    canvas.polygon(camera.project([x0, x1, x1, x0], [0, 0, height, height], [a, b, b, a]), surface)
    coping = canvas.surface(label, light.on(albedo * 1.2, (0, 1, 0)), camera.wall(x0, a, x1, b))
    canvas.polygon(camera.project([x0, x1, x1, x0], [height, height, height + 0.08, height + 0.08], [a, b, b, a]), coping)


def paint_barrier(p: Painter) -> None:
    """Pedestrian guard rail across the view, or a works barrier in red and white."""
    w = p.rng.uniform(0.9, 1.6)
    if p.rng.random() < 0.5:
        bar = p.paint(FENCE, METAL * 1.3)
        for y in (0.15, 1.0):
            p.box(-w, y, w, y + 0.06, bar)
        for x in np.linspace(-w, w, 13):
            p.pole(x, 0.1 if abs(x) < w else 0.0, 1.05, 0.03, bar)
        return
    red, white = p.paint(FENCE, np.array([0.45, 0.03, 0.02])), p.paint(FENCE, np.array([0.6, 0.6, 0.58]))
    for y in (0.35, 0.8):
        for i, x in enumerate(np.linspace(-w, w, 7)[:-1]):
            p.box(x, y, x + w / 3, y + 0.22, red if i % 2 else white)
    for x in (-w * 0.9, w * 0.9):
        p.pole(x, 0, 1.0, 0.06, red)
