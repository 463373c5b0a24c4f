"""Teach a trained denoiser a second mode: in one evaluation, the latents of the picture that looks most like the original."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from semcom.errors import WeightsError
from semcom.models import lpips_squeeze, storage
from semcom.models.critic import PatchCritic
from semcom.models.denoiser import LatentDenoiser
from semcom.models.pretrained import Pretrained
from semcom.models.shipped import Shipped
from semcom.train import losses
from semcom.train.data import Draws, Steps
from semcom.train.denoiser.latents import Encoded, LatentBatch
from semcom.train.task import Turn
from semcom.train.tasks.autoencoder import Losses
from semcom.train.tasks.denoiser import SHOWN, Met, OfLatents, Training, exact

#: terms that compare pixels, by their names in `Losses`
PIXELS = ("l1", "mse", "pyramid")


class FastDenoiserTask(OfLatents):
    """The denoiser's weights go on as they were trained, and learn a second, fast mode beside it: one evaluation, one picture.

    The mean of what may have been sent, which is what a denoiser estimates, is smooth; steps of an ODE make it sharp. The fast
    mode goes there at once: its latents pass through the autoencoder's decoder, which stays as it is, and the picture is compared
    with the original by a perceptual distance. It starts as the first mode does, and from the channel's noise level only. A
    share of each batch trains the first mode as before, so that it stays what it is.

    References: Song, Dhariwal, Chen, Sutskever 2023, "Consistency models": one evaluation from a noise level to the data, judged
    by LPIPS; Sauer, Lorenz, Blattmann, Rombach 2023, adversarial distillation (the critic, where it has a weight).

    Example::

        task: {kind: latent_denoiser_fast, start: latent_denoiser, share: 0.5, losses: {l1: 0.5, pyramid: 0.5}}
    """

    kind: Literal["latent_denoiser_fast"] = "latent_denoiser_fast"
    start: str = Field("latent_denoiser", min_length=1, description="weights of the denoiser: a name that ships, or a folder")
    share: float = Field(0.5, gt=0.0, lt=1.0, description="share of each batch that trains the fast mode, the rest the first mode")
    error: float = Field(0.1, ge=0.0, description="weight of the squared error of latents in the fast mode; 1 in the first mode")
    losses: Losses = Field(Losses(lpips_squeeze=1.0, l1=0.5, pyramid=0.5), description="what the fast mode's pictures are compared by")

    @model_validator(mode="after")
    def _something_is_sent(self) -> FastDenoiserTask:
        if not any(self.sent):
            raise ValueError("sent is all 0; the fast mode starts from latents that arrived")
        return self

    def data(self, pictures: Steps, folder: Path, shown: int = 0) -> Encoded:
        return super().data(pictures, folder, self.quick(pictures.batch_size))

    def quick(self, batch_size: int) -> int:
        """Rows of a batch that train the fast mode: the first ones."""
        return min(max(1, round(self.share * batch_size)), batch_size - 1)

    def prepared(self, data: Encoded) -> FastTraining:
        return FastTraining(self, data.shown)

    def build(self) -> FastTraining:
        return FastTraining(self, 1)

    def identity(self) -> dict[str, Any]:
        decoder = storage.digest(Pretrained(self.autoencoder).file())
        return {**super().identity(), "decoder": decoder, "start": Shipped(self.start, "LatentDenoiser").identity()}

    def smoke(self) -> FastDenoiserTask:
        # LPIPS's weights are not everywhere
        return self.model_copy(update={"views": 2, "losses": self.losses.model_copy(update={"lpips_squeeze": 0.0, "l1": 1.0})})


class FastTraining(Training):
    """The prepared task. ``quick``: rows of the whole batch below it train the fast mode."""

    task: FastDenoiserTask

    def __init__(self, task: FastDenoiserTask, quick: int):
        super().__init__(task)
        self.quick = quick
        self.perceptual = lpips_squeeze.load() if task.losses.lpips_squeeze else None

    def networks(self) -> Mapping[str, nn.Module]:
        networks = {"denoiser": with_fast_mode(Shipped(self.task.start, "LatentDenoiser").load(), self.task.start)}
        return networks | ({"critic": PatchCritic()} if self.task.losses.adversarial else {})

    def active(self, name: str, step: int, steps: int) -> bool:
        return name == "denoiser" or step >= self.task.losses.adversarial_from * steps

    def losses(
        self, name: str, networks: Mapping[str, nn.Module], batch: LatentBatch, draws: Draws, turn: Turn
    ) -> Mapping[str, Tensor]:
        if name == "critic":
            real, made = networks["critic"](torch.cat([batch.pixels, turn.left["made"]])).float().chunk(2)
            return {"critic": losses.hinge_critic(real, made)}
        count = len(batch.pixels)
        at_once, slowly = self._met(batch, draws, slice(0, count)), self._met(batch, draws, slice(count, None))
        fast = torch.arange(len(batch.latents), device=batch.latents.device) < count
        made = networks["denoiser"](*(_both(at_once, slowly, what) for what in ("noisy", "sigma", "planes")), fast)
        pixels = self.coder.model.to(made.device).decode(made[:count])
        turn.left["made"] = pixels.detach()
        terms = {"error": self.error(made[count:], slowly).mean()}
        if self.task.error:
            terms["fast_error"] = self.task.error * self.error(made[:count], at_once).mean()
        return terms | dict(self._terms(pixels, batch.pixels, networks, turn))

    def _met(self, batch: LatentBatch, draws: Draws, rows: slice) -> Met:
        """The fast mode starts where the channel leaves a picture of which something was sent, the first mode also on a sampler's
        way from there, and from a map alone."""
        air, sent = self.task.air, self.task.sent
        if rows.start == 0:
            air, sent = air.model_copy(update={"path": 0.0}), tuple(count for count in sent if count)
        labels = None if batch.labels is None else batch.labels[rows]
        some = Draws(draws.seed, draws.step, draws.rows[rows], draws.device)
        return self.met(batch.latents[rows], labels, air, some, sent)

    def _terms(self, made: Tensor, original: Tensor, networks: Mapping[str, nn.Module], turn: Turn) -> Iterator[tuple[str, Tensor]]:
        weights = self.task.losses
        for name in PIXELS:
            if weight := getattr(weights, name):
                yield name, weight * getattr(losses, name)(original, made)
        if self.perceptual is not None:
            yield "lpips_squeeze", weights.lpips_squeeze * self.perceptual.to(made.device)(original, made).mean()
        if "critic" in networks and self.active("critic", turn.step, turn.steps):
            yield "adversarial", weights.adversarial * losses.hinge_maker(networks["critic"](made).float())

    def samples(self, network: nn.Module, batch: LatentBatch) -> np.ndarray:
        """Rows: the original; per SNR the linear estimate, one evaluation of the first mode and one of the fast mode,
        which at the lower SNR gets the true map, too; columns: pictures."""
        latents = batch.latents
        noise = Draws(0, 0, tuple(range(len(latents))), latents.device).normal("samples", latents.shape[1:])
        fast, rows = torch.ones(len(latents), dtype=torch.bool, device=latents.device), [batch.pixels]
        for snr_db in SHOWN:
            sigma = torch.full_like(latents, 10.0 ** (-snr_db / 20.0))
            noisy = latents + sigma * noise
            made = [self.coder.model.shrink(noisy, sigma), network(noisy, sigma), network(noisy, sigma, None, fast)]
            if batch.labels is not None and snr_db == SHOWN[0]:
                made.append(network(noisy, sigma, exact(batch.labels, tuple(latents.shape[2:])), fast))
            rows += [self.coder.pictures(x) for x in made]
        picture = torch.cat([torch.cat(list(row.cpu()), dim=2) for row in rows], dim=1)
        return (picture * 255.0).round().byte().permute(1, 2, 0).numpy()

    def about(self, network: nn.Module) -> Mapping[str, Any]:
        told, weight = super().about(network), self.task.error
        fast = f"fast mode, of its pictures: {self.task.losses.named()}" + (f", latents' squared error {weight:g}" if weight else "")
        return {
            **told,
            "what": f"{told['what']}; with a fast mode of one evaluation, learned from '{self.task.start}'",
            "losses": f"{told['losses']}; {fast}",
            "of": {**told["of"], "decoder": storage.digest(self.coder.file)},
            "start": Shipped(self.task.start, "LatentDenoiser").identity(),
        }


def with_fast_mode(trained: LatentDenoiser, name: str) -> LatentDenoiser:
    """The same network, whose fast mode does what the first does if it has none yet. Raises: WeightsError."""
    network = LatentDenoiser(**{key: value for key, value in trained.config.items() if not key.startswith("_")} | {"fast": True})
    missing, unknown = network.load_state_dict(trained.state_dict(), strict=False)
    if unknown or any(not key.startswith("fast_") for key in missing):
        raise WeightsError(f"'{name}' does not fit a LatentDenoiser with a fast mode: {', '.join([*missing, *unknown])[:200]}")
    return network


def _both(first: Met, second: Met, what: str) -> Tensor | None:
    parts = [getattr(part, what) for part in (first, second)]
    return None if parts[0] is None else torch.cat(parts)
