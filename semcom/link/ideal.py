"""Bits over the best code there can be: the reference of capacity, and of finite blocklength."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field

from channels import theory
from semcom.component import Component
from semcom.errors import Infeasible, LedgerError, ScenarioError
from semcom.link import base
from semcom.link.adaptation import Gains
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
        self._gains: dict[int, np.ndarray] = {}

    def _gain(self, channel_uses: int) -> np.ndarray:
        """|h|^2 over many transmissions, [R, k], or [R, 1] for one block, or [[1]] for AWGN."""
        if channel_uses not in self._gains:
            one_block = Gains(self.channel, 2).over(channel_uses).shape[1] == 1
            count = REALISATIONS if one_block else min(REALISATIONS, max(20, MOST_GAINS // channel_uses))
            self._gains = {channel_uses: Gains(self.channel, count).over(channel_uses)}
        return self._gains[channel_uses]

    def _is_ergodic(self, channel_uses: int) -> bool:
        """Whether h is independent per use, as the channel says; a frame then meets all of its distribution."""
        return getattr(self.channel, "fading", None) == "fast"

    def _bits(self, channel_uses: int, snr: float) -> int:
        """Bits that the code carries, side information included."""
        gains = self._gain(channel_uses)
        if self.rule == "finite_blocklength":
            if gains.shape[1] > 1:
                raise ScenarioError(
                    "link 'ideal' with rule 'finite_blocklength' holds for awgn and for one fading block an image; this channel "
                    "varies within an image: take rule 'capacity', or a coherence of the whole image"
                )
            gain = float(np.quantile(gains[:, 0], self.outage, method="inverted_cdf"))
            return math.floor(theory.normal_approximation(channel_uses, gain * snr, self.error))
        per_image = np.log2(1.0 + gains * snr).mean(axis=1)
        rate = per_image.mean() if self._is_ergodic(channel_uses) else np.quantile(per_image, self.outage, method="inverted_cdf")
        return math.floor(channel_uses * float(rate) + ROUNDING_BITS)

    def budget(self, channel_uses: int, condition: Condition, side_bits: int = 0) -> Budget:
        if channel_uses < 1:
            raise Infeasible("no channel use is granted")
        bits = self._bits(channel_uses, 10.0 ** (condition.snr_db / 10.0)) - side_bits
        if bits < 1:
            raise Infeasible(
                f"{channel_uses} channel uses carry {bits + side_bits} bits at {condition.snr_db:g} dB, "
                f"and side information takes {side_bits}"
            )
        return Budget(channel_uses, bits=bits, snr_db=condition.snr_db)

    def success(self, condition: Condition, channel_uses: int) -> float:
        """The probability that a frame at the budget's rate arrives."""
        snr = 10.0 ** (condition.snr_db / 10.0)
        bits, gains = self._bits(channel_uses, snr), self._gain(channel_uses)
        if self.rule == "finite_blocklength":
            return float(np.mean(1.0 - _error_probability(bits, channel_uses, gains[:, 0] * snr)))
        if self._is_ergodic(channel_uses):
            return 1.0
        return float(np.mean(channel_uses * np.log2(1.0 + gains * snr).mean(axis=1) + ROUNDING_BITS >= bits))

    def over(self, message: Message, conditions: Sequence[Condition], air: base.Air, power: float = 1.0) -> Received:
        parts = base.parts_of(message, Bits, "ideal")
        feasible = message.feasible.to(self.device)
        if base.is_silent(message):
            return base.silence(message, feasible, air)
        k, side_bits = message.budget.channel_uses, 0 if message.side is None else message.side.bits.shape[1]
        sent = sum(part.lengths for part in parts.values()).to(self.device)
        _check_fits(sent, message.budget, feasible)
        needed = message.budget.bits + side_bits

        snr = power * air.snr
        arrives = self._arrives(needed, k, air, snr) & feasible
        side = message.side
        return Received(
            parts={name: _arrived(part, arrives) for name, part in parts.items()},
            usage=self._usage(message, feasible, sent, side_bits, needed, power),
            image_size=message.image_size,
            side=None if side is None else _arrived(side, arrives),
            counts={"frame_failures": (feasible & ~arrives).to(torch.int64), "frames": feasible.to(torch.int64)},
        )

    def _arrives(self, bits: int, k: int, air: base.Air, snr: torch.Tensor) -> torch.Tensor:
        """bool [B]: whether the channel that each row met holds a code of ``bits`` in k uses."""
        if self.rule == "capacity" and self._is_ergodic(k):
            air.skip(k)
            held = [bits <= self._bits(k, float(ratio)) for ratio in snr[:, 0]]  # at the SNR that it met
            return torch.tensor(held, device=self.device)
        gains = air.gains(k).to(torch.float64)
        if self.rule == "capacity":
            return k * torch.log2(1.0 + gains * snr).mean(dim=1) + ROUNDING_BITS >= bits
        error = _error_probability(bits, k, (gains[:, 0] * snr[:, 0]).cpu().numpy())
        return air.uniform("finite blocklength") >= torch.from_numpy(error).to(self.device)

    def _usage(
        self, message: Message, feasible: torch.Tensor, sent: torch.Tensor, side_bits: int, needed: int, power: float
    ) -> Usage:
        granted = torch.full_like(sent, message.budget.channel_uses)
        weights = {"payload": sent, "header": torch.full_like(sent, side_bits), "padding": needed - side_bits - sent}
        uses = {name: torch.where(feasible, share, 0) for name, share in base.share_out(granted, weights).items()}
        uses["unused"] = torch.where(feasible, 0, granted)
        code = {"capacity": "a capacity-achieving code", "finite_blocklength": "a code as good as the normal approximation"}[
            self.rule
        ]
        free = (*message.free, base.PERFECT_CSI, code, "the length of the message, and that it arrived without error")
        return Usage(granted, uses, torch.where(feasible, power * granted, 0.0).to(torch.float64), free)


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
