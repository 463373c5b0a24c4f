"""What every link shares: the air between transmitter and receiver, drawn once, handed out use by use."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import lazy_loader as lazy
import numpy as np

from channels.base import Channel, Draw, Fading
from semcom.rng import Streams
from semcom.types import Budget, Condition, Message, Received

torch = lazy.load("torch")


class Air:
    """The channel as one batch of transmissions meets it: ``n`` uses, fading and noise drawn once.

    Links take uses from it in order with `transmit`, so that headers, pilots and parts of a message
    meet consecutive uses of one channel. Rows with equal (image, repeat) share their draws, whatever
    their SNR; noise is interleaved I/Q in channel-use order, so fewer uses see a prefix of the same noise.
    """

    def __init__(self, channel: Channel, conditions: Sequence[Condition], streams: Streams, n: int, device: torch.device | str):
        keys = streams.keys()
        first = {key: row for row, key in reversed(list(enumerate(keys)))}
        unique = list(dict.fromkeys(keys))
        index = torch.tensor([unique.index(key) for key in keys])
        draws = [Draw(streams.generator("fading", first[key]), streams.stratum("fading", first[key])) for key in unique]
        noise = np.stack([streams.generator("noise", first[key]).standard_normal(2 * n, dtype=np.float32) for key in unique])
        self._h = channel.draw(n, draws).h[index].to(device)
        self._noise = torch.view_as_complex(torch.from_numpy(noise).reshape(len(unique), n, 2))[index].to(device)
        snr = torch.tensor([10.0 ** (c.snr_db / 10.0) for c in conditions], dtype=torch.float64)
        #: noise standard deviation per complex symbol, float32 [B, 1]: sigma^2 = 1 / SNR
        self.sigma = (1.0 / snr).sqrt().to(torch.float32).to(device)[:, None]
        self._channel, self._n, self._next = channel, n, 0

    @property
    def left(self) -> int:
        """Channel uses not yet taken."""
        return self._n - self._next

    def transmit(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Send symbols ``x`` complex64 [B, m] over the next m uses; y [B, m] and the gains h [B, m] they met."""
        start, stop = self._next, self._next + x.shape[1]
        if stop > self._n:
            raise ValueError(f"{x.shape[1]} more channel uses asked for, {self.left} left of {self._n}")
        self._next = stop
        fading = Fading(self._h[:, start:stop])
        noise = self._noise[:, start:stop] * (self.sigma / math.sqrt(2.0))
        return self._channel.apply(x, fading, noise), fading.h


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

    def send(self, message: Message, conditions: Sequence[Condition], streams: Streams) -> Received:
        """Send one message a row, each at its condition, over the channel drawn from ``streams``."""
        if not len(message) == len(conditions) == len(streams):
            raise ValueError(f"{len(message)} messages, {len(conditions)} conditions, {len(streams)} streams; expected equal numbers")
        air = Air(self.channel, conditions, streams, message.budget.channel_uses, self.device)
        received = self.over(message, conditions, air)
        received.usage.check()
        return received
