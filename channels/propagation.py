"""Propagation over several paths on the resource elements of OFDM, in the frequency domain and in time."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

import lazy_loader as lazy
import numpy as np

from channels.base import Draw, Drawn, Grid
from channels.multipath import Multipath

torch = lazy.load("torch")

#: Points of the quadrature over an FFT window, exact to 1e-9 up to a Doppler shift of a fifth of the subcarrier spacing.
_NODES = 5


class MultipathChannel(ABC):
    """A prepared channel of several paths: H(t, f) at the middle of every OFDM symbol, at every subcarrier.

    In the frequency domain a symbol sees its channel at one instant: the prefix covers every delay, and the
    change within a symbol (about (2 pi f_D T)^2 / 24 of the power, T the symbol without prefix) is left out.
    """

    def __init__(self, delays: np.ndarray, powers: np.ndarray, max_doppler: float):
        #: s [P], and mean powers [P], the line of sight's included; largest Doppler shift, Hz
        self.delays, self.powers, self.doppler_hz = np.asarray(delays, dtype=float), np.asarray(powers, dtype=float), max_doppler

    @abstractmethod
    def multipath(self, antennas: tuple[int, int], draws: Sequence[Draw]) -> Multipath:
        """What is drawn: one row a transmission, ``antennas`` (receive, transmit)."""

    @abstractmethod
    def time_correlation(self, lags: np.ndarray) -> np.ndarray:
        """Autocorrelation of each path at ``lags`` s, over its power: [P, *lags.shape], 1 at lag 0, hermitian in the lag."""

    def elements(self, grid: Grid, receive: int, transmit: int, draws: Sequence[Draw]) -> torch.Tensor:
        """H complex64 [U, R, T, E]; more symbols keep those before."""
        prefix = grid.prefix / (grid.fft_size * grid.spacing_hz)
        if self.delays.max() > prefix * (1.0 + 1e-9):
            raise ValueError(
                f"the last path comes after {1e6 * self.delays.max():.4g} us, beyond the cyclic prefix of {1e6 * prefix:.4g} us; "
                f"lengthen it, or take domain: time"
            )
        wave = self.multipath((receive, transmit), draws)
        return _as_elements(wave.response(grid.interval_s, grid.times, frequencies(grid), start=grid.start * grid.interval_s))

    def mean(self, grid: Grid) -> complex:
        """0: phases are uniform."""
        return 0j

    def covariance(self, grid: Grid, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """E[h_a conj(h_b)] complex [len(a), len(b)]: sum_p powers[p] rho_p(t_a - t_b) exp(-j 2 pi (f_a - f_b) delays[p])."""
        tones = np.asarray(grid.tones)
        (time_a, tone_a), (time_b, tone_b) = (np.divmod(np.asarray(e), len(tones)) for e in (a, b))
        steps, span = np.arange(1 - grid.times, grid.times), int(tones[-1] - tones[0])
        rho = self._path_powers(grid)[:, None] * self._averaged(self.time_correlation, steps * grid.interval_s, grid)
        table = rho.T @ self._turns(np.arange(-span, span + 1) * grid.spacing_hz)  # [2 times - 1, 2 span + 1]
        return table[time_a[:, None] - time_b + grid.times - 1, tones[tone_a][:, None] - tones[tone_b] + span]

    def _turns(self, frequencies: np.ndarray) -> np.ndarray:
        """exp(-j 2 pi f delays[p]), complex [P, F]."""
        return np.exp(-2j * math.pi * self.delays[:, None] * frequencies)

    def _path_powers(self, grid: Grid) -> np.ndarray:
        """Mean power [P] that arrives of each path in its own element."""
        return self.powers

    def _averaged(self, correlation: Callable[[np.ndarray], np.ndarray], lags: np.ndarray, grid: Grid) -> np.ndarray:
        """``correlation`` [..., lags] of gains as an element sees them: here at one instant."""
        return correlation(lags)


def frequencies(grid: Grid) -> torch.Tensor:
    """Frequency of each tone relative to the carrier, Hz, float64 [F]."""
    return torch.tensor(grid.tones, dtype=torch.float64) * grid.spacing_hz


def _as_elements(h: torch.Tensor) -> torch.Tensor:
    """[U, R, T, E] from [U, times, F, R, T]."""
    return h.permute(0, 3, 4, 1, 2).flatten(-2)


class OverTime:
    """Mixed in before a `MultipathChannel`: what OFDM makes of its paths when each sample is followed through time.

    Elements disturb each other where a path is later than the prefix, or changes within a symbol. Nothing
    is truncated: a path delays the band-limited waveform itself, as a turn of every subcarrier's phase.

    References: Molisch 2011, section 19.4 (intersymbol and intercarrier interference of OFDM).
    """

    def elements(self, grid: Grid, receive: int, transmit: int, draws: Sequence[Draw]) -> torch.Tensor:
        """The part of every element that arrives as itself, complex64 [U, R, T, E]: the mean gain over the window of the FFT."""
        wave = self.multipath((receive, transmit), _unread(draws))
        own, _ = _windows(self.delays, grid)  # [P, N]
        basis = torch.from_numpy(self._turns(frequencies(grid).numpy()))  # [P, F]
        out = torch.empty((len(wave), receive, transmit, grid.times, len(grid.tones)), dtype=torch.complex64)
        for row in range(len(wave)):
            gains = _symbol_gains(wave.select(slice(row, row + 1)), grid)  # [1, R, T, P, times, N]
            mean = (gains * own[:, None]).mean(dim=-1)  # [1, R, T, P, times]
            out[row] = (mean.transpose(-1, -2) @ basis)[0].to(torch.complex64)
        return out.flatten(-2)

    def draw(self, grid: Grid, receive: int, transmit: int, draws: Sequence[Draw]) -> Drawn:
        """Amplitudes and Doppler shifts of the waves, and the variance float32 [U, 1, E] of what reaches each element from
        others, each of unit power and shared evenly by the transmit antennas; of several receive antennas, which hear it over
        the same late paths, the covariance complex64 [U, R, R, E]."""
        wave = self.multipath((receive, transmit), _unread(draws))
        leak = torch.empty((len(wave), receive, receive, grid.elements), dtype=torch.complex64)
        for row in range(len(wave)):
            leak[row] = self._leak(wave.select(slice(row, row + 1)), grid)
        return wave.amplitude, wave.doppler, leak if receive > 1 else leak[:, 0].real.contiguous()

    def carry(self, x: torch.Tensor, h: torch.Tensor, grid: Grid, drawn: Drawn) -> tuple[torch.Tensor, torch.Tensor]:
        """What arrives, complex64 [B, R, E] without noise, of elements ``x`` [B, T, E]; and the leak's variance."""
        amplitude, doppler, leak = drawn
        wave = Multipath(amplitude, doppler, torch.from_numpy(self.delays).to(x.device))
        delayed = self._delayed(grid).to(x.device)  # [2, P, F]: phases of a symbol, and of the one before, in this one's window
        windows = [w.to(x.device, torch.float32) for w in _windows(self.delays, grid)]
        y = torch.empty((len(x), amplitude.shape[1], grid.elements), dtype=torch.complex64, device=x.device)
        # rows that differ in nothing but SNR share a draw: its paths are followed once
        kinds, where = torch.unique(amplitude[:, 0, 0, 0, 0].real, return_inverse=True)
        for kind in range(len(kinds)):
            rows = (where == kind).nonzero()[:, 0]
            gains = _symbol_gains(wave.select(rows[:1]), grid)[0].to(torch.complex64)  # [R, T, P, times, N]
            for row in rows.tolist():
                y[row] = self._received(x[row], gains, grid, delayed, windows)
        return y, leak

    def _received(
        self, x: torch.Tensor, gains: torch.Tensor, grid: Grid, delayed: torch.Tensor, windows: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """y [R, E] of x [T, E]: each path's copy of the waveform, window by window, through its gain, then the FFT."""
        symbols = x.reshape(len(x), grid.times, -1)
        before = torch.nn.functional.pad(symbols, (0, 0, 1, -1))
        samples = 0.0
        for which, window, turn in zip((symbols, before), windows, delayed, strict=True):
            copies = _inverse_fft(which[:, None] * turn[:, None].to(x.dtype), grid)  # [T, P, times, N]
            samples = samples + copies * window[:, None]
        arrived = torch.einsum("tpin,rtpin->rin", samples, gains)
        return torch.fft.fft(arrived, norm="ortho")[..., _bins(grid)].flatten(-2)

    def _leak(self, wave: Multipath, grid: Grid) -> torch.Tensor:
        """[R, R, E] of one draw: products of the rows of the matrices from sent to received tones, less their diagonals."""
        gains = _symbol_gains(wave, grid)[0]  # [R, T, P, times, N]
        tones = torch.tensor(_bins(grid))
        lag = (tones[:, None] - tones) % grid.fft_size  # from tone k' (column) to tone k (row)
        total = torch.zeros((gains.shape[0], gains.shape[0], grid.times, len(tones)), dtype=torch.complex128)
        for which, (window, turn) in enumerate(zip(_windows(self.delays, grid), self._delayed(grid), strict=True)):
            if not bool(window.any()):
                continue
            # share of every path's gain that moves a tone by q bins: [R, T, times, N, P]
            spectrum = (torch.fft.fft(gains * window[:, None]) / grid.fft_size).permute(0, 1, 3, 4, 2)
            for symbol in range(which, grid.times):
                moved = spectrum[:, :, symbol] @ turn  # [R, T, q, k']
                matrix = moved.gather(2, lag.expand(*moved.shape[:2], -1, -1))  # [R, T, k, k']
                if which == 0:
                    matrix = matrix - torch.diag_embed(matrix.diagonal(dim1=-2, dim2=-1))
                total[:, :, symbol] += torch.einsum("atkl,btkl->abk", matrix, matrix.conj()) / matrix.shape[1]
        return total.flatten(2).to(torch.complex64)

    def _delayed(self, grid: Grid) -> torch.Tensor:
        """Turn of tones in the window of a symbol, complex128 [2, P, F]: of its own tones, and of the symbol before."""
        tones = frequencies(grid).numpy()
        own = self._turns(tones)
        return torch.from_numpy(np.stack([own, own * np.exp(2j * math.pi * tones * grid.interval_s)]))

    def _path_powers(self, grid: Grid) -> np.ndarray:
        share = _windows(self.delays, grid)[0].mean(dim=1).numpy()
        return self.powers * share**2

    def _averaged(self, correlation: Callable[[np.ndarray], np.ndarray], lags: np.ndarray, grid: Grid) -> np.ndarray:
        """Of gains averaged over the FFT's window, by Gauss-Legendre quadrature over both of its instants."""
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        window = 0.5 / grid.spacing_hz  # half of it, s
        return sum(
            wa * wb / 4.0 * correlation(lags + window * (a - b))
            for a, wa in zip(nodes, weights, strict=True)
            for b, wb in zip(nodes, weights, strict=True)
        )


def _unread(draws: Sequence[Draw]) -> list[Draw]:
    """The same streams, left where they are: gains and what is drawn beside them come from the same numbers."""
    return [replace(draw, rng=copy.deepcopy(draw.rng)) for draw in draws]


def _windows(delays: np.ndarray, grid: Grid) -> tuple[torch.Tensor, torch.Tensor]:
    """Float64 [P, N], 1 where a sample of the FFT's window is of this symbol, and where it is of the one before."""
    sample = np.arange(grid.fft_size)
    own = sample >= delays[:, None] * grid.fft_size * grid.spacing_hz - grid.prefix - 1e-9
    return torch.from_numpy(own.astype(float)), torch.from_numpy((~own).astype(float))


def _symbol_gains(wave: Multipath, grid: Grid) -> torch.Tensor:
    """Gain of every path at every sample of the FFT's windows, complex128 [U, R, T, P, times, N]; time 0 is mid-window."""
    length, period = grid.fft_size, grid.fft_size + grid.prefix
    step = 1.0 / (grid.fft_size * grid.spacing_hz)
    every = wave.gains(step, grid.times * period, start=step * (grid.start * period - (length - 1) / 2.0))
    return every.unflatten(-1, (grid.times, period))[..., :length]


def _bins(grid: Grid) -> list[int]:
    """FFT bin of each tone."""
    return [tone % grid.fft_size for tone in grid.tones]


def _inverse_fft(tones: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Samples [..., N] of tones [..., F], unitary."""
    full = torch.zeros((*tones.shape[:-1], grid.fft_size), dtype=tones.dtype, device=tones.device)
    full[..., _bins(grid)] = tones
    return torch.fft.ifft(full, norm="ortho")
