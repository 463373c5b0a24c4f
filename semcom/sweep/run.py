"""Running a scenario: prepare, tune, plan, compute what is missing, gather."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcom.errors import StoreError
from semcom.scenario.identity import canonical, digest
from semcom.store.layout import Layout
from semcom.store.provenance import provenance
from semcom.store.reader import KEY, read_batches
from semcom.store.writer import write_json, write_rows, write_text
from semcom.sweep.members import curves_of
from semcom.sweep.measure import Measure
from semcom.store.panel import panel_cells
from semcom.sweep.plan import Batch, Entry, Plan, Unit, source_key
from semcom.sweep.progress import Progress
from semcom.sweep.run_batch import Bench, run_batch
from semcom.sweep.tune import Tuner, tuning_images
from semcom.sweep.workshop import Workshop

if TYPE_CHECKING:
    import pandas as pd


def resolve_device(device: str) -> str:
    """"auto" is the GPU if there is one; an absent GPU that was asked for is an error."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise StoreError(f"device '{device}' was asked for and torch sees no GPU; use --device cpu or --device auto")
    return device


@dataclass
class Run:
    """One scenario on its way to a results folder.

    Iterate over it for progress; `table` finishes what is left and returns the points that figures draw.
    A run that was killed goes on where it was: only what no stored batch holds is computed.
    """

    scenario: Any
    out: Path
    device: str = "auto"
    failures: dict[str, str] = field(default_factory=dict)  # batch -> last line of its traceback
    absent: dict[str, str] = field(default_factory=dict)  # metric -> what to do to have it
    finished: int = 0  # rows that are stored
    seconds: float = 0.0
    plan: Plan | None = None

    def __post_init__(self) -> None:
        self.layout = Layout(Path(self.out))

    def __iter__(self) -> Iterator[Progress]:
        started = time.monotonic()
        yield Progress("preparing", 0, 0, 0.0)
        self._prepare()
        for done, total in self._make_plan():
            spent = time.monotonic() - started
            yield Progress("tuning", done, total, spent, spent / done * (total - done) if done else None)
        self._record()
        yield from self._compute(started)
        self.seconds = time.monotonic() - started

    def table(self) -> pd.DataFrame:
        """Every point of every curve, with intervals; runs what has not run yet."""
        from semcom.sweep.collect import collect, rows_of

        for _ in self:
            pass
        return collect(self.layout, rows_of(self.layout))

    def _prepare(self) -> None:
        self.device = resolve_device(self.device if self.device != "auto" else self.scenario.execution.device)
        self.workshop = Workshop(self.device)
        sizes = {point.source.size for point in self.scenario.points()}
        usable = []
        for metric in self.scenario.metrics:
            reasons = [metric.available(), *(metric.check(size) for size in sorted(sizes))]
            reason = next((reason for reason in reasons if reason), None)
            if reason:
                self.absent.update(dict.fromkeys(metric.COLUMNS, reason))
            else:
                usable.append(metric)
        self.metrics = tuple(usable)
        prepared = [metric.build(self.device) for metric in usable]
        self.measure = Measure(prepared)
        #: weights that change numbers are part of the identity
        self.metric_identity = digest([[m.identity(), getattr(p, "digest", "")] for m, p in zip(usable, prepared, strict=True)])

    def _make_plan(self) -> Iterator[tuple[int, int]]:
        tuner = Tuner(self.workshop, self.measure, self.scenario.seed)
        points = list(self.scenario.points())
        entries: list[Entry] = []
        units: dict[str, Unit] = {}
        for number, point in enumerate(points):
            yield number, len(points)
            for curve in curves_of(point.systems):
                chosen = self._choices(tuner, curve.spec, point)
                unit_of: dict[str, str] = {}
                for metric, settings in chosen.items():
                    unit = Unit(
                        curve.spec.resolve(settings), point.source, point.channel, point.bandwidth_ratio, point.snr_db,
                        self.scenario.seed, self.measure.columns, self.metric_identity,
                    )  # fmt: skip
                    units.setdefault(unit.id, unit)
                    unit_of[metric] = unit.id
                entries.append(Entry(curve.name, curve.role, float(point.snr_db), dict(point.values), unit_of, chosen if curve.spec.tuned else {}))
        images = {source_key(point.source): tuple(self.workshop.source(point.source).images()) for point in points}
        self.scenario.check_images([ref.id for refs in images.values() for ref in refs])
        self.plan = Plan(units, entries, images, self.scenario.repeats)

    def _choices(self, tuner: Tuner, spec, point) -> dict[str, dict[str, Any]]:
        """Tuned settings a metric, read back where an earlier run chose them already."""
        if not spec.tuned:
            return {column: {} for column in self.measure.columns}
        images = tuning_images(self.workshop, point.source)
        asked = {
            "system": spec.identity(),
            "point": point.identity(),
            "images": list(images.ids),
            "metrics": self.metric_identity,
            "seed": self.scenario.seed,
        }
        path = self.layout.tuning / f"{digest(asked)}.json"
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))["chosen"]
        chosen = {column: dict(settings) for column, settings in tuner.choose(spec, point).items()}
        write_json(path, {"asked": json.loads(canonical(asked)), "chosen": chosen})
        return chosen

    def _record(self) -> None:
        """What the folder will hold and what made it, written before anything is computed."""
        assert self.plan is not None
        write_text(self.layout.scenario, self.scenario.dump())
        self.record = plan_record(self.plan, self.scenario, self.absent, self.workshop)
        write_json(self.layout.plan, self.record)
        from semcom.codecs import versions

        write_json(self.layout.provenance, provenance(self.device, versions()))

    def _compute(self, started: float) -> Iterator[Progress]:
        assert self.plan is not None
        known = set(map(tuple, read_batches(self.layout)[KEY].itertuples(index=False)))
        wanted = self._panel_pictures()
        bench = Bench(self.workshop, self.measure, pictures=wanted, layout=self.layout)
        batches = list(self.plan.batches(self.scenario.execution.batch_size))
        pending = [batch for batch in batches if not self._finished(batch, known, wanted)]
        total = sum(len(batch.rows) for batch in batches)
        done = total - sum(len(batch.rows) for batch in pending)
        self.finished, computed, begun = done, 0, time.monotonic()
        yield Progress("sweeping", done, total, begun - started)
        for batch in pending:
            self.finished += len(batch.rows) if self._run_one(batch, bench) else 0
            computed += len(batch.rows)
            spent = time.monotonic() - begun
            left = spent / computed * (total - done - computed)
            yield Progress("sweeping", done + computed, total, time.monotonic() - started, left, len(self.failures))

    def _panel_pictures(self) -> frozenset[tuple[str, str]]:
        """(unit, image) of the reconstructions that image panels show."""
        record = self.record
        images = [ref["id"] for refs in record["images"].values() for ref in refs]
        return frozenset((cell.unit, cell.image) for cell in panel_cells(record["entries"], images, record["figures"]))

    def _run_one(self, batch: Batch, bench: Bench) -> bool:
        """Compute and store one batch; a fault is kept with its traceback and the sweep goes on. Whether it is stored."""
        failure = self.layout.failures / f"{batch.id}.txt"
        try:
            rows = run_batch(batch, bench)
        except Exception as error:  # noqa: BLE001  the sweep goes on; the exit code and the table say that units failed
            unit = batch.rows[0].unit
            write_text(failure, f"{json.dumps(unit.identity(), indent=2)}\n\n{traceback.format_exc()}")
            self.failures[batch.id] = f"{type(error).__name__}: {error}"
            return False
        write_rows(self.layout.batches / f"{batch.id}.parquet", rows)
        failure.unlink(missing_ok=True)
        return True

    def _finished(self, batch: Batch, known: set, wanted: frozenset[tuple[str, str]]) -> bool:
        if not all(row.key in known for row in batch.rows):
            return False
        shown = {(row.unit.id, row.image.id) for row in batch.rows if row.repeat == 0} & wanted
        return all(self.layout.picture(*key).is_file() or self._lost(key) for key in shown)

    def _lost(self, key: tuple[str, str]) -> bool:
        if not hasattr(self, "_ok"):
            rows = read_batches(self.layout)
            rows = rows[rows["repeat"] == 0]
            self._ok = {(unit, image) for unit, image, ok in zip(rows["unit"], rows["image"], rows["ok"], strict=True) if ok}
        return key not in self._ok


def plan_record(plan: Plan, scenario, absent: dict[str, str], workshop: Workshop) -> dict[str, Any]:
    """The plan as plain data: enough to draw every figure from a results folder alone."""
    sources = {source_key(point.source): workshop.source(point.source) for point in scenario.points()}
    return {
        "name": scenario.name,
        "axes": list(scenario.axes),
        "metrics": [column for metric in scenario.metrics for column in metric.COLUMNS if column not in absent],
        "absent": absent,
        "quantities": {column: vars(q) for metric in scenario.metrics for column, q in metric.COLUMNS.items()},
        "repeats": plan.repeats,
        "rows": plan.rows(),
        "entries": [
            {
                "system": e.system,
                "role": e.role,
                "snr_db": e.snr_db,
                "values": {axis: _plain(value) for axis, value in e.values.items()},
                "unit": dict(e.unit),
                "settings": {metric: dict(settings) for metric, settings in e.settings.items()},
            }
            for e in plan.entries
        ],
        "units": {unit.id: json.loads(canonical(unit.identity())) for unit in plan.units.values()},
        "images": {key: [vars(ref) for ref in refs] for key, refs in plan.images.items()},
        "source_of": {unit.id: source_key(unit.source) for unit in plan.units.values()},
        "notes": {key: source.note for key, source in sources.items()},
        "skipped": {key: dict(source.skipped()) for key, source in sources.items() if source.skipped()},
        "figures": scenario.figures.model_dump(mode="json"),
    }


def _plain(value: Any) -> Any:
    """A swept value as it stands in tables and files."""
    return float(value) if isinstance(value, Fraction) else value
