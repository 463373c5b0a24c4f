"""The pictures that a results folder keeps: as received, as maps of classes, and where these are wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any

from semcom.figures.axis import facet_title
from semcom.figures.errors import DIFFERENCE_KINDS, ERROR_KINDS, error_map
from semcom.figures.sheet import Cell, Shades, sheet
from semcom.figures.textures import CLASS_KINDS
from semcom.store.cases import Case, classes_of, worst_cases
from semcom.store.labels import evaluator_map, read_labels
from semcom.store.layout import Layout, safe_name
from semcom.store.panel import Cell as Place
from semcom.store.panel import first_transmissions, panel_cells
from semcom.store.reader import read_batches, read_picture, read_plane

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

LOST, INFEASIBLE, NOT_RUN, NO_MAP = "frame lost", "infeasible", "not run", "no map is sent"
NO_UNCERTAINTY = "no samples are drawn"
ORIGINAL = "original"
#: what uncertainty and errors are measured in: pixel values have a peak of 1
DEVIATION = "standard deviation of samples, or absolute error; mean over colours, share of peak white"
#: what AUROCs are of, in captions
FORETOLD = {"errors": "large_errors", "new": "new_errors", "changed": "changed_classes"}


def sheet_figures(layout: Layout, plan: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """By name, for every image of the scenario's panel: the pictures over the SNR; where maps were kept, received maps and
    errors over the SNR, and everything at each SNR; the samples of each system that draws any, and the worst pictures of each."""
    images = [ref["id"] for refs in plan["images"].values() for ref in refs]
    by_image: dict[str, list[Place]] = {}
    for place in panel_cells(plan, images):
        by_image.setdefault(place.image, []).append(place)
    if not by_image:
        return
    stored = read_batches(layout)
    rows = first_transmissions(stored, plan["images"])
    for image, places in by_image.items():
        shown = _Image(layout, plan, image, [_Sent(layout, plan, place, rows) for place in places])
        if shown.original is not None:
            yield from shown.figures()
    by_system: dict[str, list[tuple[Case, _Image]]] = {}
    for case in worst_cases(plan, stored):
        shown = _Image(layout, plan, case.cell.image, [_Sent(layout, plan, case.cell, rows)])
        if shown.original is not None and shown.sent[0].picture is not None:
            by_system.setdefault(case.cell.system, []).append((case, shown))
    for system, cases in by_system.items():
        yield f"worst_{safe_name(system)}", _worst(cases, classes_of(plan["figures"]))


@dataclass(frozen=True)
class _Sent:
    """One image through one system at one value of the axis: what is stored of it."""

    layout: Layout
    plan: Mapping[str, Any]
    at: Place
    rows: pd.DataFrame

    @cached_property
    def row(self) -> Mapping[str, Any] | None:
        key = (self.at.unit, self.at.image)
        return self.rows.loc[key].to_dict() if key in self.rows.index else None

    @property
    def arrived(self) -> bool:
        return self.row is not None and bool(self.row["ok"])

    @property
    def why_not(self) -> str:
        """Why there is nothing to show."""
        return NOT_RUN if self.row is None else LOST if self.row["status"] == "done" else INFEASIBLE

    @cached_property
    def picture(self) -> np.ndarray | None:
        return read_picture(self.layout.picture(self.at.unit, self.at.image)) if self.arrived else None

    @cached_property
    def received(self) -> np.ndarray | None:
        return self._labels("received")

    @cached_property
    def evaluated(self) -> np.ndarray | None:
        return self._labels("evaluator")

    def _labels(self, what: str) -> np.ndarray | None:
        return read_labels(self.layout.label_map(self.at.unit, self.at.image, what)) if self.arrived else None

    @cached_property
    def uncertainty(self) -> np.ndarray | None:
        return read_plane(self.layout.uncertainty(self.at.unit, self.at.image)) if self.arrived else None

    @cached_property
    def samples(self) -> list[np.ndarray]:
        """Those that were kept."""
        paths = (self.layout.sample(self.at.unit, self.at.image, number) for number in count(1))
        return list(takewhile(lambda picture: picture is not None, map(read_picture, paths))) if self.arrived else []

    def uncertainty_cell(self, shades: Shades) -> Cell:
        if self.uncertainty is None:
            return Cell(None, "", NO_UNCERTAINTY if self.arrived else self.why_not)
        said = [_said(f"{what}\N{NO-BREAK SPACE}{{:.2f}}", self.row, f"auroc_{column}") for what, column in FORETOLD.items()]
        return Cell(self.uncertainty, "AUROC " + ", ".join(filter(None, said)) if any(said) else "", shades=shades)

    def picture_cell(self, grey: np.ndarray) -> Cell:
        """The picture, or the ``grey`` one that the receiver shows of a lost frame."""
        if not self.arrived:
            return Cell(grey if self.why_not == LOST else None, "", self.why_not)
        metric = self.plan["metrics"][0]
        quantity = self.plan["quantities"][metric]
        value = self.row[quantity.get("image") or metric]
        name, _, unit = quantity["label"].partition(" [")
        said = f"{f'{value:#.3g}'.rstrip('.')} {unit.rstrip(']')}" if unit else f"{name} {value:.3f}"
        return Cell(self.picture, "" if math.isnan(value) else said, "" if self.picture is not None else NOT_RUN)

    def map_cell(self, labels: np.ndarray | None, iou: str) -> Cell:
        if labels is None:
            return Cell(None, "", NO_MAP if self.arrived else self.why_not)
        return Cell(labels, _said("mIoU {:.2f}", self.row, iou), kinds=CLASS_KINDS)

    def error_cell(self, labels: np.ndarray | None, judge: Callable[[np.ndarray], np.ndarray], scored: bool, suffix: str) -> Cell:
        if labels is None:
            return Cell(None, "", NO_MAP if self.arrived else self.why_not)
        if not scored:
            return Cell(judge(labels), kinds=DIFFERENCE_KINDS)
        new, repaired = f"new_errors{suffix}", f"repaired_errors{suffix}"
        return Cell(judge(labels), _said("new {:.1%}, repaired\N{NO-BREAK SPACE}{:.1%}", self.row, new, repaired), kinds=ERROR_KINDS)


def _said(text: str, row: Mapping[str, Any], *columns: str) -> str:
    """The text with the row's numbers; empty where it has not all of them."""
    values = [row.get(column, float("nan")) for column in columns]
    return "" if any(map(math.isnan, values)) else text.format(*values).replace("%", "\N{NO-BREAK SPACE}%")


@dataclass(frozen=True)
class _Image:
    """One image, with everything that is stored of it."""

    layout: Layout
    plan: Mapping[str, Any]
    name: str
    sent: Sequence[_Sent]

    @property
    def source(self) -> str:
        return self.plan["source_of"][self.sent[0].at.unit]

    @cached_property
    def original(self) -> np.ndarray | None:
        return read_picture(self.layout.original(self.source, self.name))

    @cached_property
    def truth(self) -> np.ndarray | None:
        return self._labels("truth")

    @cached_property
    def evaluated(self) -> np.ndarray | None:
        evaluators = self.plan.get("evaluators")
        return self._labels(evaluator_map(evaluators[0]["digest"])) if evaluators else None

    def _labels(self, what: str) -> np.ndarray | None:
        return read_labels(self.layout.label_map(self.layout.originals(self.source), self.name, what))

    @cached_property
    def _judge(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """From a map to its errors: of the truth, or else of the evaluator's map of the original."""
        if self.evaluated is None:
            return None
        truth = self.evaluated if self.truth is None else self.truth
        return lambda labels: error_map(truth, self.evaluated, labels)

    @property
    def _truth_cell(self) -> Cell:
        return Cell(self.truth, "true classes", kinds=CLASS_KINDS)

    @property
    def _baseline_cell(self) -> Cell:
        return Cell(self._judge(self.evaluated), "evaluator on the original", kinds=ERROR_KINDS)

    def figures(self) -> Iterator[tuple[str, Figure]]:
        import numpy as np

        name, grey = safe_name(self.name), np.full_like(self.original, 128)
        yield f"panel_{name}", self._over_axis([Cell(self.original)], lambda sent: sent.picture_cell(grey), self.sent)
        with_map = {sent.at.system for sent in self.sent if sent.received is not None}
        if with_map:
            firsts = [Cell(self.original), *([self._truth_cell] if self.truth is not None else [])]
            mapped = [sent for sent in self.sent if sent.at.system in with_map]
            yield f"received_{name}", self._over_axis(firsts, lambda sent: sent.map_cell(sent.received, "miou_image_received"), mapped)
        if self._judge and any(sent.evaluated is not None for sent in self.sent):
            firsts = [Cell(self.original), *([self._baseline_cell] if self.truth is not None else [])]
            yield f"errors_{name}", self._over_axis(firsts, self.errors, self.sent)
        if with_map or self._judge:
            for at in dict.fromkeys(sent.at.at for sent in self.sent):
                here = [sent for sent in self.sent if sent.at.at == at]
                yield f"maps_{name}_{here[0].at.axis}={safe_name(str(at))}", self._at_value(here, grey, bool(with_map))
        for system in dict.fromkeys(sent.at.system for sent in self.sent if sent.uncertainty is not None or sent.samples):
            yield f"samples_{name}_{safe_name(system)}", self._doubts([sent for sent in self.sent if sent.at.system == system], grey)

    def _doubts(self, sent: Sequence[_Sent], grey: np.ndarray) -> Figure:
        """What one system shows, what else it may have been, how far that differs, and how far the shown one is from the truth."""
        errors = {one.at.at: _difference(one.picture, self.original) for one in sent if one.picture is not None}
        planes = [*errors.values(), *(one.uncertainty for one in sent if one.uncertainty is not None)]
        shades, cells = Shades.over(planes, DEVIATION), {}
        most = max(len(one.samples) for one in sent)
        for one in sent:
            row = _row_name(one.at)
            cells[row, "shown"] = one.picture_cell(grey)
            for number in range(most):
                there = number < len(one.samples)
                cells[row, f"sample {number + 1}"] = Cell(one.samples[number]) if there else Cell(None, "", one.why_not if not one.arrived else NOT_RUN)
            cells[row, "uncertainty"] = one.uncertainty_cell(shades)
            error = errors.get(one.at.at)
            cells[row, "error"] = Cell(None, "", one.why_not) if error is None else Cell(error, f"mean {error.mean():.3f}", shades=shades)
        rows, columns = list(dict.fromkeys(row for row, _ in cells)), list(dict.fromkeys(column for _, column in cells))
        return sheet(self.original.shape[:2], {rows[0]: Cell(self.original)}, cells, rows, columns, ORIGINAL)

    def errors(self, sent: _Sent) -> Cell:
        """Where the evaluator errs in a reconstruction."""
        return sent.error_cell(sent.evaluated, self._judge, self.truth is not None, "")

    def _over_axis(self, firsts: Sequence[Cell], cell: Callable[[_Sent], Cell], sent: Sequence[_Sent]) -> Figure:
        """A row a value of the axis, a column a system; ``firsts`` stand below each other where there are rows for them."""
        rows, columns = list(dict.fromkeys(_row_name(one.at) for one in sent)), list(dict.fromkeys(one.at.system for one in sent))
        cells = {(_row_name(one.at), one.at.system): cell(one) for one in sent}
        cells = {(row, column): cells.get((row, column), Cell(None, "", INFEASIBLE)) for row in rows for column in columns}
        return sheet(self.original.shape[:2], dict(zip(rows, firsts, strict=False)), cells, rows, columns, ORIGINAL)

    def _at_value(self, sent: Sequence[_Sent], grey: np.ndarray, with_map: bool) -> Figure:
        """Pictures, maps and errors of each system at one value of the axis."""
        firsts, cells = {"picture": Cell(self.original)}, {("picture", one.at.system): one.picture_cell(grey) for one in sent}
        if with_map:
            if self.truth is not None:
                firsts["received map"] = self._truth_cell
            cells |= {("received map", one.at.system): one.map_cell(one.received, "miou_image_received") for one in sent}
            if self._judge:
                errors = lambda one: one.error_cell(one.received, self._judge, self.truth is not None, "_received")  # noqa: E731
                cells |= {("errors in received map", one.at.system): errors(one) for one in sent}
        if self._judge:
            seen, errors = "evaluator's map", "errors in evaluator's map"
            score = next((one.row for one in sent if one.arrived), {})
            firsts[seen] = Cell(self.evaluated, _said("mIoU {:.2f}", score, "miou_image_of_original"), kinds=CLASS_KINDS)
            cells |= {(seen, one.at.system): one.map_cell(one.evaluated, "miou_image") for one in sent}
            if self.truth is not None:
                firsts[errors] = self._baseline_cell
            cells |= {(errors, one.at.system): self.errors(one) for one in sent}
        if doubted := [one.uncertainty for one in sent if one.uncertainty is not None]:
            shades = Shades.over(doubted, DEVIATION)
            cells |= {("uncertainty", one.at.system): one.uncertainty_cell(shades) for one in sent}
        rows, columns = list(dict.fromkeys(row for row, _ in cells)), [one.at.system for one in sent]
        return sheet(self.original.shape[:2], firsts, cells, rows, columns, ORIGINAL, names_first=True)


def _row_name(place: Place) -> str:
    if place.axis == "snr_db":
        return f"{place.at:g} dB".replace("-", "−")
    return place.at if isinstance(place.at, str) else facet_title(place.axis, place.at, None)


def _worst(cases: Sequence[tuple[Case, _Image]], classes: Sequence[str]) -> Figure:
    """The worst pictures of one system: original and received, the evaluator's maps of both, and where it errs now."""
    firsts, cells = {}, {}
    for case, image in cases:
        [sent], row = image.sent, _row_name(case.cell)
        firsts[row] = Cell(image.original, image.name)
        cells[row, "received"] = Cell(sent.picture)
        cells[row, "evaluator on the original"] = Cell(image.evaluated, kinds=CLASS_KINDS)
        cells[row, "evaluator on the received"] = sent.map_cell(sent.evaluated, "miou_image")
        said = "; ".join(f"{what} {_counted(counts)}" for what, counts in (("lost", case.lost), ("invented", case.invented)) if counts)
        cells[row, "errors"] = replace(image.errors(sent), caption=said)
    columns = list(dict.fromkeys(column for _, column in cells))
    (case, image), *_ = cases
    return sheet(image.original.shape[:2], firsts, cells, list(firsts), columns, ORIGINAL, note=_rule(case.cell.system, classes))


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}\N{NO-BREAK SPACE}{number}" for name, number in counts.items())


def _rule(system: str, classes: Sequence[str]) -> str:
    names = ", ".join(classes)
    return (
        f"{system}. Each row is the image with the most pixels of {names} that were lost (of such a class, right on the original, wrong now) "
        "or invented (of another class, right on the original, now taken for one of these), among first transmissions that arrived; each image once."
    )


def _difference(picture: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Absolute difference of two pictures uint8 [H, W, 3], mean over colours, peak 1."""
    return abs(picture.astype("float32") - original).mean(axis=2) / 255.0
