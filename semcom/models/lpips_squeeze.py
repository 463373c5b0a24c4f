"""LPIPS over SqueezeNet as a training loss: the same distance as the lpips package's, on torch alone.

The package cannot be a part of training (it imports scipy and torchvision), and its gradient is not a number
where all features of a place are zero.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from semcom.errors import WeightsError

FOLDER = "SEMCOM_WEIGHTS"
BACKBONE = ("lpips/squeeze.backbone.pth", "squeeze.backbone.pth", "squeezenet1_1-b8a52dc0.pth")
LINEAR = ("lpips/squeeze_lin_v0.1.pth", "squeeze_lin_v0.1.pth")
#: of the features' modules, those after which the distance is taken, and their channels
TAPS = {1: 64, 4: 128, 7: 256, 9: 384, 10: 384, 11: 512, 12: 512}
#: ImageNet's mean and deviation, for pixels in [-1, 1]
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
#: below any feature that matters, above what a square root's gradient cannot take
TINY = 1e-20


class Fire(nn.Module):
    """Squeeze by 1x1, expand by 1x1 and 3x3 side by side (Iandola et al. 2016)."""

    def __init__(self, inside: int, squeeze: int, expand: int):
        super().__init__()
        self.squeeze = nn.Conv2d(inside, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], dim=1)


def features() -> nn.Sequential:
    """SqueezeNet 1.1's features, with the names and numbers of torchvision's."""
    pool = lambda: nn.MaxPool2d(3, stride=2, ceil_mode=True)  # noqa: E731
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), pool(),
        Fire(64, 16, 64), Fire(128, 16, 64), pool(),
        Fire(128, 32, 128), Fire(256, 32, 128), pool(),
        Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
    )  # fmt: skip


class LPIPSSqueeze(nn.Module):
    """Distance [B] of two batches of pixels [B, 3, H, W] in [0, 1]; frozen, with gradients to the pixels.

    References: Zhang, Isola, Efros, Shechtman, Wang 2018, eq. 1; linear weights of version 0.1.
    """

    def __init__(self, backbone: Mapping[str, torch.Tensor], linear: Mapping[str, torch.Tensor]):
        super().__init__()
        self.features = features()
        self.features.load_state_dict({k.removeprefix("features."): v for k, v in backbone.items() if "classifier" not in k})
        for number, channels in enumerate(TAPS.values()):
            self.register_buffer(f"weight{number}", linear[f"lin{number}.model.1.weight"].float().view(1, channels, 1, 1))
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    def forward(self, original: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and original.requires_grad):
            there = self.seen(original)
        return self.between(there, self.seen(other))

    def seen(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """What `between` compares: directions of the features [B, h, w, C] at each tap; channels last, which CPUs go through
        twice as fast."""
        found, x = [], ((pixels * 2.0 - 1.0 - self.shift) / self.scale).contiguous(memory_format=torch.channels_last)
        for place, layer in enumerate(self.features):
            x = layer(x)
            if place in TAPS:
                found.append(_directions(x.float().permute(0, 2, 3, 1)))
        return found

    def between(self, original: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> torch.Tensor:
        """The distance [B] of pictures that were `seen`."""
        total = 0.0
        for number, (a, b) in enumerate(zip(original, other, strict=True)):
            total = total + ((a - b).square().mean(dim=(1, 2)) * getattr(self, f"weight{number}").flatten()).sum(1)
        return total


def load() -> LPIPSSqueeze:
    """The standard distance. Raises: WeightsError with what is missing and where to put it."""
    made = LPIPSSqueeze(_read(BACKBONE, "SqueezeNet's ImageNet weights"), _read(LINEAR, "LPIPS's linear weights", _of_package()))
    return made.to(memory_format=torch.channels_last)


def _directions(x: torch.Tensor) -> torch.Tensor:
    return x * (x.square().sum(-1, keepdim=True) + TINY).rsqrt()


def _of_package() -> list[Path]:
    """The linear weights lie inside the lpips package, which need not be imported for that."""
    spec = importlib.util.find_spec("lpips")
    places = (spec.submodule_search_locations if spec else None) or []
    return [Path(place) / "weights" / "v0.1" / "squeeze.pth" for place in places]


def _read(names: tuple[str, ...], what: str, more: list[Path] | tuple[()] = ()) -> Mapping[str, torch.Tensor]:
    named = os.environ.get(FOLDER)
    candidates = [*(Path(named).expanduser() / name for name in names if named), *more]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        where = f"'{named}', which {FOLDER} names, holds no {names[-1]}" if named else f"{FOLDER} names no folder"
        raise WeightsError(
            f"the loss lpips_squeeze needs {what}, and {where}; put {' or '.join(names)} into a folder, set {FOLDER} to it, "
            "or set task.losses.lpips_squeeze to 0"
        )
    return torch.load(path, map_location="cpu", weights_only=True)
