"""Train a generator against a critic: a picture in one pass from a label map, noisy latents, or both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from semcom.latents.allocation import relative
from semcom.models import lpips_squeeze, storage
from semcom.models.denoiser import CLASSES, planes_of
from semcom.models.map_critic import MapCritic
from semcom.models.pretrained import Pretrained
from semcom.models.spade_generator import FINE, SpadeGenerator, known_share, linear, shown_where
from semcom.scenario.schema import Section
from semcom.train import losses
from semcom.train.data import Batch, Draws
from semcom.train.denoiser.levels import Air, received
from semcom.train.maps import Maps, planes
from semcom.train.task import TaskDescription, Turn

#: planes of a map are made for twice this: at half the resolution of the pictures
HALVES = 2 * FINE
#: SNR in dB that sample pictures show
SHOWN = -5.0


class Losses(Section):
    """Weights of the terms; 0 leaves one out. A card names those that were not 0."""

    l1: float = Field(2.0, ge=0.0, description="mean absolute difference, at each place as far as its latents are known")
    lpips_squeeze: float = Field(1.0, ge=0.0, description="LPIPS over SqueezeNet; needs its weights in SEMCOM_WEIGHTS")
    features: float = Field(2.0, ge=0.0, description="difference of the critic's features (feature matching)")
    adversarial: float = Field(0.05, ge=0.0, description="the critic's verdict (hinge)")
    adversarial_from: float = Field(0.1, ge=0.0, le=1.0, description="share of the training after which the critic takes part")

    def named(self) -> str:
        """The terms that took part, for a card."""
        terms = {name: getattr(self, name) for name in ("l1", "lpips_squeeze", "features", "adversarial")}
        return ", ".join(f"{name} {weight:g}" for name, weight in terms.items() if weight)


class GanTask(TaskDescription):
    """A generator of pictures from a label map, noisy latents with a noise level an element, or both, in one pass.

    Each picture is met as a radio channel leaves it (some leading latent channels sent, noise, unequal powers, fading, losses)
    and with a label map that is fine or coarse, hard or soft, in part wrong or lost, or without one; never without both. The
    picture that a receiver shows is made without noise and compared with the original. Some pictures are made twice more, from
    two noises, for samples: they are scored by the mean distance from the original less half the distance from each other (the
    energy score, Gneiting, Raftery 2007), which is least when the two are drawn from what the original may have been.

    References: Park, Liu, Wang, Zhu 2019, SPADE; Lim, Ye 2017, hinge; Wang et al. 2018, feature matching, several resolutions;
    Zhang et al. 2018, LPIPS.

    Example::

        task: {kind: gan, widths: [128, 64, 32], blocks: [5, 2, 1]}
    """

    kind: Literal["gan"] = "gan"
    autoencoder: str = Field("autoencoder", min_length=1, description="weights that ship, or a folder; of latents with unit RMS")
    widths: tuple[int, int, int] = Field((128, 64, 32), description="features at 1/8, 1/4 and 1/2 of the resolution")
    blocks: tuple[int, int, int] = Field((5, 2, 1), description="residual blocks there")
    hidden: tuple[int, int, int] = Field((48, 32, 24), description="features there between the map and what it scales by")
    critic_width: int = Field(48, ge=4, description="features of the critic's first layer; twice and three times that follow")
    sent: tuple[int, ...] = Field(
        (0, 0, 0, 2, 4, 4, 4, 8, 12, 16, 16, 16, 16), min_length=1, description="leading channels that are sent, each entry equally likely"
    )
    given: float = Field(
        0.7, ge=0.0, le=1.0, description="share of pictures with a map; those of which no channel was sent always have one"
    )
    twice_every: int = Field(4, ge=1, description="one picture in so many is made from two noises, for samples; the others without")
    losses: Losses = Field(Losses(), description="what a picture is compared by")
    air: Air = Field(Air(snr_db=(-10.0, 25.0), path=0.0), description="noise levels")
    maps: Maps = Field(Maps(given=1.0), description="label maps")

    def build(self) -> Training:
        return Training(self)

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "autoencoder": Pretrained(self.autoencoder).digest()}

    def smoke(self) -> GanTask:
        # LPIPS's weights are not everywhere; the critic takes part from the second step on
        terms = self.losses.model_copy(update={"lpips_squeeze": 0.0, "l1": 1.0, "adversarial_from": 0.3})
        small = {"widths": (16, 8, 8), "hidden": (4, 4, 4), "critic_width": 8, "twice_every": 2}
        return self.model_copy(update={**small, "losses": terms})


@dataclass(frozen=True)
class Arrived:
    """What a receiver has of a batch: latents and their noise levels [B, C, h, w], a map's planes [B, 13, H/2, W/2], and the
    picture that the autoencoder makes of the latents."""

    latents: Tensor
    sigma: Tensor
    planes: Tensor
    base: Tensor

    def rows(self, which: Tensor) -> Arrived:
        return Arrived(self.latents[which], self.sigma[which], self.planes[which], self.base[which])


class Training:
    """The prepared task."""

    def __init__(self, task: GanTask):
        self.task = task
        self.file = Pretrained(task.autoencoder).file()
        self.model = Pretrained(task.autoencoder).load()
        self.power = torch.tensor(relative(self.model.power.numpy()), dtype=torch.float32)
        self.perceptual = lpips_squeeze.load() if task.losses.lpips_squeeze else None

    def networks(self) -> Mapping[str, nn.Module]:
        task = self.task
        power = tuple(round(value, 6) for value in self.power.tolist())
        networks = {"generator": SpadeGenerator(power, task.widths, task.blocks, task.hidden)}
        critical = task.losses.features or task.losses.adversarial
        return networks | ({"critic": MapCritic(task.critic_width)} if critical else {})

    def active(self, name: str, step: int, steps: int) -> bool:
        return name == "generator" or step >= self.task.losses.adversarial_from * steps

    def losses(
        self, name: str, networks: Mapping[str, nn.Module], batch: Batch, draws: Draws, turn: Turn
    ) -> Mapping[str, Tensor]:
        if name == "critic":
            return {"critic": self._told_apart(networks["critic"], batch.pixels, turn)}
        arrived = self._arrived(batch, draws)
        rows, noise = self._rows(draws, networks["generator"].noise_planes, arrived)
        some = arrived.rows(rows)
        made = networks["generator"](some.latents, some.sigma, some.planes, some.base, noise)
        turn.left |= {"made": made.detach(), "rows": rows, "planes": arrived.planes}
        return dict(self._terms(made, rows, arrived, batch.pixels, networks, turn))

    def _rows(self, draws: Draws, count: int, arrived: Arrived) -> tuple[Tensor, Tensor]:
        """(which picture each pass makes, its noise): all once, and those that are made from two noises once more, at the end."""
        device = arrived.latents.device
        numbers = torch.tensor(draws.rows, device=device)
        twice = (numbers % self.task.twice_every == 0).nonzero()[:, 0]
        shape = (count, *arrived.latents.shape[2:])
        first, second = draws.normal("first", shape), draws.normal("second", shape)
        once = torch.ones(len(numbers), device=device).index_fill(0, twice, 0.0).bool()
        first = torch.where(once[:, None, None, None], 0.0, first)
        return torch.cat([torch.arange(len(numbers), device=device), twice]), torch.cat([first, second[twice]])

    @torch.no_grad()
    def _arrived(self, batch: Batch, draws: Draws) -> Arrived:
        """What the channel leaves of the latents and the map of each picture."""
        power = self.power.to(batch.pixels.device)
        clean, sigma = received(self._on(batch.pixels.device).encode(batch.pixels), power, self.task.sent, self.task.air, draws)
        noise = torch.where(sigma.isfinite(), sigma, 0.0) * draws.normal("noise", clean.shape[1:])
        latents = torch.where(sigma.isfinite(), clean + noise, 0.0)
        height, width = batch.pixels.shape[2:]
        if batch.labels is None:
            shown = batch.pixels.new_zeros((len(latents), CLASSES + 1, height // FINE, width // FINE))
        else:
            shown = planes(batch.labels, (height // HALVES, width // HALVES), self.task.maps, draws)
        nothing = sigma.isinf().flatten(1).all(1)
        given = nothing | (draws.uniform("given") < self.task.given)
        shown = shown * given[:, None, None, None]
        return Arrived(latents, sigma, shown, self._base(latents, sigma))

    def _base(self, latents: Tensor, sigma: Tensor) -> Tensor:
        """The picture that the autoencoder makes of the linear estimate; grey where no latent arrived."""
        return shown_where(self._on(latents.device).decode(linear(latents, sigma, self.power.to(latents.device))), sigma)

    def _on(self, device: torch.device) -> nn.Module:
        return self.model.to(device)

    def _terms(
        self, made: Tensor, rows: Tensor, arrived: Arrived, pixels: Tensor, networks: Mapping[str, nn.Module], turn: Turn
    ):
        """The terms of the generator, each a mean over the pictures of the batch."""
        weights, count = self.task.losses, len(pixels)
        again = rows[count:]
        # a picture that is made twice counts as one: half of each pass
        share = torch.ones(len(made), device=made.device)
        share[again], share[count:] = 0.5, 0.5
        if weights.l1:
            places = self._known(arrived, again, pixels.shape[2:])
            apart = ((made - pixels[rows]).abs() * places[rows]).mean((1, 2, 3))
            between = ((made[count:] - made[again]).abs() * places[again]).mean((1, 2, 3))
            yield "l1", weights.l1 * ((share * apart).sum() - 0.5 * between.sum()) / count
        if self.perceptual is not None:
            seen = self.perceptual.to(made.device).seen(made)
            with torch.no_grad():
                original = self.perceptual.seen(pixels)
            apart = self.perceptual.between([x[rows] for x in original], seen)
            between = self.perceptual.between([x[count:] for x in seen], [x[again] for x in seen])
            yield "lpips_squeeze", weights.lpips_squeeze * ((share * apart).sum() - 0.5 * between.sum()) / count
        if "critic" in networks and self.active("critic", turn.step, turn.steps):
            judged = networks["critic"](made, arrived.planes[rows])
            if weights.features:
                with torch.no_grad():
                    real = networks["critic"](pixels, arrived.planes)
                pairs = zip(real, judged, strict=True)
                matched = [losses.matched([x[rows].float() for x in a[:-1]], [x.float() for x in b[:-1]]) for a, b in pairs]
                yield "features", weights.features * sum(matched) / len(matched)
            if weights.adversarial:
                verdicts = [losses.hinge_maker(scale[-1].float()) for scale in judged]
                yield "adversarial", weights.adversarial * sum(verdicts) / len(verdicts)

    def _known(self, arrived: Arrived, again: Tensor, size: tuple[int, int]) -> Tensor:
        """[B, 1, H, W]: of the latents' power the share that is known at each place; all of it for what is made twice, which may
        differ from the original where nothing is known, and should."""
        power = self.power.to(arrived.sigma.device)[:, None, None]
        known = (power * known_share(arrived.sigma, power.sqrt())).sum(1, keepdim=True) / power.sum()
        known[again] = 1.0
        return functional.interpolate(known, size, mode="nearest-exact")

    def _told_apart(self, critic: nn.Module, pixels: Tensor, turn: Turn) -> Tensor:
        made, rows, shown = turn.left["made"], turn.left["rows"], turn.left["planes"]
        judged = critic(torch.cat([pixels, made]), torch.cat([shown, shown[rows]]))
        verdicts = [losses.hinge_critic(*scale[-1].float().split([len(pixels), len(made)])) for scale in judged]
        return sum(verdicts) / len(verdicts)

    @torch.no_grad()
    def samples(self, network: nn.Module, batch: Batch) -> np.ndarray:
        """Rows: the original; at a low SNR the linear estimate, and what is made of it without and with the map; what is made of
        the map alone, without noise and with two noises; columns: pictures."""
        device = batch.pixels.device
        latents, count = self._on(device).encode(batch.pixels), len(batch.pixels)
        draws = Draws(0, 0, tuple(range(count)), device)
        low, lost = torch.full_like(latents, 10.0 ** (-SHOWN / 20.0)), torch.full_like(latents, math.inf)
        noisy = latents + low * draws.normal("samples", latents.shape[1:])
        shown = exact_planes(batch)
        none = torch.zeros_like(shown)
        first, second = (draws.normal(name, (network.noise_planes, *latents.shape[2:])) for name in ("first", "second"))
        no = torch.zeros_like(first)

        def made(x: Tensor, sigma: Tensor, places: Tensor, noise: Tensor) -> Tensor:
            return network(x, sigma, places, self._base(x, sigma), noise).clamp(0.0, 1.0)

        nothing = torch.zeros_like(latents)
        rows = [batch.pixels, self._base(noisy, low), made(noisy, low, none, no), made(noisy, low, shown, no)]
        rows += [made(nothing, lost, shown, noise) for noise in (no, first, second)]
        picture = torch.cat([torch.cat(list(row.cpu()), dim=2) for row in rows], dim=1)
        return (picture * 255.0).round().byte().permute(1, 2, 0).numpy()

    def save(self, network: nn.Module, folder: Path, precision: str) -> Path:
        return storage.save_network(network, folder, precision)

    def about(self, network: nn.Module) -> Mapping[str, Any]:
        air, task = self.task.air, self.task
        what = (
            f"generator of pictures in one pass, from {network.channels} latent channels with a noise level for each element, a label map, "
            f"or both, trained from {air.snr_db[0]:g} to {air.snr_db[1]:g} dB and with maps alone"
        )
        told = {"name": task.autoencoder, "encoder": storage.encoder_digest(self.file), "decoder": storage.digest(self.file)}
        return {"what": what, "losses": task.losses.named(), "of": told}


def exact_planes(batch: Batch) -> Tensor:
    """Planes [B, 13, H/2, W/2] of a batch's own labels; 0 without labels."""
    height, width = batch.pixels.shape[2:]
    if batch.labels is None:
        return batch.pixels.new_zeros((len(batch.pixels), CLASSES + 1, height // FINE, width // FINE))
    classes = functional.one_hot(batch.labels.clamp(max=CLASSES - 1), CLASSES).permute(0, 3, 1, 2).float()
    return planes_of(classes, batch.labels < CLASSES, (height // HALVES, width // HALVES))
