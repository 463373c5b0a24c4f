"""Latents of an autoencoder as real numbers, straight onto the channel."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field, field_validator

from semcom.errors import ScenarioError
from semcom.latents.allocation import gains, relative, waterfill
from semcom.latents.coder import KNOWN, LatentCoder, bits_to_scale, coder, scale_to_bits, unit_rms
from semcom.latents.named import NamedAutoencoder
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.types import Bits, Budget, ImageBatch, Message, Reals

torch = lazy.load("torch")

#: what `channels: auto` chooses from
CHANNELS = (2, 4, 8, 16)

AGREED = "the power of each latent channel, which depends on the average SNR and the grant alone"


class VaeLatent(NamedAutoencoder):
    """Latents of an autoencoder, channel by channel in order of importance, as uncoded real numbers.

    The leading ``channels`` are sent as a real part named ``latent``: D = channels h w numbers, half as many channel
    uses. A link that grants more repeats them from the start (``link: {kind: analog, fill: repeat}``), so the first
    channels arrive with less noise; few channels and `power: flat` are the plain latent repeated. One that grants
    less gets as many channels as fit.

    ``power`` shares the power out among the channels. `flat` scales all alike. `waterfill` minimises the squared
    error that a linear receiver is left with, from the channels' variances and the average SNR with what
    repetition gains (and from how much each changes the picture, where tables beside the weights say so):
    p = (m sqrt(w q) - s^2)+; channels that get none are not sent. A list gives powers of the leading channels,
    relative to each other. Both ends know them. `channels: auto` and `best_of` choose per SNR, bandwidth ratio and metric.

    Autoencoders of this package need no scale: what is sent has unit RMS per image. Where the power is not flat the
    receiver finds the scale from what it got, because it knows that latents have unit RMS. Other autoencoders
    (a folder, a .safetensors file or a pinned hub id of diffusers' AutoencoderTiny or AutoencoderKL) cost 8 bits of
    side information, the scale of each picture, in quarter decibels.

    Shapes: real part [B, channels h w], (h, w) an eighth of the picture. Units: mean square 1 per image over what is
    sent (with a told scale, at most a quarter decibel less).
    References: Lee and Petersen 1976, the power allocation.

    Example::

        transmit: {kind: vae_latent, channels: 16, power: waterfill}
    """

    CARRIES: ClassVar[frozenset[str]] = frozenset({"reals"})
    PARTS: ClassVar[frozenset[str]] = frozenset({"latent"})

    kind: Literal["vae_latent"] = "vae_latent"
    channels: int = Field(16, ge=1, description="leading latent channels that are sent, at most; `auto` tunes it")
    power: Literal["flat", "waterfill"] | tuple[float, ...] = Field(
        "flat", description="of the channels: flat, waterfill, or a list of relative powers of the leading ones"
    )

    @field_validator("power")
    @classmethod
    def _positive(cls, power: str | tuple[float, ...]) -> str | tuple[float, ...]:
        if not isinstance(power, str) and not (power and all(0.0 < value < np.inf for value in power)):
            raise ValueError(f"power is {list(power)}; expected flat, waterfill, or a list of positive numbers, one a channel")
        return power

    @classmethod
    def choices(cls, field: str) -> tuple[Any, ...]:
        return CHANNELS if field == "channels" else ()

    def build(self, context: Context) -> LatentTransmitter:
        made = coder(self.pretrained, context.device)
        if not isinstance(self.power, str) and len(self.power) < min(self.channels, made.channels):
            raise ScenarioError(
                f"transmit: vae_latent has {len(self.power)} powers for {min(self.channels, made.channels)} channels; give one each"
            )
        return LatentTransmitter(made, self.channels, self.power)


class LatentTransmitter:
    """A prepared `semcom.protocols.Transmitter`."""

    def __init__(self, made: LatentCoder, channels: int, power: str | tuple[float, ...]):
        self.coder, self.channels, self.power = made, min(channels, made.channels), power
        self.side_bits = made.side_bits
        self.adapts_to_snr = power == "waterfill"

    def encode(self, images: ImageBatch, budget: Budget, streams: Streams) -> Message:
        reals = budget.part("latent").reals
        if reals is None:
            raise ScenarioError(
                "transmit: vae_latent sends real numbers and its link carries bits; use `link: {kind: analog}`, "
                "or `transmit: vae_latent_quantised`"
            )
        height, width = self.coder.grid(images.size)
        # a part of a channel is sent only where the scale is told: the receiver knows that of whole channels
        fit = -(-reals // (height * width)) if self.side_bits else reals // (height * width)
        count, reasons = min(self.channels, fit), ()
        if count == 0:
            reason = f"a latent channel is {height * width} reals, and {reals} fit {budget.channel_uses} channel uses"
            count, reasons = 1, (reason,) * len(images)
        powers = self._powers(count, max(reals, 1) / (height * width), budget.part("latent").snr_db)
        whole = max(reals, 1 if self.side_bits else height * width)  # of what is infeasible a channel, which is not sent
        values, side = self._scaled(self.coder.leading(images.pixels, len(powers)), powers, whole)
        flat = self.power == "flat"
        return Message(
            parts={"latent": Reals(values, (len(powers), height, width), () if flat else tuple(powers.tolist()))},
            budget=budget,
            image_size=images.size,
            side=side,
            infeasible=reasons,
            free=(KNOWN,) if flat else (KNOWN, AGREED),
        )

    def _powers(self, count: int, room: float, snr_db: float | None) -> np.ndarray:
        """Powers of mean 1 of the channels that are sent, at most ``count``; ``room`` is how many the grant holds."""
        if self.power == "flat":
            return relative(self.coder.power[:count])
        if self.power != "waterfill":
            return relative(np.array(self.power[:count]))
        noise = 10.0 ** (-snr_db / 10.0)  # of a unit-power real that is sent once
        for sent in range(count, 1, -1):  # channels that are left out leave more room for the others
            variance, weight = relative(self.coder.power[:sent]), self.coder.sensitivity[:sent]
            powers = waterfill(variance, noise * sent / room, weight)
            if powers[-1] > 0.0:
                return powers
        return np.ones(1)

    def _scaled(self, latents: torch.Tensor, powers: np.ndarray, reals: int) -> tuple[torch.Tensor, Bits | None]:
        """Values float32 [B, D], the first ``reals`` of which have unit RMS, and the scale where it has to be told."""
        amplitude = gains(powers, relative(self.coder.power[: len(powers)]))
        shaped = (latents * torch.tensor(amplitude, dtype=torch.float32, device=latents.device)[:, None, None]).flatten(1)
        sent, rms = unit_rms(shaped[:, :reals])
        if not self.side_bits:
            return sent, None
        bits = scale_to_bits(rms)
        lengths = torch.full((len(bits),), self.side_bits, dtype=torch.int64, device=bits.device)
        return shaped / bits_to_scale(bits)[:, None], Bits(bits, lengths)
