"""A power amplifier that saturates: Rapp's model, its gain and its distortion."""

from __future__ import annotations

import functools
import math

import lazy_loader as lazy
import numpy as np

from channels import bussgang

torch = lazy.load("torch")


def rapp_amplitude(r: np.ndarray, smoothness: float) -> np.ndarray:
    """r / (1 + r^(2p))^(1/(2p)): amplitude in and out, relative to saturation (Rapp 1991, equation 1).

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
    units of saturation (Dardari, Tralli, Vaccari 2000, equations 16 and 17).
    """
    v = 10.0 ** (backoff_db / 20.0)
    gain = (-math.expm1(-v * v) + math.sqrt(math.pi) / 2.0 * v * math.erfc(v)) / v
    power = -math.expm1(-v * v) / (v * v)
    return bussgang.Bussgang(gain, power - gain**2, power)
