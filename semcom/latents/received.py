"""A real part of latents as it arrived: its power allocation undone, and the scale of each picture found.

What a transmitter sends has unit RMS per image over the n channels that it sends. Undone, latents have unit RMS over these n
channels again, as its encoder gave them (or the scale that was told, where an autoencoder has one of its own).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import lazy_loader as lazy
import numpy as np

from semcom.latents.allocation import gains, relative
from semcom.latents.coder import LatentCoder, marked
from semcom.types import ReceivedReals

torch = lazy.load("torch")


class Latents(Protocol):
    """Latents of unit RMS over n channels, in whatever form a message held them, as a receiver meets them that knows of noise."""

    values: torch.Tensor  # [B, n, h, w], of which the shape tells how many channels were sent

    def unbiased(self) -> tuple[torch.Tensor, torch.Tensor]: ...  # clean ones plus noise, and the levels of it, 0 to inf
    def within(self, level: float) -> torch.Tensor: ...  # bool [B]: no element is noisier, in units of a unit-RMS message
    def plain(self, coder: LatentCoder) -> torch.Tensor: ...  # pixels [B, 3, H, W], as the plain receiver shows them


@dataclass(frozen=True)
class Arrived:
    """Latents of n channels in message units, and what leads from there to latents.

    ``values``, ``noise_std`` [B, n, h, w], both 0 where not ``there``; ``power``, ``gain`` [n, 1, 1]: the expected mean
    square of each channel, and what it was multiplied by (0: it was not sent); ``scale`` [B].
    """

    values: torch.Tensor
    noise_std: torch.Tensor
    there: torch.Tensor
    power: torch.Tensor
    gain: torch.Tensor
    scale: torch.Tensor

    def linear(self) -> torch.Tensor:
        """Latents [B, n, h, w]: the linear MMSE estimate of each element by itself, 0 where nothing arrived."""
        return self.undone(self.values * self.power / (self.power + self.noise_std.square()).clamp(min=_tiny()))

    def undone(self, values: torch.Tensor) -> torch.Tensor:
        """Latents [B, n, h, w] of ``values`` in message units."""
        undone = torch.where(self.there & (self.gain > 0), values / self.gain.clamp(min=_tiny()), 0.0)
        return torch.where(self.gain > 0, marked(undone * self.scale[:, None, None, None]), 0.0)

    def unbiased(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(latents [B, n, h, w] as they arrived, their noise levels: inf where nothing did)."""
        levels = self.noise_std / self.gain.clamp(min=_tiny()) * self.scale[:, None, None, None]
        return self.undone(self.values), torch.where(self.there & (self.gain > 0), levels, torch.inf)

    def within(self, level: float) -> torch.Tensor:
        """bool [B]: every element was sent and arrived, with noise of at most ``level``."""
        return (self.there & (self.noise_std <= level) & (self.gain > 0)).flatten(1).all(1)

    def plain(self, coder: LatentCoder) -> torch.Tensor:
        """Pixels [B, 3, H, W] of the linear estimate."""
        return coder.pictures(self.linear())


def whole(found: Latents, power: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(latents, noise levels) [B, C, h, w] of all C channels, in the scale in which generative receivers were trained.

    Latents of unit RMS over n channels times the usual RMS of these among all, of ``power`` [C]: within what this picture's
    leading channels are stronger or weaker than usual, the scale of all C (`semcom.train.denoiser.levels` trains with the
    same). Noise levels are inf where nothing arrived.
    """
    values, sigma = found.unbiased()
    usual = power[: values.shape[1]].mean().sqrt()
    padding = (0, 0, 0, 0, 0, len(power) - values.shape[1])
    pad = torch.nn.functional.pad
    return pad(values * usual, padding), pad(sigma * usual, padding, value=torch.inf)


def arrived(coder: LatentCoder, part: ReceivedReals, scale: torch.Tensor | None = None) -> Arrived:
    """What ``part`` holds. ``scale`` [B] is what was told of each picture; without it, it is found (`found_scale`)."""
    values, noise = (x.to(coder.device).reshape(-1, *part.shape) for x in (part.values, part.noise_std))
    there = noise.isfinite()
    values, noise = torch.where(there, values, 0.0), torch.where(there, noise, 0.0)
    variance = relative(coder.power[: part.shape[0]])
    powers = np.array(part.powers) if part.powers else variance
    amplitude = gains(powers, variance)
    if scale is None:
        scale = found_scale(values, noise, there, powers, amplitude, coder.spread)
    power, gain = (torch.tensor(x, dtype=torch.float32, device=values.device)[:, None, None] for x in (powers, amplitude))
    return Arrived(values, noise, there, power, gain, scale)


def found_scale(
    values: torch.Tensor, noise: torch.Tensor, there: torch.Tensor, powers: np.ndarray, amplitude: np.ndarray, spread: np.ndarray
) -> torch.Tensor:
    """Scale [B] that gives the latents unit RMS, estimated where channels were scaled differently.

    With gains g, t = mean(P / g^2) over the channels has to be 1 / scale^2, where P are the powers with which
    the picture was sent. Each P is measured as a weighted mean of y^2 - s^2, whose error has the variance
    4 p s^2 + 2 s^4 an element, and what is left out of the picture adds its own. Beforehand P is known to
    within the channels' ``spread`` over pictures: the estimate is linear in both, and within what is possible.
    """
    used = amplitude > 0
    factors = 1.0 / amplitude[used] ** 2 / used.sum()  # t = sum of factors times powers
    lowest, highest = len(powers) * factors.min(), len(powers) * factors.max()
    if highest - lowest < 1e-9 * highest:
        return torch.full((len(values),), highest**-0.5, device=values.device)
    place = torch.tensor(np.flatnonzero(used), device=values.device)
    y, s, seen = (x[:, place].double().flatten(2) for x in (values, noise, there))
    p, a = (torch.tensor(x, device=values.device) for x in (powers[used], factors))
    weight = seen / (p[:, None] + s.square()).square()
    weight = weight / weight.sum(2, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    measured = (weight * (y.square() - s.square())).sum(2)
    error = (weight.square() * (4.0 * p[:, None] * s.square() + 2.0 * s.square().square())).sum(2)
    error = error + 2.0 * p.square() * (weight.square().sum(2) - 1.0 / y.shape[2]).clamp(min=0.0)
    some = seen.any(2)
    found = (a * torch.where(some, measured, p)).sum(1)
    variance = (a.square() * torch.where(some, error, 0.0)).sum(1)
    expected = float((a * p).sum())
    prior = torch.tensor(spread[: len(powers)][used], device=values.device)
    believed = float((a * p * prior).square().sum())
    t = expected + (found - expected) * believed / (believed + variance).clamp(min=torch.finfo(torch.float64).tiny)
    return t.clamp(lowest, highest).rsqrt().to(torch.float32)


def _tiny() -> float:
    return torch.finfo(torch.float32).tiny
