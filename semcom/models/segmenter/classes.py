"""The classes that a segmenter tells apart: CamVid's without void, what Cityscapes and ADE20K call them, their colours."""

from __future__ import annotations

from semcom.classes import COLOURS, NAMES

__all__ = ["COLOURS", "NAMES", "OURS", "THEIRS"]

#: ours -> the names that the 19 classes of Cityscapes (Cordts et al. 2016) and the 150 of ADE20K (Zhou et al. 2017) have for
#: it, joined as CamVid's 32 classes are joined into eleven. What is not listed, such as ADE20K's `mountain` or `earth`, is
#: void in CamVid and is never told.
THEIRS = {
    "sky": ("sky",),
    "building": ("building", "wall", "house", "skyscraper", "tower", "door", "screen door", "windowpane", "awning", "bridge"),
    "pole": ("pole", "streetlight"),
    "road": ("road", "dirt track"),
    "pavement": ("sidewalk", "path"),
    "tree": ("vegetation", "terrain", "tree", "grass", "plant", "palm", "flower"),
    "sign": ("traffic sign", "traffic light", "signboard"),
    "fence": ("fence", "railing"),
    "car": ("car", "truck", "bus", "train", "van"),
    "pedestrian": ("person",),
    "bicyclist": ("rider", "bicycle", "motorcycle", "minibike"),
}

#: anybody's name of a class -> its index among NAMES
OURS = {name: index for index, ours in enumerate(NAMES) for name in (ours, *THEIRS[ours])}
