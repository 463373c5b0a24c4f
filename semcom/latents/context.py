"""What a decoder knows of a quantised latent before it reads it: a prediction and the class of its surroundings.

Everything here is integer arithmetic. A value depends on its neighbours at the left and above and on the channels
before it, at its own place; so all values with equal x + 2 y + channel can be read at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from semcom.latents.tables import ACTIVE, ACTIVITY, ACTIVITY_BEFORE, BETWEEN, NEIGHBOURS, UNIT


def classify(values: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction rounded, its sign convention and the context of each of the values int64 [C, h, w], all known."""
    channels, height, width = values.shape
    total = np.einsum("cd,dhw->chw", np.tril(prediction[:channels, 4 : 4 + channels].astype(np.int64), -1), values)
    around = _around(values)
    for place in range(len(NEIGHBOURS)):
        total += prediction[:channels, place, None, None].astype(np.int64) * around[place]
    rounded, sign, between = split(total)
    missed = np.abs(values - rounded)
    activity = sum(weight * seen for weight, seen in zip(ACTIVITY, _around(missed), strict=True))
    activity[1:] += ACTIVITY_BEFORE * missed[:-1]
    return rounded, sign, context(activity, between)


def split(total: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A prediction in 1/UNIT as a whole number, on which side of it it lies (1 or -1), and the class of how far."""
    rounded = (total + UNIT // 2) >> (UNIT.bit_length() - 1)
    rest = total - rounded * UNIT
    return rounded, np.where(rest < 0, -1, 1), np.searchsorted(BETWEEN, np.abs(rest), side="right")


def context(activity: np.ndarray, between: np.ndarray) -> np.ndarray:
    return np.searchsorted(ACTIVE, activity, side="right") * (len(BETWEEN) + 1) + between


def _around(values: np.ndarray) -> list[np.ndarray]:
    """The values at the places of NEIGHBOURS; 0 outside."""
    height, width = values.shape[1:]
    padded = np.pad(values, ((0, 0), (1, 0), (1, 1)))
    return [padded[:, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] for dy, dx in NEIGHBOURS]


@dataclass(frozen=True, eq=False)
class Wave:
    """Places (channel, row, column) that do not depend on each other, only on earlier waves."""

    c: np.ndarray
    y: np.ndarray
    x: np.ndarray


@lru_cache(maxsize=16)
def waves(channels: int, height: int, width: int) -> tuple[Wave, ...]:
    c, y, x = (axis.ravel() for axis in np.indices((channels, height, width)))
    time = x + 2 * y + c
    order = np.argsort(time, kind="stable")
    pieces = np.split(order, np.flatnonzero(np.diff(time[order])) + 1)
    return tuple(Wave(c[piece], y[piece], x[piece]) for piece in pieces)


class Known:
    """The values that a decoder has read so far, int64 [C, h, w], and what they say of the next wave."""

    def __init__(self, channels: int, height: int, width: int, prediction: np.ndarray):
        # a row above, a column at each side, and a channel before that are all 0
        self._values = np.zeros((channels + 1, height + 1, width + 2), dtype=np.int64)
        self._missed = np.zeros_like(self._values)
        self._near = prediction[:channels, : len(NEIGHBOURS)].astype(np.int64)
        before = np.tril(prediction[:channels, 4 : 4 + channels].astype(np.int64), -1)
        self._before = np.pad(before, ((0, 0), (1, 0)))

    @property
    def values(self) -> np.ndarray:
        return self._values[1:, 1:, 1:-1]

    def look(self, wave: Wave) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `classify`, for one wave."""
        c, y, x = wave.c + 1, wave.y + 1, wave.x + 1
        total = (self._before[wave.c] * self._values[:, y, x].T).sum(axis=1)
        activity = ACTIVITY_BEFORE * self._missed[c - 1, y, x]
        for place, (dy, dx) in enumerate(NEIGHBOURS):
            total += self._near[wave.c, place] * self._values[c, y + dy, x + dx]
            activity += ACTIVITY[place] * self._missed[c, y + dy, x + dx]
        rounded, sign, between = split(total)
        return rounded, sign, context(activity, between)

    def learn(self, wave: Wave, values: np.ndarray, rounded: np.ndarray) -> None:
        at = wave.c + 1, wave.y + 1, wave.x + 1
        self._values[at], self._missed[at] = values, np.abs(values - rounded)
