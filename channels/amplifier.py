"""A power amplifier that saturates: Rapp's model, its gain and its distortion."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field

from channels import bussgang
from channels.base import ChannelDescription, Draw, Drawn, Stage
from channels.order import before_propagation

torch = lazy.load("torch")


class Amplifier(ChannelDescription):
    """The transmitter's power amplifier, which saturates: Rapp's model without phase distortion.

    out = in / (1 + (|in| / A)^(2p))^(1/(2p)), p the smoothness of the knee and A the saturated amplitude. The mean power
    that comes in is ``backoff_db`` below A^2. A^2 is 1, shared equally among antennas: SNR is relative to saturation, so
    that what the back-off keeps from being radiated is lost SNR, and what it does not is distortion. The mean power that
    leaves, E|out|^2, is below 1 and is the energy of the ledger's rule at most.

    The output is a gain times the input plus a distortion that is uncorrelated with it (Bussgang). The receiver divides by
    the gain and adds the distortion to its noise level. For the nearly Gaussian samples of OFDM both are integrals
    (`rapp_bussgang`); a single carrier without pulse shaping distorts its outer points alone, and phase modulation not at all.
    What leaks out of band is not modelled: samples are taken at the symbol or FFT rate. A pilot that one of A antennas sends at
    the power of all meets an amplifier of 1/A of the saturated power, and is compressed.

    Charges: nothing in uses; power as above. ``papr_db`` is reported for every image: of these samples, a few tenths of a
    decibel below that of the continuous signal.
    Units: power relative to saturation. References: Rapp 1991; Bussgang 1952; Dardari, Tralli, Vaccari 2000.

    Example::

        channel: [{kind: amplifier, backoff_db: 6, smoothness: 2}, {kind: awgn}]
    """

    STAGE: ClassVar[Stage] = "hardware"
    kind: Literal["amplifier"] = "amplifier"
    backoff_db: float = Field(
        6.0, ge=-20.0, le=60.0, description="input back-off: saturation power over the mean power that comes in, dB"
    )
    smoothness: float = Field(
        2.0, ge=0.5, le=1000.0, description="Rapp's p: 2 to 3 for solid-state amplifiers, large for an ideal limiter"
    )

    def conflict(self, stages: Sequence[ChannelDescription]) -> str | None:
        return before_propagation(self, stages, "the transmitter's amplifier")

    def assumed(self) -> tuple[str, ...]:
        return ("the amplifier's gain and the power of its distortion at the receiver",)

    def build(self, device: str = "cpu") -> PreparedAmplifier:
        return PreparedAmplifier(self.backoff_db, self.smoothness)


class PreparedAmplifier:
    """The prepared stage, one amplifier an antenna; see `Amplifier`."""

    tracked, level_dependent = None, False

    def __init__(self, backoff_db: float, smoothness: float):
        self.backoff_db, self.smoothness = backoff_db, smoothness

    def draw(self, at: np.ndarray, antennas: int, draws: Sequence[Draw]) -> Drawn:
        return ()

    def apply(self, samples: torch.Tensor, at: np.ndarray, drawn: Drawn) -> torch.Tensor:
        """[B, A, n]: each antenna saturates at 1 / A of the power."""
        share = math.sqrt(samples.shape[1])
        return amplify(samples * share, self.backoff_db, self.smoothness) / share


def rapp_amplitude(r: np.ndarray, smoothness: float) -> np.ndarray:
    """r / (1 + r^(2p))^(1/(2p)): amplitude in and out, relative to saturation (Rapp 1991).

    Written by the larger of r and 1, so that a high power does not overflow.
    """
    r = np.asarray(r, dtype=float)
    small, large = np.minimum(r, 1.0), np.maximum(r, 1.0)
    ratio = small / large  # r below saturation, 1/r above
    return small * (1.0 + ratio ** (2.0 * smoothness)) ** (-0.5 / smoothness)


def amplify(x: torch.Tensor, backoff_db: float, smoothness: float) -> torch.Tensor:
    """What the amplifier radiates of samples x, in units of its saturated amplitude.

    x of mean power 1 drives it ``backoff_db`` below the input at which an ideal limiter would saturate. The mean power
    that leaves is below 1: what the back-off costs. No phase distortion, as in a solid-state amplifier.
    Shapes: x complex, any; the same comes back.
    """
    driven = x * 10.0 ** (-backoff_db / 20.0)
    r = driven.abs().to(torch.float64)
    small, large = r.clamp(max=1.0), r.clamp(min=1.0)
    shrink = (1.0 + (small / large) ** (2.0 * smoothness)) ** (-0.5 / smoothness) / large
    return driven * shrink.to(driven.real.dtype)


@functools.cache
def rapp_bussgang(backoff_db: float, smoothness: float) -> bussgang.Bussgang:
    """Gain, distortion and mean output power for CN(0, 1) samples, relative to saturation; see `amplify`."""
    drive = 10.0 ** (-backoff_db / 20.0)
    return bussgang.of_complex_gaussian(lambda r: rapp_amplitude(drive * r, smoothness))


def limiter_bussgang(backoff_db: float) -> bussgang.Bussgang:
    """The closed form of an ideal limiter (p to infinity) for CN(0, 1) samples.

    With v^2 the input back-off: gain = (1 - exp(-v^2) + sqrt(pi)/2 v erfc(v)) / v and power = (1 - exp(-v^2)) / v^2, in
    units of saturation (Dardari, Tralli, Vaccari 2000).
    """
    v = 10.0 ** (backoff_db / 20.0)
    gain = (-math.expm1(-v * v) + math.sqrt(math.pi) / 2.0 * v * math.erfc(v)) / v
    power = -math.expm1(-v * v) / (v * v)
    return bussgang.Bussgang(gain, power - gain**2, power)
