"""The label classes of a scene: CamVid's, in CamVid's order, by name."""

from semcom.source.camvid import NAMES

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST, VOID = range(len(NAMES))
