"""Messages cut into packets that are lost one by one, and sent again where there is room for it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field, model_validator

from channels.base import Observation
from channels.packet_loss import PacketLoss
from semcom.component import Component
from semcom.errors import Infeasible, LedgerError, ScenarioError
from semcom.link import base, header
from semcom.link.air import Air, Signal
from semcom.link.nested import NestedLink, add_up, sums
from semcom.rng import Streams, generator
from semcom.types import Bits, Budget, Condition, Message, Received, ReceivedBits, Usage

torch = lazy.load("torch")

#: What retransmissions take for granted.
FEEDBACK = "feedback of one bit a packet, at once and without error, and by it which packet a slot carries"


class Packet(Component):
    """Cuts a message into packets, each with a header and a CRC, that are lost one by one.

    A packet takes ``symbols`` symbols of the link inside, and the grant holds floor(symbols granted /
    ``symbols``) of them. It is lost when its CRC fails over the radio, and above the radio (a queue, a route)
    with probability ``loss``, independently or in ``burst``s of a mean number of packets (Gilbert and Elliott).

    Bits (link ``digital``): packet i carries slice i of the message in a frame of its own, behind a sequence
    number, the number of packets, and the side information. Slices that arrived are handed on, and which
    bits are known (`ReceivedBits.arrived`); the part is ok where all are. The budget says how long a slice is.

    Real numbers (link ``analog``): a header block (QPSK 1/12, CRC11) with sequence number and side information
    stands in front of each packet's symbols. With ``interleave`` a fixed pseudo-random permutation, known to
    both, spreads the symbols over all packets, so that a lost packet is noise_std = inf on scattered elements;
    without it, on consecutive ones.

    Retransmission (bits): ``reserve`` of the slots are kept free of new packets, and a packet that is not
    acknowledged is sent again in the next slot, those with the fewest attempts first, at most ``attempts``
    times in all. ``arq`` decodes each attempt by itself, ``harq`` combines the symbols of all that the radio
    received by maximum ratio (chase combining). The grant bounds what an image may spend; what it did not
    need is unused. Attempts after the first are charged as ``retransmissions``.

    Counts: packets, packets_lost (for good), transmissions, erased (lost above the radio),
    channel_uses_spent (whose mean and maximum over images are the mean and maximum k); and those of the
    link inside, a frame a transmission.

    Units: probabilities are ratios; lengths of bursts are packets.
    References: Gilbert 1960; Elliott 1963; Chase 1985, "Code combining"; 3GPP TS 38.321 section 5.4.2, HARQ.

    Example::

        link: {kind: packet, link: {kind: digital, mcs: qpsk-1/2}, symbols: 256, loss: 0.1, burst: 4}
    """

    CARRIES: ClassVar[frozenset[str]] = frozenset({"bits", "reals"})
    kind: Literal["packet"] = "packet"
    link: NestedLink = Field(description="link that carries the packets, by its kind: digital or analog")
    symbols: int = Field(512, ge=32, description="message symbols of a packet, header and CRC included")
    loss: float = Field(0.0, ge=0.0, lt=1.0, description="probability that a packet is lost above the radio")
    burst: float | None = Field(None, ge=1.0, description="mean length of a burst of losses, packets; null: independent losses")
    interleave: bool = Field(True, description="real numbers: spread the symbols over all packets")
    retransmit: Literal["none", "arq", "harq"] = Field("none", description="send lost packets again; harq combines the attempts")
    reserve: float | None = Field(None, gt=0.0, lt=1.0, description="arq, harq: share of the slots kept for retransmissions")
    attempts: int | None = Field(
        None, ge=2, description="arq, harq: most transmissions of a packet; null: as many as there are slots"
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Packet:
        PacketLoss(self.loss, self.burst)
        if self.link.kind not in ("digital", "analog"):
            raise ValueError(f"packets ride on link '{self.link.kind}'; allowed: digital, analog")
        if self.retransmit == "none":
            if self.reserve is not None or self.attempts is not None:
                raise ValueError("reserve and attempts are of retransmissions, and there are none; set retransmit: arq or harq")
        elif self.reserve is None:
            raise ValueError(
                f"retransmit: {self.retransmit} without reserve, the share of the slots kept for it; give one, such as 0.25"
            )
        elif self.link.kind == "analog":
            raise ValueError("retransmissions are of packets of bits; over link 'analog' set retransmit: none")
        return self

    @property
    def alone(self) -> str | None:
        """Why it cannot be the link of a part."""
        return "retransmissions, which need the channel to themselves" if self.retransmit != "none" else None

    def __hash__(self) -> int:
        return hash(json.dumps(self.identity(), sort_keys=True))

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "link": self.link.identity()}

    def tuning_identity(self) -> dict[str, Any]:
        return self.link.tuning_identity()

    def fits(self, transmit: Component) -> str | None:
        if self.link.CARRIES & transmit.CARRIES:
            return None
        what = {"bits": "bits", "reals": "real numbers"}
        carried, made = (" and ".join(what.get(c, c) for c in sorted(side)) for side in (self.link.CARRIES, transmit.CARRIES))
        return (
            f"link 'packet' over '{self.link.kind}' carries {carried} and transmit '{transmit.kind}' makes {made}; "
            "take another link inside"
        )

    def build(self, channel, device) -> base.Link:
        if self.link.kind == "analog":
            return RealPackets(self, channel, device)
        return RetransmittedPackets(self, channel, device) if self.alone else BitPackets(self, channel, device)


class _Packets(base.Link):
    """What packets of bits and of real numbers share."""

    def __init__(self, description: Packet, channel, device):
        super().__init__(channel, device)
        self.description, self.size = description, description.symbols
        self.inner: base.Link = description.link.build(channel, device)
        self.loss = PacketLoss(description.loss, description.burst)

    def _count(self, symbols: int) -> int:
        count = symbols // self.size
        if not count:
            raise Infeasible(f"{symbols} symbols hold no packet of {self.size}; take fewer symbols a packet or a larger grant")
        return count

    def send(self, message: Message, conditions: Sequence[Condition], streams: Streams) -> Received:
        """As every link does, with the channel uses that each image spent."""
        received = super().send(message, conditions, streams)
        spent = received.usage.granted - received.usage.uses["unused"]
        return replace(received, counts={**received.counts, "channel_uses_spent": spent})

    def _lost(self, streams: Streams, slots: int) -> torch.Tensor:
        """bool [B, slots], what is lost above the radio; from a stream of its own, the same for every system and SNR."""
        streams = streams.for_system("")
        rngs = [streams.generator("packet loss", row) for row in range(len(streams))]
        return torch.from_numpy(self.loss.draw(slots, rngs)).to(self.device)


# --- bits ------------------------------------------------------------------------------------------------


class BitPackets(_Packets):
    """The prepared link for bits, each packet sent once; see `Packet`."""

    def room(self, symbols: int, condition: Condition, side_bits: int = 0) -> Budget:
        count = self._count(symbols)
        one = self.inner.room(self.size, condition, _header_bits(count) + side_bits)
        return Budget(symbols, bits=count * one.bits, snr_db=condition.snr_db, slice_bits=one.bits)

    def modulate(self, message: Message, conditions: Sequence[Condition], streams: Streams, power: float = 1.0) -> base.Frame:
        if base.is_silent(message):
            return base.silent(message, message.feasible.to(self.device), power, self.device)
        slices = _Slices(message, self._count(message.budget.symbols))
        frames = []
        for number in range(slices.count):
            one = slices.packet(torch.full((len(message),), number), slices.packets > number, self.size)
            frames.append(self.inner.modulate(one, conditions, streams, power))
        signals = [signal for frame in frames for signal in frame.signals]
        unused = message.budget.symbols - slices.count * self.size
        if unused:
            signals.append(Signal.silence(len(message), unused, self.device))
        feasible = message.feasible.to(self.device)
        return _BitFrame(
            tuple(signals), message, feasible, power, slices, tuple(frames), unused, self._lost(streams, slices.count)
        )

    def demodulate(self, frame: base.Frame, observations: Sequence[Observation]) -> Received:
        if not isinstance(frame, _BitFrame):
            return base.silence(frame)
        collected, results, start = _Collected(frame.slices, self.device), [], 0
        for number, one in enumerate(frame.frames):
            seen = self.inner.demodulate(one, observations[start : start + len(one.signals)])
            start += len(one.signals)
            index = torch.full((len(frame.message),), number, device=self.device)
            collected.take(index, seen, frame.lost[:, number])
            results.append(seen)
        usage = add_up([seen.usage for seen in results], frame.message.budget.symbols, frame.unused)
        sent = frame.slices.packets.to(self.device)
        return collected.received(usage, sums([seen.counts for seen in results]), sent, _erased(frame.lost, sent))


@dataclass(frozen=True)
class _BitFrame(base.Frame):
    slices: _Slices
    frames: tuple[base.Frame, ...]
    unused: int
    lost: torch.Tensor  # bool [B, count]


class RetransmittedPackets(BitPackets):
    """The prepared link for bits with retransmissions, a burst a packet; see `Packet`."""

    def __init__(self, description: Packet, channel, device):
        super().__init__(description, channel, device)
        self.combines = description.retransmit == "harq"

    def _slot(self) -> int:
        """Channel uses of a burst that holds a packet."""
        return self.channel.uses_for(self.size) if hasattr(self.channel, "uses_for") else self.size

    def _slots(self, channel_uses: int) -> tuple[int, int, int]:
        """Uses a slot, slots in the grant, and packets that the message may have."""
        uses = self._slot()
        slots = channel_uses // uses
        packets = slots - math.ceil(self.description.reserve * slots)
        if packets < 1:
            raise Infeasible(
                f"{channel_uses} channel uses hold {slots} packets of {uses} uses, of which reserve {self.description.reserve:g} "
                "leaves none for the message"
            )
        return uses, slots, packets

    def budget(self, channel_uses: int, condition: Condition, side_bits: int = 0) -> Budget:
        _, _, packets = self._slots(channel_uses)
        return replace(self.room(packets * self.size, condition, side_bits), channel_uses=channel_uses)

    def modulate(self, message: Message, conditions: Sequence[Condition], streams: Streams, power: float = 1.0) -> base.Frame:
        raise ScenarioError(
            "link 'packet' with retransmissions needs the channel to itself; set retransmit: none inside another link"
        )

    def success(self, condition: Condition, channel_uses: int) -> None:
        return None

    def send(self, message: Message, conditions: Sequence[Condition], streams: Streams) -> Received:
        """Send packets slot by slot, each row the one that it needs most."""
        k = message.budget.channel_uses
        uses, slots, packets = self._slots(k)
        if base.is_silent(message):
            received = base.silence(base.silent(message, message.feasible.to(self.device), 1.0, self.device))
            return replace(received.agreed(message), usage=_unused(received.usage, k))
        air, slices = Air(self.channel, conditions, streams, k, self.device), _Slices(message, packets)
        collected, results, lost = _Collected(slices, self.device), [], self._lost(streams, slots)
        tried = torch.zeros((len(message), packets), dtype=torch.int64, device=self.device)
        most = self.description.attempts or slots
        evidence, rows, erased = _Evidence(), torch.arange(len(message), device=self.device), torch.zeros_like(tried[:, 0])
        for slot in range(slots):
            index, wanted = _next(tried, collected.ok, slices.packets.to(self.device), most)
            if not bool(wanted.any()):
                air.skip(k - slot * uses)
                break
            frame = self.inner.modulate(slices.packet(index.cpu(), wanted.cpu(), self.size), conditions, streams)
            seen = air.carry(_padded(frame.signals, self.layout(uses).symbols), uses)[: len(frame.signals)]
            gone = lost[:, slot] & wanted
            if self.combines:
                seen = evidence.combine(seen, index, wanted & ~gone, packets)
            arrived = self.inner.demodulate(frame, seen)
            collected.take(index, arrived, gone)
            again = wanted & (tried[rows, index] > 0)
            results.append(replace(arrived, usage=self._charged(arrived.usage, uses, again)))
            tried[rows, index] += wanted
            erased += gone
        else:
            air.skip(k - slots * uses)
        sent = add_up([one.usage for one in results], k, k - len(results) * uses)
        usage = replace(sent, free=(*sent.free, FEEDBACK)).check()
        received = collected.received(usage, sums([one.counts for one in results]), tried.sum(dim=1), erased).agreed(message)
        return replace(received, counts={**received.counts, "channel_uses_spent": usage.granted - usage.uses["unused"]})

    def _charged(self, usage: Usage, slot: int, again: torch.Tensor) -> Usage:
        """The ledger of a slot, in which all of a second attempt is a retransmission."""
        layout = self.layout(slot)
        if layout.charged or layout.streams > 1 or layout.symbols > self.size:
            usage = base.charge(usage, layout)
        idle = usage.uses["unused"]
        uses = {name: torch.where(again, 0, count) for name, count in usage.uses.items() if name != "unused"}
        return replace(usage, uses={**uses, "retransmissions": torch.where(again, usage.granted - idle, 0), "unused": idle})


def _unused(usage: Usage, channel_uses: int) -> Usage:
    granted = torch.full_like(usage.granted, channel_uses)
    return replace(usage, granted=granted, uses={**usage.uses, "unused": granted})


def _padded(signals: Sequence[Signal], symbols: int) -> tuple[Signal, ...]:
    first = signals[0].symbols
    missing = symbols - sum(signal.symbols.shape[1] for signal in signals)
    return (*signals, Signal.silence(len(first), missing, first.device)) if missing else tuple(signals)


def _next(tried: torch.Tensor, ok: torch.Tensor, packets: torch.Tensor, most: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Which packet each row sends next, int64 [B], and whether it sends any, bool [B]: fewest attempts first, then in order."""
    number = torch.arange(tried.shape[1], device=tried.device)
    waiting = (number < packets[:, None]) & ~ok & (tried < most)
    urgency = (tried * tried.shape[1] + number).masked_fill(~waiting, torch.iinfo(torch.int64).max)
    return urgency.argmin(dim=1), waiting.any(dim=1)


class _Evidence:
    """What the radio has received of each packet so far, combined by maximum ratio: the sum of y / var over that of 1 / var.

    In Gaussian noise that is all that they say of a symbol of any constellation. For BPSK and QPSK it is the same as
    adding the LLRs of the attempts; for larger ones it knows more, as a sum of LLRs forgets what bits share a symbol.
    """

    def __init__(self) -> None:
        self._weight: list[torch.Tensor] | None = None

    def combine(
        self, seen: Sequence[Observation], index: torch.Tensor, received: torch.Tensor, packets: int
    ) -> list[Observation]:
        if self._weight is None:
            empty = [torch.zeros((len(index), packets, one.symbols.shape[1]), device=one.symbols.device) for one in seen]
            self._weight, self._sum = empty, [torch.zeros_like(one, dtype=torch.complex64) for one in empty]
        rows, combined = torch.arange(len(index), device=index.device), []
        for one, weights, total in zip(seen, self._weight, self._sum, strict=True):
            fresh = one.noise_std.square().reciprocal().expand(one.symbols.shape) * received[:, None]
            weights[rows, index] += fresh
            total[rows, index] += fresh * one.symbols
            weight = weights[rows, index]
            symbols = torch.where(weight > 0, total[rows, index] / weight, 0.0)
            combined.append(replace(_plain(one), symbols=symbols, noise_std=weight.rsqrt()))
        return combined


def _plain(seen: Observation) -> Observation:
    return Observation(seen.symbols, seen.noise_std, seen.blind)


class _Slices:
    """A message of bits as ``count`` slices of equal length, the last ones empty where it is short."""

    def __init__(self, message: Message, count: int):
        parts = base.parts_of(message, Bits, "packet")
        if len(parts) != 1:
            raise ScenarioError(
                f"link 'packet' carries one part and the message has {', '.join(parts)}; give each a link with 'parts'"
            )
        if not message.budget.slice_bits:
            raise LedgerError("the message was made for a budget without slices; ask this link for its budget")
        (self.name, part), self.message, self.count = next(iter(parts.items())), message, count
        self.width = message.budget.slice_bits
        self.lengths = part.lengths.cpu()
        if bool((self.lengths[message.feasible] > count * self.width).any()):
            row = int(((self.lengths > count * self.width) & message.feasible).nonzero()[0])
            raise LedgerError(
                f"image {row} has {int(self.lengths[row])} bits; {count} packets of {self.width} carry {count * self.width}, "
                "so encode for the link's budget"
            )
        bits = part.bits.cpu()[:, : count * self.width]
        self._bits = torch.nn.functional.pad(bits, (0, count * self.width - bits.shape[1])).reshape(len(bits), count, self.width)
        #: packets that each row needs, int64 [B], at least one, none where it is infeasible
        self.packets = (-(-self.lengths // self.width)).clamp(min=1) * message.feasible
        self._side = None if message.side is None else message.side.bits.cpu()

    def packet(self, index: torch.Tensor, wanted: torch.Tensor, symbols: int) -> Message:
        """The message that packet ``index`` int64 [B] is, with its header as side information; nothing where not ``wanted``."""
        lengths = (self.lengths - index * self.width).clamp(0, self.width)
        head = [_number(index, self.count), _number(self.packets - 1, self.count)] + ([] if self._side is None else [self._side])
        head = torch.cat(head, dim=1)
        budget = Budget(symbols, bits=self.width, snr_db=self.message.budget.snr_db)
        return Message(
            {self.name: Bits(self._bits[torch.arange(len(index)), index], lengths)},
            budget,
            self.message.image_size,
            Bits(head, torch.full_like(lengths, head.shape[1])),
            tuple(None if one else "no packet is left to send" for one in wanted.tolist()),
            self.message.free,
        )


def _header_bits(count: int) -> int:
    """Of a sequence number, and of how many packets there are."""
    return 2 * _number_bits(count)


def _number_bits(count: int) -> int:
    return max(1, (count - 1).bit_length())


def _number(value: torch.Tensor, count: int) -> torch.Tensor:
    """0 .. count - 1 as bits uint8 [B, width], the most significant first."""
    places = torch.arange(_number_bits(count) - 1, -1, -1)
    return ((value.clamp(min=0)[:, None] >> places) & 1).to(torch.uint8)


def _erased(lost: torch.Tensor, sent: torch.Tensor) -> torch.Tensor:
    return (lost & (torch.arange(lost.shape[1], device=lost.device) < sent[:, None])).sum(dim=1)


class _Collected:
    """The slices that have arrived."""

    def __init__(self, slices: _Slices, device: torch.device | str):
        rows = len(slices.message)
        self._slices, self._device = slices, device
        #: bool [B, count]
        self.ok = torch.zeros((rows, slices.count), dtype=torch.bool, device=device)
        self._bits = torch.zeros((rows, slices.count, slices.width), dtype=torch.uint8, device=device)

    def take(self, index: torch.Tensor, seen: Received, lost: torch.Tensor) -> None:
        """Add what a slot brought: packet ``index`` int64 [B] of each row."""
        part, rows = seen.parts[self._slices.name], torch.arange(len(index), device=index.device)
        good = part.ok & ~lost
        self.ok[rows[good], index[good]] = True
        self._bits[rows[good], index[good]] = part.bits[good]

    def received(
        self, usage: Usage, counts: dict[str, torch.Tensor], transmissions: torch.Tensor, erased: torch.Tensor
    ) -> Received:
        slices, rows = self._slices, torch.arange(len(self.ok), device=self.ok.device)
        packets, lengths = slices.packets.to(self._device), slices.lengths.to(self._device)
        number = torch.arange(slices.count, device=self.ok.device)
        missing = ~self.ok & (number < packets[:, None])
        some = self.ok.any(dim=1)
        # without the last packet its length is not known: it may be full
        known = torch.where(self.ok[rows, (packets - 1).clamp(min=0)], lengths, packets * slices.width) * some
        place = torch.arange(slices.count * slices.width, device=self.ok.device)
        arrived = self.ok.repeat_interleave(slices.width, dim=1) & (place < known[:, None])
        ok = some & ~missing.any(dim=1)
        side = slices.message.side
        if side is not None:  # it rides in every packet
            side = ReceivedBits(side.bits.to(self._device) * some[:, None], side.lengths.to(self._device), some)
        counts = {
            **counts,
            "packets": packets,
            "packets_lost": missing.sum(dim=1),
            "transmissions": transmissions,
            "erased": erased,
        }
        part = ReceivedBits(self._bits.flatten(1) * arrived, known, ok, arrived, slice_bits=slices.width)
        return Received({slices.name: part}, usage, slices.message.image_size, side, counts)


# --- real numbers ----------------------------------------------------------------------------------------


class RealPackets(_Packets):
    """The prepared link for real numbers; see `Packet`."""

    def _header(self, count: int, side_bits: int) -> int:
        uses = header.uses(_number_bits(count) + side_bits)
        if uses >= self.size:
            raise Infeasible(
                f"a packet's header of {_number_bits(count) + side_bits} bits takes {uses} of its {self.size} symbols; "
                "take more symbols a packet"
            )
        return uses

    def _inside(self, symbols: int, condition: Condition, side_bits: int) -> Budget:
        """The budget of the link inside, net of all headers."""
        count = self._count(symbols)
        return self.inner.room(count * (self.size - self._header(count, side_bits)), condition)

    def room(self, symbols: int, condition: Condition, side_bits: int = 0) -> Budget:
        return replace(self._inside(symbols, condition, side_bits), channel_uses=symbols, symbols=symbols)

    def modulate(self, message: Message, conditions: Sequence[Condition], streams: Streams, power: float = 1.0) -> base.Frame:
        symbols, side_bits = message.budget.symbols, 0 if message.side is None else message.side.bits.shape[1]
        count, head = self._count(symbols), self._header(self._count(symbols), side_bits)
        inside = self._inside(symbols, Condition(0.0), side_bits)
        if message.budget.reals != inside.reals:
            raise LedgerError(
                f"the message carries {side_bits} bits of side information, which leave {inside.reals} reals in {symbols} "
                f"symbols, but was made for {message.budget.reals}; declare side_bits = {side_bits} on the transmitter so that "
                "they are charged"
            )
        whole = self.inner.modulate(replace(message, side=None, budget=inside), conditions, streams, power)
        sent = [signal for signal in whole.signals if signal.power]
        stream = torch.cat([signal.symbols for signal in whole.signals], dim=1)
        pieces = stream[:, self._order(count * (self.size - head))].reshape(len(message), count, -1)
        level = sent[0] if sent else Signal(stream, 0.0)
        signals, heads = [], []
        for number in range(count):
            heads.append(self._head(message, number, count))
            signals.append(header.modulate(heads[-1], power, self.device))
            signals.append(replace(level, symbols=pieces[:, number]))
        unused = symbols - count * self.size
        if unused:
            signals.append(Signal.silence(len(message), unused, self.device))
        return _RealFrame(
            tuple(signals),
            message,
            message.feasible.to(self.device),
            power,
            whole,
            tuple(heads),
            head,
            unused,
            self._lost(streams, count),
        )

    def demodulate(self, frame: _RealFrame, observations: Sequence[Observation]) -> Received:
        message, count = frame.message, len(frame.heads)
        heads = [
            header.demodulate(side, seen, self.device).ok for side, seen in zip(frame.heads, observations[::2], strict=False)
        ]
        failed = ~torch.stack(heads, dim=1)
        arrived = ~failed & ~frame.lost & frame.feasible[:, None]
        stream = self._stream(observations[1 : 2 * count : 2], arrived)
        start, seen = 0, []
        for signal in frame.whole.signals:
            stop = start + signal.symbols.shape[1]
            seen.append(Observation(stream.symbols[:, start:stop], stream.noise_std[:, start:stop], stream.blind))
            start = stop
        received, some = self.inner.demodulate(frame.whole, seen), arrived.any(dim=1)
        parts = {name: replace(part, ok=part.ok & some) for name, part in received.parts.items()}
        side = message.side
        if side is not None:  # it rides in every header
            side = ReceivedBits(side.bits.to(self.device) * some[:, None], side.lengths.to(self.device), some)
        sent = torch.where(frame.feasible, count, 0)
        counts = {
            "header_failures": (failed & frame.feasible[:, None]).sum(dim=1),
            "headers": sent,
            "packets": sent,
            "packets_lost": sent - arrived.sum(dim=1),
            "transmissions": sent,
            "erased": _erased(frame.lost, sent),
        }
        return Received(parts, self._usage(frame, received.usage), message.image_size, side, counts)

    def _head(self, message: Message, number: int, count: int) -> Bits:
        bits = _number(torch.full((len(message),), number), count)
        if message.side is not None:
            bits = torch.cat([bits, message.side.bits.cpu()], dim=1)
        return Bits(bits, torch.full((len(bits),), bits.shape[1], dtype=torch.int64))

    def _order(self, symbols: int) -> torch.Tensor:
        """Which symbol of the stream stands at each place of the packets."""
        if not self.description.interleave:
            return torch.arange(symbols, device=self.device)
        return torch.from_numpy(generator("packet interleaving").permutation(symbols).astype(np.int64)).to(self.device)

    def _stream(self, seen: Sequence[Observation], arrived: torch.Tensor) -> Observation:
        """The symbols in the order of the stream; nothing is known of those in lost packets."""
        symbols = torch.cat([one.symbols for one in seen], dim=1)
        noise_std = torch.cat([one.noise_std.expand(one.symbols.shape) for one in seen], dim=1)
        there = arrived.repeat_interleave(symbols.shape[1] // arrived.shape[1], dim=1)
        back = torch.argsort(self._order(symbols.shape[1]))
        return Observation(
            torch.where(there, symbols, 0.0)[:, back],
            torch.where(there, noise_std, math.inf)[:, back],
            any(one.blind for one in seen),
        )

    def _usage(self, frame: _RealFrame, inside: Usage) -> Usage:
        heads = torch.where(frame.feasible, len(frame.heads) * frame.header_symbols, 0)
        idle = torch.where(frame.feasible, 0, len(frame.heads) * frame.header_symbols)
        headers = Usage(heads + idle, {"header": heads, "unused": idle}, frame.power * heads.to(torch.float64), inside.free)
        return add_up([inside, headers], frame.message.budget.symbols, frame.unused)


@dataclass(frozen=True)
class _RealFrame(base.Frame):
    whole: base.Frame  # all reals, as the link inside sends them
    heads: tuple[Bits, ...]  # what stands in each packet's header
    header_symbols: int
    unused: int
    lost: torch.Tensor  # bool [B, count]
