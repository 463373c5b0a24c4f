"""Packets: what is lost and how it is told, retransmissions and what they cost, against closed forms."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import fisher_exact

from channels.awgn import AWGN
from channels.base import Observation
from channels.chain import Chain
from channels.modulation import QAM
from channels.packet_loss import arq_transmissions
from channels.rayleigh import Rayleigh
from semcom import registry
from semcom.errors import Infeasible, LedgerError, ScenarioError
from semcom.link.analog import Analog
from semcom.link.digital import Digital
from semcom.link.packet import Packet, _Evidence
from semcom.link.parts import Parts
from semcom.rng import Streams, generator
from semcom.types import Bits, Condition, Message, Reals

AIR = AWGN().build("cpu")
DIGITAL, UNCODED = {"kind": "digital", "mcs": "qpsk-1/2"}, {"kind": "digital", "code": "uncoded", "modulation": "qpsk"}
SIGMAS = 4.5


def bits(rows: int, width: int, lengths=None, name: str = "bits") -> Bits:
    drawn = torch.from_numpy(generator("test", name).integers(0, 2, (rows, width), dtype="uint8"))
    return Bits(drawn, torch.full((rows,), width) if lengths is None else torch.as_tensor(lengths))


def reals(rows: int, width: int) -> Reals:
    values = torch.from_numpy(generator("test", "reals").standard_normal((rows, width)).astype(np.float32))
    return Reals(values / values.square().mean(dim=1, keepdim=True).sqrt(), (width,))


def send(link, part, uses, snr_db=30.0, side=None, infeasible=()):
    budget = link.budget(uses, Condition(snr_db), 0 if side is None else side.bits.shape[1])
    streams = Streams.of([f"image {row}" for row in range(len(part))])
    return link.send(Message({"x": part}, budget, (8, 8), side, infeasible), [Condition(snr_db)] * len(part), streams)


def known(received, sent: Bits) -> bool:
    """Whether every bit that is said to have arrived is the one that was sent."""
    part = received.parts["x"]
    width = min(part.bits.shape[1], sent.bits.shape[1])
    right = part.bits[:, :width] == sent.bits[:, :width]
    return bool((right | ~part.arrived[:, :width]).all()) and not bool(part.arrived[:, width:].any())


# --- bits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{}, {"retransmit": "arq", "reserve": 0.25}, {"retransmit": "harq", "reserve": 0.5}], ids=str)
def test_every_length_comes_back_over_a_good_channel(fields):
    link = Packet(link=DIGITAL, symbols=200, **fields).build(AIR, "cpu")
    budget = link.budget(1700, Condition(20.0), 9)
    sent, side = bits(5, budget.bits, [budget.bits, budget.bits - 1, budget.slice_bits, 1, 0]), bits(5, 9, name="side")
    received = send(link, sent, 1700, 20.0, side)
    part = received.parts["x"]
    assert bool(part.ok.all()) and torch.equal(part.lengths, sent.lengths) and known(received, sent)
    assert torch.equal(part.arrived.sum(dim=1), sent.lengths)
    assert torch.equal(received.side.bits, side.bits)
    slots = 8 if not fields else {0.25: 6, 0.5: 4}[fields["reserve"]]
    assert budget.bits == slots * budget.slice_bits
    assert received.counts["packets"].tolist() == [slots, slots, 1, 1, 1] == received.counts["transmissions"].tolist()
    assert sum(received.usage.uses.values()).tolist() == [1700] * 5
    assert received.counts["channel_uses_spent"].tolist() == [200 * n for n in (slots, slots, 1, 1, 1)]
    assert received.usage.energy.tolist() == received.counts["channel_uses_spent"].tolist()


def test_a_slice_is_what_a_frame_holds_beside_its_header():
    """Sequence number and number of packets take 2 bits each of 4 packets; the frame charges its CRC and length field."""
    link = Packet(link=DIGITAL, symbols=300).build(AIR, "cpu")
    inside = Digital(mcs="qpsk-1/2").build(AIR, "cpu").budget(300, Condition(0.0), 2 + 2 + 7)
    assert link.budget(1200, Condition(0.0), 7).slice_bits == inside.bits
    usage = send(link, bits(1, 4 * inside.bits), 1200, side=bits(1, 7, name="side")).usage
    frame = Digital(mcs="qpsk-1/2").build(AIR, "cpu")._frame(300)
    header = 4 * 300 * (4 + 7 + frame.length_bits) / frame.block.block_bits
    assert abs(int(usage.uses["header"]) - header) <= 4


@pytest.mark.parametrize("loss, burst", [(0.2, None), (0.3, 4.0)])
def test_lost_packets_are_unknown_slices_as_often_as_the_model_says(loss, burst):
    link = Packet(link=UNCODED, symbols=64, loss=loss, burst=burst).build(AIR, "cpu")
    rows, packets = 60, 20
    most = link.budget(64 * packets, Condition(30.0))
    sent = bits(rows, most.bits)
    received = send(link, sent, 64 * packets)
    part, lost = received.parts["x"], received.counts["packets_lost"]
    assert known(received, sent)
    assert torch.equal((~part.arrived).sum(dim=1), lost * most.slice_bits)
    assert torch.equal(lost, received.counts["erased"]) and torch.equal(part.ok, lost == 0)
    by_slice = part.arrived.reshape(rows, packets, -1)
    assert torch.equal(by_slice.all(dim=2), by_slice.any(dim=2))
    deviation = math.sqrt(link.loss.variance_of_rate(packets) / rows)
    assert abs(float(lost.double().mean()) / packets - loss) < SIGMAS * deviation


def test_losses_are_those_of_every_snr_and_more_at_a_higher_rate():
    def erased(loss, snr_db):
        link = Packet(link=UNCODED, symbols=64, loss=loss).build(AIR, "cpu")
        received = send(link, bits(30, link.budget(640, Condition(snr_db)).bits), 640, snr_db)
        return ~received.parts["x"].arrived.any(dim=0) if loss == 0 else ~received.parts["x"].arrived

    assert torch.equal(erased(0.3, 30.0), erased(0.3, 40.0))
    assert bool((erased(0.2, 30.0) <= erased(0.4, 30.0)).all())


def test_a_failed_crc_is_a_lost_packet():
    """Uncoded packets over AWGN: the share that fails is what the closed form of one frame says."""
    link = Packet(link=UNCODED, symbols=100).build(AIR, "cpu")
    rows, packets, snr_db = 60, 10, 9.0
    received = send(link, sent := bits(rows, link.budget(1000, Condition(snr_db)).bits), 1000, snr_db)
    arrives = link.inner.frame_success(Condition(snr_db), 100)
    assert 0.3 < arrives < 0.9 and known(received, sent)
    failed = float(received.counts["packets_lost"].double().mean()) / packets
    assert abs(failed - (1 - arrives)) < SIGMAS * math.sqrt(arrives * (1 - arrives) / (rows * packets))
    assert torch.equal(received.counts["frame_failures"], received.counts["packets_lost"])


def test_without_the_last_packet_its_length_is_an_upper_bound():
    link = Packet(link=UNCODED, symbols=64, loss=0.5).build(AIR, "cpu")
    budget = link.budget(256, Condition(30.0))
    length = 3 * budget.slice_bits + 5
    received = send(link, bits(40, budget.bits, [length] * 40), 256)
    part = received.parts["x"]
    last, some = part.arrived[:, length - 1], part.arrived.any(dim=1)
    assert 0 < int(last.sum()) < 40
    assert set(part.lengths[last].tolist()) == {length}
    assert set(part.lengths[~last & some].tolist()) == {4 * budget.slice_bits}
    assert set(part.lengths[~some].tolist()) <= {0}


# --- retransmission --------------------------------------------------------------------------------------


def test_arq_repeats_as_often_as_the_truncated_geometric_law():
    """With slots to spare, attempts and final losses of each packet follow the closed form; every attempt is charged."""
    loss, attempts, packets, rows = 0.4, 3, 8, 80
    link = Packet(link=UNCODED, symbols=64, loss=loss, retransmit="arq", reserve=0.75, attempts=attempts).build(AIR, "cpu")
    uses = 64 * packets * 4
    received = send(link, sent := bits(rows, link.budget(uses, Condition(30.0)).bits), uses)
    counts, usage = received.counts, received.usage
    assert known(received, sent) and counts["packets"].tolist() == [packets] * rows
    mean, lost = arq_transmissions(loss, attempts)
    tries = counts["transmissions"].double().sum() / (rows * packets)
    second = sum(k * k * loss ** (k - 1) * (1 - loss if k < attempts else 1) for k in range(1, attempts + 1))
    assert abs(float(tries) - mean) < SIGMAS * math.sqrt((second - mean**2) / (rows * packets))
    assert abs(float(counts["packets_lost"].double().mean()) / packets - lost) < SIGMAS * math.sqrt(lost / (rows * packets))
    assert torch.equal(usage.uses["retransmissions"], (counts["transmissions"] - packets) * 64)
    assert (
        torch.equal(counts["channel_uses_spent"], counts["transmissions"] * 64)
        and int(counts["channel_uses_spent"].max()) <= uses
    )
    assert torch.equal(usage.energy, counts["channel_uses_spent"].double())
    assert any("feedback" in item for item in usage.free)


def test_the_grant_bounds_what_is_spent():
    link = Packet(link=UNCODED, symbols=64, loss=0.9, retransmit="arq", reserve=0.5).build(AIR, "cpu")
    received = send(link, bits(20, link.budget(700, Condition(30.0)).bits), 700)
    assert int(received.counts["transmissions"].max()) == 10 and int(received.counts["packets"].max()) == 5
    assert sum(received.usage.uses.values()).tolist() == [700] * 20
    assert int(received.usage.uses["unused"].min()) == 60


@pytest.mark.parametrize("m", [2, 4])
def test_combined_attempts_say_all_that_they_say_together(m):
    """LLRs from the joint likelihood of all attempts, candidate by candidate; for QPSK also the sum of their LLRs."""
    rows, packets, n, qam = 3, 2, 40, QAM(m)
    labels = torch.tensor([[(c >> (m - 1 - i)) & 1 for i in range(m)] for c in range(2**m)], dtype=torch.uint8)
    candidates = qam.modulate(labels)[:, 0]
    sent = qam.modulate(bits(rows, m * n).bits)
    evidence, joint, added = _Evidence(), 0.0, 0.0
    for attempt in range(3):
        rng = generator("test", "noise", attempt)
        std = torch.from_numpy(rng.uniform(0.3, 0.8, (rows, n)).astype(np.float32))
        noise = torch.view_as_complex(torch.from_numpy(rng.standard_normal((rows, n, 2)).astype(np.float32)))
        seen = Observation(sent + std / math.sqrt(2) * noise, std)
        joint = joint - (seen.symbols[..., None] - candidates).abs().double().square() / std.double().square()[..., None]
        added = added + qam.llrs(seen.symbols, std.square())
        (combined,) = evidence.combine([seen], torch.tensor([0, 1, 0]), torch.ones(rows, dtype=torch.bool), packets)
    one, zero = (torch.logsumexp(joint[..., None] + torch.where(labels == value, 0.0, -math.inf), dim=2) for value in (1, 0))
    llrs = qam.llrs(combined.symbols, combined.noise_std.square())
    torch.testing.assert_close(llrs, (one - zero).flatten(1).float(), rtol=1e-4, atol=1e-3)
    if m == 2:
        torch.testing.assert_close(llrs, added, rtol=1e-4, atol=1e-3)


def test_two_combined_attempts_are_one_of_twice_the_snr():
    """Every packet is too weak alone and sent twice: chase combining wins 3 dB, plain ARQ a second chance."""
    rows, packets, snr_db = 40, 2, -0.9
    arrived = {}
    for retransmit in ("arq", "harq"):
        link = Packet(link=DIGITAL, symbols=400, retransmit=retransmit, reserve=0.5, attempts=2).build(AIR, "cpu")
        received = send(link, sent := bits(rows, link.budget(1600, Condition(snr_db)).bits), 1600, snr_db)
        assert known(received, sent)
        arrived[retransmit] = int((received.counts["packets"] - received.counts["packets_lost"]).sum())
    once = Packet(link=DIGITAL, symbols=400).build(AIR, "cpu")
    reference = send(once, bits(rows, once.budget(800, Condition(0.0)).bits), 800, snr_db + 10 * math.log10(2))
    whole = rows * packets
    expected = whole - int(reference.counts["packets_lost"].sum())
    assert arrived["arq"] == 0 and 0 < expected
    assert fisher_exact([[arrived["harq"], whole - arrived["harq"]], [expected, whole - expected]]).pvalue > 1e-4


def test_what_is_lost_above_the_radio_is_no_evidence():
    link = Packet(link=UNCODED, symbols=64, loss=0.9, retransmit="harq", reserve=0.5).build(AIR, "cpu")
    received = send(link, sent := bits(30, link.budget(640, Condition(30.0)).bits), 640)
    assert known(received, sent)
    # of what was transmitted, exactly what was not erased has arrived
    arrived = received.counts["packets"] - received.counts["packets_lost"]
    assert torch.equal(arrived, received.counts["transmissions"] - received.counts["erased"])


# --- real numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("interleave", [True, False])
def test_lost_packets_are_infinite_noise_on_elements(interleave):
    link = Packet(link={"kind": "analog", "fill": "none"}, symbols=256, loss=0.3, interleave=interleave).build(AIR, "cpu")
    rows, packets, snr_db = 40, 8, 10.0
    budget = link.budget(256 * packets, Condition(snr_db))
    sent = reals(rows, budget.reals)
    received = send(link, sent, 256 * packets, snr_db)
    part, lost = received.parts["x"], received.counts["packets_lost"]
    gone = torch.isinf(part.noise_std)
    assert torch.equal(gone.sum(dim=1), lost * (budget.reals // packets))
    error = ((part.values - sent.values) / part.noise_std)[~gone].double()
    assert abs(float(error.square().mean()) - 1) < SIGMAS * math.sqrt(2 / error.numel())
    assert abs(float(lost.double().mean()) / packets - 0.3) < SIGMAS * math.sqrt(0.3 * 0.7 / (rows * packets))
    some = (lost > 0) & (lost < packets)
    # neighbouring pairs share their fate in a packet of consecutive symbols, and only by chance where they are spread
    pairs = gone[some][:, ::2]
    together = (pairs[:, 1:] == pairs[:, :-1]).double().mean()
    assert float(together) < 0.75 if interleave else float(together) > 0.97


def test_a_repeated_message_survives_in_its_other_copies():
    """Four copies, spread: an element is lost with the probability that all its copies fall into lost packets."""
    link = Packet(link=Analog(), symbols=256, loss=0.5).build(AIR, "cpu")
    rows, packets = 200, 16
    sent = reals(rows, link.budget(256 * packets, Condition(10.0)).reals // 4)
    received = send(link, sent, 256 * packets, 10.0)
    gone = torch.isinf(received.parts["x"].noise_std).double().mean(dim=1)
    assert (
        abs(float(gone.mean()) - 0.5**4) < SIGMAS * float(gone.std()) / math.sqrt(rows) + 0.5**4 * 0.5
    )  # copies may meet in a packet
    finite = ~torch.isinf(received.parts["x"].noise_std)
    error = ((received.parts["x"].values - sent.values) / received.parts["x"].noise_std)[finite].double()
    assert abs(float(error.square().mean()) - 1) < SIGMAS * math.sqrt(2 / error.numel())


def test_headers_of_real_packets_are_charged_and_carry_side_information():
    link = Packet(link=Analog(), symbols=300).build(AIR, "cpu")
    side = bits(3, 8, name="side")
    budget = link.budget(1000, Condition(10.0), 8)
    head = (2 + 8 + 11) * 6  # sequence number, side information and CRC11 at QPSK 1/12
    assert budget.reals == 2 * 3 * (300 - head)
    received = send(link, reals(3, budget.reals), 1000, 10.0, side)
    assert received.usage.uses["header"].tolist() == [3 * head] * 3
    assert received.usage.uses["unused"].tolist() == [100] * 3 and received.counts["channel_uses_spent"].tolist() == [900] * 3
    assert torch.equal(received.side.bits, side.bits)
    assert bool((received.usage.energy <= 1000).all())


def test_nothing_arrives_where_all_is_lost():
    link = Packet(link=Analog(), symbols=256, loss=0.999).build(AIR, "cpu")
    part = send(link, reals(4, 100), 512, 10.0).parts["x"]
    assert not bool(part.ok.any()) and bool(torch.isinf(part.noise_std).all()) and not bool(part.values.any())


# --- inside and outside ----------------------------------------------------------------------------------


def test_packets_ride_in_a_part_and_over_fading():
    description = Parts(
        parts={
            "x": {"link": {"kind": "packet", "link": DIGITAL, "symbols": 150}, "uses": 0.5, "power": 0.5},
            "y": {"link": {"kind": "packet", "link": "analog", "symbols": 200}, "uses": 0.5, "power": 0.5},
        }
    )
    link = description.build(Rayleigh(coherence=50).build("cpu"), "cpu")
    budget = link.budget(1200, Condition(25.0))
    x, y = bits(4, budget.part("x").bits), reals(4, budget.part("y").reals)
    received = link.send(Message({"x": x, "y": y}, budget, (8, 8)), [Condition(25.0)] * 4, Streams.of("abcd"))
    assert known(received, x) and sum(received.usage.uses.values()).tolist() == [1200] * 4
    assert Parts.model_validate_json(description.model_dump_json()) == description


def test_infeasible_images_send_nothing_and_leave_the_others_alone():
    for fields in ({}, {"retransmit": "arq", "reserve": 0.5}):
        link = Packet(link=UNCODED, symbols=64, **fields).build(AIR, "cpu")
        sent = bits(3, link.budget(640, Condition(30.0)).bits)
        received = send(link, sent, 640, infeasible=(None, "too small", None))
        assert received.parts["x"].ok.tolist() == [True, False, True] and known(received, sent)
        assert received.usage.uses["unused"].tolist()[1] == 640 and received.counts["packets"].tolist()[1] == 0


def test_no_bits_at_all_cost_nothing():
    for fields in ({}, {"retransmit": "arq", "reserve": 0.5}):
        received = send(Packet(link=UNCODED, symbols=64, **fields).build(AIR, "cpu"), bits(2, 0), 640)
        assert bool(received.parts["x"].ok.all()) and received.usage.uses["unused"].tolist() == [640, 640]


def test_rows_do_not_depend_on_the_batch():
    link = Packet(link=DIGITAL, symbols=200, loss=0.3, retransmit="harq", reserve=0.5).build(Rayleigh().build("cpu"), "cpu")
    sent, conditions, streams = bits(6, 300), [Condition(2.0)] * 6, Streams.of("abcdef")
    message = Message({"x": sent}, link.budget(1600, Condition(2.0)), (8, 8))
    whole, rows = link.send(message, conditions, streams), [4, 1]
    some = link.send(message.select(rows), conditions[:2], streams.select(rows))
    for name in ("packets_lost", "transmissions", "erased", "channel_uses_spent"):
        assert torch.equal(some.counts[name], whole.counts[name][rows])
    assert torch.equal(some.parts["x"].arrived, whole.parts["x"].arrived[rows])


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"link": DIGITAL, "burst": 3.0, "loss": 0.8}, "a mean burst of 3 is shorter"),
        ({"link": DIGITAL, "reserve": 0.5}, "there are none"),
        ({"link": DIGITAL, "retransmit": "arq"}, "without reserve"),
        ({"link": "analog", "retransmit": "arq", "reserve": 0.5}, "packets of bits"),
        ({"link": "ideal"}, "allowed: digital, analog"),
        ({"link": {"kind": "digtal"}}, "did you mean 'digital'"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Packet(**fields)


def test_what_cannot_exist_says_why():
    with pytest.raises(Infeasible, match="hold no packet of 512"):
        Packet(link=DIGITAL).build(AIR, "cpu").budget(400, Condition(0.0))
    with pytest.raises(Infeasible, match="header of 2 bits takes 78 of its 64"):
        Packet(link="analog", symbols=64).build(AIR, "cpu").budget(256, Condition(0.0))
    with pytest.raises(Infeasible, match="leaves none for the message"):
        Packet(link=DIGITAL, symbols=100, retransmit="arq", reserve=0.5).build(AIR, "cpu").budget(150, Condition(0.0))
    link = Packet(link=UNCODED, symbols=64).build(AIR, "cpu")
    budget = link.budget(128, Condition(30.0))
    over = Message({"x": bits(1, budget.bits + 1)}, budget, (8, 8))
    with pytest.raises(LedgerError, match="encode for the link's budget"):
        link.send(over, [Condition(30.0)], Streams.of("a"))
    two = Message({"x": bits(1, 8), "y": bits(1, 8)}, budget, (8, 8))
    with pytest.raises(ScenarioError, match="carries one part"):
        link.send(two, [Condition(30.0)], Streams.of("a"))
    with pytest.raises(ValidationError, match="the channel to themselves"):
        Parts(
            parts={"x": {"link": {"kind": "packet", "link": DIGITAL, "retransmit": "arq", "reserve": 0.5}, "uses": 1, "power": 1}}
        )


@pytest.mark.parametrize(
    "fields", [{"link": DIGITAL, "retransmit": "arq", "reserve": 0.4, "loss": 0.3}, {"link": "analog"}], ids=["arq", "reals"]
)
def test_packets_pay_for_the_pilots_of_their_bursts(fields):
    """Over OFDM with pilots a slot is a burst of its own; what pilots and the nulled carrier take is charged, and k adds up."""
    stages = [
        {"kind": "ofdm", "fft_size": 64, "cyclic_prefix": 16, "pilots": {"symbols": [2, 11], "spacing": 2}},
        {"kind": "tdl", "profile": "A", "delay_spread_ns": 100},
        {"kind": "csi", "estimate": "lmmse"},
    ]
    link = Packet(symbols=300, **fields).build(
        Chain(stages=tuple(registry.parse("channel", one) for one in stages)).build("cpu"), "cpu"
    )
    budget = link.budget(3000, Condition(25.0))
    part = bits(3, budget.bits) if budget.bits else reals(3, budget.reals)
    received = link.send(Message({"x": part}, budget, (8, 8)), [Condition(25.0)] * 3, Streams.of("abc"))
    usage = received.usage
    assert sum(usage.uses.values()).tolist() == [3000] * 3 and bool((usage.uses["pilots"] > 0).all())
    assert torch.equal(received.counts["channel_uses_spent"], 3000 - usage.uses["unused"])
    assert bool((usage.energy <= 3000).all()) and bool((usage.energy > 0.8 * received.counts["channel_uses_spent"]).all())
    if budget.bits:
        assert known(received, part)
        # the first attempts and their pilots, and all of the others
        slot = link._slot()
        again = received.counts["transmissions"] - received.counts["packets"]
        assert torch.equal(usage.uses["retransmissions"] <= again * slot, torch.ones(3, dtype=torch.bool))
        assert torch.equal(usage.uses["retransmissions"] > 0, again > 0)
