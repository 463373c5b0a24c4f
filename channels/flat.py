"""What the flat channels share: y = h x + noise, and gains h that hold for one use or for one coherence block."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import lazy_loader as lazy
import numpy as np

from channels.base import Draw, Fading, Grid

torch = lazy.load("torch")


#: Covariance of gains between steps, or between tones, with indices a and b: [len(a), len(b)].
Factor = Callable[[np.ndarray, np.ndarray], np.ndarray]


def one_gain(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The factor over tones of a flat channel."""
    return np.ones((len(a), len(b)))


class FlatChannel:
    """A prepared channel without fading: h = 1."""

    def draw(self, n: int, draws: Sequence[Draw]) -> Fading:
        """Gains complex64 [len(draws), n], on the CPU; a longer n keeps the prefix."""
        return Fading(torch.ones((len(draws), 1), dtype=torch.complex64).expand(-1, n))

    def apply(self, x: torch.Tensor, fading: Fading, noise: torch.Tensor) -> torch.Tensor:
        """y = h x + noise, complex64 [B, n]; differentiable in x, h and noise."""
        if not x.shape == fading.h.shape == noise.shape:
            shapes = f"symbols {tuple(x.shape)}, gains {tuple(fading.h.shape)}, noise {tuple(noise.shape)}"
            raise ValueError(f"{shapes}; expected one shape [B, n]")
        return fading.h * x + noise

    def mean(self, grid: Grid) -> complex:
        """E[h], which a receiver may count on."""
        return 1.0 + 0j

    def covariance(self, grid: Grid, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """E[(h_a - mean) conj(h_b - mean)] complex [len(a), len(b)] of elements a and b: nothing is random."""
        return np.zeros((len(a), len(b)), dtype=complex)


class FadingChannel(FlatChannel):
    """Rician fading of factor ``k`` (a power ratio; 0 is Rayleigh): h = sqrt(k/(k+1)) + CN(0, 1/(k+1)).

    The line of sight has phase 0. What is drawn depends on neither ``k`` nor ``coherence``: they only shape it.
    """

    def __init__(self, k: float, fading: Literal["block", "fast"], coherence: int | None):
        self.k, self.fading, self.coherence = k, fading, coherence

    def draw(self, n: int, draws: Sequence[Draw]) -> Fading:
        """Gains complex64 [len(draws), n], on the CPU; a longer n keeps the prefix."""
        h = np.empty((len(draws), n), dtype=np.complex64)
        if self.fading == "fast":
            for row, draw in enumerate(draws):
                h[row] = self._scatter(draw.rng, n)
        elif draws and n:
            quantiles = np.array([d.stratum for d in draws]), np.array([d.rng.random() for d in draws])
            first = stratified_gain(self.k, *quantiles)
            length = self.coherence or n
            if length >= n:  # one gain a transmission, stored once
                return Fading(torch.from_numpy(first.astype(np.complex64))[:, None].expand(-1, n))
            for row, draw in enumerate(draws):
                blocks = np.append(first[row], self._scatter(draw.rng, math.ceil(n / length) - 1))
                h[row] = np.repeat(blocks, length)[:n]
        return Fading(torch.from_numpy(h))

    def mean(self, grid: Grid) -> complex:
        """The line of sight."""
        return complex(math.sqrt(self.k / (self.k + 1.0)))

    def covariance(self, grid: Grid, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """1 / (k+1) within a block, complex [len(a), len(b)]; a step of a grid has the gain of its first element."""
        same = np.equal.outer(self._block(grid, a), self._block(grid, b))
        return same.astype(complex) / (self.k + 1.0)

    def scattered(self, grid: Grid) -> tuple[Factor, Factor]:
        """The covariance as a product of one between steps and one between tones."""
        tones = len(grid.tones)
        return lambda a, b: self.covariance(grid, a * tones, b * tones).real, one_gain

    def _block(self, grid: Grid, elements: np.ndarray) -> np.ndarray:
        """The number of the coherence block that each element is in."""
        first = (np.asarray(elements) // len(grid.tones) + grid.start) * len(grid.tones)
        if self.fading == "block" and self.coherence is None:
            return np.zeros_like(first)
        return first // (1 if self.fading == "fast" else self.coherence)

    def _scatter(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Independent gains, of two normal variables each."""
        scattered = rng.standard_normal(2 * count).view(np.complex128) * math.sqrt(0.5)
        return math.sqrt(self.k / (self.k + 1.0)) + scattered / math.sqrt(self.k + 1.0)


def stratified_gain(k: float, quantile: np.ndarray, phase_quantile: np.ndarray) -> np.ndarray:
    """Rician gains, E|h|^2 = 1, whose |h|^2 is its distribution's ``quantile`` and whose phase, given |h|, is its ``phase_quantile``."""
    if k == 0.0:
        return np.sqrt(-np.log1p(-quantile)) * np.exp(2j * math.pi * (phase_quantile - 0.5))
    from scipy.stats import ncx2

    # 2 (k+1) |h|^2 is noncentral chi-square: 2 degrees of freedom, noncentrality 2 k.
    magnitude = np.sqrt(ncx2.ppf(quantile, 2, 2.0 * k) / (2.0 * (k + 1.0)))
    # p(h) ~ exp(-(k+1) |h - m|^2), m = sqrt(k/(k+1)): at fixed |h| only exp(2 (k+1) m |h| cos(phase)) is
    # left, von Mises of concentration 2 sqrt(k (k+1)) |h|.
    phase = _von_mises_quantile(phase_quantile, 2.0 * math.sqrt(k * (k + 1.0)) * magnitude)
    return magnitude * np.exp(1j * phase)


def _von_mises_quantile(u: np.ndarray, concentration: np.ndarray) -> np.ndarray:
    """Phases in (-pi, pi); by bisection, as scipy's own inverse takes milliseconds an element."""
    from scipy.stats import vonmises

    low, high = np.full_like(u, -math.pi), np.full_like(u, math.pi)
    for _ in range(32):  # 2 pi / 2^32 is below the resolution of complex64
        middle = (low + high) / 2.0
        below = vonmises.cdf(middle, concentration) < u
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2.0
