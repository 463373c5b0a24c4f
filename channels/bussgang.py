"""Bussgang's decomposition: a nonlinearity is a gain plus a distortion that is uncorrelated with its input."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import lazy_loader as lazy
import numpy as np

torch = lazy.load("torch")


@dataclass(frozen=True)
class Bussgang:
    """f(x) = gain x + d with E[d x*] = 0. ``gain`` is a ratio of amplitudes, ``distortion`` is E|d|^2, ``power`` E|f(x)|^2."""

    gain: float
    distortion: float
    power: float

    @property
    def sdr(self) -> float:
        """Signal to distortion ratio, |gain|^2 E|x|^2 / E|d|^2, of input power 1; inf without distortion."""
        return self.gain**2 / self.distortion if self.distortion > 0 else math.inf


def of_complex_gaussian(amplitude: Callable[[np.ndarray], np.ndarray]) -> Bussgang:
    """The decomposition of x -> amplitude(|x|) x / |x| for x ~ CN(0, 1), which samples of many subcarriers are.

    gain = E[amplitude(r) r] and power = E[amplitude(r)^2], over t = r^2 of density exp(-t) by quadrature; the
    distortion is power - gain^2. References: Bussgang 1952; Dardari, Tralli, Vaccari 2000.
    """
    from scipy.integrate import quad

    def mean(of: Callable[[float], float]) -> float:
        # breaks where a hard limiter bends, at any back-off of interest; exp(-60) is below rounding
        breaks = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
        return quad(lambda t: of(math.sqrt(t)) * math.exp(-t), 0.0, 60.0, points=breaks, epsabs=1e-13, limit=400)[0]

    gain, power = mean(lambda r: float(amplitude(r)) * r), mean(lambda r: float(amplitude(r)) ** 2)
    return Bussgang(gain, max(0.0, power - gain**2), power)


def of_real_gaussian(thresholds: np.ndarray, levels: np.ndarray) -> Bussgang:
    """The decomposition of a quantiser for a standard normal input: ``levels`` between rising ``thresholds``.

    gain = E[q(v) v] is the sum of the steps times the density at their thresholds; power = sum of levels^2 times their
    probabilities. Exact. A complex sample of power 1 whose two dimensions are quantised alike has the same gain, and
    the same distortion relative to its power. References: Max 1960; Bussgang 1952.
    """
    from scipy.special import ndtr

    density = np.exp(-0.5 * thresholds**2) / math.sqrt(2.0 * math.pi)
    gain = float(np.sum(np.diff(levels) * density))
    probabilities = np.diff(np.concatenate([[0.0], ndtr(thresholds), [1.0]]))
    power = float(np.sum(probabilities * levels**2))
    # E(q - v)^2 = power - 2 gain + 1 keeps its digits where distortion = power - gain^2 would cancel
    error = float(np.sum(_cell_errors(thresholds, levels)))
    return Bussgang(gain, max(0.0, error - (1.0 - gain) ** 2), power)


def _cell_errors(thresholds: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Integral of (v - level)^2 times the normal density over each cell of a quantiser."""
    from scipy.special import ndtr

    edges = np.concatenate([[-40.0], thresholds, [40.0]])
    density = np.exp(-0.5 * edges**2) / math.sqrt(2.0 * math.pi)
    mass = np.where(edges[:-1] > 0, ndtr(-edges[:-1]) - ndtr(-edges[1:]), ndtr(edges[1:]) - ndtr(edges[:-1]))
    first = density[:-1] - density[1:]
    second = mass + edges[:-1] * density[:-1] - edges[1:] * density[1:]
    return second - 2.0 * levels * first + levels**2 * mass


def measured(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gain complex64 [B, 1] and distortion power float32 [B, 1] of what became of samples x [B, n], row by row.

    gain = sum y x* / sum |x|^2 and the mean of |y - gain x|^2: of the actual samples, whatever their distribution,
    so that the distortion of each row is uncorrelated with that row's input exactly. A silent row has gain 1.
    """
    energy = x.abs().square().sum(dim=1, keepdim=True)
    gain = torch.where(energy > 0, (y * x.conj()).sum(dim=1, keepdim=True) / energy, 1.0)
    return gain, (y - gain * x).abs().square().mean(dim=1, keepdim=True)


def papr_db(x: torch.Tensor) -> torch.Tensor:
    """Peak to average power ratio of samples x complex [B, n], dB, float64 [B]; 0 for a silent row."""
    power = x.abs().square().to(torch.float64)
    mean = power.mean(dim=1)
    return torch.where(mean > 0, 10.0 * torch.log10(power.amax(dim=1) / mean.clamp(min=torch.finfo(torch.float64).tiny)), 0.0)
