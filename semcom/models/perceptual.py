"""A perceptual distance of our own: the LPIPS construction on the features of an autoencoder's encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from semcom.errors import WeightsError
from semcom.models.autoencoder import Autoencoder

#: residual blocks of AutoencoderTiny and AutoencoderKL
BLOCKS = ("AutoencoderTinyBlock", "ResnetBlock2D")
#: of the block autoencoder, features at a quarter and at an eighth of the resolution. Its residual blocks come after a
#: linear map of whole blocks and see no detail: their distances rank distortions worse (0.73 against 0.91, Spearman with
#: LPIPS-Squeeze, early in training)
STEMS = ("stem", "down")
#: below any feature that matters, above what a square root's gradient cannot take
TINY = 1e-20


class EncoderDistance(nn.Module):
    """Distance [B] of two batches of pixels [B, 3, H, W] in [0, 1]; frozen.

    Features after each residual block of the encoder (`taps`), scaled to unit length over the channels at each place; their
    squared differences, summed over channels, averaged over the picture, and over the layers with ``weights``
    (uniform if empty; they are divided by their sum). The smaller, the more alike; 0 for identical pictures.

    References: Zhang, Isola, Efros, Shechtman, Wang 2018, eq. 1.
    """

    def __init__(self, autoencoder: Autoencoder, weights: Sequence[float] = ()):
        super().__init__()
        self.autoencoder = autoencoder
        self._taps = taps(autoencoder.net)
        if weights and len(weights) != len(self._taps):
            raise WeightsError(
                f"lpips_semcom has {len(weights)} weights for {len(self._taps)} layers of the encoder; fit them to this one"
            )
        chosen = torch.tensor(list(weights) or [1.0] * len(self._taps))
        self.register_buffer("weights", chosen / chosen.sum())
        self.eval().requires_grad_(False)

    def forward(self, original: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return self.layers(original, other) @ self.weights

    def layers(self, original: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """The distance at each layer, [B, layers]."""
        found: list[torch.Tensor] = []
        hooks = [tap.register_forward_hook(lambda module, given, made: found.append(made)) for tap in self._taps]
        try:
            self.autoencoder.encode(torch.cat([original, other]))
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack([_difference(*_directions(x.float()).chunk(2)) for x in found], dim=1)


def taps(net: nn.Module) -> list[nn.Module]:
    """The modules after which features are compared: an encoder's residual blocks, or its convolutions of pixels."""
    blocks = [module for name, module in net.encoder.named_modules() if type(module).__name__ in BLOCKS or name in STEMS]
    if not blocks:
        raise WeightsError(f"the encoder of a {type(net).__name__} has no blocks to take features from")
    return blocks


def _difference(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a - b).square().sum(1).mean(dim=(1, 2))


def _directions(x: torch.Tensor) -> torch.Tensor:
    return x / (x.square().sum(1, keepdim=True) + TINY).sqrt()
