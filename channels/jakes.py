"""Rayleigh and Rician paths that change with time as Clarke and Jakes have it: waves from all around a moving receiver."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import lazy_loader as lazy
import numpy as np

from channels.base import Draw, Fading, Grid
from channels.flat import Factor, FlatChannel, one_gain, stratified_gain
from channels.multipath import Multipath

torch = lazy.load("torch")

#: Waves of a path that is the whole channel, and of one path among many.
WAVES_ALONE, WAVES_OF_A_PATH = 64, 32


@dataclass(frozen=True)
class Specular:
    """A line of sight: its ``power`` on the first path, and its Doppler shift as a share of the largest.

    ``has_phase``: whether its phase is drawn uniform (the receiver does not know it) or 0.
    """

    power: float
    doppler_share: float = 0.0
    has_phase: bool = False


def draw_paths(
    draws: Sequence[Draw],
    delays: np.ndarray,
    powers: np.ndarray,
    max_doppler: float,
    waves: int = WAVES_OF_A_PATH,
    antennas: tuple[int, int] = (1, 1),
    specular: Specular | None = None,
) -> Multipath:
    """Independent Rayleigh paths of the Jakes spectrum, the first with a line of sight where there is one.

    Path p is sqrt(powers[p]) sum_s a_s exp(j 2 pi f_D t cos(alpha_s)) with a_s ~ CN(0, 1/S) and angles
    alpha_s = 2 pi (s + u) / S, one u a path. Amplitudes are drawn, and not phases alone, so that the path is
    exactly complex Gaussian at every set of times; its autocorrelation is J0(2 pi f_D dt), exactly over draws
    and to float precision within one draw while 2 pi f_D dt < S - 10 or so. Antenna pairs share the angles
    and have amplitudes of their own.

    The gain at time 0 and at the carrier of the first antenna pair takes the draw's stratum of its |h|^2
    (exactly: the amplitudes are drawn given their sum). What is drawn depends on neither Doppler, nor delays,
    nor powers, nor the line of sight; a pair's numbers do not depend on how many other pairs there are.

    Shapes: ``delays`` [P], s; ``powers`` [P], without the line of sight, together with which they sum to 1.
    References: Clarke 1968; Jakes 1974, section 1.1; Xiao, Zheng, Beaulieu 2006, the sum of sinusoids.
    """
    powers, (receive, transmit) = np.asarray(powers, dtype=float), antennas
    rows, paths = len(draws), len(powers)
    offset = np.empty((rows, paths))
    normal = np.empty((rows, receive * transmit, paths, waves, 2))
    phases = np.empty((rows, 2))
    for row, draw in enumerate(draws):
        pairs = [draw.rng, *(np.random.Generator(draw.rng.bit_generator.jumped(i)) for i in range(1, receive * transmit))]
        phases[row] = draw.rng.random(2)
        offset[row] = draw.rng.random(paths)
        for pair, rng in enumerate(pairs):
            rng.standard_normal(out=normal[row, pair])
    amplitude = np.sqrt(powers / (2.0 * waves))[:, None] * normal.view(np.complex128)[..., 0]  # [rows, pairs, P, S]
    los_phase = 2.0 * math.pi * (phases[:, 1] if specular and specular.has_phase else np.zeros(rows))
    los = math.sqrt(specular.power) * np.exp(1j * los_phase) if specular else np.zeros(rows, dtype=complex)
    if rows:
        stratum = np.array([draw.stratum for draw in draws])
        _condition(amplitude[:, 0], powers, stratum, phases[:, 0], los)
    angle = 2.0 * math.pi * (np.arange(waves) + offset[..., None]) / waves
    doppler = max_doppler * np.cos(angle)
    amplitude = amplitude.reshape(rows, receive, transmit, paths, waves)
    if specular:  # one more wave; the other paths have it at amplitude 0
        amplitude = np.concatenate([amplitude, np.zeros((*amplitude.shape[:-1], 1))], axis=-1)
        amplitude[:, :, :, 0, -1] = los[:, None, None]
        shift = np.full((rows, paths, 1), max_doppler * specular.doppler_share)
        doppler = np.concatenate([doppler, shift], axis=-1)
    return Multipath(torch.from_numpy(amplitude), torch.from_numpy(doppler), torch.from_numpy(np.asarray(delays, dtype=float)))


def _condition(
    amplitude: np.ndarray, powers: np.ndarray, stratum: np.ndarray, phase_quantile: np.ndarray, los: np.ndarray
) -> None:
    """Move the amplitudes [rows, P, S] of independent waves so that, with the line of sight, they sum to a stratified gain.

    Independent a_i ~ CN(0, v_i) given their sum are a_i + (v_i / sum v) (wanted sum - sum a).
    """
    scattered = float(powers.sum())
    if scattered <= 0.0:
        return
    los_power = np.abs(los[0]) ** 2
    gain = math.sqrt(scattered + los_power) * stratified_gain(los_power / scattered, stratum, phase_quantile)
    rotation = los / np.abs(los) if los_power else 1.0
    missing = gain * rotation - los - amplitude.sum(axis=(1, 2))
    amplitude += (powers / scattered / amplitude.shape[2])[:, None] * missing[:, None, None]


def jakes_correlation(turns: np.ndarray) -> np.ndarray:
    """J0(2 pi f_D dt) at ``turns`` = f_D dt: the autocorrelation of waves from all around (Clarke 1968)."""
    from scipy.special import j0

    return j0(2.0 * math.pi * np.asarray(turns, dtype=float))


class JakesChannel(FlatChannel):
    """Rician fading of factor ``k`` (a power ratio; 0 is Rayleigh) that changes with the motion of the receiver.

    h(t) = sqrt(k/(k+1)) + g(t) / sqrt(k+1): the line of sight has phase 0 and no Doppler shift, as the receiver's carrier
    follows it; g is a Rayleigh path of the Jakes spectrum. A step of an OFDM grid has one gain for all its tones.
    """

    def __init__(self, k: float, doppler: float | None, doppler_hz: float | None = None, symbol_rate: float | None = None):
        self.k, self._doppler, self.doppler_hz, self._symbol_rate = k, doppler, doppler_hz, symbol_rate

    def turns(self, grid: Grid) -> float:
        """f_D times the time between steps."""
        if self._doppler is not None:  # of a channel use, which of OFDM is a sample
            return self._doppler * (grid.fft_size + grid.prefix)
        interval = grid.interval_s or (1.0 / self._symbol_rate if self._symbol_rate else None)
        if interval is None:
            raise ValueError(
                "a Doppler shift from a speed needs the time of a channel use; give symbol_rate_khz, or doppler in its place"
            )
        return self.doppler_hz * interval

    def draw(self, n: int, draws: Sequence[Draw]) -> Fading:
        """Gains complex64 [len(draws), n], on the CPU; a longer n keeps the prefix (to the rounding of a sum of waves)."""
        return Fading(self.elements(Grid(n), 1, 1, draws)[:, 0, 0])

    def elements(self, grid: Grid, receive: int, transmit: int, draws: Sequence[Draw]) -> torch.Tensor:
        """H complex64 [U, R, T, E]; pairs of antennas are independent."""
        turns, antennas = self.turns(grid), (receive, transmit)
        los = Specular(self.k / (self.k + 1.0)) if self.k else None
        wave = draw_paths(draws, np.zeros(1), np.array([1.0 / (self.k + 1.0)]), turns, WAVES_ALONE, antennas, los)
        steps = wave.gains(1.0, grid.times, start=grid.start)[:, :, :, 0].to(torch.complex64)  # [U, R, T, times]
        return steps.repeat_interleave(len(grid.tones), dim=-1) if len(grid.tones) > 1 else steps

    def mean(self, grid: Grid) -> complex:
        """The line of sight."""
        return complex(math.sqrt(self.k / (self.k + 1.0)))

    def covariance(self, grid: Grid, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """E[(h_a - mean) conj(h_b - mean)] = J0(2 pi f_D (t_a - t_b)) / (k + 1), complex [len(a), len(b)]."""
        steps = (np.asarray(e) // len(grid.tones) for e in (a, b))
        return jakes_correlation(self.turns(grid) * np.subtract.outer(*steps)).astype(complex) / (self.k + 1.0)

    def scattered(self, grid: Grid) -> tuple[Factor, Factor]:
        """The covariance as a product of one between steps and one between tones."""
        turns, share = self.turns(grid), 1.0 / (self.k + 1.0)
        return lambda a, b: jakes_correlation(turns * np.subtract.outer(a, b)) * share, one_gain
