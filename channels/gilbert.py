"""Losses in bursts: Gilbert's two states, what is lost in one and what arrives in the other."""

from __future__ import annotations

import numpy as np


def transitions(probability: float, mean_burst: float | None) -> tuple[float, float]:
    """(P(lost | last arrived), P(arrives | last lost)) of a chain that loses ``probability`` in bursts of ``mean_burst``.

    A burst of losses is geometric with mean 1 / P(arrives | lost), and the share of losses is
    P(lost | arrived) / (P(lost | arrived) + P(arrives | lost)) (Gilbert 1960). ``mean_burst`` None is independent
    losses, whose bursts have the mean 1 / (1 - probability): the least that is allowed here.
    """
    shortest = 1.0 / (1.0 - probability)
    burst = shortest if mean_burst is None else mean_burst
    if burst < shortest * (1.0 - 1e-9):
        raise ValueError(
            f"a mean burst of {burst:g} is shorter than independent losses of probability {probability:g} make "
            f"({shortest:g}); give at least that, or null for independent losses"
        )
    return probability * (1.0 / burst) / (1.0 - probability), 1.0 / burst


def losses(uniform: np.ndarray, probability: float, mean_burst: float | None) -> np.ndarray:
    """Which are lost, bool [..., n], from independent uniforms [..., n] in [0, 1); the chain starts in its stationary law.

    The state after use i is lost where u < P(lost | arrived), arrived where u >= 1 - P(arrives | lost), and what it was
    between: a longer n keeps the prefix, and losses are no function of anything but their own uniforms.
    """
    to_lost, to_arrived = transitions(probability, mean_burst)
    set_lost, set_arrived = uniform < to_lost, uniform >= 1.0 - to_arrived
    decided = set_lost | set_arrived
    set_lost[..., :1], decided[..., :1] = uniform[..., :1] < probability, True
    place = np.where(decided, np.arange(uniform.shape[-1]), 0)
    last = np.maximum.accumulate(place, axis=-1)
    return np.take_along_axis(set_lost, last, axis=-1)
