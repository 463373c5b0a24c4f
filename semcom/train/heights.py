"""What the height of a pixel tells of its class: what `semcom weights heights` puts into a segmenter that is trained.

A segmenter that learned from small crops does not know that a road is below and a sky above. Where all pictures are framed
alike, log p(class | height) / p(class) of the training labels, times a strength, is added to its scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semcom.errors import DataError, WeightsError, allowed
from semcom.models import storage
from semcom.models.segmenter.classes import NAMES
from semcom.train.card import renew
from semcom.train.data import Augmentation, Steps, source_of
from semcom.train.pack import Pack

#: bands of equal height, between whose centres is interpolated: 8 of 128 rows each
BANDS = 16
#: share of a band's pixels that the classes get as in the whole picture: none is impossible at any height
ADDED = 1e-3


def make(
    folder: Path, packs: Sequence[str | Path], strength: float = 0.5, source: str | None = None, size: tuple[int, int] = (128, 256)
) -> None:
    """Put the table of ``packs``, or of their pictures from ``source``, into the segmenter in ``folder``; strength 0 takes it
    out. Raises: WeightsError, DataError."""
    said = storage.config(folder)
    if said.get("_class_name") != "Segmenter":
        raise WeightsError(f"'{folder}' holds a {said.get('_class_name')}; give the folder of a Segmenter")
    opened = [Pack.open(pack) for pack in packs]
    table = strength * told(frequencies(opened, size, source))
    said["heights"] = [[round(float(value), 3) for value in row] for row in table] if strength else None
    storage.write_json(folder / storage.CONFIG, said)
    if storage.facts(folder):
        about = {"strength": strength, "source": source or "all", "packs": [pack.digest for pack in opened]}
        renew(folder, {"heights": about if strength else {}})


def frequencies(packs: Sequence[Pack], size: tuple[int, int], source: str | None = None) -> np.ndarray:
    """How often a class occurs at a height of the largest centred crops of shape ``size``, float64 [11, BANDS]."""
    steps = Steps(packs, Augmentation(size), 1, 0, (0,))
    sources = {source_of(name) for pack in packs for name in pack.names}
    if source is not None and source not in sources:
        raise DataError(f"there is no source '{source}' in the packs; {allowed(source, sources)}")
    counts = np.zeros((len(NAMES), BANDS))
    for place, (pack, index) in enumerate(steps.places):
        if (source is None or source_of(pack.names[index]) == source) and (labels := steps.labels(place)) is not None:
            for band, rows in enumerate(np.array_split(labels, BANDS)):
                counts[:, band] += np.bincount(rows.ravel(), minlength=len(NAMES))[: len(NAMES)]
    if not counts.any():
        raise DataError("the packs hold no labelled pixel; heights are counted in labels")
    return counts


def told(counts: np.ndarray) -> np.ndarray:
    """log p(class | height) / p(class) from counts [classes, heights]; 0 for a class that never occurs."""
    overall = counts.sum(axis=1) / counts.sum()
    given = counts / np.maximum(counts.sum(axis=0), 1.0)
    mixed = (1.0 - ADDED) * given + ADDED * overall[:, None]
    return np.log(np.where(overall[:, None] > 0.0, mixed, 1.0) / np.where(overall > 0.0, overall, 1.0)[:, None])
