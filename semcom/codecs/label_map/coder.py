"""Label maps to bytes and back: wave after wave of pixels, each coded with the frequencies that the network gives it."""

from __future__ import annotations

from dataclasses import dataclass

import lazy_loader as lazy
import numpy as np

from semcom.codecs.label_map import context, network
from semcom.codecs.label_map.network import CHUNK, Network
from semcom.errors import DataError

constriction = lazy.load("constriction")

#: pixels of the largest map: what a damaged header of a caller cannot make us allocate
LARGEST = 2**24
WORD = 4  # bytes of the range coder's words


@dataclass(frozen=True)
class Place:
    """Where a tile lies: its upper left pixel in the whole map, and (H, W) of that. A whole map lies at (0, 0)."""

    top: int
    left: int
    whole: tuple[int, int]

    def position(self, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """What the network is told of where pixels of the tile lie in the whole map."""
        return context.position(self.top + y, self.left + x, self.whole)


def encode(labels: np.ndarray, place: Place | None = None, model: Network | None = None) -> bytes:
    """The bytes of a label map [H, W] of classes 0 to 11. Raises: DataError."""
    labels = checked(labels)
    encoder = constriction.stream.queue.RangeEncoder()
    for classes, frequencies in _known(labels, place or Place(0, 0, labels.shape), model or network.shipped()):
        encoder.encode(classes.astype(np.int32), _family(), frequencies)
    return _shortest(encoder)


def decode(data: bytes, size: tuple[int, int], place: Place | None = None, model: Network | None = None) -> np.ndarray:
    """The label map uint8 [H, W] of ``size`` that ``data`` stands for.

    Other bytes than `encode` made give another map, or a DataError: what is damaged has to be found by a checksum.
    """
    height, width = _checked_size(size)
    place, model = place or Place(0, 0, (height, width)), model or network.shipped()
    decoder = constriction.stream.queue.RangeDecoder(_words(data))
    family = _family()
    canvas = context.padded(height, width)
    flat, offsets = canvas.reshape(-1), context.offsets(width)
    order, starts = context.waves(height, width)
    y, x = np.divmod(order, width)
    at = (y + context.ABOVE) * canvas.shape[1] + x + context.BESIDE
    row, column, phase, level = place.position(y, x)
    seen = np.zeros((1, context.CLASSES), dtype=bool)
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        here = at[start:stop]
        around = flat[here[:, None] + offsets]
        made = context.features(around, seen, row[start:stop], column[start:stop], phase[start:stop], level)
        try:
            classes = decoder.decode(family, model.frequencies(*made))
        except AssertionError as error:  # what constriction raises where no class has the point that the bytes name
            raise DataError(f"{len(data)} bytes are no label map of {height}x{width}: they are damaged; send them again") from error
        flat[here] = classes
        seen[0, classes] = True
    return context.inside(canvas).copy()


def ideal_bits(labels: np.ndarray, place: Place | None = None, model: Network | None = None) -> float:
    """What the network thinks of a map: the sum of -log2 of its frequencies. `encode` adds less than two bytes."""
    labels = checked(labels)
    parts = _known(labels, place or Place(0, 0, labels.shape), model or network.shipped())
    return float(sum(-np.log2(f[np.arange(len(c)), c] / network.TOTAL).sum() for c, f in parts))


def checked(labels: np.ndarray) -> np.ndarray:
    """uint8 [H, W]. Raises: DataError where it is no map, or holds what is no class."""
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise DataError(f"a label map of shape {list(labels.shape)} and type {labels.dtype} was given; expected whole numbers [H, W]")
    _checked_size(labels.shape)
    if labels.min() < 0 or labels.max() >= context.CLASSES:
        wrong = int(labels.min() if labels.min() < 0 else labels.max())
        raise DataError(f"the label map holds class {wrong}; allowed: 0 to {context.CLASSES - 1}, of which 11 is void")
    return labels.astype(np.uint8)


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    height, width = (int(side) for side in size)
    if min(height, width) < 1 or height * width > LARGEST:
        raise DataError(f"a label map of {height}x{width} was asked for; expected 1x1 to {LARGEST} pixels")
    return height, width


def _known(labels: np.ndarray, place: Place, model: Network):
    """(classes [n], frequencies [n, classes]) in the order of coding, where the whole map is known."""
    height, width = labels.shape
    canvas = context.padded(height, width)
    context.inside(canvas)[:] = labels
    flat, offsets = canvas.reshape(-1), context.offsets(width)
    order, starts = context.waves(height, width)
    wave = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    classes = labels.reshape(-1)[order]
    # the wave that a class is first seen in; never where it is not
    found = classes[None, :] == np.arange(context.CLASSES, dtype=np.uint8)[:, None]
    first = np.where(found.any(axis=1), wave[found.argmax(axis=1)], len(starts))
    y, x = np.divmod(order, width)
    at = (y + context.ABOVE) * canvas.shape[1] + x + context.BESIDE
    row, column, phase, level = place.position(y, x)
    for start in range(0, len(order), CHUNK):
        part = slice(start, start + CHUNK)
        around = flat[at[part, None] + offsets]
        made = context.features(around, first < wave[part, None], row[part], column[part], phase[part], level)
        yield classes[part], model.frequencies(*made)


def _family():
    """Categorical distributions given as whole numbers in double precision: constriction's sums and products are exact."""
    return constriction.stream.model.Categorical(perfect=False)


def _shortest(encoder) -> bytes:
    """The fewest bytes that, followed by zeros, lie in the encoder's final interval.

    The coder names an interval [low, low + range) of a number whose digits are the words sent; `pos` gives the lowest 64
    bits of low, and the words that it would send itself are a point inside.
    """
    position, (low, width) = encoder.pos()
    words = encoder.get_compressed()
    count = position + 2  # words in which low and range are whole numbers
    point = int.from_bytes(words.astype(">u4").tobytes(), "big") << (32 * (count - len(words)))
    bottom = point - ((point - low) % 2**64)
    for free in range(8 * WORD * count, -1, -8):
        value = -(-bottom >> free) << free
        if value < bottom + width:
            return value.to_bytes(WORD * count, "big")[: WORD * count - free // 8].rstrip(b"\0")
    raise AssertionError("an interval holds its own bottom")


def _words(data: bytes) -> np.ndarray:
    """The range coder's words; zeros follow."""
    return np.frombuffer(data + bytes(-len(data) % WORD), dtype=">u4").astype(np.uint32)
