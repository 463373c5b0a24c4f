"""A link for each named part of a message, with its share of the channel uses and of the power."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Annotated, Any, Literal

import lazy_loader as lazy
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

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
#: a share that is what the other parts leave
REST = "rest"
#: what both ends know without being told
SPLIT = "the split of channel uses and of power among the parts, which depends on the average SNR and the grant alone"


def _simple(link: Component) -> Component:
    """A link that a part may have: ValueError for one that needs the channel, or each transmission, for itself."""
    if isinstance(link, Parts):
        raise ValueError("a part's link is 'parts' again; list all parts in one 'parts'")
    if why := getattr(link, "alone", None):
        raise ValueError(f"a part's link is '{link.kind}' with {why}")
    return link


def _fraction(value: Any) -> Any:
    """A share written as a fraction, such as 1/4."""
    if isinstance(value, str) and value != REST:
        try:
            return float(Fraction(value))
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError(f"'{value}' is not a number or a fraction such as 1/4") from error
    return value


Part = Annotated[float, Field(gt=0.0, le=1.0)]
#: how a file says one
WRITTEN = [{"type": "number", "exclusiveMinimum": 0, "maximum": 1}, {"type": "string", "pattern": "^[0-9]+/[0-9]+$"}]


class Share(BaseModel):
    """One part's link and what it may spend."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    link: Annotated[NestedLink, AfterValidator(_simple)] = Field(description="link of this part, by its kind")
    uses: Annotated[Part | Literal["rest"], BeforeValidator(_fraction), WithJsonSchema({"anyOf": [*WRITTEN, {"const": REST}]})] = Field(
        description="share of the channel uses, 0 to 1, or a fraction such as 1/4; rest: what the others leave"
    )
    power: Annotated[Part | None, BeforeValidator(_fraction), WithJsonSchema({"anyOf": [*WRITTEN, {"type": "null"}]})] = Field(
        None, description="share of the energy, 0 to 1, or a fraction such as 1/4; for all parts or for none, then boost_db counts"
    )
    boost_db: float = Field(
        0.0, ge=-20.0, le=20.0, description="without `power`: power a use over that of parts with 0, dB; the mean over what is used is 1"
    )


class Parts(Component):
    """Sends each named part of a message over a link of its own.

    The parts follow each other over one channel in the order in which they are listed, each over its
    share of the channel uses and with its share of the energy: part i of k uses sends with mean power
    power_i / uses_i over floor(uses_i k) uses, so that the mean power over all k is at most the sum of
    the power shares, at most 1. Side information rides in the first part that is digital or ideal, else as
    a header in front of the first part. Uses that no part has remain unused.

    Where no part says its ``power``, all send alike, or each by its ``boost_db`` more than another, and the mean
    power over the uses that parts have is 1: power_i ~ uses_i 10^(boost_i / 10). One part may have the ``rest`` of
    the uses. So a split has two numbers that can be tuned by themselves, `uses` and `boost_db` of one part
    (``{best_of: [...]}``). Both ends know the split; the ledger lists it as free.

    Units: shares are of the total, without a unit.
    Raises: a validation error where shares of uses or of power sum to more than 1, or where only some parts say their power.

    Example::

        link:
          kind: parts
          parts:
            map: {link: {kind: digital, mcs: qpsk-1/3}, uses: 1/4, boost_db: 1}
            latent: {link: {kind: analog}, uses: rest}
    """

    kind: Literal["parts"] = "parts"
    parts: dict[str, Share] = Field(
        description="part name -> its link, share of uses, share of power; in the order of sending", min_length=1
    )

    @model_validator(mode="after")
    def _shares_fit(self) -> Parts:
        uses, powers = ({name: getattr(share, what) for name, share in self.parts.items()} for what in ("uses", "power"))
        if list(uses.values()).count(REST) > 1:
            raise ValueError("several parts have the rest of the uses; one may")
        if None in powers.values() and any(powers.values()):
            silent = next(name for name, power in powers.items() if power is None)
            raise ValueError(f"part '{silent}' says no share of power and others do; give power to all, or boost_db in its place")
        if any(share.power is not None and share.boost_db for share in self.parts.values()):
            raise ValueError("power and boost_db stand beside each other; give one of them")
        for what, given in (("uses", uses), ("power", powers)):
            numbers = {name: share for name, share in given.items() if share not in (None, REST)}
            total = sum(map(_exact, numbers.values()))
            if total > 1 or (total == 1 and REST in given.values()):
                shown = ", ".join(f"{name} {share:g}" for name, share in numbers.items())
                most = "leave a rest" if REST in given.values() else "at most 1 is allowed"
                raise ValueError(f"the shares of {what} sum to {float(total):g} ({shown}); {most}")
        return self

    def uses(self) -> dict[str, Fraction]:
        """Share of the channel uses of each part, exactly."""
        said = {name: share.uses for name, share in self.parts.items()}
        rest = 1 - sum(_exact(share) for share in said.values() if share != REST)
        return {name: rest if share == REST else _exact(share) for name, share in said.items()}

    def levels(self) -> dict[str, float]:
        """Mean power of each part over its own uses; over all that parts have it is at most 1."""
        uses = self.uses()
        if all(share.power is not None for share in self.parts.values()):
            return {name: float(_exact(share.power) / uses[name]) for name, share in self.parts.items()}
        gains = {name: 10.0 ** (share.boost_db / 10.0) for name, share in self.parts.items()}
        mean = sum(float(uses[name]) * gain for name, gain in gains.items()) / float(sum(uses.values()))
        return {name: gain / mean for name, gain in gains.items()}

    def fits(self, transmit: Component) -> str | None:
        """Every part of the message has a link that carries it, and no link waits for a part that does not come."""
        made = transmit.PARTS
        if made and made != set(self.parts):
            makes = f"transmit '{transmit.kind}' makes {', '.join(sorted(made))}"
            return f"link 'parts' lists {', '.join(self.parts)} and {makes}; list the same"
        for name, share in self.parts.items():
            kinds = frozenset({transmit.KINDS[name]}) if name in transmit.KINDS else transmit.CARRIES
            if not share.link.CARRIES & kinds:
                what = {"bits": "bits", "reals": "real numbers"}
                carried, needed = (" and ".join(what.get(c, c) for c in sorted(side)) for side in (share.link.CARRIES, kinds))
                made_of = f"transmit '{transmit.kind}' makes {needed}"
                return f"the link of part '{name}' carries {carried} and {made_of}; give it another link"
        return None

    def __hash__(self) -> int:  # a field is a dict
        return hash(json.dumps(self.identity(), sort_keys=True))

    def identity(self) -> dict[str, Any]:
        """Parameters and versions, those of the nested links as well; the order of sending counts."""
        uses = self.uses()
        parts = {
            name: {"link": s.link.identity(), "uses": str(uses[name]), "power": s.power, "boost_db": s.boost_db}
            for name, s in self.parts.items()
        }
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
        self.uses, self.levels = description.uses(), description.levels()
        self.links: dict[str, base.Link] = {name: share.link.build(channel, device) for name, share in description.parts.items()}
        digital = [name for name, share in description.parts.items() if "reals" not in share.link.CARRIES]
        #: the part that carries side information
        self.carrier = (digital or list(self.links))[0]

    def _symbols(self, name: str, symbols: int) -> int:
        return math.floor(self.uses[name] * symbols)

    def _condition(self, name: str, condition: Condition) -> Condition:
        """The condition as the part meets it: its power level is part of its SNR."""
        return replace(condition, snr_db=condition.snr_db + 10.0 * math.log10(self.levels[name]))

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
            name: link.modulate(self._one(message, name), conditions, streams, power * self.levels[name])
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
        usage = add_up([one.usage for one in received.values()], message.budget.symbols, frame.unused)
        return Received(
            parts={name: part for one in received.values() for name, part in one.parts.items()},
            usage=replace(usage, free=(*usage.free, SPLIT)),
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

