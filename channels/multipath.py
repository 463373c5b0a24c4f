"""A fading channel as a sum of plane waves: what every model of moving scatterers is, evaluated where it is needed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import lazy_loader as lazy

torch = lazy.load("torch")

SPEED_OF_LIGHT = 299_792_458.0
#: Time steps that share one factor of exp(j 2 pi nu t): exp at t0 + t1 is a product, and sums over waves are matrix products.
_STEPS = 32
#: Complex numbers that an intermediate may hold: 256 MiB at double precision.
_AT_A_TIME = 2**24


@dataclass(frozen=True)
class Multipath:
    """What was drawn of a multipath channel: amplitude and Doppler shift of each wave of each path.

    h(t, tau) = sum_p delta(tau - delays[p]) sum_s amplitude[p, s] exp(j 2 pi doppler[p, s] t)

    Being a function of time, it needs no length: a longer burst sees the same channel for longer.

    Shapes: ``amplitude`` complex128 [U, nr, nt, P, S] (U draws, nr receive and nt transmit antennas, P paths of S
    waves each); ``doppler`` float64 [U, P, S], Hz; ``delays`` float64 [P], s.
    References: Tse, Viswanath 2005, equations 2.14 and 2.20.
    """

    amplitude: torch.Tensor
    doppler: torch.Tensor
    delays: torch.Tensor

    def __len__(self) -> int:
        return len(self.amplitude)

    @property
    def antennas(self) -> tuple[int, int]:
        """(receive, transmit)"""
        return tuple(self.amplitude.shape[1:3])

    def to(self, device: torch.device | str) -> Multipath:
        return Multipath(self.amplitude.to(device), self.doppler.to(device), self.delays.to(device))

    def select(self, rows: torch.Tensor | slice) -> Multipath:
        return replace(self, amplitude=self.amplitude[rows], doppler=self.doppler[rows])

    def gains(self, step: float, count: int, start: float = 0.0) -> torch.Tensor:
        """Gain of every path at the times start + step * i, i < count: complex128 [U, nr, nt, P, count]."""
        if not bool(self.doppler.any()):  # nothing moves
            return self.amplitude.sum(dim=-1, keepdim=True).expand(*self.amplitude.shape[:-1], count)
        pieces = math.ceil(count / _STEPS)
        # [U, P, S, pieces] and [U, P, S, steps]: their outer product is the phase at every time
        coarse = self._turn(start)[..., None] * self._turns(step * _STEPS, pieces)
        fine = self._turns(step, _STEPS)
        weighted = self.amplitude[..., None] * coarse[:, None, None]  # [U, nr, nt, P, S, pieces]
        out = weighted.transpose(-1, -2) @ fine[:, None, None]  # [U, nr, nt, P, pieces, steps]
        return out.flatten(-2)[..., :count]

    def _turn(self, time: float) -> torch.Tensor:
        """exp(j 2 pi doppler t), complex128 [U, P, S]."""
        angle = 2.0 * math.pi * time * self.doppler
        return torch.polar(torch.ones_like(angle), angle)

    def _turns(self, step: float, count: int) -> torch.Tensor:
        """exp(j 2 pi doppler step i), i < count: complex128 [U, P, S, count], by doubling, as products are cheaper than sines."""
        out = torch.ones((*self.doppler.shape, 1), dtype=torch.complex128, device=self.doppler.device)
        while out.shape[-1] < count:
            out = torch.cat([out, out * self._turn(step * out.shape[-1])[..., None]], dim=-1)
        return out[..., :count]

    def response(self, step: float, count: int, frequencies: torch.Tensor, start: float = 0.0) -> torch.Tensor:
        """Frequency response H complex64 [U, count, F, nr, nt] at the times start + step * i and ``frequencies`` float64 [F], Hz.

        H(t, f) = sum_p g_p(t) exp(-j 2 pi f delays[p]); f is relative to the carrier.
        """
        turns = self.delays[:, None] * frequencies.to(self.delays)
        basis = torch.polar(torch.ones_like(turns), -2.0 * math.pi * turns)  # [P, F]
        draws, paths, waves = self.doppler.shape
        pairs = math.prod(self.antennas)
        still = not bool(self.doppler.any())
        times = 1 if still else count
        per_row = pairs * max(times * max(paths, basis.shape[1]), paths * waves * max(1, times // _STEPS), 1)
        rows = max(1, _AT_A_TIME // per_row)
        out = torch.empty((draws, times, basis.shape[1], *self.antennas), dtype=torch.complex64, device=basis.device)
        for first in range(0, draws, rows):
            piece = slice(first, first + rows)
            gains = self.select(piece).gains(step, times, start)  # [U, nr, nt, P, T]
            out[piece] = (gains.transpose(-1, -2) @ basis).permute(0, 3, 4, 1, 2).to(torch.complex64)
        return out.expand(-1, count, -1, -1, -1) if still else out


def doppler_hz(speed_kmh: float, carrier_ghz: float) -> float:
    """Largest Doppler shift f_D = v f_c / c, Hz.

    >>> round(doppler_hz(120.0, 3.5), 1)
    389.2
    """
    return speed_kmh / 3.6 * carrier_ghz * 1e9 / SPEED_OF_LIGHT
