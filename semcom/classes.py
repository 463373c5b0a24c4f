"""The classes of street scenes that maps, segmenters and scores speak of: CamVid's eleven, in CamVid's order, and void."""

from __future__ import annotations

#: what a pixel can be
NAMES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
#: in a label map: no class was given to this pixel. A truth that says so is ignored by every score
VOID = len(NAMES)
#: in a received map: nothing is known of this pixel
UNKNOWN = 255
