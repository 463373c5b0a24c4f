"""An autoencoder whose latents can be sent: unit RMS per image, leading channels first, kind to noise.

pixels [0, 1] -> encoder (diffusers) -> minus channel means -> unit RMS over what is sent -> latents
latents, as they arrived -> shrunk -> decoder (diffusers) -> pixels [0, 1]
"""

from __future__ import annotations

import math

import torch
from torch import nn

#: keeps the RMS of a picture without any content finite
TINY = 1e-12
#: how fast the statistics of the latents follow in training, a step
MOMENTUM = 0.01


def leading(sent: torch.Tensor, channels: int) -> torch.Tensor:
    """float32 [B, C, 1, 1]: 1 for the first ``sent`` [B] channels of each image, 0 for the others."""
    return (torch.arange(channels, device=sent.device) < sent[:, None]).float()[:, :, None, None]


def unit_rms(latents: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The latents [B, C, h, w] where ``mask`` [B, C, 1, 1] is 1, with mean square 1 over those, per image; else 0."""
    kept = latents * mask
    count = mask.sum(dim=(1, 2, 3), keepdim=True) * latents.shape[2] * latents.shape[3]
    power = kept.square().sum(dim=(1, 2, 3), keepdim=True) / count
    return kept * torch.rsqrt(power + TINY)


class Autoencoder(nn.Module):
    """A `BlockAutoencoder`, or a diffusers AutoencoderTiny or AutoencoderKL, with the latents that this package sends.

    A network of 3 p^2 input channels sees its picture in patches of p x p pixels (space to depth, Shi et al. 2016):
    its widest layers then work at 1/p of the resolution, which is what makes it quick on a CPU.

    ``normalised`` latents have unit RMS per image over the channels that are sent, so a transmitter needs no
    scale and no side information; the decoder knows no other. A foreign autoencoder (``normalised=False``) keeps
    the scale that it was trained with: who sends its latents has to say how the scale reaches the receiver.

    Buffers: ``mean`` [C], subtracted before sending and added by nobody (the decoder was trained without it; 0 where
    the network keeps means for a purpose);
    ``power`` [C], the mean square of each channel, relative; both learned in training.
    """

    def __init__(self, net: nn.Module, normalised: bool = True):
        super().__init__()
        self.net, self.normalised = net, normalised
        #: in training: latents stay what they are, and only the decoder learns
        self.keeps_latents = False
        self.register_buffer("mean", torch.zeros(self.channels))
        self.register_buffer("power", torch.ones(self.channels))

    @property
    def channels(self) -> int:
        return self.net.config.latent_channels

    @property
    def factor(self) -> int:
        """Pixels a latent position, along each side."""
        return getattr(self.net, "FACTOR", None) or self.patch * 2 ** (len(_stages(self.net)) - 1)

    @property
    def patch(self) -> int:
        """Pixels a side of a position of the network's input."""
        return math.isqrt(getattr(self.net.config, "in_channels", 3) // 3)

    def encode(self, pixels: torch.Tensor, channels: int | None = None) -> torch.Tensor:
        """float32 [B, n, H/8, W/8]: the first ``channels`` of the latents of pixels [B, 3, H, W] in [0, 1]."""
        count = self.channels if channels is None else channels
        if not 1 <= count <= self.channels:
            raise ValueError(f"{channels} latent channels were asked for; this autoencoder has 1 to {self.channels}")
        raw = self._raw(pixels)
        if self.normalised:
            raw = unit_rms(raw, leading(torch.full((len(raw),), count, device=raw.device), self.channels))
        return raw[:, :count]

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """float32 pixels [B, 3, H, W] in [0, 1] from the first n latent channels [B, n, h, w]; the others are 0."""
        return self._pixels(latents).float().clamp(0.0, 1.0)

    def shrink(self, received: torch.Tensor, noise_std: torch.Tensor) -> torch.Tensor:
        """Linear MMSE estimate of latents [B, n, h, w] that arrived with ``noise_std`` (broadcastable, 0 to inf).

        p / (p + sigma^2) of what arrived, p the power of the channel among the n; 0 where nothing arrived.
        """
        power = self.power[: received.shape[1]]
        power = (power / power.mean())[None, :, None, None]
        return _shrunk(received, noise_std, power)

    def forward(self, pixels: torch.Tensor, sent: torch.Tensor, noise_std: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """What training needs: pixels, not clamped, after the first ``sent`` [B] channels went over a noisy channel.

        ``noise_std`` [B, 1, 1, 1] or [B, C, h, w] scales ``noise`` [B, C, h, w] of unit variance.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.keeps_latents):
            raw = self._raw(pixels)
        mask = leading(sent, self.channels)
        power = (self.power[None, :, None, None] * mask) / (self.power[None, :, None, None] * mask).sum(1, keepdim=True)
        power = power * mask.sum(1, keepdim=True)
        latents = unit_rms(raw, mask)
        return self._pixels(_shrunk(latents + noise_std * noise * mask, noise_std, power))

    def _raw(self, pixels: torch.Tensor) -> torch.Tensor:
        encoded = self.net.encode(nn.functional.pixel_unshuffle(pixels * 2.0 - 1.0, self.patch))
        raw = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
        raw = raw.float()
        if self.training and not self.keeps_latents:
            self._follow(raw.detach())
        return raw - self.mean[None, :, None, None]

    def _pixels(self, latents: torch.Tensor) -> torch.Tensor:
        missing = self.channels - latents.shape[1]
        full = nn.functional.pad(latents, (0, 0, 0, 0, 0, missing)) if missing else latents
        return (nn.functional.pixel_shuffle(self.net.decode(full).sample, self.patch) + 1.0) / 2.0

    @torch.no_grad()
    def _follow(self, raw: torch.Tensor) -> None:
        """Let the statistics follow the latents."""
        if not getattr(self.net, "KEEPS_MEAN", False):
            self.mean.lerp_(_over_processes(raw.mean(dim=(0, 2, 3))), MOMENTUM)
        centred = raw - self.mean[None, :, None, None]
        share = centred.square().mean(dim=(2, 3))
        share = share / share.mean(dim=1, keepdim=True).clamp(min=TINY)
        self.power.lerp_(_over_processes(share.mean(dim=0)), MOMENTUM)


def _shrunk(received: torch.Tensor, noise_std: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    gain = power / (power + noise_std.square()).clamp(min=TINY)
    return torch.where(torch.isinf(noise_std), torch.zeros_like(received), received * gain)


def _over_processes(value: torch.Tensor) -> torch.Tensor:
    """The mean over the processes that share a batch."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(value)
        value = value / torch.distributed.get_world_size()
    return value


def _stages(net: nn.Module) -> tuple[int, ...]:
    config = net.config
    return tuple(getattr(config, "encoder_block_out_channels", None) or config.block_out_channels)
