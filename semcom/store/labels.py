"""Label maps as files: indexed PNG whose index is the class, in the colours in which CamVid's maps are usually shown."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from semcom.classes import COLOURS, UNKNOWN, VOID
from semcom.errors import DataError, StoreError
from semcom.store.writer import atomically

if TYPE_CHECKING:
    import numpy as np

#: RGB of what is not known
UNKNOWN_COLOUR = (208, 208, 208)


def evaluator_map(digest: str) -> str:
    """What the evaluator's map of an original is kept as; of another evaluator it is another map."""
    return f"evaluator-{hashlib.sha256(digest.encode()).hexdigest()[:16]}"


def write_labels(path: Path, labels: np.ndarray) -> None:
    """Whole numbers [H, W], each a class or `UNKNOWN`. Raises: DataError for others; StoreError if the disk refuses."""
    import numpy as np
    from PIL import Image

    labels = np.asarray(labels)
    wrong = np.unique(labels[(labels != UNKNOWN) & ((labels < 0) | (labels > VOID))])
    if labels.ndim != 2 or len(wrong):
        raise DataError(
            f"a label map of shape {labels.shape} with the values {wrong.tolist()[:5]} cannot be kept; "
            f"expected [H, W] of 0 to {VOID}, or {UNKNOWN} where nothing is known"
        )
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(_palette())  # makes it an indexed picture
    atomically(path, lambda temporary: image.save(temporary))


def read_labels(path: Path) -> np.ndarray | None:
    """uint8 [H, W], or None where no map was kept. Raises: StoreError where the file is no label map."""
    import numpy as np
    from PIL import Image

    if not path.is_file():
        return None
    with Image.open(path) as image:
        if image.mode != "P":
            raise StoreError(f"{path} is no label map but a picture of mode {image.mode}; delete it and run again")
        return np.asarray(image)


def _palette() -> list[int]:
    """256 colours; those that no class has are that of `UNKNOWN`."""
    colours = [*COLOURS, *[UNKNOWN_COLOUR] * (256 - len(COLOURS))]
    return [level for colour in colours for level in colour]
