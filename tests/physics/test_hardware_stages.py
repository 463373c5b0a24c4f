"""Stages of hardware: what they do to samples, what their draws depend on, and where they may stand."""

import math

import numpy as np
import pytest
import torch

from channels import bussgang, phase
from channels.adc import ADC, adc_bussgang
from channels.amplifier import Amplifier, rapp_bussgang
from channels.awgn import AWGN
from channels.base import Draw, Grid
from channels.carrier_offset import CarrierOffset
from channels.modulation import QAM
from channels.phase_noise import PhaseNoise
from semcom.rng import generator

SIGMAS = 4.5
EVERY = [Amplifier(), PhaseNoise(), PhaseNoise(linewidth=0, rms_deg=5), CarrierOffset(), ADC()]


def draws(count: int, seed: int = 0) -> list[Draw]:
    return [Draw(generator(seed, "fading", row), 0.5, lambda name, row=row: generator(seed, name, row)) for row in range(count)]


def normal(shape, seed: int) -> torch.Tensor:
    pairs = np.random.default_rng(seed).standard_normal((*shape, 2), dtype=np.float32)
    return torch.view_as_complex(torch.from_numpy(pairs)) * math.sqrt(0.5)


def passed(description, samples: torch.Tensor, at: np.ndarray | None = None, seed: int = 0) -> torch.Tensor:
    at = np.arange(samples.shape[2]) if at is None else at
    stage = description.build()
    return stage.apply(samples, at, stage.draw(at, samples.shape[1], draws(len(samples), seed)))


@pytest.mark.parametrize("description", EVERY, ids=str)
def test_shapes_gradients_and_silence(description):
    x = normal((2, 3, 40), 1).requires_grad_()
    y = passed(description, x)
    assert y.shape == x.shape and y.dtype == torch.complex64
    y.abs().square().sum().backward()
    assert bool(torch.isfinite(torch.view_as_real(x.grad)).all()) and bool((x.grad != 0).any())
    assert bool((passed(description, torch.zeros(1, 2, 8, dtype=torch.complex64)) == 0).all())


@pytest.mark.parametrize("description", [Amplifier(), PhaseNoise(), PhaseNoise(rms_deg=5), CarrierOffset()], ids=str)
def test_a_longer_burst_keeps_the_prefix_and_a_row_does_not_depend_on_its_neighbours(description):
    x, at = normal((3, 2, 50), 2), Grid(10, tuple(range(5)), fft_size=5, prefix=2).sample_times()
    long = passed(description, x, at)
    torch.testing.assert_close(passed(description, x[..., :20], at[:20]), long[..., :20], rtol=0, atol=1e-6)  # float32
    torch.testing.assert_close(passed(description, x[:1], at), long[:1], rtol=0, atol=1e-6)


# --- amplifier ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("antennas", [1, 2])
def test_antennas_share_the_saturated_power(antennas):
    """Gaussian samples of total power 1 leave with the same gain, distortion and power in total as through one amplifier."""
    n, backoff_db = 100_000, 2.0
    x = normal((1, antennas, n), 3) / math.sqrt(antennas)
    y, expected = passed(Amplifier(backoff_db=backoff_db), x), rapp_bussgang(backoff_db, 2.0)
    power = float(y.abs().square().mean(dim=2).sum())
    assert power == pytest.approx(expected.power, rel=SIGMAS * math.sqrt(1 / (antennas * n)))
    gain, distortion = bussgang.measured(x[:, 0], y[:, 0])
    assert abs(complex(gain) - expected.gain) < SIGMAS * math.sqrt(expected.distortion / n)
    assert antennas * float(distortion) == pytest.approx(expected.distortion, rel=SIGMAS * 3 / math.sqrt(n))


def test_back_off_trades_distortion_for_power():
    """What counts at the receiver is gain^2 / (distortion + sigma^2): best at a back-off in between, larger for a higher SNR."""
    best = []
    for snr_db in (5.0, 25.0):
        points = {db: rapp_bussgang(float(db), 2.0) for db in range(-6, 19)}
        best.append(max(points, key=lambda db: points[db].gain ** 2 / (points[db].distortion + 10 ** (-snr_db / 10))))
    assert -6 < best[0] < best[1] < 18


def test_the_amplifier_makes_an_error_of_the_level_that_is_said():
    """(y / gain - x) over sqrt(distortion) / gain has variance 1 and is uncorrelated with x: an honest noise level."""
    qam, n = QAM(6), 20_000
    x = qam.modulate(torch.from_numpy(np.random.default_rng(4).integers(0, 2, (2, 6 * n), dtype=np.uint8)))
    y = passed(Amplifier(backoff_db=3.0), x[:, None])[:, 0]
    gain, distortion = bussgang.measured(x, y)
    error = (y / gain - x) / (distortion.sqrt() / gain.abs())
    torch.testing.assert_close(error.abs().square().mean(dim=1), torch.ones(2), rtol=1e-3, atol=0)
    assert float((error * x.conj()).mean(dim=1).abs().max()) < 1e-3


# --- oscillators --------------------------------------------------------------------------------------------


def test_what_is_drawn_depends_on_neither_level():
    x = torch.ones(2, 1, 200, dtype=torch.complex64)

    def theta(linewidth: float, rms_deg: float) -> torch.Tensor:
        return passed(PhaseNoise(linewidth=linewidth, rms_deg=rms_deg), x).angle()

    torch.testing.assert_close(theta(4e-6, 0.0), 2 * theta(1e-6, 0.0), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(theta(0.0, 4.0), 4 * theta(0.0, 1.0), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(theta(1e-6, 1.0), theta(1e-6, 0.0) + theta(0.0, 1.0), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("window", [1, 16, 64])
def test_what_cannot_be_followed_is_the_closed_form(window):
    rows, linewidth = 4000, 2e-3
    y = passed(PhaseNoise(linewidth=linewidth), torch.ones(rows, 1, window, dtype=torch.complex64))[:, 0]
    left = 1 - phase.common_rotation(y.angle().double()).abs().square()
    expected = phase.wiener_error(phase.wiener_step_variance(linewidth), window)
    assert abs(float(left.mean()) - expected) <= SIGMAS * float(left.std()) / math.sqrt(rows) + 1e-9


def test_jitter_alone_leaves_one_minus_exp():
    rms_deg, n = 10.0, 100_000
    y = passed(PhaseNoise(linewidth=0.0, rms_deg=rms_deg), torch.ones(1, 1, n, dtype=torch.complex64))[0, 0].to(torch.complex128)
    variance = math.radians(rms_deg) ** 2
    assert abs(complex(y.mean()) - math.exp(-variance / 2)) < SIGMAS * math.sqrt((1 - math.exp(-variance)) / n)


def test_an_oscillator_wanders_through_prefixes():
    """Over a gap of 30 samples the phase moves by 30 steps' variance."""
    rows, step_variance = 4000, phase.wiener_step_variance(1e-4)
    at = np.array([0, 1, 31])
    theta = passed(PhaseNoise(linewidth=1e-4), torch.ones(rows, 1, 3, dtype=torch.complex64), at).angle().double()[:, 0]
    for (a, b), gap in (((0, 1), 1), ((1, 2), 30)):
        moved = (theta[:, b] - theta[:, a]).square()
        assert abs(float(moved.mean()) - gap * step_variance) < SIGMAS * gap * step_variance * math.sqrt(2 / rows)


def test_an_offset_turns_by_the_clock():
    at = np.array([0, 1, 31, 10**7])
    y = passed(CarrierOffset(offset=0.01), torch.ones(1, 2, 4, dtype=torch.complex64), at)
    np.testing.assert_allclose(y[0, 1].numpy(), np.exp(2j * math.pi * 0.01 * at), atol=1e-6)


def test_an_offset_over_an_ofdm_symbol_is_its_size_in_subcarrier_spacings():
    n, offset = 64, 0.2
    y = passed(CarrierOffset(offset=offset / n), torch.ones(1, 1, n, dtype=torch.complex64))[0, 0]
    assert complex(y.mean()) == pytest.approx(phase.offset_rotation(offset, n), abs=1e-6)


# --- converter ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_gain_control_makes_the_converter_blind_to_level(scale):
    n, description = 50_000, ADC(bits=4, clipping_db=9.0)
    x = scale * torch.cat([normal((1, 1, n), 5), 0.1 * normal((1, 1, n), 6)], dim=1)  # each antenna has its own
    y, expected = passed(description, x), adc_bussgang(4, 9.0)
    for antenna in (0, 1):
        power = float(x[:, antenna].abs().square().mean())
        gain, distortion = bussgang.measured(x[:, antenna], y[:, antenna])
        assert abs(complex(gain) - expected.gain) < SIGMAS * math.sqrt(expected.distortion / n)
        assert float(distortion) / power == pytest.approx(expected.distortion, rel=SIGMAS * 3 / math.sqrt(n))


def test_sixteen_bits_change_nothing_that_counts():
    x = normal((2, 2, 500), 7)
    y = passed(ADC(bits=16, clipping_db=20.0), x)
    assert float((y - x).abs().max()) < 2 * 10 ** (20 / 20) / 2**16


# --- where they may stand -----------------------------------------------------------------------------------


def test_each_side_has_its_own():
    amplifier, adc, air, noise = Amplifier(), ADC(), AWGN(), PhaseNoise()
    assert all(stage.conflict([amplifier, noise, air, adc]) is None for stage in (amplifier, noise, adc))
    assert "behind the propagation; put it in front" in amplifier.conflict([air, amplifier])
    assert "in front of the propagation; put it behind" in adc.conflict([adc, air])
    assert noise.conflict([air, noise]) is None
