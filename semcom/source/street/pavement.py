"""What stands and walks on a pavement: posts at the kerb, street furniture further in, people."""

from __future__ import annotations

import numpy as np

from semcom.source.street import people, things
from semcom.source.street.scene import Item, Scene
from semcom.source.street.shadows import cast_post
from semcom.source.street.stage import Stage


def draw_furniture(scene: Scene, rng: np.random.Generator, side: int) -> None:
    """Posts at the kerb, other things further in."""
    road, out = scene.road, 2 * side - 1
    kerb, wide = out * (road.half_width + 0.45), road.pavements[side]

    def put(aside: float, z: float, half: float, paint, height: float = 0.0) -> None:
        scene.add(aside, z, half, paint, (lambda s: cast_post(s, aside, z, half, height)) if height else None)

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
        if not road.in_junction(z, 1.0) and scene.free(aside, z, min(half, 0.9)):
            put(aside, z, half, lambda s, f=paint, z=z, a=aside: f(s.painter(a, z)), height)


def draw_walkers(scene: Scene, rng: np.random.Generator, side: int) -> None:
    road, out = scene.road, 2 * side - 1
    for _ in range(int(rng.poisson(3.5))):
        z = rng.uniform(6.5, 15) if rng.random() < 0.3 else rng.uniform(12, 55)
        aside = out * (road.half_width + rng.uniform(0.5, road.pavements[side] - 0.4))
        for _ in range(1 + int(rng.random() < 0.3)):
            if scene.free(aside, z, 0.15):
                _stand(scene, aside, z)
            aside, z = aside + rng.uniform(0.5, 0.7), z + rng.uniform(-0.4, 0.4)
    if road.crossing and rng.random() < 0.6:
        _stand(scene, rng.uniform(-road.half_width, road.half_width), road.crossing + rng.uniform(-1, 1))


def _stand(scene: Scene, across: float, z: float) -> None:
    scene.add(
        across, z, 0.25, lambda s: people.paint_pedestrian(s.painter(across, z)), lambda s: cast_post(s, across, z, 0.22, 1.6)
    )
