"""Uncoded error rates over AWGN, Rayleigh and Rician fading against closed forms, through the whole waveform path."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad

from channels import theory
from channels.awgn import AWGN
from channels.base import Draw
from channels.modulation import QAM
from channels.rayleigh import Rayleigh
from channels.rician import Rician
from semcom.rng import stratum

USES = 40_000
SIGMAS = 4.5  # a two-sided chance of 7e-6 a comparison


def bit_errors(channel, bits_per_symbol: int, snr_db: float, rows: int, uses: int, seed: int) -> np.ndarray:
    """Bit error rate of each row."""
    rng = np.random.default_rng(seed)
    qam = QAM(bits_per_symbol)
    bits = torch.from_numpy(rng.integers(0, 2, (rows, uses * bits_per_symbol), dtype=np.uint8))
    draws = [Draw(np.random.default_rng([seed, row]), stratum(row, seed)) for row in range(rows)]
    fading = channel.draw(uses, draws)
    variance = 10.0 ** (-snr_db / 10.0)
    noise = torch.view_as_complex(torch.from_numpy(rng.standard_normal((rows, uses, 2), dtype=np.float32)))
    y = channel.apply(qam.modulate(bits), fading, noise * math.sqrt(variance / 2.0))
    llr = qam.llrs(y / fading.h, variance / fading.h.abs() ** 2)
    return ((llr > 0) != bits.bool()).float().mean(dim=1).numpy()


def closed_form(kind: str, bits_per_symbol: int, snr_db: float) -> float:
    snr = 10.0 ** (snr_db / 10.0)
    if kind == "awgn":
        return float(theory.ber_awgn(bits_per_symbol, snr))
    if kind == "rayleigh":
        return float(theory.ber_rayleigh(bits_per_symbol, snr))
    return theory.ber_rician(bits_per_symbol, snr, float(kind.removeprefix("rician")))


CHANNELS = {
    "awgn": AWGN(),
    "rayleigh": Rayleigh(fading="fast"),
    "rician0": Rician(k_db=0, fading="fast"),
    "rician3": Rician(k_db=3, fading="fast"),
    "rician10": Rician(k_db=10, fading="fast"),
}


@pytest.mark.parametrize("bits_per_symbol, snrs_db", [(1, (0, 5)), (2, (0, 8)), (4, (4, 14))])
@pytest.mark.parametrize("kind", CHANNELS)
def test_bit_error_rate_is_the_closed_form(kind, bits_per_symbol, snrs_db):
    for snr_db in snrs_db:
        rate = bit_errors(CHANNELS[kind].build(), bits_per_symbol, snr_db, 1, USES, seed=3).mean()
        expected = closed_form(kind, bits_per_symbol, snr_db)
        # The bits of one symbol share its noise: count symbols, not bits, which cannot flatter the tolerance.
        error = math.sqrt(expected * (1 - expected) / USES)
        assert abs(rate - expected) < SIGMAS * error, (snr_db, rate, expected)


@pytest.mark.parametrize("channel, kind", [(Rayleigh(), "rayleigh"), (Rician(k_db=3), "rician3")])
def test_block_fading_has_the_same_mean_and_strata_find_it_sooner(channel, kind):
    rows, uses = 256, 400
    rates = bit_errors(channel.build(), 2, 8.0, rows, uses, seed=5)
    expected = closed_form(kind, 2, 8.0)
    spread = rates.std(ddof=1) / math.sqrt(rows)  # of unstratified repeats
    assert abs(rates.mean() - expected) < spread  # stratified ones stay well within one standard error of those


def test_square_qam_forms_agree_with_a_direct_integral():
    """16-QAM over AWGN from decision regions: (3 Q(a) + 2 Q(3 a) - Q(5 a)) / 4, a = sqrt(SNR / 5)."""
    snr = np.array([0.5, 3.0, 20.0])
    a = np.sqrt(snr / 5.0)
    q = theory.q_function
    np.testing.assert_allclose(theory.ber_awgn(4, snr), (3 * q(a) + 2 * q(3 * a) - q(5 * a)) / 4, rtol=1e-12)
    np.testing.assert_allclose(theory.ber_awgn(2, 2 * snr), theory.ber_awgn(1, snr), rtol=1e-12)


def test_rician_form_is_the_mean_over_the_fading():
    for k_db in (0.0, 10.0):
        k, snr = 10 ** (k_db / 10), 4.0
        line = math.sqrt(k / (k + 1))

        def density(y: float, x: float) -> float:
            return (k + 1) / math.pi * math.exp(-(k + 1) * ((x - line) ** 2 + y**2))

        mean = dblquad(lambda y, x: density(y, x) * float(theory.ber_awgn(4, snr * (x * x + y * y))), -5, 6, -5, 5)[0]
        assert theory.ber_rician(4, snr, k_db) == pytest.approx(mean, rel=1e-5)


def test_rician_without_line_of_sight_is_rayleigh():
    assert theory.ber_rician(2, 10.0, -80.0) == pytest.approx(float(theory.ber_rayleigh(2, 10.0)), rel=1e-6)
