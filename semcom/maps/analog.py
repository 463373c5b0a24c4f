"""What receivers of analog label maps do before they decide: filters over planes, and the class of each pixel."""

from __future__ import annotations

from typing import Literal

import lazy_loader as lazy

from semcom.classes import UNKNOWN
from semcom.maps.received import CLASSES, ReceivedMap, SoftMap
from semcom.maps.resize import resize

torch = lazy.load("torch")

#: before the argmax: a 3x3 mean, GESCO's "fast denoising" (a 3x3 mean, then a 3x3 maximum), or nothing
Denoise = Literal["mean", "fds", "none"]


def filtered(planes: torch.Tensor, denoise: Denoise) -> torch.Tensor:
    """Planes [B, K, H, W] after a filter of 3x3 pixels; zeros lie outside the picture.

    References: Grassucci, Barbarossa, Comminiello 2023, arXiv 2306.04321, "fast denoising".
    """
    if denoise == "none":
        return planes
    planes = torch.nn.functional.avg_pool2d(planes, 3, stride=1, padding=1)
    return planes if denoise == "mean" else torch.nn.functional.max_pool2d(planes, 3, stride=1, padding=1)


def sent_classes(probabilities: torch.Tensor, known: torch.Tensor) -> SoftMap:
    """A soft map from probabilities [B, K, h, w] of the first K classes, all that are ever sent."""
    others = probabilities.new_zeros(len(probabilities), CLASSES - probabilities.shape[1], *probabilities.shape[2:])
    return SoftMap(torch.where(known[:, None], torch.cat([probabilities, others], dim=1), 1.0 / CLASSES), known)


def decided(planes: torch.Tensor, soft: SoftMap) -> ReceivedMap:
    """The class whose plane [B, K, H, W] is largest, UNKNOWN where nothing is known."""
    known = resize(soft.known, tuple(planes.shape[2:]))
    return ReceivedMap(torch.where(known, planes.argmax(dim=1), UNKNOWN), known.flatten(1).any(dim=1), soft)
