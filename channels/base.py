"""The contract of a channel model: drawing what is random and applying it are two jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import lazy_loader as lazy
import numpy as np
from pydantic import BaseModel, ConfigDict

torch = lazy.load("torch")


class ChannelDescription(BaseModel):
    """What a scenario file says of a channel. Subclasses declare ``kind``, parameters and ``build(device)``."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
    VERSION: ClassVar[int] = 1

    def identity(self) -> dict:
        """What of this channel changes the numbers: its parameters, its version, and whose code it is."""
        return {**self.model_dump(mode="json"), "version": self.VERSION, "class": f"{type(self).__module__}:{type(self).__qualname__}"}


@dataclass(frozen=True)
class Draw:
    """The randomness of one transmission.

    ``rng`` is at the start of its fading stream. ``stratum`` in (0, 1) is the quantile of |h|^2 that the
    first coherence block takes, so that repeats cover the fading distribution evenly.
    """

    rng: np.random.Generator
    stratum: float


@dataclass(frozen=True)
class Fading:
    """What was drawn: the complex gain ``h`` complex64 [B, n], one a channel use, E|h|^2 = 1."""

    h: torch.Tensor

    def slice(self, start: int, stop: int) -> Fading:
        """The channel uses start..stop of every row."""
        return Fading(self.h[:, start:stop])


class Channel(Protocol):
    """A prepared channel model. ``draw`` works on the CPU from the streams it is handed; the caller moves it."""

    def draw(self, n: int, draws: Sequence[Draw]) -> Fading:
        """The fading over ``n`` channel uses of len(draws) transmissions; a longer n keeps the prefix."""
        ...

    def apply(self, x: torch.Tensor, fading: Fading, noise: torch.Tensor) -> torch.Tensor:
        """y [B, n] from symbols x complex64 [B, n] and noise complex64 [B, n] of its final variance."""
        ...
