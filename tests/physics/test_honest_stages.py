"""Whole chains with hardware, interference and several antennas: what is handed on is unbiased, of the level that is said.

Symbols go through `Air`, as a link sends them; in every fifth of the stated level the slope is 1 and the normalised
error has variance 1.
"""

import math

import numpy as np
import pytest
import torch

from channels import theory
from channels.adc import ADC
from channels.amplifier import Amplifier, rapp_bussgang
from channels.awgn import AWGN
from channels.base import Draw
from channels.carrier_offset import CarrierOffset
from channels.chain import Chain
from channels.cochannel import CoChannel
from channels.csi import CSI
from channels.erasure import Erasure
from channels.impulses import Impulses
from channels.mimo import MIMO
from channels.modulation import QAM
from channels.ofdm import OFDM
from channels.phase_noise import PhaseNoise
from channels.rayleigh import Rayleigh
from channels.tdl import TDL
from semcom.link.air import Air, Signal
from semcom.rng import Streams, generator
from semcom.types import Condition

SIGMAS = 4.5
OFDM_GRID = OFDM(fft_size=64, subcarrier_spacing_khz=15, cyclic_prefix=16, guards=(0, 0), dc_null=False, pilots=None)
FREQUENCY = TDL(profile="A", delay_spread_ns=300, carrier_ghz=3.5, speed_kmh=3)
RAYLEIGH = Rayleigh(coherence=64)


def gaussian(rows: int, m: int, seed: int) -> torch.Tensor:
    pairs = np.random.default_rng(seed).standard_normal((rows, m, 2), dtype=np.float32)
    return torch.view_as_complex(torch.from_numpy(pairs)) * math.sqrt(0.5)


def qam(bits_per_symbol: int):
    def symbols(rows: int, m: int, seed: int) -> torch.Tensor:
        bits = np.random.default_rng(seed).integers(0, 2, (rows, m * bits_per_symbol), dtype=np.uint8)
        return QAM(bits_per_symbol).modulate(torch.from_numpy(bits))

    return symbols


def sent_and_seen(stages, snr_db: float, uses: int = 1024, rows: int = 100, symbols=gaussian):
    chain = Chain(stages=stages).build()
    streams = Streams.of([f"image {row}" for row in range(rows)], seed=1)
    air = Air(chain, [Condition(snr_db)] * rows, streams, uses, "cpu")
    x = symbols(rows, chain.layout(uses).symbols, 2)
    (seen,) = air.carry([Signal(x)])
    return x, seen


def check_mean(values: torch.Tensor, rows: torch.Tensor, expected: float):
    """The mean of values is ``expected``, where those of one transmission may depend on each other: a cluster-robust error."""
    left = values - expected
    totals = torch.zeros(int(rows.max()) + 1, dtype=values.dtype).index_add(0, rows, left)
    assert abs(left.sum()) < SIGMAS * float(totals.abs().square().sum().sqrt()), (complex(left.mean()), len(left))


def check_honest(x: torch.Tensor, seen):
    level = seen.noise_std.broadcast_to(x.shape)
    known = level.isfinite()
    error = ((seen.symbols - x) / level)[known].to(torch.complex128)
    sent, rows = x[known].to(torch.complex128), known.nonzero()[:, 0]
    order = level[known].argsort() if level.std() > 0 else torch.randperm(len(sent), generator=torch.Generator().manual_seed(0))
    for group in order.chunk(5):
        check_mean(error[group].abs().square(), rows[group], 1.0)
        check_mean(error[group] * sent[group].conj(), rows[group], 0.0)


SINGLE_CARRIER = {
    "amplifier": [Amplifier(backoff_db=2), RAYLEIGH],
    "phase noise": [PhaseNoise(linewidth=1e-4, tracked=32), RAYLEIGH],
    "phase jitter": [RAYLEIGH, PhaseNoise(linewidth=0, rms_deg=8)],
    "carrier offset": [RAYLEIGH, CarrierOffset(offset=4e-3, tracked=32)],
    "cochannel": [RAYLEIGH, CoChannel(sir_db=8)],
    "two interferers": [RAYLEIGH, CoChannel(sir_db=8, known="average", fading="none"), CoChannel(sir_db=8, order=16)],
    "impulses": [RAYLEIGH, Impulses(probability=0.05, ratio_db=15)],
    "erasure": [RAYLEIGH, Erasure(probability=0.2, mean_burst=10)],
    "converter": [AWGN(), ADC(bits=3, clipping_db=8)],
    "converter behind blocks": [RAYLEIGH, ADC(bits=3, clipping_db=8)],
    "converter behind fast fading": [Rayleigh(fading="fast"), ADC(bits=6, clipping_db=10)],
    "everything": [
        Amplifier(backoff_db=4),
        PhaseNoise(linewidth=1e-5),
        RAYLEIGH,
        CoChannel(sir_db=15),
        Impulses(probability=0.02),
        Erasure(probability=0.1),
        CarrierOffset(offset=1e-4, tracked=32),
        ADC(bits=6, clipping_db=12),
    ],
}


@pytest.mark.parametrize("stages", SINGLE_CARRIER.values(), ids=SINGLE_CARRIER)
def test_single_carrier(stages):
    x, seen = sent_and_seen(stages, 15.0)
    check_honest(x, seen)


@pytest.mark.parametrize("symbols", [qam(4), qam(6)], ids=["16qam", "64qam"])
def test_an_amplified_constellation(symbols):
    x, seen = sent_and_seen([Amplifier(backoff_db=1), RAYLEIGH], 15.0, symbols=symbols)
    check_honest(x, seen)


MULTICARRIER = {
    "amplifier": [OFDM_GRID, Amplifier(backoff_db=2), FREQUENCY],
    "phase noise": [OFDM_GRID, PhaseNoise(linewidth=2e-5, tracked=1), FREQUENCY],
    "carrier offset": [OFDM_GRID, CarrierOffset(offset=2e-3, tracked=1), FREQUENCY],
    "cochannel": [OFDM_GRID, FREQUENCY, CoChannel(sir_db=8, fading="none")],
    "impulses": [OFDM_GRID, FREQUENCY, Impulses(probability=0.02, ratio_db=15)],
    "converter": [OFDM_GRID, FREQUENCY, ADC(bits=4, clipping_db=9)],
}


@pytest.mark.parametrize("stages", MULTICARRIER.values(), ids=MULTICARRIER)
def test_many_carriers(stages):
    x, seen = sent_and_seen(stages, 15.0, symbols=qam(2))
    check_honest(x, seen)


ANTENNAS = {
    "multiplexing": MIMO(),
    "zero forcing": MIMO(detector="zf"),
    "mrc": MIMO(scheme="mrc", transmit_antennas=1),
    "alamouti": MIMO(scheme="alamouti", receive_antennas=1),
    "svd": MIMO(scheme="svd"),
    "water-filling": MIMO(scheme="svd", water_filling=True),
}


@pytest.mark.parametrize("antennas", ANTENNAS.values(), ids=ANTENNAS)
@pytest.mark.parametrize("others", ["alone", "with hardware and interference"])
def test_several_antennas(antennas, others):
    stages = [antennas, Rayleigh(fading="fast")] if antennas.scheme != "alamouti" else [antennas, Rayleigh(coherence=2)]
    if others != "alone":
        stages = [*stages[:1], Amplifier(backoff_db=4), *stages[1:], CoChannel(sir_db=12), PhaseNoise(linewidth=1e-6, tracked=None)]
    x, seen = sent_and_seen(stages, 10.0)
    assert seen.symbols.shape == x.shape == (100, 1024 * antennas.carried)
    check_honest(x, seen)


@pytest.mark.parametrize("antennas", [a for a in ANTENNAS.values() if a.scheme != "svd"], ids=[n for n, a in ANTENNAS.items() if a.scheme != "svd"])
@pytest.mark.parametrize("hardware", [(), (Amplifier(backoff_db=4),)], ids=["plain", "amplified"])
def test_several_antennas_with_gains_from_pilots(antennas, hardware):
    """Pilots of each antenna in turn: the error of the estimates is in the level of what the detector separates."""
    x, seen = sent_and_seen([antennas, *hardware, Rayleigh(), CSI(estimate="lmmse", pilots=4)], 12.0, uses=44, rows=1500)
    assert seen.symbols.shape[1] == 40 * antennas.carried
    check_honest(x, seen)


def test_an_amplifier_under_ofdm_leaves_what_theory_says():
    """SINR of noise and distortion over AWGN: gain^2 / (distortion + sigma^2), for Gaussian samples."""
    backoff_db, snr_db = 3.0, 20.0
    _, seen = sent_and_seen([OFDM_GRID, Amplifier(backoff_db=backoff_db), AWGN()], snr_db, uses=4096, symbols=qam(4))
    theory_of = rapp_bussgang(backoff_db, 2.0)
    expected = (theory_of.distortion + 10 ** (-snr_db / 10)) / theory_of.gain**2
    level = seen.noise_std.square().broadcast_to(seen.symbols.shape).mean(dim=1)
    # 64 subcarriers of a finite constellation are not quite Gaussian: the fourth moment of a sample is lower by 0.68 / 64
    assert abs(float(level.mean()) - expected) < SIGMAS * float(level.std()) / math.sqrt(len(level)) + 0.68 / 64 * theory_of.distortion


@pytest.mark.parametrize(
    "antennas, m, expected",
    [
        (MIMO(scheme="mrc", transmit_antennas=1, receive_antennas=2), 2, lambda snr: theory.ber_mrc(2, snr, 2)),
        (MIMO(scheme="mrc", transmit_antennas=1, receive_antennas=4), 4, lambda snr: theory.ber_mrc(4, snr, 4)),
        (MIMO(scheme="alamouti", receive_antennas=1), 2, lambda snr: theory.ber_alamouti(2, snr, 1)),
        (MIMO(scheme="alamouti", receive_antennas=2), 4, lambda snr: theory.ber_alamouti(4, snr, 2)),
        (MIMO(detector="zf"), 2, lambda snr: theory.ber_zero_forcing(2, snr, 2, 2)),
    ],
    ids=str,
)
def test_error_rates_of_whole_chains(antennas, m, expected):
    snr_db, rows, uses = 8.0, 100, 512
    propagation = Rayleigh(coherence=2) if antennas.scheme == "alamouti" else Rayleigh(fading="fast")
    x, seen = sent_and_seen([antennas, propagation], snr_db, uses=uses, rows=rows, symbols=qam(m))
    bits, llr = (QAM(m).llrs(y, v) > 0 for y, v in ((x, torch.tensor(1e-3)), (seen.symbols, seen.noise_std.square())))
    rate = (bits != llr).double().mean(dim=1)
    assert abs(float(rate.mean()) - float(expected(10 ** (snr_db / 10)))) < SIGMAS * float(rate.std()) / math.sqrt(rows)


def test_stages_of_one_kind_draw_for_themselves():
    """Two interferers, and the oscillators of both ends, are independent: powers add, and equal phases do not undo each other."""
    chain = Chain(stages=[PhaseNoise(), AWGN(), CoChannel(), CoChannel(), PhaseNoise()]).build()
    named = Draw(generator(0), 0.5, lambda name: generator(name))
    _, before, first, second, after, _ = chain.draw(chain.layout(50).grid, [named])
    assert not torch.equal(first[0], second[0]) and not torch.equal(before[0], after[0])
    alone = Chain(stages=[AWGN(), CoChannel()]).build()
    assert torch.equal(alone.draw(alone.layout(50).grid, [named])[1][0], first[0])


def test_erased_symbols_carry_nothing():
    x, seen = sent_and_seen([RAYLEIGH, Erasure(probability=0.25, mean_burst=8)], 10.0)
    lost = seen.noise_std.broadcast_to(x.shape).isinf()
    assert bool((seen.symbols[lost] == 0).all()) and 0.2 < float(lost.double().mean()) < 0.3
