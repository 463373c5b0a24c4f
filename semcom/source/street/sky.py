"""A gradient, the sun's glow, and clouds on a plane high above."""

from __future__ import annotations

import numpy as np

from semcom.source.street.camera import Camera
from semcom.source.street.light import Light
from semcom.source.street.texture import look_up, noise, plane


def shade_sky(camera: Camera, light: Light, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """float32 [3, rows, columns] of radiance; ``rows`` lie above the horizon."""
    up = ((camera.cy - rows - 0.5) / camera.f).astype(np.float32)[:, None]
    side = camera.tangents(columns)[None, :]
    blend = up / (up + np.float32(0.22))
    horizon, sun = plane(light.horizon)[..., None], plane(light.sun_colour)[..., None]
    colour = horizon * (1 - blend) + plane(light.zenith)[..., None] * blend
    deck = 1.0 / (up + 0.09)
    u, v = side * deck + np.float32(light.phase), deck + np.float32(light.phase)
    billow = look_up(noise(), u, v, 22.0) + 0.5 * look_up(noise(), u, v, 61.0)
    cover = np.clip((billow + (2.2 * light.clouds - 1.05)) * 1.6, 0.0, 1.0)
    lit = (0.75 * horizon + 0.35 * sun + np.float32(0.12)) * np.float32(1 - 0.8 * light.night)
    thick = 1.0 - 0.28 * np.clip(billow + light.clouds * 0.5, 0, 1)
    colour = colour * (1 - 0.85 * cover) + lit * thick * (0.85 * cover)
    sx, sy, sz = light.sun
    if sz > 0.1:
        away = (side - np.float32(sx / sz)) ** 2 + (up - np.float32(sy / sz)) ** 2
        colour += sun * (0.03 / (away + 0.05))
    return colour
