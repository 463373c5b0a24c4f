"""The MCS table and its measured block error rates."""

import math
from fractions import Fraction

import numpy as np
import pytest

from channels import measure_bler
from channels.mcs import MCS, block_error_rate, find, snr_for_block_error_rate
from channels.theory import normal_approximation


def test_table_is_the_promised_one():
    assert [m.name for m in MCS[:4]] == ["qpsk-1/12", "qpsk-1/8", "qpsk-1/5", "qpsk-1/3"] and len(MCS) == 23
    assert find("256qam-3/4").bits_per_symbol == 8 and find("256qam-3/4").rate == Fraction(3, 4)
    with pytest.raises(ValueError, match="did you mean 'qpsk-1/2'"):
        find("qpsk-1/22")


@pytest.mark.parametrize("mcs", MCS, ids=lambda m: m.name)
def test_measured_rates_fall_with_snr_from_one_to_zero(mcs):
    for bits in (30, 256, 700, 1024, 8448):
        rates = [block_error_rate(mcs, snr_db, bits) for snr_db in np.arange(-15.0, 45.0, 0.1)]
        assert rates[0] == 1.0 and rates[-1] == 0.0
        assert all(a >= b for a, b in zip(rates, rates[1:]))


@pytest.mark.parametrize("mcs", MCS, ids=lambda m: m.name)
def test_no_code_beats_the_best_possible_one(mcs):
    """Ten per cent of blocks fail at an SNR above, and within 3 dB of, what the normal approximation needs."""
    bits = 1024
    snr_db = snr_for_block_error_rate(mcs, 0.1, bits)
    uses = math.ceil(bits / mcs.efficiency)
    grid = np.arange(-15.0, 40.0, 0.05)
    best = next(s for s in grid if normal_approximation(uses, 10 ** (s / 10), 0.1) >= bits)
    assert best < snr_db < best + 3.0


def test_a_point_of_the_table_can_be_measured_again(tmp_path):
    """The stored count is what the command measures, from the seed that it names."""
    mcs = find("qpsk-1/2")
    points = {key: value for key, value in measure_bler.read(measure_bler.BLER_TABLE).items() if key[:2] == ("qpsk-1/2", 1024)}
    (name, bits, snr_db), (blocks, errors) = max(points.items(), key=lambda item: item[1][1] / item[1][0])
    again = measure_bler.Block(mcs, bits).count(snr_db, most_blocks=blocks)
    # A verdict may flip at a tie of rounding between machines.
    assert again[0] == blocks and abs(again[1] - errors) <= 1


def test_a_stopped_measurement_goes_on(tmp_path):
    path = tmp_path / "table.csv"
    measure_bler.append(path, ("qpsk-1/2", 256, 1.0), (100, 40))
    measure_bler.append(path, ("qpsk-1/2", 256, 1.5), (100, 10))
    assert measure_bler.read(path) == {("qpsk-1/2", 256, 1.0): (100, 40), ("qpsk-1/2", 256, 1.5): (100, 10)}


def test_the_rate_between_two_measured_points_is_what_is_measured_there():
    """A quarter of a dB from the table's points, in the upper half of the fall."""
    blocks, snr_db, name, bits = 150, 0.75, "qpsk-1/2", 1024
    assert (name, bits, snr_db) not in measure_bler.read(measure_bler.BLER_TABLE)
    _, errors = measure_bler.Block(find(name), bits).count(snr_db, most_blocks=blocks, enough_errors=blocks)
    predicted = block_error_rate(find(name), snr_db, bits)
    assert abs(errors / blocks - predicted) < 4.0 * math.sqrt(predicted * (1.0 - predicted) / blocks)
