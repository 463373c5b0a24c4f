"""Measure the block error table of `channels.mcs`.

    python -m channels.measure_bler [--code polar] [--sizes 256 1024] [--mcs qpsk-1/2] [--minutes 15]

For every MCS and code-block size the SNR runs in steps of half a dB from where most blocks fail to where
fewer than one in a hundred do. Random information bits (all k of them, CRC positions included) are coded,
interleaved, modulated, sent over AWGN, demapped exactly and decoded; a block fails if a bit is wrong.
Every point has a Philox stream of its own, keyed by (seed, mcs, k, SNR). Points that the file holds are
not measured again, so a stopped run goes on where it was. Sizes are information bits for LDPC and coded
bits for polar codes, whose blocks are cut by coded bits.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch

from channels.fec import DECODER, GRAPH_2_RATE, ITERATIONS, MAX_BLOCK_BITS_GRAPH_2, LdpcCode, PolarCode, deinterleave, interleave
from channels.mcs import BLER_TABLE, BLER_TABLES, MCS, Mcs, find
from channels.modulation import QAM
from channels.polar import LIST_SIZE as POLAR_LIST
from channels.polar import MIN_BLOCK_BITS as POLAR_MIN_BITS
from channels.theory import snr_for_mutual_information

COLUMNS = ("mcs", "information_bits", "snr_db", "blocks", "block_errors", "iterations", "decoder")
SEED = 0
STEP_DB = 0.5
SIZES = {"ldpc": (1024, 3840, 256, 8448), "polar": (1024, 256)}
MOST_BLOCKS = {"ldpc": {256: 1000, 1024: 400, 3840: 200, 8448: 120}, "polar": {1024: 200, 256: 400}}
CODES = {"ldpc": LdpcCode(), "polar": PolarCode()}
#: What the columns ``iterations`` and ``decoder`` say.
DECODERS = {
    "ldpc": (ITERATIONS, DECODER),
    "polar": (
        POLAR_LIST,
        "5G polar (uplink, CRC11), successive cancellation then CRC-aided list, list size in column iterations, Sionna",
    ),
}
#: A point ends at this many errors: a standard error of 18 % of the rate.
ENOUGH_ERRORS = 30
#: A curve ends, on the left and on the right, where its rate has passed these.
HIGH, LOW = 0.9, 0.01
#: Where a curve begins: this far above the SNR at which the mutual information equals the code rate.
GAP_DB = 1.0

Points = dict[tuple[str, int, float], tuple[int, int]]


def read(path: Path) -> Points:
    """(mcs, information bits, SNR) -> (blocks, block errors) of a table file; empty where there is none."""
    if not path.exists():
        return {}
    with open(path, newline="") as file:
        return {
            (row["mcs"], int(row["information_bits"]), float(row["snr_db"])): (int(row["blocks"]), int(row["block_errors"]))
            for row in csv.DictReader(file)
        }


def append(path: Path, key: tuple[str, int, float], count: tuple[int, int], code: str = "ldpc") -> None:
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        writer.writerow((*key, *count, *DECODERS[code]))


class Block:
    """One code block of an MCS over AWGN, as a transport block sends it, with the sent bits known."""

    def __init__(self, mcs: Mcs, information_bits: int, device: str = "cpu", code: str = "ldpc"):
        self.name, self.k, self.bits_per_symbol, self.code = mcs.name, information_bits, mcs.bits_per_symbol, code
        uses = math.ceil(information_bits / mcs.efficiency)
        self.codec = CODES[code].build(information_bits, uses * mcs.bits_per_symbol, device)
        self.qam = QAM(mcs.bits_per_symbol, device)

    def failures(self, blocks: int, snr_db: float, rng: np.random.Generator) -> int:
        """How many of ``blocks`` random blocks fail."""
        bits = torch.from_numpy(rng.integers(0, 2, (blocks, self.k), dtype=np.uint8)).to(self.codec.device)
        x = self.qam.modulate(interleave(self.codec.encode(bits), self.bits_per_symbol))
        noise = torch.view_as_complex(torch.from_numpy(rng.standard_normal((*x.shape, 2), dtype=np.float32))).to(x.device)
        variance = 10.0 ** (-snr_db / 10.0)
        llr = self.qam.llrs(x + math.sqrt(variance / 2.0) * noise, variance)
        return int((self.codec.decode(deinterleave(llr, self.bits_per_symbol)) != bits).any(dim=1).sum())

    def count(self, snr_db: float, most_blocks: int, enough_errors: int = ENOUGH_ERRORS, seed: int = SEED) -> tuple[int, int]:
        """(blocks, block errors) at ``snr_db``, ended by the number of errors or of blocks."""
        named = self.name if self.code == "ldpc" else f"{self.code}/{self.name}"
        key = hashlib.sha256(f"{seed}/{named}/{self.k}/{snr_db}".encode()).digest()[:16]
        rng = np.random.Generator(np.random.Philox(key=np.frombuffer(key, dtype=np.uint64)))
        blocks = errors = 0
        while blocks < most_blocks and errors < enough_errors:
            batch = min(20, most_blocks - blocks)
            errors += self.failures(batch, snr_db, rng)
            blocks += batch
        return blocks, errors


def measure_curve(block: Block, rate: float, path: Path, most_blocks: int, deadline: float) -> None:
    """Measure the missing points of one curve, downwards to HIGH and then upwards to LOW."""
    points = read(path)
    bits = rate * block.bits_per_symbol
    start = round((snr_for_mutual_information(block.bits_per_symbol, bits) + GAP_DB) / STEP_DB) * STEP_DB

    def error_rate(snr_db: float) -> float:
        key = (block.name, block.k, snr_db)
        if key not in points:
            points[key] = block.count(snr_db, most_blocks)
            append(path, key, points[key], block.code)
        blocks, errors = points[key]
        print(f"{block.name:12} k={block.k:5} {snr_db:6.1f} dB: {errors:4} of {blocks:5} blocks failed", file=sys.stderr)
        return errors / blocks

    first, snr_db = error_rate(start), start
    while error_rate(snr_db := snr_db - STEP_DB) < HIGH and time.monotonic() < deadline:
        pass
    current, snr_db = first, start
    while current >= LOW and time.monotonic() < deadline:
        current = error_rate(snr_db := snr_db + STEP_DB)


def block(mcs: Mcs, size: int, code: str, device: str = "cpu") -> Block | None:
    """The block of a size as the command takes it; None where the code has none."""
    if code == "ldpc":
        if mcs.rate <= GRAPH_2_RATE and size > MAX_BLOCK_BITS_GRAPH_2:
            return None  # base graph 2 has no blocks of this size
        return Block(mcs, size, device)
    coded = size // mcs.bits_per_symbol * mcs.bits_per_symbol
    bits = math.floor(coded * mcs.rate)
    return Block(mcs, bits, device, code) if bits >= POLAR_MIN_BITS else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--code", choices=list(CODES), default="ldpc")
    parser.add_argument("--mcs", nargs="*", default=[m.name for m in MCS], help="names of schemes; all by default")
    parser.add_argument("--sizes", nargs="*", type=int, help="LDPC: information bits of a block; polar: coded bits")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after about this long; run again to go on")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    deadline = time.monotonic() + 60.0 * options.minutes
    for size in options.sizes or SIZES[options.code]:
        for mcs in map(find, options.mcs):
            measured = block(mcs, size, options.code, options.device) if time.monotonic() < deadline else None
            if measured:
                most = MOST_BLOCKS[options.code].get(size, 200)
                measure_curve(measured, float(mcs.rate), options.output or BLER_TABLES[options.code], most, deadline)


if __name__ == "__main__":
    main()
