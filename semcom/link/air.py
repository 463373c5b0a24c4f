"""The air between transmitter and receiver: one channel for all systems, drawn once, taken burst by burst."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import lazy_loader as lazy

from channels.base import Channel, Fading, Observation
from channels.chain import Burst, PreparedChain
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
        path = _ChainPath if isinstance(channel, PreparedChain) else _PlainPath
        self._path: _Path = path(channel, _Rows(streams, device), n, self)
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


class _PlainPath:
    """A channel without stages: each use carries one symbol."""

    def __init__(self, channel: Channel, rows: _Rows, n: int, air: Air):
        noise, h = draws.noise(rows.distinct, n), draws.fading(channel, rows.distinct, n)
        noise = torch.view_as_complex(noise.reshape(len(rows.distinct), n, 2)).to(rows.device)
        if n and (h.stride(1) == 0 or bool((h == h[:, :1]).all())):
            h = h[:, :1]  # one gain for all uses: kept once
        self._flat = _FlatPath(noise, h.to(rows.device), rows, air, channel)

    def carry(self, signals: Sequence[Signal], uses: slice) -> tuple[Observation, ...]:
        return self._flat.carry(signals, uses)


def _check_length(given: int, symbols: int) -> None:
    if given != symbols:
        raise ValueError(f"the burst has {given} symbols; its channel uses carry {symbols}")


class _ChainPath:
    """A chain of stages, burst by burst: fading and noise go on from one to the next, all else is drawn anew for each."""

    def __init__(self, chain: PreparedChain, rows: _Rows, n: int, air: Air):
        self._chain, self._rows, self._air = chain, rows, air
        grid = chain.layout(n).grid
        self._h, self._elements = draws.gains(chain, rows.distinct, grid).to(rows.device), grid.elements
        self._next, self._bursts = 0, 0

    def carry(self, signals: Sequence[Signal], uses: slice) -> tuple[Observation, ...]:
        layout = self._chain.layout(uses.stop - uses.start)
        _check_length(sum(signal.symbols.shape[1] for signal in signals), layout.symbols)
        part, burst = slice(self._next, self._next + layout.grid.elements), self._bursts
        layout = replace(layout, grid=replace(layout.grid, start=part.start // len(layout.grid.tones)))
        self._next, self._bursts = part.stop, burst + 1
        h = self._h if self._h.shape[-1] == 1 else self._h[..., part]
        noise = [self._noise(antenna, part) for antenna in range(self._chain.receive)]
        if self._chain.is_flat:
            data = torch.from_numpy(layout.data).to(self._rows.device)
            h = h[:, 0, 0] if h.shape[-1] == 1 else h[:, 0, 0, data]
            return _FlatPath(noise[0][:, data], h, self._rows, self._air).carry(signals, slice(0, layout.symbols))
        drawn = draws.beside(self._chain, self._rows.distinct, layout.grid, burst)
        seen = self._chain.carry(
            Burst(
                layout,
                torch.cat([signal.symbols * math.sqrt(signal.power) for signal in signals], dim=1),
                _powers(signals).to(self._rows.device),
                self._air.sigma,
                self._rows(torch.stack(noise, dim=1)),
                self._rows(h),
                tuple(tuple(self._rows(values.to(self._rows.device)) for values in one) for one in drawn),
            )
        )
        return tuple(_of_signals(seen, signals))

    def _noise(self, antenna: int, part: slice) -> torch.Tensor:
        drawn = draws.noise(self._rows.distinct, self._elements, antenna)
        return torch.view_as_complex(drawn.unflatten(1, (-1, 2)))[:, part].to(self._rows.device)


def _powers(signals: Sequence[Signal]) -> torch.Tensor:
    """Mean power of every symbol of a burst, float32 [m]."""
    pieces = [torch.tensor(signal.power * signal.mean).expand(signal.symbols.shape[1]) for signal in signals]
    return torch.cat(pieces).to(torch.float32)


def _of_signals(seen: Observation, signals: Sequence[Signal]) -> Iterator[Observation]:
    """A burst's observation, cut into its signals and in their units."""
    start = 0
    for signal in signals:
        part = slice(start, start + signal.symbols.shape[1])
        start = part.stop
        if signal.power:
            std = seen.noise_std if seen.noise_std.shape[1] == 1 else seen.noise_std[:, part]
            amplitude = math.sqrt(signal.power)
            yield Observation(seen.symbols[:, part] / amplitude, std / amplitude, seen.blind, seen.reports)
        else:
            yield replace(signal.unheard(), reports=seen.reports)


class _FlatPath:
    """y = h x + n, one gain a symbol, and the receiver knows h: ``noise`` [U, m] of unit variance a real dimension and
    ``h`` [U, m], or [U, 1] where it is the same for all."""

    def __init__(self, noise: torch.Tensor, h: torch.Tensor, rows: _Rows, air: Air, channel: Channel | None = None):
        self._noise, self._h, self._rows, self._air, self._channel = noise, h, rows, air, channel
        self._is_unity = bool((h == 1).all())
        #: whether the channel does nothing but y = h x + n
        self._is_plain = channel is None or getattr(type(channel), "apply", None) is FlatChannel.apply

    def carry(self, signals: Sequence[Signal], symbols: slice) -> tuple[Observation, ...]:
        observations, start = [], symbols.start
        for signal in signals:
            stop = start + signal.symbols.shape[1]
            observations.append(self._transmit(signal, slice(start, stop)) if signal.power else signal.unheard())
            start = stop
        _check_length(start - symbols.start, symbols.stop - symbols.start)
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
