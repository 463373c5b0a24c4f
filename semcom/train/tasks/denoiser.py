"""Train a denoiser of an autoencoder's latents: every noise level, every mixture of levels, with and without a map."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn


from semcom.diffusion import samplers, steps
from semcom.latents.coder import coder
from semcom.models import storage
from semcom.models.denoiser import CLASSES, LatentDenoiser, planes_of, preconditioning
from semcom.models.pretrained import Pretrained
from semcom.train.data import Draws, Steps
from semcom.train.denoiser.latents import Encoded, LatentBatch
from semcom.train.denoiser.levels import Air, received
from semcom.train.maps import Maps, planes
from semcom.train.task import TaskDescription, Turn

#: SNRs in dB that sample pictures show, and evaluations of the denoiser
SHOWN, EVALUATIONS = (-5.0, 5.0), (1, 6)
#: where the encoded pictures lie in the folder of a training
CACHE = "latents.safetensors"


class OfLatents(TaskDescription):
    """What tasks that train a denoiser have in common: whose latents, and how a receiver meets them."""

    autoencoder: str = Field("autoencoder", min_length=1, description="weights that ship, or a folder; of latents with unit RMS")
    views: int = Field(12, ge=1, description="random crops of each picture, encoded before the first step; they take turns by epoch")
    sent: tuple[int, ...] = Field(
        (0, 1, 2, 4, 4, 4, 8, 8, 16, 16, 16, 16), min_length=1, description="leading channels that are sent, each entry equally likely"
    )
    importance: float = Field(
        0.5, ge=0.0, le=1.0, description="how far a channel counts by what its errors do to the picture: 0 all alike, 1 in proportion"
    )
    air: Air = Field(Air(), description="noise levels")
    maps: Maps = Field(Maps(), description="label maps")

    def data(self, pictures: Steps, folder: Path, shown: int = 0) -> Encoded:
        """Encoded pictures; with their pixels, those of rows below ``shown``."""
        made = coder(Pretrained(self.autoencoder), "cpu")
        # in float32 and one batch at a time, so that it is the same whatever surrounds it
        return Encoded(pictures, lambda pixels: made.model.encode(pixels), made.encoder, self.views, folder / CACHE, shown)

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "autoencoder": storage.encoder_digest(Pretrained(self.autoencoder).file())}


class DenoiserTask(OfLatents):
    """A denoiser of all latent channels of an autoencoder, with a noise level of its own for each element and a label map.

    Each picture is met as a radio channel leaves it (some leading channels sent, unequal powers, fading, losses) or on a
    sampler's way from there; with a label map that is fine or coarse, hard or soft, in part wrong or lost, or without one.
    The loss is the squared error of the network's own output, which has unit variance at every level (Karras et al. 2022),
    so that no level outweighs the others. Pictures are encoded once, before the first step, in several views.

    References: Karras, Aittala, Aila, Laine 2022, preconditioning and weights; Ho, Salimans 2022, leaving out the map.

    Example::

        task: {kind: latent_denoiser, widths: [64, 160, 320], views: 12}
    """

    kind: Literal["latent_denoiser"] = "latent_denoiser"
    widths: tuple[int, int, int] = Field(
        (64, 160, 320), description="features at the latents' resolution, at half and at a quarter of it"
    )
    blocks: tuple[int, int, int] = Field((1, 1, 1), description="residual blocks there, on the way down and on the way up")
    heads: int = Field(5, ge=1, description="of the attention at a quarter of the resolution; divides its width")

    @model_validator(mode="after")
    def _heads_divide(self) -> DenoiserTask:
        if self.widths[2] % self.heads:
            raise ValueError(f"heads is {self.heads} and the last of widths {self.widths[2]}; it must be a multiple")
        return self

    def build(self) -> Training:
        return Training(self)

    def smoke(self) -> DenoiserTask:
        return self.model_copy(update={"widths": (16, 16, 16), "heads": 1, "views": 2})


@dataclass(frozen=True)
class Met:
    """``clean`` latents [B, C, h, w] in the receiver's scale, ``noisy`` ones of level ``sigma``, ``planes`` of a map or None."""

    clean: Tensor
    noisy: Tensor
    sigma: Tensor
    planes: Tensor | None


class Training:
    """The prepared task."""

    def __init__(self, task: OfLatents):
        self.task = task
        self.coder = coder(Pretrained(task.autoencoder), "cpu")
        self.power = torch.tensor(self.coder.power, dtype=torch.float32)
        weight = torch.tensor(self.coder.power * self.coder.sensitivity, dtype=torch.float32) ** task.importance
        self.weight = (weight / weight.mean())[:, None, None]

    def networks(self) -> Mapping[str, nn.Module]:
        task = self.task
        power = tuple(round(value, 6) for value in self.power.tolist())
        return {"denoiser": LatentDenoiser(power, task.widths, task.blocks, task.heads)}

    def active(self, name: str, step: int, steps: int) -> bool:
        return True

    def losses(
        self, name: str, networks: Mapping[str, nn.Module], batch: LatentBatch, draws: Draws, turn: Turn
    ) -> Mapping[str, Tensor]:
        met = self.met(batch.latents, batch.labels, self.task.air, draws, self.task.sent)
        return {"error": self.error(networks["denoiser"](met.noisy, met.sigma, met.planes), met).mean()}

    def met(self, latents: Tensor, labels: Tensor | None, air: Air, draws: Draws, sent: tuple[int, ...]) -> Met:
        """Latents as a receiver meets them over ``air``, with one of ``sent`` leading channels."""
        clean, sigma = received(latents, self.power.to(latents.device), sent, air, draws)
        noise = torch.where(sigma.isfinite(), sigma, 0.0) * draws.normal("noise", clean.shape[1:])
        noisy = torch.where(sigma.isfinite(), clean + noise, 0.0)
        shown = None if labels is None else planes(labels, tuple(clean.shape[2:]), self.task.maps, draws)
        return Met(clean, noisy, sigma, shown)

    def error(self, made: Tensor, met: Met) -> Tensor:
        """The squared error of the network's own output, weighted, an element."""
        _, _, out = preconditioning(met.sigma, self.power.to(made.device).sqrt()[:, None, None])
        return self.weight.to(made.device) * ((made - met.clean) / out).square()

    def samples(self, network: nn.Module, batch: LatentBatch) -> np.ndarray:
        """Rows: the original; per SNR the linear estimate, one evaluation, several; several from the map alone; columns: pictures."""
        latents = batch.latents
        noise = Draws(0, 0, tuple(range(len(latents))), latents.device).normal("samples", latents.shape[1:])
        shown = None if batch.labels is None else exact(batch.labels, tuple(latents.shape[2:]))
        rows = [batch.pixels]
        for snr_db in (*SHOWN, -math.inf):
            sigma = torch.full_like(latents, 10.0 ** (-snr_db / 20.0))
            given = shown if snr_db == -math.inf else None
            denoise = lambda x, level, given=given: network(x, level, given)  # noqa: E731
            arrived = torch.where(sigma.isfinite(), latents + torch.where(sigma.isfinite(), sigma, 0.0) * noise, 0.0)
            made = [] if given is not None else [self.coder.model.shrink(arrived, sigma)]
            made += [_sampled(denoise, arrived, sigma, count, noise) for count in EVALUATIONS]
            rows += [self.coder.pictures(x) for x in made]
        picture = torch.cat([torch.cat(list(row.cpu()), dim=2) for row in rows], dim=1)
        return (picture * 255.0).round().byte().permute(1, 2, 0).numpy()

    def save(self, network: nn.Module, folder: Path, precision: str) -> Path:
        return storage.save_network(network, folder, precision)

    def about(self, network: nn.Module) -> Mapping[str, Any]:
        air = self.task.air
        what = (
            f"denoiser of {network.channels} latent channels with a noise level for each element and a label map, trained from "
            f"{air.snr_db[0]:g} to {air.snr_db[1]:g} dB and from nothing at all"
        )
        told = {"name": self.task.autoencoder, "encoder": self.coder.encoder}
        return {"what": what, "losses": "squared error at unit variance a level", "of": told}


def _sampled(denoise: samplers.Denoise, arrived: Tensor, sigma: Tensor, count: int, noise: Tensor) -> Tensor:
    return samplers.euler(denoise, arrived, sigma, steps.times(steps.start_of(sigma), count), lambda: noise)


def exact(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Planes of a map that is known exactly, of labels int64 [B, H, W], for latents of ``size`` (h, w)."""
    one_hot = nn.functional.one_hot(labels.clamp(max=CLASSES - 1), CLASSES).permute(0, 3, 1, 2).float()
    return planes_of(one_hot, labels < CLASSES, size)
