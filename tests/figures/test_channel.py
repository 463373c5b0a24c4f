"""Views of a channel: the numbers behind them are the channel's, and figures of every kind of chain are made."""

import math

import numpy as np
import pytest
from matplotlib.text import Text

from channels.chain import normal
from semcom import registry
from semcom.cli.channel_views import draw_channels
from semcom.errors import SemcomError
from semcom.figures import channel as figures
from semcom.figures import style
from semcom.link.view import view
from semcom.rng import Streams
from semcom.scenario import from_mapping

OFDM = {"kind": "ofdm", "fft_size": 32, "cyclic_prefix": 8, "guards": [2, 1], "pilots": {"symbols": [1], "slot": 5, "spacing": 2}}
TDL = {"kind": "tdl", "profile": "A", "delay_spread_ns": 300, "speed_kmh": 60}
SIGMAS = 4.5


def seen(*written, snr_db=15.0, uses=29 * 10, rows=200, bits=2):
    channel = normal([registry.parse("channel", one) for one in written])
    return view(channel, snr_db, uses, Streams.of([f"image {i}" for i in range(rows)]), bits)


@pytest.mark.parametrize("estimate", ["ls", "lmmse"])
@pytest.mark.parametrize("antennas", [(), ({"kind": "mimo"},)])
def test_the_error_of_the_estimate_is_what_the_stage_says(estimate, antennas):
    one = seen(OFDM, *antennas, TDL, {"kind": "csi", "estimate": estimate})
    errors = np.abs(one.estimate - one.known) ** 2
    assert one.estimate.shape == one.error_var.shape == errors.shape
    rows = (errors.mean(axis=(1, 2, 3)) / one.error_var.mean(axis=(1, 2, 3))).astype(float)
    assert rows.mean() == pytest.approx(1.0, abs=SIGMAS * rows.std() / math.sqrt(len(rows)))


def test_a_view_is_of_what_links_meet():
    """Equalised symbols are y / h with the truth, and noise is that of the streams."""
    one = seen("rayleigh", rows=3)
    np.testing.assert_allclose(one.symbols, one.received / one.known[:, 0, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(one.noise_std, 10 ** (-15 / 20) / np.abs(one.known[:, 0, 0]), rtol=1e-5)
    assert set(np.round(one.sent.ravel(), 5)) == set(np.round(one.points, 5)) and len(one.points) == 4


def test_without_csi_nothing_is_known():
    one = seen("rayleigh", {"kind": "csi", "estimate": "none"}, rows=2)
    assert one.estimate is None and one.error_var is None and np.array_equal(one.symbols, one.received)


def test_samples_of_hardware_have_mean_power_one_before_it():
    one = seen(OFDM, {"kind": "amplifier", "backoff_db": 3}, TDL, rows=50, bits=4)
    power = np.abs(one.samples) ** 2
    assert float(power.mean()) == pytest.approx(1.0, rel=SIGMAS * math.sqrt(0.32 / one.sent.size))  # of 16-QAM: kurtosis 1.32
    assert float((np.abs(one.radiated) ** 2).max()) < 1.0  # saturation


def test_the_drawn_error_is_the_one_in_the_title():
    truth = np.full((4, 3), 2.0 + 0j)
    estimate = truth + 0.1
    estimate[0, 0] = np.nan
    pair = figures.Gains("truth", truth, estimate, 0.02)
    assert pair.measured_var == pytest.approx(0.01)
    fig = figures.surfaces([pair], 0.1, np.arange(3) * 15.0, "a note")
    fig.draw_without_rendering()
    said = {text.get_text() for text in fig.findobj(Text)}
    assert {"error: −20.0 dB; stated −17.0 dB", "time [ms]", "frequency [kHz]", "a note"} <= said
    np.testing.assert_allclose(fig.axes[0].images[0].get_array().filled(), 10 * np.log10(4.0), rtol=1e-6)
    assert fig.axes[1].images[0].get_array().mask.sum() == 1 and fig.get_size_inches()[0] == style.PAGE


CHAINS = {
    "awgn": ["awgn"],
    "rayleigh": [{"kind": "rayleigh", "coherence": 64}, {"kind": "csi", "estimate": "lmmse", "pilots": 4}],
    "ls": [OFDM, TDL, {"kind": "csi", "estimate": "ls"}],
    "lmmse": [OFDM, {"kind": "amplifier"}, TDL, {"kind": "csi", "estimate": "lmmse"}],
    "mimo": [OFDM, {"kind": "mimo"}, TDL, {"kind": "csi", "estimate": "lmmse"}],
    "flat mimo": [{"kind": "mimo"}, "rayleigh"],
    "none": ["rayleigh", {"kind": "csi", "estimate": "none"}],
}


def scenario(channel, **more):
    return from_mapping(
        {
            "name": "views",
            "source": {"kind": "photos", "size": [64, 64], "limit": 1},
            "bandwidth_ratio": "1/24",
            "channel": channel,
            "snr_db": 15,
            "systems": {"softcast": {"transmit": "softcast", "link": "analog", "receive": "softcast"}},
            "metrics": ["psnr"],
            **more,
        }
    )


@pytest.mark.parametrize("channel", CHAINS.values(), ids=CHAINS)
def test_figures_are_made_of_every_kind_of_chain(channel, tmp_path, monkeypatch):
    monkeypatch.setattr(style, "DPI", 40)
    monkeypatch.setitem(style.STYLE, "savefig.dpi", 40)
    paths = draw_channels(scenario(channel), tmp_path)
    assert {path.stem for path in paths} == {"constellation", "gain"} | ({"spectrum"} if "amplifier" in str(channel) else set())
    assert all(path.stat().st_size > 1000 for path in paths)


def test_each_channel_of_a_sweep_is_drawn_once(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(style, "save", lambda figure, path: drawn.append(path.name) or ())
    draw_channels(scenario("rayleigh", sweep={"channel.coherence": [32, 64]}), tmp_path, snr_db=3.0)
    assert sorted(drawn) == sorted(f"{name}_channel.coherence={value}" for name in ("constellation", "gain") for value in (32, 64))


def test_too_few_uses_are_told_in_a_sentence(tmp_path):
    with pytest.raises(SemcomError, match="less than one OFDM symbol"):
        draw_channels(scenario([OFDM, TDL], bandwidth_ratio="1/1000"), tmp_path)
