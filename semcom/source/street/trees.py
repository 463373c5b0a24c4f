"""Trees in leaf, bare trees, conifers and hedges: trunks and branches as strokes, foliage as clumps of leaves."""

from __future__ import annotations

import math

import numpy as np

from semcom.source.street.camera import NEAR
from semcom.source.street.canvas import BARKED, LEAVES
from semcom.source.street.classes import TREE
from semcom.source.street.stage import Stage

BARK = np.array([0.085, 0.065, 0.05])
GREENS = (
    (0.075, 0.12, 0.03),
    (0.05, 0.085, 0.025),
    (0.11, 0.14, 0.035),
    (0.04, 0.07, 0.035),
    (0.19, 0.12, 0.03),
    (0.17, 0.07, 0.025),
)


def paint_tree(stage: Stage, across: float, z: float, kind: str, sunlit: float) -> None:
    """``kind`` is leafy, bare or conifer. What it costs does not depend on the picture's size, so neither do the draws."""
    camera, rng = stage.camera, stage.rng
    x = camera.x(across, z)
    height = rng.uniform(6.0, 12.0)
    plane = camera.facing(z)
    if kind != "conifer":
        _trunk(stage, x, z, height, sunlit)
    if kind == "bare":
        _branches(stage, x, z, height, sunlit)
        return
    tone = np.array(GREENS[int(rng.choice(len(GREENS), p=[0.3, 0.25, 0.16, 0.15, 0.08, 0.06]))]) * rng.uniform(0.7, 1.25)
    count = int(np.clip(7000 / z, 60, 600))
    if kind == "conifer":
        level = rng.random(count)
        spread = (1 - level) * height * 0.24
        cx, cy = rng.uniform(-1, 1, count) * spread, 0.5 + level * (height - 0.5)
        size = 0.25 + 0.5 * (1 - level)
        nx, ny = cx / np.maximum(spread, 0.1), 2 * level - 1
        tone = np.array([0.03, 0.055, 0.028]) * rng.uniform(0.8, 1.4)
    else:
        crown, radius = height * rng.uniform(0.58, 0.68), height * rng.uniform(0.24, 0.36)
        angle, reach = rng.uniform(0, 2 * math.pi, count), np.sqrt(rng.random(count))
        lobes = 1 + 0.18 * np.sin(3 * angle + rng.uniform(0, 6)) + 0.1 * np.sin(5 * angle + rng.uniform(0, 6))
        nx, ny = np.cos(angle) * reach, np.sin(angle) * reach
        cx, cy = nx * radius * lobes, crown + ny * radius * 1.05 * lobes
        grain = math.sqrt(110 / count)  # more clumps are smaller ones
        size = rng.uniform(0.10, 0.22, count) * radius * (1.25 - 0.9 * reach) * max(0.42, min(1.0, grain))
    depth = rng.uniform(-1, 1, count)
    order = np.argsort(depth, kind="stable")
    _clumps(stage, x + cx[order], cy[order], z, size[order], nx[order], ny[order], depth[order], tone, plane, sunlit)


def paint_hedge(stage: Stage, across: float, z0: float, z1: float, height: float, sunlit: float) -> None:
    """Along the back of a pavement, far end first."""
    canvas, camera, light, rng = stage.canvas, stage.camera, stage.light, stage.rng
    tone = np.array(GREENS[int(rng.integers(4))]) * rng.uniform(0.6, 1.0)
    x0, x1 = camera.x(across, max(z0, NEAR)), camera.x(across, z1)
    a, b = max(z0, NEAR), z1
    side = canvas.surface(TREE, light.on(tone, (-math.copysign(1, across), 0, 0), sunlit, 0.7), camera.wall(x0, a, x1, b), LEAVES)
    canvas.polygon(camera.project([x0, x1, x1, x0], [0, 0, height, height], [a, b, b, a]), side)
    for z in np.arange(b, a, -0.45 - 0.012 * a):
        lift = rng.uniform(-0.1, 0.12)
        near = max(z, 1.5)
        px, py = camera.project(camera.x(across, near), height + lift - 0.12, near)
        r = rng.uniform(0.2, 0.36) * camera.f / near
        top = canvas.surface(TREE, light.on(tone * rng.uniform(0.8, 1.3), (0, 1, 0), sunlit), camera.facing(near), LEAVES)
        canvas.ellipse(px, py, r, r * 0.8, top)


def _clumps(stage: Stage, x, y, z, size, nx, ny, depth, tone, plane, sunlit) -> None:
    """Lit where they look at the sun or the sky, dark inside and below."""
    canvas, camera, light, rng = stage.canvas, stage.camera, stage.light, stage.rng
    points = camera.project(x, y, np.full(len(x), z))
    scale = camera.f / z
    sx, sy, sz = light.sun
    facing = np.clip(0.35 + 0.65 * (nx * sx + ny * sy - depth * sz * 0.6), 0.04, 1.0) * sunlit
    dome = 0.28 + 0.30 * (ny + 1) * 0.5 + 0.2 * (depth + 1) * 0.5
    vary = rng.uniform(0.75, 1.25, len(x))
    radiance = (tone * vary[:, None]) * (facing[:, None] * light.sun_colour * 0.9 + dome[:, None] * light.sky_colour * 1.2)
    flat = rng.uniform(0.6, 1.0, len(x))
    canvas.ellipses(points, size * scale, size * scale * flat, TREE, radiance, plane, LEAVES)
    if z < 28:  # twigs of single leaves loosen the outline
        some = rng.integers(0, len(x), int(min(420, 5200 / z)))
        turn = rng.uniform(0, 2 * math.pi, len(some))
        away = size[some] * rng.uniform(0.8, 1.7, len(some))
        tips = camera.project(x[some] + np.cos(turn) * away, y[some] + np.sin(turn) * away, np.full(len(some), z))
        leaf = rng.uniform(0.05, 0.11, len(some)) * scale
        canvas.ellipses(tips, leaf, leaf * 0.7, TREE, radiance[some] * 1.1, plane, LEAVES)


def _trunk(stage: Stage, x, z, height, sunlit) -> None:
    canvas, camera, light, rng = stage.canvas, stage.camera, stage.light, stage.rng
    r = 0.013 * height + rng.uniform(0.03, 0.1)
    lean = rng.uniform(-0.3, 0.3)
    surface = canvas.surface(TREE, light.on(BARK, (-0.6, 0.3, -0.7), sunlit, 0.8), camera.facing(z), BARKED)
    points = camera.project(
        [x - r * 1.3, x + r * 1.3, x + lean + r * 0.6, x + lean - r * 0.6], [0, 0, height * 0.55, height * 0.55], [z] * 4
    )
    canvas.polygon(points, surface)


def _branches(stage: Stage, x, z, height, sunlit) -> None:
    """Forks of forks, down to twigs where the tree is near enough to tell them apart."""
    canvas, camera, light, rng = stage.canvas, stage.camera, stage.light, stage.rng
    surface = canvas.surface(TREE, light.on(BARK * 0.9, (-0.5, 0.3, -0.8), sunlit, 0.8), camera.facing(z), LEAVES)
    angle = np.concatenate([rng.uniform(-0.3, 0.3, 4) + side for side in (-0.6, 0.0, 0.6)])
    px, py = np.full(12, x), height * np.tile([0.3, 0.4, 0.5, 0.55], 3)
    length, thick = height * 0.24, 0.09
    for generation in range(4 if z < 22 else 3):
        ex, ey = px + np.sin(angle) * length, py + np.cos(angle) * length
        ends = np.stack([camera.project(px, py, z), camera.project(ex, ey, z)], 1)
        canvas.strokes(ends, thick * camera.f / z, surface)
        forks = 3 if generation == 0 else 2
        px, py = np.repeat(ex, forks), np.repeat(ey, forks)
        angle = np.repeat(angle * 0.9, forks) + rng.uniform(-0.7, 0.7, len(px))
        length, thick = length * 0.66, thick * 0.52


def cast_tree(stage: Stage, across: float, z: float, kind: str) -> None:
    """Dappled shade where the sun's direction takes the crown to the ground."""
    canvas, camera, light, rng = stage.canvas, stage.camera, stage.light, stage.rng
    sx, sy, sz = light.sun
    crown = 6.0
    reach = min(crown / max(sy, 0.15), 25.0)
    count = 26 if kind != "bare" else 12
    angle, r = rng.uniform(0, 2 * math.pi, count), np.sqrt(rng.random(count)) * 2.4
    a, zz = across - sx * reach + np.cos(angle) * r, z - sz * reach + np.sin(angle) * r
    w = rng.uniform(0.3, 0.8, count)
    turn = np.linspace(0, 2 * math.pi, 7)[:-1]
    zs = zz[:, None] + np.sin(turn) * w[:, None]
    xs = camera.x(a[:, None] + np.cos(turn) * w[:, None], zs)
    for leaf in camera.project(xs, np.zeros_like(xs), np.maximum(zs, 0.5))[zs.min(axis=1) > NEAR + 1.0]:
        canvas.cast(leaf, 0.55)
