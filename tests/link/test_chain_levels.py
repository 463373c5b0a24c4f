"""Noise levels of chains where stages meet: distortion over several antennas, back-off beside guards, later bursts, no CSI."""

import math

import numpy as np
import pytest
import torch

from channels.amplifier import rapp_bussgang
from channels.base import Draw
from channels.chain import fault, normal
from channels.detection import linear_detector
from semcom import registry
from semcom.link import adaptation
from semcom.link.air import Air, Signal
from semcom.rng import Streams, generator
from semcom.types import Condition

OFDM = {"kind": "ofdm", "fft_size": 64, "cyclic_prefix": 16}
PILOTS = {**OFDM, "pilots": {"symbols": [2, 11], "spacing": 2}}
SIGMAS = 4.5


def stages(*written):
    return [registry.parse("channel", stage) for stage in written]


def gaussian(rows, count, seed=1):
    rng = np.random.default_rng(seed)
    return torch.from_numpy((rng.standard_normal((rows, count)) + 1j * rng.standard_normal((rows, count))) * math.sqrt(0.5)).to(
        torch.complex64
    )


def air(channel, snr_db, uses, rows):
    return Air(channel, [Condition(snr_db)] * rows, Streams.of([f"image {i}" for i in range(rows)]), uses, "cpu")


def normalised_errors(x, seen):
    return ((seen.symbols - x) / seen.noise_std).abs().double().square()


@pytest.mark.parametrize(
    "antennas",
    [
        {"scheme": "mrc", "transmit_antennas": 1, "receive_antennas": 4},
        {"detector": "zf"},
        {"detector": "lmmse"},
        {"detector": "lmmse", "receive_antennas": 4},
        {"scheme": "svd"},
    ],
)
def test_a_transmitter_s_distortion_comes_over_h_and_no_antenna_averages_it_away(antennas):
    channel = normal(stages(OFDM, {"kind": "amplifier", "backoff_db": 0}, {"kind": "mimo", **antennas}, {"kind": "rayleigh"})).build("cpu")
    uses, rows = 64 * 10, 40
    x = gaussian(rows, channel.layout(uses).symbols)
    (seen,) = air(channel, 50.0, uses, rows).carry([Signal(x)])  # distortion is far above the noise
    errors, level = normalised_errors(x, seen), seen.noise_std.expand(x.shape)
    for of in (level < level.median(), level >= level.median()):
        # the distortion is a few times as kurtic as Gaussian noise and shared by the streams of an OFDM symbol
        assert float(errors[of].mean()) == pytest.approx(1.0, abs=SIGMAS * 3.0 / math.sqrt(float(of.sum())))


@pytest.mark.parametrize(
    "antennas", [(), ({"kind": "mimo"},), ({"kind": "mimo", "scheme": "mrc", "transmit_antennas": 1, "receive_antennas": 4},)]
)
def test_what_leaks_has_the_power_that_is_radiated_and_comes_over_the_same_late_paths(antennas):
    small = {"kind": "ofdm", "fft_size": 16, "cyclic_prefix": 0, "guards": [1, 1]}
    late = {"kind": "tdl", "delay_spread_ns": 3000, "domain": "time"}
    channel = normal(stages(small, {"kind": "amplifier", "backoff_db": 6}, *antennas, late)).build("cpu")
    uses, rows = 14 * 6, 150
    x = gaussian(rows, channel.layout(uses).symbols)
    (seen,) = air(channel, 40.0, uses, rows).carry([Signal(x)])
    each = normalised_errors(x, seen).mean(dim=1)  # rows are independent, elements of one are not
    assert float(each.mean()) == pytest.approx(1.0, abs=SIGMAS * float(each.std()) / math.sqrt(rows))


def test_a_pair_of_symbols_that_lost_one_element_is_what_the_other_element_says():
    channel = normal(stages({"kind": "mimo", "scheme": "alamouti"}, "rayleigh", {"kind": "erasure", "probability": 0.3})).build("cpu")
    rows, uses = 100, 200
    x = gaussian(rows, uses)
    (seen,) = air(channel, 15.0, uses, rows).carry([Signal(x)])
    (lost,) = channel.draw(channel.layout(uses).grid, _draws(rows))[1]
    pairs = lost[:, 0].unflatten(1, (-1, 2))
    assert torch.equal(seen.noise_std.isinf().unflatten(1, (-1, 2)), pairs.all(dim=2, keepdim=True).expand_as(pairs))
    errors = normalised_errors(x, seen).unflatten(1, (-1, 2))
    for count in (0, 1):
        of = errors[pairs.sum(dim=2) == count]
        assert float(of.mean()) == pytest.approx(1.0, abs=SIGMAS * math.sqrt(2.0 / of.numel()))  # streams of a pair may share noise


def _draws(rows: int) -> list[Draw]:
    streams = Streams.of([f"image {i}" for i in range(rows)])
    return [Draw(streams.generator("fading", i), 0.5, lambda name, i=i: streams.generator(name, i)) for i in range(rows)]


def test_coloured_noise_is_whitened_as_its_covariance_says():
    rng = np.random.default_rng(3)
    h, f = (torch.from_numpy(rng.standard_normal((4, n)) + 1j * rng.standard_normal((4, n))) for n in (2, 3))
    white = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    covariance = torch.diag(white).to(h) + f @ f.mH
    for method, more in (("zf", 0.0), ("lmmse", 1.0)):
        detector = linear_detector(h, white, method, f)
        inverse = torch.linalg.inv(h.mH @ torch.linalg.inv(covariance) @ h + more * torch.eye(2))
        weights = inverse @ h.mH @ torch.linalg.inv(covariance)
        weights = weights / (weights @ h).diagonal()[:, None]
        left = weights @ h - torch.eye(2)
        variance = (weights @ covariance @ weights.mH).diagonal().real + left.abs().square().sum(dim=1)
        torch.testing.assert_close(detector.weights, weights.to(torch.complex64), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(detector.noise_var, variance.float(), rtol=1e-5, atol=1e-7)


def test_back_off_is_from_the_mean_power_of_samples_beside_guards_and_dc_too():
    channel = normal(stages({**OFDM, "guards": [12, 11]}, {"kind": "amplifier", "backoff_db": 3}, {"kind": "awgn"})).build("cpu")
    uses, rows = 41 * 50, 4
    layout = channel.layout(uses)
    x = gaussian(rows, layout.symbols)
    drive = math.sqrt(64 / 40)
    samples = channel.waveform.samples(x[:, None], layout.grid)
    assert float((drive * samples).abs().square().mean()) == pytest.approx(1.0, abs=SIGMAS / math.sqrt(x.numel()))
    out = channel.waveform.elements(channel.transmit_hardware[0].apply(drive * samples, None, ()), layout.grid)[:, 0] / drive
    gain = (out * x.conj()).real.sum() / x.abs().square().sum()
    theory = rapp_bussgang(3.0, 2.0)
    # samples of 40 tones are Gaussian to a few per mille of the gain
    assert float(gain) == pytest.approx(theory.gain, abs=SIGMAS * 2.0 * math.sqrt(theory.distortion / x.numel()) + 2e-3)
    (seen,) = air(channel, 60.0, uses, rows).carry([Signal(x)])  # and that is what the chain does
    torch.testing.assert_close(seen.symbols, out / gain, rtol=0.0, atol=0.02)


def test_a_later_burst_knows_where_in_a_coherence_block_it_begins():
    channel = normal(stages({"kind": "rayleigh", "coherence": 64}, {"kind": "csi", "estimate": "lmmse", "pilots": 4})).build("cpu")
    rows, uses = 200, 100
    path = air(channel, 15.0, 3 * uses, rows)
    for burst in range(3):
        x = gaussian(rows, channel.layout(uses).symbols, seed=burst)
        (seen,) = path.carry([Signal(x)], uses)
        heard = seen.noise_std.isfinite()
        assert float(heard.float().mean()) > 0.9  # the end of a block whose preamble is in the next burst is lost
        errors = normalised_errors(x, seen)[heard]
        # the error of an estimate is common to a block: at least two blocks a row are independent
        assert float(errors.mean()) == pytest.approx(1.0, abs=SIGMAS * math.sqrt(3.0 / (2 * rows)))


def test_without_csi_the_level_is_that_of_the_data_and_not_of_pilots():
    channel = normal(
        stages(PILOTS, {"kind": "awgn"}, {"kind": "erasure", "probability": 0.3}, {"kind": "csi", "estimate": "none"})
    ).build("cpu")
    uses, rows = 57 * 14, 5
    x = gaussian(rows, channel.layout(uses).symbols)
    (seen,) = air(channel, 20.0, uses, rows).carry([Signal(x)])
    perfect = normal(stages(PILOTS, {"kind": "awgn"}, {"kind": "erasure", "probability": 0.3})).build("cpu")
    (known,) = air(perfect, 20.0, uses, rows).carry([Signal(x)])
    assert torch.equal(seen.noise_std.isinf(), known.noise_std.isinf()) and bool(seen.noise_std.isinf().any())


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ([{"kind": "mimo"}, "rayleigh", {"kind": "csi", "estimate": "none"}], "by which it would separate 2 streams"),
        ([{"kind": "mimo", "scheme": "alamouti"}, "rayleigh", {"kind": "csi", "estimate": "none"}], "by which it would combine"),
        ([PILOTS, {"kind": "rayleigh", "fading": "fast"}, {"kind": "csi", "estimate": "ls"}], "up to 9 OFDM symbols of 56 elements"),
        ([PILOTS, {"kind": "rayleigh", "coherence": 200}, {"kind": "csi", "estimate": "lmmse"}], "a coherence of 504 or more"),
        ([OFDM, {"kind": "tdl", "profile": "D"}, {"kind": "csi", "estimate": "outdated", "delay_ms": 1}], "a line of sight of unknown"),
        ([OFDM, {"kind": "cdl", "profile": "E"}, {"kind": "csi", "estimate": "erroneous", "error_variance": 1}], "(profile E)"),
    ],
)
def test_knowledge_that_cannot_be_had_is_refused(written, sentence):
    assert sentence in fault(stages(*written))[1]


def test_pilots_in_every_coherence_block_are_enough():
    assert fault(stages(PILOTS, {"kind": "rayleigh", "coherence": 504}, {"kind": "csi", "estimate": "lmmse"})) is None
    assert fault(stages(PILOTS, "rayleigh", {"kind": "csi", "estimate": "lmmse"})) is None


def test_a_prediction_draws_gains_and_what_is_beside_them_from_the_start_of_its_streams(monkeypatch):
    channel = normal(stages({"kind": "mimo"}, "rayleigh")).build("cpu")
    seen = []
    for name in ("gains", "draw"):
        made = getattr(channel, name)
        monkeypatch.setattr(channel, name, lambda grid, draws, made=made: (seen.append(_first(draws)), made(grid, draws))[1])
    adaptation.Gains(channel, count=3).snr(20, 10.0)
    assert seen == [[generator("adaptation", i).random() for i in range(3)]] * 2


def _first(draws: list[Draw]) -> list[float]:
    """The first number of each fading stream as it is handed over, which stays where it is."""
    import copy

    return [copy.deepcopy(draw.rng).random() for draw in draws]
