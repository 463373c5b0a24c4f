"""Label maps as a receiver may have them: fine or coarse, right or wrong, hard or soft, whole or in part, or none."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from semcom.codecs.label_map.resize import resize
from semcom.models.denoiser import CLASSES, FINER, PLANES, planes_of
from semcom.scenario.schema import Section
from semcom.train.data import Draws

#: pixels of a place of a map, along each side
COARSER = (1, 2, 4, 8, 16)
VOID = CLASSES - 1
#: deviation of the noise on one-hot planes that soft maps come from: log-uniform between these
SOFT = (0.2, 1.5)
#: largest share of places with a random class
WORST = 0.3


class Maps(Section):
    """The maps that are trained for."""

    given: float = Field(0.6, ge=0.0, le=1.0, description="share of pictures with a map; the others are trained without")
    soft: float = Field(0.2, ge=0.0, le=1.0, description="of those, probabilities from noisy one-hot planes")
    wrong: float = Field(0.15, ge=0.0, le=1.0, description="of those, with a random class in up to 30 % of the places")
    partial: float = Field(0.15, ge=0.0, le=1.0, description="of those, lost from some place to another, in reading order")
    without_void: float = Field(0.5, ge=0.0, le=1.0, description="of those, unknown where the label is void")


def planes(labels: Tensor, size: tuple[int, int], maps: Maps, draws: Draws) -> Tensor:
    """Planes float32 [B, 13, 2h, 2w] for latents of ``size`` (h, w), of labels int64 [B, H, W]; 0 where there is no map."""
    rows = zip(labels.cpu().numpy(), draws.generators("map"), strict=True)
    return torch.stack([_one(row, size, maps, rng) for row, rng in rows]).to(labels.device)


def _one(labels: np.ndarray, size: tuple[int, int], maps: Maps, rng: np.random.Generator) -> Tensor:
    given, soft, wrong, partial, without_void = rng.uniform(size=5)
    if given >= maps.given:
        return torch.zeros((PLANES, FINER * size[0], FINER * size[1]))
    coarser = COARSER[rng.integers(len(COARSER))]
    coarse = resize(labels, tuple(max(1, side // coarser) for side in labels.shape))
    if wrong < maps.wrong:
        mistaken = rng.uniform(size=coarse.shape) < rng.uniform(0.0, WORST)
        coarse = np.where(mistaken, rng.integers(VOID, size=coarse.shape), coarse)
    known = np.ones(coarse.shape, dtype=bool)
    if partial < maps.partial:
        start, stop = np.sort(rng.integers(coarse.size, size=2))
        known.flat[start:stop] = False
    if without_void < maps.without_void:
        known &= coarse != VOID
    probabilities = functional.one_hot(torch.from_numpy(coarse.astype(np.int64)), CLASSES).permute(2, 0, 1).float()
    if soft < maps.soft:
        probabilities = _softened(probabilities, rng)
    return planes_of(probabilities[None], torch.from_numpy(known)[None], size)[0]


def _softened(probabilities: Tensor, rng: np.random.Generator) -> Tensor:
    """The classes' probabilities given one-hot planes in Gaussian noise, as an analog map leaves them:
    exp(y_k / s^2), where every class is as likely beforehand."""
    deviation = float(np.exp(rng.uniform(*np.log(SOFT))))
    noise = rng.standard_normal(probabilities.shape, dtype=np.float32)
    return ((probabilities + deviation * torch.from_numpy(noise)) / deviation**2).softmax(0)
