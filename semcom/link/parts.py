"""A link for each named part of a message, with its share of the channel uses and of the power."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Annotated, Any, Literal

import lazy_loader as lazy
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from channels.base import Observation
from semcom.component import Component
from semcom.errors import Infeasible, LedgerError, ScenarioError
from semcom.link import base
from semcom.link.nested import NestedLink, add_up, sums
from semcom.rng import Streams
from semcom.types import Bits, Budget, Condition, Message, Received

torch = lazy.load("torch")

#: Shares are decimals of at most six places, or fractions: summed exactly, so that 0.1 + 0.9 is 1.
DENOMINATOR = 10**6


def _simple(link: Component) -> Component:
    """A link that a part may have: ValueError for one that needs the channel, or each transmission, for itself."""
    if isinstance(link, Parts):
        raise ValueError("a part's link is 'parts' again; list all parts in one 'parts'")
    if why := getattr(link, "alone", None):
        raise ValueError(f"a part's link is '{link.kind}' with {why}")
    return link


def _fraction(value: Any) -> Any:
    """A share written as a fraction, such as 1/4."""
    if isinstance(value, str):
        try:
            return float(Fraction(value))
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError(f"'{value}' is not a number or a fraction such as 1/4") from error
    return value


Part = Annotated[float, BeforeValidator(_fraction), Field(gt=0.0, le=1.0)]


class Share(BaseModel):
    """One part's link and what it may spend."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    link: Annotated[NestedLink, AfterValidator(_simple)] = Field(description="link of this part, by its kind")
    uses: Part = Field(description="share of the channel uses, 0 to 1, or a fraction such as 1/4")
    power: Part = Field(description="share of the energy, 0 to 1, or a fraction such as 1/4")


class Parts(Component):
    """Sends each named part of a message over a link of its own.

    The parts follow each other over one channel in the order in which they are listed, each over its
    share of the channel uses and with its share of the energy: part i of k uses sends with mean power
    power_i / uses_i over floor(uses_i k) uses, so that the mean power over all k is at most the sum of
    the power shares, at most 1. Side information rides in the first part that is digital or ideal, else as
    a header in front of the first part. Uses that no part has remain unused.

    Units: shares are of the total, without a unit.
    Raises: a validation error where shares of uses or of power sum to more than 1.

    Example::

        link:
          kind: parts
          parts:
            map: {link: {kind: digital, mcs: qpsk-1/3}, uses: 1/4, power: 1/3}
            latent: {link: {kind: analog}, uses: 3/4, power: 2/3}
    """

    kind: Literal["parts"] = "parts"
    parts: dict[str, Share] = Field(
        description="part name -> its link, share of uses, share of power; in the order of sending", min_length=1
    )

    @model_validator(mode="after")
    def _shares_fit(self) -> Parts:
        for what in ("uses", "power"):
            total = sum(_exact(getattr(share, what)) for share in self.parts.values())
            if total > 1:
                given = ", ".join(f"{name} {getattr(share, what):g}" for name, share in self.parts.items())
                raise ValueError(f"the shares of {what} sum to {float(total):g} ({given}); at most 1 is allowed")
        return self

    def fits(self, transmit: Component) -> str | None:
        """Every part of the message has a link that carries it, and no link waits for a part that does not come."""
        made = transmit.PARTS
        if made and made != set(self.parts):
            makes = f"transmit '{transmit.kind}' makes {', '.join(sorted(made))}"
            return f"link 'parts' lists {', '.join(self.parts)} and {makes}; list the same"
        for name, share in self.parts.items():
            if not share.link.CARRIES & transmit.CARRIES:
                what = {"bits": "bits", "reals": "real numbers"}
                carried, needed = (" and ".join(what.get(c, c) for c in sorted(side)) for side in (share.link.CARRIES, transmit.CARRIES))
                made_of = f"transmit '{transmit.kind}' makes {needed}"
                return f"the link of part '{name}' carries {carried} and {made_of}; give it another link"
        return None

    def __hash__(self) -> int:  # a field is a dict
        return hash(json.dumps(self.identity(), sort_keys=True))

    def identity(self) -> dict[str, Any]:
        """Parameters and versions, those of the nested links as well; the order of sending counts."""
        parts = {name: {"link": s.link.identity(), "uses": s.uses, "power": s.power} for name, s in self.parts.items()}
        return {**super().identity(), "parts": parts, "order": list(parts)}

    def tuning_identity(self) -> dict[str, Any]:
        return {name: share.link.tuning_identity() for name, share in self.parts.items()}

    def build(self, channel, device) -> PartsLink:
        return PartsLink(self, channel, device)


def _exact(share: float) -> Fraction:
    return Fraction(share).limit_denominator(DENOMINATOR)


class PartsLink(base.Link):
    """The prepared link; see `Parts`."""

    def __init__(self, description: Parts, channel, device):
        super().__init__(channel, device)
        self.shares = dict(description.parts)
        self.links: dict[str, base.Link] = {name: share.link.build(channel, device) for name, share in self.shares.items()}
        digital = [name for name, share in self.shares.items() if "reals" not in share.link.CARRIES]
        #: the part that carries side information
        self.carrier = (digital or list(self.shares))[0]

    def _symbols(self, name: str, symbols: int) -> int:
        return math.floor(_exact(self.shares[name].uses) * symbols)

    def _level(self, name: str) -> float:
        """Mean power of a part over its own uses."""
        share = self.shares[name]
        return float(_exact(share.power) / _exact(share.uses))

    def _condition(self, name: str, condition: Condition) -> Condition:
        """The condition as the part meets it: its power level is part of its SNR."""
        return replace(condition, snr_db=condition.snr_db + 10.0 * math.log10(self._level(name)))

    def room(self, symbols: int, condition: Condition, side_bits: int = 0) -> Budget:
        budgets = []
        for name, link in self.links.items():
            side = side_bits if name == self.carrier else 0
            try:
                budgets.append((name, link.room(self._symbols(name, symbols), self._condition(name, condition), side)))
            except Infeasible as error:
                raise Infeasible(f"part '{name}': {error}") from error
        return Budget(symbols, snr_db=condition.snr_db, parts=tuple(budgets))

    def frame_success(self, condition: Condition, symbols: int) -> float | None:
        """The product over the parts, as if they failed independently; None where a part is not all or nothing."""
        each = [
            link.frame_success(self._condition(name, condition), self._symbols(name, symbols)) for name, link in self.links.items()
        ]
        return None if None in each else math.prod(each)

    def modulate(self, message: Message, conditions: Sequence[Condition], streams: Streams, power: float = 1.0) -> _PartsFrame:
        base.known_names(message.parts, list(self.links), "part of the message")
        if missing := [name for name in self.links if name not in message.parts]:
            raise ScenarioError(
                f"link 'parts' has a share for part '{missing[0]}', which the message has not; it has: {', '.join(message.parts)}"
            )
        if not message.budget.parts:
            raise LedgerError("the message was made for a budget without parts; ask this link for its budget")
        frames = {
            name: link.modulate(self._one(message, name), conditions, streams, power * self._level(name))
            for name, link in self.links.items()
        }
        signals = [signal for frame in frames.values() for signal in frame.signals]
        if unused := message.budget.symbols - sum(signal.symbols.shape[1] for signal in signals):
            signals.append(base.Signal.silence(len(message), unused, self.device))
        return _PartsFrame(tuple(signals), message, message.feasible.to(self.device), power, frames, unused)

    def demodulate(self, frame: _PartsFrame, observations: Sequence[Observation]) -> Received:
        message, received, start = frame.message, {}, 0
        for name, link in self.links.items():
            one = frame.frames[name]
            received[name] = link.demodulate(one, observations[start : start + len(one.signals)])
            start += len(one.signals)
        return Received(
            parts={name: part for one in received.values() for name, part in one.parts.items()},
            usage=add_up([one.usage for one in received.values()], message.budget.symbols, frame.unused),
            image_size=message.image_size,
            side=received[self.carrier].side,
            counts=sums([one.counts for one in received.values()]),
        )

    def _one(self, message: Message, name: str) -> Message:
        side: Bits | None = message.side if name == self.carrier else None
        budget = message.budget.part(name)
        given, granted = budget.symbols, self._symbols(name, message.budget.symbols)
        if given != granted:
            raise LedgerError(f"part '{name}' was made for {given} channel uses; its share of {message.budget.symbols} is {granted}")
        return replace(message, parts={name: message.parts[name]}, budget=budget, side=side)


@dataclass(frozen=True)
class _PartsFrame(base.Frame):
    frames: Mapping[str, base.Frame]  # each part's own, in the order of sending
    unused: int

