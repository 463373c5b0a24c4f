"""How probably a frame of an MCS arrives at an average SNR: what choosing an MCS needs, without simulating."""

from __future__ import annotations

import functools
import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import lazy_loader as lazy
import numpy as np

from channels import fec, theory
from channels.base import Channel, Draw, Layout
from channels.chain import Burst, PreparedChain
from channels.mcs import BLER_TABLES, Mcs, block_error_rate, is_measured
from semcom.rng import generator

torch = lazy.load("torch")

#: Draws of the fading, stratified in |h|^2 of the first coherence block: a resolution of half a percent in outage.
REALISATIONS = 200
#: Transmissions over a chain of stages that are simulated together.
AT_A_TIME = 25
#: Gains of so many (channel, n) are kept.
KEPT_GAINS = 4
#: Where the tables below are sampled [dB]; linear between.
GRID_DB = np.arange(-40.0, 60.0, 0.1)


#: by chain, for links of every MCS that meet it; weak, so that a chain may go
_OVER_CHAINS: WeakKeyDictionary[PreparedChain, OrderedDict[tuple, np.ndarray]] = WeakKeyDictionary()
KEPT_OF_CHAIN = 16


class Gains:
    """What SNR the symbols of a prepared channel meet, over draws of their own: no result is tuned on its own draws."""

    def __init__(self, channel: Channel, count: int = REALISATIONS):
        self._channel, self._count, self._kept = channel, count, {}

    def snr(self, symbols: int, snr_db: float) -> np.ndarray:
        """Ratios float64 [count, symbols] at the average Es/N0 ``snr_db``; [count, 1] where one holds for all symbols of
        a transmission, [1, 1] where it is always the same."""
        if not isinstance(self._channel, PreparedChain):
            return self._once(symbols, lambda: self._gains(symbols)) * 10.0 ** (snr_db / 10.0)
        key = (self._count, symbols, snr_db)
        kept = _OVER_CHAINS.setdefault(self._channel, OrderedDict())
        if key not in kept:
            kept[key] = _over_chain(self._channel, symbols, snr_db, self._draw, self._count)
            if len(kept) > KEPT_OF_CHAIN:
                kept.popitem(last=False)
        return kept[key]

    def snr_db(self, symbols: int, snr_db: float) -> np.ndarray:
        """The same in dB."""
        if not isinstance(self._channel, PreparedChain):
            return 10.0 * np.log10(np.maximum(self._once(symbols, lambda: self._gains(symbols)), 1e-12)) + snr_db
        return 10.0 * np.log10(np.maximum(self.snr(symbols, snr_db), 1e-12))

    def _once(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        if key not in self._kept:
            if len(self._kept) >= KEPT_GAINS:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = make()
        return self._kept[key]

    def _draw(self, i: int) -> Draw:
        return Draw(generator("adaptation", i), (i + 0.5) / self._count, lambda name: generator("adaptation", name, i))

    def _gains(self, n: int) -> np.ndarray:
        """|h|^2 of a flat channel."""
        h = self._channel.draw(n, [self._draw(i) for i in range(self._count)]).h
        if n and h.stride(1) == 0:  # one stored gain a transmission
            h = h[:, :1]
        gains = (h.real.double().square() + h.imag.double().square()).numpy()
        if np.all(gains == gains[:, :1]):
            gains = gains[:, :1]
        return gains[:1] if np.all(gains == 1.0) else gains


def _over_chain(chain: PreparedChain, symbols: int, snr_db: float, draw: Callable[[int], Draw], count: int) -> np.ndarray:
    """SNRs of Gaussian symbols over a chain of stages, by sending some, [count, symbols] or [count, 1]."""
    layout = chain.layout(chain.uses_for(symbols))
    found = [
        _probe(chain, layout, symbols, snr_db, draw, range(start, min(start + AT_A_TIME, count)))
        for start in range(0, count, AT_A_TIME)
    ]
    every = np.concatenate(found)
    return every[:, :1] if np.all(every == every[:, :1]) else every


def _probe(
    chain: PreparedChain, layout: Layout, symbols: int, snr_db: float, draw: Callable[[int], Draw], which: Sequence[int]
) -> np.ndarray:
    grid, rows = layout.grid, len(which)

    def draws() -> list[Draw]:  # at their starts, each time
        return [draw(i) for i in which]

    def normal(name: str, *shape: int) -> torch.Tensor:  # complex, of unit variance a real dimension
        drawn = [one.stream(name).standard_normal((*shape, 2), dtype=np.float32) for one in draws()]
        return torch.view_as_complex(torch.from_numpy(np.stack(drawn)))

    burst = Burst(
        layout,
        normal("symbols", layout.symbols) * math.sqrt(0.5),
        torch.ones(layout.symbols),
        torch.full((rows, 1), 10.0 ** (-snr_db / 20.0)),
        normal("noise", chain.receive, grid.elements),
        chain.gains(grid, draws()),
        chain.draw(grid, draws()),
    )
    with torch.no_grad():
        seen = chain.carry(burst)
        snr = seen.snr().expand(rows, layout.symbols)
        if chain.is_misjudged:
            snr = snr / _misjudged(seen.symbols - burst.x, snr)
    return snr[:, :symbols].numpy()


def _misjudged(error: torch.Tensor, snr: torch.Tensor) -> torch.Tensor:
    """How many times the noise of each transmission is what the receiver believes, [R, 1]: nobody's rate is chosen by a mistake."""
    arrived = snr > 0
    ratio = torch.where(arrived, error.abs().square() * snr, 0.0).sum(dim=1, keepdim=True) / arrived.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.where(ratio > 0, ratio, 1.0)


@functools.cache
def _mutual_information(bits_per_symbol: int) -> np.ndarray:
    """Bits a channel use of BICM at `GRID_DB`, made strictly rising so that it can be inverted."""
    values = theory.mutual_information(bits_per_symbol, GRID_DB)
    return np.maximum.accumulate(values) + 1e-12 * np.arange(len(values))


@functools.cache
def table_digest(code: str = "ldpc") -> str:
    """What tells one table of measured block error rates from another; empty for a code that needs none."""
    return hashlib.sha256(BLER_TABLES[code].read_bytes()).hexdigest()[:16] if code in BLER_TABLES else ""


@functools.lru_cache(maxsize=256)
def _block_error_rates(mcs: Mcs, information_bits: int, code: str) -> np.ndarray:
    return np.array([block_error_rate(mcs, float(db), information_bits, code) for db in GRID_DB])


@functools.cache
def _log_symbol_success(bits_per_symbol: int) -> np.ndarray:
    """Logarithm of the probability that an uncoded symbol arrives, at `GRID_DB`."""
    return np.log1p(-theory.symbol_error_awgn(bits_per_symbol, 10.0 ** (GRID_DB / 10.0)))


@dataclass(frozen=True)
class FrameSuccess:
    """The probability that a frame arrives, for one MCS over one channel.

    Each code block's per-symbol SNRs are mapped to the one SNR at which AWGN gives the same mean mutual
    information of the bit channels (MIESM), whose block error rate the measured table holds; a frame
    arrives if all its blocks do; the average is over draws of the fading. Without a code a frame arrives if
    all its symbols do, in closed form. Where nothing was measured the answer is None.

    References: L. Wan, S. Tsai, M. Almgren, "A fading-insensitive performance metric for a unified link
    quality model", IEEE WCNC 2006; G. Caire, G. Taricco, E. Biglieri, "Bit-interleaved coded modulation",
    IEEE Trans. Inf. Theory 1998, for the mutual information.
    """

    mcs: Mcs
    gains: Gains
    code: fec.BlockCode = fec.LdpcCode()
    interleave: str = "block"

    def __call__(self, snr_db: float, symbols: int) -> float | None:
        """Probability that a frame of ``symbols`` arrives at the average Es/N0 ``snr_db``."""
        arrives = self.given(self.gains.snr_db(symbols, snr_db), symbols)
        return None if arrives is None else float(np.mean(arrives))

    def given(self, snr_db: np.ndarray, symbols: int) -> np.ndarray | None:
        """The same for each transmission, [R], whose SNRs [dB] are known: one a symbol [R, symbols], or one for all [R, 1]."""
        m = self.mcs.bits_per_symbol
        plan = fec.segment(symbols * m, self.mcs.rate, m, self.code)
        used = plan.blocks * (plan.block_coded_bits // m)
        if self.code.name == "uncoded":
            each = np.interp(snr_db, GRID_DB, _log_symbol_success(m))
            return np.exp(each[:, 0] * used if snr_db.shape[1] == 1 else each[:, :used].sum(axis=1))
        if not is_measured(self.mcs, self.code.name):
            return None
        effective_db = self._effective_snr_db(snr_db, used, plan.blocks)
        failure = np.interp(effective_db, GRID_DB, _block_error_rates(self.mcs, plan.block_bits, self.code.name))
        if failure.shape[1] == 1:  # one gain for all blocks, whose noise is independent
            return (1.0 - failure[:, 0]) ** plan.blocks
        return np.prod(1.0 - failure, axis=1)

    def _effective_snr_db(self, snr_db: np.ndarray, used: int, blocks: int) -> np.ndarray:
        """[R, blocks], or [R, 1] where all blocks meet one gain."""
        if snr_db.shape[1] == 1:
            return snr_db
        information = _mutual_information(self.mcs.bits_per_symbol)
        carried = np.interp(snr_db[:, :used], GRID_DB, information)
        if self.interleave == "frame":  # what is sent s-th is symbol order[s] of the blocks in a row
            carried = carried[:, np.argsort(fec.symbol_order(used))]
        mean = carried.reshape(len(carried), blocks, -1).mean(axis=2)
        return np.interp(mean, information, GRID_DB)
