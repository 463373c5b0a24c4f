"""The ground: carriageway with its markings, kerbs, pavements, side streets, grass; all in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semcom.source.street.camera import Camera
from semcom.source.street.classes import PAVEMENT, ROAD, TREE
from semcom.source.street.light import Light, Skyline
from semcom.source.street.texture import hashed, look_up, noise, plane, speckle

#: height of a kerb, and the radius of a corner, m
KERB, CORNER = 0.12, 3.0
WHITE, YELLOW = (0.58, 0.58, 0.55), (0.52, 0.40, 0.08)


@dataclass(frozen=True)
class Road:
    """``half_width`` of the carriageway, widths of the pavements (left, right), junctions as intervals of Z, in metres."""

    half_width: float
    pavements: tuple[float, float]
    junctions: tuple[tuple[float, float], ...]
    crossing: float  # Z of a zebra crossing, 0 for none
    dashes: tuple[float, float]  # length and gap of the centre line
    edge: str  # none | white | double yellow | bicycle lane
    asphalt: np.ndarray
    paving: np.ndarray
    slab: float
    grass: bool
    patches: tuple[tuple[float, float, float, float], ...]  # across from, to, Z from, to
    arrow: float  # Z of an arrow on the near lane, 0 for none
    hatched: bool  # yellow lines across junctions: keep clear
    seed: int

    @property
    def fronts(self) -> tuple[float, float]:
        """Where the houses stand."""
        return -self.half_width - self.pavements[0], self.half_width + self.pavements[1]

    def in_junction(self, z: float, margin: float = 0.0) -> bool:
        return any(a - margin < z < b + margin for a, b in self.junctions)


def draw_road(rng: np.random.Generator, junctions: tuple[tuple[float, float], ...]) -> Road:
    grey = rng.uniform(0.085, 0.17)
    tint = np.array([1.0 + rng.uniform(-0.04, 0.08), 1.0, 1.0 + rng.uniform(-0.06, 0.06)])
    paving = rng.uniform(0.16, 0.30) * np.array([1.0, rng.uniform(0.93, 0.99), rng.uniform(0.82, 0.96)])
    half = rng.uniform(3.4, 5.4)
    crossing = rng.uniform(9, 30) if rng.random() < 0.35 else 0.0
    patches = []
    for _ in range(int(rng.integers(0, 5))):
        left, z = rng.uniform(-half, half - 1), rng.uniform(4, 40)
        patches.append((left, left + rng.uniform(0.6, 2.2), z, z + rng.uniform(1, 12)))
    return Road(
        half,
        (rng.uniform(2.0, 4.8), rng.uniform(2.0, 4.8)),
        junctions,
        crossing,
        [(2.0, 4.0), (4.0, 2.0), (3.0, 6.0), (1.0, 1.0)][int(rng.integers(4))],
        ["none", "white", "double yellow", "bicycle lane"][int(rng.choice(4, p=[0.3, 0.2, 0.3, 0.2]))],
        grey * tint,
        paving,
        rng.uniform(0.45, 0.9),
        rng.random() < 0.15,
        tuple(patches),
        rng.uniform(6, 22) if rng.random() < 0.3 else 0.0,
        rng.random() < 0.3,
        int(rng.integers(1 << 30)),
    )


def shade_ground(
    camera: Camera, road: Road, light: Light, skyline: Skyline, rows: np.ndarray, columns: np.ndarray, shadow: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radiance float32 [3, rows, columns], classes uint8 [rows, columns] and Z float32 [rows]; rows lie below the horizon.

    ``shadow`` uint8 [rows, columns] is what things on the road cast.
    """
    down = ((rows + 0.5 - camera.cy) / camera.f).astype(np.float64)
    z = (camera.height / down).astype(np.float32)
    tangent = camera.tangents(columns)[None, :]
    across = np.float32(camera.across) + tangent * z[:, None] - np.float32(camera.bend) * (z * z)[:, None]
    z_top = ((camera.height - KERB) / down).astype(np.float32)
    across_top = np.float32(camera.across) + tangent * z_top[:, None] - np.float32(camera.bend) * (z_top * z_top)[:, None]

    raised = _off_road(road, np.abs(across_top), z_top)
    kerb = _off_road(road, np.abs(across), z) & ~raised
    classes = np.where(raised | kerb, np.uint8(PAVEMENT), np.uint8(ROAD))

    albedo = _carriageway(road, across, z, camera.f)
    walk = _paving(road, across_top, z_top, camera.f)
    albedo = np.where(raised, walk, albedo)
    albedo = np.where(kerb, plane(road.paving * 1.15)[..., None], albedo)
    if road.grass:
        strip = raised & (np.abs(across_top) - road.half_width < 0.7) & ~_near_junction(road, z_top, 4.0)
        classes[strip] = TREE
        blades = 1 + 0.6 * look_up(speckle(), across_top, z_top[:, None], 9.0)
        albedo = np.where(strip, plane((0.07, 0.12, 0.03))[..., None] * blades, albedo)

    sunlit = skyline.sunlit(light, across, np.float32(0), z[:, None]) * (1 - np.minimum(1, shadow.astype(np.float32) * (1 / 180)))
    edge = np.minimum(np.float32(road.fronts[1]) - across, across - np.float32(road.fronts[0]))
    open_sky = np.clip(0.62 + 0.09 * edge, 0.5, 1.0) * (1 - shadow.astype(np.float32) * (0.55 / 255))
    sun = light.sun_colour * max(0.0, light.sun[1])
    light_here = sunlit * plane(sun)[..., None] + open_sky * plane(light.sky_colour)[..., None]
    return albedo * light_here * np.float32(1 - 0.35 * light.wet), classes, z


def _off_road(road: Road, off: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Whether points ``off`` metres from the centre line lie beyond the kerb, junctions and their round corners left out."""
    beyond = off > road.half_width
    for near, far in road.junctions:
        beyond &= ~((z > near) & (z < far))[:, None]
        for corner, towards in ((near, -1.0), (far, 1.0)):
            along = (z - np.float32(corner)) * towards
            rows = np.flatnonzero((along > 0) & (along < CORNER))
            if len(rows):
                a, o = (CORNER - along[rows])[:, None], np.float32(road.half_width + CORNER) - off[rows]
                beyond[rows] &= ~((o > 0) & (a * a + o * o > CORNER * CORNER))
    return beyond


def _near_junction(road: Road, z: np.ndarray, margin: float) -> np.ndarray:
    near = np.zeros(len(z), bool)
    for a, b in road.junctions:
        near |= (z > a - margin) & (z < b + margin)
    return near[:, None]


def _carriageway(road: Road, across: np.ndarray, z: np.ndarray, f: float) -> np.ndarray:
    zz = z[:, None]
    grain = np.minimum(1.0, 0.012 * f / z)[:, None]  # grains of a centimetre fade where a sample is coarser
    rough = 1 + 0.10 * look_up(noise(), across, zz, 8.0) + 0.13 * grain * look_up(speckle(), across, zz, 90.0)
    tracks = 0.06 * np.clip(np.abs(np.abs(np.abs(across) - road.half_width * 0.5) - 0.75) * 2.0, 0, 1)
    tone = rough * (0.95 + tracks)
    for left, right, near, far in road.patches:
        rows = np.flatnonzero((z > near) & (z < far))
        if len(rows):
            tone[rows] *= np.where((across[rows] > left) & (across[rows] < right), np.float32(0.74), np.float32(1))
    albedo = tone * plane(road.asphalt)[..., None]
    if road.edge == "bicycle lane":
        lane = (np.abs(across) > road.half_width - 1.5) & ~_near_junction(road, z, 0.0)
        albedo *= np.where(lane, plane((1.35, 0.85, 0.75))[..., None], np.float32(1))
    wear = 0.75 + 0.25 * look_up(noise(), across, zz, 31.0)
    for mask, paint in _markings(road, across, z):
        painted = np.flatnonzero(mask)
        cover, flat = np.clip(wear.reshape(-1)[painted], 0.2, 0.95), albedo.reshape(3, -1)
        flat[:, painted] = flat[:, painted] * (1 - cover) + plane(paint) * cover
    return albedo


def _markings(road: Road, across: np.ndarray, z: np.ndarray):
    """(mask [rows, columns], colour) of each kind of paint."""
    off = np.abs(across)
    on, gap = road.dashes
    plain = ~_near_junction(road, z, 0.5)
    if road.crossing:
        plain &= ~((z > road.crossing - 4) & (z < road.crossing + 4))[:, None]
    dash = ((z % np.float32(on + gap)) < on)[:, None]
    yield (off < 0.07) & dash & plain, WHITE
    if road.edge == "white":
        yield (np.abs(off - (road.half_width - 0.35)) < 0.06) & plain, WHITE
    if road.edge == "double yellow":
        inset = road.half_width - off
        yield ((np.abs(inset - 0.22) < 0.045) | (np.abs(inset - 0.42) < 0.045)) & plain, YELLOW
    if road.edge == "bicycle lane":
        yield (np.abs(off - (road.half_width - 1.5)) < 0.05) & (z % 3.0 < 2.0)[:, None] & plain, WHITE
    for near, _ in road.junctions:
        yield ((np.abs(z - np.float32(near - 1.2)) < 0.15)[:, None] & (across < 0) & (off < road.half_width)), WHITE
    if road.arrow:
        along, aside = z - np.float32(road.arrow), np.abs(across + np.float32(road.half_width * 0.5))
        shaft = ((along > 0) & (along < 2.6))[:, None] & (aside < 0.09)
        head = ((along > 2.4) & (along < 4.2))[:, None] & (aside < ((4.2 - along) * np.float32(0.24))[:, None])
        yield (shaft | head) & plain, WHITE
    if road.hatched:
        for near, far in road.junctions:
            box = ((z > near + 0.5) & (z < far - 0.5))[:, None] & (off < road.half_width)
            along = z[:, None]
            yield box & ((((across + along) % 2.0) < 0.16) | (((across - along) % 2.0) < 0.16)), YELLOW
    if road.crossing:
        inside = (np.abs(z - np.float32(road.crossing)) < 1.5)[:, None] & (off < road.half_width)
        yield inside & (((across + 50) % 1.1) < 0.55), WHITE
        stop = (np.abs(np.abs(z - np.float32(road.crossing)) - 2.3) < 0.12)[:, None] & (off < road.half_width)
        yield stop, WHITE


def _paving(road: Road, across: np.ndarray, z: np.ndarray, f: float) -> np.ndarray:
    """Slabs with joints, which fade where they are finer than a sample, and a lighter row of kerb stones."""
    zz = z[:, None]
    a, b = across / np.float32(road.slab), zz / np.float32(road.slab * 1.5)
    column, row = np.floor(a), np.floor(b)
    seen = np.clip(0.03 * f / z - 0.5, 0.0, 1.0)[:, None]
    joint = ((a - column < 0.05) | (b - row < 0.04)) * np.float32(0.25) * seen
    tone = 1 + 0.12 * look_up(noise(), across, zz, 11.0) + (hashed(column, row, np.array(road.seed)) - 0.5) * 0.18 * seen - joint
    tone = tone * np.where(np.abs(across) < road.half_width + 0.16, np.float32(1.18), np.float32(1))
    return tone * plane(road.paving)[..., None]
