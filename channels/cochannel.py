"""Somebody else's signal on the same resource elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field

from channels.base import ChannelDescription, Disturbance, Draw, Drawn, Stage

torch = lazy.load("torch")


class CoChannel(ChannelDescription):
    """A co-channel interferer that sends QAM symbols over a channel of its own: y = h x + g q / sqrt(SIR) + n.

    q is a random point of unit-energy square QAM (or BPSK), one a resource element, synchronous with ours. g is the gain to
    each receive antenna: CN(0, 1) where its fading is ``rayleigh``, a random phase where it is ``none``; one a burst. SIR is
    the average power ratio of the two at a receive antenna.

    The receiver treats the interferer as Gaussian noise of its power: |g|^2 / SIR where ``known`` is ``power`` (it measures
    interference plus noise), 1 / SIR where it is ``average``. A real QAM interferer is milder than noise of its power to
    decisions, and demappers do not profit from knowing its points. With several receive antennas each has its level; the
    interferer is not nulled.

    Charges: nothing. What is drawn depends on neither SIR nor order. References: Simon, Alouini 2005, section 10.1; the error
    rate of QPSK beside it, `channels.theory.ber_qpsk_cochannel`, after Prabhu 1969.

    Example::

        channel: [{kind: rayleigh}, {kind: cochannel, sir_db: 10, order: 16}]
    """

    STAGE: ClassVar[Stage] = "interference"
    kind: Literal["cochannel"] = "cochannel"
    sir_db: float = Field(10.0, ge=-40.0, le=80.0, description="average signal to interference ratio at a receive antenna, dB")
    order: Literal[2, 4, 16, 64, 256] = Field(4, description="points of the interferer's constellation")
    fading: Literal["rayleigh", "none"] = Field("rayleigh", description="the interferer's own fading, one gain a burst and antenna")
    known: Literal["power", "average"] = Field(
        "power", description="what the receiver knows: the interferer's power in this burst, or its average over fading"
    )

    def assumed(self) -> tuple[str, ...]:
        what = "power in this burst" if self.known == "power" else "average power"
        return (f"the co-channel interferer's {what} at the receiver",)

    def build(self, device: str = "cpu") -> PreparedCoChannel:
        return PreparedCoChannel(self)


class PreparedCoChannel:
    """The prepared stage; see `CoChannel`."""

    domain = "elements"

    def __init__(self, description: CoChannel):
        self.order, self.fading, self.known = description.order, description.fading, description.known
        self._amplitude = 10.0 ** (-description.sir_db / 20.0)

    def draw(self, count: int, receive: int, draws: Sequence[Draw]) -> Drawn:
        """Symbols complex64 [U, 1, count] and gains complex64 [U, receive, 1]; more of either keep those before."""
        symbols = np.empty((len(draws), 1, count), dtype=np.complex64)
        gains = np.empty((len(draws), receive, 1), dtype=np.complex64)
        for row, draw in enumerate(draws):
            symbols[row, 0] = _points(draw.stream("interference").random((count, 2)), self.order)
            pairs = draw.stream("interference gain").standard_normal((receive, 2)).view(np.complex128)
            gains[row] = pairs * math.sqrt(0.5) if self.fading == "rayleigh" else pairs / np.abs(pairs)
        return torch.from_numpy(symbols), torch.from_numpy(gains)

    def apply(self, sigma: torch.Tensor, drawn: Drawn) -> Disturbance:
        symbols, gains = drawn
        power = gains.abs().square() if self.known == "power" else torch.ones_like(gains.real)
        return Disturbance(self._amplitude * gains * symbols, self._amplitude**2 * power)


def _points(uniform: np.ndarray, order: int) -> np.ndarray:
    """Points of unit-energy square QAM, complex [n], from uniforms [n, 2], one a dimension; BPSK uses the first alone."""
    side = 2 if order == 2 else math.isqrt(order)
    levels = 2.0 * np.floor(uniform * side) - (side - 1)
    if order == 2:
        return levels[:, 0].astype(complex)
    return (levels[:, 0] + 1j * levels[:, 1]) / math.sqrt(2.0 * (side**2 - 1) / 3.0)
