"""Power over channels: the closed form against search, its limits, and the scale that nobody tells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from semcom.latents.allocation import gains, linear_error, waterfill

VARIANCE = np.array([3.0, 1.0, 0.7, 0.2, 0.1])
WEIGHT = np.array([0.5, 2.0, 1.0, 1.0, 3.0])


@pytest.mark.parametrize("noise", [0.001, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("weight", [np.ones(5), WEIGHT], ids=["alike", "weighted"])
def test_no_other_allocation_has_a_smaller_error(noise, weight):
    powers = waterfill(VARIANCE, noise, weight)
    assert powers.sum() == pytest.approx(5.0) and powers.min() >= 0.0
    error = lambda p: float((weight * linear_error(VARIANCE, p, noise)).sum())  # noqa: E731
    start = np.ones(5)
    found = minimize(error, start, bounds=[(0, None)] * 5, constraints={"type": "eq", "fun": lambda p: p.sum() - 5}, tol=1e-12)
    assert error(powers) <= found.fun * (1 + 1e-6)
    assert powers == pytest.approx(found.x, abs=0.02)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=16), st.floats(1e-4, 1e3))
def test_the_conditions_of_optimality_hold(variance, noise):
    """Equal slopes where power is spent, no larger slope where none is (Karush, Kuhn, Tucker)."""
    variance = np.array(variance)
    powers = waterfill(variance, noise)
    slope = variance * noise / (powers + noise) ** 2
    used = powers > 0
    assert slope[used] == pytest.approx(np.full(used.sum(), slope[used].mean()), rel=1e-6)
    assert (slope[~used] <= slope[used].mean() * (1 + 1e-6)).all()
    assert powers.sum() == pytest.approx(len(variance))


def test_the_limits_of_the_closed_form():
    root = np.sqrt(VARIANCE)
    assert waterfill(VARIANCE, 0.0) == pytest.approx(5 * root / root.sum())  # no noise: as SoftCast does
    assert waterfill(VARIANCE, 1e6) == pytest.approx([5, 0, 0, 0, 0])  # much noise: all into the strongest
    assert waterfill(np.ones(4), 0.3) == pytest.approx(np.ones(4))  # alike: flat
    two = waterfill(np.array([4.0, 1.0]), 0.5)  # m (2 + 1) - 2 s^2 = 2, so m = 1 and p = (2 - s^2, 1 - s^2)
    assert two == pytest.approx([1.5, 0.5])


def test_gains_make_the_powers():
    powers = waterfill(VARIANCE, 0.1)
    assert gains(powers, VARIANCE) ** 2 * VARIANCE == pytest.approx(powers)
