"""Pictures that are encoded once, before the first step: several crops of each, with their labels.

Encoding costs as much as a step of the denoiser, and its result is the same every time. Batch ``step`` stays a pure function
of the seed and the step: which picture is what `Steps` says, and its crop is that of the epoch, of ``views`` that take turns.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from semcom.rng import generator
from semcom.store.writer import atomically
from semcom.train.data import Augmentation, Steps

#: pictures that pass through the encoder together
TOGETHER = 16
KEY = "made of"


@dataclass(frozen=True)
class LatentBatch:
    """``latents`` float32 [B, C, h, w] of unit RMS an image; ``labels`` int64 [B, H, W], or None without classes;
    ``pixels`` [S, 3, H, W] of the first S, where pictures are to be shown or compared."""

    latents: torch.Tensor
    labels: torch.Tensor | None
    pixels: torch.Tensor | None = None

    def to(self, device: torch.device) -> LatentBatch:
        moved = (None if x is None else x.to(device, non_blocking=True) for x in (self.latents, self.labels, self.pixels))
        return LatentBatch(*moved)


class Encoded(torch.utils.data.Dataset):
    """As `Steps`, with latents in place of pixels.

    ``encode`` makes latents [B, C, h, w] of pixels [B, 3, H, W]; ``made_by`` identifies it. ``path`` is where the encoded
    pictures are kept: made when they are not there or are others. ``shown``: rows below it come with their pixels.
    """

    def __init__(
        self, steps: Steps, encode: Callable[[torch.Tensor], torch.Tensor], made_by: str, views: int, path: Path, shown: int = 0
    ):
        self.steps, self.encode, self.views, self.shown = steps, encode, views, shown
        self.rows, self.classes = steps.rows, steps.classes
        self._found = self._open(path, made_by)

    def __getitem__(self, step: int) -> LatentBatch:
        places = [self._place(step, row) for row in self.rows]
        latents = self._found["latents"][places].float()
        shown = [self._view(*divmod(place, self.views))[0] for row, place in zip(self.rows, places, strict=True) if row < self.shown]
        pixels = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).contiguous() if shown else None
        return LatentBatch(latents, self._found["labels"][places].long() if self.classes else None, pixels)

    def plain(self, count: int) -> LatentBatch:
        """A few pictures from the first to the last, not augmented, with their pixels."""
        batch = self.steps.plain(count)
        return LatentBatch(self.encode(batch.pixels), batch.labels, batch.pixels)

    def _place(self, step: int, row: int) -> int:
        epoch = (step * self.steps.batch_size + row) // len(self.steps.places)
        return self.steps.index(step, row) * self.views + epoch % self.views

    def _open(self, path: Path, made_by: str) -> dict[str, torch.Tensor]:
        from safetensors import safe_open
        from safetensors.torch import load_file, save_file

        steps = self.steps
        told = [made_by, [pack.digest for pack in steps.packs], _told(steps.augmentation), steps.seed, self.views]
        key = hashlib.sha256(json.dumps(told).encode()).hexdigest()
        if path.is_file():
            with safe_open(path, framework="pt") as file:
                if (file.metadata() or {}).get(KEY) == key:
                    return load_file(path)
        made = self._made()
        atomically(path, lambda temporary: save_file(made, temporary, metadata={KEY: key}))
        return made

    def _made(self) -> dict[str, torch.Tensor]:
        """``latents`` half [P V, C, h, w] and ``labels`` uint8 [P V, H, W]: view v of picture p at p V + v."""
        count, latents, labels = len(self.steps.places) * self.views, [], []
        for start in range(0, count, TOGETHER):
            drawn = [self._view(*divmod(place, self.views)) for place in range(start, min(start + TOGETHER, count))]
            pixels = torch.from_numpy(np.stack([pixels for pixels, _ in drawn])).permute(0, 3, 1, 2).contiguous()
            latents.append(self.encode(pixels).half().contiguous())
            labels += [torch.from_numpy(np.ascontiguousarray(classes)) for _, classes in drawn] if self.classes else []
        return {"latents": torch.cat(latents).contiguous()} | ({"labels": torch.stack(labels)} if labels else {})

    def _view(self, picture: int, view: int) -> tuple[np.ndarray, np.ndarray | None]:
        rng = generator(self.steps.seed, "train", "view", picture, view)
        return self.steps.augmented(picture, rng)


def _told(augmentation: Augmentation) -> str:
    """All that it does. What is off is left out, so that options that came later leave alone what was encoded before."""
    return re.sub(r", \w+=0\.0", "", repr(augmentation))
