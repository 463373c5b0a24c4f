"""What lines the road: rows of houses, gardens and parks, trees, and what closes the far end."""

from __future__ import annotations

import numpy as np

from semcom.source.street import buildings, things, trees
from semcom.source.street.canvas import FACADE, LEAVES, ROOF
from semcom.source.street.classes import BUILDING, TREE, VOID
from semcom.source.street.facade import Facade
from semcom.source.street.scene import Item, Scene
from semcom.source.street.stage import Stage


def line_road(scene: Scene, rng: np.random.Generator, side: int, green: float, shops: float, leafless: bool) -> None:
    """Houses, and here and there a garden or a park, along one side of the road."""
    road, out = scene.road, 2 * side - 1
    front = road.fronts[side]
    tall, z = rng.random() * 0.9, 0.9
    while z < scene.end:
        crossing = next((j for j in road.junctions if z < j[1] + 0.5 and z + 3.0 > j[0]), None)
        if crossing:
            z = crossing[1] + 1.5
            continue
        limit = min([j[0] - 1.5 for j in road.junctions if j[0] > z] + [scene.end])
        length = min(rng.uniform(5, 14), limit - z)
        if limit - z - length < 4.0:
            length = limit - z
        if length < 1.0:
            z = limit + 0.1
            continue
        if rng.random() < 0.42 * green + 0.13:
            _garden(scene, rng, side, z, z + length, leafless)
        else:
            set_back = front + out * (rng.choice([0.0, 0.0, 0.3, 1.2]))
            house = buildings.draw_house(rng, side, z, length, set_back, shops, tall)
            scene.skyline.build(side, z, z + length, house.style.eaves + (2.0 if house.pitched else 0.0))
            a, b = sorted((set_back, set_back + out * house.depth))
            scene.items.append(Item((a, b, z, z + length), lambda s, h=house: buildings.paint_house(s, h)))
            if house.style.kind == 1 and z + length > 8:
                for _ in range(int(rng.random() < 0.6)):
                    at = rng.uniform(max(z, 7.5), max(z, 7.5) + length * 0.9)
                    if at < z + length:
                        a, b = sorted((set_back, set_back - out * 1.1))
                        scene.items.append(
                            Item((a, b, at - 0.05, at), lambda s, h=house, at=at: buildings.paint_hanging_sign(s, h, at))
                        )
        z += length
    if rng.random() < 0.22 + 0.5 * green:
        spacing, at = rng.uniform(7, 16), rng.uniform(6, 20)
        edge = out * (road.half_width + 0.7)
        kind = "bare" if leafless else "leafy"
        while at < scene.end * 0.9:
            if not road.in_junction(at, 3.0):
                _tree(scene, edge, at, kind)
            at += spacing * rng.uniform(0.8, 1.2)


def _tree(scene: Scene, across: float, z: float, kind: str) -> None:
    def paint(s: Stage) -> None:
        trees.paint_tree(s, across, z, kind, s.sunlit(across, z, 5.0))

    scene.add(across, z, 0.3, paint, lambda s: trees.cast_tree(s, across, z, kind))


def _garden(scene: Scene, rng: np.random.Generator, side: int, z0: float, z1: float, leafless: bool) -> None:
    """A boundary along the pavement with trees behind it."""
    out = 2 * side - 1
    front = scene.road.fronts[side]
    boundary = rng.choice(["railings", "wall", "boards", "hedge"], p=[0.30, 0.34, 0.26, 0.10])
    height = rng.uniform(1.6, 2.4) if boundary == "boards" else rng.uniform(1.0, 2.2)

    def edge(s: Stage) -> None:
        lit = s.sunlit(front, (z0 + z1) / 2)
        if boundary == "railings":
            things.paint_railings(s, front, z0, z1, lit)
        elif boundary == "hedge":
            trees.paint_hedge(s, front, z0, z1, height, lit)
        else:
            things.paint_wall(s, front, z0, z1, height)

    a, b = sorted((front, front + out * 0.05))
    scene.items.append(Item((a, b, z0, z1), edge))
    back = front + out * rng.uniform(7, 12)
    scene.items.append(Item((min(back, back + out), max(back, back + out), z0, z1), lambda s: _thicket(s, back, z0, z1)))
    for _ in range(int(rng.integers(1, 4))):
        at, aside = rng.uniform(z0, z1), front + out * rng.uniform(1.2, 5.0)
        if at > 4.0:
            kind = "conifer" if rng.random() < 0.15 else "bare" if leafless and rng.random() < 0.8 else "leafy"
            _tree(scene, aside, at, kind)


def _thicket(s: Stage, across: float, z0: float, z1: float) -> None:
    """Shrubs that close the view behind a garden."""
    trees.paint_hedge(s, across, z0, z1, s.rng.uniform(2.2, 5.0), s.sunlit(across, z0, 3.0))


def close_road(scene: Scene, rng: np.random.Generator, green: float, leafless: bool) -> None:
    """What closes the street: houses across its end, trees, and roofs in the haze behind."""
    end = scene.end
    scene.items.append(Item((-400, 400, end + 60, end + 61), lambda s: _horizon(s, end + 60)))
    x = -75.0
    while x < 75.0:
        width = rng.uniform(7, 16)
        house = buildings.draw_house(rng, 1, end + 2, 10.0, x, 0.3, 0.0)
        if rng.random() < 0.75 - 0.4 * green:

            def paint(s: Stage, h=house, x=x, w=width) -> None:
                _block(s, h, x, w)

            scene.items.append(Item((x, x + width, end + 2, end + 3), paint))
        x += width
    for _ in range(int(rng.integers(1, 4) + 6 * green)):
        at = rng.uniform(-14, 14)
        _tree(scene, at, end + rng.uniform(0, 1.5), "bare" if leafless else "leafy")
    if rng.random() < 0.35:

        def clutter(s: Stage) -> None:
            p = s.painter(0.0, end - 0.5)
            p.box(
                -scene.road.half_width,
                0,
                scene.road.half_width,
                s.rng.uniform(1.5, 2.8),
                p.paint(VOID, np.array([0.06, 0.06, 0.06])),
            )

        scene.add(0.0, end - 0.5, scene.road.half_width, clutter)


def _block(s: Stage, house: buildings.House, x: float, width: float) -> None:
    z, shift = house.z0, float(s.camera.x(0.0, house.z0))
    s.facades.append(Facade(house.style, (x + shift, z), (1.0, 0.0), max(0.0, -s.light.sun[2]), False, 0.0))
    surface = s.canvas.surface(BUILDING, house.style.wall, s.camera.facing(z), FACADE, len(s.facades) - 1)
    a, b, e = x + shift, x + width + shift, house.style.eaves
    s.canvas.polygon(s.camera.project([a, b, b, a], [0, 0, e, e], [z] * 4), surface)
    if house.pitched:
        roof = s.canvas.surface(BUILDING, s.light.on(house.roof, (0, 0.8, -0.6)), s.camera.facing(z), ROOF)
        s.canvas.polygon(s.camera.project([a, b, b - 1.5, a + 1.5], [e, e, e + 3, e + 3], [z] * 4), roof)


def _horizon(s: Stage, z: float) -> None:
    tone = np.array([0.05, 0.065, 0.05])
    shift = float(s.camera.x(0.0, z))
    surface = s.canvas.surface(TREE, s.light.on(tone, (0, 0.5, -0.8)), s.camera.facing(z), LEAVES)
    x = np.linspace(-200, 200, 81)
    top = 5.0 + 3.0 * s.rng.random(81)
    points = s.camera.project(np.concatenate([x, x[::-1]]) + shift, np.concatenate([top, np.zeros(81)]), np.full(162, z))
    s.canvas.polygon(points, surface)
