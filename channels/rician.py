"""Rician fading: scattered paths beside a line of sight."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from channels.fading import FlatFading
from channels.flat import FadingChannel
from channels.jakes import JakesChannel


class Rician(FlatFading):
    """Rician fading, y = h x + n with a line of sight K times as strong as the scattered paths together.

    h = sqrt(K/(K+1)) + CN(0, 1/(K+1)), so E|h|^2 = 1; the line of sight has phase 0. K = 0 (minus infinity
    in dB) is Rayleigh fading, large K is AWGN. With block fading the first block's |h|^2 is the quantile of
    its noncentral chi-square distribution at this repeat's stratum, and its phase is von Mises around the
    line of sight, of concentration 2 sqrt(K (K+1)) |h|; later blocks are independent. The draws behind the
    gains are the same for every K, so curves over K are paired. With `fading: jakes` the scattered part is ``rayleigh``'s; the
    line of sight keeps its phase, as the receiver's carrier follows it.

    Shapes: symbols, gains and noise are complex64 [B, n], one a channel use.
    References: Rice 1948; Tse, Viswanath 2005, equation 2.55; Simon, Alouini 2005, section 2.2.1.2.

    Example::

        channel: {kind: rician, k_db: 6}
    """

    kind: Literal["rician"] = "rician"
    k_db: float = Field(
        6.0, ge=-60.0, le=60.0, description="Rician factor K: power of the line of sight over that of the scattered paths, dB"
    )

    def build(self, device: str = "cpu") -> FadingChannel | JakesChannel:
        return self._prepared(10.0 ** (self.k_db / 10.0))
