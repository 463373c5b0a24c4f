"""What every link shares: budgets net of what the channel charges, a burst that is whole before it is sent, the ledger."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import lazy_loader as lazy

from channels.base import Channel, Layout, Observation
from channels.chain import PreparedChain
from channels.csi import PERFECT_CSI
from semcom.errors import Infeasible, ScenarioError, allowed
from semcom.link.air import Air, Signal
from semcom.rng import Streams
from semcom.types import Bits, Budget, Condition, Message, Reals, Received, ReceivedBits, Usage

torch = lazy.load("torch")


@dataclass(frozen=True)
class Frame:
    """A burst before it is sent: its ``signals`` in order, which hold exactly the symbols of the budget.

    Links subclass it with what `Link.demodulate` needs. ``feasible`` bool [B]: the rows that send anything.
    """

    signals: tuple[Signal, ...]
    message: Message
    feasible: torch.Tensor
    power: float


class Link(ABC):
    """A prepared link, in two halves: `modulate` makes the whole burst of a message, `demodulate` a message of what
    was observed. Both count in message symbols, ``budget.symbols``; what pilots and the like take beside them is
    known to `budget` and `send` alone."""

    def __init__(self, channel: Channel, device: torch.device | str = "cpu"):
        self.channel, self.device = channel, device
        #: what the channel gives its receiver for free
        self.assumed: tuple[str, ...] = channel.free if isinstance(channel, PreparedChain) else (PERFECT_CSI,)

    @abstractmethod
    def room(self, symbols: int, condition: Condition, side_bits: int = 0) -> Budget:
        """What fits ``symbols`` at ``condition`` net of headers; Infeasible with the reason if nothing does."""

    @abstractmethod
    def modulate(self, message: Message, conditions: Sequence[Condition], streams: Streams, power: float = 1.0) -> Frame:
        """The burst of ``message.budget.symbols`` symbols that carries a message, at mean power ``power``."""

    @abstractmethod
    def demodulate(self, frame: Frame, observations: Sequence[Observation]) -> Received:
        """What arrived, from one observation a signal; its ledger counts symbols."""

    def layout(self, channel_uses: int) -> Layout:
        """How ``channel_uses`` granted uses hold message symbols; Infeasible with the reason where they hold none."""
        if not isinstance(self.channel, PreparedChain):
            return Layout.plain(channel_uses)
        try:
            return self.channel.layout(channel_uses)
        except ValueError as error:
            raise Infeasible(str(error)) from error

    def budget(self, channel_uses: int, condition: Condition, side_bits: int = 0) -> Budget:
        """What fits ``channel_uses`` net of headers and pilots; Infeasible with the reason if nothing does."""
        symbols = self.layout(channel_uses).symbols
        return replace(self.room(symbols, condition, side_bits), channel_uses=channel_uses, symbols=symbols)

    def frame_success(self, condition: Condition, symbols: int) -> float | None:
        """Predicted probability that a whole frame of ``symbols`` arrives; None where that is not all or nothing."""
        return None

    def success(self, condition: Condition, channel_uses: int) -> float | None:
        """Predicted probability that a whole frame arrives; None where that is not all or nothing."""
        return self.frame_success(condition, self.layout(channel_uses).symbols)

    def over(self, message: Message, conditions: Sequence[Condition], streams: Streams, air: Air) -> Received:
        """Send a message over what is left of ``air``."""
        frame = self.modulate(message, conditions, streams)
        observations = air.carry(frame.signals)
        reports = {name: values for seen in observations for name, values in seen.reports.items()}
        received = self.demodulate(frame, observations)
        return replace(received, reports=reports) if reports else received

    def send(self, message: Message, conditions: Sequence[Condition], streams: Streams) -> Received:
        """Send one message a row, each at its condition, over the channel drawn from ``streams``."""
        if not len(message) == len(conditions) == len(streams):
            raise ValueError(
                f"{len(message)} messages, {len(conditions)} conditions, {len(streams)} streams; expected equal numbers"
            )
        layout = self.layout(message.budget.channel_uses)
        air = Air(self.channel, conditions, streams, layout.uses, self.device)
        received = self.over(message, conditions, streams, air)
        if air.left:
            raise ValueError(f"the link took {layout.uses - air.left} of {layout.uses} channel uses")
        if layout.charged or layout.streams > 1:
            received = replace(received, usage=charge(received.usage, layout))
        received.usage.check()
        return received.agreed(message)


def charge(usage: Usage, layout: Layout) -> Usage:
    """A ledger of symbols as one of channel uses: with what the layout charges, and the energy of its pilots.

    An image that sent nothing leaves all uses unused.
    """
    idle = usage.uses["unused"] == usage.granted if "unused" in usage.uses else torch.zeros_like(usage.granted, dtype=torch.bool)
    data = torch.full_like(usage.granted, len(layout.data))
    uses = share_out(data, dict(usage.uses))
    for purpose, count in layout.charged.items():
        more = torch.where(idle, 0, count)
        uses[purpose] = uses[purpose] + more if purpose in uses else more
    uses["unused"] = torch.where(idle, layout.uses, uses.get("unused", 0))
    pilots = torch.where(idle, 0, len(layout.pilots))
    return Usage(torch.full_like(usage.granted, layout.uses), uses, usage.energy / layout.streams + pilots, usage.free)


def uniform(streams: Streams, name: str, device: torch.device | str = "cpu") -> torch.Tensor:
    """A uniform draw in [0, 1) a row, float64 [B], from the stream ``name``; equal for every SNR and system."""
    streams = streams.for_system("")
    return torch.tensor([streams.generator(name, row).random() for row in range(len(streams))], dtype=torch.float64).to(device)


def parts_of(message: Message, kind: type[Bits] | type[Reals], link: str) -> dict[str, Bits | Reals]:
    """The message's parts, all of one ``kind``; ScenarioError where the link carries another one."""
    words = {Bits: "bits", Reals: "reals"}
    for name, part in message.parts.items():
        if not isinstance(part, kind):
            raise ScenarioError(
                f"part '{name}' of the message is {words[type(part)]}, but link '{link}' carries {words[kind]}; "
                f"give it a link that does, or its own with link 'parts'"
            )
    return dict(message.parts)


def is_silent(message: Message) -> bool:
    """Whether a message of bits has none at all, for any image: there is nothing to send."""
    return message.side is None and not any(part.bits.shape[1] for part in message.parts.values())


def silent(message: Message, feasible: torch.Tensor, power: float, device: torch.device | str) -> Frame:
    """The burst of a message that has nothing to send."""
    return Frame((Signal.silence(len(message), message.budget.symbols, device),), message, feasible, power)


def silence(frame: Frame) -> Received:
    """What arrives of a message of no bits: all of it, for no channel use and no power."""
    message, feasible = frame.message, frame.feasible
    k, none = message.budget.symbols, torch.zeros_like(feasible, dtype=torch.int64)
    empty = ReceivedBits(torch.zeros((len(message), 0), dtype=torch.uint8, device=feasible.device), none, feasible)
    usage = Usage(none + k, {"payload": none, "unused": none + k}, none.to(torch.float64), message.free)
    return Received({name: empty for name in message.parts}, usage, message.image_size)


def share_out(total: torch.Tensor, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """``total`` int64 [B] channel uses over purposes in proportion to ``weights`` int64 [B].

    Each purpose gets the whole part of its share; the uses that remain go one each to the largest
    remainders (ties to the earlier purpose), so that the sum is exactly ``total``.
    """
    stack = torch.stack(list(weights.values()), dim=1)
    product, whole = stack * total[:, None], stack.sum(dim=1, keepdim=True).clamp(min=1)
    shares, remainder = product // whole, product % whole
    missing = (product.sum(dim=1) // whole[:, 0] - shares.sum(dim=1))[:, None]
    order = torch.argsort(remainder, dim=1, descending=True, stable=True)
    rank = torch.argsort(order, dim=1)
    shares = shares + (rank < missing).to(torch.int64)
    return dict(zip(weights, shares.unbind(dim=1), strict=True))


def known_names(given: dict[str, object], names: Sequence[str], what: str) -> None:
    """ScenarioError where ``given`` names something that is not among ``names``."""
    for name in given:
        if name not in names:
            raise ScenarioError(f"{what} '{name}' is not known; {allowed(name, names)}")
