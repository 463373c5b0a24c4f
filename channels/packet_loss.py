"""Which packets are lost: independently, or in bursts (Gilbert and Elliott)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PacketLoss:
    """Losses with probability ``rate`` in bursts of ``burst`` packets on average; ``burst`` None: independent.

    A chain of two states, good and bad, steps once a packet; a packet in the bad state is lost. It leaves
    the bad state with probability 1 / burst and enters it with rate / (burst (1 - rate)), so that the share
    of bad packets is ``rate`` from the first packet on. Bursts are geometric, P(length = l) =
    (1 - 1/burst)^(l - 1) / burst, and so are the gaps. Independent losses come in bursts of 1 / (1 - rate).

    What is drawn does not depend on ``rate`` and ``burst``, and independent losses are nested: what is lost
    at a rate is lost at any higher one.

    Raises: ValueError for a rate outside [0, 1), or bursts too short for it: burst < rate / (1 - rate).
    References: Gilbert 1960; Elliott 1963, with loss probabilities 0 and 1 in the two states.
    """

    rate: float
    burst: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.rate < 1.0:
            raise ValueError(f"packets are lost with probability {self.rate:g}; allowed: 0 up to, not including, 1")
        shortest = max(1.0, self.rate / (1.0 - self.rate))
        if self.burst is not None and self.burst < shortest:
            raise ValueError(
                f"bursts of {self.burst:g} packets on average at a loss rate of {self.rate:g}; the mean burst is at least "
                f"{shortest:.3g}, where the gaps are single packets"
            )

    @property
    def mean_burst(self) -> float:
        return 1.0 / (1.0 - self.rate) if self.burst is None else float(self.burst)

    @property
    def enter(self) -> float:
        """Probability that a lost packet follows one that arrived."""
        return self.rate / (self.mean_burst * (1.0 - self.rate))

    @property
    def stay(self) -> float:
        """Probability that a lost packet follows a lost one."""
        return 1.0 - 1.0 / self.mean_burst

    def draw(self, n: int, rngs: Sequence[np.random.Generator]) -> np.ndarray:
        """bool [len(rngs), n], whether each of n packets is lost; a longer n keeps the prefix."""
        uniform = np.stack([rng.random(n) for rng in rngs]) if len(rngs) else np.zeros((0, n))
        if self.burst is None:
            return uniform < self.rate
        lost = np.empty((len(rngs), n), dtype=bool)
        for packet in range(n):
            before = lost[:, packet - 1] if packet else None
            chance = self.rate if before is None else np.where(before, self.stay, self.enter)
            lost[:, packet] = uniform[:, packet] < chance
        return lost

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
        found += [end - start for start, end in zip(starts, ends)]  # a burst that the row cuts has no end
    return np.array(found, dtype=int)


def arq_transmissions(rate: float, rounds: int) -> tuple[float, float]:
    """Mean transmissions a packet, and the probability that it is lost for good, in at most ``rounds`` independent ones.

    >>> arq_transmissions(0.5, 2)
    (1.5, 0.25)
    """
    if rate == 0.0:
        return 1.0, 0.0
    return (1.0 - rate**rounds) / (1.0 - rate), math.pow(rate, rounds)
