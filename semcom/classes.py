"""The classes of street scenes that maps, segmenters and scores speak of: CamVid's eleven, in CamVid's order, and void."""

from __future__ import annotations

#: what a pixel can be
NAMES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
#: in a label map: no class was given to this pixel. A truth that says so is ignored by every score
VOID = len(NAMES)
#: in a received map: nothing is known of this pixel
UNKNOWN = 255
#: RGB in which maps of these classes are shown, void last (Brostow, Fauqueur, Cipolla 2009; pavement as in the SegNet tutorial)
COLOURS = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192), (0, 0, 0),
)  # fmt: skip
