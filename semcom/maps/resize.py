"""Label maps, and what is known pixel by pixel, at other sizes: nearest, as `semcom.codecs.label_map.resize` does it."""

from __future__ import annotations

import lazy_loader as lazy

torch = lazy.load("torch")


def resize(values: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Values [..., H, W] from values [..., h, w], each the one under the target pixel's centre; on their device."""
    if tuple(values.shape[-2:]) == tuple(size):
        return values
    rows, columns = (_places(n, m, values.device) for n, m in zip(values.shape[-2:], size, strict=True))
    return values[..., rows[:, None], columns]


def _places(given: int, wanted: int, device: torch.device) -> torch.Tensor:
    """floor((i + 1/2) given / wanted) in whole numbers."""
    return (2 * torch.arange(wanted, device=device) + 1) * given // (2 * wanted)
