"""What every link shares: the air between transmitter and receiver, drawn once, handed out use by use."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import lazy_loader as lazy

from channels.base import Channel, Fading
from channels.flat import FlatChannel
from semcom.errors import ScenarioError, allowed
from semcom.link import draws
from semcom.rng import Streams
from semcom.types import Bits, Budget, Condition, Message, Reals, Received, ReceivedBits, Usage

torch = lazy.load("torch")

#: What a receiver is given for free.
PERFECT_CSI = "the channel gain h and the noise variance at the receiver (perfect CSI)"


@dataclass(frozen=True)
class Observation:
    """Symbols after equalisation, unbiased: ``symbols`` complex64 [B, m] are what was sent plus noise of
    standard deviation ``noise_std`` float32 per complex symbol, inf where the channel was zero; [B, m], or
    [B, 1] where it is the same for all."""

    symbols: torch.Tensor
    noise_std: torch.Tensor


class Air:
    """The channel as one batch of transmissions meets it: ``n`` uses, fading and noise drawn once.

    Links take uses from it in order with `transmit`, so that headers, pilots and parts of a message
    meet consecutive uses of one channel. Rows with equal (image, repeat) share their draws, whatever
    their SNR; noise is interleaved I/Q in channel-use order, so fewer uses see a prefix of the same noise.
    """

    def __init__(self, channel: Channel, conditions: Sequence[Condition], streams: Streams, n: int, device: torch.device | str):
        self._streams, self._device = streams.for_system(""), device
        keys = streams.keys()
        first: dict[tuple[str, int], int] = {}
        for row, key in enumerate(keys):
            first.setdefault(key, row)
        place = {key: i for i, key in enumerate(first)}
        self._unique = None if len(first) == len(keys) else torch.tensor([place[key] for key in keys]).to(device)
        distinct = self._streams if self._unique is None else self._streams.select(list(first.values()))
        noise, h = draws.noise(distinct, n), draws.fading(channel, distinct, n)
        self._noise = torch.view_as_complex(noise.reshape(len(first), n, 2)).to(device)
        if n and (h.stride(1) == 0 or bool((h == h[:, :1]).all())):
            h = h[:, :1]  # one gain for all uses: kept once
        self._h, self._is_unity = h.to(device), bool((h == 1).all())
        snr = torch.tensor([10.0 ** (c.snr_db / 10.0) for c in conditions], dtype=torch.float64)
        #: average SNR of each row, a ratio, float64 [B, 1]
        self.snr = snr.to(device)[:, None]
        #: noise standard deviation per complex symbol, float32 [B, 1]: sigma^2 = 1 / SNR
        self.sigma = (1.0 / snr).sqrt().to(torch.float32).to(device)[:, None]
        #: whether the channel does nothing but y = h x + n
        self._is_flat = getattr(type(channel), "apply", None) is FlatChannel.apply
        self._channel, self._n, self._next = channel, n, 0

    @property
    def left(self) -> int:
        """Channel uses not yet taken."""
        return self._n - self._next

    def _take(self, count: int) -> slice:
        start, stop = self._next, self._next + count
        if stop > self._n:
            raise ValueError(f"{count} more channel uses asked for, {self.left} left of {self._n}")
        self._next = stop
        return slice(start, stop)

    def _rows(self, distinct: torch.Tensor) -> torch.Tensor:
        """One row a message from one row a (image, repeat)."""
        return distinct if self._unique is None else distinct.index_select(0, self._unique)

    def _gain(self, uses: slice) -> torch.Tensor:
        """h complex64, one row a (image, repeat), [U, m], or [U, 1] where it is the same for all uses."""
        return self._h if self._h.shape[1] == 1 else self._h[:, uses]

    def skip(self, count: int) -> None:
        """Leave the next ``count`` uses silent."""
        self._take(count)

    def gains(self, count: int) -> torch.Tensor:
        """|h|^2 float32 [B, count] of the next ``count`` uses, which are thereby taken."""
        h = self._gain(self._take(count))
        return self._rows(h.real.square() + h.imag.square()).expand(-1, count)

    def uniform(self, name: str) -> torch.Tensor:
        """A uniform draw in [0, 1) a row, float64 [B], from the stream ``name``; equal for every SNR."""
        values = [self._streams.generator(name, row).random() for row in range(len(self._streams))]
        return torch.tensor(values, dtype=torch.float64).to(self._device)

    def transmit(self, x: torch.Tensor, power: float = 1.0) -> Observation:
        """Send symbols ``x`` complex64 [B, m] at ``power`` over the next m uses and equalise what arrives.

        y = h sqrt(p) x + n is divided by h sqrt(p), so that the symbol comes back unbiased with noise of
        standard deviation sigma / (sqrt(p) |h|). Where h is zero the symbol is 0 and the deviation inf.
        """
        uses = self._take(x.shape[1])
        h, noise, sigma = self._gain(uses), self._noise[:, uses], self.sigma / math.sqrt(power)
        square = h.real.square() + h.imag.square()
        inverse = torch.where(square > 0, h.conj() / square, 0.0)
        noise_std = sigma * self._rows(square.rsqrt())
        if self._is_flat:
            # y / h = x + n / h: the noise is equalised once a draw, and scaled for each SNR
            symbols = self._scaled(noise if self._is_unity else noise * inverse, sigma).add_(x)
            return Observation(symbols if bool((square > 0).all()) else symbols * self._rows(square > 0), noise_std)
        h = self._rows(h.expand(noise.shape))
        y = self._channel.apply(math.sqrt(power) * x, Fading(h), self._scaled(noise, self.sigma))
        return Observation(y * self._rows(inverse) / math.sqrt(power), noise_std)

    def _scaled(self, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Noise of variance sigma^2 a row from noise of unit variance a real dimension and (image, repeat)."""
        rows = noise.clone() if self._unique is None else self._rows(noise)
        torch.view_as_real(rows).mul_((sigma / math.sqrt(2.0))[..., None])  # in place: this is the inner loop
        return rows


class Link(ABC):
    """A prepared link. ``send`` draws the air for the whole grant; ``over`` uses it, with its share of power."""

    def __init__(self, channel: Channel, device: torch.device | str = "cpu"):
        self.channel, self.device = channel, device

    @abstractmethod
    def budget(self, channel_uses: int, condition: Condition, side_bits: int = 0) -> Budget:
        """What fits ``channel_uses`` at ``condition`` net of headers; Infeasible with the reason if nothing does."""

    @abstractmethod
    def over(self, message: Message, conditions: Sequence[Condition], air: Air, power: float = 1.0) -> Received:
        """Send ``message`` over the next ``message.budget.channel_uses`` of ``air`` at mean power ``power``."""

    def success(self, condition: Condition, channel_uses: int) -> float | None:
        """Predicted probability that a whole frame arrives; None where that is not all or nothing."""
        return None

    def send(self, message: Message, conditions: Sequence[Condition], streams: Streams) -> Received:
        """Send one message a row, each at its condition, over the channel drawn from ``streams``."""
        if not len(message) == len(conditions) == len(streams):
            raise ValueError(
                f"{len(message)} messages, {len(conditions)} conditions, {len(streams)} streams; expected equal numbers"
            )
        air = Air(self.channel, conditions, streams, message.budget.channel_uses, self.device)
        received = self.over(message, conditions, air)
        if air.left:
            raise ValueError(
                f"the link took {message.budget.channel_uses - air.left} of {message.budget.channel_uses} channel uses"
            )
        received.usage.check()
        return received


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


def silence(message: Message, feasible: torch.Tensor, air: Air) -> Received:
    """What arrives of a message of no bits: all of it, for no channel use and no power."""
    k, none = message.budget.channel_uses, torch.zeros_like(feasible, dtype=torch.int64)
    air.skip(k)
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
