"""From noisy data with a noise level of its own for each element to clean data: solvers as pure functions.

A denoiser D(x, sigma) is the mean of clean data given noisy ones; ``sigma`` is a map over elements, 0 to inf. At time t
element i has the level s_i(t) = min(sigma_i, t): what arrived well waits until the rest has come down to its level. A
solver goes through the levels of ``times`` [N + 1, B] (`semcom.diffusion.steps.times`), a row of its own for each example,
so that no example depends on its neighbours in a batch. Where s_i = inf nothing is known of element i, x_i is not looked at, and the step from there to a
level s' is exact: D_i + s' n with fresh noise n, whatever the solver.

The deterministic solvers integrate dx_i / ds_i = (x_i - D_i(x, s)) / s_i (Karras et al. 2022, eq. 1 with sigma(t) = t).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import lazy_loader as lazy

if TYPE_CHECKING:
    from torch import Tensor

torch = lazy.load("torch")

#: (x, sigma) -> the mean of clean data, all of the same shape
Denoise = Callable[["Tensor", "Tensor"], "Tensor"]
#: fresh noise of unit variance, of the data's shape: one draw a call
Fresh = Callable[[], "Tensor"]


def euler(denoise: Denoise, x: Tensor, sigma: Tensor, times: Tensor, fresh: Fresh) -> Tensor:
    """First order, one evaluation a step. One step from the given levels to 0 is the denoiser's estimate itself."""
    for s, less in _steps(sigma, times):
        x = _towards(x, denoise(x, s), s, less, fresh)
    return x


def heun(denoise: Denoise, x: Tensor, sigma: Tensor, times: Tensor, fresh: Fresh) -> Tensor:
    """Second order, two evaluations a step but for those from inf and to 0 (Karras et al. 2022, algorithm 1)."""
    for s, less in _steps(sigma, times):
        estimate = denoise(x, s)
        ahead = _towards(x, estimate, s, less, fresh)
        between = s.isfinite() & (less < s) & (less > 0)
        if bool(between.any()):
            there, here = ((value - clean) / level.clamp(min=_tiny(level)) for value, clean, level in (
                (ahead, denoise(ahead, less), less), (x, estimate, s)))  # fmt: skip
            ahead = torch.where(between, x + (less - s) * (here + there) / 2.0, ahead)
        x = ahead
    return x


def multistep(denoise: Denoise, x: Tensor, sigma: Tensor, times: Tensor, fresh: Fresh) -> Tensor:
    """Second order, one evaluation a step: D is extrapolated in log t from the last two evaluations.

    DPM-Solver++(2M) (Lu et al. 2022, algorithm 2) where all elements move; one that waits for a part of the step takes D
    from the middle of its own part. First order in the step from inf, the next one, and the one to 0.
    """
    before = None
    for k, (s, less) in enumerate(_steps(sigma, times)):
        estimate = ahead = denoise(x, s)
        if before is not None:
            log_then, log_now = (times[place].to(x)[_as(x)].log() for place in (k - 1, k))
            middle = log_now - (s.log() + less.log()) / 2.0
            usable = (log_then > log_now) & log_then.isfinite() & (less > 0) & (less < s)
            share = torch.where(usable, middle / torch.where(usable, log_then - log_now, 1.0), 0.0)
            ahead = estimate + share * (estimate - before)
        x, before = _towards(x, ahead, s, less, fresh), estimate
    return x


def ancestral(denoise: Denoise, x: Tensor, sigma: Tensor, times: Tensor, fresh: Fresh) -> Tensor:
    """The reverse stochastic process: a sample of what clean data may have been, another with every noise.

    x' = D + (s'/s)^2 (x - D) + s' sqrt(1 - (s'/s)^2) n: the distribution of less noisy data given x and D (Ho, Jain, Abbeel
    2020, eq. 7, where noise adds up; Song et al. 2021, appendix F). As steps get finer, samples are those of the posterior.
    """
    for s, less in _steps(sigma, times):
        estimate, noise = denoise(x, s), fresh()
        square = (less / s.clamp(min=_tiny(s))).square()
        kept = torch.where(s.isinf(), 0.0, x - estimate)
        moved = estimate + square * kept + less * (1.0 - square).clamp(min=0.0).sqrt() * noise
        x = torch.where(less < s, moved, x)
    return x


SOLVERS = {"euler": euler, "heun": heun, "multistep": multistep, "ancestral": ancestral}


def guided(with_map: Denoise, without: Denoise, strength: float) -> Denoise:
    """D = without + strength (with - without): 1 is the map as it is, more insists on it (Ho, Salimans 2022, eq. 6)."""
    if strength == 1.0:
        return with_map
    if strength == 0.0:
        return without

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        plain = without(x, sigma)
        return plain + strength * (with_map(x, sigma) - plain)

    return denoise


def _steps(sigma: Tensor, times: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The levels of all elements before and after each step."""
    for now, then in pairwise(times):
        yield tuple(torch.minimum(sigma, t.to(sigma)[_as(sigma)]) for t in (now, then))


def _towards(x: Tensor, estimate: Tensor, s: Tensor, less: Tensor, fresh: Fresh) -> Tensor:
    """x' = D + (s'/s) (x - D); from inf D + s' n. An element that waits stays as it is."""
    moved = estimate + less / s.clamp(min=_tiny(s)) * (x - estimate)
    unknown = s.isinf() & less.isfinite()
    if bool(unknown.any()):
        moved = torch.where(unknown, estimate + less * fresh(), moved)
    return torch.where(less < s, moved, x)


def _as(x: Tensor) -> tuple[Any, ...]:
    """What makes [B] broadcast with x [B, ...]."""
    return (slice(None), *(None,) * (x.ndim - 1))


def _tiny(x: Tensor) -> float:
    return torch.finfo(x.dtype).tiny
