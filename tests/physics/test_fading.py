"""Fading: power, distribution, strata, and what draws may depend on."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from channels.awgn import AWGN
from channels.base import Draw, Fading
from channels.rayleigh import Rayleigh
from channels.rician import Rician
from semcom.rng import stratum

K_DB = (-20.0, 0.0, 3.0, 10.0, 30.0)
EVERY = [
    AWGN(),
    Rayleigh(),
    Rayleigh(coherence=7),
    Rayleigh(fading="fast"),
    Rician(k_db=3),
    Rician(k_db=3, coherence=7),
    Rician(k_db=10, fading="fast"),
]


def draws(count: int, seed: int = 0) -> list[Draw]:
    return [Draw(np.random.default_rng([seed, row]), stratum(row, seed)) for row in range(count)]


def power_cdf(k_db: float):
    k = 10 ** (k_db / 10)
    return lambda power: stats.ncx2.cdf(2 * (1 + k) * power, 2, 2 * k)


@pytest.mark.parametrize("description", EVERY, ids=str)
def test_draw_has_the_promised_shape_and_a_longer_one_keeps_the_prefix(description):
    channel = description.build()
    short, long = channel.draw(20, draws(3)).h, channel.draw(45, draws(3)).h
    assert short.shape == (3, 20) and short.dtype == torch.complex64 and short.device.type == "cpu"
    assert torch.equal(long[:, :20], short)
    assert channel.draw(0, draws(2)).h.shape == (2, 0) and channel.draw(5, []).h.shape == (0, 5)


@pytest.mark.parametrize("description", EVERY, ids=str)
def test_a_row_does_not_depend_on_its_neighbours(description):
    channel = description.build()
    torch.testing.assert_close(channel.draw(30, draws(4)).h[2:3], channel.draw(30, draws(4)[2:3]).h, rtol=0, atol=0)


@pytest.mark.parametrize("description", [Rayleigh(fading="fast"), *(Rician(k_db=k, fading="fast") for k in K_DB)], ids=str)
def test_fast_fading_has_unit_power_and_its_distribution(description):
    n = 40_000
    h = description.build().draw(n, draws(1)).h[0].numpy().astype(complex)
    power, k = np.abs(h) ** 2, 10 ** (getattr(description, "k_db", -math.inf) / 10)
    variance = (1 + 2 * k) / (1 + k) ** 2  # of |h|^2
    assert abs(power.mean() - 1) < 4.5 * math.sqrt(variance / n)
    assert abs(h.mean() - math.sqrt(k / (k + 1))) < 4.5 * math.sqrt(1 / (k + 1) / n)  # line of sight
    scatter = np.abs(h - math.sqrt(k / (k + 1))) ** 2
    assert abs(scatter.mean() * (k + 1) - 1) < 4.5 / math.sqrt(n)  # K is the ratio of the two powers
    cdf = power_cdf(description.k_db) if k else stats.expon.cdf
    assert stats.kstest(power, cdf).pvalue > 1e-3


@pytest.mark.parametrize("description", [Rayleigh(), *(Rician(k_db=k) for k in K_DB)], ids=str)
def test_first_block_takes_its_stratum_of_the_power(description):
    cdf = power_cdf(description.k_db) if isinstance(description, Rician) else stats.expon.cdf
    given = draws(64)
    h = description.build().draw(3, given).h
    assert torch.equal(h[:, 0], h[:, 2])
    quantiles = cdf(h[:, 0].abs().double().numpy() ** 2)
    np.testing.assert_allclose(quantiles, [d.stratum for d in given], atol=2e-4)  # complex64 near |h| = 1 at K = 30 dB


def test_any_power_of_two_of_repeats_covers_the_fading_evenly():
    power = Rayleigh().build().draw(1, draws(64)).h[:, 0].abs().double().numpy() ** 2
    for count in (8, 16, 64):
        assert sorted(np.floor(stats.expon.cdf(power[:count]) * count).astype(int)) == list(range(count))


@pytest.mark.parametrize("k_db", K_DB)
def test_first_block_is_complex_rician_in_phase_too(k_db):
    """Given its magnitude the phase is von Mises: together they are a line of sight plus a complex normal."""
    n = 1024
    h = Rician(k_db=k_db).build().draw(1, draws(n, seed=1)).h[:, 0].numpy().astype(complex)
    k = 10 ** (k_db / 10)
    scatter = (h - math.sqrt(k / (k + 1))) * math.sqrt(2 * (k + 1))
    assert stats.kstest(scatter.real, "norm").pvalue > 1e-3
    assert stats.kstest(scatter.imag, "norm").pvalue > 1e-3


def test_later_blocks_are_independent_rayleigh_gains():
    h = Rayleigh(coherence=2).build().draw(2 * 4001, draws(1)).h[0].numpy()
    assert np.array_equal(h[0::2], h[1::2])
    later = h[2::2].astype(complex)
    assert stats.kstest(np.abs(later) ** 2, "expon").pvalue > 1e-3
    correlation = np.mean(later[1:] * later[:-1].conj())
    assert abs(correlation) < 4.5 / math.sqrt(len(later))


def test_draws_are_the_same_whatever_the_coherence():
    gains = [Rayleigh(coherence=c).build().draw(12, draws(1)).h[0, ::c][:2] for c in (2, 3, 6)]
    assert torch.equal(gains[0], gains[1]) and torch.equal(gains[1], gains[2])


def test_draws_are_the_same_whatever_k():
    """The scatter behind fast fading is one sequence; without a line of sight it is Rayleigh's."""
    rayleigh = Rayleigh(fading="fast").build().draw(50, draws(1)).h
    for k_db in K_DB:
        k = 10 ** (k_db / 10)
        h = Rician(k_db=k_db, fading="fast").build().draw(50, draws(1)).h
        scatter = (h - math.sqrt(k / (k + 1))) * math.sqrt(k + 1)
        torch.testing.assert_close(scatter, rayleigh, rtol=0, atol=1e-5 * math.sqrt(k + 1))
    blocks = Rician(k_db=-60, coherence=5).build().draw(20, draws(3)).h
    torch.testing.assert_close(blocks, Rayleigh(coherence=5).build().draw(20, draws(3)).h, rtol=0, atol=5e-3)


@pytest.mark.parametrize("description", EVERY, ids=str)
def test_gradients_flow_through_apply(description):
    channel = description.build()
    fading = channel.draw(6, draws(2))
    x = torch.ones((2, 6), dtype=torch.complex64, requires_grad=True)
    y = channel.apply(x, fading, torch.zeros((2, 6), dtype=torch.complex64))
    assert torch.equal(y.detach(), fading.h)
    y.abs().square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * fading.h.abs().square() * x.detach())


def test_apply_refuses_shapes_that_would_broadcast():
    with pytest.raises(ValueError, match="expected one shape"):
        AWGN().build().apply(torch.ones((2, 6)), Fading(torch.ones((1, 6))), torch.zeros((2, 6)))


@pytest.mark.parametrize("description", [Rayleigh, Rician])
def test_coherence_of_fast_fading_is_an_error(description):
    with pytest.raises(ValidationError, match="coherence 5"):
        description(fading="fast", coherence=5)
