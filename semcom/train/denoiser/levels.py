"""Noise levels of latents as radio channels leave them, and as they are along a sampler's way to clean latents."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor

from semcom.scenario.schema import Section
from semcom.train.data import Draws


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("expected [lowest, highest]")
    return pair


Range = Annotated[tuple[float, float], AfterValidator(_ascending)]
#: a deeper fade than this counts as this deep
DEEPEST = 1e-4
#: exponents of how unequal power allocations give more to channels that are strong anyway, and their own scatter
TILT, SCATTER = 1.0, 0.3
#: rows of latents that share a gain where the channel is constant over a while
COHERENT = 4


class Air(Section):
    """The channels that are trained for. What is left of the shares is AWGN, every channel alike, nothing lost."""

    snr_db: Range = Field((-12.0, 28.0), description="Es/N0 of the latents, dB, repetition included: uniform between these")
    fast: float = Field(0.15, ge=0.0, le=1.0, description="share of pictures with Rayleigh fading, one gain a channel use")
    blocks: float = Field(0.1, ge=0.0, le=1.0, description="share of pictures with Rayleigh fading, one gain for a few rows of a channel")
    allotted: float = Field(0.3, ge=0.0, le=1.0, description="share of pictures whose power is shared out unequally among the channels")
    lost: float = Field(0.25, ge=0.0, le=1.0, description="share of pictures that lost elements: scattered ones, a rectangle, or the last ones")
    path: float = Field(0.7, ge=0.0, le=1.0, description="share of pictures at a level of a sampler's way, min(sigma, t)")
    t: Range = Field((0.02, 40.0), description="levels t of the way, in units of unit-RMS latents: log-uniform between these")

    @model_validator(mode="after")
    def _no_more_than_all(self) -> Air:
        if self.fast + self.blocks > 1.0:
            raise ValueError(f"fast + blocks is {self.fast + self.blocks:g}; at most 1, the rest is AWGN")
        return self


def received(latents: Tensor, power: Tensor, sent: tuple[int, ...], air: Air, draws: Draws) -> tuple[Tensor, Tensor]:
    """(latents float32 [B, C, h, w] in the scale in which the receiver knows them, noise levels [B, C, h, w]).

    A message of the leading n channels has unit RMS over these. The receiver multiplies it by their usual RMS,
    sqrt(mean power), so that it has about the scale of all C channels: within what a picture's leading channels are
    stronger or weaker than usual, which nobody tells it. Training means the same: latents are scaled as the receiver
    would have them, and the channels that were not sent with them.
    """
    shape = latents.shape[1:]
    count = draws.choice("sent", sent)
    leading = (torch.arange(shape[0], device=count.device) < count[:, None]).float()[:, :, None, None]
    usual = (leading * power[:, None, None]).sum((1, 2, 3)) / count.clamp(min=1)
    own = (leading * latents).square().sum((1, 2, 3)) / (count.clamp(min=1) * shape[1] * shape[2])
    scale = torch.where(count > 0, (usual / own.clamp(min=1e-6)).sqrt(), torch.ones_like(own))
    level = 10.0 ** (-draws.uniform("snr", *air.snr_db) / 20.0) * usual.sqrt()
    sigma = level[:, None, None, None] * _unequal(power, air, draws) * _faded(shape, air, draws)
    sigma = torch.where((leading == 0) | _lost(shape, air, draws), torch.inf, sigma)
    return latents * scale[:, None, None, None], _on_the_way(sigma, air, draws)


def _unequal(power: Tensor, air: Air, draws: Draws) -> Tensor:
    """[B, C, 1, 1]: what a power allocation multiplies the noise of each channel by, once it is undone."""
    tilt = draws.uniform("tilt", -TILT, TILT)[:, None] * power.log() / 2.0
    factor = (tilt + SCATTER * draws.normal("allotment", power.shape)).exp()
    chosen = draws.uniform("allotted")[:, None] < air.allotted
    return torch.where(chosen, factor, torch.ones_like(factor))[:, :, None, None]


def _faded(shape: torch.Size, air: Air, draws: Draws) -> Tensor:
    """[B, C, h, w]: 1 / |h|, the gains of neighbours that share a channel use alike."""
    channels, height, width = shape
    kind = draws.uniform("fading")[:, None, None, None]
    fast = draws.normal("fast", (2, channels, height, (width + 1) // 2)).square().mean(1).repeat_interleave(2, 3)[..., :width]
    slow = draws.normal("slow", (2, channels, -(-height // COHERENT), 1)).square().mean(1).repeat_interleave(COHERENT, 2)[:, :, :height]
    gain = torch.where(kind < air.fast, fast, torch.ones_like(fast))
    gain = torch.where(kind >= 1.0 - air.blocks, slow.expand_as(fast), gain)
    return gain.clamp(min=DEEPEST).rsqrt()


def _lost(shape: torch.Size, air: Air, draws: Draws) -> Tensor:
    """bool [B, C, h, w]: elements that did not arrive, of channels that were sent."""
    channels, height, width = shape
    device = draws.device
    kind = (draws.uniform("loss") / max(air.lost, 1e-9) * 3.0)[:, None, None, None]
    share = draws.uniform("loss share")[:, None, None, None]
    corner = torch.stack([draws.uniform(f"loss {side}") for side in ("top", "left", "tall", "wide")])[:, :, None, None, None]
    scattered = draws.normal("loss places", shape).erf().add(1.0) / 2.0 < share * 0.9
    rows, columns = torch.arange(height, device=device)[:, None] / height, torch.arange(width, device=device) / width
    inside = (rows >= corner[0]) & (rows < corner[0] + corner[2]) & (columns >= corner[1]) & (columns < corner[1] + corner[3])
    last = torch.arange(channels * height * width, device=device).reshape(shape) / (channels * height * width) >= share
    none = torch.zeros_like(scattered)
    return torch.where(kind < 1.0, scattered, torch.where(kind < 2.0, inside | none, torch.where(kind < 3.0, last | none, none)))


def _on_the_way(sigma: Tensor, air: Air, draws: Draws) -> Tensor:
    low, high = (torch.tensor(t).log().item() for t in air.t)
    t = draws.uniform("t", low, high).exp()
    t = torch.where(draws.uniform("path") < air.path, t, torch.full_like(t, torch.inf))
    return torch.minimum(sigma, t[:, None, None, None])
