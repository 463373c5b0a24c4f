"""Pedestrians and cyclists, as figures across the view in metres."""

from __future__ import annotations

import numpy as np

from semcom.source.street.classes import BICYCLIST, PEDESTRIAN
from semcom.source.street.stage import Painter

SKIN = ((0.45, 0.27, 0.19), (0.33, 0.19, 0.12), (0.13, 0.07, 0.045))
HAIR = ((0.02, 0.015, 0.012), (0.08, 0.045, 0.02), (0.20, 0.13, 0.05), (0.25, 0.24, 0.23))
COATS = (
    (0.02, 0.02, 0.025), (0.03, 0.04, 0.10), (0.10, 0.09, 0.08), (0.28, 0.04, 0.04), (0.25, 0.22, 0.17), (0.05, 0.09, 0.05),
    (0.45, 0.45, 0.43), (0.08, 0.14, 0.26), (0.35, 0.20, 0.22), (0.15, 0.15, 0.16),
)  # fmt: skip
TROUSERS = ((0.02, 0.025, 0.05), (0.025, 0.025, 0.025), (0.09, 0.075, 0.055), (0.05, 0.07, 0.12), (0.12, 0.12, 0.12))


def _one(colours, rng: np.random.Generator) -> np.ndarray:
    return np.array(colours[int(rng.integers(len(colours)))]) * rng.uniform(0.8, 1.3)


def paint_pedestrian(p: Painter) -> None:
    """From behind or from the front, at some point of a stride."""
    rng = p.rng
    h = rng.uniform(1.52, 1.88) * (0.68 if rng.random() < 0.08 else 1.0)
    stride, turn = rng.uniform(0.02, 0.2), rng.uniform(0.7, 1.0)
    coat, legs, skin, hair = _one(COATS, rng), _one(TROUSERS, rng), _one(SKIN, rng), _one(HAIR, rng)
    long_coat, bag = rng.random() < 0.25, rng.random() < 0.4
    w = 0.22 * h / 1.7 * turn
    hip, shoulder = h * 0.5, h * 0.82
    dark, mid = p.paint(PEDESTRIAN, legs * 0.75), p.paint(PEDESTRIAN, legs)
    for side, paint in ((-1, dark), (1, mid)):
        foot = side * stride
        p.polygon([(side * w * 0.85, hip), (side * 0.02, hip), (foot - 0.05, 0.06), (foot + 0.07, 0.06)], paint)
        p.polygon(
            [(foot - 0.07, 0.0), (foot + 0.1, 0.0), (foot + 0.08, 0.09), (foot - 0.05, 0.09)],
            p.paint(PEDESTRIAN, np.array([0.02] * 3)),
        )
    hem = h * (0.32 if long_coat else 0.46)
    body, shade = p.paint(PEDESTRIAN, coat), p.paint(PEDESTRIAN, coat * 0.68)
    p.polygon(
        [
            (-w, hem),
            (w, hem),
            (w * 1.1, shoulder - 0.05),
            (w * 0.5, shoulder + 0.03),
            (-w * 0.5, shoulder + 0.03),
            (-w * 1.1, shoulder - 0.05),
        ],
        body,
    )
    p.polygon([(w * 0.2, hem), (w, hem), (w * 1.1, shoulder - 0.05), (w * 0.5, shoulder)], shade)
    swing = rng.uniform(-0.12, 0.12)
    hand = p.paint(PEDESTRIAN, skin)
    for side, paint in ((-1, body), (1, shade)):
        out = side * w * 1.15
        end = out + side * 0.05 + swing * side
        p.polygon(
            [
                (out - side * 0.05, shoulder - 0.02),
                (out + side * 0.06, shoulder - 0.06),
                (end + side * 0.03, hip - 0.02),
                (end - side * 0.06, hip - 0.02),
            ],
            paint,
        )
        p.disc(end, hip - 0.04, 0.045, hand)
    if bag:
        p.box(w * 0.9, hip - 0.25, w * 0.9 + 0.22, hip + 0.08, p.paint(PEDESTRIAN, _one(COATS, rng)))
    p.box(-0.05, shoulder - 0.02, 0.05, h * 0.88, hand)
    p.disc(0, h * 0.925, h * 0.07, hand, 0.82)
    if rng.random() < 0.55:
        p.disc(0, h * 0.94, h * 0.068, p.paint(PEDESTRIAN, hair), 0.9)  # seen from behind
    else:
        p.polygon([(-0.1, h * 0.95), (0.1, h * 0.95), (0.075, h), (-0.075, h)], p.paint(PEDESTRIAN, hair))


def paint_cyclist(p: Painter, across: bool) -> None:
    """Seen from behind or ahead, or from the side where ``across``."""
    rng = p.rng
    coat = _one(COATS, rng) if rng.random() < 0.7 else np.array([0.45, 0.55, 0.03])
    legs, skin = _one(TROUSERS, rng), _one(SKIN, rng)
    helmet = rng.random() < 0.5
    cap = rng.uniform(0.05, 0.5, 3) if helmet else _one(HAIR, rng)
    tyre, metal = p.paint(BICYCLIST, np.array([0.015] * 3)), p.paint(BICYCLIST, rng.uniform(0.03, 0.35, 3))
    leg, calf = p.paint(BICYCLIST, legs), p.paint(BICYCLIST, legs * 0.7)
    body, shade = p.paint(BICYCLIST, coat), p.paint(BICYCLIST, coat * 0.65)
    face, top = p.paint(BICYCLIST, skin), p.paint(BICYCLIST, cap)
    if across:
        s = 1 if rng.random() < 0.5 else -1

        def at(points):
            return [(s * x, y) for x, y in points]

        for x in (-0.52, 0.54):
            p.ring(s * x, 0.34, 0.34, 0.05, tyre)
        for line in (
            [(-0.52, 0.34), (0, 0.3)],
            [(-0.2, 0.85), (0.4, 0.85)],
            [(0, 0.3), (0.4, 0.85)],
            [(0, 0.3), (-0.2, 0.9)],
            [(0.54, 0.34), (0.38, 1.02)],
        ):
            p.stroke(at(line), 0.05, metal)
        p.stroke(at([(-0.2, 0.98), (0.2, 0.72), (0.05, 0.2)]), 0.13, calf)
        p.stroke(at([(-0.2, 0.98), (0.28, 0.85), (0.1, 0.35)]), 0.14, leg)
        p.polygon(at([(-0.38, 0.92), (-0.08, 0.92), (0.32, 1.42), (0.12, 1.56), (-0.05, 1.48)]), body)
        p.stroke(at([(0.22, 1.42), (0.35, 1.15), (0.45, 1.08)]), 0.09, shade)
        p.disc(s * 0.3, 1.66, 0.115, face, 0.9)
        p.polygon(at([(0.17, 1.68), (0.42, 1.70), (0.34, 1.80), (0.22, 1.79)]), top)
        return
    p.box(-0.035, 0.0, 0.035, 0.68, tyre)
    for side, paint, lift in ((-1, leg, 0.12), (1, calf, 0.32)):
        p.polygon([(side * 0.19, 1.0), (side * 0.02, 1.0), (side * 0.06, lift), (side * 0.15, lift)], paint)
        p.box(side * 0.11 - 0.06, lift - 0.08, side * 0.11 + 0.06, lift + 0.02, tyre)
    p.stroke([(-0.3, 1.08), (0.3, 1.08)], 0.05, metal)
    w = rng.uniform(0.2, 0.25)
    p.polygon([(-w * 0.9, 0.92), (w * 0.9, 0.92), (w * 1.12, 1.42), (w * 0.5, 1.55), (-w * 0.5, 1.55), (-w * 1.12, 1.42)], body)
    p.polygon([(w * 0.25, 0.92), (w * 0.9, 0.92), (w * 1.12, 1.42), (w * 0.5, 1.5)], shade)
    for side in (-1, 1):
        p.stroke([(side * w, 1.42), (side * (w + 0.12), 1.2), (side * 0.28, 1.06)], 0.09, body if side < 0 else shade)
    if rng.random() < 0.35:
        p.box(-w * 0.6, 1.0, w * 0.6, 1.42, p.paint(BICYCLIST, _one(COATS, rng)))
    p.disc(0, 1.66, 0.115, face, 0.85)
    p.disc(0, 1.70, 0.115, top, 0.95)
    if rng.random() < 0.5:
        p.disc(0, 0.78, 0.035, p.paint(BICYCLIST, np.array([0.7, 0.03, 0.02]), glow=1.5))
