"""An oscillator whose phase wanders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field

from channels.base import ChannelDescription, Draw, Drawn, Stage
from channels.phase import wiener_step_variance

torch = lazy.load("torch")


class PhaseNoise(ChannelDescription):
    """Phase noise of an oscillator: samples are turned by exp(j theta), theta a Wiener process, white jitter, or both.

    A free-running oscillator's phase moves from sample to sample by N(0, 2 pi linewidth), over prefixes too; what a
    phase-locked loop leaves is jitter of ``rms_deg`` at every sample. All antennas of one side share the oscillator. In
    front of the propagation it is the transmitter's, behind it the receiver's; the two are independent.

    The receiver follows the common rotation J_0 = mean of exp(j theta) over ``tracked`` steps (channel uses of a single
    carrier, OFDM symbols); null: over the burst. What it cannot follow is noise of power 1 - |J_0|^2 times the signal: symbols
    that turn more than the mean, or subcarriers that leak into each other. Its mean over a Wiener process is
    1 - (N + 2 sum over d of (N - d) exp(-pi linewidth d)) / N^2 for N samples (`channels.phase.wiener_error`); of jitter
    alone 1 - exp(-rms^2). The noise level is the mean over the tracked steps.

    Charges: nothing; the pilots that tracking would take are listed as free.
    Units: linewidth relative to the sample rate (single carrier: the symbol rate); degrees. References: Pollet, Van Bladel,
    Moeneclaey 1995; Armada 2001; Demir, Mehrotra, Roychowdhury 2000.

    Example::

        channel: [{kind: rayleigh}, {kind: phase_noise, linewidth: 1.0e-4, tracked: 64}]
    """

    STAGE: ClassVar[Stage] = "hardware"
    kind: Literal["phase_noise"] = "phase_noise"
    linewidth: float = Field(
        1e-4, ge=0.0, le=0.1, description="full width at half power of the oscillator's line, relative to the sample rate"
    )
    rms_deg: float = Field(0.0, ge=0.0, le=90.0, description="white phase jitter beside it, RMS, degrees")
    tracked: int | None = Field(
        64, ge=1, description="steps (uses, OFDM symbols) over which the receiver follows the phase; null: one phase a burst"
    )

    def assumed(self) -> tuple[str, ...]:
        over = "each burst" if self.tracked is None else f"every {self.tracked} steps (uses, OFDM symbols)"
        return (f"the common phase of the oscillators over {over}",)

    def build(self, device: str = "cpu") -> PreparedPhaseNoise:
        return PreparedPhaseNoise(self.linewidth, self.rms_deg, self.tracked)


class PreparedPhaseNoise:
    """The prepared stage; see `PhaseNoise`."""

    level_dependent = False

    def __init__(self, linewidth: float, rms_deg: float, tracked: int | None):
        self.linewidth, self.rms, self.tracked = linewidth, math.radians(rms_deg), tracked

    def draw(self, at: np.ndarray, antennas: int, draws: Sequence[Draw]) -> Drawn:
        """Phases float32 [U, 1, n] in (-pi, pi]; the normals behind them depend on neither level, and a longer n keeps them."""
        gaps = np.diff(at, prepend=at[:1]) * wiener_step_variance(self.linewidth)
        theta = np.empty((len(draws), 1, len(at)), dtype=np.float32)
        for row, draw in enumerate(draws):
            steps, jitter = draw.stream("phase noise").standard_normal((len(at), 2)).T
            walk = np.cumsum(steps * np.sqrt(gaps)) + self.rms * jitter
            theta[row, 0] = np.remainder(walk + math.pi, 2.0 * math.pi) - math.pi
        return (torch.from_numpy(theta),)

    def apply(self, samples: torch.Tensor, at: np.ndarray, drawn: Drawn) -> torch.Tensor:
        """[B, A, n], turned."""
        (theta,) = drawn
        return samples * torch.polar(torch.ones_like(theta), theta)
