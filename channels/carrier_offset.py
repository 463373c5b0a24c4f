"""Two oscillators that do not agree on the carrier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field

from channels.base import ChannelDescription, Draw, Drawn, Stage

torch = lazy.load("torch")


class CarrierOffset(ChannelDescription):
    """The carrier frequency offset that correction has left: sample i is turned by exp(j 2 pi offset i).

    The receiver follows the common rotation J_0 over ``tracked`` steps (channel uses of a single carrier, OFDM symbols);
    null: over the burst. Over N samples an offset of e turns |J_0| is sin(pi e) / (N sin(pi e / N)), a sinc, and
    1 - |J_0|^2 of the signal's power becomes noise: symbols that turn more than the mean, or subcarriers that leak into each
    other; near (pi e)^2 / 3 for small e (`channels.phase.offset_rotation`). With OFDM of N samples e is N times ``offset``: the
    offset in subcarrier spacings. Nothing is random.

    Charges: nothing; the pilots that tracking would take are listed as free.
    Units: turns a sample (single carrier: a channel use). References: Moose 1994; Pollet, Van Bladel,
    Moeneclaey 1995.

    Example::

        channel: [{kind: awgn}, {kind: carrier_offset, offset: 1.0e-3, tracked: 64}]
    """

    STAGE: ClassVar[Stage] = "hardware"
    kind: Literal["carrier_offset"] = "carrier_offset"
    offset: float = Field(
        1e-3, ge=-0.5, le=0.5, description="residual offset, turns a sample; times the FFT size: in subcarrier spacings"
    )
    tracked: int | None = Field(
        64, ge=1, description="steps (uses, OFDM symbols) over which the receiver follows the phase; null: one phase a burst"
    )

    def assumed(self) -> tuple[str, ...]:
        over = "each burst" if self.tracked is None else f"every {self.tracked} steps (uses, OFDM symbols)"
        return (f"the common phase of the oscillators over {over}",)

    def build(self, device: str = "cpu") -> PreparedCarrierOffset:
        return PreparedCarrierOffset(self.offset, self.tracked)


class PreparedCarrierOffset:
    """The prepared stage; see `CarrierOffset`."""

    level_dependent = False

    def __init__(self, offset: float, tracked: int | None):
        self.offset, self.tracked = offset, tracked

    def draw(self, at: np.ndarray, antennas: int, draws: Sequence[Draw]) -> Drawn:
        return ()

    def apply(self, samples: torch.Tensor, at: np.ndarray, drawn: Drawn) -> torch.Tensor:
        """[B, A, n], turned; whole turns are dropped in float64."""
        theta = 2.0 * math.pi * np.remainder(self.offset * at, 1.0)
        return samples * torch.from_numpy(np.exp(1j * theta)).to(samples)
