"""Samplers where everything is known: Gaussian data, whose denoiser, posterior and flow have closed forms."""

import math

import pytest
import torch

from semcom.diffusion import samplers, steps

MEAN = torch.tensor([0.5, -1.0, 0.3, 2.0], dtype=torch.float64)
ROOT = torch.tensor(
    [[1.0, 0.0, 0.0, 0.0], [0.6, 0.7, 0.0, 0.0], [-0.5, 0.4, 0.8, 0.0], [0.3, -0.2, 0.6, 0.5]], dtype=torch.float64
)
COVARIANCE = ROOT @ ROOT.T
#: levels of a map: clean, noisy, noisier, not there
LEVELS = torch.tensor([0.2, 0.7, 3.0, math.inf], dtype=torch.float64)


def posterior(x, sigma):
    """(mean [B, 4], covariance [B, 4, 4]) of the data given x = data + sigma n."""
    weight = torch.where(sigma.isinf(), 0.0, 1.0 / sigma.clamp(min=1e-9).square())
    precision = torch.linalg.inv(COVARIANCE)
    covariance = torch.linalg.inv(precision + torch.diag_embed(weight))
    x = torch.where(sigma.isinf(), 0.0, x)
    return torch.einsum("bij,bj->bi", covariance, precision @ MEAN + weight * x), covariance


def denoise(x, sigma):
    return posterior(x, sigma)[0]


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def data(count, sigma, seed=0):
    clean = MEAN + normal(count, 4, seed=seed) @ ROOT.T
    return torch.where(sigma.isinf(), 0.0, clean + torch.where(sigma.isinf(), 0.0, sigma) * normal(count, 4, seed=seed + 1))


def fresh_of(seed, shape):
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, dtype=torch.float64, generator=generator)


def nothing():
    raise AssertionError("no noise is needed here")


def geometric(start, stop, count, rows=1):
    """Levels in equal ratios, then without a step to 0: where the order of a solver shows."""
    return torch.logspace(math.log10(start), math.log10(stop), count + 1, dtype=torch.float64)[:, None].expand(-1, rows)


@pytest.mark.parametrize("solver", sorted(samplers.SOLVERS))
def test_one_step_is_the_mean_of_the_posterior(solver):
    sigma = LEVELS.expand(5, 4)
    x = data(5, sigma)
    got = samplers.SOLVERS[solver](denoise, x, sigma, steps.times(steps.start_of(sigma), 1), lambda: torch.zeros(5, 4, dtype=torch.float64))
    torch.testing.assert_close(got, posterior(x, sigma)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2), ("multistep", 2)])
def test_solvers_are_of_the_order_that_they_promise(solver, order):
    """All elements at one level: along each axis of the ellipsoid x(t) - mean goes with sqrt(variance + t^2)."""
    values, axes = torch.linalg.eigh(COVARIANCE)
    start, stop = 3.0, 0.1
    sigma = torch.full((6, 4), start, dtype=torch.float64)
    x = data(6, sigma)
    shrink = axes @ torch.diag(((values + stop**2) / (values + start**2)).sqrt()) @ axes.T
    exact = MEAN + (x - MEAN) @ shrink
    errors = [
        float((samplers.SOLVERS[solver](denoise, x, sigma, geometric(start, stop, count, 6), nothing) - exact).norm())
        for count in (40, 80, 160)
    ]
    for coarse, fine in zip(errors, errors[1:]):
        # halving the steps divides the error by 2^order, to within a step's share of what is of higher order
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)
    assert errors[-1] < {1: 0.1, 2: 2e-3}[order]


@pytest.mark.parametrize("solver", ["euler", "heun", "multistep"])
def test_the_flow_leads_from_noisy_data_to_data_with_every_mixture_of_levels(solver):
    """For Gaussian data a solver is a linear map: what it does to the covariance of its input is exact, without a sample.

    Elements of different levels start to move at different times; the flow still carries the distribution of noisy data to
    that of data, up to the discretisation, which vanishes with the steps.
    """
    finite = torch.tensor([0.2, 0.7, 3.0, 40.0], dtype=torch.float64)
    sigma = finite.expand(5, 4)
    inputs = MEAN + torch.cat([torch.zeros(1, 4), torch.eye(4)]).double()

    def error(count):
        levels = geometric(40.0, 1e-3, count, 5)
        out = samplers.SOLVERS[solver](denoise, inputs, sigma, levels, nothing)
        linear = (out[1:] - out[0]).T
        made = linear @ (COVARIANCE + torch.diag(finite.square())) @ linear.T
        torch.testing.assert_close(out[0], MEAN, rtol=0, atol=1e-9)
        return float((made - COVARIANCE).norm() / COVARIANCE.norm())

    coarse, fine = error(100), error(400)
    assert fine < 0.02 and fine < coarse / 3.0


def moments(x, sigma, times):
    """Mean [4] and covariance [4, 4] of ancestral samples from one x, exactly: every step is linear with known noise."""
    mean, covariance = x.clone(), torch.zeros(4, 4, dtype=torch.float64)
    for now, then in zip(times[:-1], times[1:]):
        s, less = torch.minimum(sigma, now), torch.minimum(sigma, then)
        offset = denoise(torch.zeros(1, 4, dtype=torch.float64), s[None])[0]
        slope = torch.stack([denoise(row[None], s[None])[0] - offset for row in torch.eye(4, dtype=torch.float64)], dim=1)
        moves, square = less < s, (less / s).square()
        linear = torch.where(moves[:, None], slope + square[:, None] * (torch.eye(4) - slope), torch.eye(4).double())
        linear = torch.where((moves & s.isinf())[:, None], slope, linear)
        shift = torch.where(moves, torch.where(s.isinf(), 1.0, 1.0 - square) * offset, 0.0)
        noise = torch.where(moves, less * (1.0 - square).sqrt(), 0.0)
        mean, covariance = linear @ mean + shift, linear @ covariance @ linear.T + torch.diag(noise.square())
    return mean, covariance


def test_samples_of_the_reverse_process_are_those_of_the_posterior():
    """Mean and covariance of the samples are those of the steps' recursion, to within the sample's error. The recursion's
    mean is the posterior's with any steps (D is a martingale along the way), its covariance to first order in the steps."""
    count, x = 6_000, torch.where(LEVELS.isinf(), 0.0, MEAN + torch.tensor([0.3, -0.8, 2.5, 0.0]))
    times = torch.cat([torch.full((1, 1), math.inf, dtype=torch.float64), geometric(40.0, 0.01, 60), torch.zeros(1, 1)])
    mean, covariance = moments(x, LEVELS, times)
    rows = (x.expand(count, 4), LEVELS.expand(count, 4), times.expand(-1, count))
    got = samplers.ancestral(denoise, *rows, fresh_of(3, (count, 4)))
    deviation = covariance.diagonal().sqrt()
    assert bool(((got.mean(0) - mean).abs() < 4.5 * deviation / math.sqrt(count)).all())
    # an estimated covariance has the variance (c_ii c_jj + c_ij^2) / n
    spread = ((deviation[:, None] * deviation).square() + covariance.square()).sqrt() / math.sqrt(count)
    assert bool(((got.T.cov() - covariance).abs() < 4.5 * spread).all())

    wanted_mean, wanted = (part[0] for part in posterior(x[None], LEVELS[None]))
    errors = []
    for steps_taken in (30, 120, 480):
        times = torch.cat([torch.full((1, 1), math.inf, dtype=torch.float64), geometric(40.0, 0.001, steps_taken), torch.zeros(1, 1)])
        mean, covariance = moments(x, LEVELS, times)
        torch.testing.assert_close(mean, wanted_mean, rtol=0, atol=1e-10)
        errors.append(float((covariance - wanted).norm() / wanted.norm()))
    for coarse, fine in zip(errors, errors[1:]):
        assert math.log(coarse / fine, 4) == pytest.approx(1.0, abs=0.2)
    assert errors[-1] < 0.04


def test_samples_of_one_row_do_not_depend_on_its_neighbours():
    """Rows that start at 0.2, 3 and inf together, or each by itself."""
    sigma = torch.stack([torch.full((4,), 0.2).double(), LEVELS.clamp(max=3.0), LEVELS])
    x = torch.cat([data(1, row, seed=place) for place, row in enumerate(sigma)])
    draws = normal(3, 12, 4, seed=9)
    for solver in samplers.SOLVERS.values():
        def run(rows):
            numbers = iter(draws[rows].unbind(1))
            levels = steps.times(steps.start_of(sigma[rows]), 6)
            return solver(denoise, x[rows], sigma[rows], levels, lambda: next(numbers))

        together = run([0, 1, 2])
        apart = torch.cat([run([row]) for row in range(3)])
        torch.testing.assert_close(together, apart, rtol=0, atol=1e-12)


def test_what_arrived_without_noise_stays_as_it_is():
    sigma = torch.tensor([[0.0, 0.5, 0.0, math.inf]], dtype=torch.float64)
    x = data(1, sigma)
    for solver in samplers.SOLVERS.values():
        got = solver(denoise, x, sigma, steps.times(steps.start_of(sigma), 8), fresh_of(1, (1, 4)))
        assert torch.equal(got[0, [0, 2]], x[0, [0, 2]]) and bool(got.isfinite().all())


def test_levels_fall_from_the_start_to_0_and_begin_with_inf_where_nothing_arrived():
    levels = steps.times(torch.tensor([0.001, 0.3, 5.0, math.inf]), 7)
    assert levels.shape == (8, 4) and bool((levels[1:] < levels[:-1]).all()) and bool((levels[-1] == 0).all())
    assert levels[0].tolist() == pytest.approx([0.001, 0.3, 5.0, math.inf])
    assert float(levels[1, 3]) == pytest.approx(steps.SIGMA_MAX)
    assert levels[-2].tolist() == pytest.approx([0.001 / 2**6, steps.SIGMA_MIN, 5.0 / 2**6, steps.SIGMA_MIN])
    assert steps.times(torch.tensor([5.0, 0.5]), 2)[1].tolist() == pytest.approx([steps.LAST, 0.25])
    assert steps.times(torch.tensor([math.inf, 0.5]), 1).tolist() == [[math.inf, 0.5], [0.0, 0.0]]
    assert steps.start_of(torch.tensor([[0.1, 2.0], [0.1, 41.0], [math.inf, 0.0]])).tolist() == pytest.approx([2.0, math.inf, math.inf])


def test_guidance_goes_on_from_the_estimate_without_a_map_through_the_one_with_it():
    with_map, without = (lambda x, sigma: x + 1.0), (lambda x, sigma: x - 1.0)
    x = torch.zeros(1, 4)
    for strength, expected in ((0.0, -1.0), (1.0, 1.0), (2.0, 3.0)):
        assert torch.equal(samplers.guided(with_map, without, strength)(x, x), torch.full((1, 4), expected))
