"""Running a scenario: prepare, plan, compute what is missing; nothing that is stored is computed twice."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcom.errors import StoreError
from semcom.scenario.identity import canonical
from semcom.store.cases import worst_cases
from semcom.store.layout import Layout
from semcom.store.panel import panel_cells
from semcom.store.provenance import provenance
from semcom.store.reader import KEY, read_batches
from semcom.store.writer import write_json, write_rows, write_text
from semcom.sweep.plan import Batch, Plan, Row, source_key
from semcom.sweep.planning import Planner
from semcom.sweep.prepare import Prepared, prepare
from semcom.sweep.progress import Progress
from semcom.sweep.run_batch import Bench, run_batch

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Run:
    """One scenario on its way to a results folder.

    Iterate over it for progress; `table` finishes what is left and returns the points that figures draw.
    A run that was killed goes on where it was: only what no stored batch holds is computed.
    """

    scenario: Any
    out: Path
    device: str = "auto"  # the scenario's execution.device where this is auto
    failures: dict[str, str] = field(default_factory=dict)  # batch -> last line of its traceback
    finished: int = 0  # rows that are stored
    seconds: float = 0.0
    plan: Plan | None = None
    absent: dict[str, str] = field(default_factory=dict)  # metric -> what to do to have it

    def __post_init__(self) -> None:
        self.layout = Layout(Path(self.out))

    def __iter__(self) -> Iterator[Progress]:
        started = time.monotonic()
        yield Progress("preparing", 0, 0, 0.0)
        prepared = prepare(self.scenario, self.device if self.device != "auto" else self.scenario.execution.device)
        self.absent = prepared.absent
        planner = Planner(self.scenario, prepared, self.layout)
        for done, total in planner.stages():
            spent = time.monotonic() - started
            yield Progress("tuning", done, total, spent, spent / done * (total - done) if done else None)
        self.plan = planner.plan
        record = planner.record()
        self._write_record(record, prepared)
        for progress in self._compute(prepared, record):
            self.seconds = time.monotonic() - started
            yield progress

    def table(self) -> pd.DataFrame:
        """Every point of every curve, with intervals; runs what has not run yet."""
        from semcom.sweep.collect import collect, rows_of

        for _ in self:
            pass
        return collect(self.layout, rows_of(self.layout))

    def _write_record(self, record: dict[str, Any], prepared: Prepared) -> None:
        """What the folder will hold and what made it, before anything is computed."""
        from semcom.codecs import versions

        write_text(self.layout.scenario, self.scenario.dump())
        write_json(self.layout.plan, record)
        write_json(self.layout.provenance, provenance(prepared.workshop.device, versions(), record.get("evaluators", ())))

    def _compute(self, prepared: Prepared, record: dict[str, Any]) -> Iterator[Progress]:
        stored = Stored.read(self.layout)
        images = [ref["id"] for refs in record["images"].values() for ref in refs]
        shown = frozenset((cell.unit, cell.image) for cell in panel_cells(record, images))
        bench = Bench(prepared.workshop, prepared.measure, pictures=shown, layout=self.layout)
        batches = list(self.plan.batches(self.scenario.execution.batch_size))
        pending = [batch for batch in batches if not stored.holds(batch, shown)]
        total = sum(len(batch.rows) for batch in batches)
        before = self.finished = total - sum(len(batch.rows) for batch in pending)
        done, begun = before, time.monotonic()
        yield Progress("sweeping", done, total, 0.0)
        for batch in pending:
            self.finished += len(batch.rows) if self._run_one(batch, bench) else 0
            done += len(batch.rows)
            spent = time.monotonic() - begun
            yield Progress("sweeping", done, total, spent, spent * (total - done) / (done - before), len(self.failures))
        yield from self._keep_worst(bench, record)

    def _keep_worst(self, bench: Bench, record: dict[str, Any]) -> Iterator[Progress]:
        """The worst pictures are known when all rows are: those that no panel shows are received once more, to be kept."""
        cells = [case.cell for case in worst_cases(record, read_batches(self.layout))]
        cells = [cell for cell in cells if not self.layout.picture(cell.unit, cell.image).is_file()]
        refs, begun = {ref.id: ref for refs in self.plan.images.values() for ref in refs}, time.monotonic()
        for done, cell in enumerate(cells):
            yield Progress("keeping pictures", done, len(cells), time.monotonic() - begun, None, len(self.failures))
            batch = Batch((Row(self.plan.units[cell.unit], refs[cell.image], 0),), (cell.image,))
            self._rows_of(batch, replace(bench, pictures=frozenset({(cell.unit, cell.image)})))

    def _run_one(self, batch: Batch, bench: Bench) -> bool:
        """Compute and store one batch, and say whether it is stored."""
        rows = self._rows_of(batch, bench)
        if rows is None:
            return False
        write_rows(self.layout.batches / f"{batch.id}.parquet", rows)
        return True

    def _rows_of(self, batch: Batch, bench: Bench) -> pd.DataFrame | None:
        """The rows of one batch; None for a fault, which is kept with its traceback."""
        failure = self.layout.failures / f"{batch.id}.txt"
        try:
            rows = run_batch(batch, bench)
        except StoreError:  # no room for a picture: no batch would fare better
            raise
        except Exception as error:  # noqa: BLE001  the sweep goes on; the exit code and the table say that units failed
            write_text(failure, f"{canonical(batch.rows[0].unit.identity())}\n\n{traceback.format_exc()}")
            self.failures[batch.id] = f"{type(error).__name__}: {error}"
            return None
        failure.unlink(missing_ok=True)
        return rows


@dataclass(frozen=True)
class Stored:
    """What a results folder holds already."""

    layout: Layout
    keys: frozenset[tuple]
    arrived: frozenset[tuple[str, str]]  # (unit, image) whose first repeat has a picture

    @staticmethod
    def read(layout: Layout) -> Stored:
        rows = read_batches(layout)
        keys = frozenset(rows[KEY].itertuples(index=False, name=None))
        first = rows[(rows["repeat"] == 0) & rows["ok"].astype(bool)] if len(rows) else rows
        return Stored(layout, keys, frozenset(first[["unit", "image"]].itertuples(index=False, name=None)))

    def holds(self, batch: Batch, shown: frozenset[tuple[str, str]]) -> bool:
        """Whether every row of a batch is stored, and every picture that a panel shows of it."""
        if not all(row.key in self.keys for row in batch.rows):
            return False
        rows = [row for row in batch.rows if row.repeat == 0 and (row.unit.id, row.image.id) in shown]
        pictures = [self.layout.original(source_key(row.unit.source), row.image.id) for row in rows]
        pictures += [self.layout.picture(*key) for key in {(row.unit.id, row.image.id) for row in rows} & self.arrived]
        return all(picture.is_file() for picture in pictures)
