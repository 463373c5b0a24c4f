"""One burst of known symbols over a channel, with what a receiver of real life would not see: what views of a channel show."""

from __future__ import annotations

from dataclasses import dataclass

import lazy_loader as lazy
import numpy as np

from channels.base import ChannelDescription, Layout
from channels.chain import Burst, Chain, PreparedChain
from channels.modulation import QAM
from semcom.link import draws
from semcom.rng import Streams

torch = lazy.load("torch")


@dataclass(frozen=True)
class View:
    """A burst from inside; one row a transmission.

    ``points`` complex [M] is the constellation and ``sent`` [B, m] what was drawn of it. ``received`` [B, d] is what the first
    antenna hears on the d data elements, ``symbols`` and ``noise_std`` [B, m] what is handed on. ``truth`` [B, R, T, E] are the
    gains of all elements, ``estimate`` and ``error_var`` [B, R, T, d] what the receiver knows of those of data, None where it
    knows nothing. ``samples`` and ``radiated`` [B, T, N] are what goes into and comes out of the transmitter's hardware, None
    without any.
    """

    layout: Layout
    points: np.ndarray
    sent: np.ndarray
    received: np.ndarray
    symbols: np.ndarray
    noise_std: np.ndarray
    truth: np.ndarray
    estimate: np.ndarray | None
    error_var: np.ndarray | None
    samples: np.ndarray | None
    radiated: np.ndarray | None
    knows_everything: bool

    @property
    def known(self) -> np.ndarray:
        """The gains [B, R, T, d] that ``estimate`` is of."""
        return self.truth[..., self.layout.data]


def view(channel: ChannelDescription, snr_db: float, uses: int, streams: Streams, bits_per_symbol: int = 2) -> View:
    """Random QAM symbols over the fading, noise and all else that links of the same streams meet at ``snr_db``.

    Raises: ValueError with one sentence where ``uses`` hold no symbol.
    """
    chain = channel.build("cpu")
    if not isinstance(chain, PreparedChain):
        chain = Chain(stages=(channel,)).build("cpu")
    layout, rows = chain.layout(uses), len(streams)
    points = _points(bits_per_symbol)
    chosen = [streams.generator("view", row).integers(0, len(points), layout.symbols) for row in range(rows)]
    x = points[torch.from_numpy(np.stack(chosen))]
    noise = [torch.view_as_complex(draws.noise(streams, layout.grid.elements, a).unflatten(1, (-1, 2))) for a in range(chain.receive)]
    h, inside = draws.gains(chain, streams, layout.grid), {}
    burst = Burst(
        layout,
        x,
        torch.ones(layout.symbols),
        torch.full((rows, 1), 10.0 ** (-snr_db / 20.0)),
        torch.stack(noise, dim=1),
        h,
        draws.beside(chain, streams, layout.grid, 0),
    )
    with torch.no_grad():
        seen = chain.carry(burst, inside)
    knows = not chain.csi.is_blind
    return View(
        layout,
        points.numpy(),
        x.numpy(),
        inside["received"][:, 0].numpy(),
        seen.symbols.numpy(),
        seen.noise_std.expand(x.shape).numpy(),
        h.expand(-1, -1, -1, layout.grid.elements).numpy(),
        inside["estimate"].numpy() if knows else None,
        inside["error_var"].numpy() if knows else None,
        *(inside[name].numpy() if name in inside else None for name in ("samples", "radiated")),
        chain.csi.kind == "perfect",
    )


def _points(bits_per_symbol: int) -> torch.Tensor:
    every = np.arange(2**bits_per_symbol)[:, None] >> np.arange(bits_per_symbol - 1, -1, -1) & 1
    return QAM(bits_per_symbol).modulate(torch.from_numpy(every.astype(np.uint8)))[:, 0]
