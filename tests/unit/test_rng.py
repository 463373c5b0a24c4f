"""Random streams: keyed by name, nested, uniform."""

import numpy as np
import pytest
from scipy import stats

from semcom.rng import Streams, generator, stratum


def test_equal_keys_give_equal_draws_and_other_keys_others():
    draws = generator(1, "noise", "astronaut", 0).standard_normal(64)
    np.testing.assert_array_equal(draws, generator(1, "noise", "astronaut", 0).standard_normal(64))
    for key in [(2, "noise", "astronaut", 0), (1, "fading", "astronaut", 0), (1, "noise", "chelsea", 0), (1, "noise", "astronaut", 1)]:
        assert not np.array_equal(draws, generator(*key).standard_normal(64))


def test_these_draws_are_the_same_on_every_machine():
    """Committed values: a change here changes every number of every sweep."""
    first = generator(2026, "noise", "", "astronaut", 0).integers(0, 2**32, 4)
    assert first.tolist() == [3029787788, 2411685773, 1105096996, 163825516]


@pytest.mark.parametrize("count", [8, 64, 1024])
def test_strata_put_one_point_in_each_equal_interval(count):
    points = np.array([stratum(index, "fading", "image") for index in range(count)])
    assert np.array_equal(np.sort(np.floor(points * count)), np.arange(count))


def test_the_first_element_is_uniform_over_keys():
    points = [stratum(0, "fading", image) for image in range(2000)]
    assert stats.kstest(points, "uniform").pvalue > 1e-3


def test_a_rows_streams_do_not_depend_on_its_batch():
    together = Streams(7, ("a", "b", "a"), (0, 0, 1))
    alone = Streams(7, ("a",), (1,))
    np.testing.assert_array_equal(
        together.generator("noise", 2).standard_normal(9), alone.generator("noise", 0).standard_normal(9)
    )
    assert together.stratum("fading", 2) == alone.stratum("fading", 0)


def test_only_the_decoders_stream_names_the_system():
    streams = Streams.of(["a"], seed=3)
    plain = streams.generator("sampler", 0).standard_normal(4)
    named = streams.for_system("x").generator("sampler", 0).standard_normal(4)
    assert not np.array_equal(plain, named)
