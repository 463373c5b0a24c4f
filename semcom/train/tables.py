"""Tables of an autoencoder's latents from the pictures of packs: what `semcom weights tables` makes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from semcom.latents import tables
from semcom.latents.fitting import fit
from semcom.models import storage
from semcom.models.pretrained import Pretrained
from semcom.train.data import Augmentation, Steps
from semcom.train.pack import Pack

#: pictures that pass through the network together
TOGETHER = 16


def make(name: str, packs: Sequence[str | Path], size: tuple[int, int], count: int, device: str = "cpu") -> Path:
    """Fit the tables of the autoencoder ``name`` to at most ``count`` pictures, evenly spread over ``packs``, at
    ``size`` (H, W), and write them beside its weights. Raises: WeightsError, DataError."""
    named = Pretrained(name)
    file = named.file()
    model = named.load(device)
    made = fit(model, pictures([Pack.open(pack) for pack in packs], size, count, device), storage.digest(file))
    path = tables.path_of(file)
    temporary = path.with_name(f".{path.name}")
    made.save(temporary)
    os.replace(temporary, path)
    return path


def pictures(packs: Sequence[Pack], size: tuple[int, int], count: int, device: str) -> Iterator[torch.Tensor]:
    """Centred crops, float32 [B, 3, H, W]."""
    steps = Steps(packs, Augmentation(size), 1, 0, (0,))
    places = np.unique(np.linspace(0, len(steps.places) - 1, min(count, len(steps.places))).astype(int))
    for start in range(0, len(places), TOGETHER):
        chosen = [steps.centred(int(place)) for place in places[start : start + TOGETHER]]
        yield torch.from_numpy(np.stack(chosen)).permute(0, 3, 1, 2).contiguous().to(device)
