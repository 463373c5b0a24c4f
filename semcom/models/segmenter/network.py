"""The segmenter's network: an architecture of segmentation-models-pytorch, untrained, between pixels and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional

from semcom.errors import WeightsError, allowed
from semcom.models.segmenter.classes import NAMES

#: mean and deviation of ImageNet's pixels in [0, 1], which the library's encoders are made for
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Segmenter(ModelMixin, ConfigMixin):
    """Pixels to the class of each.

    ``architecture``, ``encoder``, ``depth`` and ``options`` are the class, encoder_name, encoder_depth and further arguments
    of segmentation-models-pytorch. ``mirrored``: probabilities are averaged over the picture and its mirror image.
    ``upsampled``: the network sees the picture enlarged by this factor, and its scores are brought back. ``heights``: what is
    added to the scores of each class from the top of the picture to its bottom, [11] rows of as many numbers
    (`semcom weights heights`). ``placed``: a fourth plane tells the network how high in the picture a pixel lies, from -1 at
    the top to 1 at the bottom (Liu et al. 2018, CoordConv).

    Shapes: pixels float32 [B, 3, H, W] in [0, 1], any H and W; probabilities float32 [B, 11, H, W] in the order of
    `semcom.models.segmenter.NAMES`. Sides that the encoder cannot halve often enough are continued by their last pixels.
    """

    @register_to_config
    def __init__(
        self,
        architecture: str = "Unet",
        encoder: str = "resnet18",
        depth: int = 5,
        options: dict[str, Any] | None = None,
        mirrored: bool = False,
        upsampled: float = 1.0,
        heights: list[list[float]] | None = None,
        placed: bool = False,
    ):
        super().__init__()
        self.net = library_network(architecture, encoder, depth, {**(options or {}), **({"in_channels": 4} if placed else {})})
        self.multiple = int(self.net.encoder.output_stride)
        for name, values in (("mean", MEAN), ("deviation", DEVIATION)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        table = None if heights is None else torch.tensor(heights)[None, :, :, None]
        self.register_buffer("by_height", table, persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Scores before the softmax, [B, 11, H, W]."""
        if pixels.ndim != 4 or pixels.shape[1] != 3:
            raise ValueError(f"pixels of shape {list(pixels.shape)} were given; expected [B, 3, H, W]")
        size, factor = pixels.shape[2:], self.config.upsampled
        if factor != 1.0:
            pixels = _resized(pixels, [round(side * factor) for side in size])
        seen = self._continued(self._placed((pixels - self.mean) / self.deviation))
        scores = self.net(seen)
        if scores.shape[2:] != seen.shape[2:]:
            scores = _resized(scores, seen.shape[2:])
        scores = scores[:, :, : pixels.shape[2], : pixels.shape[3]]
        scores = scores if factor == 1.0 else _resized(scores, size)
        return scores if self.by_height is None else scores + _resized(self.by_height, (size[0], 1))

    def probabilities(self, pixels: torch.Tensor) -> torch.Tensor:
        """float32 [B, 11, H, W]; they sum to 1."""
        found = self(pixels).float().softmax(dim=1)
        if self.config.mirrored:
            found = (found + self(pixels.flip(3)).float().softmax(dim=1).flip(3)) / 2.0
        return found

    def labels(self, pixels: torch.Tensor) -> torch.Tensor:
        """The most probable class of each pixel, int64 [B, H, W]."""
        return self.probabilities(pixels).argmax(dim=1)

    def _placed(self, pixels: torch.Tensor) -> torch.Tensor:
        if not self.config.placed:
            return pixels
        rows = torch.linspace(-1.0, 1.0, pixels.shape[2], dtype=pixels.dtype, device=pixels.device)
        return torch.cat([pixels, rows[:, None].expand(len(pixels), 1, *pixels.shape[2:])], dim=1)

    def _continued(self, pixels: torch.Tensor) -> torch.Tensor:
        bottom, right = (-side % self.multiple for side in pixels.shape[2:])
        return functional.pad(pixels, (0, right, 0, bottom), mode="replicate") if bottom or right else pixels


def library_network(architecture: str, encoder: str, depth: int, options: Mapping[str, Any]) -> nn.Module:
    """An untrained network of the library for our classes. Raises: WeightsError with what is allowed."""
    try:
        import segmentation_models_pytorch as library
    except ImportError as error:
        raise WeightsError(
            f"segmenters need the package segmentation-models-pytorch, which cannot be imported ({error}); "
            "pip install segmentation-models-pytorch"
        ) from error
    known = {made.__name__: made for made in library.MODEL_ARCHITECTURES_MAPPING.values()}
    if architecture not in known:
        raise WeightsError(f"segmentation-models-pytorch has no architecture '{architecture}'; {allowed(architecture, known)}")
    encoders = library.encoders.get_encoder_names()
    if encoder not in encoders and not encoder.startswith("tu-"):
        raise WeightsError(
            f"segmentation-models-pytorch has no encoder '{encoder}'; {allowed(encoder, encoders)} (or tu-NAME with a name of timm)"
        )
    given = {"encoder_name": encoder, "encoder_depth": depth, "encoder_weights": None, "classes": len(NAMES), **options}
    try:
        net = known[architecture](**given)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"segmentation-models-pytorch builds no {architecture} with encoder {encoder} of depth {depth} and options "
            f"{dict(options)} ({reason}); change one of them"
        ) from error
    _without_idle(net, given.get("in_channels", 3))
    return net


def _without_idle(net: nn.Module, planes: int) -> None:
    """Leave out the stages of the encoder that its depth does not reach: they would be trained, kept and shipped for nothing."""
    ran: set[nn.Module] = set()
    hooks = [module.register_forward_hook(lambda module, *_: ran.add(module)) for module in net.encoder.modules()]
    training = net.training
    with torch.no_grad():
        net.encoder.eval()(torch.zeros(1, planes, 64, 64))
    net.train(training)
    for hook in hooks:
        hook.remove()
    for name, child in list(net.encoder.named_children()):
        if not any(module in ran for module in child.modules()):
            setattr(net.encoder, name, nn.Identity())


def _resized(planes: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    return functional.interpolate(planes, tuple(size), mode="bilinear", align_corners=False)
