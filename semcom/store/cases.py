"""Which received pictures show most of what was invented and what was lost: found by a rule, never by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from semcom.classes import NAMES
from semcom.store.panel import Cell, first_transmissions, places, shown_unit

if TYPE_CHECKING:
    import pandas as pd

#: what hurts most where it is invented or lost
DEFAULT_CLASSES = ("car", "pedestrian", "bicyclist", "sign")
#: columns with counts of pixels by class: wrong now and right on the original, by their true class and by what they are taken for
LOST, INVENTED = "new_errors_by_class", "invented_by_class"


@dataclass(frozen=True)
class Case:
    """A picture and its pixels of the classes asked for that were lost, and those that are taken for one of them."""

    cell: Cell
    lost: Mapping[str, int]
    invented: Mapping[str, int]


def classes_of(figures: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes that the scenario asks for."""
    return tuple((figures.get("inventions") or {}).get("classes") or DEFAULT_CLASSES)


def worst_cases(plan: Mapping[str, Any], rows: pd.DataFrame) -> list[Case]:
    """For each system and each row of a panel, the image with most lost and invented pixels together, each image once a system.

    ``rows`` are all that are stored. First transmissions count that arrived; ties go to the first image. Where new errors
    were not measured there is none.
    """
    figures = plan["figures"]
    if not len(rows) or LOST not in rows or INVENTED not in rows:
        return []
    first = first_transmissions(rows, plan["images"])
    first = first[first["ok"].astype(bool) & first[LOST].notna()]
    numbers, images = [NAMES.index(name) for name in classes_of(figures)], [ref["id"] for refs in plan["images"].values() for ref in refs]
    axis, shown = places(plan["entries"], figures.get("inventions") or {}, figures)
    found, taken = [], {entry["system"]: set() for _, entry in shown}
    for value, entry in shown:
        unit = entry["unit"].get("new_errors") or shown_unit(entry, plan["metrics"])
        counted = {image: _count(first.loc[(unit, image)], numbers) for image in images if (unit, image) in first.index}
        left = {image: count for image, count in counted.items() if count and image not in taken[entry["system"]]}
        if left:
            image = max(left, key=left.__getitem__)
            taken[entry["system"]].add(image)
            row = first.loc[(unit, image)]
            found.append(Case(Cell(entry["system"], axis, value, unit, image), _named(row[LOST], numbers), _named(row[INVENTED], numbers)))
    return found


def _count(row: Mapping[str, Any], numbers: Sequence[int]) -> int:
    return sum(int(row[column][number]) for column in (LOST, INVENTED) for number in numbers)


def _named(counts: Sequence[int], numbers: Sequence[int]) -> dict[str, int]:
    return {NAMES[number]: int(counts[number]) for number in numbers if counts[number]}
