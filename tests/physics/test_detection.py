"""Linear detection, Alamouti's code and precoding: error rates, unbiasedness, noise levels and capacities against theory."""

import math

import numpy as np
import pytest
import torch

from channels import alamouti, precoding, theory
from channels.detection import linear_detector
from channels.modulation import QAM

SIGMAS = 4.5  # a two-sided chance of 7e-6 a comparison


def normal(shape, seed: int) -> torch.Tensor:
    """CN(0, 1), complex64."""
    pairs = np.random.default_rng(seed).standard_normal((*shape, 2), dtype=np.float32)
    return torch.view_as_complex(torch.from_numpy(pairs)) * math.sqrt(0.5)


def symbols(bits_per_symbol: int, shape, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    bits = torch.from_numpy(np.random.default_rng(seed).integers(0, 2, (1, math.prod(shape) * bits_per_symbol), dtype=np.uint8))
    return bits, QAM(bits_per_symbol).modulate(bits).reshape(shape)


def bit_error_rate(bits_per_symbol: int, bits: torch.Tensor, x: torch.Tensor, noise_var: torch.Tensor) -> float:
    llr = QAM(bits_per_symbol).llrs(x.reshape(1, -1), noise_var.expand(x.shape).reshape(1, -1))
    return float(((llr > 0) != bits.bool()).double().mean())


def check_rate(rate: float, expected: float, uses: int):
    assert abs(rate - expected) < SIGMAS * math.sqrt(expected * (1 - expected) / uses), (rate, expected)


@pytest.mark.parametrize("antennas", [1, 2, 4])
@pytest.mark.parametrize("m, snr_db", [(1, 4), (2, 6), (4, 10), (6, 14)])
def test_one_stream_is_maximum_ratio_combining(antennas, m, snr_db):
    n, snr = 40_000, 10 ** (snr_db / 10)
    bits, x = symbols(m, (n, 1), 1)
    h, noise = normal((n, antennas, 1), 2), normal((n, antennas), 3) / math.sqrt(snr)
    detector = linear_detector(h, torch.tensor(1 / snr), "zf")
    torch.testing.assert_close(detector.noise_var[:, 0], 1 / (snr * h.abs().square().sum(dim=(1, 2))))
    rate = bit_error_rate(m, bits, detector((h @ x[..., None])[..., 0] + noise), detector.noise_var)
    check_rate(rate, float(theory.ber_mrc(m, snr, antennas)), n)


@pytest.mark.parametrize("antennas", [1, 2])
@pytest.mark.parametrize("m, snr_db", [(2, 8), (4, 13)])
def test_alamouti_has_twice_the_diversity_at_half_the_power(antennas, m, snr_db):
    n, snr = 40_000, 10 ** (snr_db / 10)
    bits, x = symbols(m, (1, n), 4)
    h = normal((1, n // 2, antennas, 2), 5).repeat_interleave(2, dim=1)
    sent = alamouti.encode(x)
    np.testing.assert_allclose(float(sent.abs().square().sum(-1).mean()), float(x.abs().square().mean()), rtol=1e-6)
    y = (h @ sent[..., None])[..., 0] + normal((1, n, antennas), 6) / math.sqrt(snr)
    detector = linear_detector(alamouti.effective_channel(h), torch.tensor(1 / snr), "lmmse")
    gains = h[:, 0::2].abs().square().sum(dim=(2, 3))
    torch.testing.assert_close(detector.noise_var[..., 0], 2 / (snr * gains), rtol=2e-5, atol=0)
    estimate = detector(alamouti.pair_up(y)).flatten(1)
    rate = bit_error_rate(m, bits, estimate, detector.noise_var.flatten(1))
    # both symbols of a pair share a gain: count pairs, not symbols
    check_rate(rate, float(theory.ber_alamouti(m, snr, antennas)), n // 2)


def test_alamouti_separates_its_symbols_where_the_channel_moves_within_the_pair():
    x, h = normal((2, 10), 7), normal((2, 10, 2, 2), 8)
    y = (h @ alamouti.encode(x)[..., None])[..., 0]
    detector = linear_detector(alamouti.effective_channel(h), torch.tensor(1e-9), "zf")
    torch.testing.assert_close(detector(alamouti.pair_up(y)).flatten(1), x, rtol=0, atol=1e-4)


@pytest.mark.parametrize("transmit, receive", [(2, 2), (2, 4), (3, 4)])
def test_zero_forcing_has_the_diversity_that_is_left(transmit, receive):
    n, snr = 40_000, 10.0
    bits, x = symbols(2, (n, transmit), 9)
    h = normal((n, receive, transmit), 10) / math.sqrt(transmit)
    detector = linear_detector(h, torch.tensor(1 / snr), "zf")
    y = (h @ x[..., None])[..., 0] + normal((n, receive), 11) / math.sqrt(snr)
    rate = bit_error_rate(2, bits, detector(y), detector.noise_var)
    check_rate(rate, float(theory.ber_zero_forcing(2, snr, transmit, receive)), n)


@pytest.mark.parametrize("method", ["zf", "lmmse"])
@pytest.mark.parametrize("shape", [(2, 2), (4, 2), (4, 4), (4, 3)])
def test_streams_are_unbiased_with_the_noise_level_that_is_said(method, shape):
    """In each tenth of the stated noise level: slope 1 and normalised error variance 1, whatever the channel was."""
    n, snr = 30_000, 4.0
    receive, streams = shape
    x, h = normal((n, streams), 12), normal((n, receive, streams), 13) / math.sqrt(streams)
    detector = linear_detector(h, torch.tensor(1 / snr), method)
    estimate = detector((h @ x[..., None])[..., 0] + normal((n, receive), 14) / math.sqrt(snr))
    error = ((estimate - x) / detector.noise_var.sqrt()).flatten().to(torch.complex128)
    order = detector.noise_var.flatten().argsort().chunk(10)
    for rows in order:
        count = len(rows) / streams  # streams of a use share its noise
        assert abs(float(error[rows].abs().square().mean()) - 1) < SIGMAS * math.sqrt(1 / count)
        # E[(x_hat - x) x*] = 0, each product of variance noise_var: normalised it is 1
        assert abs(complex((error[rows] * x.flatten()[rows].conj()).mean())) < SIGMAS / math.sqrt(count)


def test_lmmse_is_never_below_zero_forcing_in_any_stream():
    for streams, receive in ((2, 2), (3, 4), (4, 4)):
        h = normal((5_000, receive, streams), 15)
        for snr_db in (-10, 0, 10, 30):
            noise_var = torch.tensor(10 ** (-snr_db / 10))
            lmmse, zf = (linear_detector(h, noise_var, method).noise_var for method in ("lmmse", "zf"))
            assert bool((lmmse <= zf * (1 + 1e-6)).all())
            assert snr_db == 30 or float((zf / lmmse).mean()) > 1.001


def test_one_stream_needs_no_choice_of_detector():
    h = normal((100, 3, 1), 16)
    lmmse, zf = (linear_detector(h, torch.tensor(0.3), method) for method in ("lmmse", "zf"))
    torch.testing.assert_close(lmmse.weights, zf.weights)
    torch.testing.assert_close(lmmse.noise_var, zf.noise_var)


def test_noise_may_differ_by_antenna_and_what_heard_nothing_counts_for_nothing():
    """Two antennas and one stream: 1 / variance adds; an antenna of infinite noise may as well be absent."""
    h, noise_var = normal((50, 2, 1), 17), torch.tensor([0.5, 2.0])
    detector = linear_detector(h, noise_var, "lmmse")
    torch.testing.assert_close(1 / detector.noise_var[:, 0], (h[..., 0].abs().square() / noise_var).sum(-1))
    alone = linear_detector(h[:, :1], noise_var[:1], "lmmse")
    deaf = linear_detector(h, torch.tensor([0.5, math.inf]), "lmmse")
    torch.testing.assert_close(deaf.noise_var, alone.noise_var)
    assert bool((deaf.weights[..., 1] == 0).all())
    for method in ("zf", "lmmse"):
        for nothing in (linear_detector(h, torch.tensor(math.inf), method), linear_detector(0 * h, noise_var, method)):
            assert bool(nothing.noise_var.isinf().all()) and bool((nothing.weights == 0).all())


def test_more_streams_than_antennas_cannot_be_zero_forced():
    with pytest.raises(ValueError, match="3 streams with 2 receive antennas"):
        linear_detector(torch.zeros(1, 2, 3), torch.tensor(1.0), "zf")
    with pytest.raises(ValueError, match="allowed: zf, lmmse"):
        linear_detector(torch.zeros(1, 2, 2), torch.tensor(1.0), "ml")
    same = torch.ones(1, 2, 2, dtype=torch.complex64)  # rank 1: neither stream can be had
    assert bool(linear_detector(same, torch.tensor(1.0), "zf").noise_var.isinf().all())


# --- precoding and capacity ---------------------------------------------------------------------------------


def test_eigenmodes_do_not_mix_and_have_the_singular_gains():
    h = normal((20, 3, 4), 18)
    v = precoding.eigenmode_precoder(h, 2)
    gram = (h @ v).mH @ (h @ v)
    gains = torch.linalg.svdvals(h)[:, :2].square()
    torch.testing.assert_close(gram, torch.diag_embed(gains).to(gram.dtype), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(v.mH @ v, torch.eye(2, dtype=v.dtype).expand(20, 2, 2), rtol=0, atol=1e-5)
    assert bool((v[:, 0].imag.abs() < 1e-6).all()) and bool((v[:, 0].real >= 0).all())


def test_water_filling_fills_to_one_level_and_no_other_split_carries_more():
    rng = np.random.default_rng(19)
    gains = torch.from_numpy(rng.exponential(size=(200, 4)))
    for noise_var in (0.05, 1.0, 20.0):
        p = precoding.water_filling(gains, torch.tensor(noise_var, dtype=torch.float64))
        torch.testing.assert_close(p.sum(-1), torch.ones(200, dtype=torch.float64))
        level = torch.where(p > 0, p + noise_var / gains, torch.nan)
        torch.testing.assert_close(level.nan_to_num(-1).amax(-1), level.nan_to_num(1e9).amin(-1))  # one level where wet
        assert bool((torch.where(p > 0, math.inf, noise_var / gains) >= level.nan_to_num(-1).amax(-1, True)).all())  # dry above it
        best = torch.log2(1 + p * gains / noise_var).sum(-1)
        for split in rng.dirichlet(np.ones(4), 50):
            assert bool((torch.log2(1 + torch.from_numpy(split) * gains / noise_var).sum(-1) <= best + 1e-12).all())
    silent = precoding.water_filling(torch.tensor([[0.0, 2.0], [0.0, 0.0]]), torch.tensor(1.0))
    assert silent.tolist() == [[0.0, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize("transmit, receive", [(1, 1), (2, 2), (4, 2), (2, 4), (4, 4)])
def test_ergodic_capacity_is_telatars_integral(transmit, receive):
    n, snr = 20_000, 10.0
    h = normal((n, receive, transmit), 20).to(torch.complex128)
    eye = torch.eye(receive, dtype=torch.complex128)
    rates = torch.logdet(eye + snr / transmit * h @ h.mH).real / math.log(2)
    spread = float(rates.std()) / math.sqrt(n)
    assert abs(float(rates.mean()) - theory.ergodic_capacity_mimo(snr, transmit, receive)) < SIGMAS * spread


def test_ergodic_capacity_at_known_points():
    for snr in (0.01, 1.0, 100.0):
        assert theory.ergodic_capacity_mimo(snr, 1, 1) == pytest.approx(theory.ergodic_capacity_rayleigh(snr), rel=1e-8)
        # the eigenvalues of H H^H and H^H H are the same: only the power a transmit antenna has differs
        assert theory.ergodic_capacity_mimo(2 * snr, 4, 2) == pytest.approx(theory.ergodic_capacity_mimo(snr, 2, 4), rel=1e-8)
    assert theory.ergodic_capacity_mimo(1.0, 200, 1) == pytest.approx(1.0, rel=5e-3)  # transmit diversity hardens to AWGN
    assert theory.ergodic_capacity_mimo(1e-4, 2, 3) == pytest.approx(3e-4 / math.log(2), rel=1e-3)  # all receive power adds


def test_waterfilling_capacity_bounds_equal_power_and_meets_it_at_high_snr():
    gains = torch.linalg.svdvals(normal((5_000, 2, 2), 21)).square().to(torch.float64)
    for snr, least in ((0.1, 1.2), (1e4, 1.0)):
        p = precoding.water_filling(gains, torch.tensor(1 / snr, dtype=torch.float64))
        filled, equal = (torch.log2(1 + snr * q * gains).sum(-1).mean() for q in (p, 0.5))
        assert filled >= least * equal and (snr < 1 or filled < 1.001 * equal)


@pytest.mark.parametrize("order, snr", [(1, 10.0), (2, 10.0), (4, 3.0)])
def test_outage_of_diversity(order, snr):
    n = 100_000
    power = normal((n, order), 22).abs().square().sum(-1)
    rate = 2.0
    expected = theory.outage_probability_diversity(rate, snr, order)
    check_rate(float((torch.log2(1 + snr * power) < rate).double().mean()), expected, n)
    if order == 1:
        assert expected == pytest.approx(theory.outage_probability(rate, snr), rel=1e-9)


def test_diversity_error_rates_fall_with_the_order_and_one_branch_is_rayleigh():
    snr = np.array([0.1, 1.0, 10.0, 1000.0])
    for m in (1, 2, 4, 6):
        np.testing.assert_allclose(theory.ber_mrc(m, snr, 1), theory.ber_rayleigh(m, snr), rtol=1e-9)
    for order in (1, 2, 4):  # slope: ten times the SNR, 10^order fewer errors
        high, higher = theory.ber_mrc(1, np.array([1e4, 1e5]), order)
        assert high / higher == pytest.approx(10.0**order, rel=2e-2)
    np.testing.assert_allclose(theory.ber_alamouti(2, 2 * snr, 1), theory.ber_mrc(2, snr, 2), rtol=1e-12)
