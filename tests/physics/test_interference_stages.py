"""Stages of interference: power, error rates, what the receiver knows, and what the draws depend on."""

import math

import numpy as np
import pytest
import torch

from channels import theory
from channels.awgn import AWGN
from channels.base import Draw
from channels.cochannel import CoChannel
from channels.erasure import Erasure
from channels.gilbert import transitions
from channels.impulses import Impulses
from channels.modulation import QAM
from semcom.rng import generator

SIGMAS = 4.5
EVERY = [CoChannel(), CoChannel(order=2, fading="none"), Impulses(probability=0.2), Erasure(probability=0.3, mean_burst=4)]


def draws(count: int, seed: int = 0) -> list[Draw]:
    return [Draw(generator(seed, "fading", row), 0.5, lambda name, row=row: generator(seed, name, row)) for row in range(count)]


def sigma(rows: int, snr_db: float) -> torch.Tensor:
    return torch.full((rows, 1, 1), 10 ** (-snr_db / 20))


def noise(shape, seed: int) -> torch.Tensor:
    pairs = np.random.default_rng(seed).standard_normal((*shape, 2), dtype=np.float32)
    return torch.view_as_complex(torch.from_numpy(pairs)) * math.sqrt(0.5)


@pytest.mark.parametrize("description", EVERY, ids=str)
def test_a_longer_draw_keeps_the_prefix_and_a_row_does_not_depend_on_its_neighbours(description):
    stage = description.build()
    long, short = (stage.apply(sigma(4, 3.0), stage.draw(n, 2, draws(4))) for n in (50, 20))
    alone = stage.apply(sigma(1, 3.0), stage.draw(20, 2, draws(4)[2:3]))
    for name in ("added", "variance"):
        first, second = getattr(long, name).broadcast_to(4, 2, 50), getattr(short, name).broadcast_to(4, 2, 20)
        torch.testing.assert_close(first[..., :20], second, rtol=0, atol=0)
        torch.testing.assert_close(second[2:3], getattr(alone, name).broadcast_to(1, 2, 20), rtol=0, atol=0)
    one_antenna = stage.apply(sigma(4, 3.0), stage.draw(20, 1, draws(4)))
    torch.testing.assert_close(one_antenna.added, short.added[:, :1], rtol=0, atol=0)  # more antennas change nothing of the first


@pytest.mark.parametrize("known", ["power", "average"])
@pytest.mark.parametrize("fading", ["rayleigh", "none"])
@pytest.mark.parametrize("order", [2, 4, 16, 64, 256])
def test_the_interferer_has_the_power_that_is_said(order, fading, known):
    rows, count, sir_db = 400, 100, 7.0
    stage = CoChannel(order=order, fading=fading, known=known, sir_db=sir_db).build()
    seen = stage.apply(sigma(rows, 0.0), stage.draw(count, 2, draws(rows)))
    power = seen.added.abs().square().mean(dim=2)
    expected, spread = 10 ** (-sir_db / 10), power.std() / math.sqrt(power.numel())
    assert abs(float(power.mean()) - expected) < SIGMAS * float(spread) + 1e-6 * expected
    ratio = (seen.added.abs().square() / seen.variance).mean(dim=2)  # of each burst and antenna
    if known == "power" or fading == "none":
        # a burst's power is its level, up to which points it happened to send
        kurtosis = float((seen.added.abs() ** 4).mean(dim=2).div(seen.variance.broadcast_to(rows, 2, 1)[..., 0] ** 2).mean())
        assert float((ratio - 1).abs().max()) < SIGMAS * math.sqrt(max(kurtosis - 1, 0) / count) + 1e-5
    assert abs(float(ratio.mean()) - 1) < SIGMAS * float(ratio.std()) / math.sqrt(ratio.numel()) + 1e-6
    points = np.unique(stage.draw(4000, 1, draws(1))[0].numpy())
    assert len(points) == order  # of 256, one is missed with a chance below 256 (1 - 1/256)^4000 = 4e-5


@pytest.mark.parametrize("order, sir_db", [(4, 3.0), (16, 6.0), (2, 0.0)])
def test_error_rate_of_qpsk_beside_an_interferer_of_random_phase(order, sir_db):
    """The mean over the interferer's points and phases; decisions do not ask for the noise level."""
    rows, n, snr_db = 2000, 50, 8.0
    stage = CoChannel(order=order, fading="none", sir_db=sir_db).build()
    seen = stage.apply(sigma(rows, snr_db), stage.draw(n, 1, draws(rows, 1)))
    bits = torch.from_numpy(np.random.default_rng(2).integers(0, 2, (rows, 2 * n), dtype=np.uint8))
    qam = QAM(2)
    y = qam.modulate(bits) + seen.added[:, 0] + sigma(rows, snr_db)[:, 0] * noise((rows, n), 3)
    wrong = ((qam.llrs(y, torch.tensor(1.0)) > 0) != bits.bool()).double().mean(dim=1)
    expected = theory.ber_qpsk_cochannel(10 ** (snr_db / 10), 10 ** (sir_db / 10), int(math.log2(order)))
    assert abs(float(wrong.mean()) - expected) < SIGMAS * float(wrong.std()) / math.sqrt(rows)  # a burst has one phase


def test_error_rate_beside_an_interferer_at_its_ends():
    assert theory.ber_qpsk_cochannel(4.0, 1e9, 4) == pytest.approx(float(theory.ber_awgn(2, 4.0)), rel=1e-4)
    # without noise, BPSK at SIR a errs where |phase| is such that sqrt(2 / SIR) |cos| exceeds 1, half of the time
    sir = 1.0
    expected = 0.5 * 2 / math.pi * math.acos(math.sqrt(sir / 2))
    assert theory.ber_qpsk_cochannel(1e6, sir, 1, phases=100_000) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("known", ["places", "average"])
@pytest.mark.parametrize("probability, ratio_db", [(0.05, 15.0), (0.5, 5.0)])
def test_impulses_are_a_mixture_of_two_noises(known, probability, ratio_db):
    rows, n, snr_db = 1, 60_000, 6.0
    stage = Impulses(probability=probability, ratio_db=ratio_db, known=known).build()
    drawn = stage.draw(n, 1, draws(rows))
    seen, variance, ratio = stage.apply(sigma(rows, snr_db), drawn), 10 ** (-snr_db / 10), 10 ** (ratio_db / 10)
    hit = drawn[0][0, 0]
    assert abs(float(hit.double().mean()) - probability) < SIGMAS * math.sqrt(probability * (1 - probability) / n)
    values = seen.added[0, 0, hit].abs().square() / (variance * ratio)
    assert abs(float(values.mean()) - 1) < SIGMAS / math.sqrt(int(hit.sum())) and bool((seen.added[0, 0, ~hit] == 0).all())
    level = seen.variance.broadcast_to(1, 1, n)[0, 0]
    mean = variance * ratio * probability
    if known == "places":
        torch.testing.assert_close(level, variance * ratio * hit.float())
    else:
        torch.testing.assert_close(level, torch.full_like(level, mean))
    bits = torch.from_numpy(np.random.default_rng(4).integers(0, 2, (1, 4 * n), dtype=np.uint8))
    qam = QAM(4)
    y = qam.modulate(bits) + seen.added[:, 0] + math.sqrt(variance) * noise((1, n), 5)
    wrong = float(((qam.llrs(y, variance + level[None]) > 0) != bits.bool()).double().mean())
    expected = float(theory.ber_bernoulli_gaussian(4, 1 / variance, probability, ratio))
    assert abs(wrong - expected) < SIGMAS * math.sqrt(expected * (1 - expected) / n)


def test_a_higher_probability_keeps_the_impulses_and_losses_of_a_lower_one():
    few, many = (Impulses(probability=p).build().draw(500, 2, draws(3)) for p in (0.1, 0.4))
    assert bool((many[0] | ~few[0]).all()) and torch.equal(few[1], many[1] * few[0])
    few, many = (Erasure(probability=p).build().draw(500, 2, draws(3))[0] for p in (0.1, 0.4))
    assert bool((many | ~few).all())


def test_what_is_erased_has_no_level_and_the_rest_is_left_alone():
    stage = Erasure(probability=0.3, mean_burst=5).build()
    seen = stage.apply(sigma(50, 10.0), stage.draw(400, 2, draws(50)))
    lost = seen.variance.isinf()
    assert bool((seen.added == 0).all()) and bool(((seen.variance == 0) | lost).all())
    to_lost, to_arrived = transitions(0.3, 5.0)
    r = 1 - to_lost - to_arrived
    assert abs(float(lost.double().mean()) - 0.3) < SIGMAS * math.sqrt(0.3 * 0.7 * (1 + r) / (1 - r) / lost.numel())


def test_bursts_shorter_than_chance_are_refused_before_anything_runs():
    stages = [AWGN(), Erasure(probability=0.5, mean_burst=1.0)]
    assert "shorter than independent losses of probability 0.5 make (2)" in stages[1].conflict(stages)
    assert Erasure(probability=0.5).conflict([]) is None
