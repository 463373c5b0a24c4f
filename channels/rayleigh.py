"""Rayleigh fading: many scattered paths and no line of sight."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from channels.base import ChannelDescription
from channels.flat import FadingChannel, check_coherence


class Rayleigh(ChannelDescription):
    """Rayleigh fading, y = h x + n with h ~ CN(0, 1): block by block, or at every channel use.

    |h|^2 is exponential with mean 1, the phase uniform; SNR is the average over fading. With block fading
    the first block's |h|^2 is the quantile -ln(1 - u) at this repeat's stratum u, so that repeats cover
    deep fades and good channels evenly; later blocks are independent. Gains depend on the coherence length
    only through how long they hold.

    Shapes: symbols, gains and noise are complex64 [B, n], one a channel use.
    References: Tse, Viswanath 2005, section 2.4.2; Proakis, Salehi 2008, section 13.3.

    Example::

        channel: {kind: rayleigh, fading: block, coherence: 256}
    """

    kind: Literal["rayleigh"] = "rayleigh"
    fading: Literal["block", "fast"] = Field(
        "block", description="block: one gain a coherence block; fast: an independent one at every channel use"
    )
    coherence: int | None = Field(
        None, ge=1, description="length of a coherence block, channel uses; null: one gain for the whole transmission"
    )

    @model_validator(mode="after")
    def _coherence_is_of_blocks(self) -> Rayleigh:
        check_coherence(self.fading, self.coherence)
        return self

    def build(self, device: str = "cpu") -> FadingChannel:
        return FadingChannel(0.0, self.fading, self.coherence)
