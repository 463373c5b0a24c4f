"""OFDM: what a grant holds, unitarity, and several paths in the frequency domain and through time."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from channels.base import Draw, Grid
from channels.cdl import CDL
from channels.jakes import JakesChannel
from channels.ofdm import OFDM
from channels.rayleigh import Rayleigh
from channels.rician import Rician
from channels.tdl import TDL

PILOTS = {"symbols": [2, 11], "spacing": 2}


def draws(count, seed=0):
    strata = np.random.default_rng([seed, 1]).random(count)
    return [Draw(np.random.default_rng([seed, 2, row]), float(strata[row])) for row in range(count)]


def symbols(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal((*shape, 2))
    return torch.from_numpy(values.view(np.complex128)[..., 0] * math.sqrt(0.5)).to(torch.complex64)


@pytest.mark.parametrize("charge", ["net", "full"])
@pytest.mark.parametrize("pilots", [None, PILOTS])
@pytest.mark.parametrize("uses", [300, 1000, 4096])
def test_layout_accounts_for_every_use(charge, pilots, uses):
    layout = OFDM(pilots=pilots, charge=charge).build().layout(uses)
    assert len(layout.data) + sum(layout.charged.values()) == uses
    assert min(layout.charged.values()) >= 0
    elements = np.concatenate([layout.data, layout.pilots])
    assert np.array_equal(np.sort(elements), np.arange(layout.grid.elements))
    assert layout.charged["pilots"] == len(layout.pilots)
    assert len(layout.grid.tones) == 64 - 7 - 1 and 0 not in layout.grid.tones


def test_a_larger_grant_keeps_the_elements_of_a_smaller_one():
    waveform = OFDM(pilots=PILOTS).build()
    small, large = waveform.layout(1000), waveform.layout(3000)
    assert np.array_equal(large.data[: len(small.data)], small.data)
    assert np.array_equal(large.pilots[: len(small.pilots)], small.pilots)


def test_pilots_lie_where_the_pattern_says():
    layout = OFDM(pilots=PILOTS).build().layout(57 * 20)
    time, tone = np.divmod(layout.pilots, len(layout.grid.tones))
    assert sorted(set(time)) == [2, 11, 16] and set(tone % 2) == {0}


def test_a_budget_below_one_symbol_is_refused_with_the_numbers():
    with pytest.raises(ValueError, match="56 channel uses are less than one OFDM symbol, which takes 57"):
        OFDM().build().layout(56)
    with pytest.raises(ValueError, match="none with pilots, which begin in symbol 2"):
        OFDM(pilots=PILOTS).build().layout(120)
    with pytest.raises(ValueError, match="less than one OFDM symbol, which takes 80"):
        OFDM(charge="full").build().layout(79)


def test_impossible_descriptions_are_refused():
    for fields, words in (
        ({"guards": [40, 40]}, "leave none"),
        ({"cyclic_prefix": 65}, "longer than"),
        ({"pilots": {"symbols": [14]}}, "from 0 to 13"),
    ):
        with pytest.raises(ValidationError, match=words):
            OFDM(**fields)


@pytest.mark.parametrize("size", [64, 12, 7])
def test_samples_are_unitary_and_come_back(size):
    waveform = OFDM(fft_size=size, guards=(1, 1), cyclic_prefix=2).build()
    grid = waveform.layout(200).grid
    x = symbols(3, 2, grid.elements)
    samples = waveform.samples(x, grid)
    assert samples.shape == (3, 2, grid.times * size)
    torch.testing.assert_close(samples.abs().square().sum(-1), x.abs().square().sum(-1))
    torch.testing.assert_close(waveform.elements(samples, grid), x)
    noise = symbols(1, grid.times * size)
    full = OFDM(fft_size=size, guards=(0, 0), dc_null=False, cyclic_prefix=2).build()
    whole = Grid(grid.times, full.description.tones, 15e3, 1e-3, size, 2)
    torch.testing.assert_close(full.elements(noise, whole).abs().square().sum(), noise.abs().square().sum())


@pytest.mark.parametrize("channel", [TDL(delay_spread_ns=0, speed_kmh=0), TDL(profile="D", delay_spread_ns=0, speed_kmh=0)])
def test_one_path_that_stands_still_is_a_flat_channel(channel):
    """OFDM over it is y = h x, element by element, to float precision."""
    layout = OFDM().build().layout(1000)
    h = channel.build().elements(layout.grid, 1, 1, draws(4))
    assert h.shape == (4, 1, 1, layout.grid.elements)
    torch.testing.assert_close(h, h[..., :1].expand(h.shape), rtol=0, atol=1e-6)


def test_ofdm_over_one_tap_equals_the_flat_channel_in_either_domain():
    """Through IFFT, prefix, one tap and FFT a block-fading channel is a multiplication."""
    layout, grid = (layout := OFDM().build().layout(600)), layout.grid
    channel = TDL(delay_spread_ns=0, speed_kmh=0, domain="time").build()
    x = symbols(4, 1, grid.elements)
    h = channel.elements(grid, 1, 1, draws(4))
    y, leak = channel.carry(x, h, grid, channel.draw(grid, 1, 1, draws(4)))
    torch.testing.assert_close(y, h[:, :, 0, :1] * x, rtol=0, atol=2e-6)
    assert float(leak.max()) < 1e-12


@pytest.mark.parametrize("antennas", [(1, 1), (2, 2)])
def test_time_and_frequency_domain_agree_where_the_prefix_covers_a_channel_that_stands_still(antennas):
    grid = OFDM().build().layout(600).grid
    frequency, time = (TDL(profile="B", delay_spread_ns=1000, speed_kmh=0, domain=d).build() for d in ("frequency", "time"))
    x = symbols(3, antennas[1], grid.elements)
    h = frequency.elements(grid, *antennas, draws(3))
    torch.testing.assert_close(time.elements(grid, *antennas, draws(3)), h, rtol=0, atol=2e-6)
    y, leak = time.carry(x, h, grid, time.draw(grid, *antennas, draws(3)))
    torch.testing.assert_close(y, (h * x[:, None]).sum(dim=2), rtol=0, atol=5e-6)
    assert float(leak.abs().max()) < 1e-12


@pytest.mark.parametrize(("spread", "speed"), [(4000.0, 0.0), (300.0, 500.0), (4000.0, 500.0)])
def test_leak_is_the_variance_of_what_reaches_an_element_from_others(spread, speed):
    """Over many messages y - h x has the variance that the channel states, element by element."""
    grid = OFDM(fft_size=16, guards=(1, 1), cyclic_prefix=4, subcarrier_spacing_khz=15).build().layout(60).grid
    channel = TDL(profile="A", delay_spread_ns=spread, speed_kmh=speed, domain="time").build()
    n = 1500
    x = symbols(n, 1, grid.elements)
    h = channel.elements(grid, 1, 1, draws(1)).expand(n, -1, -1, -1)
    drawn = tuple(t.expand(n, *t.shape[1:]) for t in channel.draw(grid, 1, 1, draws(1)))
    y, leak = channel.carry(x, h, grid, drawn)
    rest = y - h[:, :, 0] * x
    ratio = rest.abs().square().mean(dim=0) / leak[0]
    assert float(leak.mean()) > 1e-4
    # |rest|^2 has less than the variance of an exponential variable of its mean
    assert float((ratio - 1).abs().max()) < 5 / math.sqrt(n)
    own = (rest * x.conj()).mean(dim=0).abs() / leak[0].sqrt()  # nothing of the element itself is left
    assert float(own.max()) < 5 / math.sqrt(n)


@pytest.mark.parametrize("domain", ["frequency", "time"])
def test_a_later_burst_meets_the_channel_as_it_is_by_then(domain):
    channel = TDL(profile="A", delay_spread_ns=3000 * (domain == "time"), speed_kmh=300, domain=domain).build()
    grid = OFDM(fft_size=32, cyclic_prefix=8).build().layout(25 * 10).grid
    later = replace(grid, start=6, times=4)
    whole = channel.elements(grid, 1, 1, draws(2))
    h = channel.elements(later, 1, 1, draws(2))
    torch.testing.assert_close(h, whole[..., 6 * len(grid.tones) :], rtol=0, atol=1e-6)
    if domain == "time":
        x = symbols(2, 1, grid.elements)
        given = draws(2)  # handed on from one call to the next, as a simulator may
        y, leak = channel.carry(x, channel.elements(grid, 1, 1, given), grid, channel.draw(grid, 1, 1, given))
        part, part_leak = channel.carry(x[..., 6 * len(grid.tones) :], h, later, channel.draw(later, 1, 1, draws(2)))
        rest = slice(len(grid.tones), None)  # the first symbol of a burst has none before it
        torch.testing.assert_close(part[..., rest], y[..., 6 * len(grid.tones) :][..., rest], rtol=0, atol=1e-5)
        torch.testing.assert_close(part_leak[..., rest], leak[..., 6 * len(grid.tones) :][..., rest], rtol=1e-4, atol=1e-7)


def test_leak_of_motion_is_that_of_the_books():
    """Intercarrier interference of a Jakes spectrum: about (2 pi f_D T)^2 / 24 (Li, Cimini 2001)."""
    channel = TDL(profile="A", delay_spread_ns=0, speed_kmh=500, domain="time").build()
    grid = OFDM(guards=(0, 0), dc_null=False).build().layout(64 * 8).grid
    n = 100
    _, _, leak = channel.draw(grid, 1, 1, draws(n))
    expected = (2 * math.pi * channel.doppler_hz / 15e3) ** 2 / 24
    per_draw = leak.mean(dim=(1, 2)).double()
    assert abs(float(per_draw.mean()) - expected) < 5 * float(per_draw.std()) / math.sqrt(n) + 0.02 * expected


def test_every_path_power_and_its_own_share_add_up():
    """In the mean over draws an element receives all power: its own part and the leak are 1 together."""
    channel = TDL(profile="C", delay_spread_ns=3000, speed_kmh=100, domain="time").build()
    grid = OFDM(guards=(0, 0), dc_null=False, fft_size=32, cyclic_prefix=8).build().layout(32 * 6).grid
    n = 120
    h = channel.elements(grid, 1, 1, draws(n)).abs().square()[:, 0, 0]
    _, _, leak = channel.draw(grid, 1, 1, draws(n))
    total = (h + leak[:, 0])[:, 32:].mean(dim=1).double()  # the first symbol has none before it
    assert abs(float(total.mean()) - 1) < 5 * float(total.std()) / math.sqrt(n)


def test_covariance_is_that_of_the_draws():
    grid = OFDM(fft_size=16, guards=(1, 1), subcarrier_spacing_khz=60).build().layout(70).grid
    elements = np.arange(0, grid.elements, 3)
    n = 1200
    for description in (
        TDL(profile="C", delay_spread_ns=300, speed_kmh=300),
        TDL(profile="D", delay_spread_ns=300, speed_kmh=300),
        TDL(profile="C", delay_spread_ns=2000, speed_kmh=900, domain="time"),
        CDL(profile="B", delay_spread_ns=300, speed_kmh=300),
        Rician(k_db=0, fading="jakes", speed_kmh=300, carrier_ghz=3.5),
    ):
        channel = description.build()
        count = n // 6 if getattr(description, "domain", "") == "time" or description.kind == "cdl" else n
        h = channel.elements(grid, 1, 1, draws(count))[:, 0, 0, elements].numpy().astype(complex) - channel.mean(grid)
        measured = h.T @ h.conj() / count
        expected = channel.covariance(grid, elements, elements)
        assert np.abs(measured - expected).max() < 5 * math.sqrt(2 / count), description
        if hasattr(channel, "scattered"):
            sizes = grid.times, len(grid.tones)
            over_time, over_tones = (f(np.arange(n), np.arange(n)) for f, n in zip(channel.scattered(grid), sizes, strict=True))
            line = channel.specular(grid) if hasattr(channel, "specular") else None
            line = np.zeros(grid.elements) if line is None else line
            whole = np.kron(over_time, over_tones) + np.outer(line, line.conj())
            np.testing.assert_allclose(whole[np.ix_(elements, elements)], expected, atol=1e-9)


def test_jakes_fading_has_one_clock_for_uses_and_for_ofdm():
    """A use of doppler d is a sample of OFDM; a speed gives the same shift."""
    given = Rayleigh(fading="jakes", doppler=1e-3).build()
    grid = OFDM().build().layout(600).grid
    rate = 64 * 15.0
    speed = 1e-3 * rate * 1e3 * 299_792_458.0 / 3.5e9 * 3.6
    moved = JakesChannel(0.0, None, 1e-3 * rate * 1e3, rate * 1e3)
    assert given.turns(grid) == pytest.approx(moved.turns(grid)) == pytest.approx(0.08)
    assert given.turns(Grid(10)) == pytest.approx(moved.turns(Grid(10))) == pytest.approx(1e-3)
    if speed <= 1000:
        assert Rayleigh(fading="jakes", speed_kmh=speed, carrier_ghz=3.5).build().turns(grid) == pytest.approx(0.08)
    every = given.elements(grid, 1, 1, draws(2))[:, 0, 0].unflatten(-1, (grid.times, len(grid.tones)))
    assert torch.equal(every[..., 0], every[..., -1])
    uses = given.draw(10 * 80, draws(2)).h  # the same draw, use by use
    torch.testing.assert_close(every[:, :10, 0], uses[:, ::80], rtol=0, atol=1e-6)


@pytest.mark.parametrize("fields", [{"fading": "jakes"}, {"fading": "jakes", "doppler": 0.01, "speed_kmh": 3.0},
                                    {"fading": "jakes", "speed_kmh": 3.0}, {"fading": "block", "doppler": 0.1},
                                    {"fading": "jakes", "doppler": 0.01, "coherence": 3}])  # fmt: skip
def test_jakes_fields_that_contradict_are_refused(fields):
    with pytest.raises(ValidationError):
        Rayleigh(**fields)


def test_conflicts_are_told_with_their_numbers():
    long = TDL(profile="C", delay_spread_ns=3000)
    assert "needs a waveform" in long.conflict([long])
    ofdm = OFDM()
    sentence = long.conflict([ofdm, long])
    assert "25.96 us" in sentence and "16.67 us" in sentence and "set cyclic_prefix to 25" in sentence
    assert long.model_copy(update={"domain": "time"}).conflict([ofdm, long]) is None
    assert "whole OFDM symbol" in TDL(delay_spread_ns=20000, domain="time").conflict([ofdm])
    assert TDL().conflict([ofdm, TDL()]) is None
    slow = Rayleigh(fading="jakes", speed_kmh=3, carrier_ghz=3.5)
    assert "symbol_rate_khz" in slow.conflict([slow]) and slow.conflict([ofdm, slow]) is None
