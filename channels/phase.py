"""Oscillators: phases that wander or turn, what tracking leaves of them, and what that does to symbols and subcarriers.

A rotation exp(j theta) that the receiver knows only in distribution is a gain E[exp(j theta)] and an error of power
1 - |E exp(j theta)|^2 times the signal. For Gaussian theta of variance v these are exp(-v/2) and 1 - exp(-v).
"""

from __future__ import annotations

import math

import lazy_loader as lazy
import numpy as np

torch = lazy.load("torch")


def wiener_step_variance(linewidth: float) -> float:
    """Variance of a Wiener phase from one sample to the next, rad^2: 2 pi times the linewidth over the sample rate.

    ``linewidth`` is the full width at half power of the oscillator's Lorentzian line, as a fraction of the sample rate
    (Pollet, Van Bladel, Moeneclaey 1995, equation 4; Demir, Mehrotra, Roychowdhury 2000).
    """
    return 2.0 * math.pi * linewidth


def wiener_deviation_variance(step_variance: float, window: int) -> np.ndarray:
    """Variance of theta_i - mean of theta, i = 0 .. W-1, of a Wiener phase over a window of W samples, float64 [W].

    theta_i - mean is the sum of increments w_j times j/W for j <= i and times -(W - j)/W after, so the variance is
    step_variance / W^2 times (1^2 + ... + i^2) + (1^2 + ... + (W-1-i)^2). It does not depend on the mean itself.
    """
    i = np.arange(window, dtype=float)
    return step_variance / window**2 * (_sum_of_squares(i) + _sum_of_squares(window - 1.0 - i))


def _sum_of_squares(n: np.ndarray) -> np.ndarray:
    return n * (n + 1.0) * (2.0 * n + 1.0) / 6.0


def offset_deviation_variance(offset_std: float, window: int) -> np.ndarray:
    """Variance of 2 pi e (i - (W-1)/2), i = 0 .. W-1: the phase of an offset e ~ N(0, offset_std^2) about a window's mean."""
    return (2.0 * math.pi * offset_std * (np.arange(window) - (window - 1) / 2.0)) ** 2


def remove_window_mean(theta: torch.Tensor, window: int) -> torch.Tensor:
    """Phases [B, n] less their mean over consecutive windows of ``window`` samples, the last of which may be shorter."""
    return torch.cat([piece - piece.mean(dim=1, keepdim=True) for piece in theta.split(window, dim=1)], dim=1)


def gaussian_gain(variance: np.ndarray | float) -> np.ndarray:
    """E exp(j theta) = exp(-v/2) of Gaussian theta of variance v."""
    return np.exp(-0.5 * np.asarray(variance, dtype=float))


def gaussian_error(variance: np.ndarray | float) -> np.ndarray:
    """E|exp(j theta) - E exp(j theta)|^2 = 1 - exp(-v) of Gaussian theta of variance v."""
    return -np.expm1(-np.asarray(variance, dtype=float))


# --- OFDM: one rotation common to all subcarriers, and leakage between them -------------------------------------


def common_rotation(theta: torch.Tensor) -> torch.Tensor:
    """J_0 complex64 [...], the mean of exp(j theta) over the last dimension, the N samples of an OFDM symbol without prefix.

    Every subcarrier is multiplied by J_0; the others leak into it with the power 1 - |J_0|^2 (all subcarriers of unit
    power, one-tap channel), exactly, by Parseval. References: Armada 2001, equation 6; Petrovic, Rave, Fettweis 2007.
    """
    return torch.polar(torch.ones_like(theta), theta).mean(dim=-1)


def wiener_ici_power(step_variance: float, fft_size: int) -> float:
    """E[1 - |J_0|^2] of a Wiener phase: 1 - (N + 2 sum over d of (N - d) r^d) / N^2 with r = exp(-step_variance / 2)."""
    lag = np.arange(1, fft_size)
    together = fft_size + 2.0 * np.sum((fft_size - lag) * np.exp(-0.5 * step_variance * lag))
    return float(1.0 - together / fft_size**2)


def offset_rotation(offset: float, fft_size: int) -> complex:
    """J_0 of a carrier offset of ``offset`` subcarrier spacings, from the first of N samples on.

    sin(pi e) / (N sin(pi e / N)) exp(j pi e (N - 1) / N): for large N a sinc (Moose 1994, equation 6).
    """
    if offset % fft_size == 0:
        return 1.0 + 0.0j
    size = math.sin(math.pi * offset) / (fft_size * math.sin(math.pi * offset / fft_size))
    angle = math.pi * offset * (fft_size - 1) / fft_size
    return complex(size * math.cos(angle), size * math.sin(angle))


def offset_ici_power(offset: float, fft_size: int) -> float:
    """Power that leaks into a subcarrier from all others at a carrier offset, of unit power each: 1 - |J_0|^2."""
    return 1.0 - abs(offset_rotation(offset, fft_size)) ** 2
