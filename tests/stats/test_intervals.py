"""Intervals against closed forms, scipy, and their own promise: how often they hold the truth."""

import math

import numpy as np
import pytest
from scipy import stats

from semcom import rng
from semcom.stats import resample
from semcom.stats.intervals import BOOTSTRAP, LOWER, STUDENT, UNDEFINED, UPPER
from semcom.stats.intervals import Interval, mean_interval, paired_difference, ratio_interval
from semcom.stats.sample import Sample

SIMULATIONS = 400


def clustered(generator, sizes, between=1.0, within=1.0, repeats=1):
    """Gaussian images in clusters: variance ``between`` clusters and ``within`` them; the true mean is 0."""
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    image = math.sqrt(between) * generator.standard_normal(len(sizes))[clusters]
    image = image + math.sqrt(within) * generator.standard_normal(len(clusters))
    rows = np.repeat(np.arange(len(clusters)), repeats)
    values = image[rows] + (0.3 * generator.standard_normal(len(rows)) if repeats > 1 else 0.0)
    images, names = [f"i{row:04}" for row in rows], [f"c{clusters[row]:03}" for row in rows]
    return Sample.of(values, images, names, np.tile(np.arange(repeats), len(clusters)))


def covered(make, truth=0.0, level=0.95, simulations=SIMULATIONS, resamples=1000):
    """How many of many intervals hold the truth; each simulation has its own data and its own resamples."""
    hits = 0
    for number in range(simulations):
        interval = mean_interval(make(rng.generator("coverage", number)), level=level, seed=number, resamples=resamples)
        hits += interval.low <= truth <= interval.high
    return hits


def binomial_range(probability, simulations=SIMULATIONS, miss=1e-4):
    """The counts that a right interval reaches but with probability ``miss``."""
    return stats.binom.interval(1 - miss, simulations, probability)


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("clusters", [12, 40])
def test_the_bootstrap_interval_holds_the_truth_as_often_as_it_says(level, clusters):
    sizes = np.resize([2, 5, 8, 3], clusters)
    low, high = binomial_range(level)
    assert low <= covered(lambda g: clustered(g, sizes), level=level) <= high


@pytest.mark.parametrize("clusters", [3, 6])
def test_the_t_interval_holds_the_truth_as_often_as_it_says(clusters):
    low, high = binomial_range(0.95)
    assert low <= covered(lambda g: clustered(g, [5] * clusters, repeats=3)) <= high


def test_taking_neighbours_for_independent_images_would_be_far_too_narrow():
    """Why clusters are declared: the same data with every image its own cluster."""

    def image_level(generator):
        sample = clustered(generator, [20] * 12, between=1.0, within=0.1)
        return Sample.of(sample.values, sample.images)

    assert covered(image_level, simulations=100) < binomial_range(0.95, 100)[0] * 0.7


def test_few_clusters_of_equal_size_give_scipy_s_t_interval():
    sample = clustered(rng.generator("t"), [4] * 6)
    means = sample.values.reshape(6, 4).mean(1)
    low, high = stats.ttest_1samp(means, 0.0).confidence_interval(0.95)
    interval = mean_interval(sample)
    expected = (pytest.approx(value) for value in (means.mean(), low, high))
    assert interval == Interval(*expected, 24, 6, 1, STUDENT, interval.note)
    assert "fewer than ten" in interval.note


def test_many_clusters_are_resampled_and_close_to_t():
    sample = clustered(rng.generator("many"), [3] * 60)
    interval = mean_interval(sample, resamples=20_000)
    means = sample.values.reshape(60, 3).mean(1)
    low, high = stats.ttest_1samp(means, 0.0).confidence_interval(0.95)
    # a percentile of R resamples has a standard error of sqrt(p (1 - p) / R) / density, here below 0.02 widths; five of them
    assert interval.method == BOOTSTRAP and interval.note == ""
    assert abs(interval.low - low) < 0.05 * (high - low) and abs(interval.high - high) < 0.05 * (high - low)


def test_one_cluster_has_a_mean_and_no_interval():
    interval = mean_interval(Sample.of([1.0, 2.0, 6.0], "abc", ["drive"] * 3))
    assert interval.mean == 3.0 and math.isnan(interval.low) and math.isnan(interval.high)
    assert (interval.method, interval.note, interval.n_images, interval.n_clusters) == (UNDEFINED, "one cluster", 3, 1)


def test_nothing_is_not_a_number():
    assert math.isnan(mean_interval(Sample.of([], [])).mean)


def test_images_count_alike_however_often_they_were_sent_and_however_clusters_are_sized():
    sample = Sample.of([1.0, 3.0, 10.0, 20.0], ["a", "a", "b", "c"], ["x", "x", "y", "y"], [0, 1, 0, 0])
    interval = mean_interval(sample)
    assert interval.mean == pytest.approx((2.0 + 10.0 + 20.0) / 3)
    assert (interval.n_images, interval.n_clusters, interval.n_repeats) == (3, 2, 2)


@pytest.mark.parametrize("clusters", [5, 15])
def test_intervals_follow_units_and_do_not_know_the_order_of_rows(clusters):
    sample = clustered(rng.generator("units"), [3] * clusters, repeats=2)
    interval = mean_interval(sample)
    scaled = mean_interval(sample.with_values(2.0 * sample.values + 7.0))
    expected = tuple(2.0 * value + 7.0 for value in (interval.mean, interval.low, interval.high))
    assert (scaled.mean, scaled.low, scaled.high) == pytest.approx(expected)
    order = rng.generator("order").permutation(len(sample))
    columns = (sample.values, sample.images, sample.clusters, sample.repeats)
    assert mean_interval(Sample.of(*(column[order] for column in columns))) == interval
    assert mean_interval(sample, seed=1).mean == interval.mean


def test_systems_are_resampled_alike():
    """The interval of a shifted system is the shifted interval, exactly: what paired comparisons rest on."""
    sample = clustered(rng.generator("alike"), [2] * 16)
    a, b = mean_interval(sample), mean_interval(sample.with_values(sample.values + 4.0))
    assert (b.low - a.low, b.high - a.high) == pytest.approx((4.0, 4.0))
    assert resample.weights(16, 0, 500) is resample.weights(16, 0, 500)
    assert (resample.weights(16, 0, 500).sum(1) == 16).all()


@pytest.mark.parametrize("clusters", [6, 30])
def test_a_paired_difference_is_narrower_than_the_systems_suggest(clusters):
    generator = rng.generator("paired")
    image = clustered(generator, [4] * clusters)
    a = image.with_values(image.values + 0.3 + 0.1 * generator.standard_normal(len(image)))
    b = image.with_values(image.values + 0.1 * generator.standard_normal(len(image)))
    difference, one, other = paired_difference(a, b), mean_interval(a), mean_interval(b)
    assert difference.mean == pytest.approx(one.mean - other.mean)
    unpaired = math.hypot(one.high - one.low, other.high - other.low)
    # the standard deviations are 0.14 / sqrt(images) and about sqrt(2 (1 + 1/4) / clusters): a ratio near 20
    assert difference.high - difference.low < unpaired / 5
    assert difference.low < 0.3 < difference.high


def test_pairs_are_matched_by_image_and_repeat_and_the_rest_is_named():
    a = Sample.of([1.0, 2.0, 3.0, 9.0], "abcz", "wxyz")
    b = Sample.of([30.0, 10.0, 20.0], "cab", "ywx")
    interval = paired_difference(a, b)
    assert interval.mean == pytest.approx((1 + 2 + 3 - 60) / 3) and "1 rows without a partner" in interval.note
    assert paired_difference(a, a).mean == paired_difference(a, a).high == 0.0
    with pytest.raises(ValueError, match="no .image, repeat. in common"):
        paired_difference(a, Sample.of([1.0], ["other"]))


def counts(values, per_cluster=1):
    return Sample.of(values, [f"i{n:03}" for n in range(len(values))], [f"c{n // per_cluster:03}" for n in range(len(values))])


def test_no_errors_give_the_clopper_pearson_bound():
    errors, trials = counts([0.0] * 20), counts([50.0] * 20)
    interval = ratio_interval(errors, trials)
    assert (interval.mean, interval.low, interval.method) == (0.0, 0.0, UPPER)
    exact = stats.binomtest(0, 1000, alternative="less").proportion_ci(0.95, method="exact")
    assert interval.high == pytest.approx(exact.high) and interval.high == pytest.approx(3 / 1000, rel=0.01)  # the rule of three
    assert "1000 trials" in interval.note
    lost = ratio_interval(trials, trials)
    assert (lost.mean, lost.high, lost.method) == (1.0, 1.0, LOWER)
    assert lost.low == pytest.approx(stats.binomtest(1000, 1000, alternative="greater").proportion_ci(0.95, method="exact").low)


def test_the_zero_error_bound_holds_as_often_as_it_says():
    """For true rates just above it, P(no error in n trials) is at most 1 - level."""
    trials = 200
    bound = ratio_interval(counts([0.0] * 10), counts([trials / 10] * 10)).high
    assert (1 - bound) ** trials == pytest.approx(0.05)


def test_rates_are_ratios_of_sums_not_means_of_rates():
    errors, trials = counts([1.0, 0.0, 5.0]), counts([10.0, 1000.0, 10.0])
    assert ratio_interval(errors, trials).mean == pytest.approx(6 / 1020)
    many = ratio_interval(counts([1.0] * 15 + [4.0]), counts([8.0] * 16))
    assert many.method == BOOTSTRAP and 0 <= many.low < many.mean < many.high <= 1
    few = ratio_interval(counts([1.0, 0.0, 0.0]), counts([2.0, 2.0, 2.0]))
    assert few.method == STUDENT and few.low == 0.0


def test_rows_without_trials_do_not_count():
    with_nothing = ratio_interval(counts([1.0, 2.0, 0.0]), counts([10.0, 10.0, 0.0]))
    assert with_nothing.n_images == 2 and with_nothing.mean == pytest.approx(0.15)
    assert math.isnan(ratio_interval(counts([0.0]), counts([0.0])).mean)


def test_the_error_rate_interval_holds_the_truth_as_often_as_it_says():
    """Frames fail independently at rate 0.3, one to four frames an image."""
    hits, sizes = 0, np.resize([1, 2, 3, 4], 60)
    for number in range(SIMULATIONS):
        errors = counts(rng.generator("rates", number).binomial(sizes, 0.3).astype(float))
        interval = ratio_interval(errors, counts(sizes.astype(float)), seed=number, resamples=1000)
        hits += interval.low <= 0.3 <= interval.high
    low, high = binomial_range(0.95)
    assert low <= hits <= high


def test_rows_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        Sample.of([math.nan], ["a"])
    with pytest.raises(ValueError, match="there twice"):
        Sample.of([1.0, 2.0], ["a", "a"])
    with pytest.raises(ValueError, match="two clusters"):
        Sample.of([1.0, 2.0], ["a", "a"], ["x", "y"], [0, 1])
    with pytest.raises(ValueError, match="2 values, 1 images"):
        Sample.of([1.0, 2.0], ["a"])
