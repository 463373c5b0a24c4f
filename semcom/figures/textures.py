"""Maps of few kinds as pictures: a colour each, and a texture where colours of equal lightness would be one grey in print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from semcom.classes import COLOURS, NAMES, UNKNOWN
from semcom.store.labels import UNKNOWN_COLOUR

#: samples an inch that textures are drawn with; their period and the width of their lines [samples]
FINENESS, PERIOD, STROKE = 600, 20, 4
#: how far a texture's lines are from their colour towards white, or towards black on light colours
CONTRAST, LIGHT = 0.55, 110


@dataclass(frozen=True)
class Kind:
    """One kind of pixel: its name in legends, its colour, and the name of a texture of `TEXTURES`, or none."""

    name: str
    colour: tuple[int, int, int]
    texture: str = ""


#: whether a texture's line is at (y, x) [samples]
TEXTURES = {
    "level": lambda y, x: y % PERIOD < STROKE,
    "upright": lambda y, x: x % PERIOD < STROKE,
    "rising": lambda y, x: (x + y) % PERIOD < STROKE,
    "falling": lambda y, x: (x - y) % PERIOD < STROKE,
    "crossed": lambda y, x: ((x + y) % PERIOD < STROKE) | ((x - y) % PERIOD < STROKE),
    "dotted": lambda y, x: (y % (PERIOD // 2) < STROKE) & ((x + (y // (PERIOD // 2)) % 2 * PERIOD // 4) % (PERIOD // 2) < STROKE),
}

#: classes of like lightness (CIE L* less than 8 apart) have different textures
_TEXTURE_OF = {"car": "rising", "pedestrian": "dotted", "fence": "upright", "pavement": "level", "tree": "dotted",
               "bicyclist": "falling", "sign": "upright"}  # fmt: skip

#: by their values in a label map
CLASS_KINDS: Mapping[int, Kind] = {
    **{
        value: Kind(name, colour, _TEXTURE_OF.get(name, ""))
        for value, (name, colour) in enumerate(zip((*NAMES, "void"), COLOURS, strict=True))
    },
    UNKNOWN: Kind("unknown", UNKNOWN_COLOUR, "crossed"),
}


def painted(values: np.ndarray, kinds: Mapping[int, Kind], width: float) -> np.ndarray:
    """Values [H, W] as a picture uint8 [H n, W n, 3], fine enough for textures where it is drawn ``width`` inches wide."""
    fine = max(1, round(FINENESS * width / values.shape[1]))
    values = values.repeat(fine, axis=0).repeat(fine, axis=1)
    y, x = np.ogrid[: values.shape[0], : values.shape[1]]
    picture = np.empty((*values.shape, 3), np.uint8)
    for value, kind in kinds.items():
        here = values == value
        picture[here] = kind.colour
        if kind.texture:
            picture[here & TEXTURES[kind.texture](y, x)] = stroke_colour(kind.colour)
    return picture


def stroke_colour(colour: tuple[int, int, int]) -> np.ndarray:
    """The colour of a texture's lines on ``colour``: lighter on dark colours, darker on light ones."""
    luma = float(np.dot(colour, (0.299, 0.587, 0.114)))
    toward = 255.0 if luma < LIGHT else 0.0
    return np.round(np.asarray(colour) * (1 - CONTRAST) + toward * CONTRAST).astype(np.uint8)
