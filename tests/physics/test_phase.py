"""Oscillators: variances, rotations and leakage against theory, by simulation of the samples themselves."""

import math

import numpy as np
import pytest
import torch

from channels import phase

SIGMAS = 4.5


def wiener(rows: int, n: int, step_variance: float, seed: int) -> torch.Tensor:
    steps = np.random.default_rng(seed).standard_normal((rows, n)) * math.sqrt(step_variance)
    return torch.from_numpy(np.cumsum(steps, axis=1))


def test_linewidth_is_that_of_a_lorentzian():
    """E exp(j (theta_(n+d) - theta_n)) = exp(-pi linewidth |d|): the transform of a line of that full width at half power."""
    linewidth, d = 2e-3, 50
    theta = wiener(4000, 2 * d, phase.wiener_step_variance(linewidth), 1)
    turned = torch.cos(theta[:, 2 * d - 1] - theta[:, d - 1])
    expected = math.exp(-math.pi * linewidth * d)
    assert abs(float(turned.mean()) - expected) < SIGMAS * float(turned.std()) / math.sqrt(len(turned))


def leakage(theta: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Subcarriers sent, received, and the common rotation, after an IFFT, exp(j theta) on the samples, and an FFT."""
    rows, n = theta.shape
    sent = torch.from_numpy(np.exp(0.5j * np.pi * np.random.default_rng(seed).integers(0, 4, (rows, n))))
    samples = torch.fft.ifft(sent, norm="ortho") * torch.polar(torch.ones_like(theta), theta)
    return sent, torch.fft.fft(samples, norm="ortho"), phase.common_rotation(theta)


@pytest.mark.parametrize("step_variance", [1e-4, 1e-2])
def test_subcarriers_turn_together_and_leak_into_each_other(step_variance):
    rows, n = 400, 64
    sent, received, rotation = leakage(wiener(rows, n, step_variance, 5), 6)
    left = (received - rotation[:, None] * sent).abs().square()
    assert float((left.mean(dim=1) - (1 - rotation.abs().square())).mean().abs()) < SIGMAS * float(left.mean(dim=1).std()) / math.sqrt(
        rows
    )
    share = 1 - rotation.abs().square()
    assert abs(float(share.mean()) - phase.wiener_error(step_variance, n)) < SIGMAS * float(share.std()) / math.sqrt(rows)


def test_small_phase_noise_leaks_in_proportion_to_the_symbol():
    """1 - |J_0|^2 is near step_variance (N^2 - 1) / (6 N), the mean variance about the window's mean."""
    n, step_variance = 128, 1e-7
    assert phase.wiener_error(step_variance, n) == pytest.approx(step_variance * (n * n - 1) / (6 * n), rel=1e-4)


@pytest.mark.parametrize("offset", [0.0, 0.05, 0.3, -0.5, 1.0])
def test_an_offset_turns_and_leaks_as_a_sinc(offset):
    rows, n = 500, 64
    theta = (2 * math.pi * offset / n * torch.arange(n, dtype=torch.float64)).expand(rows, n)
    sent, received, rotation = leakage(theta, 7)
    assert complex(rotation[0]) == pytest.approx(phase.offset_rotation(offset, n), abs=1e-12)
    left = (received - rotation[:, None] * sent).abs().square().mean(dim=1)
    assert abs(float(left.mean()) - phase.offset_error(offset, n)) <= SIGMAS * float(left.std()) / math.sqrt(rows) + 1e-12
    assert phase.offset_error(offset, n) == pytest.approx(1 - np.sinc(offset) ** 2, abs=4 * offset**2 / n**2 + 1e-12)  # (pi e / N)^2 / 3
    assert phase.offset_error(1e-3, n) == pytest.approx(math.pi**2 * 1e-6 / 3 * (1 - 1 / n**2), rel=1e-4)
