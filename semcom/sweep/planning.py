"""Making a plan: every point of every curve, with its free settings chosen, and the plan as plain data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from semcom.classes import NAMES
from semcom.scenario.identity import canonical, digest
from semcom.store.layout import Layout
from semcom.store.reader import read_json
from semcom.store.writer import write_json
from semcom.sweep.members import Curve, curves_of
from semcom.sweep.overlaps import scored_classes
from semcom.sweep.plan import Entry, Plan, Unit, source_key
from semcom.sweep.prepare import Prepared
from semcom.sweep.tune import VERSION as TUNING_VERSION
from semcom.sweep.tune import Tuner, tuning_refs

#: a stage of the planning: points done, points in all
Stage = tuple[int, int]


class Planner:
    """Walks over the points of a scenario; `stages` says how far it is, `plan` is what came out."""

    def __init__(self, scenario, prepared: Prepared, layout: Layout):
        self.scenario, self.prepared, self.layout = scenario, prepared, layout
        self._tuner = Tuner(prepared.workshop, prepared.measure, scenario.seed, scenario.tuning)
        self._entries: list[Entry] = []
        self._units: dict[str, Unit] = {}

    def stages(self) -> Iterator[Stage]:
        """Raises: DataError for images that cannot be read, ScenarioError for a panel of images that are not there."""
        points = self.scenario.points()
        sources = {source_key(point.source): point.source for point in points}
        images = {key: tuple(self.prepared.workshop.source(source).images()) for key, source in sources.items()}
        self.scenario.check_images([ref.id for refs in images.values() for ref in refs])
        for number, point in enumerate(points):
            yield number, len(points)
            for curve in curves_of(point.systems):
                self._add(curve, point)
        self.plan = Plan(self._units, self._entries, images, self.scenario.repeats)

    def _add(self, curve: Curve, point) -> None:
        chosen = self._choices(curve.spec, point)
        unit_of = {}
        for metric, settings in chosen.items():
            unit = Unit(
                curve.spec.resolve(settings),
                point.source,
                point.channel,
                point.bandwidth_ratio,
                point.snr_db,
                self.scenario.seed,
                self.prepared.metric_identity,
                self.prepared.workshop.prior(point.source, self.prepared.measure.wants_maps),
            )
            self._units.setdefault(unit.id, unit)
            unit_of[metric] = unit.id
        settings = chosen if curve.spec.tuned else {}
        self._entries.append(Entry(curve.name, curve.role, float(point.snr_db), dict(point.values), unit_of, settings))

    def _choices(self, spec, point) -> dict[str, dict[str, Any]]:
        """Free settings for each metric, read back where an earlier run chose them already."""
        if not spec.tuned:
            return {column: {} for column in self.prepared.measure.columns}
        how = self.scenario.tuning
        _, refs = tuning_refs(self.prepared.workshop, point.source, how.images)
        asked = {
            "rule": TUNING_VERSION,
            "system": spec.identity(),
            "point": point.identity(),
            "images": [[ref.id, ref.digest] for ref in refs],
            "metrics": self.prepared.metric_identity,
            "seed": self.scenario.seed,
            "together": how.together,
            "repeats": how.repeats,
        }
        path = self.layout.tuning / f"{digest(asked)}.json"
        if path.is_file():
            return read_json(path)["chosen"]
        chosen = {column: dict(settings) for column, settings in self._tuner.choose(spec, point).items()}
        write_json(path, {"asked": json.loads(canonical(asked)), "chosen": chosen})
        return chosen

    def record(self) -> dict[str, Any]:
        """The plan as plain data: enough to draw every figure from a results folder alone."""
        plan, measure, scenario = self.plan, self.prepared.measure, self.scenario
        sources = {source_key(point.source): self.prepared.workshop.source(point.source) for point in scenario.points()}
        return {
            "name": scenario.name,
            "axes": list(scenario.axes),
            "metrics": list(measure.columns),
            "quantities": {column: vars(quantity) for column, quantity in measure.quantities.items()},
            "absent": self.prepared.absent,
            "repeats": plan.repeats,
            "rows": plan.rows(),
            "entries": [_entry(entry) for entry in plan.entries],
            "units": {unit.id: json.loads(canonical(unit.identity())) for unit in plan.units.values()},
            "source_of": {unit.id: source_key(unit.source) for unit in plan.units.values()},
            "images": {key: [vars(ref) for ref in refs] for key, refs in plan.images.items()},
            **self._maps(),
            "notes": {key: source.note for key, source in sources.items()} | self._link_notes(),
            "skipped": {key: dict(source.skipped()) for key, source in sources.items() if source.skipped()},
            "figures": scenario.figures.model_dump(mode="json"),
        }

    def _link_notes(self) -> dict[str, str]:
        links = [unit.system.link for unit in self.plan.units.values()]
        return {link.kind: link.NOTE for link in links if getattr(link, "NOTE", "")}

    def _maps(self) -> dict[str, Any]:
        """Who read the pictures, and which of its classes each source labels; nothing where nobody did."""
        evaluator = self.prepared.measure.evaluator
        if evaluator is None:
            return {}
        sources = {source_key(point.source): point.source for point in self.scenario.points()}
        scored = {key: [NAMES[place] for place in np.flatnonzero(scored_classes(source))] for key, source in sources.items()}
        sizes = sorted({tuple(source.size) for source in sources.values()})
        known = {"name": evaluator.name, "digest": evaluator.digest, "classes": list(NAMES), "sizes": list(map(list, sizes))}
        return {
            "classes": {key: {"names": list(NAMES), "scored": names} for key, names in scored.items()},
            "evaluators": [known],
        }


def _entry(entry: Entry) -> dict[str, Any]:
    values = {axis: str(value) if isinstance(value, Fraction) else value for axis, value in entry.values.items()}
    return {**vars(entry), "values": values}
