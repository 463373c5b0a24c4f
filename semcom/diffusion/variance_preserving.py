"""Variance-preserving diffusion (DDPM, DDIM) seen as noise that adds up: its discrete levels, and its networks, in sigma form.

At step t such a model holds y = sqrt(a_t) x0 + sqrt(1 - a_t) n, where a_t is the product of all 1 - beta up to t. Divided by
sqrt(a_t) that is x0 + sigma_t n with sigma_t = sqrt((1 - a_t) / a_t), and everything else follows: the steps of DDPM with the
variance of the posterior are those of `samplers.ancestral` at these levels, those of DDIM are `samplers.euler`, and a network
that tells the noise or v of y is a denoiser of x0 + sigma n. Start from y = n: x = sqrt(1 + sigma^2) n (`start`).

References: Ho, Jain, Abbeel 2020, DDPM; Song, Meng, Ermon 2021, DDIM; Nichol, Dhariwal 2021, the cosine schedule; Salimans, Ho
2022, v; Karras et al. 2022, table 1, variance-preserving models in sigma form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import lazy_loader as lazy

from semcom.diffusion.samplers import Denoise

if TYPE_CHECKING:
    from torch import Tensor

torch = lazy.load("torch")

#: steps of the published models
TRAINED = 1000
#: the linear schedule's first and last beta (Ho et al. 2020, section 4)
LINEAR = (1e-4, 0.02)
#: the cosine schedule's offset and largest beta (Nichol, Dhariwal 2021, eq. 17)
OFFSET, LARGEST = 0.008, 0.999

Schedule = Literal["linear", "cosine"]
#: what a network tells of y: its noise, v = sqrt(a) n - sqrt(1 - a) x0, or x0
Prediction = Literal["epsilon", "v_prediction", "sample"]


def levels(schedule: Schedule = "linear", count: int = TRAINED) -> Tensor:
    """sigma_t float64 [count] of all steps, the least first.

    >>> [round(float(levels()[t]), 3) for t in (0, 999)]
    [0.01, 157.407]
    """
    if schedule == "linear":
        betas = torch.linspace(*LINEAR, count, dtype=torch.float64)
    else:
        places = torch.arange(count + 1, dtype=torch.float64) / count
        remaining = ((places + OFFSET) / (1.0 + OFFSET) * math.pi / 2.0).cos().square()
        betas = (1.0 - remaining[1:] / remaining[:-1]).clamp(max=LARGEST)
    kept = (1.0 - betas).cumprod(0)
    return ((1.0 - kept) / kept).sqrt()


def stops(count: int, schedule: Schedule = "linear", trained: int = TRAINED) -> Tensor:
    """Levels float64 [count + 1] from the last of ``trained`` steps to 0, every (trained / count)-th of them; one evaluation
    at each but the last. The first is always the last of training (Lin et al. 2024: "trailing").

    Raises: ValueError for more steps than were trained.
    """
    if not 1 <= count <= trained:
        raise ValueError(f"{count} steps of a schedule of {trained}; expected 1 to {trained}")
    places = (trained - torch.arange(count, dtype=torch.float64) * trained / count).round().long() - 1
    return torch.cat([levels(schedule, trained)[places], torch.zeros(1, dtype=torch.float64)])


def start(noise: Tensor, level: float) -> Tensor:
    """What such a model starts from, y = n, in sigma form."""
    return noise * math.sqrt(1.0 + level**2)


def in_sigma_form(network: Callable[[Tensor, Tensor], Tensor], prediction: Prediction) -> Denoise:
    """The denoiser that a variance-preserving network is. ``network`` takes y [B, ...] and the level sigma [B, ...]."""

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        scale = (1.0 + sigma.square()).rsqrt()
        told = network(scale * x, sigma)
        if prediction == "epsilon":
            return x - sigma * told
        return told if prediction == "sample" else scale * (scale * x - sigma * told)

    return denoise
