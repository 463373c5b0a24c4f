"""Outage, tail means and crossings on data whose answers are known."""

import math

import numpy as np
import pytest
from scipy import stats

from semcom import rng
from semcom.stats.crossover import CURVES, crossover, first_crossing
from semcom.stats.intervals import mean_interval, probability_interval, within
from semcom.stats.outage import outage, tail_mean
from semcom.stats.sample import Sample


def sent(values, repeats=1):
    """``repeats`` transmissions of each image, each image its own cluster."""
    count = len(values) // repeats
    images = [f"i{number:04}" for number in np.repeat(np.arange(count), repeats)]
    return Sample.of(values, images, repeats=np.tile(np.arange(repeats), count))


def test_outage_counts_the_worse_side():
    psnr = sent([20.0, 24.0, 26.0, 30.0])
    assert outage(psnr, 25.0, "higher").mean == 0.5 and outage(psnr, 25.0, "lower").mean == 0.5
    assert outage(psnr, 20.0, "higher").mean == 0.0  # at the threshold is not worse
    assert outage(psnr, 29.0, "lower").mean == 0.25
    with pytest.raises(ValueError, match="allowed: 'higher', 'lower'"):
        outage(psnr, 25.0, "up")


def test_no_outage_is_an_upper_bound():
    assert outage(sent(np.full(60, 30.0)), 20.0, "higher").high == pytest.approx(1 - 0.05 ** (1 / 60))


def test_the_worst_tenth_of_a_uniform_sample_has_its_mean_in_the_middle():
    values = np.arange(200.0)
    shuffled = rng.generator("shuffle").permutation(values)
    low, high = tail_mean(sent(shuffled), "higher"), tail_mean(sent(shuffled), "lower")
    assert low.mean == pytest.approx(values[:20].mean()) and high.mean == pytest.approx(values[-20:].mean())
    assert low.low < low.mean < low.high < high.low < high.mean < high.high


def test_the_whole_tail_is_the_mean_and_rows_count_in_part():
    sample = sent(rng.generator("tail").standard_normal(40), repeats=4)
    assert tail_mean(sample, "higher", 1.0).mean == pytest.approx(mean_interval(sample).mean)
    assert tail_mean(sent([1.0, 2.0, 4.0]), "higher", 0.5).mean == pytest.approx((1.0 * 1 + 2.0 * 0.5) / 1.5)
    with pytest.raises(ValueError, match="fraction is 0"):
        tail_mean(sample, "higher", 0.0)


def test_the_tail_mean_of_gaussian_fading_is_the_closed_form():
    """E[x | x below its 10 % quantile] = -phi(z) / 0.1; its standard error from the variance of the shortfall."""
    count = 20_000
    values = rng.generator("gauss").standard_normal(count)
    truth = -stats.norm.pdf(stats.norm.ppf(0.1)) / 0.1
    shortfall = np.minimum(values - stats.norm.ppf(0.1), 0.0) / 0.1
    error = shortfall.std() / math.sqrt(count)
    assert tail_mean(sent(values), "higher", resamples=50).mean == pytest.approx(truth, abs=5 * error)


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        ([-1.0, 1.0, 2.0], 5.0),
        ([3.0, 1.0, -1.0], 15.0),
        ([-1.0, 0.0, 3.0], 10.0),  # zero at a point
        ([1.0, -1.0, 1.0], 5.0),  # the first of two
        ([1.0, 0.0, 1.0], math.nan),  # touching
        ([0.0, 0.0, 1.0], math.nan),
        ([1.0, 2.0, 3.0], math.nan),
    ],
)
def test_the_first_change_of_sign_between_points(difference, expected):
    assert first_crossing(np.array([0.0, 10.0, 20.0]), np.array(difference)) == pytest.approx(expected, nan_ok=True)


def test_a_stretch_of_equal_curves_is_crossed_in_its_middle():
    assert first_crossing(np.arange(6.0), np.array([-1.0, 0.0, 0.0, 0.0, 0.0, 2.0])) == 2.5


AXIS = [0.0, 5.0, 10.0, 15.0, 20.0]


def lines(images=40, spread=1.0, at=8.0, slope=0.5):
    """A rising line and a flat one that cross at ``at``; image by image both shift, and the rising one more."""
    generator = rng.generator("lines", images)
    both, one = generator.standard_normal(images), spread * generator.standard_normal(images)
    rising = [sent(20.0 + both + one + slope * (x - at)) for x in AXIS]
    return rising, [sent(20.0 + both) for _ in AXIS], one


def test_lines_cross_where_they_do():
    a, b, one = lines()
    found = crossover(AXIS, a, b)
    assert found.location.mean == pytest.approx(8.0 - one.mean() / 0.5)
    assert found.none == 0.0 and found.location.method == CURVES and found.location.n_images == 40
    # the location is linear in the mean shift: its interval is that of the shift, over the slope
    shift = mean_interval(sent(one))
    assert (8.0 - found.location.low, 8.0 - found.location.high) == pytest.approx((shift.high / 0.5, shift.low / 0.5))


def test_swapping_the_systems_changes_nothing():
    a, b, _ = lines()
    assert crossover(AXIS, a, b) == crossover(AXIS, b, a)


def test_curves_that_may_not_cross_say_how_often():
    a, b, _ = lines(spread=20.0)
    found = crossover(AXIS, a, b)
    assert 0.0 < found.none < 1.0 and "of resamples" in found.location.note
    apart = crossover(AXIS, [sample.with_values(sample.values + 500) for sample in a], b)
    assert apart.none == 1.0 and math.isnan(apart.location.mean) and math.isnan(apart.location.low)
    assert "do not cross" in apart.location.note


def test_few_clusters_are_marked_and_one_has_no_interval():
    a, b, _ = lines(images=5)
    assert "fewer than ten" in crossover(AXIS, a, b).location.note
    alone = crossover(AXIS, [s.select(np.array([0])) for s in a], [s.select(np.array([0])) for s in b])
    assert math.isnan(alone.location.low) and "one cluster" in alone.location.note


def test_an_axis_that_cannot_be_is_refused():
    a, b, _ = lines()
    with pytest.raises(ValueError, match="increasing"):
        crossover(AXIS[::-1], a, b)
    with pytest.raises(ValueError, match="one sample of each system a point"):
        crossover(AXIS, a[1:], b)


def test_a_probability_is_a_mean_with_an_interval_inside_0_and_1_and_a_bound_where_all_agree():
    rare = sent([1.0] + [0.0] * 7)
    plain, found = mean_interval(rare), probability_interval(rare)
    assert plain.low < 0 and (found.mean, found.low, found.high) == (plain.mean, 0.0, plain.high)
    many = sent((rng.generator("events").random(240) < 0.3).astype(float), repeats=4)
    assert probability_interval(many) == mean_interval(many)  # percentiles of means of 0 and 1 lie there anyway
    never, always = (probability_interval(sent(np.full(60, value))) for value in (0.0, 1.0))
    assert (never.low, never.high) == pytest.approx((0.0, 1 - 0.05 ** (1 / 60))) and (always.low, always.high) == pytest.approx((0.05 ** (1 / 60), 1.0))
    assert outage(many, 0.5, "lower") == probability_interval(many)


def test_cutting_at_what_cannot_be_loses_no_truth():
    """Shares that are mostly 0, in six clusters: an interval that is cut holds the truth whenever the whole one does."""
    cut = 0
    for number in range(200):
        values = np.maximum(rng.generator("shares", number).normal(-0.02, 0.05, 6), 0.0)
        whole = mean_interval(sent(values))
        kept = within(whole, 0.0, None)
        cut += kept.low > whole.low
        for truth in np.linspace(0.0, 0.1, 11):
            assert (whole.low <= truth <= whole.high) == (kept.low <= truth <= kept.high)
    assert cut > 50
    assert within(whole, None, None) == whole
