"""Train a joint source-channel coder: one network from pixels over a noisy channel back to pixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor, nn

from semcom.models import storage
from semcom.models.jscc import FACTOR, JSCC
from semcom.scenario.schema import Section
from semcom.train import losses
from semcom.train.data import Batch, Draws
from semcom.train.task import TaskDescription, Turn

#: (latent channels, SNR in dB) that sample pictures show
SHOWN = ((4, 0.0), (4, 10.0), (16, 0.0), (16, 10.0))
#: a deeper fade than this counts as this deep: nothing is learned from dividing by less
DEEPEST = 1e-3


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("expected [lowest, highest]")
    return pair


class Air(Section):
    """The channels that are trained for."""

    snr_db: Annotated[tuple[float, float], AfterValidator(_ascending)] = Field(
        (-5.0, 20.0), description="average Es/N0, dB: uniform between lowest and highest; known to both ends"
    )
    block: float = Field(0.3, ge=0.0, le=1.0, description="share of pictures with Rayleigh fading, one gain a picture")
    fast: float = Field(0.1, ge=0.0, le=1.0, description="share of pictures with Rayleigh fading, one gain a channel use")

    @model_validator(mode="after")
    def _no_more_than_all(self) -> Air:
        if self.block + self.fast > 1.0:
            raise ValueError(f"block + fast is {self.block + self.fast:g}; at most 1, the rest is AWGN")
        return self


class JSCCTask(TaskDescription):
    """A joint source-channel coder that serves every SNR and bandwidth ratio with one set of weights.

    In training each picture sends a random number of leading latents (nested dropout) at a random average SNR, which
    the transmitter knows, over AWGN or Rayleigh fading, whose gain only the receiver knows. Unit mean power per image
    over what is sent. The loss is the mean over pictures of log10 of the squared error: minus a tenth of the PSNR in dB.

    References: Bourtsoulatze, Kurka, Gunduz 2019, deep JSCC; Xu, Ai, Zhang, Yang 2021, one model for all SNRs; Rippel,
    Gelbart, Adams 2014, nested dropout.

    Example::

        task: {kind: jscc, channels: 32, sent: [4, 8, 16, 32]}
    """

    kind: Literal["jscc"] = "jscc"
    channels: int = Field(32, ge=1, le=192, description="real numbers a block of 8x8 pixels; 32 are a bandwidth ratio of 1/12")
    width: int = Field(96, ge=8, multiple_of=8, description="features at an eighth of the resolution")
    fine_width: int = Field(64, ge=8, multiple_of=8, description="features at a quarter of the resolution")
    encoder_blocks: int = Field(2, ge=1, description="residual blocks of the transmitter at an eighth of the resolution")
    decoder_blocks: int = Field(4, ge=1, description="residual blocks of the receiver at an eighth of the resolution")
    sent: tuple[int, ...] = Field(
        (4, 16), min_length=1, description="reals a block that are sent, each entry equally likely"
    )
    between: float = Field(
        0.1, ge=0.0, le=1.0, description="share of pictures that send any number of reals, from the least of `sent` to all"
    )
    air: Air = Field(Air(), description="the channels that are trained for")

    @model_validator(mode="after")
    def _no_more_than_there_are(self) -> JSCCTask:
        if not all(1 <= count <= self.channels for count in self.sent):
            raise ValueError(f"sent is {list(self.sent)}; each must lie in 1 to channels = {self.channels}")
        return self

    def build(self) -> Training:
        return Training(self)

    def smoke(self) -> JSCCTask:
        return self.model_copy(update={"width": 8, "fine_width": 8, "encoder_blocks": 1, "decoder_blocks": 1})


class Training:
    """The prepared task."""

    def __init__(self, task: JSCCTask):
        self.task = task

    def networks(self) -> Mapping[str, nn.Module]:
        task = self.task
        return {"jscc": JSCC(task.channels, task.width, task.fine_width, task.encoder_blocks, task.decoder_blocks)}

    def active(self, name: str, step: int, steps: int) -> bool:
        return True

    def losses(
        self, name: str, networks: Mapping[str, nn.Module], batch: Batch, draws: Draws, turn: Turn
    ) -> Mapping[str, Tensor]:
        total = self.task.channels * batch.pixels.shape[2] * batch.pixels.shape[3] // FACTOR**2
        snr_db = draws.uniform("snr", *self.task.air.snr_db)
        noise_std = noise_levels(snr_db, gains(self.task.air, draws, total))
        made = networks["jscc"](batch.pixels, snr_db, self._counts(draws, total), noise_std, draws.normal("noise", (total,)))
        return {"log_mse": losses.log_mse(batch.pixels, made.float())}

    def _counts(self, draws: Draws, total: int) -> Tensor:
        """How many reals each picture sends, int64 [B]."""
        position = total // self.task.channels
        whole = draws.choice("sent", self.task.sent) * position
        some = draws.uniform("between", min(self.task.sent) * position, total).long()
        return torch.where(draws.uniform("whole") < self.task.between, some, whole)

    def samples(self, network: nn.Module, batch: Batch) -> np.ndarray:
        """Rows: the original, then the picture at few and many channels, bad and good SNR over AWGN; columns: pictures."""
        rows = [batch.pixels]
        total = network.latents(tuple(batch.pixels.shape[2:]))
        noise = Draws(0, 0, tuple(range(len(batch.pixels))), batch.pixels.device).normal("samples", (total,))
        for channels, snr in SHOWN:
            snr_db = torch.full((len(batch.pixels),), snr, device=noise.device)
            count = torch.full_like(snr_db, min(channels, network.channels) * total // network.channels).long()
            made = network(batch.pixels, snr_db, count, noise_levels(snr_db, torch.ones_like(noise)), noise)
            rows.append(made.clamp(0.0, 1.0))
        picture = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
        return (picture * 255.0).round().byte().permute(1, 2, 0).cpu().numpy()

    def save(self, network: nn.Module, folder: Path, precision: str) -> Path:
        return storage.save_network(network, folder, precision)

    def about(self, network: nn.Module) -> Mapping[str, Any]:
        what = f"joint source-channel coder, up to {network.channels} real numbers a block of 8x8 pixels in order of importance"
        air = self.task.air
        fading = f"{air.block:.0%} block and {air.fast:.0%} fast Rayleigh fading"
        trained = f"trained from {air.snr_db[0]:g} to {air.snr_db[1]:g} dB over AWGN, {fading}"
        return {"what": f"{what}, {trained}", "losses": "log10 of the squared error a picture", "snr_db": list(air.snr_db)}


def noise_levels(snr_db: Tensor, power: Tensor) -> Tensor:
    """Noise deviation a real [B, N] at an average SNR [B] and the channel's |h|^2 [B, N].

    Unit-RMS reals paired into I and Q arrive with a deviation of 1 / (sqrt(SNR) |h|) each (docs/protocol.md).
    """
    return 10.0 ** (-snr_db / 20.0)[:, None] * power.clamp(min=DEEPEST).rsqrt()


def gains(air: Air, draws: Draws, total: int) -> Tensor:
    """|h|^2 float32 [B, N]: 1 over AWGN, else exponential with mean 1; neighbours share a channel use."""
    kind = draws.uniform("fading")[:, None]
    block = draws.normal("block", (2, 1)).square().mean(dim=1)
    fast = draws.normal("fast", (2, (total + 1) // 2)).square().mean(dim=1).repeat_interleave(2, dim=1)[:, :total]
    power = torch.where(kind < air.block, block, torch.ones_like(fast))
    return torch.where(kind >= 1.0 - air.fast, fast, power)
