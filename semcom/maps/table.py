"""One table per label map: what every size and simplification costs and keeps, made as far as budgets ask."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from semcom.codecs import label_map
from semcom.maps import coded
from semcom.maps.coded import Head, Size

TABLES_KEPT = 1024


@dataclass(frozen=True)
class Choice:
    """What a map may be sent as: ``sizes`` from the coarsest, simplified or not, in a grid of tiles."""

    sizes: tuple[Size, ...]
    lossy: bool
    grid: Size

    @property
    def steps(self) -> int:
        return len(label_map.LADDER) if self.lossy else 1


@dataclass(eq=False)
class MapTable:
    """The map ``labels`` uint8 [H, W] at every size and step of the coder's ladder of simplifications.

    `best` is the entry of highest mean IoU with ``labels`` (classes in the map, void left out, after nearest up-sampling)
    that a search finds among those that fit: from the coarsest size to the finest, and of each the least simplified by
    bisection, among the steps down to the first that would be no better than what was found. An entry is coded when the
    search asks for it, and never twice; what is found depends on the budget alone and not on what was asked before.
    """

    labels: np.ndarray
    _kept: dict[tuple[Size, int], float] = field(default_factory=dict)
    _tiles: dict[tuple[bytes, Size], list[bytes]] = field(default_factory=dict)

    def best(self, choice: Choice, bits: int, slice_bits: int | None = None) -> np.ndarray | str:
        """The message uint8 [n] of the best entry that fits; where none does, why the simplest of the coarsest does not."""
        found: np.ndarray | None = None
        kept = -math.inf
        for size in choice.sizes:
            last = self._last(size, choice.steps, kept)
            for step, made in self._search(size, last, choice.grid, bits, slice_bits).items():
                if not isinstance(made, str) and self.kept(size, step) > kept:
                    kept, found = self.kept(size, step), made
        if found is not None:
            return found
        size, step = choice.sizes[0], choice.steps - 1
        why = self._packed(size, step, choice.grid, bits, slice_bits)
        return f"its smallest label map is {size[0]}x{size[1]}{' simplified' if step else ''}: {why}"

    def kept(self, size: Size, step: int) -> float:
        """Mean IoU of an entry with the map itself; 0 where that holds nothing but void."""
        if (size, step) not in self._kept:
            value = label_map.iou(label_map.resize(self._simple(size, step), self.labels.shape), self.labels)
            self._kept[size, step] = 0.0 if math.isnan(value) else value
        return self._kept[size, step]

    def _last(self, size: Size, steps: int, kept: float) -> int:
        """The last step before the first one that keeps no more than ``kept``; -1 where that is the first of all."""
        if kept == -math.inf:
            return steps - 1
        return next((step for step in range(steps) if self.kept(size, step) <= kept), steps) - 1

    def _search(self, size: Size, last: int, grid: Size, bits: int, slice_bits: int | None) -> dict[int, np.ndarray | str]:
        """Steps 0 to ``last`` that a search for the least simplified one that fits has looked at, and what became of them."""
        tried: dict[int, np.ndarray | str] = {}

        def fits(step: int) -> bool:
            tried[step] = self._packed(size, step, grid, bits, slice_bits)
            return not isinstance(tried[step], str)

        if last < 0 or fits(0) or last == 0 or not fits(last):
            return tried
        low, high = 0, last
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if fits(middle) else (middle, high)
        return tried

    def _packed(self, size: Size, step: int, grid: Size, bits: int, slice_bits: int | None) -> np.ndarray | str:
        grid = tuple(min(side, n) for side, n in zip(grid, size, strict=True))
        return coded.pack(Head(size, grid), self._coded(self._simple(size, step), grid), self.labels.shape, bits, slice_bits)

    def _coded(self, simple: np.ndarray, grid: Size) -> list[bytes]:
        key = _digest(simple), grid
        if key not in self._tiles:
            self._tiles[key] = label_map.encode_tiles(simple, grid)
        return self._tiles[key]

    def _simple(self, size: Size, step: int) -> np.ndarray:
        return label_map.simplify(label_map.resize(self.labels, size), label_map.LADDER[step])


_tables: OrderedDict[bytes, MapTable] = OrderedDict()


def table(labels: np.ndarray) -> MapTable:
    """The table of a map uint8 [H, W], kept in this process for the next budget and the next system."""
    key = _digest(labels)
    found = _tables.pop(key, None) or MapTable(labels)
    _tables[key] = found
    if len(_tables) > TABLES_KEPT:
        _tables.popitem(last=False)
    return found


def best_messages(
    maps: Sequence[np.ndarray], choice: Choice, bits: int, slice_bits: int | None = None
) -> tuple[list[np.ndarray], tuple[str | None, ...]]:
    """For each map the bits of what is best, none where nothing fits, and the reason why."""
    made = [table(labels).best(choice, bits, slice_bits) for labels in maps]
    payloads = [np.zeros(0, np.uint8) if isinstance(one, str) else one for one in made]
    return payloads, tuple(one if isinstance(one, str) else None for one in made)


def _digest(labels: np.ndarray) -> bytes:
    return hashlib.blake2b(repr(labels.shape).encode() + np.ascontiguousarray(labels).tobytes(), digest_size=16).digest()
