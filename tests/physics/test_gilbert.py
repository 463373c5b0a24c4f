"""Bursts of losses: their share, their lengths, and what the draws depend on."""

import math

import numpy as np
import pytest

from channels.gilbert import losses, transitions

SIGMAS = 4.5
N = 200_000


def bursts(lost: np.ndarray) -> np.ndarray:
    """Lengths of the runs of losses that begin and end within."""
    edges = np.flatnonzero(np.diff(lost.astype(int)))
    starts, stops = edges[lost[edges + 1]], edges[~lost[edges + 1]]
    stops = stops[stops > starts[0]]
    return stops - starts[: len(stops)]


@pytest.mark.parametrize("probability, burst", [(0.1, None), (0.1, 5.0), (0.5, 2.0), (0.3, 40.0), (0.9, None)])
def test_share_and_length_of_losses(probability, burst):
    lost = losses(np.random.default_rng(1).random(N), probability, burst)
    to_lost, to_arrived = transitions(probability, burst)
    # the mean of a chain whose neighbours correlate by r has the variance p (1 - p) (1 + r) / (1 - r) / n
    r = 1 - to_lost - to_arrived
    assert abs(lost.mean() - probability) < SIGMAS * math.sqrt(probability * (1 - probability) * (1 + r) / (1 - r) / N)
    lengths, mean = bursts(lost), burst or 1 / (1 - probability)
    assert abs(lengths.mean() - mean) < SIGMAS * math.sqrt(mean * (mean - 1) / len(lengths)) + 1e-12
    for length in (1, 2, 3):  # geometric
        expected = (1 - 1 / mean) ** (length - 1) / mean
        assert abs((lengths == length).mean() - expected) < SIGMAS * math.sqrt(expected / len(lengths))
    lag = np.mean((lost[1:] - probability) * (lost[:-1] - probability)) / (probability * (1 - probability))
    assert abs(lag - r) < SIGMAS * math.sqrt((1 + r) / (1 - r) / N) / min(probability, 1 - probability)


def test_without_bursts_losses_are_the_uniforms_below_the_probability():
    u = np.random.default_rng(2).random((3, 500))
    np.testing.assert_array_equal(losses(u, 0.3, None), u < 0.3)
    assert not losses(u, 0.0, None).any()


def test_a_longer_draw_keeps_the_prefix_and_more_losses_keep_the_old_ones():
    u = np.random.default_rng(3).random((4, 300))
    np.testing.assert_array_equal(losses(u, 0.2, 6.0)[:, :100], losses(u[:, :100], 0.2, 6.0))
    assert not (losses(u, 0.1, None) & ~losses(u, 0.4, None)).any()
    assert losses(u[:, :0], 0.1, 3.0).shape == (4, 0)


def test_every_place_is_as_likely_as_the_next():
    lost = losses(np.random.default_rng(4).random((40_000, 4)), 0.25, 8.0)
    assert np.all(np.abs(lost.mean(axis=0) - 0.25) < SIGMAS * math.sqrt(0.25 * 0.75 / 40_000))


def test_bursts_shorter_than_chance_are_refused():
    with pytest.raises(ValueError, match="mean burst of 1.5 is shorter than independent losses of probability 0.5 make \\(2\\)"):
        transitions(0.5, 1.5)
