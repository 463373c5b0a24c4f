"""Levels at which a sampler stops on its way from what arrived to clean data."""

from __future__ import annotations

import math

import lazy_loader as lazy

torch = lazy.load("torch")

#: levels above it are as good as none: an element there starts from noise alone
SIGMA_MAX = 40.0
#: the last level before 0
SIGMA_MIN = 0.03
#: no level before 0 is above this one, however few there are
LAST = 0.5
#: how much closer levels lie near the end than in proportion (Karras et al. 2022, eq. 5: rho = 7)
RHO = 7.0


def times(start: torch.Tensor, count: int, least: float = SIGMA_MIN, rho: float = RHO) -> torch.Tensor:
    """Levels float64 [count + 1, B] from ``start`` float [B] to 0, one evaluation at each but the last.

    t_k = (a + k / (count - 1) (b - a))^rho with a = start^(1/rho), b = last^(1/rho): Karras et al. 2022, eq. 5. The last level
    is ``least``, or that to which ``count`` levels lead that halve: what is left below is the last evaluation's to tell, and
    a few evaluations that come down slowly make sharper pictures than a big step and one evaluation of what is clean already
    (docs/receivers.md). Where ``start`` is inf the first level is inf and the second `SIGMA_MAX`: from nothing at all to noise
    is a step of its own.

    >>> times(torch.tensor([1.0]), 3)[::3, 0].tolist(), times(torch.tensor([math.inf]), 3)[:2, 0].round(decimals=9).tolist()
    ([1.0, 0.0], [inf, 40.0])
    """
    start = start.double().cpu()
    unknown = start.isinf()
    rows = []
    for value, lost in zip(start.tolist(), unknown.tolist(), strict=True):
        value, number = min(value, SIGMA_MAX), count - int(lost)
        rows.append(_levels(value, number, least if lost else _last(value, number, least), rho))
    return torch.tensor([[math.inf] * (count + 1 - len(row)) + row for row in rows], dtype=torch.float64).T


def _last(start: float, count: int, least: float) -> float:
    """The last level before 0: ``count`` levels halve on the way to it, where that does not lead below ``least``."""
    halved = start / 2.0 ** (count - 1) if count > 0 else start
    return halved if start <= least else min(max(halved, least), LAST)


def _levels(start: float, count: int, last: float, rho: float) -> list[float]:
    """``count`` levels from ``start`` to ``last``, then 0."""
    if count < 2:
        return [start] * count + [0.0]
    a, b = start ** (1.0 / rho), last ** (1.0 / rho)
    return [(a + k / (count - 1) * (b - a)) ** rho for k in range(count)] + [0.0]


def start_of(sigma: torch.Tensor, most: float = SIGMA_MAX) -> torch.Tensor:
    """The level float [B] at which each row starts: its largest, inf where that is ``most`` or more."""
    largest = sigma.flatten(1).amax(1)
    return torch.where(largest >= most, torch.inf, largest)
