"""Lossless coding of label maps, near their entropy: a small causal network and a range coder.

A map [H, W] holds classes 0 to 11: CamVid's eleven and void. Its bytes carry no size and no length: both are known to the
link. Maps are sent at a size of `SIZES` (any other works); `resize` takes the class under the centre of each target pixel,
as labels follow a picture that is resized.

The rate of `encode` is within two bytes of what the network thinks of the map. `decode` gives exactly the map, on any
machine (`network`). One wrong bit spoils what follows, so bytes need a checksum; `encode_tiles` limits the harm to a tile.
`fit` simplifies a map until it fits a budget, and tells the cost.

Example::

    from semcom.codecs import label_map

    data = label_map.encode(labels, (64, 128))          # labels: [H, W], or [B, H, W] -> a list
    coarse = label_map.decode(data, (64, 128))          # uint8 [64, 128]
    sent = label_map.fit(coarse, bits=800)              # sent.data, sent.labels, sent.iou
    parts = label_map.encode_tiles(coarse, (2, 4))
    parts[3] = None                                     # lost
    damaged = label_map.decode_tiles(parts, (64, 128), (2, 4))  # UNKNOWN there

References: Rissanen, Langdon 1979, arithmetic coding; van den Oord, Kalchbrenner, Kavukcuoglu 2016, pixels by a network over
those before; Bamler 2022, the library `constriction`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from semcom.codecs.label_map import coder
from semcom.codecs.label_map.context import CLASSES
from semcom.codecs.label_map.lossy import LADDER, Fitted, fit, iou, simplify
from semcom.codecs.label_map.resize import SIZES, resize
from semcom.codecs.label_map.sliced import UNKNOWN, cost, decode_tile, decode_tiles, encode_tiles, tiles

__all__ = [
    "CLASSES", "LADDER", "SIZES", "UNKNOWN", "Fitted", "cost", "decode", "decode_tile", "decode_tiles", "encode", "encode_tiles",
    "fit", "iou", "resize", "simplify", "tiles",
]  # fmt: skip


def encode(labels: np.ndarray, size: tuple[int, int] | None = None) -> bytes | list[bytes]:
    """The bytes of a map [H, W] of whole numbers, or a list of those of a batch [B, H, W].

    ``size``: (H, W) to send it at; its own if not given. Raises: DataError where a class is out of range.
    """
    labels = np.asarray(labels)
    if size is not None and labels.ndim in (2, 3):
        labels = resize(labels, size)
    return [coder.encode(each) for each in labels] if labels.ndim == 3 else coder.encode(labels)


def decode(data: bytes | Sequence[bytes], size: tuple[int, int]) -> np.ndarray:
    """The map uint8 [H, W] of ``size``, or [B, H, W] of several strings. Raises: DataError where bytes are no map."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return coder.decode(bytes(data), size)
    return np.stack([coder.decode(each, size) for each in data]) if len(data) else np.zeros((0, *size), dtype=np.uint8)
