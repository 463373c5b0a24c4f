"""Free settings, chosen per condition and metric on tuning images that are never reported."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import lazy_loader as lazy
import numpy as np

from semcom import units
from semcom.classes import UNKNOWN
from semcom.errors import Infeasible
from semcom.metrics.base import Quantity
from semcom.protocols import ImageRef
from semcom.rng import Streams
from semcom.scenario.schema import Tuning
from semcom.stats.overlap import mean_iou
from semcom.sweep.measure import Measure, Values, known, shown
from semcom.sweep.overlaps import overlaps_of, scored_classes
from semcom.sweep.workshop import Workshop
from semcom.system import System, by_budget
from semcom.types import GREY, Bits, Budget, Condition, ImageBatch, Message, Reals, Received, ReceivedBits, Usage

torch = lazy.load("torch")

#: raised when the same candidates on the same images would be chosen differently
VERSION = 2
#: transmissions and pictures that are computed together; memory depends on it
TOGETHER = 64
#: a success probability this much higher is no reason to carry fewer bits
NEGLIGIBLE = 1e-6
#: what stands for several metrics that share their settings
TOGETHER_BY = "together"
#: metrics count as at least this in a product
LEAST = 1e-6

Settings = Mapping[str, Any]
#: a number a column, confusion counts as vectors; nan where a system has none
Means = Mapping[str, Any]


@dataclass
class Tuner:
    """Expected metrics of candidate settings on tuning images.

    A digital part arrives whole or not at all, so its expectation needs no simulation: the link predicts
    how probably a frame arrives (from measured block error rates), the picture that arrives is decoded
    and measured once, a lost one is grey. Other links are simulated.
    """

    workshop: Workshop
    measure: Measure
    seed: int
    how: Tuning = Tuning()
    _delivered: dict[Any, Means] = field(default_factory=dict)
    _sent: dict[Any, Means] = field(default_factory=dict)
    _budgets: dict[Any, tuple[Budget, float | None] | None] = field(default_factory=dict)

    def choose(self, spec, point) -> dict[str, Settings]:
        """The best settings of ``spec.tuned`` at ``point``, for each metric column."""
        with torch.no_grad():
            return self._choose(spec, point)

    def _choose(self, spec, point) -> dict[str, Settings]:
        images = tuning_images(self.workshop, point.source, self.how.images)
        nothing = torch.full(images.pixels[:, 0].shape, UNKNOWN)
        grey = self._mean(images, torch.full_like(images.pixels, GREY), nothing)
        scored = scored_classes(point.source)
        best: dict[str, tuple[float, Settings]] = {}
        for settings, system, budget, success in self._candidates(spec, point):
            if success is None:
                means = self._simulated(system, images, budget, point)
            else:
                arrived = self._arrived(system, images, budget)
                means = {name: success * arrived[name] + (1.0 - success) * grey[name] for name in grey}
            for column, value in self._judged(_scores(means, self.measure, scored)).items():
                if math.isfinite(value) and (column not in best or value > best[column][0]):
                    best[column] = (value, settings)
        # nothing fits: any setting says why; what no candidate has (the map of a system without one) takes those of the first,
        # which are everyone's where metrics share theirs
        first = next(iter(best.values()))[1] if best else next(_combinations(spec.tuned))
        leaders = {column: quantity.tuned_with or column for column, quantity in self.measure.quantities.items()}
        return {column: best[leader][1] if leader in best else first for column, leader in leaders.items()}

    def _judged(self, scores: Mapping[str, float]) -> dict[str, float]:
        """What is to be as high as possible: each metric, or one number where metrics are to share their settings."""
        quantities = self.measure.quantities
        sign = {column: 1.0 if quantities[column].better == "higher" else -1.0 for column in scores}
        shared = [column for column in self.how.together if column in scores and math.isfinite(scores[column])]
        if shared:  # the logarithm of their product
            return {TOGETHER_BY: sum(sign[column] * math.log(max(scores[column], LEAST)) for column in shared)}
        return {column: sign[column] * value for column, value in scores.items()}

    def _candidates(self, spec, point) -> Iterator[tuple[Settings, System, Budget, float | None]]:
        """Settings that fit, without those that another of the same transmitter beats in bits and in probability."""
        condition = Condition(point.snr_db)
        uses = units.channel_uses(point.bandwidth_ratio, *point.source.size)
        found: dict[Any, list[tuple[Settings, System, Budget, float | None]]] = {}
        for settings in _combinations(spec.tuned):
            system = self.workshop.system(spec.resolve(settings), point.channel, point.source)
            offer = self._offer(system, uses, condition)
            if offer is not None:
                found.setdefault((id(system.transmit), id(system.receive)), []).append((settings, system, *offer))
        for alike in found.values():
            yield from (one for one in alike if not any(_beats(other, one) for other in alike))

    def _offer(self, system: System, uses: int, condition: Condition) -> tuple[Budget, float | None] | None:
        key = (id(system.link), system.transmit.side_bits, system.transmit.adapts_to_snr, system.survives_errors, uses, condition)
        if key not in self._budgets:
            try:
                self._budgets[key] = (system.budget(uses, condition), system.success(condition, uses))
            except Infeasible:
                self._budgets[key] = None
        return self._budgets[key]

    def _arrived(self, system: System, images: ImageBatch, budget: Budget) -> dict[str, float]:
        """Mean metrics of what is decoded when every digital part arrives."""
        key = (id(system.transmit), id(system.receive), images.ids, budget)
        if key not in self._delivered:
            streams = Streams.of(images.ids, self.seed)
            message = system.transmit.encode(images, budget, streams)
            result = system.receive.decode(_as_sent(message), streams.for_system(system.id))
            ok = message.feasible & result.ok.cpu()
            self._delivered[key] = self._mean(images, shown(result.pixels, ok, GREY), known(result.labels, ok))
        return self._delivered[key]

    def _simulated(self, system: System, images: ImageBatch, budget: Budget, point) -> dict[str, float]:
        """Mean metrics over repeated transmissions; settings that make the same messages are simulated once."""
        rows = [row for row in range(len(images)) for _ in range(self.how.repeats)]
        repeats = tuple(range(self.how.repeats)) * len(images)
        streams = Streams(self.seed, tuple(images.ids[row] for row in rows), repeats)
        conditions = [Condition(point.snr_db)] * len(rows)
        messages = [
            (list(numbers), system.transmit.encode(images, granted, Streams.of(images.ids, self.seed)))
            for granted, numbers in by_budget(system.budgets(budget.channel_uses, conditions, streams)).items()
            if not isinstance(granted, Infeasible)
        ]
        content = tuple((tuple(numbers), _content(message)) for numbers, message in messages)
        key = (id(system.link), id(system.receive), point.snr_db, images.ids, content)
        if key not in self._sent:
            pictures = torch.full((len(rows), *images.pixels.shape[1:]), GREY)
            labels = torch.full((len(rows), *images.size), UNKNOWN)
            with_labels = False
            for numbers, message in messages:
                for start in range(0, len(numbers), TOGETHER):
                    some = numbers[start : start + TOGETHER]
                    sent = message.select([rows[n] for n in some])
                    result = system.deliver(sent, [conditions[n] for n in some], streams.select(some))
                    ok = sent.feasible & result.ok.cpu()
                    pictures[some] = shown(result.pixels, ok, GREY).cpu()
                    if result.labels is not None:
                        labels[some], with_labels = known(result.labels, ok), True
            self._sent[key] = self._mean(images.select(rows), pictures, labels if with_labels else None)
        return self._sent[key]

    def _mean(self, images: ImageBatch, pictures: torch.Tensor, labels: torch.Tensor | None) -> Means:
        values = []
        for start in range(0, len(images), TOGETHER):
            some = slice(start, start + TOGETHER)
            maps = [None if of is None else of[some] for of in (images.labels, labels)]
            values += self.measure([f"tuning/{image}" for image in images.ids[some]], images.pixels[some], pictures[some], *maps)
        return _means(values)


def tuning_refs(workshop: Workshop, source, count: int | None = None) -> tuple[Any, Sequence[ImageRef]]:
    """The source's tuning images, or the photographs kept for tuning, and their source, where it has none of its own; ``count``
    of them at most, evenly spread."""
    refs = workshop.source(source).tuning()
    if not refs:
        from semcom.source.photos import Photos

        source = Photos(size=source.size)
        refs = workshop.source(source).tuning()
    if count is not None and count < len(refs):
        refs = [refs[(2 * place + 1) * len(refs) // (2 * count)] for place in range(count)]
    return source, refs


def tuning_images(workshop: Workshop, source, count: int | None = None) -> ImageBatch:
    source, refs = tuning_refs(workshop, source, count)
    return workshop.images(source, tuple(ref.id for ref in refs))


def _means(values: Sequence[Values]) -> Means:
    """The mean of every number and of every count, nan where a row has none."""
    column = lambda name: [math.nan if value[name] is None else value[name] for value in values]  # noqa: E731
    return {name: sum(column(name)) / len(values) for name in values[0]}


def _scores(means: Means, measure: Measure, scored: np.ndarray) -> dict[str, float]:
    """Every quantity of a system whose rows have these means; a pooled one follows from its counts, as in a table."""
    return {column: _score(means, column, quantity, scored) for column, quantity in measure.quantities.items()}


def _score(means: Means, column: str, quantity: Quantity, scored: np.ndarray) -> float:
    if not quantity.counts:
        return float(means[column])
    counts = means[quantity.counts]
    return math.nan if np.ndim(counts) == 0 else float(mean_iou(overlaps_of(counts[None], quantity, scored)[0]))


def _combinations(tuned: Mapping[str, Sequence[Any]]) -> Iterator[Settings]:
    """Every combination of the candidates, in the order in which the scenario lists them."""
    return (dict(zip(tuned, values, strict=True)) for values in product(*tuned.values()))


def _beats(other, one) -> bool:
    """Whether ``other`` carries more bits at least as surely (then the receiver sees a better file as often)."""
    (_, _, more, surely), (_, _, bits, success) = other, one
    if surely is None or success is None or more.bits is None or bits.bits is None:
        return False
    return more.bits > bits.bits and surely >= success - NEGLIGIBLE


def _content(message: Message) -> bytes:
    """A digest of all that a message carries."""
    content = hashlib.blake2b(repr((message.budget, message.infeasible)).encode(), digest_size=16)
    for name, part in [*message.parts.items(), ("", message.side)]:
        shape = (part.shape, part.powers) if isinstance(part, Reals) else ()
        content.update(repr((name, type(part).__name__, shape)).encode())
        for values in vars(part).values() if part is not None else ():
            if isinstance(values, torch.Tensor):
                content.update(values.cpu().numpy().tobytes())
    return content.digest()


def _as_sent(message: Message) -> Received:
    """What the receiver gets where every digital part arrives."""
    count = len(message)
    arrived = torch.ones(count, dtype=torch.bool)
    whole = lambda part: ReceivedBits(part.bits, part.lengths, arrived)  # noqa: E731
    uses = torch.full((count,), message.budget.channel_uses, dtype=torch.int64)
    received = Received(
        {name: whole(part) for name, part in message.parts.items() if isinstance(part, Bits)},
        Usage(uses, {"payload": uses}, uses.double()),
        message.image_size,
        None if message.side is None else whole(message.side),
    )
    return received.agreed(message)
