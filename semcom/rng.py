"""Counter-based random streams, keyed by name: the same draws for any batch, system, SNR and machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def generator(*key: object) -> np.random.Generator:
    """A Philox generator keyed by SHA-256 of ``key``; equal keys give equal draws on every machine."""
    return np.random.Generator(np.random.Philox(key=np.frombuffer(_digest(key)[:16], dtype=np.uint64)))


def stratum(index: int, *key: object) -> float:
    """Element ``index`` of a van der Corput sequence in (0, 1), scrambled for ``key``.

    The sequence is nested: any first 2^m elements hold one point in each of 2^m equal intervals, and
    more elements keep the earlier ones. The scramble is a nested permutation by hashing, so that every
    element is uniform over the keys.

    References: Owen 1995, "Randomly permuted (t,m,s)-nets"; Laine, Karras 2011, "Stratified sampling for
    stochastic transparency", the hash; Burley 2020, "Practical hash-based Owen scrambling".
    """
    seed = int.from_bytes(_digest(key)[:4], "little")
    scrambled = _nested_permutation(index & _MASK, seed)
    return (int(f"{scrambled:032b}"[::-1], 2) + 0.5) / 2.0**32


_MASK = 0xFFFFFFFF


def _nested_permutation(x: int, seed: int) -> int:
    """A permutation of 32-bit integers in which a bit depends on lower ones only: Owen's scramble, bits reversed."""
    x = (x + seed) & _MASK
    x ^= (x * 0x6C50B47C) & _MASK
    x ^= (x * 0xB82F1E52) & _MASK
    x ^= (x * 0xC7AFE638) & _MASK
    x ^= (x * 0x8D22F6E6) & _MASK
    return x


def _digest(key: tuple[object, ...]) -> bytes:
    return hashlib.sha256("\x1f".join(str(part) for part in key).encode()).digest()


@dataclass(frozen=True)
class Streams:
    """The random streams of a batch: row i is repeat ``repeats[i]`` of image ``images[i]``.

    A stream is keyed by (root seed, name, image, repeat) and by nothing else; in particular not by
    system, SNR, channel parameters or batch, so that comparisons are paired. The one exception is the
    decoder's stream, which names its system as well (`for_system`).
    """

    seed: int
    images: tuple[str, ...]
    repeats: tuple[int, ...]
    system: str = ""

    def __post_init__(self) -> None:
        if len(self.images) != len(self.repeats):
            raise ValueError(f"{len(self.images)} images but {len(self.repeats)} repeats; one repeat a row")

    def __len__(self) -> int:
        return len(self.images)

    @staticmethod
    def of(images: Sequence[str], seed: int = 0, repeat: int = 0) -> Streams:
        return Streams(seed, tuple(images), (repeat,) * len(images))

    def select(self, rows: Sequence[int]) -> Streams:
        return Streams(self.seed, tuple(self.images[r] for r in rows), tuple(self.repeats[r] for r in rows), self.system)

    def for_system(self, system: str) -> Streams:
        """The decoder's streams of one system, identified by its unit id."""
        return Streams(self.seed, self.images, self.repeats, system)

    def keys(self) -> list[tuple[str, int]]:
        """(image, repeat) of each row; rows with equal keys have equal draws."""
        return list(zip(self.images, self.repeats, strict=True))

    def generator(self, name: str, row: int) -> np.random.Generator:
        """The stream ``name`` of one row, at its start."""
        return generator(self.seed, name, self.system, self.images[row], self.repeats[row])

    def stratum(self, name: str, row: int) -> float:
        """This repeat's element in (0, 1) of the image's nested, scrambled low-discrepancy sequence."""
        return stratum(self.repeats[row], self.seed, name, self.images[row])
