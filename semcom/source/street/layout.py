"""What stands where in one scene, in metres: drawn from the scene's own random stream, before any pixel."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from semcom.source.street import buildings, people, things, trees, vehicles
from semcom.source.street.camera import Camera
from semcom.source.street.canvas import FACADE, LEAVES, ROOF
from semcom.source.street.classes import BUILDING, TREE, VOID
from semcom.source.street.facade import Facade
from semcom.source.street.light import Light, Skyline, draw_light
from semcom.source.street.order import far_to_near
from semcom.source.street.road import Road, draw_road
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
        return Camera(f, column, height / 2 + self.below * min(height, width / 2), self.across, self.height, self.bend, self.mirrored)


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


def draw_scene(rng: np.random.Generator) -> Scene:
    end = rng.uniform(55, 140)
    junctions = []
    if rng.random() < 0.55:
        near = rng.uniform(11, 45)
        junctions.append((near, near + rng.uniform(6, 10)))
    road = draw_road(rng, tuple(junctions))
    parked = (rng.random() < 0.35 and road.half_width > 4.2, rng.random() < 0.5)
    across = -road.half_width * (0.28 if parked[0] else 0.48) + rng.uniform(-0.3, 0.3)
    bend = rng.uniform(-1, 1) ** 3 * 1.8e-3
    view = View(
        math.radians(rng.uniform(50, 64)), rng.uniform(-1, 1) * rng.uniform(0, 0.18), rng.uniform(0.04, 0.14), across, rng.uniform(1.25, 1.6), bend, rng.random() < 0.5
    )
    scene = Scene(view, draw_light(rng), road, Skyline(*road.fronts), end)
    leafless = rng.random() < 0.25
    green, shops = rng.beta(0.8, 1.6), rng.beta(0.9, 0.8)
    for side in (0, 1):
        _row(scene, rng, side, green, shops, leafless)
        _furniture(scene, rng, side)
        _walkers(scene, rng, side)
    _far_end(scene, rng, green, leafless)
    _traffic(scene, rng, parked)
    _riders(scene, rng)
    return scene


def _row(scene: Scene, rng: np.random.Generator, side: int, green: float, shops: float, leafless: bool) -> None:
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
        if rng.random() < 0.40 * green + 0.08:
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


def _far_end(scene: Scene, rng: np.random.Generator, green: float, leafless: bool) -> None:
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
            p.box(-scene.road.half_width, 0, scene.road.half_width, s.rng.uniform(1.5, 2.8), p.paint(VOID, np.array([0.06, 0.06, 0.06])))

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


def _furniture(scene: Scene, rng: np.random.Generator, side: int) -> None:
    """Posts at the kerb, other things further in."""
    road, out = scene.road, 2 * side - 1
    kerb, wide = out * (road.half_width + 0.45), road.pavements[side]

    def put(aside: float, z: float, half: float, paint, height: float = 0.0) -> None:
        scene.add(aside, z, half, paint, (lambda s: _cast_post(s, aside, z, half, height)) if height else None)

    spacing, at = rng.uniform(18, 32), rng.uniform(6, 28)
    while at < scene.end:
        if not road.in_junction(at):
            put(kerb, at, 0.1, lambda s, z=at: things.paint_lamp(s.painter(kerb, z), side), 6.0)
        at += spacing
    corners = [z for near, far in road.junctions for z in (near - 3.5, far + 3.5)]
    if road.crossing:
        corners += [road.crossing - 2.0, road.crossing + 2.0]
    for z in corners:
        if z > 6.0 and rng.random() < 0.5:
            put(kerb, z, 0.2, lambda s, z=z: things.paint_signal(s.painter(kerb, z), side), 3.4)
    for _ in range(int(rng.poisson(1.5))):
        z = rng.uniform(7, 50)
        if not road.in_junction(z, 1.0):
            put(kerb + out * 0.1, z, 0.3, lambda s, z=z: things.paint_sign(s.painter(kerb + out * 0.1, z)), 2.5)
    if rng.random() < 0.3:
        start = rng.uniform(6, 25)
        for z in np.arange(start, start + rng.uniform(4, 14), 1.6):
            if not road.in_junction(z, 0.5):
                put(kerb, float(z), 0.1, lambda s, z=float(z): things.paint_bollard(s.painter(kerb, z)), 1.0)
    if rng.random() < 0.4:
        start = rng.uniform(6, 20)
        stop = start + rng.uniform(5, 16)
        if not any(start < j[1] and stop > j[0] for j in road.junctions):
            edge = out * (road.half_width + 0.25)

            def rail(s: Stage, a=start, b=stop) -> None:
                things.paint_railings(s, edge, a, b, s.sunlit(edge, a))

            scene.items.append(Item((edge - 0.03, edge + 0.03, start, stop), rail))
    inner = out * (road.half_width + wide * 0.72)
    stock = (
        (things.paint_bin, 0.4, 1.0),
        (things.paint_cabinet, 0.6, 1.6),
        (things.paint_bench, 0.9, 0.7),
        (things.paint_parked_bicycle, 0.9, 0.8),
        (lambda p: things.paint_shelter(p, side), 1.6, 2.2),
        (things.paint_barrier, 1.2, 0.8),
    )
    for _ in range(int(rng.poisson(5.8))):
        paint, half, height = stock[int(rng.choice(len(stock), p=[0.20, 0.22, 0.08, 0.20, 0.17, 0.13]))]
        z, aside = rng.uniform(5.0, 32), inner + rng.uniform(-0.3, 0.3)
        if not road.in_junction(z, 1.0) and _free(scene, aside, z, min(half, 0.9)):
            put(aside, z, half, lambda s, f=paint, z=z, a=aside: f(s.painter(a, z)), height)


def _cast_post(s: Stage, across: float, z: float, half: float, height: float) -> None:
    """The shadow of an upright thing of this width and height, in the sun."""
    sx, sy, sz = s.light.sun
    strength = min(1.0, float(np.mean(s.light.sun_colour)) * s.sunlit(across, z, 0.3))
    dark = s.canvas
    base = np.array([[across - half, z - 0.1], [across + half, z - 0.1], [across + half, z + 0.15], [across - half, z + 0.15]])
    if height < 3.0 and half > 0.15:
        dark.cast(_ground(s, base), 0.35)
    if strength < 0.1:
        return
    wide = 0.05 if height > 2.4 else half * 0.7
    t = min(height / max(sy, 0.15), 14.0)
    tip = np.array([across - sx * t, z - sz * t])
    side = np.array([wide, 0.0]) if abs(sz) > abs(sx) else np.array([0.0, wide])
    foot = np.array([across, z])
    quad = np.array([foot - side, foot + side, tip + side, tip - side])
    if quad[:, 1].min() > 1.5:
        dark.cast(_ground(s, quad), 0.6)


def _ground(s: Stage, points: np.ndarray) -> np.ndarray:
    z = np.maximum(points[:, 1], 0.8)
    return s.camera.project(s.camera.x(points[:, 0], z), np.zeros(len(z)), z)


def _walkers(scene: Scene, rng: np.random.Generator, side: int) -> None:
    road, out = scene.road, 2 * side - 1
    for _ in range(int(rng.poisson(3.5))):
        z = rng.uniform(6.5, 15) if rng.random() < 0.3 else rng.uniform(12, 55)
        aside = out * (road.half_width + rng.uniform(0.5, road.pavements[side] - 0.4))
        for _ in range(1 + int(rng.random() < 0.3)):
            if _free(scene, aside, z, 0.15):
                _stand(scene, aside, z)
            aside, z = aside + rng.uniform(0.5, 0.7), z + rng.uniform(-0.4, 0.4)
    if road.crossing and rng.random() < 0.6:
        _stand(scene, rng.uniform(-road.half_width, road.half_width), road.crossing + rng.uniform(-1, 1))


def _stand(scene: Scene, across: float, z: float) -> None:
    scene.add(across, z, 0.25, lambda s: people.paint_pedestrian(s.painter(across, z)), lambda s: _cast_post(s, across, z, 0.22, 1.6))


def _riders(scene: Scene, rng: np.random.Generator) -> None:
    road = scene.road
    for _ in range(int(rng.poisson(2.3))):
        turning = bool(road.junctions) and rng.random() < 0.15
        z = rng.uniform(5.5, 13) if rng.random() < 0.6 else rng.uniform(12, 40)
        across = rng.choice([-1, -1, 1]) * (road.half_width - rng.uniform(0.5, 1.2))
        if turning:
            z = road.junctions[0][0] + rng.uniform(1, 4)
            across = rng.uniform(-road.half_width, road.half_width)
        if _free(scene, across, z):
            scene.add(
                across, z, 0.4,
                lambda s, a=across, z=z, t=turning: people.paint_cyclist(s.painter(a, z), t),
                lambda s, a=across, z=z: _cast_post(s, a, z, 0.3, 1.7), long=0.8,
            )  # fmt: skip


def _free(scene: Scene, across: float, z: float, half: float = 0.4) -> bool:
    """Whether nothing but houses stands within ``half`` across and as much again along the road."""
    near = (i.box for i in scene.items if i.box[3] - i.box[2] < 6 or i.box[1] - i.box[0] < 6)
    return not any(a < across + half and b > across - half and n < z + 2 * half and f > z - 2 * half for a, b, n, f in near)


def _traffic(scene: Scene, rng: np.random.Generator, parked: tuple[bool, bool]) -> None:
    """Cars ahead, oncoming and parked, and sometimes one that crosses at a junction."""
    road, lane = scene.road, scene.road.half_width * 0.5
    for side, here in enumerate(parked):
        at = rng.uniform(6, 16)
        while here and at < 70:
            a = (2 * side - 1) * (road.half_width - 1.0)
            along = 1.0 if (side == 0) == (rng.random() < 0.9) else -1.0
            if rng.random() < 0.75 and not road.in_junction(at, 5.5) and not (road.crossing and abs(at + 2 - road.crossing) < 6):
                _drive(scene, vehicles.draw_vehicle(rng, a, at, (0.0, along), False, large=False))
            at += rng.uniform(5.4, 8.0)
    at = rng.uniform(7.5, 30)
    for _ in range(int(rng.poisson(1.3))):
        car = vehicles.draw_vehicle(rng, scene.view.across + rng.uniform(-0.3, 0.3), at, (0.0, 1.0), True)
        if not road.in_junction(at) or rng.random() < 0.5:
            _drive(scene, car)
        at = car.far + rng.uniform(3, 25)
    at = rng.uniform(8, 30)
    for _ in range(int(rng.poisson(1.8))):
        a = lane * (0.85 if parked[1] else 1.1) + rng.uniform(-0.2, 0.2)
        car = vehicles.draw_vehicle(rng, a - (0.5 if parked[1] else 0.0), at, (0.0, -1.0), True)
        _drive(scene, car)
        at += vehicles.SHAPES[car.kind].length + rng.uniform(3, 22)
    if road.junctions and rng.random() < 0.4:
        near, far = road.junctions[0]
        way = 1.0 if rng.random() < 0.5 else -1.0
        start = rng.uniform(-12, 8) if way > 0 else rng.uniform(-8, 12)
        _drive(scene, vehicles.draw_vehicle(rng, start, near + (far - near) * (0.3 if way > 0 else 0.7), (way, 0.0), True, large=False))


def _drive(scene: Scene, car: vehicles.Vehicle) -> None:
    s = vehicles.SHAPES[car.kind]
    if car.heading[1] < 0:  # placed by its nose, which is the end nearer to the camera
        car = vehicles.Vehicle(car.kind, car.across, car.z + s.length, car.heading, car.paint, car.moving)
    hx, hz = car.heading
    a = sorted((car.across, car.across + hx * s.length))
    z = sorted((car.z, car.z + hz * s.length))
    half = s.width / 2
    box = (a[0] - half * abs(hz), a[1] + half * abs(hz), z[0] - half * abs(hx), z[1] + half * abs(hx))
    if box[2] < 2.5 or any(box[0] < b[1] and box[1] > b[0] and box[2] < b[3] + 0.6 and box[3] + 0.6 > b[2] for b in (i.box for i in scene.items)):
        return
    lit = ((a[0] + a[1]) / 2, (z[0] + z[1]) / 2)
    scene.items.append(
        Item(
            box,
            lambda s: vehicles.paint_vehicle(s, car, s.sunlit(*lit)),
            lambda s: vehicles.cast_vehicle(s, car, s.sunlit(*lit, 0.3)),
        )
    )
