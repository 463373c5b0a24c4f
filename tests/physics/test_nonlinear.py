"""Amplifier and converter: Bussgang's gain and distortion against closed forms, simulation and textbook numbers."""

import math

import numpy as np
import pytest
import torch

from channels import bussgang
from channels.adc import adc_bussgang, best_clipping_db, quantise
from channels.amplifier import amplify, limiter_bussgang, rapp_amplitude, rapp_bussgang
from channels.modulation import QAM

SIGMAS = 4.5
N = 200_000


def normal(n: int, seed: int) -> torch.Tensor:
    pairs = np.random.default_rng(seed).standard_normal((1, n, 2), dtype=np.float32)
    return torch.view_as_complex(torch.from_numpy(pairs)) * math.sqrt(0.5)


def check_decomposition(x: torch.Tensor, y: torch.Tensor, expected: bussgang.Bussgang):
    """Correlation with the input, and power left without it, of Gaussian samples, within their sampling error."""
    x, y = x[0].to(torch.complex128), y[0].to(torch.complex128)
    distortion = y - expected.gain * x
    product = distortion * x.conj()
    spread = float(product.abs().square().mean().sqrt()) / math.sqrt(len(x))
    assert abs(complex(product.mean())) < SIGMAS * spread
    for values, mean in ((distortion.abs().square(), expected.distortion), (y.abs().square(), expected.power)):
        assert abs(float(values.mean()) - mean) < SIGMAS * float(values.std()) / math.sqrt(len(x)) + 1e-6 * mean  # float32


@pytest.mark.parametrize("backoff_db", [-3.0, 0.0, 3.0, 8.0])
@pytest.mark.parametrize("smoothness", [1.0, 2.0, 10.0])
def test_gain_and_distortion_of_the_amplifier_are_those_of_gaussian_samples(backoff_db, smoothness):
    x = normal(N, 1)
    check_decomposition(x, amplify(x, backoff_db, smoothness), rapp_bussgang(backoff_db, smoothness))


@pytest.mark.parametrize("backoff_db", [-6.0, 0.0, 6.0, 12.0])
def test_a_hard_knee_is_the_ideal_limiter(backoff_db):
    hard, limiter = rapp_bussgang(backoff_db, 2000.0), limiter_bussgang(backoff_db)
    assert hard.gain == pytest.approx(limiter.gain, rel=2e-6)
    assert hard.power == pytest.approx(limiter.power, rel=2e-6)
    assert hard.distortion == pytest.approx(limiter.distortion, abs=2e-6)


def test_the_amplifier_at_its_ends():
    r = np.array([1e-3, 1.0, 1e3, 1e200])
    np.testing.assert_allclose(rapp_amplitude(r, 3.0), [1e-3, 2 ** (-1 / 6), 1.0, 1.0], rtol=1e-9)
    np.testing.assert_allclose(rapp_amplitude(r[:3], 3.0), r[:3] / (1 + r[:3] ** 6) ** (1 / 6), rtol=1e-12)
    x = normal(1000, 2)
    np.testing.assert_allclose(amplify(x, 0.0, 2.0)[0].abs().numpy(), rapp_amplitude(x[0].abs().numpy(), 2.0), rtol=1e-5)
    torch.testing.assert_close(amplify(x, 60.0, 2.0) * 1e3, x, rtol=1e-5, atol=0)  # deep back-off: no distortion, no power
    saturated = amplify(x, -80.0, 2.0)
    assert bool((saturated.abs() > 0.999).all() & (saturated.abs() <= 1.0 + 1e-6).all())
    # full saturation keeps only the phase: gain E|x| = sqrt(pi)/2, power 1
    assert rapp_bussgang(-80.0, 2.0).gain == pytest.approx(math.sqrt(math.pi) / 2, rel=1e-6)
    assert rapp_bussgang(-80.0, 2.0).power == pytest.approx(1.0, rel=1e-6)


def test_more_back_off_distorts_less_and_radiates_less():
    points = [rapp_bussgang(db, 2.0) for db in (-3.0, 0.0, 3.0, 6.0, 9.0, 12.0)]
    assert all(b.sdr > a.sdr and b.power < a.power for a, b in zip(points, points[1:], strict=False))


@pytest.mark.parametrize("m", [2, 4, 6])
def test_measured_decomposition_is_exact_for_any_constellation(m):
    bits = torch.from_numpy(np.random.default_rng(3).integers(0, 2, (2, 4000 * m), dtype=np.uint8))
    x = QAM(m).modulate(bits)
    y = amplify(x, 1.0, 2.0)
    gain, distortion = bussgang.measured(x, y)
    left = y - gain * x
    assert float((left * x.conj()).mean(dim=1).abs().max()) < 1e-6
    torch.testing.assert_close(distortion[:, 0], left.abs().square().mean(dim=1))
    if m == 2:  # constant envelope: nothing but a gain
        assert float(distortion.max()) < 1e-10
        np.testing.assert_allclose(gain.abs().numpy(), rapp_amplitude(10 ** (-1 / 20), 2.0), rtol=1e-5)
    silent = torch.zeros(1, 8, dtype=torch.complex64)
    gain, distortion = bussgang.measured(silent, silent)
    assert gain.item() == 1 and distortion.item() == 0


def test_measured_decomposition_of_gaussian_samples_is_the_theory():
    x = normal(N, 4)
    gain, distortion = bussgang.measured(x, amplify(x, 2.0, 2.0))
    expected = rapp_bussgang(2.0, 2.0)
    assert abs(complex(gain) - expected.gain) < SIGMAS * math.sqrt(expected.distortion / N)
    assert float(distortion) == pytest.approx(expected.distortion, rel=SIGMAS * 3 / math.sqrt(N))


def test_peak_to_average_power_of_gaussian_samples_has_its_exact_distribution():
    """N independent exponential powers: max over mean exceeds g with probability sum over k of
    (-1)^(k-1) C(N, k) (1 - k g / N)^(N-1), while k g < N (Fisher 1929)."""
    rows, n = 20_000, 64
    pairs = np.random.default_rng(5).standard_normal((rows, n, 2))
    papr = bussgang.papr_db(torch.fft.ifft(torch.view_as_complex(torch.from_numpy(pairs)))).numpy()
    for threshold_db in (7.0, 8.0, 10.0):
        g = 10 ** (threshold_db / 10)
        terms = ((-1) ** (k - 1) * math.comb(n, k) * (1 - k * g / n) ** (n - 1) for k in range(1, int(n / g) + 1))
        expected = math.fsum(terms)
        assert abs((papr > threshold_db).mean() - expected) < SIGMAS * math.sqrt(expected * (1 - expected) / rows)
    assert bussgang.papr_db(torch.tensor([[1.0 + 0j, 1j], [0, 2j], [0, 0]])).tolist() == pytest.approx([0, 10 * math.log10(2), 0])


# --- converter ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8])
@pytest.mark.parametrize("clipping_db", [3.0, 9.0, 13.0])
def test_gain_and_distortion_of_the_converter_are_those_of_gaussian_samples(bits, clipping_db):
    x = normal(N, 6)
    y = quantise(x, bits, 10 ** (clipping_db / 20) * math.sqrt(0.5))
    check_decomposition(x, y, adc_bussgang(bits, clipping_db))
    assert len(torch.view_as_real(y).unique()) <= 2**bits


def test_one_bit_keeps_the_sign():
    """Gain 2/pi for the levels +-sqrt(2/pi) that leave least error (Max 1960): distortion 1 - 2/pi of the signal kept."""
    clipping = 2 * math.sqrt(2 / math.pi)  # levels at half of it
    one = adc_bussgang(1, 20 * math.log10(clipping))
    assert one.gain == pytest.approx(2 / math.pi, rel=1e-12)
    assert one.distortion == pytest.approx(2 / math.pi * (1 - 2 / math.pi), rel=1e-12)
    assert one.sdr == pytest.approx(2 / math.pi / (1 - 2 / math.pi), rel=1e-12)
    assert one.sdr == pytest.approx(adc_bussgang(1, 0.0).sdr, rel=1e-12)  # only its sign is left: any level is as good


def test_each_bit_is_worth_six_decibels_while_nothing_clips():
    """Step^2 / 12 of noise a real dimension: 6.02 dB a bit, and the textbook level, at 6 sigma of head room."""
    clipping_db = 20 * math.log10(6.0)
    for bits in range(5, 11):
        noise = adc_bussgang(bits, clipping_db)
        step = 2 * 6.0 / 2**bits
        assert noise.distortion == pytest.approx(step**2 / 12, rel=2e-3)
        gained = 10 * math.log10(noise.distortion / adc_bussgang(bits + 1, clipping_db).distortion)
        assert gained == pytest.approx(20 * math.log10(2), abs=0.01)


def test_many_bits_leave_the_clipping_alone():
    """Clipping at c: gain erf(c / sqrt(2)), distortion that of a limiter of a real Gaussian (Widrow, Kollar 2008)."""
    from scipy.stats import norm

    c = 1.5
    clipped = adc_bussgang(14, 20 * math.log10(c))
    gain = math.erf(c / math.sqrt(2))
    power = gain - 2 * c * norm.pdf(c) + 2 * c**2 * norm.sf(c)
    assert clipped.gain == pytest.approx(gain, rel=1e-4)
    assert clipped.distortion == pytest.approx(power - gain**2, rel=1e-3)


def test_best_clipping_is_that_of_the_uniform_quantiser():
    """Max 1960, table II: least error of 2^bits uniform levels for a normal variable, step 0.9957, 0.3352 and error 0.1188, 0.01154."""
    for bits, step, error in ((2, 0.9957, 0.1188), (4, 0.3352, 0.01154)):
        given = adc_bussgang(bits, 20 * math.log10(step * 2**bits / 2))
        assert (1 - given.gain) ** 2 + given.distortion == pytest.approx(error, rel=2e-3)
        best = adc_bussgang(bits, best_clipping_db(bits))
        assert best.sdr == pytest.approx(1 / error - 1, rel=5e-3)  # at the optimum error = 1 - gain


def test_quantiser_levels():
    v = torch.complex(torch.tensor([-9.0, -0.1, 0.1, 0.6]), torch.tensor([9.0, 0.4, -0.6, 0.0]))
    y = quantise(v, 2, 1.0)
    assert torch.equal(torch.view_as_real(y), torch.tensor([[-0.75, 0.75], [-0.25, 0.25], [0.25, -0.75], [0.75, 0.25]]))
