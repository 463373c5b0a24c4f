"""Which reconstructions an image panel shows: rows are SNRs, columns are systems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: rows of a panel when the scenario names none: enough to see a cliff, few enough for a page
DEFAULT_ROWS = 4


@dataclass(frozen=True)
class Cell:
    """One picture of a panel: a system at a value of the axis that rows are of."""

    system: str
    axis: str
    at: Any
    unit: str
    image: str


def panel_cells(plan: Mapping[str, Any], images: Sequence[str]) -> Iterator[Cell]:
    """The cells of the scenario's panels, at the first point of every other axis.

    ``plan`` as it is stored; a tuned system is shown with the settings that were tuned for the plan's first metric.
    Rows are SNRs, or where only one is met, values of the axis that curves are drawn over.
    """
    panel = plan["figures"].get("panel") or {}
    axis, shown = places(plan["entries"], panel, plan["figures"])
    for image in panel.get("images") or list(images)[:1]:
        for value, entry in shown:
            yield Cell(entry["system"], axis, value, shown_unit(entry, plan["metrics"]), image)


def shown_unit(entry: Mapping[str, Any], metrics: Sequence[str]) -> str:
    """The unit whose pictures a panel shows where settings were chosen per metric: that of the first of ``metrics``, which it prints.
    An entry's own order says nothing: a file does not keep it."""
    return next(entry["unit"][metric] for metric in metrics if metric in entry["unit"])


def places(
    entries: Sequence[Mapping[str, Any]], section: Mapping[str, Any], figures: Mapping[str, Any]
) -> tuple[str, list[tuple[Any, Mapping[str, Any]]]]:
    """The axis that rows are of, and (value, entry) of every system that a section of the figures shows, row by row."""
    entries = chosen(entries, section)
    if not entries:
        return "snr_db", []
    axis = row_axis(entries, figures)
    others = lambda entry: {key: value for key, value in entry["values"].items() if key != axis}  # noqa: E731
    first = others(entries[0])
    entries = [entry for entry in entries if others(entry) == first]
    rows = rows_of_axis(entries, axis, section, DEFAULT_ROWS)
    return axis, [(value, entry) for value in rows for entry in entries if value_at(entry, axis) == value and entry["unit"]]


def first_transmissions(rows: pd.DataFrame, images: Mapping[str, Sequence[Mapping[str, Any]]]) -> pd.DataFrame:
    """Of stored rows the first transmission of each of the plan's ``images``, by (unit, image): what pictures show."""
    import pandas as pd

    planned = [(ref["id"], ref["digest"]) for refs in images.values() for ref in refs]
    first = rows[pd.MultiIndex.from_frame(rows[["image", "digest"]]).isin(planned) & (rows["repeat"] == 0)]
    return first.set_index(["unit", "image"])


def chosen(entries: Sequence[Mapping[str, Any]], section: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries that the section of the figures names, which may be references; those of all systems where it names none."""
    names = section.get("systems")
    return [entry for entry in entries if (entry["system"] in names if names else entry["role"] == "system")]


def row_axis(entries: Sequence[Mapping[str, Any]], figures: Mapping[str, Any]) -> str:
    """The SNR, unless only one is met and curves are drawn over another axis."""
    axis = (figures.get("curves") or {}).get("axis")
    one = len({entry["snr_db"] for entry in entries}) == 1
    return axis if one and axis and all(axis in entry["values"] for entry in entries) else "snr_db"


def value_at(entry: Mapping[str, Any], axis: str) -> Any:
    return entry["snr_db"] if axis == "snr_db" else entry["values"][axis]


def rows_of_axis(entries: Sequence[Mapping[str, Any]], axis: str, section: Mapping[str, Any], most: int) -> list[Any]:
    """The SNRs that the section names, or ``most`` of the values of the axis: SNRs in their order, others in the scenario's."""
    if axis == "snr_db":
        return list(section.get("snr_db") or spread(sorted({entry["snr_db"] for entry in entries}), most))
    return spread(list(dict.fromkeys(value_at(entry, axis) for entry in entries)), most)


def spread(values: Sequence[Any], count: int) -> list[Any]:
    """``count`` of the values, from the first to the last, evenly spread."""
    if len(values) <= count:
        return list(values)
    return [values[round(place * (len(values) - 1) / (count - 1))] for place in range(count)]
