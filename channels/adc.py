"""An analog to digital converter: uniform steps, a clipping level, and what both do to a signal."""

from __future__ import annotations

import functools

import lazy_loader as lazy
import numpy as np

from channels import bussgang

torch = lazy.load("torch")


def quantise(v: torch.Tensor, bits: int, clipping: float) -> torch.Tensor:
    """Uniform mid-rise quantisation of each real dimension of complex samples v [...].

    2^bits levels an odd number of half steps from zero, step = 2 clipping / 2^bits; beyond the clipping level the
    outermost level stays. ``clipping`` is in the units of v (a converter's gain control sets it to some multiple of the
    RMS). References: Widrow, Kollar 2008, section 1.2.
    """
    step = 2.0 * clipping / 2**bits
    outermost = clipping - step / 2.0
    parts = torch.view_as_real(v)
    return torch.view_as_complex((((parts / step).floor() + 0.5) * step).clamp(-outermost, outermost))


@functools.cache
def adc_bussgang(bits: int, clipping_db: float) -> bussgang.Bussgang:
    """Gain, distortion and power of `quantise` for complex Gaussian samples of power 1, exact.

    ``clipping_db`` is the clipping level over the RMS of a real dimension, dB. A sample of power P has the same gain and P
    times the distortion and power.
    """
    clipping = 10.0 ** (clipping_db / 20.0)
    step = 2.0 * clipping / 2**bits
    index = np.arange(2**bits)
    levels = (index + 0.5) * step - clipping
    return bussgang.of_real_gaussian(index[1:] * step - clipping, levels)


def best_clipping_db(bits: int) -> float:
    """The clipping level over the RMS, dB, that gives Gaussian samples the highest signal to distortion ratio (Max 1960)."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(lambda level: -adc_bussgang.__wrapped__(bits, level).sdr, bounds=(-6.0, 20.0), method="bounded")
    return float(found.x)
