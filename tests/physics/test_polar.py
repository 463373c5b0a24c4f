"""Polar and uncoded blocks: the reference decoder, the waterfall, limits, frames of any code."""

import csv
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from channels import theory
from channels.fec import LdpcCode, PolarCode, TransportBlock, Uncoded, segment, take_turns, take_turns_back
from channels.modulation import QAM
from channels.polar import CRC_BITS, MAX_CODED_BITS, Polar

REFERENCE = Path(__file__).parents[1] / "reference" / "polar_bler.csv"


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    pass


def random_bits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 2, shape, dtype=np.uint8))


def over_awgn(frame: torch.Tensor, bits_per_symbol: int, snr_db: float, seed: int = 1) -> torch.Tensor:
    """LLRs of frames sent over AWGN."""
    qam, variance = QAM(bits_per_symbol), 10.0 ** (-snr_db / 10.0)
    x = qam.modulate(frame)
    noise = torch.view_as_complex(torch.from_numpy(np.random.default_rng(seed).standard_normal((*x.shape, 2), dtype=np.float32)))
    return qam.llrs(x + math.sqrt(variance / 2) * noise, variance)


def reference_points():
    with open(REFERENCE, newline="") as file:
        return [
            (int(r["k"]), int(r["n"]), float(r["snr_db"]), int(r["blocks"]), int(r["block_errors"])) for r in csv.DictReader(file)
        ]


@pytest.mark.parametrize("k, n, snr_db, blocks, errors", reference_points())
def test_block_error_rate_is_the_reference(k, n, snr_db, blocks, errors):
    """The waterfall of plain Sionna's list decoder, measured by make_polar_bler.py with noise of its own."""
    ours, polar = 100, Polar(k, n)
    bits = random_bits(ours, k)
    failed = int((polar.decode(over_awgn(polar.encode(bits), 2, snr_db)) != bits).any(dim=1).sum())
    table = [[failed, ours - failed], [errors, blocks - errors]]
    assert fisher_exact(table).pvalue > 1e-4, f"{failed} of {ours} blocks failed, the reference has {errors} of {blocks}"


def test_no_point_of_the_reference_beats_the_best_possible_code():
    """Its CRC11 rides for nothing in k, and finite blocklength bounds the rest: between the bound and 3 dB above it."""
    for k, n, snr_db, blocks, errors in reference_points():
        if not 0.02 < errors / blocks < 0.5:
            continue
        rate = errors / blocks
        assert theory.normal_approximation(n // 2, 10 ** (snr_db / 10), rate) > k
        assert theory.normal_approximation(n // 2, 10 ** ((snr_db - 3) / 10), rate) < k


def test_a_list_never_loses_what_successive_cancellation_finds():
    """And hybrid decoding gives the list's bits wherever its own CRC did not end it by chance (one in 2048)."""
    k, n, blocks = 128, 256, 120
    bits = random_bits(blocks, k)
    llr = over_awgn(Polar(k, n).encode(bits), 2, 2.0)
    right = {name: (Polar(k, n, decoder=name).decode(llr) == bits).all(dim=1) for name in ("sc", "scl", "hybrid")}
    assert 0 < right["sc"].sum() < right["scl"].sum()
    assert int((right["hybrid"] != right["scl"]).sum()) <= 1
    assert not bool((right["sc"] & ~right["hybrid"]).any())


@pytest.mark.parametrize("k, n", [(20, 40), (25, 300), (64, 1024), (853, 1024), (1000, 1024), (100, 111)])
def test_unusual_sizes_round_trip(k, n):
    polar, bits = Polar(k, n), random_bits(3, k)
    assert torch.equal(polar.decode(20.0 * polar.encode(bits).float() - 10.0), bits)
    assert polar.decode(torch.zeros(0, n)).shape == (0, k) and polar.encode(random_bits(0, k)).shape == (0, n)


def test_decoding_does_not_depend_on_the_batch():
    polar = Polar(60, 128)
    llr = over_awgn(polar.encode(random_bits(7, 60)), 2, 1.0)
    assert torch.equal(polar.decode(llr), torch.cat([polar.decode(row[None]) for row in llr]))


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: Polar(19, 100), "allowed: 20 to 1013"),
        (lambda: Polar(100, 110), r"allowed coded bits: 111 \(with its CRC11\) to 1024"),
        (lambda: Polar(20, 400), "to 320"),
        (lambda: Polar(100, 200, list_size=6), "powers of two"),
        (lambda: Polar(100, 200, decoder="bp"), "allowed: hybrid, scl, sc"),
        (lambda: TransportBlock(60, Fraction(5, 6), 2, code=PolarCode()), "50 information bits in 60 coded bits"),
        (lambda: TransportBlock(600, Fraction(1, 2), 2, code=Uncoded()), "its rate is 1"),
    ],
)
def test_impossible_requests_are_one_clear_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    uses=st.integers(300, 9000),
    mode=st.sampled_from([(2, "1/12"), (2, "1/3"), (4, "1/2"), (6, "3/4"), (8, "5/6"), (10, "2/3")]),
)
def test_polar_frames_add_up_for_any_size(uses, mode):
    bits_per_symbol, rate = mode[0], Fraction(mode[1])
    plan = segment(uses * bits_per_symbol, rate, bits_per_symbol, PolarCode())
    assert plan.block_coded_bits <= MAX_CODED_BITS and plan.block_coded_bits % bits_per_symbol == 0
    assert plan.block_bits == math.floor(plan.block_coded_bits * rate) <= plan.block_coded_bits - CRC_BITS
    assert 0 <= uses * bits_per_symbol - plan.blocks * plan.block_coded_bits < plan.blocks * bits_per_symbol
    fewer = plan.blocks - 1  # the fewest blocks that do
    assert not fewer or math.ceil(uses / fewer) * bits_per_symbol > MAX_CODED_BITS - bits_per_symbol


@pytest.mark.parametrize(
    "code, rate", [(PolarCode(), "1/2"), (Uncoded(), "1"), (LdpcCode(), "2/3")], ids=["polar", "uncoded", "ldpc"]
)
@pytest.mark.parametrize("interleave", ["block", "frame", "none"])
@pytest.mark.parametrize("uses, bits_per_symbol", [(1500, 2), (1203, 10)])
def test_frames_round_trip(code, rate, interleave, uses, bits_per_symbol):
    frame = TransportBlock(uses * bits_per_symbol, Fraction(rate), bits_per_symbol, code=code, interleave=interleave)
    bits = random_bits(2, frame.payload_bits)
    coded = frame.encode(bits)
    assert coded.shape == (2, frame.capacity_bits)
    decoded, ok = frame.decode(over_awgn(coded, bits_per_symbol, 50.0))
    assert torch.equal(decoded, bits) and bool(ok.all())


def test_an_uncoded_frame_arrives_as_often_as_all_its_symbols_do():
    uses, snr_db, frames = 200, 10.0, 400
    frame = TransportBlock(uses * 2, Fraction(1), 2, code=Uncoded())
    bits = random_bits(frames, frame.payload_bits)
    decoded, ok = frame.decode(over_awgn(frame.encode(bits), 2, snr_db))
    assert bool((decoded == bits)[ok[:, 0]].all())  # a CRC of 24 bits lets one in 2^24 errors pass
    expected = (1 - float(theory.symbol_error_awgn(2, 10 ** (snr_db / 10)))) ** uses
    assert 0.2 < expected < 0.9
    assert abs(float(ok.double().mean()) - expected) < 4.5 * math.sqrt(expected * (1 - expected) / frames)


def test_frame_interleaving_spreads_every_block_over_the_whole_frame():
    """Symbol s of the frame is of block s mod blocks; what is lost of the frame is lost of each block in equal shares."""
    blocks, per_block, m = 3, 4, 2
    frame = torch.arange(blocks * per_block * m)[None]
    mixed = take_turns(frame, blocks, m)
    assert torch.equal(take_turns_back(mixed, blocks, m), frame)
    of_block = (mixed // (per_block * m))[0, ::m]
    assert of_block.tolist() == [s % blocks for s in range(blocks * per_block)]
    assert torch.equal(mixed[0, 1::m], mixed[0, ::m] + 1)  # the bits of a symbol stay together


def test_frame_interleaving_saves_a_frame_from_a_fade_that_kills_a_block():
    """Six tenths of one of eight half-rate blocks are erased: more than its code mends, and little for each of all eight."""
    arrived = {}
    for interleave in ("block", "frame"):
        frame = TransportBlock(2 * 4000, Fraction(1, 2), 2, code=PolarCode(), interleave=interleave)
        bits = random_bits(4, frame.payload_bits)
        llr = over_awgn(frame.encode(bits), 2, 5.0)
        llr[:, : frame.block_coded_bits * 6 // 10] = 0.0
        arrived[interleave] = frame.decode(llr)[1]
    assert not bool(arrived["block"][:, 0].any()) and bool(arrived["block"][:, 1:].all())
    assert bool(arrived["frame"].all())
