"""Adaptive modulation and coding: thresholds, the choice that they make, its signalling, and what it wins."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from channels import mcs
from channels.awgn import AWGN
from channels.rayleigh import Rayleigh
from semcom.errors import Infeasible, LedgerError
from semcom.link import header
from semcom.link.adaptive import PERFECT_CSIT, Adaptive
from semcom.link.digital import AVERAGE_MCS, Digital
from semcom.link.parts import Parts
from semcom.rng import Streams, generator
from semcom.system import System, by_budget
from semcom.types import Bits, Condition, ImageBatch, Message

AIR = AWGN().build("cpu")
FEW = ("qpsk-1/5", "qpsk-1/2", "16qam-1/2", "64qam-3/4")


def bits(rows: int, width: int) -> Bits:
    drawn = torch.from_numpy(generator("test", "adaptive").integers(0, 2, (rows, width), dtype="uint8"))
    return Bits(drawn, torch.full((rows,), width))


def exchange(link, uses: int, snr_db: float, rows: int, repeat: int = 0):
    """Send ``rows`` full budgets, each at its own; per row: scheme, bits of the budget, whether they arrived, usage rows."""
    streams = Streams.of([f"image {row}" for row in range(rows)], repeat=repeat)
    conditions = [Condition(snr_db)] * rows
    found = link.budgets(uses, conditions, streams)
    scheme, carried, ok = [None] * rows, np.zeros(rows), np.zeros(rows, dtype=bool)
    for budget, numbers in by_budget(found).items():
        if isinstance(budget, Infeasible):
            continue
        sent = bits(len(numbers), budget.bits)
        received = link.send(Message({"x": sent}, budget, (8, 8)), [conditions[n] for n in numbers], streams.select(numbers))
        received.usage.check()
        arrived = received.parts["x"].ok.numpy()
        assert bool((received.parts["x"].bits[arrived] == sent.bits[arrived]).all())
        for place, number in enumerate(numbers):
            scheme[number], carried[number], ok[number] = budget.scheme, budget.bits, arrived[place]
    return scheme, carried, ok


def test_thresholds_are_where_a_frame_fails_as_often_as_the_target():
    uses, target = 1500, 0.05
    link = Adaptive(schemes=FEW, target=target).build(AIR, "cpu")
    thresholds = link.thresholds(uses)
    assert list(thresholds) == list(FEW) == list(link.names) and list(thresholds.values()) == sorted(thresholds.values())
    for name, snr_db in thresholds.items():
        at, below = (
            1 - Digital(mcs=name).build(AIR, "cpu").frame_success(Condition(s), uses - link.header_symbols)
            for s in (snr_db, snr_db - 0.2)
        )
        assert at <= target < below


def test_over_awgn_the_fastest_scheme_above_its_threshold_is_taken():
    uses = 1500
    links = [Adaptive(schemes=FEW, csit=csit).build(AIR, "cpu") for csit in ("none", "perfect")]
    thresholds = links[0].thresholds(uses)
    for snr_db in np.arange(-9.0, 20.0, 1.5):
        met = [name for name in FEW if thresholds[name] <= snr_db + 1e-9]
        expected = met[-1] if met else FEW[0]
        for link in links:
            assert link.budget(uses, Condition(snr_db)).scheme == expected
            assert link.budgets(uses, [Condition(snr_db)], Streams.of("a"))[0].scheme == expected


def test_the_index_is_charged_and_nothing_else_changes():
    link = Adaptive().build(AIR, "cpu")
    uses, snr_db = 1600, 12.0
    assert len(link.names) == len(mcs.MCS) == 23 and link.header_symbols == header.uses(5) == 96
    budget = link.budget(uses, Condition(snr_db))
    inside = Digital(mcs=budget.scheme).build(AIR, "cpu").budget(uses - 96, Condition(snr_db))
    assert budget.bits == inside.bits and budget.channel_uses == uses
    message = Message({"x": bits(3, budget.bits)}, budget, (8, 8), infeasible=(None, "too small", None))
    received = link.send(message, [Condition(snr_db)] * 3, Streams.of("abc"))
    usage = received.usage
    assert sum(usage.uses.values()).tolist() == [uses] * 3 and usage.uses["unused"].tolist() == [0, uses, 0]
    assert usage.energy.tolist() == [uses, 0, uses] and usage.uses["header"].tolist()[0] >= 96
    assert AVERAGE_MCS not in usage.free and received.parts["x"].ok.tolist() == [True, False, True]
    assert received.counts["headers"].tolist() == [1, 0, 1]


def test_without_the_header_there_is_no_frame():
    """At -12 dB the header of a high-SNR scheme fails as often as the frame; a frame whose header fails is never ok."""
    link = Adaptive(schemes=FEW).build(AIR, "cpu")
    budget = link.budget(800, Condition(-12.0))
    received = link.send(
        Message({"x": bits(30, budget.bits)}, budget, (8, 8)), [Condition(-12.0)] * 30, Streams.of([str(i) for i in range(30)])
    )
    failed = received.counts["header_failures"].bool()
    assert bool(failed.any()) and not bool(received.parts["x"].ok[failed].any())
    assert bool(received.counts["frame_failures"][failed].all()) and not bool(received.parts["x"].lengths[failed].any())


def test_knowing_the_channel_wins_over_every_fixed_scheme():
    """Over block fading: frames above the lowest threshold fail about as often as the target, and more bits arrive than any one scheme brings."""
    uses, snr_db, target, rows = 800, 12.0, 0.1, 80
    channel = Rayleigh(fading="block").build("cpu")
    link = Adaptive(csit="perfect", target=target).build(channel, "cpu")
    scheme, carried, ok = exchange(link, uses, snr_db, rows)
    assert len(set(scheme)) > 5
    better = np.array([name != "qpsk-1/12" for name in scheme])
    failed = int((~ok & better).sum())
    # a frame is above its threshold, so it fails at most as often as the target: a one-sided bound
    assert failed <= target * better.sum() + 4.5 * math.sqrt(target * (1 - target) * better.sum())
    goodput = (carried * ok).mean()
    for name in ("qpsk-1/3", "qpsk-3/4", "16qam-1/2", "16qam-3/4", "64qam-3/4"):
        fixed = Digital(mcs=name).build(channel, "cpu")
        assert goodput > fixed.budget(uses, Condition(snr_db)).bits * fixed.success(Condition(snr_db), uses)


def test_the_average_snr_alone_gives_every_transmission_one_scheme():
    channel = Rayleigh(fading="block").build("cpu")
    scheme, _, _ = exchange(Adaptive(target=0.3).build(channel, "cpu"), 600, 12.0, 5)
    assert len(set(scheme)) == 1
    robust = Adaptive(target=0.01).build(channel, "cpu").budget(600, Condition(12.0))
    assert mcs.find(robust.scheme).efficiency < mcs.find(scheme[0]).efficiency


@pytest.mark.parametrize("code", ["polar", "uncoded"])
def test_other_codes_adapt_as_well(code):
    link = Adaptive(code=code, csit="perfect", target=0.2).build(Rayleigh(fading="block").build("cpu"), "cpu")
    scheme, carried, ok = exchange(link, 600, 22.0, 12)
    assert len(set(scheme)) > 2 and 0 < (carried * ok).sum()


def test_it_knows_what_the_air_is_going_to_be():
    """The gains that it chooses by are those that the transmission meets, whatever the batch."""
    channel = Rayleigh(fading="block", coherence=200).build("cpu")
    link = Adaptive(csit="perfect").build(channel, "cpu")
    streams = Streams(0, ("a", "b", "a", "c"), (0, 0, 1, 2))
    conditions = [Condition(12.0)] * 4
    together = [budget.scheme for budget in link.budgets(800, conditions, streams)]
    alone = [link.budgets(800, conditions[:1], streams.select([row]))[0].scheme for row in range(4)]
    assert together == alone


def test_a_system_encodes_for_what_each_transmission_carries():
    images = ImageBatch(torch.from_numpy(generator("test", "pictures").random((6, 3, 32, 48), dtype=np.float32)), tuple("abcdef"))
    system = System.of("image_codec", {"kind": "adaptive", "csit": "perfect"}, "image_codec", channel="rayleigh")
    result = system.send(images, 18.0, "1/4")
    assert result.pixels.shape == images.pixels.shape and len(set(result.counts["bits"].tolist())) > 1
    assert sum(result.usage.uses.values()).tolist() == result.usage.granted.tolist() == [1152] * 6
    assert PERFECT_CSIT in result.usage.free
    one = system.send(images.select([3]), 18.0, "1/4")
    assert torch.equal(one.pixels[0], result.pixels[3])


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValidationError, match="did you mean 'qpsk-1/2'"):
        Adaptive(schemes=("qpsk-1/22", "qpsk-1/2"))
    with pytest.raises(ValidationError, match="listed twice"):
        Adaptive(schemes=("qpsk-1/2", "qpsk-1/2"))
    with pytest.raises(ValidationError, match="a budget of each transmission"):
        Parts(parts={"x": {"link": {"kind": "adaptive", "csit": "perfect"}, "uses": 1, "power": 1}})
    with pytest.raises(Infeasible, match="header of the scheme takes 96 symbols of 90"):
        Adaptive().build(AIR, "cpu").budget(90, Condition(0.0))
    link = Adaptive().build(AIR, "cpu")
    foreign = Digital().build(AIR, "cpu").budget(500, Condition(0.0))
    with pytest.raises(LedgerError, match="without a scheme"):
        link.send(Message({"x": bits(1, 8)}, foreign, (8, 8)), [Condition(0.0)], Streams.of("a"))
