"""One system, prepared: a transmitter, a link over a channel, and a receiver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import lazy_loader as lazy

from semcom import registry, units
from semcom.errors import Infeasible
from semcom.maps.resize import resize
from semcom.protocols import Context, Link, Receiver, Transmitter
from semcom.rng import Streams
from semcom.types import Budget, Condition, ImageBatch, Message, Reconstruction, Usage

torch = lazy.load("torch")


@dataclass(frozen=True)
class System:
    """A prepared system; `System.of` builds one from what a scenario file would say.

    Example::

        system = System.of("softcast", "analog", "softcast", channel="rayleigh")
        result = system.send(images, snr_db=10, bandwidth_ratio="1/24")
    """

    transmit: Transmitter
    link: Link
    receive: Receiver
    id: str = "system"  # names the decoder's random streams

    @staticmethod
    def of(transmit, link, receive, channel="awgn", context: Context | None = None, allow_plugins: bool = False) -> System:
        """Prepare a system. Each part is a kind, a mapping with a kind, or a description."""
        context = context or Context()
        air = registry.parse("channel", channel, allow_plugins).build(context.device)
        return System(
            registry.parse("transmit", transmit, allow_plugins).build(context),
            registry.parse("link", link, allow_plugins).build(air, context.device),
            registry.parse("receive", receive, allow_plugins).build(context),
        )

    def budget(self, channel_uses: int, condition: Condition) -> Budget:
        """What the link grants the transmitter; without the SNR for one that does not adapt to it,
        so that equal budgets mean equal encodings."""
        budget = self.link.budget(channel_uses, condition, self.transmit.side_bits)
        return budget if self.transmit.adapts_to_snr else _without_snr(budget)

    def budgets(self, channel_uses: int, conditions: Sequence[Condition], streams: Streams) -> list[Budget | Infeasible]:
        """The budget of each transmission, or why it has none; they differ at one SNR only where the transmitter knows h."""
        if not hasattr(self.link, "budgets"):
            return [self._try(channel_uses, condition) for condition in conditions]
        found = self.link.budgets(channel_uses, conditions, streams, self.transmit.side_bits)
        keep = self.transmit.adapts_to_snr
        return [one if keep or isinstance(one, Infeasible) else _without_snr(one) for one in found]

    def _try(self, channel_uses: int, condition: Condition) -> Budget | Infeasible:
        try:
            return self.budget(channel_uses, condition)
        except Infeasible as reason:
            return reason

    def success(self, condition: Condition, channel_uses: int) -> float | None:
        """Predicted probability that what is sent arrives; None where that is not all or nothing."""
        return None if self.survives_errors else self.link.success(condition, channel_uses)

    @property
    def survives_errors(self) -> bool:
        """Whether a message is of use where a frame of it has failed, as the transmitter says."""
        return getattr(self.transmit, "survives_errors", False)

    def deliver(self, message: Message, conditions: Sequence[Condition], streams: Streams) -> Reconstruction:
        """Send encoded messages, one a row, and decode what arrives."""
        received = self.link.send(message, conditions, streams)
        result = self.receive.decode(received, streams.for_system(self.id))
        return replace(result, usage=received.usage, counts=received.counts, reports=received.reports)

    def send(
        self, images: ImageBatch, snr_db: float, bandwidth_ratio: str | float | Fraction, seed: int = 0, repeat: int = 0
    ) -> Reconstruction:
        """Send ``images`` once at an average SNR [dB], each over floor(bandwidth_ratio * 3HW) channel uses."""
        uses = units.channel_uses(Fraction(bandwidth_ratio), *images.size)
        conditions, streams = [Condition(snr_db)] * len(images), Streams.of(images.ids, seed, repeat)
        results: list[tuple[list[int], Reconstruction]] = []
        for budget, rows in by_budget(self.budgets(uses, conditions, streams)).items():
            if isinstance(budget, Infeasible):
                raise budget
            some = streams.select(rows)
            message = self.transmit.encode(images.select(rows), budget, some)
            results.append((rows, self.deliver(message, [conditions[row] for row in rows], some)))
        return results[0][1] if len(results) == 1 else _together(results)


def by_budget(budgets: Sequence[Budget | Infeasible]) -> dict[Budget | Infeasible, list[int]]:
    """The rows of each budget, which one encoding serves."""
    rows: dict[Budget | Infeasible, list[int]] = {}
    for row, budget in enumerate(budgets):
        rows.setdefault(budget, []).append(row)
    return rows


def _together(results: Sequence[tuple[list[int], Reconstruction]]) -> Reconstruction:
    """One batch of several, in the order of their rows; ledgers and counts hold 0 where one of them has no such entry."""
    order = torch.argsort(torch.tensor([row for rows, _ in results for row in rows]))
    parts = [result for _, result in results]

    def column(values: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat(list(values))[order.to(values[0].device)]

    def table(mappings: Sequence[Mapping[str, torch.Tensor]], counts: Sequence[int]) -> dict[str, torch.Tensor]:
        names = dict.fromkeys(name for one in mappings for name in one)
        like = next(iter(mappings[0].values()))
        return {
            name: column([one.get(name, like.new_zeros(count)) for one, count in zip(mappings, counts, strict=True)])
            for name in names
        }

    sizes, usages = [len(rows) for rows, _ in results], [one.usage for one in parts]
    extras = {
        name: None if getattr(parts[0], name) is None else column([getattr(one, name) for one in parts])
        for name in ("labels", "samples", "uncertainty")
    }
    free = tuple(dict.fromkeys(item for usage in usages for item in usage.free))
    uses = table([one.uses for one in usages], sizes)
    usage = Usage(column([one.granted for one in usages]), uses, column([one.energy for one in usages]), free)
    return Reconstruction(
        column([one.pixels for one in parts]),
        column([one.ok for one in parts]),
        usage=usage,
        counts=table([one.counts for one in parts], sizes),
        reports=table([one.reports for one in parts], sizes) if parts[0].reports else {},
        label_probabilities=_probabilities(parts, column),
        **extras,
    )


def _probabilities(parts: Sequence[Reconstruction], column) -> torch.Tensor | None:
    """What is known of each class, at the size of the picture where the parts have it at several sizes."""
    found = [one.label_probabilities for one in parts]
    if any(one is None for one in found):
        return None
    if len({one.shape[2:] for one in found}) > 1:
        found = [resize(one, parts[0].pixels.shape[-2:]) for one in found]
    return column(found)


def _without_snr(budget: Budget) -> Budget:
    return replace(budget, snr_db=None, parts=tuple((name, _without_snr(part)) for name, part in budget.parts))
