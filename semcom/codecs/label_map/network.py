"""The network in whole numbers: the same frequencies on every machine.

All weights are integers. Products and sums run in single precision, where they are exact in any order because no partial
sum can reach 2^24 (checked when weights are loaded). What follows (power of two, normalisation) is integer arithmetic. So
no thread count, vector unit or library can make a decoder see other frequencies than the encoder did.

::

    columns of 0 and 1 ---- matrix --+
    rows of the table ----- sum -----+--> clip --> first [0..255] --+--> matrix --> logits of classes and candidates
                                                    |               |
                                                    +-> matrix, clip -> second [0..255]
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isqrt
from pathlib import Path

import numpy as np

from semcom.codecs.label_map import context
from semcom.errors import WeightsError
from semcom.models import weights as pinned

#: the shipped weights: semcom/weights/NAME
NAME = "label_map"
#: an activation of 1.0, and the largest; a weight of 1.0; a logit of one bit
ACTIVATION, CEILING, WEIGHT, BIT = 32, 255, 256, 128
#: frequencies of a pixel add to this; a class keeps at least 1
TOTAL = 2**22
#: single precision holds every whole number up to here
EXACT = 2**24
#: pixels at a time where all are known: what then lies in memory fits a processor's cache
CHUNK = 1024
_POWERS_BITS = 24


@lru_cache(maxsize=1)
def powers() -> np.ndarray:
    """floor(2^(24 - i / 128)) for i = 0, 1, ...; by integer square roots of large integers, and 0 at the end."""

    def power(i: int) -> int:
        value = 1 << (_POWERS_BITS * BIT - i)
        for _ in range(BIT.bit_length() - 1):  # the 128th root is seven square roots
            value = isqrt(value)
        return value

    return np.array([*(power(i) for i in range(_POWERS_BITS * BIT + 1)), 0], dtype=np.int64)


@dataclass(frozen=True)
class Network:
    """``table`` [ROWS, first], ``columns`` [COLUMNS, first], ``first_bias``, ``inner`` [first, second], ``inner_bias``,
    ``out`` [first + second, classes + 3], ``out_bias``: float32 arrays of whole numbers."""

    table: np.ndarray
    columns: np.ndarray
    first_bias: np.ndarray
    inner: np.ndarray
    inner_bias: np.ndarray
    out: np.ndarray
    out_bias: np.ndarray

    def check(self) -> None:
        """Raises: WeightsError where a shape is wrong or a sum might not be exact."""
        first, second = self.inner.shape
        shapes = {
            "table": (context.ROWS, first),
            "columns": (context.COLUMNS, first),
            "first_bias": (first,),
            "inner_bias": (second,),
            "out": (first + second, context.CLASSES + 3),
            "out_bias": (context.CLASSES + 3,),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise WeightsError(f"label-map weights: '{name}' has shape {getattr(self, name).shape}; expected {shape}")
        largest = max(
            (np.abs(self.columns).sum(0) + len(context.TABLES) * np.abs(self.table).max() + np.abs(self.first_bias)).max(),
            (CEILING * np.abs(self.inner).sum(0) + np.abs(self.inner_bias)).max(),
            # of a class and of a candidate that it is
            sum(part.max() for part in np.split(CEILING * np.abs(self.out).sum(0) + np.abs(self.out_bias), [context.CLASSES])),
        )
        if largest >= EXACT:
            raise WeightsError(f"label-map weights: a sum may reach {largest:.0f}, and is exact only below {EXACT}")

    def frequencies(self, columns: np.ndarray, rows: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """float64 [n, classes] of whole numbers that add to TOTAL, each at least 1, from `context.features`."""
        n = np.arange(len(columns))
        first = columns @ self.columns
        first += self.table[rows].sum(axis=1)
        first += self.first_bias
        first = np.clip(np.floor(first * (ACTIVATION / WEIGHT), out=first), 0, CEILING, out=first)
        second = first @ self.inner
        second += self.inner_bias
        second = np.clip(np.floor(second * (1.0 / WEIGHT), out=second), 0, CEILING, out=second)
        made = np.concatenate([first, second], axis=1) @ self.out
        made += self.out_bias
        logits = np.empty((len(columns), context.CLASSES + 1), dtype=np.float32)
        logits[:, :-1], logits[:, -1] = made[:, : context.CLASSES], 0.0
        for place in range(3):  # they differ unless they are NONE
            logits[n, candidates[:, place]] += made[:, context.CLASSES + place]
        # a whole number of 128ths of a bit: weights are given so that a logit of one bit is ACTIVATION * WEIGHT
        bits = np.floor(logits[:, :-1] * (BIT / (ACTIVATION * WEIGHT))).astype(np.int64)
        below = bits.max(axis=1, keepdims=True) - bits
        table = powers()
        weights = table[np.minimum(below, len(table) - 1)]
        shares = 1 + weights * (TOTAL - context.CLASSES) // weights.sum(axis=1, keepdims=True)
        shares[n, below.argmin(axis=1)] += TOTAL - shares.sum(axis=1)
        return shares.astype(np.float64)


@lru_cache(maxsize=1)
def shipped() -> Network:
    """The network that ships; its digest has been checked."""
    return read(pinned.find(NAME))


def read(path: Path) -> Network:
    """The network in a file that the training wrote. Raises: WeightsError."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"'{path}' cannot be read as safetensors ({error}); get it again") from error
    names = Network.__annotations__
    if set(arrays) != set(names):
        raise WeightsError(f"'{path}' holds {', '.join(sorted(arrays))}; expected {', '.join(names)}")
    network = Network(**{name: arrays[name].astype(np.float32) for name in names})
    network.check()
    return network
