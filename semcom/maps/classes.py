"""The colours that the classes of a label map have in pictures, and maps painted in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader as lazy

from semcom.classes import NAMES, UNKNOWN
from semcom.types import GREY

if TYPE_CHECKING:
    from semcom.protocols import Source

torch = lazy.load("torch")

#: what a label map holds
LABELS = (*NAMES, "void")
#: red, green, blue, 0 to 255: means over the 48 scenes that the prior of the source `streets` averages, at 64x128
TYPICAL = (
    (190, 197, 208), (80, 73, 69), (67, 67, 67), (58, 57, 58), (73, 71, 68), (56, 58, 48),
    (59, 59, 61), (56, 50, 47), (64, 62, 64), (46, 44, 45), (43, 44, 32), (52, 48, 48),
)  # fmt: skip


def colours_of(source: Source | None) -> torch.Tensor:
    """Mean colour of each class in the training images of a source, float32 [12, 3] in [0, 1].

    A class that they do not have, or all of them where they are not labelled with these classes, has the colour that it has
    in street scenes (`TYPICAL`).
    """
    colours = torch.tensor(TYPICAL, dtype=torch.float32) / 255.0
    found = source.class_colours() if source is not None and tuple(source.classes) == LABELS else None
    return colours if found is None else torch.where(found.isfinite(), found, colours)


def paint(labels: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """Pixels float32 [B, 3, H, W] of a label map int64 [B, H, W] in ``colours`` [12, 3]; what is not known is grey."""
    known = labels != UNKNOWN
    painted = colours.to(labels.device)[torch.where(known, labels, 0)].movedim(-1, 1)
    return torch.where(known[:, None], painted, GREY).contiguous()
