"""Learning rate, average of the weights, seeding: the small formulas of the loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from semcom.rng import generator


def rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """Learning rate of a step: a linear rise over ``warmup`` steps, then half a cosine down to 0 (Loshchilov, Hutter 2017).

    >>> [round(rate(step, 10, 2, 1.0), 3) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.038]
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def decay_at(count: int, decay: float) -> float:
    """The decay of the average at its update number ``count``: young averages forget their start sooner.

    >>> decay_at(1, 0.999), decay_at(10**6, 0.999)
    (0.18181818181818182, 0.999)
    """
    return min(decay, (1.0 + count) / (10.0 + count))


def averaging(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor], None]:
    """For torch's AveragedModel: average <- d * average + (1 - d) * weights, d = decay_at(count, decay).

    Numbers that count, such as a normalisation's number of batches, are taken over as they are.
    """

    @torch.no_grad()
    def update(averages: Sequence[Tensor], weights: Sequence[Tensor], count: Tensor) -> None:
        if not averages[0].is_floating_point():
            torch._foreach_copy_(list(averages), list(weights))
            return
        torch._foreach_lerp_(list(averages), list(weights), 1.0 - decay_at(int(count), decay))

    return update


@contextmanager
def seeded(*key: object) -> Iterator[None]:
    """Torch's global generator, from which new networks draw, at a state keyed by ``key``; put back afterwards."""
    state = torch.random.get_rng_state()
    try:
        torch.random.default_generator.manual_seed(int(generator(*key).integers(2**63)))
        yield
    finally:
        torch.random.set_rng_state(state)
