"""What is random in a generative receiver: noise from the decoder's stream, row by row, and how far samples differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import lazy_loader as lazy
import numpy as np

from semcom.rng import Streams
from semcom.types import GREY, Reconstruction

torch = lazy.load("torch")


class Draws:
    """The decoder's random numbers: a stream a row and purpose, whatever rows pass together.

    Shapes: ``shape`` is that of one row's noise. Example: ``Draws(streams, (3, 64, 128))("shown")()`` is [B, 3, 64, 128].
    """

    def __init__(self, streams: Streams, shape: Sequence[int], device: torch.device | str = "cpu"):
        self.streams, self.shape, self.device = streams, tuple(shape), device

    def __call__(self, purpose: str) -> Rows:
        """The streams of a purpose, such as one of several samples, at their start."""
        rows = [self.streams.generator(f"decoder {purpose}", row) for row in range(len(self.streams))]
        return Rows(rows, self.shape, self.device)


class Rows:
    """Fresh noise of unit variance, a draw a call."""

    def __init__(self, generators: list[np.random.Generator], shape: tuple[int, ...], device: torch.device | str):
        self.generators, self.shape, self.device = generators, shape, device

    def select(self, rows: torch.Tensor) -> Rows:
        """These rows alone; they share their streams with the others' copies."""
        return Rows([self.generators[row] for row in rows.tolist()], self.shape, self.device)

    def __call__(self) -> torch.Tensor:
        drawn = np.stack([rng.standard_normal(self.shape, dtype=np.float32) for rng in self.generators])
        return torch.from_numpy(drawn).to(self.device)


def with_samples(made: Reconstruction, drawn: Sequence[torch.Tensor]) -> Reconstruction:
    """With what else the picture may have been, S times float32 [B, 3, H, W], and how far these differ at each pixel.

    The uncertainty is the samples' deviation, mean over colours; 0 where there is only one sample.
    """
    stack = torch.where(made.ok[:, None, None, None, None], torch.stack(list(drawn), dim=1), GREY)
    spread = stack.std(dim=1, unbiased=len(drawn) > 1).mean(dim=1)
    return replace(made, samples=stack, uncertainty=spread)
