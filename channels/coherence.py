"""Whether a waveform, its prefix and its pilots suit a channel's spread in delay and frequency, before anything runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from channels.base import ChannelDescription

#: CSI that is estimated from pilots.
FROM_PILOTS = ("ls", "lmmse")


def stage(stages: Sequence[ChannelDescription], name: str) -> ChannelDescription | None:
    """The first stage of that name in a chain."""
    return next((s for s in stages if s.STAGE == name), None)


def delay_conflict(kind: str, longest: float, domain: str, stages: Sequence[ChannelDescription]) -> str | None:
    """Why paths up to ``longest`` s cannot be carried by the chain's waveform, or None."""
    ofdm = stage(stages, "waveform")
    if ofdm is None:
        return f"channel '{kind}' has several paths and needs a waveform that carries them; put {{kind: ofdm}} first in the chain"
    rate = ofdm.fft_size * ofdm.subcarrier_spacing_khz * 1e3
    prefix, symbol = ofdm.cyclic_prefix / rate, (ofdm.fft_size + ofdm.cyclic_prefix) / rate
    if domain == "frequency" and longest > prefix:
        return (
            f"the last path of channel '{kind}' comes after {_us(longest)}, beyond the cyclic prefix of {_us(prefix)} "
            f"({ofdm.cyclic_prefix} samples at {rate / 1e6:g} MHz); set cyclic_prefix to {math.ceil(longest * rate)} or more, "
            f"or domain: time"
        )
    if longest > symbol:
        return (
            f"the last path of channel '{kind}' comes after {_us(longest)}, later than a whole OFDM symbol of {_us(symbol)}; "
            f"raise fft_size"
        )
    return None


def pilot_conflict(kind: str, longest: float, doppler: float, stages: Sequence[ChannelDescription]) -> str | None:
    """Why the chain's pilots do not sample a channel of this longest delay, s, and largest Doppler shift, Hz; or None.

    The sampling theorem: the spectrum in time is 2 f_D wide, the impulse response ``longest``.
    """
    ofdm, csi, antennas = (stage(stages, name) for name in ("waveform", "csi", "antennas"))
    if ofdm is None or csi is None or getattr(csi, "estimate", None) not in FROM_PILOTS or ofdm.pilots is None:
        return None
    apart = ofdm.pilots.longest_gap * ofdm.interval_s
    if 2.0 * doppler * apart > 1.0:
        return (
            f"pilots up to {ofdm.pilots.longest_gap} OFDM symbols apart ({1e3 * apart:.3g} ms) do not follow channel '{kind}' "
            f"with its Doppler shift of {doppler:.4g} Hz; they may be {1e3 / (2 * doppler):.3g} ms apart: add pilot symbols"
        )
    comb = ofdm.pilots.spacing * getattr(antennas, "transmit_antennas", 1)
    width = comb * ofdm.subcarrier_spacing_khz * 1e3
    if longest * width > 1.0:
        return (
            f"pilots of one antenna {comb} subcarriers ({width / 1e3:g} kHz) apart do not resolve channel '{kind}', whose last "
            f"path comes after {_us(longest)}; they may be {1e-3 / longest:.4g} kHz apart: lower pilots.spacing"
        )
    return None


def _us(seconds: float) -> str:
    return f"{1e6 * seconds:.4g} us"
