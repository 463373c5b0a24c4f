"""The air between transmitter and receiver: one channel for all systems, drawn once, taken burst by burst."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import lazy_loader as lazy

from channels.base import Channel, Fading, Observation
from channels.flat import FlatChannel
from semcom.link import draws
from semcom.rng import Streams
from semcom.types import Condition

torch = lazy.load("torch")


@dataclass(frozen=True)
class Signal:
    """A stretch of a burst at one power: ``symbols`` complex64 [B, m] are radiated as sqrt(``power``) symbols.

    ``mean`` is the mean power of the symbols that both ends count on. With power 0 nothing is sent.
    """

    symbols: torch.Tensor
    power: float = 1.0
    mean: float = 1.0

    @staticmethod
    def silence(rows: int, count: int, device: torch.device | str = "cpu") -> Signal:
        """Nothing, for ``count`` symbols."""
        return Signal(torch.zeros((), dtype=torch.complex64, device=device).expand(rows, count), power=0.0)

    def unheard(self) -> Observation:
        """What is known of symbols of which nothing arrives."""
        shape = self.symbols.shape
        std = torch.full((), math.inf, device=self.symbols.device).expand(shape[0], 1)
        return Observation(torch.zeros((), dtype=torch.complex64, device=self.symbols.device).expand(shape), std)


class Air:
    """The channel as one batch of transmissions meets it: ``n`` uses, fading and noise drawn once.

    Links take uses from it in order, a burst at a time, with `carry`. Rows with equal (image, repeat)
    share their draws, whatever their SNR; noise is interleaved I/Q in channel-use order, so fewer uses
    see a prefix of the same noise.
    """

    def __init__(self, channel: Channel, conditions: Sequence[Condition], streams: Streams, n: int, device: torch.device | str):
        ratio = torch.tensor([10.0 ** (c.snr_db / 10.0) for c in conditions], dtype=torch.float64)
        #: average SNR of each row, a ratio, float64 [B, 1]
        self.snr = ratio.to(device)[:, None]
        #: noise standard deviation per complex symbol, float32 [B, 1]: sigma^2 = 1 / SNR
        self.sigma = (1.0 / ratio).sqrt().to(torch.float32).to(device)[:, None]
        self._path: _Path = _FlatPath(channel, _Rows(streams, device), n, self)
        self._n, self._next = n, 0

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

    def skip(self, count: int) -> None:
        """Leave the next ``count`` uses silent."""
        self._take(count)

    def carry(self, signals: Sequence[Signal], uses: int | None = None) -> tuple[Observation, ...]:
        """Send a burst over the next ``uses`` (all that are left if None) and equalise what arrives.

        One observation a signal, in units of its symbols: its power is divided out.
        """
        return self._path.carry(signals, self._take(self.left if uses is None else uses))


class _Path(Protocol):
    def carry(self, signals: Sequence[Signal], uses: slice) -> tuple[Observation, ...]: ...


class _Rows:
    """The rows of a batch and the distinct (image, repeat) among them, which are what is drawn for."""

    def __init__(self, streams: Streams, device: torch.device | str):
        streams, self.device = streams.for_system(""), device
        keys = streams.keys()
        first: dict[tuple[str, int], int] = {}
        for row, key in enumerate(keys):
            first.setdefault(key, row)
        place = {key: i for i, key in enumerate(first)}
        self._of = None if len(first) == len(keys) else torch.tensor([place[key] for key in keys]).to(device)
        self.distinct = streams if self._of is None else streams.select(list(first.values()))

    @property
    def are_distinct(self) -> bool:
        return self._of is None

    def __call__(self, distinct: torch.Tensor) -> torch.Tensor:
        """One row a message from one row a (image, repeat)."""
        return distinct if self._of is None else distinct.index_select(0, self._of)


@dataclass(frozen=True)
class _FlatObservation(Observation):
    """An observation of y = h x + n, whose signal to noise ratio is known without the rounding of its noise level."""

    gain: torch.Tensor = None  # |h|^2, one row a (image, repeat)
    rows: _Rows = None
    mean_snr: torch.Tensor = None  # float64 [B, 1]

    def snr(self) -> torch.Tensor:
        return self.rows(self.gain).to(torch.float64) * self.mean_snr


class _FlatPath:
    """y = h x + n, one gain a use: each use carries one symbol, and the receiver knows h."""

    def __init__(self, channel: Channel, rows: _Rows, n: int, air: Air):
        self._rows, self._air, self._channel = rows, air, channel
        noise, h = draws.noise(rows.distinct, n), draws.fading(channel, rows.distinct, n)
        self._noise = torch.view_as_complex(noise.reshape(len(rows.distinct), n, 2)).to(rows.device)
        if n and (h.stride(1) == 0 or bool((h == h[:, :1]).all())):
            h = h[:, :1]  # one gain for all uses: kept once
        self._h, self._is_unity = h.to(rows.device), bool((h == 1).all())
        #: whether the channel does nothing but y = h x + n
        self._is_plain = getattr(type(channel), "apply", None) is FlatChannel.apply

    def carry(self, signals: Sequence[Signal], uses: slice) -> tuple[Observation, ...]:
        observations, start = [], uses.start
        for signal in signals:
            stop = start + signal.symbols.shape[1]
            observations.append(self._transmit(signal, slice(start, stop)) if signal.power else signal.unheard())
            start = stop
        if start != uses.stop:
            raise ValueError(f"the burst has {start - uses.start} symbols; {uses.stop - uses.start} channel uses carry as many")
        return tuple(observations)

    def _transmit(self, signal: Signal, uses: slice) -> Observation:
        """y = h sqrt(p) x + n is divided by h sqrt(p), so that the symbol comes back unbiased with noise of
        standard deviation sigma / (sqrt(p) |h|). Where h is zero the symbol is 0 and the deviation inf."""
        x, power, rows = signal.symbols, signal.power, self._rows
        noise, sigma = self._noise[:, uses], self._air.sigma / math.sqrt(power)
        h = self._h if self._h.shape[1] == 1 else self._h[:, uses]
        square = h.real.square() + h.imag.square()
        inverse = torch.where(square > 0, h.conj() / square, 0.0)
        noise_std = sigma * rows(square.rsqrt())
        if self._is_plain:
            # y / h = x + n / h: the noise is equalised once a draw, and scaled for each SNR
            symbols = self._scaled(noise if self._is_unity else noise * inverse, sigma).add_(x)
            symbols = symbols if bool((square > 0).all()) else symbols * rows(square > 0)
        else:
            h = rows(h.expand(noise.shape))
            y = self._channel.apply(math.sqrt(power) * x, Fading(h), self._scaled(noise, self._air.sigma))
            symbols = y * rows(inverse) / math.sqrt(power)
        return _FlatObservation(symbols, noise_std, gain=square, rows=rows, mean_snr=power * self._air.snr)

    def _scaled(self, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Noise of variance sigma^2 a row from noise of unit variance a real dimension and (image, repeat)."""
        rows = noise.clone() if self._rows.are_distinct else self._rows(noise)
        torch.view_as_real(rows).mul_((sigma / math.sqrt(2.0))[..., None])  # in place: this is the inner loop
        return rows
