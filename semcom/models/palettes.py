"""The colours in which networks that take a painted map expect our classes."""

from __future__ import annotations

import lazy_loader as lazy

from semcom.classes import NAMES

torch = lazy.load("torch")

#: palette -> our class -> RGB. ade20k: of SceneParse150 (Zhou et al. 2017; the colours that its toolkit and ControlNet's
#: segmentation model use), the class that most of ours is: sky 2, building 1, pole 93, road 6, sidewalk 11, tree 4, signboard 43,
#: fence 32, car 20, person 12, bicycle 127. cityscapes: Cordts et al. 2016: vegetation for tree, traffic sign, rider for bicyclist.
PALETTES = {
    "ade20k": {
        "sky": (6, 230, 230), "building": (180, 120, 120), "pole": (51, 0, 255), "road": (140, 140, 140), "pavement": (235, 255, 7),
        "tree": (4, 200, 3), "sign": (255, 5, 153), "fence": (255, 184, 6), "car": (0, 102, 200), "pedestrian": (150, 5, 61),
        "bicyclist": (255, 245, 0),
    },
    "cityscapes": {
        "sky": (70, 130, 180), "building": (70, 70, 70), "pole": (153, 153, 153), "road": (128, 64, 128), "pavement": (244, 35, 232),
        "tree": (107, 142, 35), "sign": (220, 220, 0), "fence": (190, 153, 153), "car": (0, 0, 142), "pedestrian": (220, 20, 60),
        "bicyclist": (255, 0, 0),
    },
}  # fmt: skip


def painted(labels: torch.Tensor, palette: str) -> torch.Tensor:
    """float32 [B, 3, H, W] in [0, 1] of a map int64 [B, H, W]; void and what is not known are black, as both sets have it."""
    colours = torch.tensor([PALETTES[palette][name] for name in NAMES] + [(0, 0, 0)], dtype=torch.float32, device=labels.device) / 255.0
    return colours[labels.clamp(max=len(NAMES))].movedim(-1, 1)
