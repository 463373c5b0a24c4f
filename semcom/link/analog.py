"""Real numbers straight onto I and Q, without a code: quality follows the channel."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field

from channels.base import Observation
from semcom.component import Component
from semcom.errors import Infeasible, LedgerError
from semcom.link import base, header
from semcom.rng import Streams, generator
from semcom.types import Budget, Condition, Message, Reals, Received, ReceivedReals, Usage

torch = lazy.load("torch")

#: Two reals of unit mean power make one symbol x = (s1 + j s2) / a of unit mean power.
A = math.sqrt(2.0)
#: Rounding of float32 that a mean power of 1 may show.
POWER_TOLERANCE = 1e-4


class Analog(Component):
    """Sends real numbers as they are, two to a symbol, and hands on each with its noise level.

    Reals s of mean power at most 1 an image make symbols x = (s1 + j s2) / a with a = sqrt(2). What is
    handed on is a y / h, unbiased, with noise_std = a sigma / (sqrt(2) |h|) per real number. A message
    that is longer than its grant of k uses drops its last elements (value 0, noise_std inf): reals come in
    order of importance. One that is shorter is repeated where ``fill`` is ``repeat`` and combined by
    maximum ratio. The m elements of a repetition that the grant cuts short are sent at amplitude
    sqrt(m / D), known to both: whatever the image, D reals of mean power 1 then keep to the power of m.

    In order of importance a message is often in order of power as well: hardware that saturates, and channels that change
    within an image, then treat its beginning worse than its end, which the noise levels, right on average, do not show. With
    ``interleave`` symbols go out in a fixed pseudo-random order that both ends know.

    Side information is charged as a header block (CRC11, QPSK 1/12) in front. If it fails, nothing of the
    image arrives.

    Units: values and noise_std in units of the message; power relative to 1 over the granted uses.
    References: PROTOCOL.md of this project, "Bandwidth, power, SNR"; D. G. Brennan, "Linear diversity
    combining techniques", Proc. IRE 1959, for the combining.

    Example::

        link: {kind: analog, fill: repeat}
    """

    CARRIES: ClassVar[frozenset[str]] = frozenset({"reals"})
    kind: Literal["analog"] = "analog"
    fill: Literal["repeat", "none"] = Field(
        "repeat", description="what a message shorter than its grant does with the rest: repeat itself, or leave it unused"
    )
    interleave: bool = Field(
        False, description="send symbols in a fixed scrambled order, so that strong and weak elements share every stretch of the channel"
    )

    def build(self, channel, device) -> AnalogLink:
        return AnalogLink(self, channel, device)


class AnalogLink(base.Link):
    """The prepared link; see `Analog`."""

    def __init__(self, description: Analog, channel, device):
        super().__init__(channel, device)
        self.fill, self.interleave = description.fill, description.interleave

    def room(self, symbols: int, condition: Condition, side_bits: int = 0) -> Budget:
        left = symbols - header.uses(side_bits)
        if left < 1:
            raise Infeasible(
                f"a header of {side_bits} bits of side information takes {header.uses(side_bits)} channel uses "
                f"of {symbols} and leaves none for the message"
            )
        return Budget(symbols, reals=2 * left, snr_db=condition.snr_db)

    def modulate(
        self, message: Message, conditions: Sequence[Condition], streams: Streams, power: float = 1.0
    ) -> _AnalogFrame:
        parts = base.parts_of(message, Reals, "analog")
        feasible = message.feasible.to(self.device)
        k, side_bits = message.budget.symbols, 0 if message.side is None else message.side.bits.shape[1]
        header_uses = header.uses(side_bits)
        _check_charged(message.budget, side_bits)

        values = _joined([part.values for part in parts.values()]).to(self.device)
        plan = _Plan(values.shape[1], 2 * (k - header_uses), self.fill, self.interleave)
        energy = _energy(values[:, : plan.sent])
        _check_power(energy, plan.sent, feasible)
        signals = [header.modulate(message.side, power, self.device)] if side_bits else []
        if plan.sent:
            signals.append(plan.signal(values, power))
        if unused := k - header_uses - plan.uses:
            signals.append(base.Signal.silence(len(values), unused, self.device))
        energy = power * (header_uses + plan.radiated(values, energy) / 2.0)
        return _AnalogFrame(tuple(signals), message, feasible, power, values, plan, header_uses, energy)

    def demodulate(self, frame: _AnalogFrame, observations: Sequence[Observation]) -> Received:
        message, feasible, plan, observations = frame.message, frame.feasible, frame.plan, list(observations)
        side = header.demodulate(message.side, observations.pop(0), self.device) if frame.header_uses else None
        if plan.sent:
            arrived, noise_std = plan.receive(observations[0])
        else:
            arrived, noise_std = frame.values, torch.full_like(frame.values, math.inf)

        ok = feasible if side is None else feasible & side.ok
        if not bool(ok.all()):
            arrived, noise_std = arrived.masked_fill(~ok[:, None], 0.0), noise_std.masked_fill(~ok[:, None], math.inf)
            if side is not None:
                side = type(side)(side.bits, side.lengths, ok)
        return Received(
            parts=_split(base.parts_of(message, Reals, "analog"), arrived, noise_std, ok),
            usage=_usage(frame, (*message.free, *self.assumed)),
            image_size=message.image_size,
            side=side,
            counts={"header_failures": (feasible & ~side.ok).to(torch.int64), "headers": feasible.to(torch.int64)}
            if side
            else {},
        )


@dataclass(frozen=True)
class _AnalogFrame(base.Frame):
    values: torch.Tensor
    plan: _Plan
    header_uses: int
    energy: torch.Tensor  # of all that is radiated, float64 [B]


class _Plan:
    """Which of D reals goes where among ``room`` reals of the channel: punctured, repeated, or neither."""

    def __init__(self, length: int, room: int, fill: str, interleave: bool):
        self.length, self.sent = length, min(length, room)
        filled = room if fill == "repeat" and length else self.sent
        self.uses = (filled + 1) // 2
        self.copies, self.rest = divmod(2 * self.uses, self.sent) if fill == "repeat" and self.sent else (1, 0)
        #: amplitude of the repetition that the grant cuts short
        self.rest_amplitude = math.sqrt(self.rest / self.sent) if self.rest else 0.0
        #: which symbol goes out when; None: in order
        self.order = _order(self.uses) if interleave else None

    def radiated(self, values: torch.Tensor, energy: torch.Tensor) -> torch.Tensor:
        """Sum of squares of all that is sent, float64 [B], from that of one copy; a symbol has half that of its two reals."""
        rest = self.rest_amplitude**2 * _energy(values[:, : self.rest]) if self.rest else 0.0
        return self.copies * energy + rest

    def signal(self, values: torch.Tensor, power: float) -> base.Signal:
        """The D reals as symbols x = (s1 + j s2) / a, repeated to fill what there is."""
        sent = values[:, : self.sent]
        stream = [sent] * self.copies
        if self.rest:
            stream.append(self.rest_amplitude * sent[:, : self.rest])
        reals = _joined(stream)
        if reals.shape[1] < 2 * self.uses:  # an odd last element has zero for company
            reals = torch.nn.functional.pad(reals, (0, 1))
        if reals.stride(0) % 2:  # cut from a longer message of odd length
            reals = reals.contiguous()
        pairs = torch.view_as_complex(reals.reshape(len(reals), self.uses, 2))
        if self.order is not None:
            pairs = pairs[:, self.order]
        return base.Signal(pairs, power / A**2, mean=A**2)  # what comes back is a y / h

    def receive(self, seen: Observation) -> tuple[torch.Tensor, torch.Tensor]:
        """Estimates and noise levels of the D reals, float32 [B, D]."""
        symbols, noise_std = seen.symbols, seen.noise_std
        if self.order is not None:
            back = self.order.argsort()
            symbols, noise_std = symbols[:, back], noise_std if noise_std.shape[1] == 1 else noise_std[:, back]
        estimate = torch.view_as_real(symbols).flatten(1)
        # a sigma / (sqrt(2) |h|) per real, the same for I and for Q; nothing is known of what a blind receiver sees
        noise_std = torch.full_like(noise_std, math.inf) if seen.blind else noise_std / math.sqrt(2.0)
        if noise_std.shape[1] == 1:
            noise_std = noise_std.expand(estimate.shape)
        else:
            noise_std = noise_std[:, :, None].expand(-1, -1, 2).reshape(estimate.shape)
        if self.copies + bool(self.rest) > 1:
            estimate, noise_std = self._combine(estimate, noise_std)
        return self._unpuncture(estimate[:, : self.sent], 0.0), self._unpuncture(noise_std[:, : self.sent], math.inf)

    def _combine(self, estimate: torch.Tensor, noise_std: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Maximum-ratio combining: the average with weights 1 / variance, whose variance is 1 / their sum.

        Weights are relative to each row's best element, so that a noiseless channel stays finite."""
        starts = range(0, estimate.shape[1], self.sent)
        best = noise_std.amin(dim=1, keepdim=True)
        total = weighted = 0.0
        for start in starts:
            width = min(self.sent, estimate.shape[1] - start)
            amplitude = 1.0 if width == self.sent else self.rest_amplitude
            piece = slice(start, start + width)
            ratio = amplitude * torch.where(best > 0, best / noise_std[:, piece], 1.0).nan_to_num(nan=0.0)
            pad = (0, self.sent - width)
            total = total + torch.nn.functional.pad(ratio.square(), pad)
            # a copy at amplitude c estimates the value as estimate / c, with weight c^2: together c
            weighted = weighted + torch.nn.functional.pad(ratio.square() / amplitude * estimate[:, piece], pad)
        nothing = total == 0
        return (weighted / total).masked_fill(nothing, 0.0), (best / total.sqrt()).masked_fill(nothing, math.inf)

    def _unpuncture(self, sent: torch.Tensor, value: float) -> torch.Tensor:
        return sent if self.sent == self.length else torch.nn.functional.pad(sent, (0, self.length - self.sent), value=value)


@functools.lru_cache(maxsize=8)
def _order(count: int) -> torch.Tensor:
    """A fixed permutation of ``count`` symbols, int64."""
    return torch.from_numpy(generator("interleaving").permutation(count))


def _joined(pieces: list[torch.Tensor]) -> torch.Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)


def _energy(values: torch.Tensor) -> torch.Tensor:
    """Sum of squares a row, float64 [B]."""
    return torch.linalg.vector_norm(values.detach(), dim=1).to(torch.float64).square()


def _check_power(energy: torch.Tensor, count: int, feasible: torch.Tensor) -> None:
    over = feasible & ~(energy <= count * (1.0 + POWER_TOLERANCE))  # so that NaN is caught as well
    if bool(over.any()):
        row = int(over.nonzero()[0])
        raise LedgerError(
            f"image {row} has mean power {float(energy[row]) / count:.6g} over the {count} reals that are sent; at most 1 "
            f"an image is allowed, so scale each image's first {count} reals to unit RMS or less"
        )


def _check_charged(budget: Budget, side_bits: int) -> None:
    """The message was made for a budget that is net of the header that it carries."""
    net = 2 * (budget.symbols - header.uses(side_bits))
    if budget.reals != net:
        raise LedgerError(
            f"the message carries {side_bits} bits of side information, which leave {net} reals in {budget.symbols} channel "
            f"uses, but was made for {budget.reals}; declare side_bits = {side_bits} on the transmitter so that they are charged"
        )


def _split(parts: dict[str, Reals], values: torch.Tensor, noise_std: torch.Tensor, ok: torch.Tensor) -> dict[str, ReceivedReals]:
    received, start = {}, 0
    for name, part in parts.items():
        piece = slice(start, start + part.values.shape[1])
        received[name] = ReceivedReals(values[:, piece], noise_std[:, piece], part.shape, ok, part.powers)
        start = piece.stop
    return received


def _usage(frame: _AnalogFrame, free: tuple[str, ...]) -> Usage:
    k, payload, feasible = frame.message.budget.symbols, frame.plan.uses, frame.feasible
    spent = {"payload": payload, "header": frame.header_uses, "unused": k - payload - frame.header_uses}
    idle = {"payload": 0, "header": 0, "unused": k}
    return Usage(
        granted=torch.full_like(feasible, k, dtype=torch.int64),
        uses={purpose: torch.where(feasible, spent[purpose], idle[purpose]) for purpose in spent},
        energy=torch.where(feasible, frame.energy, 0.0),
        free=free,
    )
