"""The channel's draws, kept for the next SNR, system or repeat of a sweep that meets the same ones."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor

import lazy_loader as lazy
import numpy as np

from channels.base import Channel, Draw, Drawn, Grid
from channels.chain import PreparedChain
from semcom.rng import Streams

torch = lazy.load("torch")


class Bank:
    """Tensors [n] by key, the least recently used dropped above ``limit`` bytes.

    A draw keeps its prefix when it grows, so a shorter one is served from a longer one, and equal keys
    give equal numbers whether they were kept or drawn again: the bank changes time, never a result.
    """

    def __init__(self, limit: int):
        self.limit, self._kept, self._bytes, self._lock = limit, OrderedDict(), 0, threading.Lock()

    def rows(self, keys: Sequence[Hashable], n: int, draw: Callable[[list[int]], torch.Tensor]) -> torch.Tensor:
        """[len(keys), n], of which ``draw`` makes the rows that are not kept."""
        with self._lock:
            found = [self._kept.get(key) for key in keys]
            missing = [row for row, kept in enumerate(found) if kept is None or len(kept) < n]
            for key, kept in zip(keys, found, strict=True):
                if kept is not None:
                    self._kept.move_to_end(key)
        if missing:
            drawn = draw(missing)
            for row, values in zip(missing, drawn, strict=True):
                found[row] = values
            self._keep({keys[row]: found[row] for row in missing})
            if len(missing) == len(keys):
                return drawn
        return _stacked([kept[:n] for kept in found])

    def _keep(self, new: dict[Hashable, torch.Tensor]) -> None:
        with self._lock:
            for key, values in new.items():
                old = self._kept.pop(key, None)
                self._bytes += _size(values) - (0 if old is None else _size(old))
                self._kept[key] = values
            while self._bytes > self.limit:
                self._bytes -= _size(self._kept.popitem(last=False)[1])

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
            self._bytes = 0


def _size(values: torch.Tensor) -> int:
    return (1 if _is_constant(values) else values.numel()) * values.element_size()


def _is_constant(row: torch.Tensor) -> bool:
    """Whether a row is one stored value that stands for all."""
    return row.stride(0) == 0


def _stacked(rows: list[torch.Tensor]) -> torch.Tensor:
    if rows and all(map(_is_constant, rows)):
        return torch.stack([row[:1] for row in rows]).expand(-1, len(rows[0]))
    return torch.stack(rows)


# Noise of 2,000 images at k = 8192, and as much fading: a batch of every system of a sweep, with room.
NOISE, FADING = Bank(128 << 20), Bank(128 << 20)


def noise(streams: Streams, n: int, antenna: int = 0) -> torch.Tensor:
    """Standard normal float32 [B, 2n] on the CPU, interleaved I/Q in channel-use order; each antenna has its own."""
    name = f"noise {antenna}" if antenna else "noise"

    def draw(rows: list[int]) -> torch.Tensor:
        values = np.empty((len(rows), 2 * n), dtype=np.float32)

        def fill(place: int) -> None:  # numpy lets go of the interpreter's lock meanwhile, so that cores share the rows
            streams.generator(name, rows[place]).standard_normal(out=values[place], dtype=np.float32)

        list(_workers().map(fill, range(len(rows))))
        return torch.from_numpy(values)

    return NOISE.rows([(name, streams.seed, *key) for key in streams.keys()], 2 * n, draw)


def fading(channel: Channel, streams: Streams, n: int) -> torch.Tensor:
    """The channel's complex gains, complex64 [B, n] on the CPU."""

    def draw(rows: list[int]) -> torch.Tensor:
        return channel.draw(n, [_draw(streams, row) for row in rows]).h

    # the key holds the prepared channel itself, compared by identity: its number cannot pass to another object
    return FADING.rows([(_Same(channel), streams.seed, *key) for key in streams.keys()], n, draw)


def _draw(streams: Streams, row: int, burst: int = 0) -> Draw:
    suffix = f", burst {burst}" if burst else ""
    return Draw(
        streams.generator("fading", row), streams.stratum("fading", row), lambda name: streams.generator(f"{name}{suffix}", row)
    )


class Meetings:
    """What chains of stages drew for a transmission: tuples of tensors by key, the least recently used dropped above ``limit`` bytes."""

    def __init__(self, limit: int):
        self.limit, self._kept, self._bytes, self._lock = limit, OrderedDict(), 0, threading.Lock()

    def rows(self, keys: Sequence[Hashable], draw: Callable[[list[int]], tuple[Drawn, ...]]) -> tuple[Drawn, ...]:
        """What ``draw`` gives for all rows, of which it makes those that are not kept."""
        with self._lock:
            found = [self._kept.get(key) for key in keys]
            for key, kept in zip(keys, found, strict=True):
                if kept is not None:
                    self._kept.move_to_end(key)
        missing = [row for row, kept in enumerate(found) if kept is None]
        if missing:
            drawn = draw(missing)
            for place, row in enumerate(missing):
                found[row] = tuple(tuple(values[place] for values in one) for one in drawn)
            self._keep({keys[row]: found[row] for row in missing})
            if len(missing) == len(keys):
                return drawn
        return tuple(
            tuple(torch.stack([row[stage][item] for row in found]) for item in range(len(found[0][stage])))
            for stage in range(len(found[0]))
        )

    def _keep(self, new: dict[Hashable, tuple[Drawn, ...]]) -> None:
        with self._lock:
            for key, drawn in new.items():
                self._bytes += _bytes_of(drawn) - _bytes_of(self._kept.pop(key, ()))
                self._kept[key] = drawn
            while self._bytes > self.limit and len(self._kept) > 1:
                self._bytes -= _bytes_of(self._kept.popitem(last=False)[1])

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
            self._bytes = 0


def _bytes_of(drawn: tuple[Drawn, ...]) -> int:
    return sum(values.numel() * values.element_size() for one in drawn for values in one)


# As much as noise and fading together: a batch of every system of a sweep over 2 x 2 antennas.
MEETINGS = Meetings(256 << 20)


def gains(chain: PreparedChain, streams: Streams, grid: Grid) -> torch.Tensor:
    """H complex64 [B, R, T, E] or [B, R, T, 1] of a chain of stages over a grid, on the CPU."""

    def draw(rows: list[int]) -> tuple[Drawn, ...]:
        return ((chain.gains(grid, [_draw(streams, row) for row in rows]),),)

    return MEETINGS.rows([(_Same(chain), "gains", grid, streams.seed, *key) for key in streams.keys()], draw)[0][0]


def beside(chain: PreparedChain, streams: Streams, grid: Grid, burst: int) -> tuple[Drawn, ...]:
    """What the stages of a chain drew for one burst of a transmission, on the CPU."""

    def draw(rows: list[int]) -> tuple[Drawn, ...]:
        return chain.draw(grid, [_draw(streams, row, burst) for row in rows])

    return MEETINGS.rows([(_Same(chain), burst, grid, streams.seed, *key) for key in streams.keys()], draw)


@functools.cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="draws")


class _Same:
    """A key that equals only the same object."""

    def __init__(self, thing: object):
        self.thing = thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.thing is other.thing
