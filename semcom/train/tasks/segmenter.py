"""Train a segmenter: a network that tells the class of every pixel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from semcom.errors import DataError
from semcom.models import storage
from semcom.models.segmenter.classes import COLOURS, NAMES
from semcom.models.segmenter.network import Segmenter
from semcom.scenario.schema import Section
from semcom.train.data import Batch, Draws, Steps
from semcom.train.optimise import seeded
from semcom.train.task import TaskDescription, Turn

#: the label of a pixel that no loss counts; above every class
IGNORED = 255

Architecture = Literal[
    "Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "DeepLabV3", "DeepLabV3Plus", "PAN", "UPerNet", "Segformer", "DPT"
]


class Losses(Section):
    """Weights of the terms; 0 leaves one out. Void and unlabelled pixels count in none."""

    cross_entropy: float = Field(1.0, ge=0.0, description="cross-entropy, a mean over labelled pixels")
    dice: float = Field(0.0, ge=0.0, description="soft Dice over the classes of a batch (Milletari, Navab, Ahmadi 2016)")
    lovasz: float = Field(0.0, ge=0.0, description="Lovasz-softmax over a batch (Berman, Triki, Blaschko 2018); sorts every pixel")

    @model_validator(mode="after")
    def _something_to_descend(self) -> Losses:
        if not (self.cross_entropy or self.dice or self.lovasz):
            raise ValueError("all losses are 0; give cross_entropy, dice or lovasz a weight")
        return self

    def named(self) -> str:
        """The terms that took part, for a card."""
        return ", ".join(f"{name} {weight:g}" for name, weight in self.model_dump().items() if weight)


class SegmenterTask(TaskDescription):
    """A segmenter of CamVid's eleven classes, from an architecture of segmentation-models-pytorch with random weights.

    The cross-entropy of class c is weighted by share_c^-balance, where share_c is its share of the labelled pixels in the
    packs (as often as `data.times` shows them), scaled so that a labelled pixel has a mean weight of 1.

    References: Long, Shelhamer, Darrell 2015, networks for semantic segmentation; Yun et al. 2019, CutMix (`pasted`); the architectures' papers are named in
    segmentation-models-pytorch.

    Example::

        task: {kind: segmenter, architecture: FPN, encoder: resnet18, depth: 4, balance: 0.5}
    """

    kind: Literal["segmenter"] = "segmenter"
    architecture: Architecture = Field("Unet", description="class of segmentation-models-pytorch")
    encoder: str = Field("resnet18", description="its encoder_name, such as resnet18, or tu-NAME with a name of timm")
    depth: int = Field(5, ge=1, le=5, description="its encoder_depth: how often the encoder halves the resolution")
    options: dict[str, Any] = Field({}, description="further arguments of that class, such as {decoder_channels: [64, 32, 16]}")
    mirrored: bool = Field(False, description="what ships averages over the picture and its mirror image; training does not")
    upsampled: float = Field(1.0, gt=0.0, description="the network sees pictures enlarged by this factor, in training as later")
    placed: bool = Field(False, description="a fourth plane tells the network how high in the picture a pixel lies")
    pasted: float = Field(
        0.0, ge=0.0, le=1.0, description="share of pictures with a rectangle of the next one of the batch, of up to half its sides"
    )
    losses: Losses = Field(Losses(), description="what the scores are judged by")
    balance: float = Field(0.5, ge=0.0, le=1.0, description="exponent of the inverse share of a class, its weight; 0 weighs all alike")
    weights: tuple[Annotated[float, Field(ge=0.0)], ...] | None = Field(
        None, description="weights of the eleven classes in the cross-entropy, instead of those that balance gives"
    )
    smoothing: float = Field(0.0, ge=0.0, lt=1.0, description="share of the target that all classes get alike in the cross-entropy")

    @model_validator(mode="after")
    def _a_weight_for_each_class(self) -> SegmenterTask:
        if self.weights is not None and (len(self.weights) != len(NAMES) or not any(self.weights)):
            raise ValueError(f"weights is {list(self.weights)}; expected {len(NAMES)} numbers, not all 0, one for each of {', '.join(NAMES)}")
        return self

    def build(self) -> Training:
        return Training(self, self.weights or (1.0,) * len(NAMES))

    def prepared(self, data: Steps) -> Training:
        if data.classes != (*NAMES, "void"):
            said = ", ".join(data.classes) or "no classes"
            raise DataError(f"the packs label {said}; a segmenter is trained on packs of {', '.join(NAMES)}, void")
        return Training(self, self.weights or class_weights(shares(data), self.balance))

    def smoke(self) -> SegmenterTask:
        # what a recipe must show is that the library builds its very network; three steps of it take seconds. Toy pictures are
        # enlarged to 128x256, because some architectures (PAN) halve theirs seven times
        return self.model_copy(update={"upsampled": max(self.upsampled, 4.0)})


class Training:
    """The prepared task."""

    def __init__(self, task: SegmenterTask, weights: tuple[float, ...]):
        self.task, self.weights = task, weights

    def networks(self) -> Mapping[str, nn.Module]:
        task = self.task
        how = dict(mirrored=task.mirrored, upsampled=task.upsampled, placed=task.placed)
        return {"segmenter": Segmenter(task.architecture, task.encoder, task.depth, task.options, **how)}

    def active(self, name: str, step: int, steps: int) -> bool:
        return True

    def losses(
        self, name: str, networks: Mapping[str, nn.Module], batch: Batch, draws: Draws, turn: Turn
    ) -> Mapping[str, Tensor]:
        batch = pasted(batch, draws, self.task.pasted) if self.task.pasted else batch
        # dropout draws from torch's global generator
        with seeded(draws.seed, "train", "dropout", draws.step, *draws.rows):
            scores = networks["segmenter"](batch.pixels).float()
        truth = torch.where(batch.labels < len(NAMES), batch.labels, IGNORED)
        return {key: term for key, term in self._terms(scores, truth)}

    def _terms(self, scores: Tensor, truth: Tensor):
        how = self.task.losses
        if how.cross_entropy:
            yield "cross_entropy", how.cross_entropy * cross_entropy(scores, truth, self.weights, self.task.smoothing)
        if how.dice:
            from segmentation_models_pytorch.losses import DiceLoss

            yield "dice", how.dice * DiceLoss("multiclass", ignore_index=IGNORED)(scores, truth)
        if how.lovasz:
            from segmentation_models_pytorch.losses import LovaszLoss

            # the library gives a tensor of zeros where nothing is labelled
            yield "lovasz", how.lovasz * LovaszLoss("multiclass", ignore_index=IGNORED)(scores, truth).sum()

    def samples(self, network: nn.Module, batch: Batch) -> np.ndarray:
        """Rows: the picture, its labels, what the network says, in CamVid's colours; columns: pictures."""
        colours = torch.tensor(COLOURS, dtype=torch.uint8, device=batch.pixels.device)
        pictures = (batch.pixels * 255.0).round().byte().permute(0, 2, 3, 1)
        truth, found = batch.labels.clamp(max=len(NAMES)), network.labels(batch.pixels)
        rows = [torch.cat(list(row), dim=1) for row in (pictures, colours[truth], colours[found])]
        return torch.cat(rows, dim=0).cpu().numpy()

    def save(self, network: nn.Module, folder: Path, precision: str) -> Path:
        return storage.save_network(network, folder, precision)

    def about(self, network: nn.Module) -> Mapping[str, Any]:
        task = self.task
        parameters = sum(value.numel() for value in network.parameters())
        what = f"segmenter of {len(NAMES)} classes, {task.architecture} with encoder {task.encoder} of depth {task.depth}"
        extras = [f"{parameters / 1e6:.2f} million weights, trained from random ones"]
        extras += ["averaged over the picture and its mirror image"] if task.mirrored else []
        extras += [f"pictures enlarged {task.upsampled:g} times"] if task.upsampled != 1.0 else []
        weights = {label: round(weight, 4) for label, weight in zip(NAMES, self.weights, strict=True)}
        return {
            "what": "; ".join([what, *extras]),
            "losses": task.losses.named(),
            "classes": list(NAMES),
            "class_weights": weights,
            "packages": ["segmentation-models-pytorch"],
        }


def pasted(batch: Batch, draws: Draws, share: float) -> Batch:
    """The batch with a rectangle of the next picture, where it lay there, in a ``share`` of the pictures; labels alike."""
    height, width = batch.pixels.shape[2:]
    sides = [draws.uniform(f"pasted {name}", 0.2, 0.5) for name in ("height", "width")]
    starts = [draws.uniform(f"pasted {name}") * (1.0 - side) for name, side in zip(("top", "left"), sides, strict=True)]
    rows, columns = (
        _within(torch.arange(count, device=batch.pixels.device) / count, start, side)
        for count, start, side in zip((height, width), starts, sides, strict=True)
    )
    inside = rows[:, :, None] & columns[:, None, :] & (draws.uniform("pasted") < share)[:, None, None]
    pixels = torch.where(inside[:, None], batch.pixels.roll(-1, 0), batch.pixels)
    return Batch(pixels, torch.where(inside, batch.labels.roll(-1, 0), batch.labels))


def _within(places: Tensor, start: Tensor, side: Tensor) -> Tensor:
    """bool [B, n]: which of ``places`` [n] lie in [start, start + side), each [B]."""
    return (places >= start[:, None]) & (places < (start + side)[:, None])


def cross_entropy(scores: Tensor, truth: Tensor, weights: tuple[float, ...], smoothing: float = 0.0) -> Tensor:
    """Of scores [B, C, H, W] and classes int64 [B, H, W] or IGNORED: the weighted sum over the number of labelled pixels."""
    total = functional.cross_entropy(
        scores, truth, scores.new_tensor(weights), ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing
    )
    return total / (truth != IGNORED).sum().clamp(min=1)


def shares(data: Steps) -> np.ndarray:
    """Each class's share of the labelled pixels that an epoch shows, float64 [11]; whole pictures, not crops."""
    counts = np.zeros(len(NAMES))
    for pack, index in data.places:
        if (labels := pack.labels(index)) is not None:
            counts += np.bincount(labels.ravel(), minlength=len(NAMES))[: len(NAMES)]
    if not counts.any():
        raise DataError("the packs hold no labelled pixel; a segmenter needs some")
    return counts / counts.sum()


def class_weights(shares: np.ndarray, balance: float) -> tuple[float, ...]:
    """share^-balance, scaled to a mean of 1 over labelled pixels; a class that never occurs gets 1.

    >>> [round(weight, 3) for weight in class_weights(np.array([0.9, 0.1, 0.0]), 0.5)]
    [0.833, 2.5, 1.0]
    """
    raw = np.where(shares > 0.0, np.maximum(shares, np.finfo(float).tiny) ** -balance, 0.0)
    scaled = raw / (shares * raw).sum()
    return tuple(np.where(shares > 0.0, scaled, 1.0).tolist())
