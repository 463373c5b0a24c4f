"""LDPC, CRC and transport blocks: references, early stopping, repetition, round trips, refusals."""

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

from channels._sionna import sionna_phy
from channels.fec import (
    CRC,
    CRC_BITS,
    LDPC,
    MAX_BLOCK_BITS,
    MAX_BLOCK_BITS_GRAPH_2,
    LdpcCode,
    TransportBlock,
    Uncoded,
    deinterleave,
    interleave,
)
from channels.modulation import QAM

REFERENCE = Path(__file__).parents[1] / "reference" / "ldpc_bler.csv"


def random_bits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 2, shape, dtype=np.uint8))


def over_awgn(frame: torch.Tensor, bits_per_symbol: int, snr_db: float, seed: int = 1) -> torch.Tensor:
    """LLRs of frames sent over AWGN."""
    qam = QAM(bits_per_symbol)
    x = qam.modulate(frame)
    noise = torch.view_as_complex(torch.from_numpy(np.random.default_rng(seed).standard_normal((*x.shape, 2), dtype=np.float32)))
    variance = 10.0 ** (-snr_db / 10.0)
    return qam.llrs(x + math.sqrt(variance / 2) * noise, variance)


def failures(k: int, n: int, bits_per_symbol: int, snr_db: float, blocks: int) -> int:
    ldpc, bits = LDPC(k, n), random_bits(blocks, k)
    llr = deinterleave(over_awgn(interleave(ldpc.encode(bits), bits_per_symbol), bits_per_symbol, snr_db), bits_per_symbol)
    return int((ldpc.decode(llr) != bits).any(dim=1).sum())


def reference_points():
    with open(REFERENCE, newline="") as file:
        columns = {"bits_per_symbol": int, "k": int, "n": int, "snr_db": float, "blocks": int, "block_errors": int}
        return [tuple(kind(row[name]) for name, kind in columns.items()) for row in csv.DictReader(file)]


@pytest.mark.parametrize("bits_per_symbol, k, n, snr_db, blocks, errors", reference_points())
def test_block_error_rate_is_the_reference(bits_per_symbol, k, n, snr_db, blocks, errors):
    ours = 40 if k > 512 else 100
    failed = failures(k, n, bits_per_symbol, snr_db, ours)
    table = [[failed, ours - failed], [errors, blocks - errors]]
    assert fisher_exact(table).pvalue > 1e-4, f"{failed} of {ours} blocks failed, the reference has {errors} of {blocks}"


@pytest.mark.parametrize("rate, fails_db, works_db", [(Fraction(1, 3), -1.5, -1.0), (Fraction(1, 5), -4.5, -3.5)])
def test_long_qpsk_falls_where_it_is_known_to(rate, fails_db, works_db):
    """Most blocks fail on the left and few on the right; a fair coin gives fewer than 3 of 10 once in eighteen."""
    n, blocks = 8192, 10
    assert failures(int(n * rate), n, 2, fails_db, blocks) >= 3
    assert failures(int(n * rate), n, 2, works_db, blocks) <= 1


@pytest.mark.parametrize("k, n, snr_db", [(256, 512, 1.4), (300, 400, 4.2), (120, 600, -3.5)])
def test_early_stopping_gives_what_all_iterations_give(k, n, snr_db):
    """Blocks that converge, and blocks that do not, against Sionna's twenty iterations in one go."""
    fec, ldpc = sionna_phy().fec.ldpc, LDPC(k, n)
    bits = random_bits(60, k)
    llr = over_awgn(ldpc.encode(bits), 2, snr_db)
    encoder = fec.LDPC5GEncoder(k, n, device="cpu")
    assert torch.equal(encoder(bits.float()).to(torch.uint8), ldpc.encode(bits))
    with torch.no_grad():
        whole = fec.LDPC5GDecoder(encoder, num_iter=20, device="cpu")(llr).to(torch.uint8)
    ours = ldpc.decode(llr)
    converged = (ours == bits).all(dim=1)
    assert 0 < converged.sum() < 60
    assert torch.equal(ours[converged], whole[converged])
    assert torch.equal((whole == bits).all(dim=1), converged)


def test_decoding_does_not_depend_on_the_batch():
    ldpc = LDPC(200, 400)
    llr = over_awgn(ldpc.encode(random_bits(9, 200)), 2, 1.5)
    assert torch.equal(ldpc.decode(llr), torch.cat([ldpc.decode(row[None]) for row in llr]))
    assert ldpc.decode(llr[:0]).shape == (0, 200) and ldpc.encode(random_bits(0, 200)).shape == (0, 400)


@pytest.mark.parametrize("code", [LdpcCode(), Uncoded()])
def test_soft_decisions_are_the_hard_ones_with_how_sure_they_are(code):
    """What belief propagation ends with is right as often as it says, to within a few per cent, where it has failed."""
    rate, sigma = (Fraction(1, 2), 1.0) if code.name == "ldpc" else (Fraction(1), 0.8)
    block = TransportBlock(2000, rate, 2, code=code)
    bits = random_bits(8, block.payload_bits)
    noise = torch.from_numpy(np.random.default_rng(5).standard_normal((8, 2000), dtype=np.float32))
    llr = 2.0 * (2.0 * block.encode(bits).float() - 1.0 + sigma * noise) / sigma**2
    decoded, verdicts, soft = block.decode_soft(llr)
    assert torch.equal(decoded, block.decode(llr)[0]) and not verdicts.any()
    assert torch.equal(soft > 0, decoded.bool())
    right, said = (decoded == bits).double(), soft.abs().double().sigmoid()
    assert abs(float((right - said).mean())) < 0.05


def test_a_frame_of_no_rows_passes_through():
    block = TransportBlock(2000, Fraction(1, 2), 2)
    frame = block.encode(torch.zeros((0, block.payload_bits), dtype=torch.uint8))
    payload, verdicts = block.decode(torch.zeros((0, 2000)))
    assert frame.shape == (0, 2000) and payload.shape == (0, block.payload_bits) and verdicts.shape == (0, block.blocks)


def test_repetition_adds_the_evidence_of_each_turn():
    """Two turns around the buffer are worth 3 dB: LLRs of the repeated code are those of the mother code, added."""
    mother, twice = LDPC(100, 500), LDPC(100, 1000)
    bits = random_bits(4, 100)
    assert torch.equal(twice.encode(bits), mother.encode(bits).repeat(1, 2))
    llr = over_awgn(twice.encode(bits), 2, -6.0)
    assert torch.equal(twice.decode(llr), mother.decode(llr[:, :500] + llr[:, 500:]))
    blocks = 150
    once, repeated = failures(100, 500, 2, -3.2, blocks), failures(100, 1000, 2, -3.2 - 10 * math.log10(2), blocks)
    assert 0 < once < blocks
    assert fisher_exact([[once, blocks - once], [repeated, blocks - repeated]]).pvalue > 1e-4


@pytest.mark.parametrize("k, n", [(3830, 13000), (8448, 26000), (12, 24), (40, 480), (3840, 3840 * 8)])
def test_unusual_sizes_round_trip(k, n):
    ldpc, bits = LDPC(k, n), random_bits(2, k)
    assert torch.equal(ldpc.decode(20.0 * ldpc.encode(bits).float() - 10.0), bits)


@pytest.mark.parametrize("name", CRC_BITS)
def test_crc_is_polynomial_division(name):
    """The remainder of the bits times x^L, by long division with the polynomials of TS 38.212, 5.1."""
    powers = {
        "CRC24A": (24, 23, 18, 17, 14, 11, 10, 7, 6, 5, 4, 3, 1, 0),
        "CRC24B": (24, 23, 6, 5, 1, 0),
        "CRC24C": (24, 23, 21, 20, 17, 15, 13, 12, 8, 4, 2, 1, 0),
        "CRC16": (16, 12, 5, 0),
        "CRC11": (11, 10, 9, 5, 0),
        "CRC6": (6, 5, 0),
    }
    length, polynomial = CRC_BITS[name], sum(1 << p for p in powers[name])
    bits = random_bits(1, 61)
    remainder = int("".join(map(str, bits[0].tolist())), 2) << length
    while remainder.bit_length() > length:
        remainder ^= polynomial << (remainder.bit_length() - length - 1)
    checked = CRC(name, 61).append(bits)[0]
    assert int("".join(map(str, checked[61:].tolist())), 2) == remainder


def test_crc_catches_every_burst_up_to_its_length():
    crc = CRC("CRC24B", 300)
    sent = crc.append(random_bits(1, 300))
    rng = np.random.default_rng(2)
    damaged = sent.repeat(500, 1)
    for row in damaged:
        start, burst = rng.integers(0, 300), rng.integers(0, 2, 24)
        burst[0] = 1
        row[start : start + 24] ^= torch.from_numpy(burst.astype(np.uint8))
    assert crc.holds(sent).all() and not crc.holds(damaged).any()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    uses=st.integers(200, 9000),
    mode=st.sampled_from([(2, "1/12"), (2, "1/5"), (2, "1/3"), (4, "1/2"), (4, "2/3"), (6, "3/4"), (8, "5/6")]),
    crc=st.sampled_from(["CRC24B", "CRC11"]),
)
def test_a_frame_adds_up_for_any_size(uses, mode, crc):
    bits_per_symbol, rate = mode[0], Fraction(mode[1])
    capacity = uses * bits_per_symbol
    frame = TransportBlock(capacity, rate, bits_per_symbol, crc=crc)
    assert frame.payload_bits + frame.crc_bits == frame.blocks * frame.block_bits
    assert frame.blocks * frame.block_coded_bits + frame.padding_bits == capacity
    assert frame.block_coded_bits % bits_per_symbol == 0 and 0 <= frame.padding_bits < frame.blocks * bits_per_symbol
    assert frame.block_bits <= (MAX_BLOCK_BITS_GRAPH_2 if rate <= Fraction(1, 4) else MAX_BLOCK_BITS)
    # B = floor(E R) less CRC, but for what does not divide: under a bit and a symbol's bits for each block
    short = math.floor(capacity * rate) - frame.crc_bits - frame.payload_bits
    assert 0 <= short < frame.blocks * (1 + bits_per_symbol)
    assert frame.blocks > 1 or short == 0


@pytest.mark.parametrize(
    "uses, bits_per_symbol, rate",
    [(20, 2, "5/6"), (333, 2, "1/12"), (4096, 2, "1/2"), (10001, 2, "1/2"), (4099, 8, "3/4"), (20011, 2, "1/5")],
)
def test_frames_round_trip(uses, bits_per_symbol, rate):
    frame = TransportBlock(uses * bits_per_symbol, Fraction(rate), bits_per_symbol)
    bits = random_bits(2, frame.payload_bits)
    coded = frame.encode(bits)
    assert coded.shape == (2, frame.capacity_bits) and coded.dtype == torch.uint8 and coded.max() <= 1
    decoded, ok = frame.decode(over_awgn(coded, bits_per_symbol, 35.0))
    assert torch.equal(decoded, bits) and ok.shape == (2, frame.blocks) and ok.all()


def test_block_verdicts_come_from_the_crc_block_by_block():
    frame = TransportBlock(4 * 8000, Fraction(2, 3), 4)
    assert frame.blocks == 3
    bits = random_bits(3, frame.payload_bits)
    llr = over_awgn(frame.encode(bits), 4, 20.0)
    llr[1, : frame.block_coded_bits] = over_awgn(random_bits(1, frame.block_coded_bits, seed=9), 4, 20.0)
    decoded, ok = frame.decode(llr)
    assert ok.tolist() == [[True] * 3, [False, True, True], [True] * 3]
    assert torch.equal(decoded[[0, 2]], bits[[0, 2]])
    third = frame.payload_bits // 3
    assert torch.equal(decoded[1, third:], bits[1, third:])


def test_verdict_is_the_truth_in_the_waterfall():
    """In the waterfall some frames fail; a CRC of 24 bits lets one in 2^24 of them pass."""
    frame = TransportBlock(800, Fraction(1, 2), 2)
    bits = random_bits(60, frame.payload_bits)
    decoded, ok = frame.decode(over_awgn(frame.encode(bits), 2, 1.3))
    assert 0 < ok.sum() < 60
    assert torch.equal(ok[:, 0], (decoded == bits).all(dim=1))


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: TransportBlock(40, Fraction(1, 2), 2), "a frame of 40 coded bits at rate 1/2 carries 20 bits"),
        (lambda: TransportBlock(0, Fraction(1, 2), 2), "grant at least 50 coded bits"),
        (lambda: TransportBlock(401, Fraction(1, 2), 2), "not a whole number of symbols"),
        (lambda: TransportBlock(400, Fraction(1, 2), 2, crc="CRC32"), "there is no CRC 'CRC32'"),
        (lambda: LDPC(100, 101), "rate 0.990"),
        (lambda: LDPC(11, 100), "12 to 8448"),
        (lambda: LDPC(100, 200).encode(random_bits(2, 99)), r"expected \[B, 100\]"),
        (lambda: LDPC(100, 200).decode(torch.zeros(2, 99)), r"expected \[B, 200\]"),
        (lambda: QAM(3), "allowed: 1, 2, 4"),
        (lambda: QAM(4).modulate(random_bits(1, 6)), r"expected \[B, n \* 4\]"),
        (lambda: QAM(4).llrs(torch.zeros(3), 1.0), "expected complex64"),
    ],
)
def test_impossible_requests_are_one_clear_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
