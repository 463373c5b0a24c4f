"""Rayleigh fading: many scattered paths and no line of sight."""

from __future__ import annotations

from typing import Literal

from channels.fading import FlatFading
from channels.flat import FadingChannel
from channels.jakes import JakesChannel


class Rayleigh(FlatFading):
    """Rayleigh fading, y = h x + n with h ~ CN(0, 1): block by block, at every channel use, or as a receiver moves.

    |h|^2 is exponential with mean 1, the phase uniform; SNR is the average over fading. With block fading
    the first block's |h|^2 is the quantile -ln(1 - u) at this repeat's stratum u, so that repeats cover
    deep fades and good channels evenly; later blocks are independent. Gains depend on the coherence length
    only through how long they hold. With `fading: jakes` the gain is a sum of 64 waves from all around a moving receiver,
    with complex Gaussian amplitudes and evenly spaced angles: E[h(t) conj(h(t + dt))] = J0(2 pi f_D dt), f_D = v f_c / c, and the
    stratum is that of |h|^2 at the start. Pairs of antennas fade independently.

    Shapes: symbols, gains and noise are complex64 [B, n], one a channel use.
    References: Clarke 1968; Jakes 1974, section 1.1; Tse, Viswanath 2005, section 2.4.2; Proakis, Salehi 2008, section 13.3.

    Example::

        channel: {kind: rayleigh, fading: block, coherence: 256}
    """

    kind: Literal["rayleigh"] = "rayleigh"

    def build(self, device: str = "cpu") -> FadingChannel | JakesChannel:
        return self._prepared(0.0)
