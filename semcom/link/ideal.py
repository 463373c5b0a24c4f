"""Bits over the best code there can be: the reference of capacity, and of finite blocklength."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field

from channels import theory
from channels.base import Observation
from semcom.component import Component
from semcom.errors import Infeasible, LedgerError, ScenarioError
from semcom.link import base
from semcom.link.adaptation import Gains
from semcom.rng import Streams, generator
from semcom.types import Bits, Budget, Condition, Message, Received, ReceivedBits, Usage

torch = lazy.load("torch")

#: Realisations of |h|^2: the quantiles that set the rate are stratified, so one in two thousand is their resolution.
REALISATIONS = 2000
#: The most gains kept at a time: fast fading needs few realisations of many uses.
MOST_GAINS = 2_000_000
#: Bits of rounding between the budget and what is compared with it.
ROUNDING_BITS = 1e-6


class Ideal(Component):
    """Carries as many bits as information theory allows, without error if the channel holds; a reference, not a system.

    ``capacity``: k uses carry floor(k R) bits. Over AWGN R = log2(1 + SNR). Over fast fading (h independent
    per use) R = E log2(1 + |h|^2 SNR), the ergodic capacity, and the message always arrives. Over block
    fading the transmitter, which does not know h, fixes the rate R that fails with probability ``outage``,
    and the message arrives iff the mean of log2(1 + |h|^2 SNR) over its uses is at least R. Over fading
    write ``outage: auto``, which takes the best one at each SNR: a fixed outage is the bound of the systems
    that keep to it, and a real link that fails more often may show the better pictures at low SNR.

    ``finite_blocklength``: the normal approximation, k R = k C - sqrt(k V) Qinv(error) + log2(2k) / 2 with
    C = log2(1 + SNR) and V = SNR (SNR + 2) / (1 + SNR)^2 log2(e)^2, for AWGN and for one block per image
    (SNR at the outage quantile of |h|^2). A message fails with the probability that the approximation gives
    to its rate at the SNR that it met, by a draw of its own stream.

    The bound is on the system whose bits these are, not on all systems.

    References: Shannon 1948; Polyanskiy, Poor, Verdu 2010, equation 296; Ozarow, Shamai, Wyner 1994, for
    outage; Yang, Durisi, Koch, Polyanskiy 2014, for quasi-static fading at finite blocklength.

    Example::

        link: {kind: ideal, rule: capacity, outage: 0.1}
    """

    VERSION: ClassVar[int] = 2  # finite blocklength: half a bit more
    CARRIES: ClassVar[frozenset[str]] = frozenset({"bits"})
    kind: Literal["ideal"] = "ideal"
    rule: Literal["capacity", "finite_blocklength"] = Field("capacity", description="which bound sets the number of bits")
    outage: float = Field(0.1, gt=0.0, lt=1.0, description="block fading: probability that the channel does not hold the rate")
    error: float = Field(1e-3, gt=0.0, lt=0.5, description="finite_blocklength: block error probability at the design SNR")

    @classmethod
    def choices(cls, field: str) -> tuple[Any, ...]:
        return (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5) if field == "outage" else ()

    def build(self, channel, device) -> IdealLink:
        return IdealLink(self, channel, device)


class IdealLink(base.Link):
    """The prepared link; see `Ideal`."""

    def __init__(self, description: Ideal, channel, device):
        super().__init__(channel, device)
        self.rule, self.outage, self.error = description.rule, description.outage, description.error
        self._gains: dict[int, Gains] = {}

    def _snr(self, symbols: int, snr_db: float) -> np.ndarray:
        """Signal to noise ratios over many transmissions, [R, symbols], or [R, 1] for one block, or [[1]] for AWGN."""
        if symbols not in self._gains:
            one_block = Gains(self.channel, 2).snr(symbols, snr_db).shape[1] == 1
            count = REALISATIONS if one_block else min(REALISATIONS, max(20, MOST_GAINS // symbols))
            self._gains = {symbols: Gains(self.channel, count)}
        return self._gains[symbols].snr(symbols, snr_db)

    @property
    def _is_ergodic(self) -> bool:
        """Whether h is independent per use, as the channel says; a frame then meets all of its distribution."""
        return getattr(self.channel, "fading", None) == "fast"

    def _bits(self, symbols: int, snr_db: float) -> int:
        """Bits that the code carries, side information included."""
        snr = self._snr(symbols, snr_db)
        if self.rule == "finite_blocklength":
            if snr.shape[1] > 1:
                raise ScenarioError(
                    "link 'ideal' with rule 'finite_blocklength' holds for awgn and for one fading block an image; this channel "
                    "varies within an image: take rule 'capacity', or a coherence of the whole image"
                )
            worst = float(np.quantile(snr[:, 0], self.outage, method="inverted_cdf"))
            return math.floor(theory.normal_approximation(symbols, worst, self.error))
        per_image = np.log2(1.0 + snr).mean(axis=1)
        rate = per_image.mean() if self._is_ergodic else np.quantile(per_image, self.outage, method="inverted_cdf")
        return math.floor(symbols * float(rate) + ROUNDING_BITS)

    def room(self, symbols: int, condition: Condition, side_bits: int = 0) -> Budget:
        if symbols < 1:
            raise Infeasible("no channel use is granted")
        bits = self._bits(symbols, condition.snr_db) - side_bits
        if bits < 1:
            raise Infeasible(
                f"{symbols} channel uses carry {bits + side_bits} bits at {condition.snr_db:g} dB, and side information takes {side_bits}"
            )
        return Budget(symbols, bits=bits, snr_db=condition.snr_db)

    def frame_success(self, condition: Condition, symbols: int) -> float:
        """The probability that a frame at the budget's rate arrives."""
        bits, snr = self._bits(symbols, condition.snr_db), self._snr(symbols, condition.snr_db)
        if self.rule == "finite_blocklength":
            return float(np.mean(1.0 - _error_probability(bits, symbols, snr[:, 0])))
        if self._is_ergodic:
            return 1.0
        return float(np.mean(symbols * np.log2(1.0 + snr).mean(axis=1) + ROUNDING_BITS >= bits))

    def modulate(self, message: Message, conditions: Sequence[Condition], streams: Streams, power: float = 1.0) -> base.Frame:
        parts = base.parts_of(message, Bits, "ideal")
        feasible = message.feasible.to(self.device)
        if base.is_silent(message):
            return base.silent(message, feasible, power, self.device)
        sent = sum(part.lengths for part in parts.values()).to(self.device)
        _check_fits(sent, message.budget, feasible)
        book = torch.from_numpy(_codebook(message.budget.symbols)).to(self.device)
        snr_db = tuple(10.0 * math.log10(power) + condition.snr_db for condition in conditions)
        luck = base.uniform(streams, "finite blocklength", self.device) if self.rule == "finite_blocklength" else None
        return _IdealFrame((base.Signal(book.expand(len(message), -1), power),), message, feasible, power, sent, snr_db, luck)

    def demodulate(self, frame: base.Frame, observations: Sequence[Observation]) -> Received:
        if not isinstance(frame, _IdealFrame):
            return base.silence(frame)
        message, feasible, side = frame.message, frame.feasible, frame.message.side
        side_bits = 0 if side is None else side.bits.shape[1]
        arrives = self._arrives(message.budget.bits + side_bits, frame, observations[0]) & feasible
        return Received(
            parts={name: _arrived(part, arrives) for name, part in message.parts.items()},
            usage=self._usage(message, feasible, frame.sent, side_bits, message.budget.bits + side_bits, frame.power),
            image_size=message.image_size,
            side=None if side is None else _arrived(side, arrives),
            counts={"frame_failures": (feasible & ~arrives).to(torch.int64), "frames": feasible.to(torch.int64)},
        )

    def _arrives(self, bits: int, frame: _IdealFrame, seen: Observation) -> torch.Tensor:
        """bool [B]: whether the channel that each row met holds a code of ``bits`` in the frame's symbols."""
        k = frame.message.budget.symbols
        if self.rule == "capacity" and self._is_ergodic:
            held = [bits <= self._bits(k, snr_db) for snr_db in frame.snr_db]  # at the SNR that it met
            return torch.tensor(held, device=self.device)
        snr = seen.snr()
        if self.rule == "capacity":
            return k * torch.log2(1.0 + snr).mean(dim=1) + ROUNDING_BITS >= bits
        error = _error_probability(bits, k, snr[:, 0].cpu().numpy())
        return frame.luck >= torch.from_numpy(error).to(self.device)

    def _usage(
        self, message: Message, feasible: torch.Tensor, sent: torch.Tensor, side_bits: int, needed: int, power: float
    ) -> Usage:
        granted = torch.full_like(sent, message.budget.symbols)
        weights = {"payload": sent, "header": torch.full_like(sent, side_bits), "padding": needed - side_bits - sent}
        uses = {name: torch.where(feasible, share, 0) for name, share in base.share_out(granted, weights).items()}
        uses["unused"] = torch.where(feasible, 0, granted)
        code = {"capacity": "a capacity-achieving code", "finite_blocklength": "a code as good as the normal approximation"}[
            self.rule
        ]
        free = (*message.free, *self.assumed, code, "the length of the message, and that it arrived without error")
        return Usage(granted, uses, torch.where(feasible, power * granted, 0.0).to(torch.float64), free)


@dataclass(frozen=True)
class _IdealFrame(base.Frame):
    sent: torch.Tensor  # bits of each message, int64 [B]
    snr_db: tuple[float, ...]  # average SNR that each row meets, its power counted
    luck: torch.Tensor | None  # what decides whether a finite block arrives, uniform in [0, 1)


@functools.lru_cache(maxsize=8)
def _codebook(symbols: int) -> np.ndarray:
    """Symbols complex64 [symbols] of a capacity-achieving codeword, Gaussian, of unit mean power."""
    reals = generator("gaussian codebook").standard_normal(2 * symbols, dtype=np.float32)
    book = reals.view(np.complex64)
    return book / np.sqrt(np.mean(np.abs(book) ** 2))


def _error_probability(bits: int, n: int, snr: np.ndarray) -> np.ndarray:
    """The block error probability of ``bits`` in n uses at ``snr``: the normal approximation, solved for it."""
    snr = np.maximum(np.asarray(snr, dtype=float), 1e-12)
    dispersion = snr * (snr + 2.0) / (1.0 + snr) ** 2 * math.log2(math.e) ** 2
    margin = n * np.log2(1.0 + snr) + 0.5 * math.log2(2 * n) - bits
    return theory.q_function(margin / np.sqrt(n * dispersion))


def _check_fits(sent: torch.Tensor, budget: Budget, feasible: torch.Tensor) -> None:
    if budget.bits is None:
        raise LedgerError("the message was made for a budget without bits; ask this link for its budget")
    over = feasible & (sent > budget.bits)
    if bool(over.any()):
        row = int(over.nonzero()[0])
        raise LedgerError(
            f"image {row} has {int(sent[row])} bits; {budget.channel_uses} channel uses carry {budget.bits}, "
            "so encode for the link's budget"
        )


def _arrived(part: Bits, arrives: torch.Tensor) -> ReceivedBits:
    """The bits where they arrived; nothing of them where they did not."""
    lengths = torch.where(arrives, part.lengths.to(arrives.device), 0)
    return ReceivedBits(part.bits.to(arrives.device) * arrives[:, None], lengths, arrives)
