"""Oscillators: what a phase that wanders or turns does to symbols and subcarriers, in closed form.

Over N samples, the uses of a single carrier over which the receiver follows the phase or the samples of an OFDM symbol,
J_0 = mean of exp(j theta) is the gain that a receiver can follow. The rest has the power 1 - |J_0|^2 times the signal's: of
a single carrier because a symbol turns more or less than the mean, of OFDM because subcarriers leak into each other.
"""

from __future__ import annotations

import math

import lazy_loader as lazy
import numpy as np

torch = lazy.load("torch")


def wiener_step_variance(linewidth: float) -> float:
    """Variance of a Wiener phase from one sample to the next, rad^2: 2 pi times the linewidth over the sample rate.

    ``linewidth`` is the full width at half power of the oscillator's Lorentzian line, as a fraction of the sample rate
    (Pollet, Van Bladel, Moeneclaey 1995; Demir, Mehrotra, Roychowdhury 2000).
    """
    return 2.0 * math.pi * linewidth


def common_rotation(theta: torch.Tensor) -> torch.Tensor:
    """J_0 complex [...], the mean of exp(j theta) over the last dimension.

    Where these are the samples of an OFDM symbol (without prefix), every subcarrier is multiplied by J_0 and the others leak
    into it with the power 1 - |J_0|^2 (all of unit power, one-tap channel), exactly, by Parseval.
    References: Armada 2001; Petrovic, Rave, Fettweis 2007.
    """
    return torch.polar(torch.ones_like(theta), theta).mean(dim=-1)


def wiener_error(step_variance: float, samples: int) -> float:
    """E[1 - |J_0|^2] of a Wiener phase: 1 - (N + 2 sum over d of (N - d) r^d) / N^2 with r = exp(-step_variance / 2)."""
    lag = np.arange(1, samples)
    together = samples + 2.0 * np.sum((samples - lag) * np.exp(-0.5 * step_variance * lag))
    return float(1.0 - together / samples**2)


def offset_rotation(offset: float, samples: int) -> complex:
    """J_0 of a carrier offset that turns ``offset`` times in N samples: of an OFDM symbol, that many subcarrier spacings.

    sin(pi e) / (N sin(pi e / N)) exp(j pi e (N - 1) / N): for large N a sinc (Moose 1994).
    """
    if offset % samples == 0:
        return 1.0 + 0.0j
    size = math.sin(math.pi * offset) / (samples * math.sin(math.pi * offset / samples))
    angle = math.pi * offset * (samples - 1) / samples
    return complex(size * math.cos(angle), size * math.sin(angle))


def offset_error(offset: float, samples: int) -> float:
    """1 - |J_0|^2 of `offset_rotation`: near (pi offset)^2 / 3 for small offsets."""
    return 1.0 - abs(offset_rotation(offset, samples)) ** 2
