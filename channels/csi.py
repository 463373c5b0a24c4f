"""What the receiver knows of the channel: everything, what pilots told it, something wrong, something old, or nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field, model_validator

from channels.base import ChannelDescription, Draw, Drawn, Estimate, Grid, Layout, Propagation, Sounding, Stage
from channels.coherence import FROM_PILOTS, stage
from channels.multipath import doppler_hz

torch = lazy.load("torch")

#: What a receiver is given for free where nothing else is said.
PERFECT_CSI = "the channel gain h and the noise variance at the receiver (perfect CSI)"
_NOISE = "the noise variance at the receiver"


class CSI(ChannelDescription):
    """Channel state information at the receiver, and what it costs.

    ``perfect``: h is known. ``ls`` and ``lmmse``: h is estimated from pilots that are sent, at power 1 and charged: those of
    ``ofdm``, or on a single carrier a preamble of ``pilots`` uses in front of every coherence block (every ``every`` uses).
    Least squares is interpolated between pilots, LMMSE uses the channel's mean and covariance. Over a block of constant h
    both are the same: the mean of its pilots is a sufficient statistic, h_LS = h + CN(0, sigma^2 / N).
    ``erroneous``: h + e is known, e of variance ``error_variance`` and as correlated as the fading itself. ``outdated``: h
    as it was ``delay_ms`` ago is known, correlated with what it is by rho = J0(2 pi f_D delay). ``none``: nothing is known;
    analog values have noise_std = inf, digital links demap with h = 1.

    Whatever was observed, equalisers are handed h_hat = E[h | observed] and its error variance v: the symbol is y / h_hat, unbiased
    in every bin of |h_hat|, with noise_std = sqrt(sigma^2 + v Es) / |h_hat|.

    ``snr_mismatch_db``: the receiver believes an SNR that is so many dB above the true one. A deliberate fault: its noise levels
    are then wrong by as much.

    Charges: pilots. Units: variance relative to E|h|^2 = 1. References: Kay 1993, chapters 11 and 12; Hassibi, Hochwald 2003,
    for pilots and the estimate's error as noise; Clarke 1968, for rho.

    Example::

        channel: [{kind: rayleigh, coherence: 512}, {kind: csi, estimate: lmmse, pilots: 8}]
    """

    STAGE: ClassVar[Stage] = "csi"
    kind: Literal["csi"] = "csi"
    estimate: Literal["perfect", "ls", "lmmse", "erroneous", "outdated", "none"] = Field(
        "perfect", description="what the receiver knows of h"
    )
    pilots: int | None = Field(
        None, ge=1, description="single carrier: channel uses of a pilot preamble, one in front of every block; ofdm has its own"
    )
    every: int | None = Field(
        None, ge=2, description="single carrier: uses from one preamble to the next; null: the coherence block, else one a burst"
    )
    interpolation: Literal["linear", "nearest"] = Field("linear", description="ls: between pilots")
    error_variance: float | None = Field(None, ge=0.0, le=100.0, description="erroneous: variance of the error of what is known")
    delay_ms: float | None = Field(None, ge=0.0, description="outdated: age of what is known, ms")
    doppler_hz: float | None = Field(
        None, ge=0.0, description="outdated: largest Doppler shift, Hz; null: that of the channel's speed and carrier"
    )
    snr_mismatch_db: float = Field(
        0.0, ge=-40.0, le=40.0, description="SNR that the receiver believes over the true one, dB; 0: it knows the noise"
    )

    @model_validator(mode="after")
    def _fields_are_of_the_estimate(self) -> CSI:
        needs = {"erroneous": {"error_variance"}, "outdated": {"delay_ms"}}.get(self.estimate, set())
        allowed = needs | ({"doppler_hz"} if self.estimate == "outdated" else set())
        for name in ("error_variance", "delay_ms", "doppler_hz"):
            if name not in allowed and getattr(self, name) is not None:
                raise ValueError(f"{name} {getattr(self, name):g} beside estimate: {self.estimate}, which has no use for it; remove one")
        for name in needs:
            if getattr(self, name) is None:
                raise ValueError(f"estimate: {self.estimate} needs {name}; give it")
        if self.every is not None and self.pilots is None:
            raise ValueError(f"every {self.every} without pilots; give pilots as well, or remove it")
        return self

    def conflict(self, stages: Sequence[ChannelDescription]) -> str | None:
        return self._pilot_conflict(stages) or self._age_conflict(stages)

    def _pilot_conflict(self, stages: Sequence[ChannelDescription]) -> str | None:
        ofdm, channel, antennas = (stage(stages, name) for name in ("waveform", "propagation", "antennas"))
        if ofdm is not None:
            return f"pilots: {self.pilots} beside ofdm, whose pilots are its own; remove it" if self.pilots else None
        if self.pilots is None:
            needed = f"csi '{self.estimate}' on a single carrier estimates from a preamble; give pilots, the uses that it takes"
            return needed if self.estimate in FROM_PILOTS else None
        transmit, block = getattr(antennas, "transmit_antennas", 1), getattr(channel, "coherence", None)
        apart, fading = self.every or block, getattr(channel, "fading", None)
        if self.pilots < transmit:
            return f"{self.pilots} pilots for {transmit} transmit antennas, each of which needs one; give {transmit} or more"
        if apart is not None and self.pilots >= apart:
            return f"{self.pilots} pilots in every {apart} channel uses leave none for data; give fewer, or longer blocks"
        if self.estimate not in FROM_PILOTS:
            return None
        if fading == "fast":
            return f"pilots tell nothing of channel '{channel.kind}' with fading: fast, whose gain is new at every use; use csi perfect or none"
        if block is not None and apart is not None and block % apart:
            return f"a preamble every {apart} uses does not meet every coherence block of {block}; give every: {block}, or a divisor of it"
        turns = _turns_a_use(channel) if fading == "jakes" else 0.0
        if turns > 0 and (self.every is None or 2.0 * turns * self.every > 1.0):
            given = "one preamble a burst does" if self.every is None else f"preambles every {self.every} uses do"
            return (
                f"{given} not follow channel '{channel.kind}' with a Doppler shift of {turns:.4g} a channel use; "
                f"give every: {max(2, math.floor(0.5 / turns))} or less"
            )
        return None

    def _age_conflict(self, stages: Sequence[ChannelDescription]) -> str | None:
        channel = stage(stages, "propagation")
        what = getattr(channel, "not_gaussian", None)
        if self.estimate in ("erroneous", "outdated") and what:
            return (
                f"csi '{self.estimate}' is of complex Gaussian gains, and those of channel '{channel.kind}' have {what}; "
                f"use csi perfect, ls, lmmse or none, or another channel"
            )
        if self.estimate == "outdated" and self.doppler(stages) is None:
            return "csi 'outdated' needs a Doppler shift; give its doppler_hz, or the channel's speed_kmh and carrier_ghz"
        return None

    def doppler(self, stages: Sequence[ChannelDescription]) -> float | None:
        """Largest Doppler shift, Hz, as far as it is known."""
        channel = stage(stages, "propagation")
        speed, carrier = getattr(channel, "speed_kmh", None), getattr(channel, "carrier_ghz", None)
        if self.doppler_hz is not None or speed is None or carrier is None:
            return self.doppler_hz
        return doppler_hz(speed, carrier)

    def correlation(self, stages: Sequence[ChannelDescription]) -> float:
        """rho of h as it was and as it is."""
        if self.estimate != "outdated":
            return 1.0
        from scipy.special import j0

        return float(j0(2.0 * math.pi * self.doppler(stages) * 1e-3 * self.delay_ms))

    def assumed(self) -> tuple[str, ...]:
        if self.snr_mismatch_db:
            noise = f"nothing of the noise: the receiver believes an SNR {self.snr_mismatch_db:+g} dB off (deliberate mismatch)"
        else:
            noise = _NOISE
        known = {
            "perfect": None,
            "ls": "mean and correlation of the channel gain at the receiver",
            "lmmse": "mean and covariance of the channel gain at the receiver",
            "erroneous": f"the channel gain h with an error of variance {self.error_variance}, and its statistics, at the receiver",
            "outdated": f"the channel gain h of {self.delay_ms} ms ago, and its statistics, at the receiver",
            "none": "nothing of the channel gain h (no CSI)",
        }[self.estimate]
        if known is None:
            return (PERFECT_CSI,) if not self.snr_mismatch_db else ("the channel gain h at the receiver", noise)
        return (known, noise)

    def prepare(self, stages: Sequence[ChannelDescription]) -> PreparedCSI:
        """The prepared stage of a chain, whose channel may say how fast it changes."""
        return PreparedCSI(self, self.correlation(stages))

    def build(self, device: str = "cpu") -> PreparedCSI:
        return self.prepare((self,))


def _turns_a_use(channel: ChannelDescription) -> float:
    """Largest Doppler shift of a Jakes channel times the duration of a channel use."""
    if channel.doppler is not None:
        return channel.doppler
    return doppler_hz(channel.speed_kmh, channel.carrier_ghz) / (1e3 * channel.symbol_rate_khz)


class PreparedCSI:
    """The prepared stage; see `CSI`."""

    def __init__(self, description: CSI, rho: float):
        self.kind, self.pilots, self.every = description.estimate, description.pilots, description.every
        self._interpolation, self._rho, self._error = description.interpolation, rho, description.error_variance or 0.0
        #: sigma^2 as the receiver believes it, over what it is
        self.believed = 10.0 ** (-description.snr_mismatch_db / 10.0)

    @property
    def is_blind(self) -> bool:
        return self.kind == "none"

    @property
    def uses_pilots(self) -> bool:
        return self.kind in FROM_PILOTS

    def preambles(self, uses: int, coherence: int | None) -> Layout:
        """Of ``uses`` on a single carrier: which are pilots. Raises: ValueError where none is left for data."""
        apart = self.every or coherence or uses
        is_pilot = np.arange(uses) % apart < (self.pilots or 0)
        data, pilots = np.flatnonzero(~is_pilot), np.flatnonzero(is_pilot)
        if not len(data):
            raise ValueError(f"{uses} channel uses are all pilots (a preamble of {self.pilots}); grant more, or fewer pilots")
        return Layout(uses, Grid(uses), data, pilots, {"pilots": len(pilots)} if len(pilots) else {})

    def draw(self, elements, draws: Sequence[Draw]) -> Drawn:
        """Where something else is known in place of h: another realisation of it, by ``elements(draws)``."""
        if self.kind not in ("erroneous", "outdated"):
            return ()
        return (elements([draw.other("csi error") for draw in draws]),)

    def estimate(
        self, channel: Propagation, h: torch.Tensor, sounding: Sounding | None, other: torch.Tensor | None, layout: Layout
    ) -> Estimate:
        """What is known of ``h`` [B, R, T, d] at the data elements, from ``sounding`` or from another realisation of it."""
        nothing = torch.zeros((1, 1, 1, 1), device=h.device)
        if self.uses_pilots:
            return self._from_pilots(channel, sounding)
        if self.kind not in ("erroneous", "outdated"):
            return Estimate(h, nothing)
        first = np.zeros(1, dtype=np.int64)
        mean, variance = channel.mean(layout.grid), float(channel.covariance(layout.grid, first, first)[0, 0].real)
        if self.kind == "outdated":
            # h and w are alike and independent: old = rho h + sqrt(1 - rho^2) w has E[h | old] = rho old, all less the mean
            old = self._rho * (h - mean) + math.sqrt(1.0 - self._rho**2) * (other - mean)
            return Estimate(mean + self._rho * old, nothing + (1.0 - self._rho**2) * variance)
        if variance == 0.0:
            return Estimate(h, nothing)  # a gain without fading is known beforehand
        error = math.sqrt(self._error / variance) * (other - mean)
        share = variance / (variance + self._error)
        return Estimate(mean + share * (h - mean + error), nothing + share * self._error)

    def _from_pilots(self, channel: Propagation, sounding: Sounding) -> Estimate:
        from channels import estimation
        from channels.flat import FadingChannel

        is_blocks = sounding.layout.grid.tones == (0,) and isinstance(channel, FadingChannel)
        if self.kind == "lmmse" or is_blocks:  # of constant h the mean of the pilots says all
            return estimation.lmmse(sounding, channel)
        return estimation.ls(sounding, channel, self._interpolation)
