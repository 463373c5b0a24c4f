"""Decibels, ratios and the bandwidth ratio, converted in one place."""

import math
from fractions import Fraction


def db_to_ratio(db: float) -> float:
    """A power ratio from decibels.

    >>> db_to_ratio(10.0)
    10.0
    """
    return 10.0 ** (db / 10.0)


def ratio_to_db(ratio: float) -> float:
    """Decibels from a power ratio; -inf for 0."""
    return 10.0 * math.log10(ratio) if ratio > 0 else -math.inf


def ebn0_db(esn0_db: float, code_rate: float, bits_per_symbol: int) -> float:
    """Eb/N0 [dB] = Es/N0 - 10 log10(R log2 M).

    >>> round(ebn0_db(0.0, 0.5, 2), 9)
    0.0
    """
    return esn0_db - 10.0 * math.log10(code_rate * bits_per_symbol)


def source_dimensions(height: int, width: int) -> int:
    """n = 3 H W, the real numbers that a colour image is."""
    return 3 * height * width


def channel_uses(bandwidth_ratio: Fraction, height: int, width: int) -> int:
    """k = floor(rho n), the complex channel uses granted to one image.

    >>> channel_uses(Fraction(1, 24), 128, 256)
    4096
    """
    return math.floor(Fraction(bandwidth_ratio) * source_dimensions(height, width))
