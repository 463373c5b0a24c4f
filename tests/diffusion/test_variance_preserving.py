"""DDPM and DDIM are samplers that are there already, at other levels: diffusers' schedulers are the reference."""

import numpy as np
import pytest
import torch

from semcom.diffusion import samplers
from semcom.diffusion.variance_preserving import TRAINED, in_sigma_form, levels, start, stops

DIFFUSERS = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
SHAPE = (2, 3, 4)


def exact(scheduler):
    """A scheduler whose products are taken in double precision: its own, in single, are off by up to 1e-4 at the last steps."""
    kept = levels({value: key for key, value in DIFFUSERS.items()}[scheduler.config.beta_schedule]).square().add(1.0).reciprocal()
    scheduler.alphas_cumprod, scheduler.one = kept, torch.tensor(1.0, dtype=torch.float64)
    scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    scheduler.betas = 1.0 - kept / torch.cat([torch.ones(1, dtype=torch.float64), kept[:-1]])
    scheduler.alphas = 1.0 - scheduler.betas
    return scheduler


def network(y, sigma):
    """Some smooth function of both; nothing that is trained."""
    return 0.7 * torch.tanh(y + 0.3 * y.roll(1, -1)) + 0.1 * torch.cos(sigma.log())


def normal(seed, shape=SHAPE):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def fresh(seed):
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(SHAPE, dtype=torch.float64, generator=generator)


def published(scheduler, noise, count, seed):
    """What diffusers makes of noise, with the same network."""
    scheduler.set_timesteps(count)
    all_levels = levels({value: key for key, value in DIFFUSERS.items()}[scheduler.config.beta_schedule])
    generator, y = torch.Generator().manual_seed(seed), noise
    for t in scheduler.timesteps:
        y = scheduler.step(network(y, all_levels[t].expand(SHAPE)), t, y, generator=generator).prev_sample
    return y


def ours(solver, prediction, schedule, noise, count, seed):
    times = stops(count, schedule)
    x = start(noise, float(times[0]))
    return solver(in_sigma_form(network, prediction), x, torch.full_like(x, float(times[0])), times[:, None].expand(-1, SHAPE[0]), fresh(seed))


@pytest.mark.parametrize("schedule", DIFFUSERS)
def test_levels_are_those_of_the_published_schedules(schedule):
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(TRAINED, beta_schedule=DIFFUSERS[schedule]).alphas_cumprod.double()
    sigma = levels(schedule)
    assert sigma.shape == (TRAINED,) and bool((sigma[1:] > sigma[:-1]).all())
    # a product of up to 1000 numbers in single precision, each off by at most half of its last bit
    torch.testing.assert_close(1.0 / (1.0 + sigma.square()), theirs, rtol=TRAINED * 2.0**-24 * 3, atol=0)


@pytest.mark.parametrize("count", [1000, 25])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_ddpm_is_the_ancestral_sampler_at_its_levels(count, prediction):
    """All 1000 steps, and every fortieth: the posterior's variance is the one that steps of that length have."""
    from diffusers import DDPMScheduler

    scheduler = exact(DDPMScheduler(TRAINED, prediction_type=prediction, variance_type="fixed_small", clip_sample=False, timestep_spacing="trailing"))
    noise = normal(1)
    got, wanted = ours(samplers.ancestral, prediction, "linear", noise, count, 5), published(scheduler, noise, count, 5)
    # each of up to 1000 steps rounds numbers of about 157 at 2^-53
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("schedule", DIFFUSERS)
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_ddim_is_eulers_method_at_its_levels(schedule, prediction):
    from diffusers import DDIMScheduler

    made = DDIMScheduler(
        TRAINED, beta_schedule=DIFFUSERS[schedule], prediction_type=prediction, clip_sample=False, timestep_spacing="trailing"
    )
    noise = normal(2)
    got, wanted = ours(samplers.euler, prediction, schedule, noise, 20, 0), published(exact(made), noise, 20, 0)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-9)


def test_a_network_of_any_kind_is_the_same_denoiser():
    """Where x0 and n are known, noise, v and x0 itself give x0 back."""
    clean, noise, sigma = normal(3), normal(4), torch.tensor([0.1, 3.0], dtype=torch.float64)[:, None, None].expand(SHAPE)
    kept = 1.0 / (1.0 + sigma.square())
    told = {"epsilon": noise, "v_prediction": kept.sqrt() * noise - (1.0 - kept).sqrt() * clean, "sample": clean}
    for prediction, value in told.items():
        given = []
        denoise = in_sigma_form(lambda y, s, value=value: given.append(y) or value, prediction)
        torch.testing.assert_close(denoise(clean + sigma * noise, sigma), clean, rtol=0, atol=1e-12)
        torch.testing.assert_close(given[0], kept.sqrt() * clean + (1.0 - kept).sqrt() * noise)


def test_fewer_steps_are_spread_over_all_levels():
    every = levels()
    for count in (1, 7, 25, 1000):
        got = stops(count)
        assert len(got) == count + 1 and float(got[-1]) == 0.0 and float(got[0]) == float(every[-1])
        assert bool((got[1:] < got[:-1]).all()) and bool(torch.isin(got[:-1], every).all())
    assert np.array_equal(stops(1000)[:-1].flip(0).numpy(), every.numpy())
    for count in (0, 1001):
        with pytest.raises(ValueError, match="expected 1 to 1000"):
            stops(count)
