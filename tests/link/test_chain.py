"""Chains of channel stages: what they refuse, what they charge, and that symbols and noise levels stay honest."""

import math

import numpy as np
import pytest
import torch
from scipy.special import j0

from channels import theory
from channels.base import Draw, Sounding
from channels.chain import PreparedChain, fault, normal
from semcom import registry
from semcom.errors import Infeasible
from semcom.link.air import Air, Signal
from semcom.link.analog import Analog
from semcom.link.digital import Digital
from semcom.link.ideal import Ideal
from semcom.rng import Streams, generator
from semcom.types import Bits, Condition, Message, Reals

RAYLEIGH, OFDM = {"kind": "rayleigh"}, {"kind": "ofdm", "fft_size": 16, "cyclic_prefix": 4, "guards": [1, 1]}
PILOTS = {**OFDM, "pilots": {"symbols": [1], "slot": 4, "spacing": 2}}


def stages(*written):
    return [registry.parse("channel", stage) for stage in written]


def built(*written):
    return normal(stages(*written)).build("cpu")


def gaussian(rows, count, seed=1):
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((rows, count)) + 1j * rng.standard_normal((rows, count))) * math.sqrt(0.5)
    return torch.from_numpy(x.astype(np.complex64))


def meet(channel, snr_db, uses, rows, power=1.0, repeats=1):
    """(sent, observed) of Gaussian symbols, one transmission a row."""
    symbols = channel.layout(uses).symbols if isinstance(channel, PreparedChain) else uses
    streams = Streams(0, tuple(f"image {i // repeats}" for i in range(rows)), tuple(i % repeats for i in range(rows)))
    x = gaussian(rows, symbols)
    (seen,) = Air(channel, [Condition(snr_db)] * rows, streams, uses, "cpu").carry([Signal(x, power)])
    return x, seen


# --- what cannot be a channel


@pytest.mark.parametrize(
    ("written", "place", "sentence"),
    [
        (["awgn", "rayleigh"], 1, "'rayleigh' and 'awgn' are both the propagation"),
        ([{"kind": "adc"}], 0, "there is no propagation"),
        ([RAYLEIGH, OFDM], 1, "'ofdm' stands behind 'rayleigh'"),
        ([{"kind": "cochannel"}, RAYLEIGH], 0, "'cochannel' stands in front of 'rayleigh'"),
        ([{"kind": "amplifier"}, OFDM, RAYLEIGH], 1, "'ofdm' comes first"),
        ([RAYLEIGH, {"kind": "csi"}, {"kind": "adc"}], 1, "'csi' comes last"),
        ([RAYLEIGH, {"kind": "adc"}, {"kind": "cochannel"}], 2, "stands behind hardware of the receiver"),
        ([RAYLEIGH, {"kind": "amplifier"}], 1, "put it in front"),
        (["tdl"], 0, "needs a waveform"),
        ([RAYLEIGH, {"kind": "csi", "estimate": "lmmse"}], 1, "give pilots"),
        ([PILOTS, RAYLEIGH, {"kind": "csi", "estimate": "lmmse", "pilots": 4}], 2, "pilots: 4 beside ofdm"),
        ([OFDM, RAYLEIGH, {"kind": "csi", "estimate": "ls"}], 0, "ofdm has none"),
        ([{"kind": "rayleigh", "coherence": 8}, {"kind": "csi", "estimate": "ls", "pilots": 8}], 1, "leave none for data"),
        ([{"kind": "rayleigh", "coherence": 10}, {"kind": "csi", "estimate": "ls", "pilots": 2, "every": 4}], 1, "does not meet every"),
        ([{"kind": "rayleigh", "fading": "fast"}, {"kind": "csi", "estimate": "ls", "pilots": 2}], 1, "new at every use"),
        (
            [{"kind": "rayleigh", "fading": "jakes", "doppler": 0.01}, {"kind": "csi", "estimate": "ls", "pilots": 2, "every": 80}],
            1,
            "do not follow channel 'rayleigh' with a Doppler shift of 0.01 a channel use; give every: 50 or less",
        ),
        ([{"kind": "mimo"}, RAYLEIGH, {"kind": "csi", "estimate": "ls", "pilots": 1}], 2, "1 pilots for 2 transmit antennas"),
        ([RAYLEIGH, {"kind": "csi", "estimate": "outdated", "delay_ms": 1}], 1, "needs a Doppler shift"),
    ],
)
def test_what_cannot_be_a_channel_is_one_sentence_at_its_stage(written, place, sentence):
    found = fault(stages(*written))
    assert found is not None and found[0] == place and sentence in found[1] and "\n" not in found[1]
    with pytest.raises(ValueError):
        normal(stages(*written))


@pytest.mark.parametrize("fields", [{"estimate": "erroneous"}, {"error_variance": 0.1}, {"estimate": "ls", "every": 8}])
def test_fields_of_csi_go_with_its_estimate(fields):
    with pytest.raises(ValueError, match="give|remove"):
        registry.parse("channel", {"kind": "csi", **fields})


def test_a_list_of_one_stage_is_that_stage():
    assert normal(stages(RAYLEIGH)) == registry.parse("channel", RAYLEIGH) == registry.parse("channel", [RAYLEIGH])


# --- what a burst holds, and what it charges


@pytest.mark.parametrize(
    "written",
    [
        (RAYLEIGH, {"kind": "csi", "estimate": "lmmse", "pilots": 5}),
        ({"kind": "rayleigh", "coherence": 64}, {"kind": "csi", "estimate": "lmmse", "pilots": 5}),
        (PILOTS, RAYLEIGH),
        ({**PILOTS, "charge": "full"}, RAYLEIGH),
        (PILOTS, {"kind": "mimo"}, RAYLEIGH, {"kind": "csi", "estimate": "ls"}),
        ({"kind": "mimo", "scheme": "alamouti"}, RAYLEIGH, {"kind": "csi", "estimate": "ls", "pilots": 3}),
    ],
)
@pytest.mark.parametrize("uses", [200, 333])
def test_every_use_is_data_or_charged(written, uses):
    chain = built(*written)
    layout = chain.layout(uses)
    assert len(layout.data) + sum(layout.charged.values()) == uses
    assert layout.symbols == len(layout.data) * layout.streams
    assert not set(layout.data) & set(layout.pilots) and layout.charged["pilots"] == len(layout.pilots)
    assert chain.layout(chain.uses_for(layout.symbols)).symbols >= layout.symbols
    assert chain.uses_for(layout.symbols) <= uses

    link = Analog().build(chain, "cpu")
    budget = link.budget(uses, Condition(10.0))
    assert (budget.channel_uses, budget.symbols, budget.reals) == (uses, layout.symbols, 2 * layout.symbols)
    message = Message({"x": Reals(torch.ones(3, budget.reals), (budget.reals,))}, budget, (8, 8), infeasible=(None, "no", None))
    usage = link.send(message, [Condition(10.0)] * 3, Streams.of("abc")).usage
    assert usage.granted.tolist() == [uses] * 3
    assert usage.uses["pilots"].tolist() == [len(layout.pilots), 0, len(layout.pilots)]
    assert usage.uses["payload"].tolist() == [len(layout.data), 0, len(layout.data)] and int(usage.uses["unused"][1]) == uses
    sent = len(layout.data) + len(layout.pilots)  # pilots have the power of data
    assert usage.energy.tolist() == pytest.approx([sent, 0, sent], rel=1e-5)


def test_what_is_assumed_is_in_words():
    link = Analog().build(built({"kind": "amplifier"}, RAYLEIGH, {"kind": "csi", "estimate": "none"}), "cpu")
    budget = link.budget(50, Condition(0.0))
    message = Message({"x": Reals(torch.ones(1, 100), (100,))}, budget, (8, 8))
    free = "; ".join(link.send(message, [Condition(0.0)], Streams.of("a")).usage.free)
    assert "amplifier's gain" in free and "nothing of the channel gain h" in free and "perfect CSI" not in free


def test_too_few_uses_are_infeasible():
    with pytest.raises(Infeasible, match="all pilots"):
        Analog().build(built(RAYLEIGH, {"kind": "csi", "estimate": "ls", "pilots": 8}), "cpu").budget(8, Condition(0.0))
    with pytest.raises(Infeasible, match="less than one OFDM symbol"):
        Analog().build(built(OFDM, RAYLEIGH), "cpu").budget(8, Condition(0.0))


# --- the same channel, written otherwise


@pytest.mark.parametrize("channel", ["awgn", RAYLEIGH, {"kind": "rician", "k_db": 3, "coherence": 20}])
def test_perfect_csi_is_the_plain_channel(channel):
    x, plain = meet(built(channel), 7.0, 60, 6)
    _, chain = meet(built(channel, {"kind": "csi"}), 7.0, 60, 6)
    assert torch.equal(plain.symbols, chain.symbols)
    # not the short cut, but every step of a chain: interference of no power
    _, slow = meet(built(channel, {"kind": "erasure", "probability": 0.0}), 7.0, 60, 6)
    torch.testing.assert_close(plain.symbols, slow.symbols, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(plain.noise_std.expand(6, 60), slow.noise_std.expand(6, 60), rtol=1e-5, atol=0)


def test_ofdm_over_one_tap_is_the_flat_channel():
    channel = built(OFDM, RAYLEIGH)
    layout = channel.layout(15 * 14)
    x, seen = meet(channel, 3.0, 15 * 14, 8)
    (flat,) = Air(built(RAYLEIGH), [Condition(3.0)] * 8, Streams.of([f"image {i}" for i in range(8)]), layout.symbols, "cpu").carry([Signal(x)])
    assert torch.equal(seen.symbols, flat.symbols) and torch.equal(seen.noise_std, flat.noise_std)


def test_a_transmission_does_not_depend_on_its_neighbours():
    channel = built(PILOTS, {"kind": "amplifier", "backoff_db": 3}, {"kind": "mimo"}, RAYLEIGH, {"kind": "impulses"}, {"kind": "csi", "estimate": "lmmse"})
    streams = Streams(0, ("a", "b", "a", "a"), (0, 0, 1, 0))
    conditions = [Condition(snr) for snr in (0.0, 5.0, 10.0, 20.0)]
    x = gaussian(4, channel.layout(300).symbols)
    (together,) = Air(channel, conditions, streams, 300, "cpu").carry([Signal(x)])
    for row in (1, 3):
        (alone,) = Air(channel, [conditions[row]], streams.select([row]), 300, "cpu").carry([Signal(x[[row]])])
        torch.testing.assert_close(alone.symbols[0], together.symbols[row], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(alone.noise_std[0], together.noise_std[row], rtol=1e-3, atol=1e-5)


def test_bursts_go_on_over_the_same_fading_with_new_noise():
    channel = built({"kind": "mimo"}, RAYLEIGH, {"kind": "impulses", "probability": 0.2})
    air = Air(channel, [Condition(20.0)], Streams.of("a"), 60, "cpu")
    x = gaussian(1, 60)
    (first,), (second,) = air.carry([Signal(x)], uses=30), air.carry([Signal(x)], uses=30)
    assert not torch.equal(first.symbols, second.symbols)
    assert not torch.equal(first.noise_std, second.noise_std)  # other impulses
    torch.testing.assert_close(first.noise_std.amin(), second.noise_std.amin(), rtol=1e-4, atol=0)  # the same H
    with pytest.raises(ValueError, match="left of 60"):
        air.carry([Signal(x)], uses=30)


# --- honest noise levels

CSI_KINDS = [
    {"kind": "csi", "estimate": "ls", "pilots": 2},
    {"kind": "csi", "estimate": "lmmse", "pilots": 2},
    {"kind": "csi", "estimate": "erroneous", "error_variance": 0.2},
    {"kind": "csi", "estimate": "outdated", "delay_ms": 1.5, "doppler_hz": 100},
]


@pytest.mark.parametrize("csi", CSI_KINDS, ids=lambda csi: csi["estimate"])
@pytest.mark.parametrize("channel", [RAYLEIGH, {"kind": "rician", "k_db": 3}], ids=lambda channel: channel["kind"])
def test_in_every_bin_of_the_estimate_the_slope_is_one_and_the_error_is_what_was_said(channel, csi):
    rows, snr_db = 3000, 5.0
    chain = built(channel, csi)
    x, seen = meet(chain, snr_db, 3, rows)
    std = seen.noise_std.expand(x.shape)
    order = std[:, 0].argsort()  # noise_std falls as |h_hat| grows; one estimate a row
    for rows_of in order.tensor_split(6):
        # E[y x* w] / E[|x|^2 w]: weighted by 1 / std, so that the error of each row counts alike
        signal, weight = x[rows_of], std[rows_of].reciprocal()
        error = (seen.symbols[rows_of] - signal) * weight
        slope = (error * signal.conj()).real
        assert abs(slope.mean()) < 5 * slope.std() / math.sqrt(slope.numel())
        square = error.abs().square().mean(dim=1)  # rows are independent
        assert abs(square.mean() - 1.0) < 5 * square.std() / math.sqrt(len(square))


@pytest.mark.parametrize(
    "written",
    [
        (RAYLEIGH, {"kind": "cochannel", "sir_db": 8}, {"kind": "csi", "estimate": "lmmse", "pilots": 4}),
        ({"kind": "amplifier", "backoff_db": 2}, RAYLEIGH, {"kind": "adc", "bits": 4}),
        (PILOTS, {"kind": "amplifier", "backoff_db": 2}, {"kind": "tdl", "delay_spread_ns": 300}, {"kind": "csi", "estimate": "ls"}),
        (PILOTS, {"kind": "mimo"}, {"kind": "tdl"}, {"kind": "phase_noise", "tracked": 1}, {"kind": "csi", "estimate": "lmmse"}),
        ({"kind": "mimo", "scheme": "alamouti"}, RAYLEIGH, {"kind": "erasure"}, {"kind": "csi", "estimate": "lmmse", "pilots": 4}),
    ],
    ids=["interference", "hardware", "ofdm", "mimo", "alamouti"],
)
def test_every_chain_says_how_noisy_it_is(written):
    rows, snr_db = 300, 12.0
    x, seen = meet(built(*written), snr_db, 150, rows, power=0.5)
    there = seen.noise_std.expand(x.shape).isfinite()
    error = torch.where(there, (seen.symbols - x) / seen.noise_std, 0.0)
    square = error.abs().square().sum(dim=1) / there.sum(dim=1)
    assert abs(square.mean() - 1.0) < 5 * square.std() / math.sqrt(rows)
    slope = (error * x.conj()).real.sum(dim=1) / there.sum(dim=1)
    assert abs(slope.mean()) < 5 * slope.std() / math.sqrt(rows)


@pytest.mark.parametrize("pilots", [1, 4])
def test_the_estimate_from_a_preamble_has_the_error_of_its_closed_form(pilots):
    snr, rows = 2.0, 4000
    chain = built(RAYLEIGH, {"kind": "csi", "estimate": "ls", "pilots": pilots})
    layout = chain.layout(pilots + 1)
    draws = [Draw(generator("test", i), (i + 0.5) / rows, lambda name, i=i: generator("test", name, i)) for i in range(rows)]
    h = chain.gains(layout.grid, draws)
    noise = gaussian(rows, pilots).reshape(rows, 1, pilots) / math.sqrt(snr)
    sounding = Sounding(layout, h[:, 0] + noise, np.zeros(pilots, dtype=int), torch.full((1, 1, 1), 1.0 / snr), 1)
    least_squares = sounding.seen.mean(dim=2) - h[:, 0, 0]  # h_LS - h ~ CN(0, 1 / (N SNR))
    assert abs(least_squares.abs().square().mean() * pilots * snr - 1.0) < 5 / math.sqrt(rows)
    estimate = chain.csi.estimate(chain.propagation, h, sounding, None, layout)
    expected = 1.0 / (1.0 + pilots * snr)  # of E[h | h_LS]
    torch.testing.assert_close(estimate.error_var, torch.full_like(estimate.error_var, expected))
    error = (estimate.h - h).abs().square().mean()
    assert abs(error / expected - 1.0) < 5 / math.sqrt(rows)
    torch.testing.assert_close(estimate.h[:, 0, 0], sounding.seen.mean(dim=2) * (1.0 - expected))


def test_outdated_knowledge_is_as_old_as_the_bessel_function_says():
    chain = built(RAYLEIGH, {"kind": "csi", "estimate": "outdated", "delay_ms": 2.0, "doppler_hz": 100.0})
    rho, rows, snr = float(j0(2 * math.pi * 0.2)), 4000, 1e6
    x, seen = meet(chain, 60.0, 1, rows)
    h_hat = torch.rsqrt(seen.noise_std.square() / (1.0 - rho**2 + 1.0 / snr))  # |rho h_old|
    assert abs(h_hat.square().mean() / rho**2 - 1.0) < 5 / math.sqrt(rows)


def test_without_csi_analog_knows_nothing_and_digital_takes_the_gain_as_one():
    blind = built("awgn", {"kind": "csi", "estimate": "none"})
    link = Analog().build(blind, "cpu")
    budget = link.budget(20, Condition(20.0))
    message = Message({"x": Reals(torch.ones(1, 40), (40,))}, budget, (8, 8))
    assert torch.isinf(link.send(message, [Condition(20.0)], Streams.of("a")).parts["x"].noise_std).all()
    digital = Digital(mcs="qpsk-1/2").build(blind, "cpu")
    budget = digital.budget(200, Condition(20.0))
    bits = Bits(torch.ones((1, budget.bits), dtype=torch.uint8), torch.tensor([budget.bits]))
    received = digital.send(Message({"x": bits}, budget, (8, 8)), [Condition(20.0)], Streams.of("a"))
    assert bool(received.parts["x"].ok.all())


def test_a_mismatched_receiver_believes_its_snr():
    for snr_mismatch_db in (-6.0, 3.0):
        x, seen = meet(built(RAYLEIGH, {"kind": "csi", "snr_mismatch_db": snr_mismatch_db}), 10.0, 40, 50)
        error = ((seen.symbols - x) / seen.noise_std).abs().square()
        wrong = 10 ** (snr_mismatch_db / 10)
        assert abs(error.mean() / wrong - 1.0) < 5 / math.sqrt(error.numel())


def test_silence_and_power_of_signals_are_kept_apart():
    channel = built({"kind": "amplifier", "backoff_db": 10}, RAYLEIGH, {"kind": "csi", "estimate": "lmmse", "pilots": 4})
    loud, soft = gaussian(200, 500), gaussian(200, 400, seed=2)
    streams = Streams.of([f"image {i}" for i in range(200)])
    signals = [Signal(loud, 1.5), Signal.silence(200, 96), Signal(soft * math.sqrt(2.0), 0.1, mean=2.0)]
    seen = Air(channel, [Condition(15.0)] * 200, streams, 1000, "cpu").carry(signals)
    assert torch.isinf(seen[1].noise_std).all() and not seen[1].symbols.any()
    for signal, one in ((signals[0], seen[0]), (signals[2], seen[2])):
        square = ((one.symbols - signal.symbols) / one.noise_std).abs().square().mean(dim=1)
        assert abs(square.mean() - 1.0) < 5 * square.std() / math.sqrt(200)
    assert seen[2].noise_std.median() > 2 * seen[0].noise_std.median()


def test_the_observation_is_differentiable_in_what_was_sent():
    channel = built(PILOTS, {"kind": "amplifier", "backoff_db": 3}, {"kind": "mimo"}, RAYLEIGH, {"kind": "adc", "bits": 8}, {"kind": "csi", "estimate": "lmmse"})
    x = gaussian(4, channel.layout(120).symbols).requires_grad_()
    (seen,) = Air(channel, [Condition(25.0)] * 4, Streams.of("abcd"), 120, "cpu").carry([Signal(x)])
    (gradient,) = torch.autograd.grad((seen.symbols * x.detach().conj()).real.sum(), x)
    assert torch.isfinite(torch.view_as_real(gradient)).all()
    # an unbiased estimate moves with what was sent: d Re(x_hat x*) / dx is x, distortion and noise apart
    aligned = (gradient * x.detach().conj()).real.sum() / x.detach().abs().square().sum()
    assert 0.5 < float(aligned) < 1.5


# --- links over chains


def test_success_of_a_digital_frame_is_predicted():
    chain = built(RAYLEIGH, {"kind": "csi", "estimate": "lmmse", "pilots": 4})
    link = Digital(mcs="qpsk-1/2").build(chain, "cpu")
    rows, condition = 256, Condition(8.0)
    budget = link.budget(600, condition)
    bits = Bits(torch.ones((rows, budget.bits), dtype=torch.uint8), torch.full((rows,), budget.bits))
    streams = Streams(0, ("image",) * rows, tuple(range(rows)))  # stratified in |h|^2
    sent = link.send(Message({"x": bits}, budget, (8, 8)), [condition] * rows, streams)
    rate = float(sent.parts["x"].ok.double().mean())
    assert 0.6 < rate < 0.95
    # half a percent is the resolution of the prediction; 0.1 dB at the edge of a cliff in exp(-x) moves it by two
    assert abs(link.success(condition, 600) - rate) < 3 * math.sqrt(rate * (1 - rate) / rows) + 0.02


def test_the_ideal_link_fails_with_the_outage_that_it_was_given():
    link = Ideal(outage=0.2).build(built(RAYLEIGH, {"kind": "csi", "estimate": "lmmse", "pilots": 4}), "cpu")
    rows, condition = 200, Condition(10.0)
    budget = link.budget(100, condition)
    perfect = 96 * theory.outage_capacity(0.2, 10.0)
    assert 0.7 * perfect < budget.bits < perfect  # what estimation takes
    part = Bits(torch.ones((rows, 10), dtype=torch.uint8), torch.full((rows,), 10))
    sent = link.send(Message({"x": part}, budget, (8, 8)), [condition] * rows, Streams.of([f"image {i}" for i in range(rows)]))
    failures = float(sent.counts["frame_failures"].double().mean())
    assert abs(failures - 0.2) < 5 * math.sqrt(0.16 / rows)
