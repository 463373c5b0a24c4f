"""Channel estimates from pilots: closed forms, and honesty in every bin of |h estimate|."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from channels.base import Draw, Layout, Sounding
from channels.cdl import CDL
from channels.coherence import pilot_conflict
from channels.estimation import lmmse, ls
from channels.ofdm import OFDM
from channels.rayleigh import Rayleigh
from channels.rician import Rician
from channels.tdl import TDL

WAVEFORM = OFDM(
    fft_size=16, guards=(2, 1), subcarrier_spacing_khz=30, cyclic_prefix=4, pilots={"symbols": [1, 5], "spacing": 3, "slot": 7}
)
CHANNELS = {
    "tdl c": TDL(profile="C", delay_spread_ns=200, speed_kmh=200),
    "tdl d": TDL(profile="D", delay_spread_ns=200, speed_kmh=200),
    "rayleigh": Rayleigh(fading="jakes", speed_kmh=200, carrier_ghz=3.5),
    "rician": Rician(k_db=3, fading="jakes", speed_kmh=200, carrier_ghz=3.5),
    "blocks": Rician(k_db=0, coherence=26),
    "cdl a": CDL(profile="A", delay_spread_ns=200, speed_kmh=200),
}


def complex_normal(rng, *shape):
    return rng.standard_normal((*shape, 2)).view(np.complex128)[..., 0] * math.sqrt(0.5)


def gaussian(channel, grid, n, rng):
    """h [n, E] of the channel's mean, covariance and line of sight: complex Gaussian beside the latter."""
    every = np.arange(grid.elements)
    line = channel.specular(grid) if hasattr(channel, "specular") else None
    line = np.zeros(grid.elements) if line is None else line
    values, basis = np.linalg.eigh(channel.covariance(grid, every, every) - np.outer(line, line.conj()))
    h = (complex_normal(rng, n, grid.elements) * np.sqrt(np.maximum(values, 0))) @ basis.T
    return h + channel.mean(grid) + line * np.exp(2j * np.pi * rng.random((n, 1)))


def sounded(layout, h, noise_var, rng):
    """[n, 1, p] of h [n, E]."""
    seen = h[:, layout.pilots] + math.sqrt(noise_var) * complex_normal(rng, len(h), len(layout.pilots))
    seen = torch.from_numpy(seen[:, None]).to(torch.complex64)
    return Sounding(layout, seen, np.zeros(len(layout.pilots), dtype=int), torch.full((1, 1, 1), noise_var), 1)


def assert_honest(h, estimate, draws_in_a_bin):
    """In every bin of |estimate| the slope of h is 1 and the error has the stated variance."""
    guess, variance = estimate.h[:, 0, 0].numpy().astype(complex), estimate.error_var.expand(estimate.h.shape)[:, 0, 0].numpy()
    edges = np.quantile(np.abs(guess), np.linspace(0, 1, 6))
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        here = (np.abs(guess) >= low) & (np.abs(guess) <= high)
        size = np.abs(guess[here]) ** 2
        slope = (h[here] * guess[here].conj()).real.sum() / size.sum()
        # the error of a slope: its noise over the signal, half of it in phase
        assert abs(slope - 1) < 5 * math.sqrt(variance[here].mean() / 2 / size.mean() / draws_in_a_bin)
        ratio = (np.abs(h[here] - guess[here]) ** 2 / variance[here]).mean()
        assert abs(ratio - 1) < 5 / math.sqrt(draws_in_a_bin)


@pytest.mark.parametrize("snr_db", [-5, 10, 30])
@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("estimator", [ls, lmmse])
def test_estimates_are_honest_in_every_bin(estimator, name, snr_db):
    rng, n = np.random.default_rng(1), 6000
    channel, layout = CHANNELS[name].build(), WAVEFORM.build().layout(14 * 13)
    layout = replace(layout, data=layout.data[::9])
    h = gaussian(channel, layout.grid, n, rng)
    estimate = estimator(sounded(layout, h, 10 ** (-snr_db / 10), rng), channel)
    assert estimate.h.shape == (n, 1, 1, len(layout.data)) and estimate.h.dtype == torch.complex64
    assert_honest(h[:, layout.data], estimate, n / 5)


@pytest.mark.parametrize("name", ["tdl c", "tdl d", "rician"])
@pytest.mark.parametrize("estimator", [ls, lmmse])
def test_estimates_of_drawn_channels_are_honest_too(estimator, name):
    rng, n = np.random.default_rng(2), 1000
    channel, layout = CHANNELS[name].build(), WAVEFORM.build().layout(14 * 13)
    strata = rng.random(n)
    draws = [Draw(np.random.default_rng([3, row]), float(strata[row])) for row in range(n)]
    h = channel.elements(layout.grid, 1, 1, draws)[:, 0, 0].numpy().astype(complex)
    assert_honest(h[:, layout.data], estimator(sounded(layout, h, 0.05, rng), channel), n / 5)


@pytest.mark.parametrize("name", ["tdl c", "tdl d", "rayleigh", "blocks"])
def test_kronecker_and_dense_solutions_agree(name):
    channel, layout = CHANNELS[name].build(), WAVEFORM.build().layout(21 * 13)
    rng = np.random.default_rng(4)
    sounding = sounded(layout, gaussian(channel, layout.grid, 5, rng), 0.01, rng)
    fast = lmmse(sounding, channel)

    class Plain:  # the same channel, which does not say that it is separable
        mean, covariance = channel.mean, channel.covariance
        if hasattr(channel, "specular"):
            specular = channel.specular

    dense = lmmse(sounding, Plain())
    torch.testing.assert_close(fast.h, dense.h, rtol=0, atol=2e-4)
    torch.testing.assert_close(fast.error_var, dense.error_var, rtol=1e-3, atol=1e-6)


def test_lmmse_is_the_textbook_solution():
    channel, layout = CHANNELS["rician"].build(), WAVEFORM.build().layout(14 * 13)
    rng = np.random.default_rng(5)
    sounding = sounded(layout, gaussian(channel, layout.grid, 3, rng), 0.1, rng)
    among = channel.covariance(layout.grid, layout.pilots, layout.pilots) + 0.1 * np.eye(len(layout.pilots))
    across = channel.covariance(layout.grid, layout.data, layout.pilots)
    gain = across @ np.linalg.inv(among)
    mean = channel.mean(layout.grid)
    expected = mean + (sounding.seen[:, 0].numpy() - mean) @ gain.T
    error = channel.covariance(layout.grid, layout.data[:1], layout.data[:1])[0, 0].real - (gain * across.conj()).sum(axis=1).real
    estimate = lmmse(sounding, channel)
    np.testing.assert_allclose(estimate.h[:, 0, 0].numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(estimate.error_var[0, 0, 0].numpy(), error, rtol=1e-4)


def test_error_of_least_squares_is_the_noise_and_lmmse_averages_it():
    """A channel that never changes: z = h + w at each of P pilots leaves s / (1 + s), and all of them s / (P + s)."""
    channel, layout = Rayleigh(fading="jakes", doppler=0.0).build(), WAVEFORM.build().layout(7 * 13)
    rng, s = np.random.default_rng(6), 0.2
    sounding = sounded(layout, gaussian(channel, layout.grid, 4, rng), s, rng)
    count = len(layout.pilots)
    np.testing.assert_allclose(ls(sounding, channel, "nearest").error_var.numpy(), s / (1 + s), rtol=1e-5)
    np.testing.assert_allclose(lmmse(sounding, channel).error_var.numpy(), s / (count + s), rtol=1e-4)
    average = sounding.seen.mean(dim=-1) * count / (count + s)
    torch.testing.assert_close(lmmse(sounding, channel).h[:, 0, 0], average.expand(-1, len(layout.data)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["tdl c", "rayleigh", "cdl a"])
@pytest.mark.parametrize("noise_var", [1e-3, 0.1, 2.0])
def test_lmmse_is_never_worse_than_least_squares(name, noise_var):
    channel, layout = CHANNELS[name].build(), WAVEFORM.build().layout(14 * 13)
    rng = np.random.default_rng(7)
    sounding = sounded(layout, gaussian(channel, layout.grid, 1, rng), noise_var, rng)
    assert bool((lmmse(sounding, channel).error_var <= ls(sounding, channel).error_var + 1e-5).all())


def test_a_line_of_sight_is_known_once_its_phase_is():
    """At high SNR both estimators follow it; at low SNR nothing is known of it, and the error variance is 1."""
    channel, layout = TDL(profile="D", delay_spread_ns=0, speed_kmh=0).build(), WAVEFORM.build().layout(7 * 13)
    rng = np.random.default_rng(8)
    h = gaussian(channel, layout.grid, 50, rng)
    for estimator in (ls, lmmse):
        assert float(estimator(sounded(layout, h, 1e-5, rng), channel).error_var.max()) < 2e-5
        blind = estimator(sounded(layout, h, 1e6, rng), channel)
        assert float(blind.h.abs().max()) < 0.05 and float(blind.error_var.min()) > 0.99


def test_least_squares_interpolates_linearly_and_holds_the_ends():
    """With no noise, and a channel that is linear over the grid, the interpolated values are exact between pilots."""
    from channels.estimation import _weights

    layout = WAVEFORM.build().layout(14 * 13)
    tones = np.asarray(layout.grid.tones)
    time, tone = np.divmod(np.arange(layout.grid.elements), len(tones))
    plane = 2.0 + 0.3 * time - 0.1 * tones[tone]
    for interpolation in ("linear", "nearest"):
        pilot, weight = _weights(layout, layout.pilots, interpolation)
        np.testing.assert_allclose(weight.sum(axis=1), 1.0)
        value = (plane[layout.pilots][pilot] * weight).sum(axis=1)
        at_time, at_tone = np.divmod(layout.data, len(tones))
        pilot_time, pilot_tone = np.divmod(layout.pilots, len(tones))
        inside = (at_time >= pilot_time.min()) & (at_time <= pilot_time.max())
        inside &= (at_tone >= pilot_tone.min()) & (at_tone <= pilot_tone.max())
        if interpolation == "linear":
            np.testing.assert_allclose(value[inside], plane[layout.data][inside])
        assert plane[layout.pilots].min() - 1e-9 <= value.min() and value.max() <= plane[layout.pilots].max() + 1e-9


def test_antennas_are_estimated_from_their_own_pilots():
    channel, layout = CHANNELS["tdl c"].build(), WAVEFORM.build().layout(14 * 13)
    rng = np.random.default_rng(9)
    h = [gaussian(channel, layout.grid, 4, rng) for _ in range(4)]  # pairs (0, 0), (0, 1), (1, 0), (1, 1) of receive, transmit
    _, tone = np.divmod(layout.pilots, len(layout.grid.tones))
    antenna = np.unique(tone, return_inverse=True)[1] % 2
    clean = np.stack(
        [np.stack([h[2 * r + t][:, layout.pilots] for t in (0, 1)], -1)[:, range(len(antenna)), antenna] for r in (0, 1)], 1
    )
    sounding = Sounding(layout, torch.from_numpy(clean).to(torch.complex64), antenna, torch.full((1, 1, 1), 1e-3), 2)
    together = lmmse(sounding, channel)
    for r in (0, 1):
        for t in (0, 1):
            mine = np.flatnonzero(antenna == t)
            alone = Sounding(
                replace(layout, pilots=layout.pilots[mine]),
                sounding.seen[:, r : r + 1, mine],
                antenna[mine] * 0,
                sounding.noise_var,
                1,
            )
            expected = lmmse(alone, channel)
            torch.testing.assert_close(together.h[:, r, t], expected.h[:, 0, 0])
            torch.testing.assert_close(together.error_var[:, r, t], expected.error_var[:, 0, 0])
    with pytest.raises(ValueError, match="antenna 2 of 3 sent no pilot"):
        lmmse(replace(sounding, transmit=3), channel)


def test_pilots_that_are_known_to_be_lost_are_left_out():
    channel, layout = CHANNELS["tdl d"].build(), WAVEFORM.build().layout(14 * 13)
    rng = np.random.default_rng(10)
    sounding = sounded(layout, gaussian(channel, layout.grid, 3, rng), 0.1, rng)
    noise = sounding.noise_var.expand(sounding.seen.shape).clone()
    noise[1, 0, ::2], noise[2] = math.inf, math.inf
    for estimator in (ls, lmmse):
        estimate, whole = estimator(replace(sounding, noise_var=noise), channel), estimator(sounding, channel)
        rest = Layout(layout.uses, layout.grid, layout.data, layout.pilots[1::2])
        fewer = Sounding(rest, sounding.seen[..., 1::2], sounding.antenna[1::2], sounding.noise_var, 1)
        torch.testing.assert_close(estimate.h[:1], whole.h[:1])
        torch.testing.assert_close(estimate.h[1:2], estimator(fewer, channel).h[1:2])
        assert not bool(estimate.h[2].any()) and torch.allclose(estimate.error_var[2], torch.ones(()))


def test_rows_meet_their_own_noise():
    channel, layout = CHANNELS["tdl c"].build(), WAVEFORM.build().layout(14 * 13)
    rng = np.random.default_rng(11)
    sounding = sounded(layout, gaussian(channel, layout.grid, 3, rng), 0.1, rng)
    noise = torch.tensor([0.1, 0.5, 0.1])[:, None, None]
    for estimator in (ls, lmmse):
        together = estimator(replace(sounding, noise_var=noise), channel)
        for row in range(3):
            alone = estimator(replace(sounding, seen=sounding.seen[row : row + 1], noise_var=noise[row : row + 1]), channel)
            torch.testing.assert_close(together.h[row], alone.h[0], rtol=0, atol=1e-5)
            torch.testing.assert_close(together.error_var[row], alone.error_var[0])


class _CSI:
    STAGE, estimate = "csi", "lmmse"


def test_pilots_that_do_not_cover_the_coherence_are_refused_with_the_numbers():
    sparse = OFDM(pilots={"symbols": [2, 11], "spacing": 8})
    fast, late = TDL(speed_kmh=600, carrier_ghz=6), TDL(profile="E", delay_spread_ns=700)
    sentence = fast.conflict([sparse, fast, _CSI()])
    assert "9 OFDM symbols apart (0.75 ms)" in sentence and "3336 Hz" in sentence and "0.15 ms" in sentence
    sentence = late.conflict([sparse, late, _CSI()])
    assert "8 subcarriers (120 kHz) apart" in sentence and "14.46 us" in sentence and "69.17 kHz" in sentence
    assert fast.conflict([sparse, fast]) is None  # nothing is estimated
    dense = OFDM(pilots={"symbols": [0, 1, 2, 3], "spacing": 2, "slot": 4}, fft_size=128)
    assert pilot_conflict("tdl", 1e-6, 1000.0, [dense, fast, _CSI()]) is None
    assert "from pilots, and ofdm has none" in OFDM().conflict([OFDM(), fast, _CSI()])
