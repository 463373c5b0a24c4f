"""Maps in tiles that decode on their own: a lost tile is an unknown region and harms no other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from semcom.codecs.label_map import coder
from semcom.codecs.label_map.coder import Place
from semcom.codecs.label_map.network import Network
from semcom.errors import DataError

#: what a lost tile holds: no class
UNKNOWN = 255
Grid = tuple[int, int]


def tiles(size: tuple[int, int], grid: Grid) -> Iterator[tuple[slice, slice]]:
    """(rows, columns) of each tile of a grid (down, across), row by row; sides differ by at most one pixel.

    >>> [(rows.start, rows.stop) for rows, _ in tiles((5, 4), (2, 1))]
    [(0, 2), (2, 5)]
    """
    for side, count in zip(size, grid, strict=True):
        if not 1 <= count <= side:
            raise DataError(f"a grid of {grid[0]}x{grid[1]} tiles was given for a map of {size[0]}x{size[1]}; a tile needs a pixel")
    down, across = ([n * i // count for i in range(count + 1)] for n, count in zip(size, grid, strict=True))
    for top, bottom in zip(down[:-1], down[1:], strict=True):
        for left, right in zip(across[:-1], across[1:], strict=True):
            yield slice(top, bottom), slice(left, right)


def encode_tiles(labels: np.ndarray, grid: Grid, model: Network | None = None) -> list[bytes]:
    """One string of bytes a tile. A tile knows where in the map it lies, and nothing of its neighbours."""
    labels = coder.checked(labels)
    return [
        coder.encode(labels[place], Place(place[0].start, place[1].start, labels.shape), model)
        for place in tiles(labels.shape, grid)
    ]


def decode_tile(data: bytes, size: tuple[int, int], grid: Grid, number: int, model: Network | None = None) -> np.ndarray:
    """One tile uint8 [h, w] of a map of ``size``, by its number in the order of `tiles`. Raises: DataError where bytes are no map."""
    rows, columns = list(tiles(size, grid))[number]
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    return coder.decode(data, shape, Place(rows.start, columns.start, size), model)


def decode_tiles(
    parts: Sequence[bytes | None], size: tuple[int, int], grid: Grid, model: Network | None = None
) -> np.ndarray:
    """The map uint8 [H, W]; a tile that is None, or that does not decode, is UNKNOWN."""
    places = list(tiles(size, grid))
    if len(parts) != len(places):
        raise DataError(f"{len(parts)} tiles were given for a grid of {grid[0]}x{grid[1]}; expected {len(places)}, None where lost")
    labels = np.full(size, UNKNOWN, dtype=np.uint8)
    for number, (part, place) in enumerate(zip(parts, places, strict=True)):
        if part is not None:
            try:
                labels[place] = decode_tile(part, size, grid, number, model)
            except DataError:  # the checksum of a tile should have told; an unknown region is what it is
                continue
    return labels


def cost(labels: np.ndarray, grid: Grid, model: Network | None = None) -> int:
    """Bytes that the tiles of a map take beyond the map in one piece."""
    return sum(map(len, encode_tiles(labels, grid, model))) - len(coder.encode(labels, model=model))


