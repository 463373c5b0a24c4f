"""From radiance to 8 bits: blur or the camera's own sharpening, exposure, tone curve, vignetting, noise."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def develop(radiance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 [H, W, 3] from linear radiance float32 [3, H, W]."""
    blur, target = rng.uniform(-0.07, 0.08), rng.uniform(0.07, 0.20)
    balance = rng.uniform(0.95, 1.05, 3).astype(np.float32)
    grain, fall = rng.uniform(0.6, 3.2), rng.uniform(0.05, 0.22)
    picture = _soften(radiance, np.float32(blur))
    mean = float(picture[:, picture.shape[1] * 2 // 5 :].mean())  # metered on the street: the sky may clip
    gain = target / max(mean, 1e-3) * (min(1.0, mean / 0.05) ** 0.4)  # a dark street stays a dark picture
    height, width = picture.shape[1:]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    picture *= (np.float32(gain) * balance)[:, None, None] * (1 - np.float32(fall) * (x * x + y * y) * 0.5)
    code = _curve()[np.clip(picture * 1024, 0, 4095).astype(np.int32)]
    noise = rng.standard_normal((3, height, width), dtype=np.float32)
    code += noise * np.float32(grain) * (np.float32(0.45) + np.float32(0.6 / 16) * np.sqrt(np.maximum(code, 0)))
    return np.ascontiguousarray(np.rint(np.clip(code, 0, 255)).astype(np.uint8).transpose(1, 2, 0))


@lru_cache
def _curve() -> np.ndarray:
    """float32 [4096] of levels over exposure 0..4: the sRGB curve with a soft shoulder, to eighths of a level."""
    x = (np.arange(4096) + 0.5) / 1024
    x = np.where(x < 0.7, x, 0.7 + 0.3 * (x - 0.7) / (x - 0.7 + 0.3) * 1.1)
    x = np.minimum(x, 1.0)
    x = x**1.35  # a toe: small cameras deepen shadows
    s = np.where(x < 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    return (np.rint(s * 255 * 8) / 8).astype(np.float32)


def _soften(a: np.ndarray, share: np.float32) -> np.ndarray:
    """Each pixel gives ``share`` of itself to either neighbour, along rows and columns; a negative share sharpens."""
    for axis in (1, 2):
        a = np.moveaxis(a, axis, 0)
        out = a * (1 - 2 * share)
        out[1:] += share * a[:-1]
        out[:-1] += share * a[1:]
        out[0] += share * a[0]
        out[-1] += share * a[-1]
        a = np.moveaxis(out, 0, axis)
    return a
