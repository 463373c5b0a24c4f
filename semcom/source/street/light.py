"""Time of day and weather: sun, sky light, haze and wetness, and what stands in the sun's way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

#: shadows of the rows of houses: heights are tabulated at this step over this range of Z, m
STEP, FIRST, LAST = 0.5, -60.0, 260.0

#: name, how often, sun elevation [deg], sun strength, warmth, cloud cover, haze distance [m], wetness, night
WEATHERS = (
    ("clear", 0.30, (28, 58), (2.2, 3.2), (0.0, 0.35), (0.05, 0.4), (800, 2500), (0.0, 0.0), 0.0),
    ("fair", 0.20, (22, 50), (1.3, 2.2), (0.1, 0.4), (0.4, 0.7), (600, 1800), (0.0, 0.0), 0.0),
    ("low sun", 0.12, (10, 22), (1.6, 2.6), (0.5, 1.0), (0.1, 0.5), (350, 1200), (0.0, 0.15), 0.1),
    ("overcast", 0.20, (30, 50), (0.0, 0.12), (0.0, 0.1), (0.8, 1.0), (350, 1500), (0.0, 0.3), 0.0),
    ("rain", 0.10, (30, 50), (0.0, 0.03), (0.0, 0.0), (0.95, 1.0), (160, 600), (0.6, 1.0), 0.25),
    ("dusk", 0.08, (2, 6), (0.0, 0.1), (0.6, 1.0), (0.3, 0.8), (300, 900), (0.0, 0.7), 0.85),
)


@dataclass(frozen=True)
class Light:
    """``sun`` points to it (X, Y, Z); colours are linear RGB; ``night`` 0..1 says how far lamps are on."""

    sun: tuple[float, float, float]
    sun_colour: np.ndarray
    sky_colour: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    clouds: float
    haze: float
    wet: float
    night: float
    phase: float

    def on(self, albedo, normal: tuple[float, float, float], sunlit: float = 1.0, open_sky: float = 1.0) -> np.ndarray:
        """Radiance of a matt surface: sun by its cosine, sky by how far it looks up."""
        (x, y, z), (nx, ny, nz) = self.sun, normal
        cosine = max(0.0, x * nx + y * ny + z * nz)
        dome = open_sky * (0.62 + 0.38 * normal[1])
        return np.asarray(albedo) * (self.sun_colour * (cosine * sunlit) + self.sky_colour * dome)


def draw_light(rng: np.random.Generator) -> Light:
    shares = np.cumsum([w[1] for w in WEATHERS])
    _, _, elevation, strength, warmth, clouds, haze, wet, night = WEATHERS[
        int(np.searchsorted(shares, rng.random() * shares[-1]))
    ]
    e, azimuth = math.radians(rng.uniform(*elevation)), math.radians(rng.uniform(-180, 180))
    sun = (math.cos(e) * math.sin(azimuth), math.sin(e), math.cos(e) * math.cos(azimuth))
    warm, cover = rng.uniform(*warmth), rng.uniform(*clouds)
    dim = 1.0 - 0.93 * night * rng.uniform(0.85, 1.0)
    sun_colour = rng.uniform(*strength) * np.array([1.0, 0.93 - 0.2 * warm, 0.84 - 0.5 * warm])
    blue, grey = np.array([0.20, 0.40, 0.78]), np.array([0.62, 0.66, 0.72]) * rng.uniform(0.75, 1.15)
    zenith = (blue * rng.uniform(0.8, 1.2) * (1 - cover) + grey * cover) * dim
    horizon = (np.array([0.72 + 0.25 * warm, 0.80, 0.92 - 0.35 * warm]) * (1 - 0.6 * cover) + grey * 1.15 * 0.6 * cover) * dim
    sky_colour = (0.55 * zenith + 0.45 * horizon) * rng.uniform(0.75, 1.0) + np.array([0.03, 0.03, 0.04]) * night
    # the sky in view, towards the sun or thinly veiled, outshines what reaches a street between houses
    glare = rng.uniform(1.3, 2.2)
    return Light(
        sun,
        sun_colour,
        sky_colour,
        zenith * glare,
        horizon * glare,
        cover,
        rng.uniform(*haze),
        rng.uniform(*wet),
        night,
        rng.uniform(0, 250),
    )


class Skyline:
    """Heights of the two rows of houses along Z, at the fronts ``left`` < 0 < ``right`` across."""

    def __init__(self, left: float, right: float):
        self.fronts = (left, right)
        self.heights = np.zeros((2, round((LAST - FIRST) / STEP)), np.float32)

    def build(self, side: int, z0: float, z1: float, height: float) -> None:
        a, b = round((z0 - FIRST) / STEP), round((z1 - FIRST) / STEP)
        self.heights[side, max(0, a) : max(0, b)] = height

    def sunlit_at(self, light: Light, across: float, y: float, z: float) -> float:
        """`sunlit` of one point."""
        sx, sy, sz = light.sun
        if abs(sx) < 1e-3 or (t := (self.fronts[int(sx > 0)] - across) / sx) <= 0:
            return 1.0
        at = min(max(int((z + t * sz - FIRST) / STEP), 0), self.heights.shape[1] - 1)
        return min(1.0, max(0.0, (y + t * sy - float(self.heights[int(sx > 0), at])) * 2.0 + 0.5))

    def sunlit(self, light: Light, across, y, z) -> np.ndarray:
        """1 where the sun reaches a point between the rows, 0 in their shadow, soft over half a metre of height."""
        sx, sy, sz = light.sun
        if abs(sx) < 1e-3:
            return np.ones(np.broadcast(across, y, z).shape, np.float32)
        side = int(sx > 0)
        t = (np.float32(self.fronts[side]) - across) * np.float32(1.0 / sx)
        at = ((z + t * np.float32(sz) - FIRST) * np.float32(1 / STEP)).astype(np.int32)
        height = self.heights[side][np.clip(at, 0, self.heights.shape[1] - 1)]
        clear = np.clip((y + t * np.float32(sy) - height) * 2.0 + 0.5, 0.0, 1.0)
        return np.where(t <= 0, np.float32(1.0), clear)
