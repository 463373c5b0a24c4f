"""Which packets are lost: independently, or in bursts (Gilbert and Elliott)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from channels.gilbert import losses, transitions


@dataclass(frozen=True)
class PacketLoss:
    """Losses with probability ``rate`` in bursts of ``burst`` packets on average; ``burst`` None: independent.

    Gilbert's chain of two states (`channels.gilbert`) steps once a packet, and a packet in its bad state is
    lost. Bursts are geometric, P(length = l) = (1 - 1/burst)^(l - 1) / burst, and so are the gaps; the share of
    lost packets is ``rate`` from the first one on. Independent losses come in bursts of 1 / (1 - rate).

    What is drawn does not depend on ``rate`` and ``burst``, and independent losses are nested: what is lost
    at a rate is lost at any higher one.

    Raises: ValueError for a rate outside [0, 1), or bursts shorter than independent losses have.
    References: Gilbert 1960; Elliott 1963, with loss probabilities 0 and 1 in the two states.
    """

    rate: float
    burst: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.rate < 1.0:
            raise ValueError(f"packets are lost with probability {self.rate:g}; allowed: 0 up to, not including, 1")
        transitions(self.rate, self.burst)

    @property
    def mean_burst(self) -> float:
        return 1.0 / (1.0 - self.rate) if self.burst is None else float(self.burst)

    @property
    def enter(self) -> float:
        """Probability that a lost packet follows one that arrived."""
        return transitions(self.rate, self.burst)[0]

    @property
    def stay(self) -> float:
        """Probability that a lost packet follows a lost one."""
        return 1.0 - transitions(self.rate, self.burst)[1]

    def draw(self, n: int, rngs: Sequence[np.random.Generator]) -> np.ndarray:
        """bool [len(rngs), n], whether each of n packets is lost; a longer n keeps the prefix."""
        uniform = np.stack([rng.random(n) for rng in rngs]) if len(rngs) else np.zeros((0, n))
        return losses(uniform, self.rate, self.burst)

    def variance_of_rate(self, n: int) -> float:
        """Variance of the share of lost packets among n consecutive ones, whose correlation at lag l is r^l, r = stay - enter."""
        r = self.stay - self.enter
        lags = np.arange(1, n)
        return self.rate * (1.0 - self.rate) / n * (1.0 + 2.0 * float(((1.0 - lags / n) * r**lags).sum()))

    def burst_length_probability(self, length: int) -> float:
        """P(a burst of losses has this length), geometric."""
        return self.stay ** (length - 1) * (1.0 - self.stay)


def bursts(lost: np.ndarray) -> np.ndarray:
    """Lengths of the complete bursts in rows of bool [B, n]: those that neither begin nor end with the row."""
    found: list[int] = []
    for row in lost:
        edges = np.flatnonzero(np.diff(row.astype(np.int8)))
        starts = [e + 1 for e in edges if not row[e]]
        ends = [e + 1 for e in edges if row[e]]
        if starts:
            ends = [e for e in ends if e > starts[0]]
        found += [end - start for start, end in zip(starts, ends, strict=False)]  # a burst that the row cuts has no end
    return np.array(found, dtype=int)


def arq_transmissions(rate: float, rounds: int) -> tuple[float, float]:
    """Mean transmissions a packet, and the probability that it is lost for good, in at most ``rounds`` independent ones.

    >>> arq_transmissions(0.5, 2)
    (1.5, 0.25)
    """
    if rate == 0.0:
        return 1.0, 0.0
    return (1.0 - rate**rounds) / (1.0 - rate), math.pow(rate, rounds)
