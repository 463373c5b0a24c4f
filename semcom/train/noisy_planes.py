"""Label maps as GESCO's circulating code hands them to its network: planes of ones and zeros in noise, filtered or not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from semcom.maps.analog import filtered
from semcom.models.denoiser import CLASSES
from semcom.train.data import Draws

#: deviation of the noise: uniform between these, from what the label 100 means to what 1 does (semcom.maps.gesco)
DEVIATIONS = (0.0, 0.9)
FILTERS = ("none", "mean", "fds")


def disturbed(planes: Tensor, labels: Tensor, share: float, draws: Draws) -> Tensor:
    """``planes`` [B, 13, H, W] of maps, where ``share`` of the pictures that have one get noisy planes of it in its place.

    ``labels`` int64 [B, H, W], all of the map's pixels. Noise is independent from plane to plane and from pixel to pixel;
    planes of classes that are not in the map stay 0, because their list is sent beside it.
    References: Grassucci, Barbarossa, Comminiello 2023, arXiv 2306.04321, section IV: training with noisy maps.
    """
    chosen = (draws.uniform("noisy planes") < share) & (planes[:, -1] > 0).flatten(1).any(1)
    deviations, generators = draws.uniform("deviation of planes", *DEVIATIONS).tolist(), draws.generators("noise of planes")
    kinds, made = draws.choice("filter of planes", range(len(FILTERS))).tolist(), planes.clone()
    for row, (rng, wanted) in enumerate(zip(generators, chosen.tolist(), strict=True)):
        if wanted:
            classes = functional.one_hot(labels[row].clamp(max=CLASSES - 1), CLASSES).permute(2, 0, 1).float()
            noise = torch.from_numpy(rng.standard_normal(tuple(classes.shape), dtype="float32")).to(classes.device)
            there = classes.flatten(1).any(1)[:, None, None]
            made[row, :-1] = filtered(torch.where(there, classes + deviations[row] * noise, 0.0)[None], FILTERS[kinds[row]])[0]
            made[row, -1] = 1.0
    return made
