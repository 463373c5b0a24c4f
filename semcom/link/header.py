"""Side information without a digital part to ride in: a header block, charged and sent first."""

from __future__ import annotations

import functools
import math
from fractions import Fraction

import lazy_loader as lazy

from channels.base import Observation
from channels.fec import CRC_BITS as CRC_LENGTHS
from channels.fec import TransportBlock, segment
from channels.modulation import QAM
from semcom.errors import LedgerError
from semcom.link.air import Signal
from semcom.types import Bits, ReceivedBits

torch = lazy.load("torch")

#: The most robust MCS of the table, QPSK at rate 1/12, with 5G's short CRC.
CODE_RATE, BITS_PER_SYMBOL, CRC = Fraction(1, 12), 2, "CRC11"
CRC_BITS = CRC_LENGTHS[CRC]


def uses(side_bits: int) -> int:
    """Channel uses of a header of ``side_bits``; none without side information.

    >>> uses(0), uses(16)
    (0, 162)
    """
    if not side_bits:
        return 0
    bits = side_bits + CRC_BITS
    while True:
        symbols = math.ceil(bits / (CODE_RATE * BITS_PER_SYMBOL))
        plan = segment(symbols * BITS_PER_SYMBOL, CODE_RATE, BITS_PER_SYMBOL)
        missing = side_bits - plan.blocks * (plan.block_bits - CRC_BITS)
        if missing <= 0:
            return symbols
        bits += missing  # a long header is several code blocks, each with its CRC


@functools.lru_cache(maxsize=32)
def _block(side_bits: int, device: str) -> TransportBlock:
    return TransportBlock(uses(side_bits) * BITS_PER_SYMBOL, CODE_RATE, BITS_PER_SYMBOL, device=device, crc=CRC)


def modulate(side: Bits, power: float, device: torch.device | str) -> Signal:
    """The `uses` symbols of a header block that holds the side information."""
    width = side.bits.shape[1]
    if not bool((side.lengths == width).all()):
        raise LedgerError(f"side information has lengths {side.lengths.tolist()}; expected {width} bits an image, fixed for all")
    block = _block(width, str(device))
    payload = torch.nn.functional.pad(side.bits.to(device), (0, block.payload_bits - width))
    return Signal(QAM(BITS_PER_SYMBOL, device).modulate(block.encode(payload)), power)


def demodulate(side: Bits, seen: Observation, device: torch.device | str) -> ReceivedBits:
    """The side information as it arrived, and whether its CRC held."""
    width = side.bits.shape[1]
    llrs = QAM(BITS_PER_SYMBOL, device).llrs(seen.symbols, seen.noise_std.square())
    decoded, block_ok = _block(width, str(device)).decode(llrs)
    return ReceivedBits(decoded[:, :width], side.lengths.to(device), block_ok.all(dim=1))
