"""Train semantic diffusion: a denoiser of pictures at half size that a label map conditions, and their upsampler."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from semcom.diffusion import samplers, steps
from semcom.diffusion.variance_preserving import start
from semcom.errors import DataError
from semcom.models import lpips_squeeze, storage
from semcom.models.denoiser import CLASSES, planes_of, preconditioning
from semcom.models.semantic_unet import HALF, MULTIPLE, SemanticUNet, halved, normalised, pixels_of
from semcom.scenario.schema import Section
from semcom.train import losses
from semcom.train.data import Batch, Draws, Steps
from semcom.train.maps import Maps, planes
from semcom.train.noisy_planes import disturbed
from semcom.train.task import TaskDescription, Turn

#: levels of noise beyond which nothing changes, in units of the pixels' deviation
LEAST, MOST = 2e-3, 500.0
#: evaluations of a sample picture, and guidance of its rows
EVALUATIONS, GUIDANCE = 20, (1.0, 2.0)


class Upsampling(Section):
    """How the upsampler is trained. Weights of the terms; 0 leaves one out. A card names those that were not 0."""

    share: float = Field(0.25, gt=0.0, le=1.0, description="share of each batch that it sees: it learns sooner than the denoiser")
    noise: float = Field(0.1, ge=0.0, description="largest deviation of noise on what it sees, of the pixels' deviation (Ho et al. 2022)")
    l1: float = Field(1.0, ge=0.0, description="mean absolute difference")
    pyramid: float = Field(1.0, ge=0.0, description="mean absolute difference of the bands of a Laplacian pyramid")
    lpips_squeeze: float = Field(0.0, ge=0.0, description="LPIPS over SqueezeNet; needs its weights in SEMCOM_WEIGHTS")

    def named(self) -> str:
        """The terms that took part, for a card."""
        terms = {name: getattr(self, name) for name in ("l1", "pyramid", "lpips_squeeze")}
        return ", ".join(f"{name} {weight:g}" for name, weight in terms.items() if weight)

    @model_validator(mode="after")
    def _something_to_descend(self) -> Upsampling:
        if not (self.l1 or self.pyramid or self.lpips_squeeze):
            raise ValueError("all losses of the upsampler are 0; give l1, pyramid or lpips_squeeze a weight")
        return self


class SemanticDiffusionTask(TaskDescription):
    """Diffusion in pixel space from a label map (SPADE), at half of the size on each side, with an upsampler of one pass.

    Each picture is met at a random level of noise, that of a uniform place of the cosine schedule, with a label map as
    receivers have it (fine or coarse, hard or soft, in part wrong or lost), with planes in noise that is independent from
    plane to plane, as GESCO's code has them, or without a map, for guidance. The loss is the squared error of v, which is
    what the network tells where pixels have unit variance. The upsampler learns beside it, on other losses, from the same
    pictures with a little noise.

    References: Wang et al. 2022, semantic diffusion; Grassucci, Barbarossa, Comminiello 2023, GESCO; Salimans, Ho 2022, v;
    Nichol, Dhariwal 2021, the cosine schedule; Ho et al. 2022, noise on what an upsampler sees.

    Example::

        task: {kind: semantic_diffusion, widths: [48, 96, 176]}
    """

    kind: Literal["semantic_diffusion"] = "semantic_diffusion"
    widths: tuple[int, int, int] = Field(
        (48, 96, 176), description="features at a quarter, an eighth and a sixteenth of the picture's sides"
    )
    hidden: int = Field(32, ge=1, description="features between a map and what it scales and shifts by (SPADE)")
    heads: int = Field(4, ge=1, description="of the attention at a sixteenth of the sides; divides its width")
    upsampler_width: int = Field(32, ge=4, description="features of the upsampler, at half of the size")
    noisy: float = Field(0.15, ge=0.0, le=1.0, description="share of the maps that are planes in noise, unfiltered or filtered")
    maps: Maps = Field(Maps(given=0.85, soft=0.25), description="label maps")
    upsampling: Upsampling = Field(Upsampling(), description="the upsampler's training")

    @model_validator(mode="after")
    def _heads_divide(self) -> SemanticDiffusionTask:
        if self.widths[2] % self.heads:
            raise ValueError(f"heads is {self.heads} and the last of widths {self.widths[2]}; it must be a multiple")
        return self

    def data(self, pictures: Steps, folder: Path) -> Steps:
        size, multiple = pictures.augmentation.size, HALF * MULTIPLE
        if any(side % multiple for side in size):
            raise DataError(f"data.size is {list(size)}; task semantic_diffusion needs multiples of {multiple}")
        if not pictures.classes:
            raise DataError("data.packs hold no label maps, which task semantic_diffusion makes pictures of; add a labelled pack")
        return pictures

    def build(self) -> Training:
        return Training(self)

    def smoke(self) -> SemanticDiffusionTask:
        upsampling = self.upsampling.model_copy(update={"lpips_squeeze": 0.0, "l1": 1.0})  # LPIPS's weights are not everywhere
        small = {"widths": (16, 16, 16), "hidden": 8, "heads": 1, "upsampler_width": 8, "upsampling": upsampling}
        return self.model_copy(update=small)


class Training:
    """The prepared task."""

    def __init__(self, task: SemanticDiffusionTask):
        self.task = task
        self.perceptual = lpips_squeeze.load() if task.upsampling.lpips_squeeze else None

    def networks(self) -> Mapping[str, nn.Module]:
        task = self.task
        return {"denoiser": SemanticUNet(task.widths, task.hidden, task.heads, upsampler_width=task.upsampler_width)}

    def active(self, name: str, step: int, steps: int) -> bool:
        return True

    def losses(
        self, name: str, networks: Mapping[str, nn.Module], batch: Batch, draws: Draws, turn: Turn
    ) -> Mapping[str, Tensor]:
        clean, shown = normalised(halved(batch.pixels)), self._maps(batch.labels, draws)
        sigma = (draws.uniform("level") * math.pi / 2.0).tan().clamp(LEAST, MOST)
        noisy = clean + sigma[:, None, None, None] * draws.normal("noise", clean.shape[1:])
        count = max(1, round(self.task.upsampling.share * len(clean)))
        estimate, made = networks["denoiser"](noisy, sigma, shown, self._disturbed(clean, draws)[:count])
        _, _, out = preconditioning(sigma, torch.ones((), device=sigma.device))
        error = ((estimate - clean) / out[:, None, None, None]).square().mean()
        return {"error": error, **self._upsampled(batch.pixels[:count], pixels_of(made, clamped=False))}

    def _maps(self, labels: Tensor, draws: Draws) -> Tensor:
        size = tuple(side // HALF for side in labels.shape[1:])
        return disturbed(planes(labels, size, self.task.maps, draws), labels, self.task.noisy, draws)

    def _disturbed(self, clean: Tensor, draws: Draws) -> Tensor:
        """What the upsampler sees: what a sampler makes is not as clean as a picture that was made smaller."""
        level = draws.uniform("upsampled level", 0.0, self.task.upsampling.noise)[:, None, None, None]
        return clean + level * draws.normal("upsampled noise", clean.shape[1:])

    def _upsampled(self, pixels: Tensor, made: Tensor) -> dict[str, Tensor]:
        weights, terms = self.task.upsampling, {}
        for name in ("l1", "pyramid"):
            if weight := getattr(weights, name):
                terms[name] = weight * getattr(losses, name)(pixels, made)
        if self.perceptual is not None:
            self.perceptual.to(made.device)
            terms["lpips_squeeze"] = weights.lpips_squeeze * self.perceptual(pixels, made).mean()
        return terms

    def samples(self, network: nn.Module, batch: Batch) -> np.ndarray:
        """Rows: the original; made smaller and larger again; generated from its map, as trained and guided; columns: pictures."""
        small, shown = normalised(halved(batch.pixels)), _exact(batch.labels)
        rows = [batch.pixels, pixels_of(network.upsampler(small, shown))]
        noise = Draws(0, 0, tuple(range(len(small))), small.device).normal("samples", small.shape[1:])
        for strength in GUIDANCE:
            with_map = lambda x, sigma: network(x, sigma[:, 0, 0, 0], shown)  # noqa: E731
            without = lambda x, sigma: network(x, sigma[:, 0, 0, 0])  # noqa: E731
            levels = steps.times(torch.full((len(small),), steps.SIGMA_MAX), EVALUATIONS)
            at = torch.full_like(small, steps.SIGMA_MAX)
            denoise = samplers.guided(with_map, without, strength)
            made = samplers.multistep(denoise, start(noise, steps.SIGMA_MAX), at, levels, lambda: noise)
            rows.append(pixels_of(network.upsampler(made, shown)))
        picture = torch.cat([torch.cat(list(row.cpu()), dim=2) for row in rows], dim=1)
        return (picture * 255.0).round().byte().permute(1, 2, 0).numpy()

    def save(self, network: nn.Module, folder: Path, precision: str) -> Path:
        return storage.save_network(network, folder, precision)

    def about(self, network: nn.Module) -> Mapping[str, Any]:
        what = (
            "semantic diffusion: a denoiser of pictures at half of the size on each side that a label map conditions (SPADE), and "
            "an upsampler of one pass; GESCO's architecture at a size that can be trained on a CPU"
        )
        return {"what": what, "losses": f"squared error of v (denoiser); {self.task.upsampling.named()} (upsampler)"}


def _exact(labels: Tensor) -> Tensor:
    """Planes [B, 13, H, W] of labels int64 [B, H, W], known where they are a class."""
    one_hot = nn.functional.one_hot(labels.clamp(max=CLASSES - 1), CLASSES).permute(0, 3, 1, 2)
    return planes_of(one_hot, labels < CLASSES - 1, tuple(side // HALF for side in labels.shape[1:]))
