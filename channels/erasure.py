"""Symbols that are lost, in bursts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field

from channels.base import ChannelDescription, Disturbance, Draw, Drawn, Stage
from channels.gilbert import losses, transitions

torch = lazy.load("torch")


class Erasure(ChannelDescription):
    """Burst erasure of symbols: some resource elements are lost, and the receiver knows which.

    Gilbert's chain of two states runs over the resource elements in channel-use order. A share of ``probability`` is lost,
    in bursts of the mean length ``mean_burst``, geometric; null: independently. What is lost has noise_std = inf, all
    antennas and streams of the element together. A pilot can be lost as well.

    Charges: nothing; lost symbols were sent and stay charged. With independent losses a higher probability keeps those of a
    lower one. Capacity is that of the channel times 1 - probability. References: Gilbert 1960; Elias 1955.

    Example::

        channel: [{kind: rayleigh}, {kind: erasure, probability: 0.1, mean_burst: 50}]
    """

    STAGE: ClassVar[Stage] = "interference"
    kind: Literal["erasure"] = "erasure"
    probability: float = Field(0.1, ge=0.0, lt=1.0, description="share of the resource elements that is lost")
    mean_burst: float | None = Field(
        None, ge=1.0, description="mean length of a burst of losses, resource elements; null: independent losses"
    )

    def conflict(self, stages: Sequence[ChannelDescription]) -> str | None:
        try:
            transitions(self.probability, self.mean_burst)
        except ValueError as error:
            return str(error)
        return None

    def assumed(self) -> tuple[str, ...]:
        return ("which symbols were erased, at the receiver",)

    def build(self, device: str = "cpu") -> PreparedErasure:
        return PreparedErasure(self.probability, self.mean_burst)


class PreparedErasure:
    """The prepared stage; see `Erasure`."""

    domain = "elements"

    def __init__(self, probability: float, mean_burst: float | None):
        self.probability, self.mean_burst = probability, mean_burst

    def draw(self, count: int, receive: int, draws: Sequence[Draw]) -> Drawn:
        """Which elements are lost, bool [U, 1, count]; the same for all antennas, and a longer count keeps the prefix."""
        uniform = np.empty((len(draws), count))
        for row, draw in enumerate(draws):
            uniform[row] = draw.stream("erasure").random(count)
        return (torch.from_numpy(losses(uniform, self.probability, self.mean_burst))[:, None],)

    def apply(self, sigma: torch.Tensor, drawn: Drawn) -> Disturbance:
        (lost,) = drawn
        nothing = torch.zeros(lost.shape, dtype=torch.complex64, device=lost.device)
        return Disturbance(nothing, nothing.real.masked_fill(lost, torch.inf))
