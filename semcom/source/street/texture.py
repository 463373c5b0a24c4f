"""Roughness of surfaces: one tileable fractal noise, and random numbers by integer hashing.

Arithmetic is +, -, * and integer operations only, which every machine rounds alike.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from semcom.rng import generator

SIDE = 256


@lru_cache
def noise() -> np.ndarray:
    """float32 [256, 256], periodic, mean 0, in about [-1, 1]: octaves of smoothed random lattices."""
    rng = generator("streets", "texture")
    total = np.zeros((SIDE, SIDE), np.float32)
    for octave in range(6):
        cells = 4 << octave
        total += 0.62**octave * _smooth(rng.random((cells, cells), dtype=np.float32), SIDE // cells)
    total -= total.mean()
    return total / (3.0 * total.std())


@lru_cache
def speckle() -> np.ndarray:
    """float32 [256, 256] white noise in [-1, 1]."""
    return generator("streets", "speckle").random((SIDE, SIDE), dtype=np.float32) * 2 - 1


def look_up(texture: np.ndarray, u: np.ndarray, v: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """The texture at (u, v), ``scale`` texels a unit; u and v above -1000."""
    columns = ((u + np.float32(1024)) * np.float32(scale)).astype(np.int32) & (SIDE - 1)
    rows = ((v + np.float32(1024)) * np.float32(scale)).astype(np.int32) & (SIDE - 1)
    return np.take(texture, rows * SIDE + columns, mode="clip")  # in range; this mode spares the check


def plane(colour) -> np.ndarray:
    """A colour as float32 [3, 1], to be laid over planes of samples [3, n]."""
    return np.asarray(colour, np.float32)[:, None]


def hashed(*keys: np.ndarray) -> np.ndarray:
    """Uniform float32 in [0, 1) from whole numbers, the same for equal keys."""
    h = np.uint32(0x9E3779B9)
    for key in keys:
        h = (h ^ np.asarray(key).astype(np.int32).view(np.uint32)) * np.uint32(0x85EBCA6B)
        h ^= h >> np.uint32(13)
        h = h * np.uint32(0xC2B2AE35)
        h ^= h >> np.uint32(16)
    return (h >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def _smooth(lattice: np.ndarray, step: int) -> np.ndarray:
    """The periodic lattice with ``step`` values between its points, joined by smoothsteps."""
    t = (np.arange(step, dtype=np.float32) / step)[None, :, None]
    t = t * t * (3 - 2 * t)
    for axis in (0, 1):
        rows = np.moveaxis(lattice, axis, 0)
        rows = (rows[:, None] * (1 - t) + np.roll(rows, -1, axis=0)[:, None] * t).reshape(-1, rows.shape[1])
        lattice = np.moveaxis(rows, 0, axis)
    return lattice
