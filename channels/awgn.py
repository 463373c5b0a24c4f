"""Additive white Gaussian noise: the channel that does nothing but add noise."""

from __future__ import annotations

from typing import Literal

from channels.base import ChannelDescription
from channels.flat import FlatChannel


class AWGN(ChannelDescription):
    """Additive white Gaussian noise and no fading: y = x + n, n ~ CN(0, 1/SNR).

    The noise itself is drawn by the link, so that every system meets the same. SNR is Es/N0 per complex
    symbol; each real dimension has noise variance 1 / (2 SNR).

    Shapes: symbols, gains (all 1) and noise are complex64 [B, n], one a channel use.
    References: Shannon 1948, section 24; Proakis, Salehi 2008, section 4.2.

    Example::

        channel: {kind: awgn}
    """

    kind: Literal["awgn"] = "awgn"

    def build(self, device: str = "cpu") -> FlatChannel:
        return FlatChannel()
