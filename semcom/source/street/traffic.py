"""What moves on the carriageway or is parked beside it."""

from __future__ import annotations

import numpy as np

from semcom.source.street import people, vehicles
from semcom.source.street.scene import Item, Scene
from semcom.source.street.shadows import cast_post


def draw_traffic(scene: Scene, rng: np.random.Generator, parked: tuple[bool, bool]) -> None:
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
        _drive(
            scene,
            vehicles.draw_vehicle(rng, start, near + (far - near) * (0.3 if way > 0 else 0.7), (way, 0.0), True, large=False),
        )


def _drive(scene: Scene, car: vehicles.Vehicle) -> None:
    s = vehicles.SHAPES[car.kind]
    if car.heading[1] < 0:  # placed by its nose, which is the end nearer to the camera
        car = vehicles.Vehicle(car.kind, car.across, car.z + s.length, car.heading, car.paint, car.moving)
    hx, hz = car.heading
    a = sorted((car.across, car.across + hx * s.length))
    z = sorted((car.z, car.z + hz * s.length))
    half = s.width / 2
    box = (a[0] - half * abs(hz), a[1] + half * abs(hz), z[0] - half * abs(hx), z[1] + half * abs(hx))
    if box[2] < 2.5 or any(
        box[0] < b[1] and box[1] > b[0] and box[2] < b[3] + 0.6 and box[3] + 0.6 > b[2] for b in (i.box for i in scene.items)
    ):
        return
    lit = ((a[0] + a[1]) / 2, (z[0] + z[1]) / 2)
    scene.items.append(
        Item(
            box,
            lambda s: vehicles.paint_vehicle(s, car, s.sunlit(*lit)),
            lambda s: vehicles.cast_vehicle(s, car, s.sunlit(*lit, 0.3)),
        )
    )


def draw_cyclists(scene: Scene, rng: np.random.Generator) -> None:
    road = scene.road
    for _ in range(int(rng.poisson(2.3))):
        turning = bool(road.junctions) and rng.random() < 0.15
        z = rng.uniform(5.5, 13) if rng.random() < 0.6 else rng.uniform(12, 40)
        across = rng.choice([-1, -1, 1]) * (road.half_width - rng.uniform(0.5, 1.2))
        if turning:
            z = road.junctions[0][0] + rng.uniform(1, 4)
            across = rng.uniform(-road.half_width, road.half_width)
        if scene.free(across, z):
            scene.add(
                across, z, 0.4,
                lambda s, a=across, z=z, t=turning: people.paint_cyclist(s.painter(a, z), t),
                lambda s, a=across, z=z: cast_post(s, a, z, 0.3, 1.7), long=0.8,
            )  # fmt: skip
