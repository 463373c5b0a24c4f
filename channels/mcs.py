"""Modulation and coding schemes, and how often a code block of each fails over AWGN."""

from __future__ import annotations

import csv
import difflib
import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

#: Measured block error rates by code.
BLER_TABLES = {
    "ldpc": Path(__file__).parent / "data" / "bler_awgn.csv",
    "polar": Path(__file__).parent / "data" / "bler_awgn_polar.csv",
}
BLER_TABLE = BLER_TABLES["ldpc"]

#: Modulations by name: bits a symbol.
MODULATIONS = {"bpsk": 1, "qpsk": 2, "16qam": 4, "64qam": 6, "256qam": 8, "1024qam": 10}


@dataclass(frozen=True)
class Mcs:
    """A modulation and coding scheme: ``bits_per_symbol`` log2 M and the nominal code rate."""

    name: str
    bits_per_symbol: int
    rate: Fraction

    @property
    def efficiency(self) -> Fraction:
        """Information bits a channel use, CRC included."""
        return self.bits_per_symbol * self.rate


def _table() -> tuple[Mcs, ...]:
    low = [("qpsk", 2, Fraction(1, d)) for d in (12, 8, 5)]
    usual = (Fraction(1, 3), Fraction(1, 2), Fraction(2, 3), Fraction(3, 4), Fraction(5, 6))
    orders = (("qpsk", 2), ("16qam", 4), ("64qam", 6), ("256qam", 8))
    return tuple(Mcs(f"{name}-{rate}", bits, rate) for name, bits, rate in low + [(*o, rate) for o in orders for rate in usual])


#: From the most robust to the fastest of each modulation; the first is what headers use.
MCS: tuple[Mcs, ...] = _table()


def find(name: str) -> Mcs:
    """The scheme of that name, such as 'qpsk-1/2'.

    >>> find("256qam-3/4").efficiency
    Fraction(6, 1)
    """
    for mcs in MCS:
        if mcs.name == name:
            return mcs
    near = difflib.get_close_matches(name, [m.name for m in MCS], n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise ValueError(f"there is no MCS '{name}'; allowed: {', '.join(m.name for m in MCS)}{hint}")


def scheme(modulation: str, rate: Fraction | str | float = Fraction(1)) -> Mcs:
    """The scheme of a modulation and any code rate up to 1; the table's own where it has it.

    >>> scheme("1024qam", "3/4").name
    '1024qam-3/4'
    """
    if modulation not in MODULATIONS:
        raise ValueError(f"there is no modulation '{modulation}'; allowed: {', '.join(MODULATIONS)}")
    try:
        exact = Fraction(rate).limit_denominator(MAX_DENOMINATOR)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"'{rate}' is not a code rate; write a fraction such as 3/5, or a number") from error
    if not 0 < exact <= 1:
        raise ValueError(f"a code rate of {rate}; allowed: above 0, at most 1")
    return Mcs(f"{modulation}-{exact}", MODULATIONS[modulation], exact)


#: Code rates are fractions of at most this denominator: 5G's tables have rates in 1024ths.
MAX_DENOMINATOR = 1024


def is_measured(mcs: Mcs, code: str = "ldpc") -> bool:
    """Whether block error rates of the scheme with that code were measured."""
    return code in BLER_TABLES and mcs.name in _measured(code)


@functools.cache
def _measured(code: str = "ldpc") -> dict[str, dict[int, tuple[np.ndarray, np.ndarray]]]:
    """mcs -> information bits -> (SNR [dB] ascending, Q^-1 of the block error rate, never falling)."""
    from scipy.special import ndtri

    counts: dict[tuple[str, int], dict[float, list[int]]] = {}
    with open(BLER_TABLES[code], newline="") as file:
        for row in csv.DictReader(file):
            point = counts.setdefault((row["mcs"], int(row["information_bits"])), {}).setdefault(float(row["snr_db"]), [0, 0])
            point[0] += int(row["block_errors"])
            point[1] += int(row["blocks"])
    curves: dict[str, dict[int, tuple[np.ndarray, np.ndarray]]] = {}
    for (name, bits), points in counts.items():
        snr = np.array(sorted(points))
        if len(snr) < 2:
            continue  # a curve that a stopped measurement has only begun
        # Half an error more and one block more (Krichevsky, Trofimov 1981): no estimate is 0, none is 1.
        rate = np.array([(points[s][0] + 0.5) / (points[s][1] + 1.0) for s in snr])
        curves.setdefault(name, {})[bits] = (snr, -ndtri(np.minimum.accumulate(rate)))
    return curves


def _margin(curve: tuple[np.ndarray, np.ndarray], snr_db: float) -> float:
    """Q^-1(BLER): linear in dB between measured points, and on at the curve's mean slope outside them."""
    snr, margin = curve
    slope = max((margin[-1] - margin[0]) / (snr[-1] - snr[0]), 1.0)
    outside = snr_db - min(max(snr_db, snr[0]), snr[-1])
    return float(np.interp(snr_db, snr, margin) + slope * outside)


def block_error_rate(mcs: Mcs, snr_db: float, information_bits: int, code: str = "ldpc") -> float:
    """The probability that a code block of ``information_bits`` (CRC included) fails over AWGN at ``snr_db`` (Es/N0).

    From the measured table that ships with the package (`channels.measure_bler` made it). Q^-1(BLER) is
    linear in dB between SNR points and beyond them, as the normal approximation has it near capacity: a
    code's fall from 1 to 0 is that of Q, and on a logarithmic scale its upper half would come out far too
    low. Between measured block sizes it is linear in the logarithm of the size; beyond them the nearest size
    counts. Below 1e-9 the rate is 0. It is for choosing an MCS, not for reporting a result.
    """
    from scipy.special import ndtr

    curves = _measured(code).get(mcs.name)
    if not curves:
        command = f"python -m channels.measure_bler --code {code} --mcs {mcs.name}"
        raise ValueError(f"no block error rates were measured for '{mcs.name}'; run: {command}")
    sizes = sorted(curves)
    margins = [_margin(curves[size], snr_db) for size in sizes]
    rate = float(ndtr(-np.interp(math.log(information_bits), np.log(sizes), margins)))
    return 0.0 if rate < 1e-9 else rate


def snr_for_block_error_rate(mcs: Mcs, error: float, information_bits: int, code: str = "ldpc") -> float:
    """The lowest SNR [dB] at which `block_error_rate` is at most ``error`` (0 < error < 1), by bisection."""
    low, high = -20.0, 60.0
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (low, middle) if block_error_rate(mcs, middle, information_bits, code) <= error else (middle, high)
    return high
