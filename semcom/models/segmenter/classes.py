"""The classes that a segmenter tells apart: CamVid's without void, what Cityscapes and ADE20K call them, their colours."""

from __future__ import annotations

#: in the order of a segmenter's probabilities; label 11 is void, which no segmenter gives
NAMES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")

#: RGB in which CamVid's label maps are usually shown, void last
COLOURS = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192), (0, 0, 0),
)  # fmt: skip
