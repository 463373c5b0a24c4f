"""An analog to digital converter: uniform steps, a clipping level, and what both do to a signal."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field

from channels import bussgang
from channels.base import ChannelDescription, Draw, Drawn, Stage
from channels.order import behind_propagation

torch = lazy.load("torch")


class ADC(ChannelDescription):
    """The receiver's analog to digital converter: uniform mid-rise steps and a clipping level, in I and in Q.

    2^bits levels between plus and minus the clipping level, which an ideal gain control sets ``clipping_db`` above the RMS
    of a real dimension of all that an antenna receives in a burst, noise included. Each bit is worth 6.02 dB of
    quantisation noise, step^2 / 12 a real dimension, until clipping is what is left.

    The output is a gain times the input plus a distortion that is uncorrelated with it (Bussgang); for Gaussian samples
    both are exact sums over the levels (`adc_bussgang`). The receiver divides by the gain and adds the distortion to its
    noise level. Where the channel moves within a burst the gain control does not: weak symbols meet few steps and strong ones
    clip, so that gain and distortion are found for each level of the power that comes in. A constellation of few points on a
    single carrier is far from Gaussian to a converter of one or two bits: what it does to noise and signal then differs, the
    noise level handed on is too large and the slope up to a few per cent off 1; with OFDM, or from three bits on, both hold.

    Charges: nothing. Units: dB over the RMS of a real dimension. References: Max 1960; Widrow, Kollar 2008, section 1.2;
    Bussgang 1952; Mezghani, Nossek 2012.

    Example::

        channel: [{kind: awgn}, {kind: adc, bits: 6, clipping_db: 12}]
    """

    STAGE: ClassVar[Stage] = "hardware"
    kind: Literal["adc"] = "adc"
    bits: int = Field(6, ge=1, le=16, description="bits a real dimension")
    clipping_db: float = Field(
        12.0, ge=-6.0, le=40.0, description="clipping level over the RMS of a real dimension, dB; best: 4 at 2 bits, 10 at 6, 13 at 10"
    )

    def conflict(self, stages: Sequence[ChannelDescription]) -> str | None:
        return behind_propagation(self, stages, "the receiver's converter")

    def assumed(self) -> tuple[str, ...]:
        return ("an ideal gain control before the converter, and its gain and the power of its distortion at the receiver",)

    def build(self, device: str = "cpu") -> PreparedADC:
        return PreparedADC(self.bits, self.clipping_db)


class PreparedADC:
    """The prepared stage, one converter an antenna; see `ADC`."""

    tracked, level_dependent = None, True

    def __init__(self, bits: int, clipping_db: float):
        self.bits, self._over_rms = bits, 10.0 ** (clipping_db / 20.0)

    def draw(self, at: np.ndarray, antennas: int, draws: Sequence[Draw]) -> Drawn:
        return ()

    def apply(self, samples: torch.Tensor, at: np.ndarray, drawn: Drawn) -> torch.Tensor:
        """[B, A, n], the clipping level of each row and antenna set by its own power; silence stays silent."""
        rms = (samples.abs().square().mean(dim=2, keepdim=True) / 2.0).sqrt()
        clipping = (self._over_rms * rms)[..., None].clamp(min=torch.finfo(rms.dtype).tiny)
        return torch.where(rms > 0, quantise(samples, self.bits, clipping), samples)


def quantise(v: torch.Tensor, bits: int, clipping: float | torch.Tensor) -> torch.Tensor:
    """Uniform mid-rise quantisation of each real dimension of complex samples v [...].

    2^bits levels an odd number of half steps from zero, step = 2 clipping / 2^bits; beyond the clipping level the
    outermost level stays. ``clipping`` is in the units of v, one for all or a tensor that broadcasts against the
    real view [..., 2]. The gradient is that of a straight line up to the clipping level (quantisation has none of its own).
    References: Widrow, Kollar 2008, section 1.2.
    """
    step = 2.0 * clipping / 2**bits
    outermost = clipping - step / 2.0
    limits = {"min": torch.as_tensor(-outermost), "max": torch.as_tensor(outermost)}
    straight = torch.view_as_real(v).clamp(**limits)
    stepped = (((straight.detach() / step).floor() + 0.5) * step).clamp(**limits)
    return torch.view_as_complex(stepped + (straight - straight.detach()))


@functools.cache
def adc_bussgang(bits: int, clipping_db: float) -> bussgang.Bussgang:
    """Gain, distortion and power of `quantise` for complex Gaussian samples of power 1, exact.

    ``clipping_db`` is the clipping level over the RMS of a real dimension, dB. A sample of power P has the same gain and P
    times the distortion and power.
    """
    clipping = 10.0 ** (clipping_db / 20.0)
    step = 2.0 * clipping / 2**bits
    index = np.arange(2**bits)
    levels = (index + 0.5) * step - clipping
    return bussgang.of_real_gaussian(index[1:] * step - clipping, levels)


def best_clipping_db(bits: int) -> float:
    """The clipping level over the RMS, dB, that gives Gaussian samples the highest signal to distortion ratio (Max 1960)."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(lambda level: -adc_bussgang.__wrapped__(bits, level).sdr, bounds=(-6.0, 20.0), method="bounded")
    return float(found.x)
