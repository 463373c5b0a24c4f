"""Packet losses: their rate, their bursts and their correlation, against the two-state chain's closed forms."""

import math

import numpy as np
import pytest

from channels.packet_loss import PacketLoss, arq_transmissions, bursts

ROWS, PACKETS = 40, 5000
SIGMAS = 4.5
MODELS = [
    PacketLoss(0.1),
    PacketLoss(0.4),
    PacketLoss(0.1, 5.0),
    PacketLoss(0.3, 2.0),
    PacketLoss(0.5, 20.0),
    PacketLoss(0.6, 4.0),
]


def draw(model: PacketLoss, seed: int = 0, packets: int = PACKETS) -> np.ndarray:
    return model.draw(packets, [np.random.default_rng([seed, row]) for row in range(ROWS)])


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_the_loss_rate_is_the_stationary_one(model):
    deviation = math.sqrt(model.variance_of_rate(PACKETS) / ROWS)
    assert abs(draw(model).mean() - model.rate) < SIGMAS * deviation
    # from the first packet on, and at every one: an average over rows alone
    first = draw(model, seed=1, packets=3)
    deviation = math.sqrt(model.rate * (1 - model.rate) / ROWS)
    assert np.all(np.abs(first.mean(axis=0) - model.rate) < SIGMAS * deviation)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_bursts_are_geometric_with_the_given_mean(model):
    lengths = bursts(draw(model))
    mean = model.mean_burst
    spread = math.sqrt(mean * (mean - 1.0) / len(lengths))  # of a geometric variable
    assert abs(lengths.mean() - mean) < SIGMAS * spread + mean * 20 / PACKETS  # a row cuts its longest bursts off
    for length in (1, 2, 3):
        p = model.burst_length_probability(length)
        deviation = math.sqrt(p * (1 - p) / len(lengths))
        assert abs((lengths == length).mean() - p) < SIGMAS * deviation + p * 20 * mean / PACKETS


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_neighbours_are_correlated_as_the_chain_has_it(model):
    lost = draw(model)
    after_loss = lost[:, 1:][lost[:, :-1]]
    p = model.stay
    assert abs(after_loss.mean() - p) < SIGMAS * math.sqrt(p * (1 - p) / len(after_loss))
    after_arrival = lost[:, 1:][~lost[:, :-1]]
    q = model.enter
    assert abs(after_arrival.mean() - q) < SIGMAS * math.sqrt(q * (1 - q) / len(after_arrival))


def test_independent_losses_are_bursts_of_their_own_mean_and_nested():
    iid, chain = PacketLoss(0.25), PacketLoss(0.25, 1 / 0.75)
    assert chain.stay == pytest.approx(0.25) and chain.enter == pytest.approx(0.25)
    np.testing.assert_array_equal(draw(iid), draw(chain))
    assert np.all(draw(PacketLoss(0.2)) <= draw(PacketLoss(0.3)))


@pytest.mark.parametrize("model", [PacketLoss(0.3), PacketLoss(0.3, 4.0)], ids=str)
def test_more_packets_keep_the_earlier_ones(model):
    np.testing.assert_array_equal(draw(model, packets=50), draw(model, packets=80)[:, :50])


def test_bursts_are_counted_between_arrivals():
    rows = np.array([[1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]], dtype=bool)
    assert bursts(rows).tolist() == [1, 3]


def test_repetition_until_arrival_is_the_truncated_geometric_law():
    for rate, rounds in ((0.0, 3), (0.3, 1), (0.3, 4), (0.9, 3)):
        tries = [min(rounds, length) for length in range(1, 200)]
        weights = [rate ** (length - 1) * (1 - rate) for length in range(1, 200)]
        mean, lost = arq_transmissions(rate, rounds)
        assert mean == pytest.approx(float(np.dot(tries, weights)), rel=1e-6)
        assert lost == pytest.approx(1 - sum(weights[:rounds]))


@pytest.mark.parametrize(
    "rate, burst, sentence",
    [(1.0, None, "not including, 1"), (-0.1, None, "probability -0.1"), (0.5, 0.5, "shorter than"), (0.75, 2.0, "shorter than")],
)
def test_what_no_chain_can_do_is_refused(rate, burst, sentence):
    with pytest.raises(ValueError, match=sentence):
        PacketLoss(rate, burst)
