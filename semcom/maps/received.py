"""What is known of a label map that arrived, whatever form it was sent in: hard, soft, coarse, partial or absent."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lazy_loader as lazy

from semcom.classes import UNKNOWN, VOID
from semcom.errors import ScenarioError, allowed
from semcom.maps.resize import resize
from semcom.types import Received, ReceivedBits, ReceivedReals

if TYPE_CHECKING:
    from semcom.maps.analog import Denoise

torch = lazy.load("torch")

#: the part of a message that holds a map
PART = "map"
#: classes of a map, void among them
CLASSES = VOID + 1

#: form of the part -> its module, which has ``soft(part, received) -> SoftMap`` and ``hard(part, received) -> ReceivedMap``
FORMS: dict[str, str] = {
    "coded_map": "semcom.maps.coded",
    "index_map": "semcom.maps.index",
    "class_dct": "semcom.maps.transform",
    "class_planes": "semcom.maps.planes",
    "gesco_planes": "semcom.maps.gesco",
}


@dataclass(frozen=True)
class SoftMap:
    """``probabilities`` float32 [B, 12, h, w], which add to 1 over the classes; ``known`` bool [B, h, w], False where
    nothing arrived (all classes are then equally probable). h and w are at most those of the picture."""

    probabilities: torch.Tensor
    known: torch.Tensor

    def labels(self) -> torch.Tensor:
        """int64 [B, h, w]: the most probable class, UNKNOWN where nothing is known."""
        return torch.where(self.known, self.probabilities.argmax(dim=1), UNKNOWN)

    def resized(self, size: tuple[int, int]) -> SoftMap:
        """At another size, each pixel as the one that covers its centre."""
        return SoftMap(resize(self.probabilities, size), resize(self.known, size))

    @staticmethod
    def of_labels(labels: torch.Tensor) -> SoftMap:
        """Of a hard map int64 [B, h, w]: certain where it is not UNKNOWN."""
        known = labels != UNKNOWN
        certain = torch.nn.functional.one_hot(torch.where(known, labels, 0), CLASSES).movedim(-1, 1).to(torch.float32)
        return SoftMap(torch.where(known[:, None], certain, 1.0 / CLASSES), known)

    @staticmethod
    def absent(count: int, size: tuple[int, int], device: torch.device | str = "cpu") -> SoftMap:
        """Nothing is known."""
        known = torch.zeros((count, *size), dtype=torch.bool, device=device)
        return SoftMap(torch.full((count, CLASSES, *size), 1.0 / CLASSES, device=device), known)


@dataclass(frozen=True)
class ReceivedMap:
    """A map as a receiver shows it: ``labels`` int64 [B, H, W] at the size of the picture, UNKNOWN where nothing arrived;
    ``ok`` bool [B], False where nothing of it did; ``soft``: what is known of each class, where the form tells that."""

    labels: torch.Tensor
    ok: torch.Tensor
    soft: SoftMap | None = None

    @staticmethod
    def of_soft(soft: SoftMap, size: tuple[int, int]) -> ReceivedMap:
        """The most probable classes."""
        return ReceivedMap(resize(soft.labels(), size), soft.known.flatten(1).any(dim=1), soft)


def soft_map(received: Received) -> SoftMap:
    """What is known of the label map: of any form, whole, in part, or not sent at all."""
    part = received.parts.get(PART)
    if part is None:
        granted = received.usage.granted
        return SoftMap.absent(len(granted), received.image_size, granted.device)
    return _form(part).soft(part, received)


def received_map(received: Received, denoise: Denoise | None = None) -> ReceivedMap:
    """The label map as it is, each form read in its plainest way; ``denoise``, of analog forms alone, reads them in another.

    Raises: ScenarioError where no map was sent.
    """
    part = received.parts.get(PART)
    if part is None:
        raise ScenarioError(f"a label map is wanted and the message has {', '.join(received.parts)}; send one, as part '{PART}'")
    form = _form(part)
    return form.hard(part, received) if denoise is None else form.hard(part, received, denoise)


def _form(part: ReceivedBits | ReceivedReals):
    if part.form not in FORMS:
        raise ScenarioError(f"part '{PART}' has the form '{part.form}', which is no label map; {allowed(part.form, FORMS)}")
    return importlib.import_module(FORMS[part.form])
