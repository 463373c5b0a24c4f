"""The analog link over OFDM: the flat channel again over one tap, and honest noise levels over many."""

import math

import numpy as np
import pytest
import torch

from channels.chain import normal
from channels.csi import CSI
from channels.ofdm import OFDM
from channels.rayleigh import Rayleigh
from channels.tdl import TDL
from semcom.link.analog import Analog
from semcom.rng import Streams
from semcom.types import Condition, Message, Reals

PILOTS = {"symbols": [2, 11], "spacing": 3}
EVERY_TONE = {"guards": (0, 0), "dc_null": False}


def sent(stages, images, snrs, uses):
    """Values, what arrived of them, and its noise levels: every image at every SNR."""
    link = Analog().build(normal(stages).build("cpu"), "cpu")
    budget = link.budget(uses, Condition(0.0))
    values = torch.from_numpy(np.random.default_rng(0).standard_normal((images, budget.reals), dtype=np.float32))
    values = values / values.square().mean(dim=1, keepdim=True).sqrt()
    message = Message({"x": Reals(values, (budget.reals,))}, budget, (8, 8))
    rows = [row for row in range(images) for _ in snrs]
    streams = Streams.of([f"image {row}" for row in range(images)]).select(rows)
    received = link.send(message.select(rows), [Condition(snr) for _ in range(images) for snr in snrs], streams)
    return values[rows], received.parts["x"], received


@pytest.mark.parametrize("channel", [Rayleigh(), Rayleigh(fading="block", coherence=64)], ids=str)
def test_ofdm_over_one_tap_equals_the_flat_channel_to_float_precision(channel):
    """Same message, same noise, same gains: with every subcarrier sent, an element is a channel use."""
    _, flat, _ = sent([channel], 4, [0.0, 20.0], 64 * 9)
    _, ofdm, _ = sent([OFDM(**EVERY_TONE), channel], 4, [0.0, 20.0], 64 * 9)
    torch.testing.assert_close(ofdm.values, flat.values, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        ofdm.noise_std.expand(ofdm.values.shape), flat.noise_std.expand(flat.values.shape), rtol=1e-6, atol=0
    )


def test_time_domain_over_one_tap_equals_it_too():
    fields = {"delay_spread_ns": 0.0, "speed_kmh": 0.0}
    _, frequency, _ = sent([OFDM(**EVERY_TONE), TDL(**fields)], 4, [0.0, 20.0], 64 * 5)
    _, time, _ = sent([OFDM(**EVERY_TONE), TDL(**fields, domain="time")], 4, [0.0, 20.0], 64 * 5)
    scale = time.noise_std.expand(time.values.shape)
    torch.testing.assert_close(time.values / scale, frequency.values / scale, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(scale, frequency.noise_std.expand(scale.shape), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    "stages",
    [
        [OFDM(), TDL(speed_kmh=120)],
        [OFDM(pilots=PILOTS), TDL(speed_kmh=120), CSI(estimate="ls")],
        [OFDM(pilots=PILOTS), TDL(speed_kmh=120), CSI(estimate="lmmse")],
        [OFDM(pilots=PILOTS), TDL(profile="D", speed_kmh=120), CSI(estimate="lmmse")],
        [OFDM(pilots=PILOTS), TDL(delay_spread_ns=2500, speed_kmh=120, domain="time"), CSI(estimate="lmmse")],
    ],
    ids=lambda stages: " ".join(getattr(stage, "estimate", stage.kind) for stage in stages),
)
def test_noise_levels_are_honest_in_every_bin_of_them(stages):
    """In every fifth of the noise levels, which follow |h estimate|, the normalised error has variance 1 and the slope is 1."""
    images = 60
    values, part, received = sent(stages, images, [10.0], 57 * 14)
    std = part.noise_std.expand(values.shape)
    error = (part.values - values) / std
    edges = torch.quantile(std.flatten(), torch.linspace(0, 1, 6))
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        here = (std >= low) & (std <= high)
        # elements of an image share its estimate: the error of a bin is taken from that of images
        each = torch.stack([error[i][here[i]].square().mean() for i in range(images) if here[i].sum() > 20]).double()
        assert abs(float(each.mean()) - 1) < 5 * float(each.std()) / math.sqrt(len(each))
        along = torch.stack([(error[i] * values[i])[here[i]].mean() for i in range(images) if here[i].sum() > 20]).double()
        assert abs(float(along.mean())) < 5 * float(along.std()) / math.sqrt(len(along))
    assert int(received.usage.uses["dc"][0]) == 14


def test_budgets_are_net_of_what_ofdm_takes():
    uses = 57 * 14 + 9
    _, part, received = sent([OFDM(pilots=PILOTS), TDL()], 2, [10.0], uses)
    spent = {name: int(count[0]) for name, count in received.usage.uses.items() if int(count[0])}
    assert spent == {"payload": 14 * 56 - 38, "pilots": 38, "dc": 14, "padding": 9}
    assert part.values.shape[1] == 2 * spent["payload"]
    assert any("cyclic prefix" in item for item in received.usage.free)
