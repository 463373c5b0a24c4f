"""Noise that comes in blows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field

from channels.base import ChannelDescription, Disturbance, Draw, Drawn, Stage

torch = lazy.load("torch")


class Impulses(ChannelDescription):
    """Bernoulli-Gaussian impulses: beside the background noise, a sample has more with a small probability.

    n + b w with b = 1 with ``probability``, independent from sample to sample and the same for all receive antennas, and
    w ~ CN(0, ratio sigma^2); sigma^2 is the background's, of which SNR speaks, so that the mean noise is
    1 + probability * ratio times as strong. A sample is a channel use of a single carrier. OFDM spreads an impulse over
    all subcarriers of its symbol.

    Where the receiver knows which samples were hit (``known: places``) their noise level is sigma^2 (1 + ratio); where not
    (``known: average``) every sample has the mean level, right on average alone: PROTOCOL's deliberate mismatch.

    Charges: nothing. A higher probability keeps the impulses of a lower one. References: Ghosh 1996, the
    error rate of a mixture (`channels.theory.ber_bernoulli_gaussian`).

    Example::

        channel: [{kind: awgn}, {kind: impulses, probability: 0.01, ratio_db: 20}]
    """

    STAGE: ClassVar[Stage] = "interference"
    kind: Literal["impulses"] = "impulses"
    probability: float = Field(0.01, ge=0.0, le=1.0, description="probability that a sample is hit")
    ratio_db: float = Field(20.0, ge=-20.0, le=60.0, description="power of an impulse over that of the background noise, dB")
    known: Literal["places", "average"] = Field(
        "places", description="what the receiver knows: which samples were hit, or the mean noise level alone"
    )

    def assumed(self) -> tuple[str, ...]:
        what = "which samples were hit by impulses, and their power," if self.known == "places" else "the mean power of impulses"
        return (f"{what} at the receiver",)

    def build(self, device: str = "cpu") -> PreparedImpulses:
        return PreparedImpulses(self.probability, 10.0 ** (self.ratio_db / 10.0), self.known)


class PreparedImpulses:
    """The prepared stage; see `Impulses`."""

    domain = "samples"

    def __init__(self, probability: float, ratio: float, known: Literal["places", "average"]):
        self.probability, self.ratio, self.known = probability, ratio, known

    def draw(self, count: int, receive: int, draws: Sequence[Draw]) -> Drawn:
        """Which samples are hit, bool [U, 1, count], and CN(0, 1) complex64 [U, receive, count], 0 where they are not."""
        hit = np.empty((len(draws), 1, count), dtype=bool)
        values = np.zeros((len(draws), receive, count), dtype=np.complex64)
        for row, draw in enumerate(draws):
            hit[row, 0] = draw.stream("impulses").random(count) < self.probability
            for antenna in range(receive):
                normal = draw.stream("impulse values" if antenna == 0 else f"impulse values {antenna}")
                values[row, antenna] = normal.standard_normal(2 * count).view(np.complex128) * np.sqrt(0.5) * hit[row, 0]
        return torch.from_numpy(hit), torch.from_numpy(values)

    def apply(self, sigma: torch.Tensor, drawn: Drawn) -> Disturbance:
        hit, values = drawn
        share = hit.to(sigma.dtype) if self.known == "places" else self.probability
        return Disturbance(sigma * self.ratio**0.5 * values, sigma.square() * self.ratio * share)
