"""Alamouti's code: two symbols over two antennas and two uses, each heard over all paths."""

from __future__ import annotations

import math

import lazy_loader as lazy

torch = lazy.load("torch")


def encode(x: torch.Tensor) -> torch.Tensor:
    """What two antennas send, complex [B, n, 2], of symbols x complex [B, n], n even; half the power each.

    Uses 2i and 2i+1 carry x1 = x[2i] and x2 = x[2i+1]: antenna 1 sends x1 and -x2*, antenna 2 sends x2 and x1*,
    times sqrt(1/2). References: Alamouti 1998, table I.
    """
    if x.shape[1] % 2:
        raise ValueError(f"{x.shape[1]} symbols; Alamouti's code takes them in pairs")
    first, second = x[:, 0::2], x[:, 1::2]
    slots = torch.stack([torch.stack([first, second], -1), torch.stack([-second.conj(), first.conj()], -1)], dim=2)
    return slots.flatten(1, 2) * math.sqrt(0.5)


def effective_channel(h: torch.Tensor) -> torch.Tensor:
    """The channel from a pair (x1, x2) to (y[2i], y[2i+1]*), complex [..., n/2, 2 Nr, 2], of h complex [..., n, Nr, 2].

    Where h holds over the pair its columns are orthogonal, of squared length |h|^2 / 2 over all paths: a linear detector
    then is maximum ratio combining. Where h moves within the pair it separates what has begun to mix.
    """
    if h.shape[-1] != 2:
        raise ValueError(f"channels of {h.shape[-1]} transmit antennas; Alamouti's code has 2")
    now, later = h[..., 0::2, :, :], h[..., 1::2, :, :].conj()
    swapped = torch.stack([later[..., 1], -later[..., 0]], dim=-1)
    return torch.cat([now, swapped], dim=-2) * math.sqrt(0.5)


def pair_up(y: torch.Tensor) -> torch.Tensor:
    """(y[2i], y[2i+1]*) over all antennas, complex [..., n/2, 2 Nr], of y complex [..., n, Nr]."""
    return torch.cat([y[..., 0::2, :], y[..., 1::2, :].conj()], dim=-1)
