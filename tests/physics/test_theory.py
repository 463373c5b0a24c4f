"""Capacities, finite blocklength and mutual information against known numbers, limits and direct integration."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from channels import theory


def test_awgn_capacity_at_known_points():
    np.testing.assert_allclose(theory.capacity_awgn([1.0, 3.0, 1023.0]), [1.0, 2.0, 10.0])
    assert theory.capacity_awgn(1e-6) == pytest.approx(1e-6 / math.log(2), rel=1e-5)


@pytest.mark.parametrize("snr", [1e-4, 0.01, 1.0, 10.0, 1e4])
def test_ergodic_capacity_is_the_mean_over_the_fading(snr):
    mean = quad(lambda g: math.exp(-g) * math.log2(1 + g * snr), 0, 80, epsabs=1e-12, limit=200)[0]
    assert theory.ergodic_capacity_rayleigh(snr) == pytest.approx(mean, rel=1e-6)
    assert theory.ergodic_capacity_rician(snr, -60.0) == pytest.approx(mean, rel=1e-5)
    assert theory.ergodic_capacity_rician(snr, 60.0) == pytest.approx(float(theory.capacity_awgn(snr)), rel=1e-5)
    assert theory.ergodic_capacity_rayleigh(snr) <= theory.ergodic_capacity_rician(snr, 6.0) <= theory.capacity_awgn(snr)


@pytest.mark.parametrize("k_db", [-math.inf, 0.0, 10.0])
def test_outage_capacity_inverts_outage_probability(k_db):
    for outage in (0.01, 0.1, 0.5):
        rate = theory.outage_capacity(outage, 10.0, k_db)
        assert theory.outage_probability(rate, 10.0, k_db) == pytest.approx(outage, rel=1e-6)


def test_normal_approximation_is_capacity_less_the_price_of_a_short_block():
    """500 complex uses at 0 dB are 1000 real ones of the same SNR, of which Polyanskiy, Poor and Verdu speak:
    C = log2(1 + P) / 2 and V = P (P + 2) / (2 (P + 1)^2) log2(e)^2 = 3/8 log2(e)^2. The limit is capacity."""
    expected = 1000 * 0.5 - math.sqrt(1000 * 3 / 8) * math.log2(math.e) * norm.isf(1e-3) + 0.5 * math.log2(1000)
    assert theory.normal_approximation(500, 1.0, 1e-3) == pytest.approx(expected, rel=1e-12)
    assert theory.normal_approximation(10**8, 1.0, 1e-3) / 1e8 == pytest.approx(1.0, abs=1e-3)
    assert theory.normal_approximation(10, 0.1, 1e-3) == 0.0


@pytest.mark.parametrize("m", [1, 2, 4, 6, 8, 10])
def test_mutual_information_lies_below_capacity_and_reaches_all_bits(m):
    snr_db = np.arange(-20.0, 45.0, 0.5)
    information = theory.mutual_information(m, snr_db)
    assert np.all(np.diff(information) > -1e-12)
    assert np.all(information <= theory.capacity_awgn(10 ** (snr_db / 10)) + 1e-9)
    assert information[-1] == pytest.approx(m, abs=1e-3)
    assert theory.mutual_information(m, -60.0) == pytest.approx(theory.mutual_information(m, -30.0) * 1e-3, rel=1e-6)


def test_mutual_information_of_bpsk_is_its_known_integral():
    for snr_db in (-5.0, 0.0, 6.0):
        sigma2 = 1.0 / (2.0 * 10 ** (snr_db / 10))  # of the one real dimension that BPSK uses
        loss = quad(lambda n: norm.pdf(n) * math.log2(1 + math.exp(-2 * (1 + math.sqrt(sigma2) * n) / sigma2)), -9, 9)[0]
        assert theory.mutual_information(1, snr_db) == pytest.approx(1 - loss, abs=1e-5)  # the table is interpolated
        assert theory.mutual_information(2, snr_db + 10 * math.log10(2)) == pytest.approx(2 * (1 - loss), abs=1e-4)


@pytest.mark.parametrize("m", [2, 4, 8])
def test_mutual_information_is_the_mean_of_what_the_llrs_say(m):
    """I = m - E sum log2(1 + exp(-LLR of the sent bit)): the demapper and the table know of each other only here."""
    import torch

    from channels.modulation import QAM

    n, snr_db = 40_000, 3.0 * m / 2
    rng = np.random.default_rng(7)
    qam, bits = QAM(m), torch.from_numpy(rng.integers(0, 2, (1, n * m), dtype=np.uint8))
    variance = 10 ** (-snr_db / 10)
    noise = torch.view_as_complex(torch.from_numpy(rng.standard_normal((1, n, 2), dtype=np.float32))) * math.sqrt(variance / 2)
    llr = qam.llrs(qam.modulate(bits) + noise, variance) * (2.0 * bits - 1.0)
    per_symbol = m - torch.log2(1 + torch.exp(-llr.double())).reshape(n, m).sum(dim=1).numpy()
    assert abs(per_symbol.mean() - theory.mutual_information(m, snr_db)) < 4.5 * per_symbol.std() / math.sqrt(n) + 1e-3


def test_effective_snr_of_one_snr_is_itself_and_lies_between_others():
    for m in (2, 4, 6, 8):
        np.testing.assert_allclose(theory.effective_snr_db(m, np.full((2, 5), 7.3)), 7.3, atol=1e-6)
        assert 0.0 < theory.effective_snr_db(m, np.array([0.0, 10.0])) < 10.0
