"""Rows of houses: where they stand and what their faces are; how a face looks is `facade`'s."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semcom.source.street.camera import NEAR
from semcom.source.street.canvas import FACADE, ROOF
from semcom.source.street.classes import BUILDING, SIGN
from semcom.source.street.facade import Facade, Style
from semcom.source.street.stage import Stage

#: linear reflectances of walls: London stock, red brick, sandstone, cream and white render, concrete, dark brick, pastel
WALLS = (
    (0.27, 0.20, 0.12), (0.24, 0.095, 0.06), (0.40, 0.32, 0.21), (0.52, 0.47, 0.36), (0.62, 0.61, 0.57),
    (0.30, 0.29, 0.27), (0.10, 0.075, 0.06), (0.45, 0.34, 0.33), (0.34, 0.36, 0.38), (0.33, 0.25, 0.17),
)  # fmt: skip
FASCIAS = (
    (0.35, 0.02, 0.02), (0.02, 0.06, 0.25), (0.02, 0.13, 0.05), (0.03, 0.03, 0.03), (0.45, 0.42, 0.35),
    (0.50, 0.28, 0.02), (0.08, 0.03, 0.12), (0.02, 0.18, 0.22),
)  # fmt: skip
ROOFS = ((0.09, 0.09, 0.10), (0.17, 0.075, 0.05), (0.12, 0.09, 0.075))


@dataclass(frozen=True)
class House:
    """``side`` 0 left, 1 right; it stands from ``z0`` to ``z1`` with its front ``across`` the road's axis."""

    side: int
    z0: float
    z1: float
    across: float
    style: Style
    pitched: bool
    roof: np.ndarray
    depth: float = 11.0

    @property
    def outwards(self) -> int:
        return 2 * self.side - 1


def draw_house(rng: np.random.Generator, side: int, z0: float, length: float, across: float, shops: float, tall: float) -> House:
    floors = int(rng.choice([2, 3, 4, 5, 6], p=[0.22, 0.36, 0.25, 0.11, 0.06])) + int(rng.random() < tall)
    wall = np.array(WALLS[int(rng.integers(len(WALLS)))]) * rng.uniform(0.75, 1.15)
    kind = "shop" if rng.random() < shops else "office" if rng.random() < 0.15 else "house"
    floor_height = rng.uniform(2.7, 3.4)
    ground = rng.uniform(3.3, 4.1) if kind != "house" else floor_height
    bay = length / max(1, round(length / rng.uniform(2.0, 3.4)))
    style = Style(
        wall=wall,
        brick=float(rng.random() < 0.6),
        floor_height=floor_height,
        ground=ground,
        eaves=ground + (floors - 1) * floor_height + rng.uniform(0.3, 0.9),
        bay=bay,
        window_width=(0.86 if kind == "office" else rng.uniform(0.36, 0.56)),
        window_height=(0.66 if kind == "office" else rng.uniform(0.46, 0.64)),
        frame=rng.choice([0.65, 0.6, 0.08, 0.2]),
        trim=rng.uniform(0.9, 1.7),
        kind=("house", "shop", "office").index(kind),
        fascia=np.array(FASCIAS[int(rng.integers(len(FASCIAS)))]) * rng.uniform(0.7, 1.3),
        shop=length / max(1, round(length / rng.uniform(4.0, 6.5))),
        seed=int(rng.integers(1 << 20)),
    )
    return House(
        side,
        z0,
        z0 + length,
        across,
        style,
        rng.random() < 0.6,
        np.array(ROOFS[int(rng.integers(len(ROOFS)))]) * rng.uniform(0.8, 1.2),
    )


def paint_house(stage: Stage, house: House) -> None:
    """Roof, the end towards the camera, the front."""
    canvas, camera, light = stage.canvas, stage.camera, stage.light
    z0, z1 = max(house.z0, NEAR), house.z1
    if z1 <= z0:
        return
    a0, a1 = camera.x(house.across, z0), camera.x(house.across, z1)
    eaves, out = house.style.eaves, house.outwards
    if house.pitched:
        rise = 3.2
        back0, back1 = a0 + out * 4.5, a1 + out * 4.5
        roof = canvas.surface(
            BUILDING, light.on(house.roof, (-out * 0.55, 0.83, 0.0)), camera.wall(a0 + out * 2, z0, a1 + out * 2, z1), ROOF
        )
        over = -out * 0.25
        canvas.polygon(
            camera.project([a0 + over, a1 + over, back1, back0], [eaves, eaves, eaves + rise, eaves + rise], [z0, z1, z1, z0]),
            roof,
        )
        _chimneys(stage, house, rise)
    if house.z0 > NEAR:
        end = _face(stage, house, (a0, z0), (1.0 * out, 0.0), (0.0, -1.0), plain=True)
        surface = canvas.surface(BUILDING, house.style.wall, camera.facing(z0), FACADE, end)
        far = a0 + out * house.depth
        canvas.polygon(camera.project([a0, far, far, a0], [0, 0, eaves, eaves], [z0] * 4), surface)
        if house.pitched:
            canvas.polygon(camera.project([a0, a0 + out * 4.5, a0 + out * 9], [eaves, eaves + 3.2, eaves], [z0] * 3), surface)
    length = float(np.hypot(a1 - a0, z1 - z0))
    along = ((a1 - a0) / length, (z1 - z0) / length)
    # the façade's own zero is its near end, also where that lies behind the camera
    start = (a0 - along[0] * (z0 - house.z0), house.z0)
    front = _face(stage, house, start, along, (-out * along[1], out * along[0]), plain=False)
    surface = canvas.surface(BUILDING, house.style.wall, camera.wall(a0, z0, a1, z1), FACADE, front)
    canvas.polygon(camera.project([a0, a1, a1, a0], [0, 0, eaves, eaves], [z0, z1, z1, z0]), surface)


def _face(stage: Stage, house: House, start, along, normal, plain: bool) -> int:
    light = stage.light
    cosine = max(0.0, normal[0] * light.sun[0] + normal[1] * light.sun[2])
    stage.facades.append(Facade(house.style, start, along, cosine, plain, house.across))
    return len(stage.facades) - 1


def _chimneys(stage: Stage, house: House, rise: float) -> None:
    canvas, camera, light = stage.canvas, stage.camera, stage.light
    out, top = house.outwards, house.style.eaves + rise
    for z in (house.z1 - 0.6, house.z0 + 0.4):
        if z < 4.0:
            continue
        x = camera.x(house.across, z) + out * 4.2
        for corners, normal in (((x, x + out * 0.9, z, z), (0, 0, -1)), ((x, x, z, z + 0.6), (-out, 0, 0))):
            colour = light.on(house.style.wall * 0.8, normal)
            surface = canvas.surface(BUILDING, colour, camera.facing(z))
            xa, xb, za, zb = corners
            canvas.polygon(
                camera.project([xa, xb, xb, xa], [top - 0.8, top - 0.8, top + 1.1, top + 1.1], [za, zb, zb, za]), surface
            )


def paint_hanging_sign(stage: Stage, house: House, z: float) -> None:
    """A board that hangs out from a shop front, across the view."""
    canvas, camera, light, rng = stage.canvas, stage.camera, stage.light, stage.rng
    x, y = camera.x(house.across, z), rng.uniform(2.9, 4.2)
    w, h = rng.uniform(0.45, 0.8), rng.uniform(0.45, 1.1)
    colour = np.array(FASCIAS[int(rng.integers(len(FASCIAS)))]) * 1.3 if rng.random() < 0.6 else np.array([0.6, 0.6, 0.55])
    near, far = x - house.outwards * 0.15, x - house.outwards * (0.15 + w)
    for inset, tone in ((0.0, 1.0), (0.22, 2.2 if colour.mean() < 0.3 else 0.25)):
        a, b = near + (far - near) * inset, far - (far - near) * inset
        surface = canvas.surface(
            SIGN, light.on(np.minimum(0.7, colour * tone), (0, 0, -1)) + 0.25 * light.night * colour, camera.facing(z)
        )
        low, high = y + h * inset, y + h * (1 - inset)
        canvas.polygon(camera.project([a, b, b, a], [low, low, high, high], [z] * 4), surface)
