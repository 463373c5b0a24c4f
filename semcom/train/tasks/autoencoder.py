"""Train an autoencoder whose latent channels come in order of importance and survive a radio channel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor, nn

from semcom.errors import WeightsError
from semcom.models import lpips_squeeze, storage
from semcom.models.autoencoder import Autoencoder
from semcom.models.critic import PatchCritic
from semcom.models.pretrained import Pretrained
from semcom.scenario.schema import Section
from semcom.train import losses
from semcom.train.data import Batch, Draws
from semcom.train.task import TaskDescription, Turn

#: an eighth of the resolution: as many stages as there are halvings between a patch and 8 pixels, and one
STAGES = {1: 4, 2: 3, 4: 2}
FACTOR = 8
#: latent channels that sample pictures show
SHOWN = (4, 16)


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("expected [lowest, highest]")
    return pair


class Losses(Section):
    """Weights of the terms; 0 leaves one out. A card names those that were not 0."""

    l1: float = Field(1.0, ge=0.0, description="mean absolute difference")
    mse: float = Field(0.0, ge=0.0, description="mean squared difference")
    pyramid: float = Field(1.0, ge=0.0, description="mean absolute difference of the bands of a Laplacian pyramid")
    lpips_squeeze: float = Field(0.0, ge=0.0, description="LPIPS over SqueezeNet; needs its weights in SEMCOM_WEIGHTS")
    adversarial: float = Field(0.0, ge=0.0, description="a critic of patches that learns along (hinge)")
    adversarial_from: float = Field(0.6, ge=0.0, le=1.0, description="share of the training after which the critic takes part")

    def named(self) -> str:
        """The terms that took part, for a card."""
        terms = {name: getattr(self, name) for name in ("l1", "mse", "pyramid", "lpips_squeeze", "adversarial")}
        return ", ".join(f"{name} {weight:g}" for name, weight in terms.items() if weight)

    @model_validator(mode="after")
    def _something_to_descend(self) -> Losses:
        if not (self.l1 or self.mse or self.pyramid or self.lpips_squeeze):
            raise ValueError("all reconstruction losses are 0; give l1, mse, pyramid or lpips_squeeze a weight")
        return self


class Noise(Section):
    """The channel's noise on the latents."""

    share: float = Field(0.5, ge=0.0, le=1.0, description="share of the pictures whose latents are sent over a noisy channel")
    snr_db: Annotated[tuple[float, float], AfterValidator(_ascending)] = Field(
        (0.0, 20.0), description="Es/N0 of those, dB: uniform between lowest and highest"
    )


class AutoencoderTask(TaskDescription):
    """An autoencoder with 8x downsampling whose leading latent channels matter most.

    In training each picture sends a random number of leading channels (nested dropout), with unit RMS over what is
    sent, in part over a noisy channel; the decoder sees the linear MMSE estimate of what arrived. So one model
    serves every rate, and a transmitter needs no scale.

    References: Rippel, Gelbart, Adams 2014, nested dropout; Bourtsoulatze, Kurka, Gunduz 2019, channel noise on
    latents; diffusers' AutoencoderTiny, the network.

    Example::

        task: {kind: autoencoder, latent_channels: 16, losses: {l1: 1.0, pyramid: 1.0}}
    """

    kind: Literal["autoencoder"] = "autoencoder"
    network: Literal["block", "tiny", "kl"] = Field(
        "tiny",
        description="BlockAutoencoder, quick to train; diffusers' AutoencoderTiny; or AutoencoderKL without its sampling",
    )
    latent_channels: int = Field(16, ge=1, le=64, description="channels at an eighth of the resolution")
    encoder_width: int = Field(
        64, ge=8, multiple_of=4, description="channels inside the encoder (kl: of both, at full resolution; block: of both, at an eighth)"
    )
    decoder_width: int = Field(
        76, ge=8, multiple_of=4, description="channels inside the decoder (block: at a quarter of the resolution, half as many at a half)"
    )
    sent: tuple[int, ...] = Field(
        (2, 4, 4, 8, 16, 16), min_length=1, description="leading channels that are sent, each entry equally likely"
    )
    patch: Literal[1, 2, 4] = Field(1, description="pixels a side that the network sees as one position (space to depth)")
    encoder_blocks: tuple[int, ...] | None = Field(
        None, description="residual blocks a stage, from the highest resolution (block: one number); null: the network's default"
    )
    decoder_blocks: tuple[int, ...] | None = Field(
        None, description="residual blocks a stage, from the lowest resolution (block: at 1/8, 1/4 and, if wanted, 1/2); null: the network's default"
    )
    start: str | None = Field(
        None, description="an autoencoder whose encoder is kept as it is, and whose decoder's weights are a start where they fit"
    )
    losses: Losses = Field(Losses(), description="what a reconstruction is compared by")
    noise: Noise = Field(Noise(), description="the channel's noise on the latents")

    @model_validator(mode="after")
    def _no_more_than_there_are(self) -> AutoencoderTask:
        if not all(1 <= count <= self.latent_channels for count in self.sent):
            raise ValueError(f"sent is {list(self.sent)}; each must lie in 1 to latent_channels = {self.latent_channels}")
        return self

    @model_validator(mode="after")
    def _a_block_count_for_each_stage(self) -> AutoencoderTask:
        stages = STAGES[self.patch]
        allowed = {"encoder_blocks": (1,), "decoder_blocks": (2, 3)} if self.network == "block" else {}
        for name in ("encoder_blocks", "decoder_blocks"):
            given, counts = getattr(self, name), allowed.get(name, (stages,))
            if given is not None and len(given) not in counts:
                wanted = " or ".join(str(count) for count in counts)
                raise ValueError(f"{name} is {list(given)}; network {self.network} with patch {self.patch} takes {wanted} numbers, one a stage")
        return self

    def build(self) -> Training:
        return Training(self)

    def smoke(self) -> AutoencoderTask:
        # LPIPS's weights are not everywhere; the critic takes part from the second step on
        terms = self.losses.model_copy(update={"lpips_squeeze": 0.0, "l1": 1.0, "adversarial_from": 0.3})
        return self.model_copy(update={"encoder_width": 8, "decoder_width": 8, "losses": terms, "start": None})

    def identity(self) -> dict[str, Any]:
        return super().identity() | ({"start": Pretrained(self.start).digest()} if self.start else {})


class Training:
    """The prepared task."""

    def __init__(self, task: AutoencoderTask):
        self.task = task
        self.perceptual = lpips_squeeze.load() if task.losses.lpips_squeeze else None

    def networks(self) -> Mapping[str, nn.Module]:
        model = Autoencoder(network(self.task))
        if self.task.start:
            keep_latents(model, Pretrained(self.task.start).load())
        networks = {"autoencoder": model}
        return networks | ({"critic": PatchCritic()} if self.task.losses.adversarial else {})

    def active(self, name: str, step: int, steps: int) -> bool:
        return name == "autoencoder" or step >= self.task.losses.adversarial_from * steps

    def losses(
        self, name: str, networks: Mapping[str, nn.Module], batch: Batch, draws: Draws, turn: Turn
    ) -> Mapping[str, Tensor]:
        if name == "critic":
            made = networks["critic"](torch.cat([batch.pixels, turn.left["made"]])).float()
            return {"critic": losses.hinge_critic(*made.chunk(2))}
        made = self._sent(networks["autoencoder"], batch, draws)
        turn.left["made"] = made.detach()
        return {key: term for key, term in self._terms(made, batch, networks, turn)}

    def _sent(self, model: nn.Module, batch: Batch, draws: Draws) -> Tensor:
        """The pixels after sending leading channels, in part over a noisy channel."""
        height, width = (side // FACTOR for side in batch.pixels.shape[2:])
        sent = draws.choice("sent", self.task.sent)
        snr_db = draws.uniform("snr", *self.task.noise.snr_db)
        noisy = draws.uniform("noisy") < self.task.noise.share
        # unit-RMS reals paired into I and Q: noise of deviation 1 / sqrt(SNR) a real (docs/protocol.md)
        noise_std = torch.where(noisy, 10.0 ** (-snr_db / 20.0), torch.zeros_like(snr_db))[:, None, None, None]
        noise = draws.normal("noise", (self.task.latent_channels, height, width))
        return model(batch.pixels, sent, noise_std, noise).float()

    def _terms(self, made: Tensor, batch: Batch, networks: Mapping[str, nn.Module], turn: Turn):
        weights = self.task.losses
        for name in ("l1", "mse", "pyramid"):
            if weight := getattr(weights, name):
                yield name, weight * getattr(losses, name)(batch.pixels, made)
        if self.perceptual is not None:
            self.perceptual.to(made.device)
            yield "lpips_squeeze", weights.lpips_squeeze * self.perceptual(batch.pixels, made).mean()
        if "critic" in networks and self.active("critic", turn.step, turn.steps):
            yield "adversarial", weights.adversarial * losses.hinge_maker(networks["critic"](made).float())

    def samples(self, network: nn.Module, batch: Batch) -> np.ndarray:
        """Rows: the original, then the picture from few and from all latent channels, without a channel; columns: pictures."""
        counts = sorted({min(count, network.channels) for count in SHOWN})
        rows = [batch.pixels, *(network.decode(network.encode(batch.pixels, count)) for count in counts)]
        picture = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)
        return (picture * 255.0).round().byte().permute(1, 2, 0).cpu().numpy()

    def save(self, network: nn.Module, folder: Path, precision: str) -> Path:
        return storage.save_network(network.net, folder, precision)

    def about(self, network: nn.Module) -> Mapping[str, Any]:
        latents = {name: [round(value, 6) for value in getattr(network, name).tolist()] for name in ("mean", "power")}
        what = f"autoencoder, 8x downsampling, {network.channels} latent channels in order of importance, unit RMS per image"
        return {"what": what, "losses": self.task.losses.named(), "normalised": network.normalised, "latents": latents}


def network(task: AutoencoderTask) -> nn.Module:
    """The network of a task's shape."""
    from diffusers import AutoencoderKL, AutoencoderTiny

    if task.network == "block":
        from semcom.models.block_autoencoder import BlockAutoencoder

        given = {"encoder_blocks": (task.encoder_blocks or (None,))[0], "decoder_blocks": task.decoder_blocks}
        blocks = {name: value for name, value in given.items() if value is not None}
        return BlockAutoencoder(task.latent_channels, task.encoder_width, task.decoder_width, **blocks)
    stages, seen = STAGES[task.patch], 3 * task.patch**2
    if task.network == "tiny":
        return AutoencoderTiny(
            in_channels=seen,
            out_channels=seen,
            latent_channels=task.latent_channels,
            encoder_block_out_channels=(task.encoder_width,) * stages,
            decoder_block_out_channels=(task.decoder_width,) * stages,
            num_encoder_blocks=task.encoder_blocks or (1, 3, 3, 3)[:stages],
            num_decoder_blocks=task.decoder_blocks or (3, 3, 3, 1)[-stages:],
        )
    widths = tuple(task.encoder_width * factor for factor in (1, 2, 2, 2)[:stages])
    kind = {"down_block_types": ("DownEncoderBlock2D",) * stages, "up_block_types": ("UpDecoderBlock2D",) * stages}
    return AutoencoderKL(
        in_channels=seen, out_channels=seen, latent_channels=task.latent_channels, block_out_channels=widths,
        layers_per_block=1, norm_num_groups=8, mid_block_add_attention=False, **kind,
    )  # fmt: skip


def keep_latents(model: Autoencoder, earlier: Autoencoder) -> None:
    """Give ``model`` the encoder and the statistics of ``earlier``, for good, and what fits of its decoder as a start.

    Raises: WeightsError where the encoders differ in shape.
    """
    ours, theirs = model.state_dict(), earlier.state_dict()
    kept = {name for name in ours if not name.startswith("net.decoder.")}
    if wrong := sorted(name for name in kept if name not in theirs or theirs[name].shape != ours[name].shape):
        raise WeightsError(f"task: start names an autoencoder whose encoder has another shape ({wrong[0]}); give this one its widths")
    fits = {name: value for name, value in theirs.items() if name in ours and value.shape == ours[name].shape}
    model.load_state_dict({**ours, **fits})
    model.keeps_latents = True
