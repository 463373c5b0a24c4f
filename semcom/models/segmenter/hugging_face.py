"""Hugging Face's networks for semantic segmentation in the place of a segmenter of ours, such as SegFormer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from semcom.errors import WeightsError
from semcom.models import storage
from semcom.models.segmenter.classes import NAMES, OURS
from semcom.models.segmenter.network import DEVIATION, MEAN

#: what such a folder says of the pictures that its network was trained on
PREPROCESSOR = "preprocessor_config.json"
#: smaller pictures are enlarged to this short side: SegFormer learned from crops of 512 (ADE20K) and 1024 (Cityscapes)
SHORT_SIDE = 512


class HuggingFaceSegmenter(nn.Module):
    """A network with other classes, read as ours: the probabilities of its classes that mean the same of ours are added,
    and what means none of ours is left out.

    Shapes: pixels float32 [B, 3, H, W] in [0, 1]; probabilities float32 [B, 11, H, W].
    References: Xie et al. 2021, SegFormer.
    """

    def __init__(self, net: nn.Module, labels: Sequence[str], mean: Sequence[float] = MEAN, deviation: Sequence[float] = DEVIATION):
        super().__init__()
        self.net = net
        meaning = [(theirs, OURS[said]) for theirs, label in enumerate(labels) if (said := plain(label)) in OURS]
        if len({ours for _, ours in meaning}) < 2:
            shown = ", ".join(labels[:5])
            raise WeightsError(f"of the {len(labels)} classes ({shown}, ...) fewer than two mean one of ours: {', '.join(NAMES)}")
        self.register_buffer("theirs", torch.tensor([theirs for theirs, _ in meaning]), persistent=False)
        joined = functional.one_hot(torch.tensor([ours for _, ours in meaning]), len(NAMES)).T.float()
        self.register_buffer("joined", joined, persistent=False)
        for name, values in (("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32)[:, None, None], persistent=False)

    def probabilities(self, pixels: torch.Tensor) -> torch.Tensor:
        """float32 [B, 11, H, W]; they sum to 1."""
        size = pixels.shape[2:]
        factor = max(1.0, SHORT_SIDE / min(size))
        seen = pixels
        if factor > 1.0:
            seen = functional.interpolate(pixels, tuple(round(side * factor) for side in size), mode="bilinear", align_corners=False)
        scores = self.net(pixel_values=(seen - self.mean) / self.deviation).logits[:, self.theirs].float()
        scores = functional.interpolate(scores, tuple(size), mode="bilinear", align_corners=False)
        return torch.einsum("ot,bthw->bohw", self.joined, scores.softmax(dim=1))

    def labels(self, pixels: torch.Tensor) -> torch.Tensor:
        """The most probable class of each pixel, int64 [B, H, W]."""
        return self.probabilities(pixels).argmax(dim=1)


def plain(label: str) -> str:
    """A class's name as the table writes it.

    >>> plain("Bed "), plain("traffic_light")
    ('bed', 'traffic light')
    """
    return label.strip().lower().replace("_", " ")


def load(folder: Path) -> HuggingFaceSegmenter:
    """The network of a folder that transformers' save_pretrained wrote, in float32. Raises: WeightsError."""
    try:
        from transformers import AutoModelForSemanticSegmentation
    except ImportError as error:
        raise WeightsError(
            f"'{folder}' holds a network of Hugging Face's, which needs the package transformers ({error}); pip install 'semcom[hub]'"
        ) from error
    storage.weights_file(folder)
    try:
        with torch.random.fork_rng(devices=[]):  # a new network draws weights, which are then replaced
            net, found = AutoModelForSemanticSegmentation.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True, dtype=torch.float32
            )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"'{folder}' holds no network for semantic segmentation that transformers can load: {reason}") from error
    if missing := sorted(map(str, [*found["missing_keys"], *found["mismatched_keys"]])):
        raise WeightsError(f"the weights in '{folder}' leave out {missing[0]} and {len(missing) - 1} others; get them again")
    names = net.config.id2label
    return HuggingFaceSegmenter(net, [names[index] for index in range(len(names))], *_colours(folder)).eval().requires_grad_(False)


def _colours(folder: Path) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and deviation that pictures are brought to 0 and 1 with."""
    path = folder / PREPROCESSOR
    said = storage.read_json(path) if path.is_file() else {}
    return said.get("image_mean", MEAN), said.get("image_std", DEVIATION)
