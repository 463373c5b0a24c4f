"""Which reconstructions an image panel shows: rows are SNRs, columns are systems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: rows of a panel when the scenario names none: enough to see a cliff, few enough for a page
DEFAULT_ROWS = 4


@dataclass(frozen=True)
class Cell:
    """One picture of a panel: a system at an SNR."""

    system: str
    snr_db: float
    unit: str
    image: str


def panel_cells(entries: Sequence[Mapping[str, Any]], images: Sequence[str], figures: Mapping[str, Any]) -> Iterator[Cell]:
    """The cells of the scenario's panels, at the first point of every other axis.

    ``entries`` are the plan's, as stored; a tuned system is shown with the settings tuned for its first metric.
    """
    entries = [entry for entry in entries if entry["role"] == "system"]
    if not entries:
        return
    others = lambda entry: {key: value for key, value in entry["values"].items() if key != "snr_db"}  # noqa: E731
    first = others(entries[0])
    entries = [entry for entry in entries if others(entry) == first]
    panel = figures.get("panel") or {}
    available = sorted({entry["snr_db"] for entry in entries})
    shown = panel.get("snr_db") or spread(available, DEFAULT_ROWS)
    for image in panel.get("images") or list(images)[:1]:
        for snr_db in shown:
            for entry in entries:
                if entry["snr_db"] == snr_db and entry["unit"]:
                    yield Cell(entry["system"], snr_db, next(iter(entry["unit"].values())), image)


def spread(values: Sequence[float], count: int) -> list[float]:
    """``count`` of the values, from the first to the last, evenly spread."""
    if len(values) <= count:
        return list(values)
    return [values[round(place * (len(values) - 1) / (count - 1))] for place in range(count)]
