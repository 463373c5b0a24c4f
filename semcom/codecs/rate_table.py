"""One rate table per picture and codec: what every resolution and quality costs and gives, made as far as budgets ask."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from semcom.codecs.base import Codec
from semcom.codecs.payload import CONTAINERS, HEADER_BYTES, Payload
from semcom.codecs.resample import SCALES, coded_size, resample

TABLES_KEPT = 512

#: A climb goes on until a payload is this much, in per cent, above what fits: bytes do not always rise with
#: quality. The deepest dips found: AVIF 12 % (96x64 pictures) and 3 % (256x128), WebP 3 %, JPEG below 1 %.
CLIMB_PER_CENT = 115


@dataclass(eq=False)
class Rung:
    """One entry: its payload's bytes by container, and the squared error of the 8-bit picture that comes out of it."""

    resolution: int
    quality: int
    stream: bytes | None  # None where another rung is better at every budget
    bytes: tuple[int, int]  # by container, in the order of CONTAINERS
    squared_error: int
    reach: tuple[int, int]  # the smallest budgets, by container, for which a climb gets here and this fits
    dearest: tuple[int, int]  # bytes of the dearest rung of the ladder up to here

    @property
    def rank(self) -> tuple[int, ...]:
        """Lower is better: the error, then bytes, then an order that settles ties the same way everywhere."""
        return self.squared_error, self.bytes[0], self.resolution, self.quality


class RateTable:
    """The ladders of one picture, one a resolution, each climbed in quality until payloads no longer fit.

    What is chosen for a budget is the entry of highest PSNR (after upscaling to the original size and rounding
    to 8 bits, against the original in 8 bits) that fits, over all ladders as far as the budget has them climbed.
    It depends on the budget alone, not on what was asked before, and more bits never make it worse. Squared
    errors are integers, so the choice is exact; each is measured on what a receiver makes of the stream.
    """

    def __init__(self, codec: Codec):
        self.codec = codec
        self._ladders: list[list[Rung]] = [[] for _ in SCALES]
        self._locks = [threading.Lock() for _ in SCALES]

    def climb(self, image: Image.Image, resolution: int, limit: int, container: str) -> None:
        """Make the rungs of one resolution that payloads of at most ``limit`` bytes may need."""
        with self._locks[resolution]:
            ladder, which = self._ladders[resolution], CONTAINERS.index(container)
            left = self.codec.qualities[len(ladder) :]
            if not left or (ladder and beyond(ladder[-1].dearest[which], limit)):
                return
            small = resample(image, coded_size(image.size, resolution))
            original = np.asarray(image, dtype=np.int16)
            for quality in left:
                ladder.append(self._rung(small, original, resolution, quality, ladder[-1].dearest if ladder else (0, 0)))
                if beyond(ladder[-1].dearest[which], limit):
                    return

    def _rung(self, small: Image.Image, original: np.ndarray, resolution: int, quality: int, below: tuple[int, int]) -> Rung:
        file = self.codec.encode(small, quality)
        stream = self.codec.strip(file)
        decoded = resample(self.codec.decode(stream, small.size, quality), original.shape[1::-1])
        error = int(np.square(np.asarray(decoded) - original, dtype=np.int32).sum(dtype=np.int64))
        size = (HEADER_BYTES + len(stream), HEADER_BYTES + len(file))
        reach = tuple(max(s, -(-100 * b // CLIMB_PER_CENT)) for s, b in zip(size, below, strict=True))
        return Rung(resolution, quality, stream, size, error, reach, (max(size[0], below[0]), max(size[1], below[1])))

    def rungs(self) -> list[Rung]:
        """All that has been made."""
        return [rung for ladder in self._ladders for rung in ladder]

    def best(self, limit: int, container: str) -> Rung | None:
        """The best rung that fits ``limit`` bytes, header included, once every ladder has been climbed that far."""
        which = CONTAINERS.index(container)
        return min((r for r in self.rungs() if r.reach[which] <= limit), key=lambda rung: rung.rank, default=None)

    def smallest(self, container: str) -> int:
        """Bytes of the smallest payload: the lowest quality of some resolution."""
        return min(ladder[0].bytes[CONTAINERS.index(container)] for ladder in self._ladders)

    def payload(self, rung: Rung, container: str, size: tuple[int, int]) -> bytes:
        """The bytes that cross the link; ``size`` is (width, height) of the original."""
        data = rung.stream
        if container == "full":
            data = self.codec.rebuild(data, coded_size(size, rung.resolution), rung.quality)
        return Payload(self.codec.number, container, rung.resolution, rung.quality, data).pack()

    def forget(self) -> None:
        """Let go of streams that no budget can ask for: another rung is better and within reach at least as early."""
        rungs = sorted((r for r in self.rungs() if r.stream is not None), key=lambda rung: rung.rank)
        kept = np.empty((0, 2))
        for rung in rungs:
            if (kept <= rung.reach).all(axis=1).any():
                rung.stream = None
            else:
                kept = np.vstack([kept, rung.reach])


def beyond(dearest: int, limit: int) -> bool:
    """Whether a ladder has been climbed far enough for payloads of ``limit`` bytes."""
    return 100 * dearest > CLIMB_PER_CENT * limit


_tables: OrderedDict[tuple[str, str], RateTable] = OrderedDict()
_tables_lock = threading.Lock()


def table(image: Image.Image, codec: Codec) -> RateTable:
    """The table of a picture, kept in this process for the next budget and the next system."""
    key = codec.name, hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()
    with _tables_lock:
        found = _tables.pop(key, None) or RateTable(codec)
        _tables[key] = found
        if len(_tables) > TABLES_KEPT:
            _tables.popitem(last=False)
    return found


def best_payloads(
    images: Sequence[Image.Image], codec: Codec, limit: int, container: str, pool: Executor
) -> list[bytes | int]:
    """For each picture the payload of highest PSNR within ``limit`` bytes; where none fits, the bytes of the smallest.

    Codecs release the interpreter's lock, so the ladders are climbed side by side, without a say in the result.
    """
    tables = [table(image, codec) for image in images]
    jobs = [(t, image, r) for t, image in zip(tables, images, strict=True) for r in range(len(SCALES))]
    list(pool.map(lambda job: job[0].climb(job[1], job[2], limit, container), jobs))
    chosen = [t.best(limit, container) for t in tables]
    for t in tables:
        t.forget()
    return [
        t.smallest(container) if rung is None else t.payload(rung, container, image.size)
        for t, image, rung in zip(tables, images, chosen, strict=True)
    ]
