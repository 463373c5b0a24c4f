"""Levels at which a sampler stops on its way from what arrived to clean data."""

from __future__ import annotations

import math

import lazy_loader as lazy

torch = lazy.load("torch")

#: levels above it are as good as none: an element there starts from noise alone
SIGMA_MAX = 40.0
#: the last level before 0
SIGMA_MIN = 0.03
#: how much closer levels lie near the end than in proportion (Karras et al. 2022, eq. 5: rho = 7)
RHO = 7.0


def times(start: torch.Tensor, count: int, least: float = SIGMA_MIN, rho: float = RHO) -> torch.Tensor:
    """Levels float64 [count + 1, B] from ``start`` float [B] to 0, one evaluation at each but the last.

    t_k = (a + k / (count - 1) (b - a))^rho with a = start^(1/rho), b = least^(1/rho): Karras et al. 2022, eq. 5. Where
    ``start`` is inf the first level is inf and the second `SIGMA_MAX`: from nothing at all to noise is a step of its own.
    A start below ``least`` gets levels that halve.

    >>> times(torch.tensor([1.0]), 3)[:, 0].tolist()[::3], times(torch.tensor([math.inf]), 3)[:2, 0].tolist()
    ([1.0, 0.0], [inf, 40.0])
    """
    start = start.double().cpu()
    unknown = start.isinf()
    rows = [_levels(min(value, SIGMA_MAX), count - int(lost), least, rho) for value, lost in zip(start.tolist(), unknown.tolist(), strict=True)]
    return torch.tensor([[math.inf] * (count + 1 - len(row)) + row for row in rows], dtype=torch.float64).T


def _levels(start: float, count: int, least: float, rho: float) -> list[float]:
    """``count`` levels from ``start``, then 0."""
    if count < 2:
        return [start] * count + [0.0]
    end = min(least, start / 2.0 ** (count - 1)) if start <= least else least
    a, b = start ** (1.0 / rho), end ** (1.0 / rho)
    return [(a + k / (count - 1) * (b - a)) ** rho for k in range(count)] + [0.0]


def start_of(sigma: torch.Tensor, most: float = SIGMA_MAX) -> torch.Tensor:
    """The level float [B] at which each row starts: its largest, inf where that is ``most`` or more."""
    largest = sigma.flatten(1).amax(1)
    return torch.where(largest >= most, torch.inf, largest)
