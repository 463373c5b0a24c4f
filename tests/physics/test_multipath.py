"""Coherence in time and frequency: Jakes' spectrum, the delay profiles of TR 38.901, and Sionna as the reference."""

import math

import numpy as np
import pytest
import torch
from scipy import special, stats

from channels._sionna import sionna_phy
from channels.base import Draw
from channels.jakes import WAVES_ALONE, WAVES_OF_A_PATH, Specular, draw_paths
from channels.multipath import doppler_hz
from channels.tr38901 import LONGEST, CDLDraw, cdl_clusters, cdl_multipath, draw_cdl, tdl_profile

DOPPLER = 100.0


def draws(count, seed=0, stratified=False):
    """Independent draws: strata are random here, as averages over draws need no more than that."""
    strata = np.random.default_rng([seed, 1]).random(count)
    if stratified:
        strata = (np.arange(count) + 0.5) / count
    return [Draw(np.random.default_rng([seed, 2, row]), float(strata[row])) for row in range(count)]


def rms_delay_spread(delays, powers):
    weights = powers / powers.sum()
    return math.sqrt(weights @ delays**2 - (weights @ delays) ** 2)


def alone(given, max_doppler=DOPPLER, **kwargs):
    return draw_paths(given, np.zeros(1), np.ones(1), max_doppler, waves=WAVES_ALONE, **kwargs)


def test_autocorrelation_over_draws_is_j0():
    n, step = 2000, 1e-3
    g = alone(draws(n)).gains(step, 40)[:, 0, 0, 0].numpy()
    measured = (g * g[:, :1].conj()).mean(axis=0)
    expected = special.j0(2 * math.pi * DOPPLER * step * np.arange(40))
    # each product of two unit-power gains has variance 1 + |rho|^2 at most 2
    assert np.abs(measured - expected).max() < 5 * math.sqrt(2 / n)


def test_autocorrelation_of_one_draw_is_j0_well_beyond_the_coherence_time():
    """Equally spaced angles integrate over the circle so well that one draw has the spectrum of all of them."""
    for waves in (WAVES_ALONE, WAVES_OF_A_PATH):
        wave = draw_paths(draws(5), np.zeros(1), np.ones(1), 1.0, waves=waves)
        lag = np.linspace(0, (waves - 12) / (2 * math.pi), 50)
        rho = np.exp(2j * math.pi * wave.doppler.numpy()[:, 0, :, None] * lag).mean(axis=1)
        assert np.abs(rho - special.j0(2 * math.pi * lag)).max() < 1e-3


@pytest.mark.parametrize("step", [0.0, 1.3e-3, 0.2])
def test_gain_is_complex_gaussian_at_any_time(step):
    g = alone(draws(3000)).gains(step, 2)[:, 0, 0, 0, 1].numpy()
    assert stats.kstest(np.abs(g) ** 2, "expon").pvalue > 1e-3
    assert stats.kstest(np.angle(g), stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 1e-3


def test_gain_at_the_start_takes_its_stratum_whatever_the_profile():
    given = draws(64, stratified=True)
    profile = tdl_profile("A")
    for wave in (alone(given, antennas=(2, 2)), draw_paths(given, profile.delays, profile.powers, DOPPLER)):
        power = wave.response(1e-3, 1, torch.zeros(1))[:, 0, 0, 0, 0].abs().double().numpy() ** 2
        np.testing.assert_allclose(stats.expon.cdf(power), [d.stratum for d in given], atol=1e-6)
        given = draws(64, stratified=True)


def test_stratum_holds_with_a_line_of_sight():
    profile, given = tdl_profile("D"), draws(64, stratified=True)
    wave = draw_paths(given, profile.delays, profile.powers, DOPPLER, specular=Specular(profile.los, 0.7, True))
    power = wave.response(1e-3, 1, torch.zeros(1))[:, 0, 0, 0, 0].abs().double().numpy() ** 2
    k = profile.los / profile.powers.sum()
    np.testing.assert_allclose(stats.ncx2.cdf(2 * (1 + k) * power, 2, 2 * k), [d.stratum for d in given], atol=1e-4)


def test_draws_depend_on_neither_doppler_nor_delays_nor_the_number_of_antennas():
    profile = tdl_profile("C")
    slow = draw_paths(draws(3), profile.delays * 1e-9, profile.powers, 3.0)
    fast = draw_paths(draws(3), profile.delays * 3e-7, profile.powers, 300.0, antennas=(2, 2))
    assert torch.equal(slow.amplitude[:, 0, 0], fast.amplitude[:, 0, 0])
    torch.testing.assert_close(slow.doppler * 100.0, fast.doppler)


def test_a_row_does_not_depend_on_its_neighbours_and_a_longer_burst_keeps_the_prefix():
    profile, f = tdl_profile("B"), torch.arange(4.0) * 15e3
    wave = draw_paths(draws(5), profile.delays * 1e-6, profile.powers, DOPPLER)
    row = draw_paths(draws(5)[3:4], profile.delays * 1e-6, profile.powers, DOPPLER)
    long = wave.response(1e-3, 100, f)
    torch.testing.assert_close(wave.response(1e-3, 33, f), long[:, :33], rtol=0, atol=1e-6)
    torch.testing.assert_close(row.response(1e-3, 100, f), long[3:4], rtol=0, atol=1e-6)


def test_gains_are_the_sum_that_they_stand_for():
    profile = tdl_profile("A")
    wave = draw_paths(draws(2), profile.delays * 1e-6, profile.powers, DOPPLER, antennas=(2, 1))
    times = 0.01 + 1e-3 * torch.arange(70, dtype=torch.float64)
    phase = 2j * math.pi * wave.doppler[..., None] * times
    expected = (wave.amplitude[..., None] * phase[:, None, None].exp()).sum(dim=-2)
    torch.testing.assert_close(wave.gains(1e-3, 70, start=0.01), expected, rtol=0, atol=1e-12)


def test_pieces_of_rows_give_what_one_go_gives(monkeypatch):
    profile, f = tdl_profile("A"), torch.arange(8.0) * 15e3
    wave = draw_paths(draws(7), profile.delays * 1e-6, profile.powers, DOPPLER)
    whole = wave.response(1e-3, 40, f)
    monkeypatch.setattr("channels.multipath._AT_A_TIME", 1)
    torch.testing.assert_close(wave.response(1e-3, 40, f), whole, rtol=0, atol=1e-6)


def test_antenna_pairs_are_independent_and_of_unit_power():
    n, profile = 600, tdl_profile("C")
    wave = draw_paths(draws(n), profile.delays * 3e-7, profile.powers, DOPPLER, antennas=(2, 2))
    h = wave.response(1e-3, 1, torch.zeros(1))[:, 0, 0].flatten(1).numpy()
    covariance = h.T @ h.conj() / n
    assert np.abs(covariance - np.eye(4)).max() < 5 / math.sqrt(n)


@pytest.mark.parametrize("name", "ABCDE")
def test_power_and_delay_profile_are_those_of_the_table(name):
    """Mean power of every tap over draws, and the RMS delay spread: 1 by the table's own normalisation (7.7.2)."""
    profile, n = tdl_profile(name), 800
    specular = Specular(profile.los, 0.7, True) if profile.los else None
    wave = draw_paths(draws(n), profile.delays, profile.powers, DOPPLER, specular=specular)
    power = wave.gains(1e-3, 1)[:, 0, 0, :, 0].abs().square().mean(dim=0).numpy()
    # the variance of |g|^2 is at most its squared mean, over n independent draws
    assert (np.abs(power - profile.total) < 5 * profile.total / math.sqrt(n)).all()
    assert profile.total.sum() == pytest.approx(1.0)
    assert profile.delays.max() == pytest.approx(LONGEST[name])
    # the table's delays have four digits; TDL-D's own spread is 0.994
    assert rms_delay_spread(profile.delays, profile.total) == pytest.approx(1.0, abs=7e-3)
    # the spread of the measured profile: delta method, from the relative errors of the taps
    mean = power @ profile.delays / power.sum()
    slope = profile.total * ((profile.delays - mean) ** 2 - 1.0) / 2.0
    assert rms_delay_spread(profile.delays, power) == pytest.approx(1.0, abs=7e-3 + 5 * math.sqrt((slope**2).sum() / n))


@pytest.mark.parametrize(("name", "k_db"), [("D", 13.3), ("E", 22.0)])
def test_k_factor_of_the_first_tap(name, k_db):
    """TR 38.901, tables 7.7.2-4 and -5, state K_1 = 13.3 dB and 22 dB."""
    assert 10 * math.log10(tdl_profile(name).k_factor) == pytest.approx(k_db, abs=1e-6)
    profile, n = tdl_profile(name), 800
    wave = draw_paths(draws(n), profile.delays, profile.powers, DOPPLER, specular=Specular(profile.los, 0.7, True))
    power = wave.gains(1e-3, 1)[:, 0, 0, 0, 0].abs().square().numpy()
    k = profile.k_factor
    # of a Rician gain, var(p) / mean(p)^2 = (1 + 2 K) / (1 + K)^2
    expected = (1 + 2 * k) / (1 + k) ** 2
    assert power.var() / power.mean() ** 2 == pytest.approx(expected, rel=5 * math.sqrt(3 / n))


def sionna_response(name, n, times, step, frequencies, antennas, seed):
    phy = sionna_phy()
    model = phy.channel.tr38901.TDL(
        name, 3e-7, 3.5e9, min_speed=30.0, num_rx_ant=antennas[0], num_tx_ant=antennas[1], device="cpu"
    )
    phy.config.torch_rng("cpu").manual_seed(seed)
    a, tau = model(n, times, 1 / step)
    h = phy.channel.cir_to_ofdm_channel(frequencies.float(), a, tau)  # [n, 1, nr, 1, nt, T, F]
    return h[:, 0, :, 0].permute(0, 3, 4, 1, 2)


@pytest.mark.parametrize("name", ["A", "C", "E"])
def test_second_order_statistics_are_those_of_sionnas_tdl(name):
    """Mean power and correlation over time and frequency, ours and Sionna's, within the error of both samples."""
    n, times, step, f = 700, 5, 4e-4, torch.arange(4, dtype=torch.float64) * 240e3
    profile = tdl_profile(name)
    specular = Specular(profile.los, 0.7, True) if profile.los else None
    wave = draw_paths(draws(n), profile.delays * 3e-7, profile.powers, doppler_hz(108.0, 3.5), specular=specular)
    ours = wave.response(step, times, f)[..., 0, 0].flatten(1).numpy()
    theirs = sionna_response(name, n, times, step, f, (1, 1), 7)[..., 0, 0].flatten(1).numpy()
    difference = ours.T @ ours.conj() / n - theirs.T @ theirs.conj() / n
    assert np.abs(difference).max() < 5 * math.sqrt(2 * 2 / n)


def sionna_cdl(name, drawn, speed, spread, carrier, times, step, antennas):
    """Sionna's CDL itself, handed the coupling, phases and heading of ``drawn``: [U, T, nr, nt, P]."""
    phy = sionna_phy()
    tr38901 = phy.channel.tr38901

    def array(count):
        return tr38901.PanelArray(1, count, "single", "V", "omni", carrier, precision="double", device="cpu")

    rows = len(drawn.heading)
    heading = torch.from_numpy(drawn.heading)
    velocity = speed * torch.stack([heading.cos(), heading.sin(), torch.zeros(rows)], dim=-1)
    model = tr38901.CDL(
        name, spread, carrier, array(antennas[0]), array(antennas[1]), ut_velocity=velocity, precision="double", device="cpu"
    )

    def couple(aoa, aod, zoa, zod):
        order = torch.from_numpy(drawn.coupling)[:, :, None, None]
        return tuple(a.gather(-1, order[:, i]) for a, i in ((aoa, 1), (aod, 0), (zoa, 3), (zod, 2)))

    model._random_coupling = couple
    model._cir_gen._step_10 = lambda shape: torch.from_numpy(drawn.phases)[:, None, None]
    a, tau = model(rows, times, 1 / step)
    return a[:, 0, :, 0].permute(0, 4, 1, 2, 3), tau[0, 0, 0]


@pytest.mark.parametrize("name", ["A", "C", "D"])
def test_waves_of_a_cdl_are_sionnas(name):
    clusters = cdl_clusters(name)
    drawn = draw_cdl(draws(3), len(clusters.profile.delays))
    drawn = CDLDraw(drawn.coupling, drawn.phases, 0.0 * drawn.los_phase, drawn.heading)  # Sionna's line of sight has phase 0
    spread, carrier, speed, step = 3e-7, 3.5e9, 30.0, 1e-3
    theirs, tau = sionna_cdl(name, drawn, speed, spread, carrier, 6, step, (2, 3))
    wave = cdl_multipath(clusters, drawn, spread, carrier, speed, (2, 3))
    order = torch.argsort(wave.delays, stable=True)  # Sionna sorts by delay, which CDL-D's table is not
    ours = wave.gains(step, 6)[:, :, :, order].permute(0, 4, 1, 2, 3)
    torch.testing.assert_close(wave.delays[order], tau, rtol=1e-9, atol=0)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", "ABCDE")
def test_cdl_has_unit_power_a_pair_and_the_tables_profile(name):
    clusters, n = cdl_clusters(name), 600
    wave = cdl_multipath(clusters, draw_cdl(draws(n), len(clusters.profile.delays)), 1.0, 3.5e9, 0.0, (2, 2))
    np.testing.assert_allclose(
        wave.amplitude.abs().square().sum(dim=-1).mean(dim=0)[0, 0].numpy(), clusters.profile.total, rtol=1e-9
    )
    power = wave.gains(1e-3, 1)[..., 0].sum(dim=-1).abs().square()
    # |h|^2 of many waves has at most the variance of an exponential variable
    assert float((power.mean(dim=0) - 1).abs().max()) < 5 / math.sqrt(n)
    assert rms_delay_spread(clusters.profile.delays, clusters.profile.total) == pytest.approx(1.0, abs=7e-3)
