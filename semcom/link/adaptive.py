"""Adaptive modulation and coding: the fastest scheme whose SNR threshold is met, told to the receiver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field, field_validator, model_validator

from channels import mcs as schemes
from channels.base import Observation
from channels.fec import Interleaving
from semcom.component import Component
from semcom.errors import Infeasible, LedgerError, ScenarioError
from semcom.link import base, draws, header
from semcom.link.adaptation import GRID_DB, FrameSuccess, table_digest
from semcom.link.digital import AVERAGE_MCS, Digital, DigitalLink
from semcom.link.nested import add_up
from semcom.rng import Streams
from semcom.types import Bits, Budget, Condition, Message, Received, ReceivedBits, Usage

torch = lazy.load("torch")

#: What the transmitter is given for free.
PERFECT_CSIT = "the channel gain h at the transmitter before it sends (perfect CSIT)"


class Adaptive(Component):
    """Sends bits by the fastest modulation and coding scheme whose SNR threshold the channel meets, and says which.

    The threshold of a scheme is the SNR at which a frame fails with probability ``target``, predicted from
    measured block error rates (without a code: in closed form). ``target: auto`` learns it on tuning images
    for each average SNR and metric: the one at which the pictures are best, not the bits.

    With ``csit: none`` the transmitter knows the average SNR and compares the failure rate over the fading;
    with ``csit: perfect`` it knows h of each transmission, and compares the SNR over AWGN that carries as much
    (mutual information) with the threshold; each transmission then has a budget and an encoding of its own.
    Where no scheme meets its threshold, the one that fails least is taken.

    Signalling: the index of the scheme, ceil(log2 n) bits of n schemes, is charged as a header block (QPSK
    1/12, CRC11) in front; if it fails, so does the frame. Counts are those of link `digital`, with
    header_failures of headers. ``told: false`` sends no index: without CSIT the scheme depends on the average SNR alone, which
    both ends know, as link `digital` takes its own for known; the ledger lists it as free.

    References: Goldsmith, Chua 1998, "Adaptive coded modulation for fading channels"; Wan, Tsai, Almgren
    2006, for the effective SNR.

    Example::

        link: {kind: adaptive, csit: perfect, target: 0.1}
    """

    CARRIES: ClassVar[frozenset[str]] = frozenset({"bits"})
    kind: Literal["adaptive"] = "adaptive"
    csit: Literal["none", "perfect"] = Field(
        "none", description="what the transmitter knows: the average SNR (none), or h of each transmission (perfect)"
    )
    target: float = Field(
        0.1,
        gt=0.0,
        lt=1.0,
        description="probability that a frame fails at its scheme's threshold; auto learns it on tuning images",
    )
    schemes: tuple[str, ...] | None = Field(
        None, description="schemes to choose from: names, or without a code modulations; null: all of the table", min_length=2
    )
    told: bool = Field(True, description="whether a header says the scheme; false, with csit none alone: both ends know it")
    code: Literal["ldpc", "polar", "uncoded"] = Field("ldpc", description="channel code of 5G; uncoded: the CRC alone")
    interleave: Interleaving = Field("block", description="coded bits, as link digital has it: block, frame or none")

    @classmethod
    def choices(cls, field: str) -> tuple[Any, ...]:
        return (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5) if field == "target" else ()

    @field_validator("schemes")
    @classmethod
    def _once_each(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            if names.count(name) > 1:
                raise ValueError(f"scheme '{name}' is listed twice")
        return names

    @model_validator(mode="after")
    def _all_exist(self) -> Adaptive:
        if self.csit == "perfect" and not self.told:
            raise ValueError("told: false stands beside csit: perfect, where each transmission has a scheme of its own; leave it out")
        self.links()
        return self

    def links(self) -> dict[str, Digital]:
        """The link of each scheme by its name, from the slowest to the fastest."""
        common = {"code": self.code, "interleave": self.interleave}
        if self.code == "uncoded":
            found = {name: Digital(modulation=name, **common) for name in self.schemes or schemes.MODULATIONS}
        else:
            found = {name: Digital(mcs=name, **common) for name in self.schemes or Digital.choices("mcs")}
        # at equal speed the smaller constellation, which needs less SNR, counts as faster
        order = lambda item: (item[1].scheme.efficiency, -item[1].scheme.bits_per_symbol)  # noqa: E731
        return dict(sorted(found.items(), key=order))

    @property
    def alone(self) -> str | None:
        """Why it cannot be the link of a part."""
        return "csit: perfect, which makes a budget of each transmission" if self.csit == "perfect" else None

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "block_error_rates": table_digest(self.code)}

    def build(self, channel, device) -> AdaptiveLink:
        return AdaptiveLink(self, channel, device)


class AdaptiveLink(base.Link):
    """The prepared link; see `Adaptive`. ``Budget.scheme`` is the one that was chosen."""

    def __init__(self, description: Adaptive, channel, device):
        super().__init__(channel, device)
        self.target, self.knows_gain = description.target, description.csit == "perfect"
        self.links: dict[str, DigitalLink] = {name: one.build(channel, device) for name, one in description.links().items()}
        self.names = tuple(self.links)
        self.index_bits = (len(self.names) - 1).bit_length() if description.told else 0
        self.header_symbols = header.uses(self.index_bits)
        self._chosen: dict[tuple[int, float], str] = {}
        if self.knows_gain and hasattr(channel, "layout") and (channel.transmit, channel.receive) != (1, 1):
            raise ScenarioError("link 'adaptive' with csit: perfect is for one antenna at each end; set csit: none")

    def thresholds(self, symbols: int) -> dict[str, float]:
        """SNR [dB] from which a frame of ``symbols``, header included, fails over AWGN with at most ``target``; inf if never."""
        return {name: self._threshold(name, symbols) for name in self.names}

    def _threshold(self, name: str, symbols: int) -> float:
        success = self._fails(name, GRID_DB[:, None], symbols)
        met = np.flatnonzero(success <= self.target)
        return float(GRID_DB[met[0]]) if len(met) else float("inf")

    def _fails(self, name: str, snr_db: np.ndarray, symbols: int) -> np.ndarray:
        """Probability [R] that a frame of a scheme fails at the SNRs [R, symbols] or [R, 1] of its symbols."""
        return 1.0 - self._success(name).given(_behind(snr_db, self.header_symbols), symbols - self.header_symbols)

    def _success(self, name: str) -> FrameSuccess:
        return self.links[name].predicted

    def _choose(self, fails: dict[str, np.ndarray]) -> np.ndarray:
        """Index into ``fails`` of the fastest scheme that fails with at most ``target``, else of the one that fails least, int [R]."""
        table = np.stack(list(fails.values()))  # from the slowest
        meets = table <= self.target
        fastest = len(table) - 1 - np.argmax(meets[::-1], axis=0)
        return np.where(meets.any(axis=0), fastest, np.argmin(table, axis=0))

    def _on_average(self, symbols: int, snr_db: float) -> str:
        """The scheme for an average SNR, of those that ``symbols`` hold a frame of; with CSIT that of a transmission of average
        gain, as a first guess. Infeasible where they hold none."""
        if (symbols, snr_db) not in self._chosen:
            rest = symbols - self.header_symbols
            fails = {
                name: self._fails(name, np.array([[snr_db]]), symbols)
                if self.knows_gain
                else np.array([1.0 - self._success(name)(snr_db, rest)])
                for name in self._holding(rest, snr_db)
            }
            self._chosen[symbols, snr_db] = list(fails)[int(self._choose(fails)[0])]
        return self._chosen[symbols, snr_db]

    def _holding(self, symbols: int, snr_db: float) -> list[str]:
        """The schemes of which ``symbols`` hold a frame with a bit in it; Infeasible with the reason of the fastest if none."""
        held, reason = [], None
        for name, link in self.links.items():
            try:
                link.room(symbols, Condition(snr_db))
                held.append(name)
            except Infeasible as error:
                reason = error
        if not held:
            raise reason
        return held

    def _check(self, symbols: int) -> None:
        if symbols <= self.header_symbols:
            raise Infeasible(
                f"the header of the scheme takes {self.header_symbols} symbols of {symbols}; grant more channel uses"
            )

    def room(self, symbols: int, condition: Condition, side_bits: int = 0) -> Budget:
        self._check(symbols)
        return self._room(self._on_average(symbols, condition.snr_db), symbols, condition, side_bits)

    def _room(self, name: str, symbols: int, condition: Condition, side_bits: int) -> Budget:
        inside = self.links[name].room(symbols - self.header_symbols, condition, side_bits)
        return replace(inside, channel_uses=symbols, symbols=symbols, scheme=name)

    def frame_success(self, condition: Condition, symbols: int) -> float | None:
        """Of the scheme for the average SNR, as if its header arrived; None where each transmission has its own."""
        if self.knows_gain:
            return None
        self._check(symbols)
        return self._success(self._on_average(symbols, condition.snr_db))(condition.snr_db, symbols - self.header_symbols)

    def budgets(
        self, channel_uses: int, conditions: Sequence[Condition], streams: Streams, side_bits: int = 0
    ) -> list[Budget | Infeasible]:
        """The budget of each transmission, by what the transmitter knows of its channel; or why there is none."""
        layout = self.layout(channel_uses)
        symbols = layout.symbols
        try:
            self._check(symbols)
        except Infeasible as reason:
            return [reason] * len(conditions)
        if self.knows_gain:
            snr_db = self._gains_db(layout, streams) + np.array([[c.snr_db] for c in conditions])
            index = self._choose({name: self._fails(name, snr_db, symbols) for name in self.names})
            chosen = [self.names[i] for i in index]
        else:
            chosen = [self._on_average(symbols, condition.snr_db) for condition in conditions]
        return [
            self._granted(name, channel_uses, symbols, condition, side_bits)
            for name, condition in zip(chosen, conditions, strict=True)
        ]

    def _granted(self, name: str, channel_uses: int, symbols: int, condition: Condition, side_bits: int) -> Budget | Infeasible:
        try:
            return replace(self._room(name, symbols, condition, side_bits), channel_uses=channel_uses)
        except Infeasible as reason:
            return reason

    def _gains_db(self, layout, streams: Streams) -> np.ndarray:
        """|h|^2 [dB] that each transmission is going to meet, [B, symbols], or [B, 1] where it stays."""
        streams = streams.for_system("")
        if hasattr(self.channel, "layout"):
            h = draws.gains(self.channel, streams, layout.grid)[:, 0, 0]
            h = h if h.shape[1] == 1 else h[:, torch.from_numpy(layout.data)]
        else:
            h = draws.fading(self.channel, streams, layout.symbols)
            h = h[:, :1] if bool((h == h[:, :1]).all()) else h
        return 20.0 * np.log10(np.maximum(h.abs().double().numpy(), 1e-6))

    def modulate(self, message: Message, conditions: Sequence[Condition], streams: Streams, power: float = 1.0) -> base.Frame:
        feasible = message.feasible.to(self.device)
        if base.is_silent(message):
            return base.silent(message, feasible, power, self.device)
        if message.budget.scheme not in self.links:
            raise LedgerError("the message was made for a budget without a scheme of this link; ask it for its budget")
        rest = message.budget.symbols - self.header_symbols
        name = message.budget.scheme
        whole = self.links[name].modulate(
            replace(message, budget=replace(message.budget, channel_uses=rest, symbols=rest)), conditions, streams, power
        )
        if not self.header_symbols:
            return _AdaptiveFrame(whole.signals, message, feasible, power, whole, None)
        number = (self.names.index(name) >> np.arange(self.index_bits - 1, -1, -1)) & 1
        index = torch.from_numpy(number.astype(np.uint8)).expand(len(message), -1)
        index = Bits(index, torch.full((len(message),), self.index_bits))
        head = header.modulate(index, power, self.device)
        head = replace(head, symbols=head.symbols * feasible[:, None])
        return _AdaptiveFrame((head, *whole.signals), message, feasible, power, whole, index)

    def demodulate(self, frame: base.Frame, observations: Sequence[Observation]) -> Received:
        if not isinstance(frame, _AdaptiveFrame):
            return base.silence(frame)
        if frame.index is None:
            return self.links[frame.message.budget.scheme].demodulate(frame.whole, observations)
        told = header.demodulate(frame.index, observations[0], self.device).ok & frame.feasible
        inside = self.links[frame.message.budget.scheme].demodulate(frame.whole, observations[1:])
        ok = {name: part.ok & told for name, part in inside.parts.items()}
        counts = {
            **inside.counts,
            "frame_failures": inside.counts["frame_failures"] | (frame.feasible & ~told),
            "undetected": inside.counts["undetected"] * told,
            "header_failures": (frame.feasible & ~told).to(torch.int64),
            "headers": frame.feasible.to(torch.int64),
        }
        return Received(
            {name: _read(part, ok[name], told) for name, part in inside.parts.items()},
            self._usage(frame, inside.usage),
            inside.image_size,
            None if inside.side is None else _read(inside.side, inside.side.ok & told, told),
            counts,
        )

    def _usage(self, frame: _AdaptiveFrame, inside: Usage) -> Usage:
        head = torch.where(frame.feasible, self.header_symbols, 0)
        idle = self.header_symbols - head
        header_usage = Usage(head + idle, {"header": head, "unused": idle}, frame.power * head.to(torch.float64))
        free = (*(item for item in inside.free if item != AVERAGE_MCS), *((PERFECT_CSIT,) if self.knows_gain else ()))
        return add_up([replace(inside, free=free), header_usage], frame.message.budget.symbols, 0)


@dataclass(frozen=True)
class _AdaptiveFrame(base.Frame):
    whole: base.Frame  # of the scheme's own link
    index: Bits | None  # of the scheme, as the header says it; None where both ends know it


def _behind(snr_db: np.ndarray, header_symbols: int) -> np.ndarray:
    return snr_db if snr_db.shape[1] == 1 else snr_db[:, header_symbols:]


def _read(part: ReceivedBits, ok: torch.Tensor, told: torch.Tensor) -> ReceivedBits:
    """A part of which nothing can be read where the scheme is not ``told``."""
    llr = None if part.llr is None else part.llr * told[:, None]
    return ReceivedBits(part.bits * ok[:, None], torch.where(ok, part.lengths, 0), ok, llr=llr)
