"""How the face of a house looks at a point: wall, windows, doors, shop fronts, from metres along and up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semcom.source.street.light import Light, Skyline
from semcom.source.street.texture import hashed, look_up, noise, plane

HOUSE, SHOP, OFFICE = range(3)
DOORS = np.array(
    [(0.02, 0.03, 0.09), (0.16, 0.015, 0.015), (0.015, 0.06, 0.03), (0.02, 0.02, 0.02), (0.5, 0.48, 0.44)], np.float32
)


@dataclass(frozen=True)
class Style:
    """Measures in metres (windows as shares of their bay and floor), colours as linear reflectance."""

    wall: np.ndarray
    brick: float
    floor_height: float
    ground: float
    eaves: float
    bay: float
    window_width: float
    window_height: float
    frame: float
    trim: float
    kind: int
    fascia: np.ndarray
    shop: float
    seed: int


@dataclass(frozen=True)
class Facade:
    """A face: ``start`` and ``along`` on the ground (X, Z), the cosine to the sun, without windows where ``plain``."""

    style: Style
    start: tuple[float, float]
    along: tuple[float, float]
    cosine: float
    plain: bool
    across: float


class Faces:
    """Columns over faces: each field of theirs or of their styles as float32 [faces], or [k, faces] of k components."""

    def __init__(self, facades: Sequence[Facade]):
        self._facades, self._columns = facades, {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._columns:
            values = [getattr(face if name in Facade.__dataclass_fields__ else face.style, name) for face in self._facades]
            self._columns[name] = np.ascontiguousarray(np.array(values, np.float32).T)
        return self._columns[name]


class _Lookup:
    """Fields at points on faces ``which`` [n]: float32 [n], or [k, n] of k components."""

    def __init__(self, faces: Faces, which: np.ndarray):
        self._faces, self._which, self._known = faces, which.astype(np.intp), {}

    def __call__(self, name: str, some: np.ndarray | None = None) -> np.ndarray:
        """At all points, kept for the next time, or at the points ``some``."""
        if some is not None:
            return np.take(self._faces[name], self._which[some], axis=-1)
        if name not in self._known:
            self._known[name] = np.take(self._faces[name], self._which, axis=-1)
        return self._known[name]


def shade_facades(
    faces: Faces,
    which: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    f: float,
    light: Light,
    skyline: Skyline,
) -> np.ndarray:
    """Radiance float32 [3, n] at n points of faces ``which`` [n]; world coordinates in metres."""

    of = _Lookup(faces, which)
    (start_x, start_z), (along_x, along_z) = of("start"), of("along")
    u = (x - start_x) * along_x + (z - start_z) * along_z
    eaves, seed = of("eaves"), of("seed").astype(np.int32)
    sample = z * np.float32(1 / f)  # the width of a sample, m
    wall = of("wall")
    albedo = wall * _masonry(u, y, sample, of("brick"), seed)
    trimmed = (y > eaves - 0.35) | (np.abs(y - of("ground")) < 0.12)
    albedo *= np.where(trimmed, of("trim"), np.float32(1))
    emitted = np.zeros_like(albedo)
    gloss = np.zeros(len(u), np.float32)
    _upper_floors(albedo, emitted, gloss, u, y, of, seed, light)
    _ground_floor(albedo, emitted, gloss, u, y, sample, of, seed, light)

    depth = of("across")
    sunlit = skyline.sunlit(light, depth, y, z) * of("cosine")
    occlusion = np.clip(0.55 + 0.075 * y, 0.55, 0.95) - np.float32(0.25) * ((y > eaves - 0.6) & (y < eaves - 0.35))
    mirror = plane(light.horizon * 0.35 + light.zenith * 0.15)
    lit = sunlit * plane(light.sun_colour) + occlusion * plane(0.72 * light.sky_colour)
    return albedo * lit + gloss * mirror + emitted


def _masonry(u, v, sample, brick, seed) -> np.ndarray:
    """Courses of bricks or stones, weathering, and streaks of rain."""
    high = np.where(brick > 0.5, np.float32(0.075), np.float32(0.32))
    row = np.floor(v / high)
    column = np.floor(u / (high * 3) + 0.5 * (row % 2))
    seen = np.clip(1.6 - 2.0 * sample / high, 0.0, 1.0)
    stones = (hashed(row, column, seed) - 0.5) * 0.36 * seen
    joint = ((v / high - row) < 0.14) * np.float32(0.16) * seen
    shift = (seed % 97).astype(np.float32)
    return 1 + stones - joint + 0.16 * look_up(noise(), u + shift, v, 9.0) + 0.08 * look_up(noise(), u + shift, v * 0.15, 40.0)


def _upper_floors(albedo, emitted, gloss, u, v, of, seed, light) -> None:
    ground, high, bay, eaves = (of(n) for n in ("ground", "floor_height", "bay", "eaves"))
    house = of("kind") == HOUSE
    base = np.where(house, 0.0, ground)  # the ground floor of a house has windows like the others
    floor = np.floor((v - base) / high)
    column = np.floor(u / bay)
    rise = (v - base) - floor * high
    aside = np.abs(u / bay - column - 0.5) * bay
    wide, tall = of("window_width") * bay * 0.5, of("window_height") * high
    sill = (high - tall) * 0.45
    open_wall = (of("plain") < 0.5) & (v > base) & (base + (floor + 1) * high - 0.35 < eaves)
    door = house & (floor == 0) & (hashed(column, seed) < 0.38)
    inside = open_wall & ~door & (aside < wide) & (rise > sill) & (rise < sill + tall)
    surround = open_wall & ~door & (aside < wide + 0.13) & (rise > sill - 0.12) & (rise < sill + tall + 0.2) & ~inside
    albedo *= np.where(surround, of("trim"), np.float32(1))

    i = np.flatnonzero(inside)
    edge = np.minimum(wide[i] - aside[i], np.minimum(rise[i] - sill[i], sill[i] + tall[i] - rise[i]))
    frame = (edge < 0.07) | (aside[i] < 0.035) | (np.abs(rise[i] - sill[i] - tall[i] * 0.5) < 0.035)
    chance = hashed(floor[i], column[i], seed[i])
    _glass(albedo, emitted, gloss, i, chance, (rise[i] - sill[i]) / tall[i], light, share=0.45)
    framed = i[frame]
    albedo[:, framed], gloss[framed], emitted[:, framed] = of("frame", framed), 0.0, 0.0

    i = np.flatnonzero(open_wall & door & (aside < 0.62) & (rise < 2.55))
    leaf = (aside[i] < 0.5) & (rise[i] < 2.1)
    colour = DOORS.T[:, (hashed(column[i], seed[i], np.array(7)) * len(DOORS)).astype(np.int32)]
    panel = 1 - np.float32(0.35) * ((np.abs(aside[i] - 0.26) < 0.15) & ((rise[i] % 0.9) > 0.2))
    albedo[:, i] = np.where(leaf, colour * panel, np.float32(0.5))


def _ground_floor(albedo, emitted, gloss, u, v, sample, of, seed, light) -> None:
    """Shops: stall riser, glass between piers, a fascia with lettering. Offices: glass between piers."""
    kind, ground = of("kind"), of("ground")
    i = np.flatnonzero((kind != HOUSE) & (v < ground) & (v >= 0) & (of("plain") < 0.5))
    if not len(i):
        return
    width, u, v, seed, top = of("shop", i), u[i], v[i], seed[i], ground[i]
    unit = np.floor(u / width)
    aside = np.abs(u / width - unit - 0.5) * width
    shop = kind[i] == SHOP
    own = hashed(unit, seed)
    fascia = of("fascia", i) * (0.6 + 0.8 * own)
    fascia = np.where(own < 0.5, fascia, fascia[::-1])
    board = shop & (v > top - 1.05) & (v < top - 0.3) & (aside < width * 0.5 - 0.1)
    letters = (
        board
        & (np.abs(v - top + 0.67) < 0.19)
        & (aside < width * 0.3)
        & (hashed(np.floor(u / 0.17), seed) < 0.72)
        & (hashed(np.floor(u / 0.085), np.floor(v / 0.1), seed) < 0.7)
    )
    pier = (aside > width * 0.5 - 0.28) & (v < top - 0.3)
    glass = ~pier & (v > np.where(shop, 0.55, 0.25)) & (v < top - 1.05)
    mullion = glass & ((np.abs((u % 1.35) - 0.675) > 0.64) | (v > top - 1.13))
    riser = ~pier & ~glass & (v <= 0.55)

    dark = np.where(shop, fascia * np.float32(0.6), albedo[:, i] * np.float32(0.8))
    paint = np.where(board, fascia, albedo[:, i])
    paint = np.where(letters, np.where(fascia.mean(0) > 0.2, np.float32(0.03), np.float32(0.62)), paint)
    albedo[:, i] = np.where(riser | pier & shop, dark, paint)
    if light.night > 0:
        emitted[:, i] += np.float32(0.5 * light.night) * board * fascia
    g = np.flatnonzero(glass)
    goods = hashed(np.floor(u[g] / 0.4), np.floor(v[g] / 0.45), seed[g])
    pane = 0.23 + 0.5 * hashed(np.floor(u[g] / 1.35), seed[g])  # a pane mirrors the sky as one; blinds are for dwellings
    _glass(albedo, emitted, gloss, i[g], pane, v[g] / 4, light, share=0.5)
    tint = np.stack([hashed(np.floor(u[g] / 0.4), np.floor(v[g] / 0.45), seed[g], np.array(c)) for c in range(3)])
    albedo[:, i[g]] = 0.02 + 0.08 * tint * ((goods < 0.55) & (v[g] < 1.9))
    lamps = np.float32(0.03 + 0.5 * light.night) * (0.05 + 0.3 * goods * (own[g] < 0.8))
    emitted[:, i[g]] += lamps * plane((1.0, 0.86, 0.62))
    m = i[mullion]
    albedo[:, m], gloss[m], emitted[:, m] = 0.12, 0.0, 0.0
    under = i[(v < top - 1.05) & (v > top - 1.45) & shop]
    albedo[:, under] *= np.float32(0.6)
    gloss[under] *= 0.4


def _glass(albedo, emitted, gloss, i, chance, height, light, share) -> None:
    """Dark rooms behind a reflected sky; blinds and curtains in some, lamps in some at night."""
    albedo[:, i] = np.where((chance < 0.22) & (height > 1.3 - 3 * chance), np.float32(0.45), np.float32(0.02))
    gloss[i] = np.where(chance > 0.45, 0.10 + 0.34 * (chance - 0.45) / 0.55 * (0.6 + 0.4 * height), 0.05 + 0.1 * chance)
    if light.night > 0:
        on = ((chance * np.float32(7.31)) % 1.0) < share * light.night
        emitted[:, i] = on * (0.2 + 0.5 * chance) * plane((0.6, 0.45, 0.24))
