"""Tapped delay lines of 3GPP TR 38.901."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from channels.base import ChannelDescription, Draw, Grid
from channels.coherence import delay_conflict, pilot_conflict
from channels.flat import Factor
from channels.jakes import Specular, draw_paths, jakes_correlation
from channels.multipath import Multipath, doppler_hz
from channels.propagation import MultipathChannel, OverTime
from channels.tr38901 import LONGEST, LOS_DOPPLER_SHARE, Profile, tdl_profile


class TDL(ChannelDescription):
    """Tapped delay line of 3GPP TR 38.901: paths of a measured delay profile, each fading as a receiver moves.

    H(t, f) = sum_p sqrt(P_p) g_p(t) exp(-j 2 pi f tau_p): delays are the table's times the RMS delay spread. Each g_p is
    a Rayleigh path of the Jakes spectrum (32 waves, complex Gaussian amplitudes); in D and E the first path has a line
    of sight besides, K = 13.3 and 22 dB, with a uniform phase and 0.7 of the largest Doppler shift f_D = v f_c / c.
    E|H|^2 = 1 for each pair of antennas, and pairs are independent. It needs ``ofdm`` before it in the chain.

    With `domain: frequency` a path may come as late as the cyclic prefix is long, and the channel is taken as constant
    within an OFDM symbol. With `domain: time` each sample goes through the moving paths: what is later than the prefix,
    or changes within a symbol, disturbs other elements, and the noise level says so.

    The narrowband gain of the first antenna pair at the carrier, at the start, takes the repeat's stratum of its |h|^2.
    What is drawn depends on neither speed nor spread: curves over them are paired.

    Shapes: H complex64 [U, R, T, E] on the elements of an OFDM grid.
    References: 3GPP TR 38.901 V19.2, tables 7.7.2-1 to -5, read from Sionna; Clarke 1968; Xiao, Zheng, Beaulieu 2006.

    Example::

        channel: [{kind: ofdm, fft_size: 64, cyclic_prefix: 16}, {kind: tdl, profile: C, delay_spread_ns: 300, speed_kmh: 3}]
    """

    STAGE: ClassVar = "propagation"
    kind: Literal["tdl"] = "tdl"
    profile: Literal["A", "B", "C", "D", "E"] = Field(
        "C", description="delay profile of TR 38.901: A, B, C without a line of sight, D and E with one"
    )
    delay_spread_ns: float = Field(300.0, ge=0.0, le=1e5, description="RMS delay spread, ns")
    carrier_ghz: float = Field(3.5, gt=0.0, le=100.0, description="carrier frequency, GHz")
    speed_kmh: float = Field(3.0, ge=0.0, le=1000.0, description="speed of the receiver, km/h")
    domain: Literal["frequency", "time"] = Field(
        "frequency", description="frequency: one gain an element; time: every sample, with what elements then do to each other"
    )

    @property
    def longest_s(self) -> float:
        """Delay of the last path, s."""
        return LONGEST[self.profile] * self.delay_spread_ns * 1e-9

    @property
    def not_gaussian(self) -> str | None:
        """What makes its gains other than complex Gaussian, in words."""
        return f"a line of sight of unknown phase (profile {self.profile})" if self.profile in "DE" else None

    def conflict(self, stages: Sequence[ChannelDescription]) -> str | None:
        doppler = doppler_hz(self.speed_kmh, self.carrier_ghz)
        return delay_conflict(self.kind, self.longest_s, self.domain, stages) or pilot_conflict(
            self.kind, self.longest_s, doppler, stages
        )

    def assumed(self) -> tuple[str, ...]:
        return ("symbol timing and carrier synchronisation",)

    def build(self, device: str = "cpu") -> TDLChannel:
        cls = TDLChannel if self.domain == "frequency" else TDLOverTime
        return cls(tdl_profile(self.profile), self.delay_spread_ns * 1e-9, doppler_hz(self.speed_kmh, self.carrier_ghz))


class TDLChannel(MultipathChannel):
    """Rayleigh paths of one Doppler spectrum, and a line of sight on the first where the profile has one."""

    def __init__(self, profile: Profile, delay_spread: float, max_doppler: float):
        super().__init__(profile.delays * delay_spread, profile.total, max_doppler)
        self._profile = profile
        self._specular = Specular(profile.los, LOS_DOPPLER_SHARE, has_phase=True) if profile.los else None

    def multipath(self, antennas: tuple[int, int], draws: Sequence[Draw]) -> Multipath:
        return draw_paths(draws, self.delays, self._profile.powers, self.doppler_hz, antennas=antennas, specular=self._specular)

    def time_correlation(self, lags: np.ndarray) -> np.ndarray:
        scattered = jakes_correlation(self.doppler_hz * lags).astype(complex)
        out = np.broadcast_to(scattered, (len(self.delays), *scattered.shape)).copy()
        share = self._profile.los / self.powers[0]
        out[0] = (1.0 - share) * scattered + share * self._los_turn(lags)
        return out

    def _los_turn(self, times: np.ndarray) -> np.ndarray:
        return np.exp(2j * math.pi * LOS_DOPPLER_SHARE * self.doppler_hz * times)

    def scattered(self, grid: Grid) -> tuple[Factor, Factor]:
        """Covariance without the line of sight, as a product of one between steps and one between tones."""
        powers = (self._path_powers(grid) * self._profile.powers / self.powers)[:, None]
        tones = np.asarray(grid.tones) * grid.spacing_hz

        def over_time(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            lags = np.subtract.outer(a, b) * grid.interval_s
            return self._averaged(lambda lags: jakes_correlation(self.doppler_hz * lags), lags, grid)

        def over_tones(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return (powers * self._turns(tones[a])).T @ self._turns(tones[b]).conj()

        return over_time, over_tones

    def specular(self, grid: Grid) -> np.ndarray | None:
        """The line of sight at each element up to its phase, complex [E]; None without."""
        if not self._profile.los:
            return None
        times = np.arange(grid.times) * grid.interval_s
        # a single frequency: averaging a window scales it by a real number, whose square the average of the correlation is
        scale = math.sqrt(float(self._averaged(self._los_turn, np.zeros(1), grid)[0].real))
        return np.repeat(math.sqrt(self._profile.los) * scale * self._los_turn(times), len(grid.tones))


class TDLOverTime(OverTime, TDLChannel):
    """The same paths, each sample followed through time."""
