"""One batch: encode each image once per budget, send every row, decode, measure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import lazy_loader as lazy

from semcom.errors import Infeasible
from semcom.rng import Streams
from semcom.store.layout import Layout
from semcom.sweep.keep import keep_original, keep_reconstruction
from semcom.sweep.measure import Doubts, Measure, Values, known, shown
from semcom.sweep.plan import Batch, Row
from semcom.sweep.workshop import Workshop
from semcom.system import System, by_budget
from semcom.types import GREY, Budget, Condition, ImageBatch, Message, Reconstruction

if TYPE_CHECKING:
    import pandas as pd

torch = lazy.load("torch")


@dataclass
class Encodings:
    """Messages by transmitter, budget and images: an image is encoded once per budget, not once per SNR."""

    keep: int = 64
    _known: OrderedDict[Any, Message] = field(default_factory=OrderedDict)

    def get(self, system: System, images: ImageBatch, budget: Budget, seed: int) -> Message:
        key = (id(system.transmit), images.ids, budget, seed)
        if key not in self._known:
            self._known[key] = system.transmit.encode(images, budget, Streams.of(images.ids, seed))
            if len(self._known) > self.keep:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]


@dataclass
class Bench:
    """What batches are run with."""

    workshop: Workshop
    measure: Measure
    encodings: Encodings = field(default_factory=Encodings)
    pictures: frozenset[tuple[str, str]] = frozenset()  # (unit, image) whose first repeat is kept for panels
    layout: Layout | None = None


def run_batch(batch: Batch, bench: Bench) -> pd.DataFrame:
    """The stored rows of one batch, in its order."""
    import pandas as pd

    with torch.no_grad():
        return pd.DataFrame(_run(batch, bench))


def _run(batch: Batch, bench: Bench) -> list[dict[str, Any]]:
    unit = batch.rows[0].unit
    system = bench.workshop.system(unit.system, unit.channel, unit.source)
    records: dict[tuple, dict[str, Any]] = {}
    images = bench.workshop.images(unit.source, batch.chunk)
    place = {image: number for number, image in enumerate(batch.chunk)}
    streams = Streams(unit.seed, tuple(row.image.id for row in batch.rows), tuple(row.repeat for row in batch.rows))
    conditions = [Condition(row.unit.snr_db) for row in batch.rows]
    for budget, numbers in by_budget(system.budgets(unit.channel_uses, conditions, streams)).items():
        rows = [batch.rows[number] for number in numbers]
        if isinstance(budget, Infeasible):
            records.update((row.key, _infeasible(row, str(budget), bench.measure)) for row in rows)
            continue
        message = bench.encodings.get(system, images, budget, unit.seed)
        wanted = [place[row.image.id] for row in rows]
        sent = message.select(wanted)
        result = system.deliver(sent, [conditions[number] for number in numbers], streams.select(numbers))
        for row, record in zip(rows, _records(rows, sent, result, images.select(wanted), bench), strict=True):
            records[row.key] = record
    return [records[row.key] for row in batch.rows]


def _records(rows: Sequence[Row], sent: Message, result: Reconstruction, images: ImageBatch, bench: Bench) -> list[dict[str, Any]]:
    ok, reasons = result.ok.cpu() & sent.feasible, sent.infeasible or (None,) * len(rows)
    pixels, labels = shown(result.pixels.float(), ok, GREY), known(result.labels, ok)
    keys = [row.image.digest for row in rows]
    doubts = Doubts.of(result, ok)
    with_grey = with_prior = bench.measure(keys, images.pixels, pixels, images.labels, labels, doubts)
    if not bool(ok.all()):
        source = bench.workshop.source(rows[0].unit.source)
        prior = None if labels is None or not bench.measure.wants_maps else known(labels, ok, source.prior_labels())
        with_prior = bench.measure(keys, images.pixels, shown(pixels, ok, source.prior()), images.labels, prior, doubts)
    records = []
    for number, row in enumerate(rows):
        received = None if labels is None else labels[number]
        _keep(row, images, number, pixels[number], received, doubts.of_row(number), bool(ok[number]), bench)
        records.append(
            {
                **_key(row),
                "status": "done" if reasons[number] is None else "infeasible",
                "reason": reasons[number] or "",
                "ok": bool(ok[number]),
                **_measured(with_grey[number], with_prior[number], bool(ok[number]), bench.measure),
                **{name: int(count[number]) for name, count in result.counts.items()},
                **{name: float(values[number]) for name, values in result.reports.items()},
                "channel_uses": int(result.usage.granted[number]),
                "energy": float(result.usage.energy[number]),
                **{f"uses_{name}": int(uses[number]) for name, uses in result.usage.uses.items()},
                "free": "; ".join(dict.fromkeys((*sent.free, *result.usage.free))),
            }
        )
    return records


def _infeasible(row: Row, reason: str, measure: Measure) -> dict[str, Any]:
    nothing = _measured(measure.nothing(), measure.nothing(), True, measure)
    return {**_key(row), "status": "infeasible", "reason": reason, "ok": False, **nothing, "channel_uses": row.unit.channel_uses}


def _measured(with_grey: Values, with_prior: Values, ok: bool, measure: Measure) -> Values:
    """A row's numbers and counts, and their twins of the prior; the counts of a row that arrived have none: they are the same."""
    twins = {name: value for name, value in with_prior.items() if name not in measure.fixed}
    twins |= {name: None for name in measure.counts if ok and name in twins}
    return {**with_grey, **{f"{name}@prior": value for name, value in twins.items()}}


def _key(row: Row) -> dict[str, Any]:
    return {
        "unit": row.unit.id,
        "image": row.image.id,
        "digest": row.image.digest,
        "repeat": row.repeat,
        "cluster": row.image.cluster,
        "snr_db": float(row.unit.snr_db),
    }


def _keep(
    row: Row,
    images: ImageBatch,
    number: int,
    pixels: torch.Tensor,
    received: torch.Tensor | None,
    doubts: Doubts,
    ok: bool,
    bench: Bench,
) -> None:
    """Keep what panels show of the first repeat; of a lost picture the row says that it was lost."""
    if bench.layout is None or row.repeat > 0 or (row.unit.id, row.image.id) not in bench.pictures:
        return
    keep_original(bench.layout, row, images.select([number]), bench.measure.evaluator)
    if ok:
        keep_reconstruction(bench.layout, row, pixels, received, doubts, bench.measure.evaluator)
