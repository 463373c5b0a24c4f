"""Entropy-coded label maps as bits: a few that say how the map was thinned and cut, then the coder's bytes.

======================  ====  ======================================================================================
field                   bits  meaning
======================  ====  ======================================================================================
size                    3     0 to 4: each side of the picture over 2^i, rounded up; 7: two fields of 12 bits follow
height, width less 1    24    only with size 7
tiled                   1     whether what follows is tiles
rows, columns less 1    8     only of tiles
======================  ====  ======================================================================================

A map in one piece: its bytes follow. Tiles: the number of the first tile, how many there are (as many bits as the number of
all tiles takes), and of each its length in bytes (7 bits a group, the lowest first, each behind a bit that says whether
another follows) and its bytes. Where the link loses a message slice by slice, each slice begins with a header of its own, no
tile lies in two, and the last bits of a slice are zeros. The length of the whole is not inside: the link knows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import lazy_loader as lazy
import numpy as np

from semcom.classes import UNKNOWN
from semcom.codecs import label_map
from semcom.errors import DataError
from semcom.maps.received import ReceivedMap, SoftMap
from semcom.maps.resize import resize
from semcom.types import Bits, Received, ReceivedBits

torch = lazy.load("torch")

FORM = "coded_map"
#: sizes by number: the sides of the picture over 2^number
SIZES = 5
EXPLICIT, SIZE_BITS, SIDE_BITS, GRID_BITS = 7, 3, 12, 4
MOST_TILES_A_SIDE = 2**GRID_BITS

Size = tuple[int, int]


def sizes(picture: Size) -> tuple[Size, ...]:
    """(H, W) that maps of a picture are sent at, the finest first.

    >>> sizes((128, 256))
    ((128, 256), (64, 128), (32, 64), (16, 32), (8, 16))
    """
    return tuple((-(-picture[0] // 2**i), -(-picture[1] // 2**i)) for i in range(SIZES))


@dataclass(frozen=True)
class Head:
    """What stands in front: the size of the map, and the grid of its tiles, (1, 1) for one piece."""

    size: Size
    grid: Size = (1, 1)

    def bits(self, picture: Size) -> list[int]:
        known = sizes(picture)
        bits = _bits(known.index(self.size), SIZE_BITS) if self.size in known else _bits(EXPLICIT, SIZE_BITS)
        if self.size not in known:
            bits += [bit for side in self.size for bit in _bits(side - 1, SIDE_BITS)]
        tiled = self.grid != (1, 1)
        return bits + [int(tiled)] + ([bit for side in self.grid for bit in _bits(side - 1, GRID_BITS)] if tiled else [])

    @staticmethod
    def read(bits: _Reader, picture: Size) -> Head | None:
        """None where the bits say what cannot be."""
        number = bits.take(SIZE_BITS)
        if SIZES <= number < EXPLICIT:
            return None
        size = (bits.take(SIDE_BITS) + 1, bits.take(SIDE_BITS) + 1) if number == EXPLICIT else sizes(picture)[number]
        grid = (bits.take(GRID_BITS) + 1, bits.take(GRID_BITS) + 1) if bits.take(1) else (1, 1)
        fits = size[0] <= picture[0] and size[1] <= picture[1] and grid[0] <= size[0] and grid[1] <= size[1]
        return Head(size, grid) if fits and not bits.ended_early else None


def pack(head: Head, tiles: Sequence[bytes], picture: Size, bits: int, slice_bits: int | None = None) -> np.ndarray | str:
    """The message uint8 [n] of a map, n at most ``bits``; where it does not fit, why.

    ``tiles``: the bytes of the tiles of the grid, row by row. ``slice_bits`` as in `semcom.types.Budget`.
    """
    front = head.bits(picture)
    if head.grid == (1, 1):
        needed = len(front) + 8 * len(tiles[0])
        return np.concatenate([np.array(front, np.uint8), _unpacked(tiles[0])]) if needed <= bits else _too_long(needed, bits)
    width, room = len(tiles).bit_length(), bits if slice_bits is None else slice_bits
    lead = len(front) + 2 * width
    slices: list[tuple[int, list[np.ndarray]]] = []
    free = -1
    for number, data in enumerate(tiles):
        one = np.concatenate([_length(len(data)), _unpacked(data)])
        if len(one) > free and (slice_bits is not None or not slices):
            if slice_bits is not None and lead + len(one) > slice_bits:
                return f"a tile needs {lead + len(one)} bits and a slice holds {slice_bits}"
            slices.append((number, []))
            free = room - lead
        slices[-1][1].append(one)
        free -= len(one)
    pieces = [
        np.concatenate([np.array(front + _bits(first, width) + _bits(len(held), width), np.uint8), *held]) for first, held in slices
    ]
    needed = (len(pieces) - 1) * room + len(pieces[-1])
    if needed > bits:
        return _too_long(needed, bits)
    return np.concatenate([*(np.pad(one, (0, room - len(one))) for one in pieces[:-1]), pieces[-1]])


def _too_long(needed: int, bits: int) -> str:
    return f"it needs {needed} bits and {bits} fit"


def message(payloads: Sequence[np.ndarray]) -> Bits:
    """The digital part of a message from what `pack` made of each image; an empty one where nothing fits."""
    lengths = [len(payload) for payload in payloads]
    bits = np.zeros((len(payloads), max(lengths, default=0)), dtype=np.uint8)
    for row, payload in zip(bits, payloads, strict=True):
        row[: len(payload)] = payload
    return Bits(torch.from_numpy(bits), torch.tensor(lengths, dtype=torch.int64), form=FORM)


def soft(part: ReceivedBits, received: Received) -> SoftMap:
    """Certain where the map arrived."""
    return SoftMap.of_labels(hard(part, received).labels)


def hard(part: ReceivedBits, received: Received) -> ReceivedMap:
    """The map of each row at the size of the picture, which may be known in part."""
    picture = tuple(received.image_size)
    bits, lengths, ok = part.bits.cpu().numpy(), part.lengths.tolist(), part.ok.tolist()
    arrived = None if part.arrived is None else part.arrived.cpu().numpy()
    rows, seen = [], {}
    for row, whole in enumerate(ok):
        here = whole if arrived is None else arrived[row]
        if not np.any(here):
            rows.append(None)
            continue
        key = bits[row, : lengths[row]].tobytes(), None if arrived is None or whole else here.tobytes()
        if key not in seen:
            known = None if arrived is None or whole else here
            seen[key] = unpack(bits[row, : lengths[row]], picture, known, part.slice_bits)
        rows.append(seen[key])
    unknown = torch.full(picture, UNKNOWN, dtype=torch.int64)
    labels = [unknown if found is None else resize(torch.from_numpy(found.astype(np.int64)), picture) for found in rows]
    labels = torch.stack(labels).to(part.bits.device)
    return ReceivedMap(labels, (labels != UNKNOWN).flatten(1).any(dim=1))


def unpack(bits: np.ndarray, picture: Size, arrived: np.ndarray | None = None, slice_bits: int | None = None) -> np.ndarray | None:
    """The map uint8 [h, w] at the size that it was sent at, UNKNOWN where tiles are missing; None where bits are no map.

    ``arrived`` bool [K]: which of the bits are known; None for all.
    """
    known = np.ones(len(bits), dtype=bool) if arrived is None else arrived[: len(bits)]
    head, found = None, {}
    for start in range(0, max(len(bits), 1), slice_bits or max(len(bits), 1)):
        stop = min(start + (slice_bits or len(bits)), len(bits))
        if not known[start:stop].all():
            continue
        reader = _Reader(bits[start:stop])
        said = Head.read(reader, picture)
        if said is None or (head is not None and said != head):
            return None  # an error that no CRC saw
        head = said
        if head.grid == (1, 1):  # one piece: all of it or nothing
            return _tile(np.packbits(bits[start + reader.place :]).tobytes(), head, 0) if known.all() else None
        found.update(_read_tiles(reader, head))
    return None if head is None else _assembled(found, head)


def _read_tiles(reader: _Reader, head: Head) -> Iterator[tuple[int, bytes]]:
    count = head.grid[0] * head.grid[1]
    width = count.bit_length()
    first, held = reader.take(width), reader.take(width)
    for number in range(first, min(first + held, count)):
        length, shift, more = 0, 0, 1
        while more and shift < 28:
            more, length, shift = reader.take(1), length | reader.take(7) << shift, shift + 7
        data = reader.bytes(length)
        if data is None:
            return
        yield number, data


def _assembled(found: dict[int, bytes], head: Head) -> np.ndarray | None:
    labels = np.full(head.size, UNKNOWN, dtype=np.uint8)
    for number, place in enumerate(label_map.tiles(head.size, head.grid)):
        if number in found and (tile := _tile(found[number], head, number)) is not None:
            labels[place] = tile
    return labels


@lru_cache(maxsize=4096)
def _tile(data: bytes, head: Head, number: int) -> np.ndarray | None:
    """The map of one tile, which arrives again and again; None where the bytes are none."""
    try:
        return label_map.decode_tile(data, head.size, head.grid, number)
    except DataError:
        return None


class _Reader:
    """Takes whole numbers from a row of bits; zeros follow the last."""

    def __init__(self, bits: np.ndarray):
        self._bits, self.place = bits, 0

    @property
    def ended_early(self) -> bool:
        return self.place > len(self._bits)

    def take(self, width: int) -> int:
        value = 0
        for bit in self._bits[self.place : self.place + width].tolist():
            value = value << 1 | bit
        missing = max(0, self.place + width - max(self.place, len(self._bits)))
        self.place += width
        return value << min(missing, width)

    def bytes(self, count: int) -> bytes | None:
        """None where there are not so many."""
        start, self.place = self.place, self.place + 8 * count
        return None if self.ended_early else np.packbits(self._bits[start : self.place]).tobytes()


def _bits(value: int, width: int) -> list[int]:
    return [value >> place & 1 for place in range(width - 1, -1, -1)]


def _unpacked(data: bytes) -> np.ndarray:
    return np.unpackbits(np.frombuffer(data, dtype=np.uint8))


def _length(value: int) -> np.ndarray:
    groups = []
    while True:
        value, low = value >> 7, value & 0x7F
        groups += [int(value > 0), *_bits(low, 7)]
        if not value:
            return np.array(groups, np.uint8)
