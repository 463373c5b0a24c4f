"""What stands where in one scene, in metres: drawn from the scene's own random stream."""

from __future__ import annotations

import math

import numpy as np

from semcom.source.street.light import Skyline, draw_light
from semcom.source.street.pavement import draw_furniture, draw_walkers
from semcom.source.street.road import draw_road
from semcom.source.street.rows import close_road, line_road
from semcom.source.street.scene import Scene, View
from semcom.source.street.traffic import draw_cyclists, draw_traffic


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
        math.radians(rng.uniform(50, 64)),
        rng.uniform(-1, 1) * rng.uniform(0, 0.18),
        rng.uniform(0.04, 0.14),
        across,
        rng.uniform(1.25, 1.6),
        bend,
        rng.random() < 0.5,
    )
    scene = Scene(view, draw_light(rng), road, Skyline(*road.fronts), end)
    leafless = rng.random() < 0.25
    green, shops = rng.beta(0.8, 1.6), rng.beta(0.9, 0.8)
    for side in (0, 1):
        line_road(scene, rng, side, green, shops, leafless)
        draw_furniture(scene, rng, side)
        draw_walkers(scene, rng, side)
    close_road(scene, rng, green, leafless)
    draw_traffic(scene, rng, parked)
    draw_cyclists(scene, rng)
    return scene
