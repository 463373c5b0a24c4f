"""Clustered delay lines of 3GPP TR 38.901."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from channels.base import ChannelDescription, Draw
from channels.coherence import delay_conflict, pilot_conflict
from channels.jakes import jakes_correlation
from channels.multipath import SPEED_OF_LIGHT, Multipath, doppler_hz
from channels.propagation import MultipathChannel, OverTime
from channels.tr38901 import LONGEST, Clusters, cdl_clusters, cdl_multipath, draw_cdl


class CDL(ChannelDescription):
    """Clustered delay line of 3GPP TR 38.901: rays of given directions, so that antennas are correlated as they stand.

    Each cluster of the table is 20 rays around its angles of departure and arrival, coupled at random, with random phases for
    each pair of polarisations (step 8, equations 7.5-22 and 7.5-29). Both ends have a uniform linear array of vertically
    polarised omnidirectional antennas, facing each other; E|H|^2 = 1 for each pair of antennas. The receiver travels
    horizontally in a random direction. In D and E the line of sight has a uniform phase. It needs ``ofdm`` before it.

    `domain` is that of ``tdl``. Rays have fixed amplitudes and given angles: H is complex Gaussian approximately, and an LMMSE
    estimate is the best linear one, with the mean over directions of travel as its covariance. |h|^2 is not stratified.
    What is drawn depends on neither speed nor spread nor antennas.

    Shapes: H complex64 [U, R, T, E] on the elements of an OFDM grid.
    References: 3GPP TR 38.901 V19.2, section 7.7.1, tables 7.7.1-1 to -5; fields and arrays by Sionna.

    Example::

        channel: [{kind: ofdm, fft_size: 64, cyclic_prefix: 16}, {kind: cdl, profile: A, delay_spread_ns: 100, speed_kmh: 30}]
    """

    STAGE: ClassVar = "propagation"
    kind: Literal["cdl"] = "cdl"
    profile: Literal["A", "B", "C", "D", "E"] = Field(
        "A", description="delay and angle profile of TR 38.901: A, B, C without a line of sight, D and E with one"
    )
    delay_spread_ns: float = Field(100.0, ge=0.0, le=1e5, description="RMS delay spread, ns")
    carrier_ghz: float = Field(3.5, gt=0.0, le=100.0, description="carrier frequency, GHz")
    speed_kmh: float = Field(3.0, ge=0.0, le=1000.0, description="speed of the receiver, km/h")
    antenna_spacing: float = Field(
        0.5, gt=0.0, le=100.0, description="distance of neighbouring antennas of an array, wavelengths"
    )
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

    def build(self, device: str = "cpu") -> CDLChannel:
        cls = CDLChannel if self.domain == "frequency" else CDLOverTime
        return cls(
            cdl_clusters(self.profile),
            self.delay_spread_ns * 1e-9,
            self.carrier_ghz * 1e9,
            self.speed_kmh / 3.6,
            self.antenna_spacing,
        )


class CDLChannel(MultipathChannel):
    """Rays of a clustered delay line, each a plane wave at both arrays."""

    def __init__(self, clusters: Clusters, delay_spread: float, carrier: float, speed: float, spacing: float):
        profile = clusters.profile
        super().__init__(profile.delays * delay_spread, profile.total, speed * carrier / SPEED_OF_LIGHT)
        self._clusters, self._delay_spread, self._carrier, self._speed, self._spacing = (
            clusters,
            delay_spread,
            carrier,
            speed,
            spacing,
        )

    def multipath(self, antennas: tuple[int, int], draws: Sequence[Draw]) -> Multipath:
        drawn = draw_cdl(draws, len(self.delays))
        return cdl_multipath(self._clusters, drawn, self._delay_spread, self._carrier, self._speed, antennas, self._spacing)

    def time_correlation(self, lags: np.ndarray) -> np.ndarray:
        """Over directions of travel a ray of zenith angle z turns as J0(2 pi f_D dt sin z)."""
        zenith = self._clusters.angles[3]  # [P, rays]
        shape = (..., *(None,) * np.ndim(lags))
        out = jakes_correlation(self.doppler_hz * np.sin(zenith)[shape] * lags).mean(axis=1).astype(complex)
        profile = self._clusters.profile
        if profile.los:
            share = profile.los / self.powers[0]
            out[0] = (1.0 - share) * out[0] + share * jakes_correlation(
                self.doppler_hz * math.sin(self._clusters.los_angles[3]) * lags
            )
        return out


class CDLOverTime(OverTime, CDLChannel):
    """The same rays, each sample followed through time."""
