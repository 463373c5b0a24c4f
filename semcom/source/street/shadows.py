"""Shadows of upright things on the ground."""

from __future__ import annotations

import numpy as np

from semcom.source.street.stage import Stage


def cast_post(s: Stage, across: float, z: float, half: float, height: float) -> None:
    """The shadow of an upright thing of this width and height, in the sun."""
    sx, sy, sz = s.light.sun
    strength = min(1.0, float(np.mean(s.light.sun_colour)) * s.sunlit(across, z, 0.3))
    dark = s.canvas
    base = np.array([[across - half, z - 0.1], [across + half, z - 0.1], [across + half, z + 0.15], [across - half, z + 0.15]])
    if height < 3.0 and half > 0.15:
        dark.cast(_ground(s, base), 0.35)
    if strength < 0.1:
        return
    wide = 0.05 if height > 2.4 else half * 0.7
    t = min(height / max(sy, 0.15), 14.0)
    tip = np.array([across - sx * t, z - sz * t])
    side = np.array([wide, 0.0]) if abs(sz) > abs(sx) else np.array([0.0, wide])
    foot = np.array([across, z])
    quad = np.array([foot - side, foot + side, tip + side, tip - side])
    if quad[:, 1].min() > 1.5:
        dark.cast(_ground(s, quad), 0.6)


def _ground(s: Stage, points: np.ndarray) -> np.ndarray:
    z = np.maximum(points[:, 1], 0.8)
    return s.camera.project(s.camera.x(points[:, 0], z), np.zeros(len(z)), z)
