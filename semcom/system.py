"""One system, prepared: a transmitter, a link over a channel, and a receiver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import lazy_loader as lazy

from semcom import registry, units
from semcom.protocols import Context, Link, Receiver, Transmitter
from semcom.rng import Streams
from semcom.types import Budget, Condition, ImageBatch, Message, Reconstruction

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
        condition, streams = Condition(snr_db), Streams.of(images.ids, seed, repeat)
        message = self.transmit.encode(images, self.budget(uses, condition), streams)
        return self.deliver(message, [condition] * len(images), streams)


def _without_snr(budget: Budget) -> Budget:
    return replace(budget, snr_db=None, parts=tuple((name, _without_snr(part)) for name, part in budget.parts))
