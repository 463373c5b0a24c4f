"""Pooled IoU: closed cases, what repeats and order may not change, and how often its intervals hold the truth."""

import math

import numpy as np
import pytest
from scipy import stats

from semcom import rng
from semcom.stats.intervals import BOOTSTRAP, STUDENT, UNDEFINED, mean_interval, ratio_of_means
from semcom.stats.overlap import Overlaps, class_intervals, iou_difference, iou_interval, iou_ratio, mean_iou
from semcom.stats.sample import Sample

SIMULATIONS = 300
K = 3


def drawn(generator, clusters, images=4, shift=0.0):
    """Intersections and unions [clusters, images, 2, K]: a cluster has its own mixture of classes and its own difficulty."""
    mixture = generator.dirichlet([4.0, 2.0, 1.0], clusters)[:, None] * generator.gamma(20.0, 1 / 20.0, (clusters, images, K))
    difficulty = generator.normal(0.0, 0.5, (clusters, 1, 1)) + generator.normal(0.0, 0.3, (clusters, images, K))
    iou = 1 / (1 + np.exp(difficulty - np.array([1.5, 0.5, -0.5]) - shift))
    return np.stack([1000 * mixture * iou, 1000 * mixture], axis=2)


def made(values):
    """Overlaps of values [clusters, images, 2, K]."""
    clusters, images = values.shape[:2]
    names = [f"c{number // images:03}" for number in range(clusters * images)]
    return Overlaps.of(values.reshape(-1, 2, K), [f"i{number:04}" for number in range(clusters * images)], names)


def covered(estimate, truth):
    hits = 0
    for number in range(SIMULATIONS):
        interval = estimate(rng.generator("overlap", number), number)
        hits += interval.low <= truth <= interval.high
    low, high = stats.binom.interval(1 - 1e-4, SIMULATIONS, 0.95)
    return low <= hits <= high


@pytest.fixture(scope="module")
def population():
    """Pooled IoU over so many clusters that it is the truth: of a system, and of a better one."""
    worse, better = (drawn(rng.generator("population"), 50_000, shift=shift).sum((0, 1)) for shift in (0.0, 0.3))
    return float(mean_iou(worse)), float(mean_iou(better))


@pytest.mark.parametrize("clusters", [6, 14, 40])
def test_the_interval_of_the_pooled_mean_holds_the_truth_as_often_as_it_says(population, clusters):
    truth = population[0]
    assert covered(lambda g, seed: iou_interval(made(drawn(g, clusters)), seed=seed, resamples=1000), truth)


def test_the_interval_of_a_difference_holds_the_truth_and_is_narrow(population):
    def pair(number):
        one, other = (made(drawn(rng.generator("overlap", number), 14, shift=shift)) for shift in (0.0, 0.3))
        return one, other

    truth = population[1] - population[0]
    assert covered(lambda g, seed: iou_difference(*reversed(pair(seed)), seed=seed, resamples=1000), truth)
    one, other = pair(0)
    difference, alone = iou_difference(other, one), iou_interval(one)
    assert difference.high - difference.low < 0.5 * (alone.high - alone.low)  # difficulty is shared
    assert difference.mean == pytest.approx(iou_interval(other).mean - alone.mean)


def test_the_ratio_to_a_reference_is_paired(population):
    one, other = (made(drawn(rng.generator("ratio"), 14, shift=shift)) for shift in (0.0, 0.3))
    ratio = iou_ratio(one, other)
    assert ratio.mean == pytest.approx(iou_interval(one).mean / iou_interval(other).mean) and ratio.low < ratio.mean < ratio.high < 1
    itself = iou_ratio(one, one)
    assert (itself.mean, itself.low, itself.high) == (1.0, 1.0, 1.0)
    nothing = Overlaps(one.sample, one.values * [[0.0], [1.0]])
    assert math.isnan(iou_ratio(one, nothing).mean)


def test_one_class_over_equal_unions_is_a_mean():
    """Then pooled IoU is the mean of the images' IoUs, and so are its intervals."""
    generator = rng.generator("means")
    for clusters, method in ((5, STUDENT), (20, BOOTSTRAP)):
        values = generator.uniform(0.2, 0.8, clusters * 3)
        belongs = [f"i{n:03}" for n in range(len(values))], [f"c{n // 3:03}" for n in range(len(values))]
        overlaps = Overlaps.of(np.stack([values * 50, np.full(len(values), 50.0)], axis=1)[:, :, None], *belongs)
        found, mean = iou_interval(overlaps), mean_interval(Sample.of(values, *belongs))
        assert found.method == method
        assert (found.mean, found.low, found.high) == pytest.approx((mean.mean, mean.low, mean.high), rel=1e-9)
        twice = iou_ratio(overlaps, Overlaps(overlaps.sample, overlaps.values * [[2.0], [1.0]]))
        of_means = ratio_of_means(Sample.of(values, *belongs), Sample.of(2 * values, *belongs))
        assert twice.mean == pytest.approx(of_means.mean) == pytest.approx(0.5)


def test_every_image_counts_once_however_often_it_was_sent():
    values = drawn(rng.generator("repeats"), 12, images=1)[:, 0]
    images = [f"i{n:02}" for n in range(12)]
    once = Overlaps.of(values, images)
    repeated = [0, 0, 0, *range(1, 12), 5]
    numbers = [0, 1, 2, *[0] * 11, 1]
    more = Overlaps.of(values[repeated], [images[n] for n in repeated], [images[n] for n in repeated], numbers)
    assert iou_interval(more).mean == pytest.approx(iou_interval(once).mean)
    assert iou_interval(more).low == pytest.approx(iou_interval(once).low)
    # repeats of one image add: their mean intersection over their mean union
    two = Overlaps.of(values[:2], ["a", "a"], ["a", "a"], [0, 1])
    assert iou_interval(two).mean == pytest.approx(float(mean_iou(values[:2].sum(0)))) and iou_interval(two).method == UNDEFINED


def test_the_order_of_rows_does_not_matter():
    values = drawn(rng.generator("order"), 12)
    names = [f"i{n:03}" for n in range(48)], [f"c{n // 4:03}" for n in range(48)]
    order = rng.generator("shuffled").permutation(48)
    flat = values.reshape(48, 2, K)
    shuffled = Overlaps.of(flat[order], *([part[n] for n in order] for part in names))
    assert iou_interval(shuffled) == iou_interval(Overlaps.of(flat, *names))


def test_pairs_are_matched_by_image_and_repeat():
    values = drawn(rng.generator("pairs"), 12, images=1)[:, 0]
    images = [f"i{n:02}" for n in range(12)]
    fewer = Overlaps.of(values[3:], images[3:])
    found = iou_difference(Overlaps.of(values, images), fewer)
    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)
    assert found.n_images == 9 and "3 rows without a partner" in found.note


def test_a_class_that_few_clusters_meet_is_judged_by_those():
    values = drawn(rng.generator("rare"), 20)
    values[:, :, :, 2] = 0.0
    values[:4, :, :, 2] = [[[3.0, 4.0]], [[1.0, 4.0]], [[2.0, 4.0]], [[2.0, 4.0]]]
    each = class_intervals(made(values))
    assert each[2].mean == pytest.approx(0.5) and each[2].n_clusters == 4 and each[2].method == STUDENT
    assert [interval.n_clusters for interval in each[:2]] == [20, 20]
    assert np.mean([interval.mean for interval in each]) == pytest.approx(iou_interval(made(values)).mean)
    values[:, :, :, 1] = 0.0
    assert math.isnan(class_intervals(made(values))[1].mean)
    assert iou_interval(made(values)).mean == pytest.approx((each[0].mean + each[2].mean) / 2)


def test_no_pixels_are_no_score():
    empty = Overlaps.of(np.zeros((3, 2, K)), ["a", "b", "c"])
    assert math.isnan(iou_interval(empty).mean) and iou_interval(empty).n_images == 0
