"""Digital links: whole frames or failures, every bit charged, and a success that can be predicted."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from channels import fec, mcs, theory
from channels.awgn import AWGN
from channels.rayleigh import Rayleigh
from semcom.errors import Infeasible, LedgerError, ScenarioError
from semcom.link.digital import Digital
from semcom.rng import Streams, generator
from semcom.types import Bits, Condition, Message, Reals

AIR = AWGN().build("cpu")


def random_bits(rows: int, width: int, lengths=None, name: str = "bits") -> Bits:
    bits = torch.from_numpy(generator("test", name).integers(0, 2, (rows, width), dtype="uint8"))
    lengths = torch.full((rows,), width) if lengths is None else torch.as_tensor(lengths)
    return Bits(bits, lengths)


def send(link, parts, uses, snr_db, side=None, infeasible=(), channel_seed=0, budget=None):
    rows = len(next(iter(parts.values())))
    budget = budget or link.budget(uses, Condition(snr_db), 0 if side is None else side.bits.shape[1])
    streams = Streams.of([f"image {row}" for row in range(rows)], channel_seed)
    return link.send(Message(parts, budget, (8, 8), side, infeasible), [Condition(snr_db)] * rows, streams)


def same_bits(received, sent: Bits, row: int) -> bool:
    length = int(sent.lengths[row])
    return int(received.lengths[row]) == length and torch.equal(received.bits[row, :length], sent.bits[row, :length])


@pytest.mark.parametrize("name, uses, snr_db", [("qpsk-1/12", 800, 0.0), ("16qam-1/2", 500, 12.0), ("256qam-5/6", 1600, 33.0)])
def test_every_length_comes_back_at_high_snr(name, uses, snr_db):
    link = Digital(mcs=name).build(AIR, "cpu")
    most = link.budget(uses, Condition(snr_db), 9).bits
    sent, side = random_bits(5, most, [most, most - 1, 7, 1, 0]), random_bits(5, 9, name="side")
    received = send(link, {"x": sent}, uses, snr_db, side)
    part = received.parts["x"]
    assert bool(part.ok.all()) and all(same_bits(part, sent, row) for row in range(5))
    assert torch.equal(received.side.bits, side.bits)
    assert received.counts["bit_errors"].tolist() == received.counts["undetected"].tolist() == [0] * 5


def test_several_parts_share_a_frame():
    link = Digital(mcs="qpsk-1/2").build(AIR, "cpu")
    one, two = random_bits(3, 100, [100, 0, 33]), random_bits(3, 300, [5, 300, 200], name="two")
    received = send(link, {"one": one, "two": two}, 800, 10.0)
    assert all(same_bits(received.parts["one"], one, row) and same_bits(received.parts["two"], two, row) for row in range(3))


def test_frames_fail_at_low_snr_and_the_crc_says_so():
    link = Digital(mcs="qpsk-1/2").build(AIR, "cpu")
    received = send(link, {"x": random_bits(3, 200)}, 300, -5.0)
    assert not bool(received.parts["x"].ok.any())
    counts = {name: values.tolist() for name, values in received.counts.items()}
    assert counts["frame_failures"] == counts["frames"] == [1] * 3
    assert counts["block_errors"] == counts["blocks"] == [1] * 3
    assert min(counts["bit_errors"]) > 0 and counts["undetected"] == [0] * 3


@pytest.mark.parametrize("channel, closed_form", [(AWGN(), theory.ber_awgn), (Rayleigh(fading="fast"), theory.ber_rayleigh)])
@pytest.mark.parametrize("name", ["qpsk-3/4", "16qam-3/4"])
def test_raw_bit_errors_follow_the_closed_form(channel, closed_form, name):
    link = Digital(mcs=name, iterations=1).build(channel.build("cpu"), "cpu")
    counts = send(link, {"x": random_bits(10, 8)}, 1200, 8.0).counts
    errors, bits = int(counts["raw_bit_errors"].sum()), int(counts["raw_bits"].sum())
    expected = float(closed_form(mcs.find(name).bits_per_symbol, 10**0.8))
    # the bits of a symbol share its noise: at worst all fail together
    deviation = math.sqrt(expected * mcs.find(name).bits_per_symbol / bits)
    assert abs(errors / bits - expected) < 5 * deviation


def test_budget_is_the_payload_less_crc_length_field_and_side_information():
    link = Digital(mcs="64qam-2/3").build(AIR, "cpu")
    coded = 8192 * 6
    plan = fec.segment(coded, mcs.find("64qam-2/3").rate, 6)
    payload = plan.blocks * (plan.block_bits - 24)
    assert plan.blocks > 1
    assert link.budget(8192, Condition(0.0), 10).bits == payload - math.ceil(math.log2(payload + 1)) - 10


def test_uses_sum_to_the_grant_and_follow_the_bits():
    link = Digital(mcs="qpsk-1/2").build(AIR, "cpu")
    uses, side = 1001, random_bits(3, 12, name="side")
    most = link.budget(uses, Condition(10.0), 12).bits
    usage = send(link, {"x": random_bits(3, most, [most, 400, 0])}, uses, 10.0, side).usage
    assert sum(usage.uses.values()).tolist() == [uses] * 3
    assert usage.uses["padding"].tolist()[0] == 0 and usage.uses["payload"].tolist()[2] == 0
    frame = link._frame(uses)
    for row, length in enumerate((most, 400, 0)):
        assert abs(int(usage.uses["payload"][row]) - uses * length / frame.block.block_bits) < 2
        assert abs(int(usage.uses["header"][row]) - uses * (12 + frame.length_bits) / frame.block.block_bits) < 2
    assert usage.energy.tolist() == [uses] * 3


def test_radiated_power_of_padding_is_that_of_the_constellation():
    link = Digital(mcs="256qam-3/4").build(AIR, "cpu")
    frame = link._frame(4000)
    symbols = frame.qam.modulate(frame.encode(torch.zeros((1, frame.block.payload_bits), dtype=torch.uint8)))
    energy = symbols.abs().double().square()
    assert abs(energy.mean() - 1) < 5 * energy.std() / math.sqrt(energy.numel())


def test_over_budget_is_caught():
    link = Digital(mcs="qpsk-1/2").build(AIR, "cpu")
    most = link.budget(500, Condition(0.0)).bits
    with pytest.raises(LedgerError, match="image 1 has"):
        send(link, {"x": random_bits(2, most + 1, [most, most + 1])}, 500, 0.0)
    budget = link.budget(500, Condition(0.0))  # a planted free header: made as if there were no side information
    with pytest.raises(LedgerError, match="with side information"):
        send(link, {"x": random_bits(1, most)}, 500, 0.0, random_bits(1, 3, name="side"), budget=budget)


def test_what_cannot_exist_says_why():
    with pytest.raises(Infeasible, match="8 channel uses with qpsk-1/2"):
        Digital(mcs="qpsk-1/2").build(AIR, "cpu").budget(8, Condition(0.0))
    with pytest.raises(Infeasible, match="leave none for the message"):
        Digital(mcs="qpsk-1/2").build(AIR, "cpu").budget(40, Condition(0.0), 30)
    with pytest.raises(ValidationError, match="did you mean 'qpsk-1/2'"):
        Digital(mcs="qpks-1/2")
    reals = Message({"x": Reals(torch.zeros(1, 4), (4,))}, Digital().build(AIR, "cpu").budget(200, Condition(0.0)), (8, 8))
    with pytest.raises(ScenarioError, match="carries bits"):
        Digital().build(AIR, "cpu").send(reals, [Condition(0.0)], Streams.of("a"))


def test_infeasible_images_send_nothing_and_leave_the_others_alone():
    link = Digital(mcs="qpsk-1/2").build(AIR, "cpu")
    sent = random_bits(3, 300)
    received = send(link, {"x": sent}, 500, 8.0, infeasible=(None, "too small", None))
    assert received.parts["x"].ok.tolist() == [True, False, True]
    assert received.counts["frames"].tolist() == [1, 0, 1]
    assert received.usage.uses["unused"].tolist() == [0, 500, 0]
    assert same_bits(received.parts["x"], sent, 2)


def test_no_bits_at_all_cost_nothing_and_cannot_fail():
    received = send(Digital().build(AIR, "cpu"), {"x": random_bits(2, 0)}, 500, -30.0)
    assert bool(received.parts["x"].ok.all())
    assert received.usage.uses["unused"].tolist() == [500, 500] and received.usage.energy.tolist() == [0.0, 0.0]


def test_verdicts_and_bits_do_not_depend_on_the_batch():
    link = Digital(mcs="qpsk-1/2").build(Rayleigh(fading="block").build("cpu"), "cpu")
    sent = random_bits(8, 200)
    conditions = [Condition(3.0)] * 8
    message, streams = Message({"x": sent}, link.budget(300, Condition(3.0)), (8, 8)), Streams.of("abcdefgh")
    whole = link.send(message, conditions, streams)
    rows = [6, 1, 2]
    some = link.send(message.select(rows), conditions[:3], streams.select(rows))
    assert torch.equal(some.parts["x"].ok, whole.parts["x"].ok[rows])
    good = [(i, row) for i, row in enumerate(rows) if bool(whole.parts["x"].ok[row])]
    assert good and all(same_bits(some.parts["x"], sent.select(torch.tensor(rows)), i) for i, _ in good)
    assert torch.equal(some.counts["raw_bit_errors"], whole.counts["raw_bit_errors"][rows])


def test_every_mcs_is_a_choice_and_has_a_predicted_success():
    names = Digital.choices("mcs")
    assert set(names) == {scheme.name for scheme in mcs.MCS} and Digital.choices("iterations") == ()


#: How far mutual-information mapping and a block error table in steps of half a dB may be off.
ACCURACY_DB = 0.4


@pytest.mark.parametrize(
    "channel, snr_db",
    [
        (AWGN(), 1.2),
        (Rayleigh(fading="block"), 4.0),
        (Rayleigh(fading="fast"), 3.0),
        (Rayleigh(fading="block", coherence=128), 4.5),
    ],
    ids=["awgn", "one block", "fast", "coherence 128"],
)
def test_predicted_success_is_what_is_simulated(channel, snr_db):
    link = Digital(mcs="qpsk-1/2").build(channel.build("cpu"), "cpu")
    frames, uses = 60, 1024
    bits = random_bits(1, 500).select(torch.zeros(frames, dtype=torch.int64))
    arrived = float(send(link, {"x": bits}, uses, snr_db).parts["x"].ok.double().mean())
    low, high = (link.success(Condition(snr_db + step), uses) for step in (-ACCURACY_DB, ACCURACY_DB))
    assert 0.0 <= low <= link.success(Condition(snr_db), uses) <= high <= 1.0

    def deviation(p):  # of the simulated mean, with one frame's worth of doubt at 0 and 1
        return math.sqrt(max(p * (1 - p), 1 / frames) / frames)

    assert low - 4 * deviation(low) <= arrived <= high + 4 * deviation(high)


CODED = [
    Digital(code="polar", mcs="qpsk-1/2"),
    Digital(code="polar", modulation="16qam", rate="3/5", decoder="scl"),
    Digital(code="uncoded", modulation="1024qam"),
    Digital(modulation="1024qam", rate="5/6", interleave="frame"),
    Digital(modulation="bpsk", rate=0.5, interleave="none"),
]


@pytest.mark.parametrize("description", CODED, ids=lambda d: f"{d.code} {d.scheme.name}")
def test_every_code_and_modulation_brings_all_bits_back_at_high_snr(description):
    link = description.build(AIR, "cpu")
    most = link.budget(1500, Condition(45.0)).bits
    sent = random_bits(3, most, [most, 7, 0])
    received = send(link, {"x": sent}, 1500, 45.0)
    part = received.parts["x"]
    assert bool(part.ok.all()) and all(same_bits(part, sent, row) for row in range(3))
    assert sum(received.usage.uses.values()).tolist() == [1500] * 3
    assert Digital.model_validate_json(description.model_dump_json()) == description


def test_an_explicit_scheme_of_the_table_is_the_named_one():
    named, explicit = Digital(mcs="16qam-2/3"), Digital(modulation="16qam", rate="4/6")
    assert explicit.scheme == named.scheme
    bits, results = random_bits(4, 300), []
    for description in (named, explicit):
        results.append(send(description.build(AIR, "cpu"), {"x": bits}, 400, 9.0).counts["raw_bit_errors"])
    assert torch.equal(*results)


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"code": "uncoded"}, "code uncoded has no rate, and qpsk-1/3 was given"),
        ({"modulation": "16qam"}, "without rate"),
        ({"modulation": "16qam", "rate": "1/2", "mcs": "qpsk-1/2"}, "mcs qpsk-1/2 and modulation 16qam were given"),
        ({"rate": "1/2"}, "beside mcs qpsk-1/3, which has one"),
        ({"modulation": "16qam", "rate": "2/0"}, "is not a code rate"),
        ({"modulation": "16qam", "rate": 1.2}, "at most 1"),
        ({"modulation": "qpsk", "rate": "0.97"}, "allowed: up to rate 0.95"),
        ({"modulation": "qpsk", "rate": "1/20", "code": "polar"}, "allowed coded bits"),
        ({"mcs": None}, "neither mcs nor modulation"),
    ],
)
def test_schemes_that_say_too_much_or_too_little_are_refused(fields, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Digital(**fields)


@pytest.mark.parametrize(
    "channel, snr_db", [(AWGN(), 12.0), (Rayleigh(fading="block"), 15.0), (Rayleigh(fading="block", coherence=50), 25.0)]
)
def test_success_without_a_code_is_its_closed_form(channel, snr_db):
    link = Digital(code="uncoded", modulation="qpsk").build(channel.build("cpu"), "cpu")
    frames, uses = 200, 300
    bits = random_bits(1, 200).select(torch.zeros(frames, dtype=torch.int64))
    arrived = float(send(link, {"x": bits}, uses, snr_db).parts["x"].ok.double().mean())
    predicted = link.success(Condition(snr_db), uses)
    assert 0.2 < predicted < 0.99
    # simulated frames, and the 200 draws of the fading behind the prediction
    assert abs(arrived - predicted) < 4.5 * math.sqrt(2 * predicted * (1 - predicted) / frames)


def test_frame_interleaving_helps_a_frame_of_many_blocks_over_many_fades_and_is_predicted():
    channel, uses, snr_db = Rayleigh(fading="block", coherence=64), 2048, 5.5
    success = {
        interleave: Digital(code="polar", mcs="qpsk-1/2", interleave=interleave).build(channel.build("cpu"), "cpu").success(
            Condition(snr_db), uses
        )
        for interleave in ("block", "frame")
    }
    assert success["frame"] > success["block"] + 0.1
    link = Digital(code="polar", mcs="qpsk-1/2", interleave="frame").build(channel.build("cpu"), "cpu")
    frames = 60
    bits = random_bits(1, 500).select(torch.zeros(frames, dtype=torch.int64))
    arrived = float(send(link, {"x": bits}, uses, snr_db).parts["x"].ok.double().mean())
    low, high = (link.success(Condition(snr_db + step), uses) for step in (-ACCURACY_DB, ACCURACY_DB))
    doubt = 4 * math.sqrt(0.25 / frames)
    assert low - doubt <= arrived <= high + doubt


def test_what_was_not_measured_is_not_predicted():
    assert Digital(modulation="1024qam", rate="3/4").build(AIR, "cpu").success(Condition(30.0), 500) is None


def test_success_of_several_blocks_is_the_product():
    link = Digital(mcs="qpsk-5/6").build(AIR, "cpu")
    uses = 8192
    plan = fec.segment(uses * 2, mcs.find("qpsk-5/6").rate, 2)
    assert plan.blocks == 2
    snr_db = np.arange(2.0, 8.0, 0.5)
    each = [mcs.block_error_rate(mcs.find("qpsk-5/6"), s, plan.block_bits) for s in snr_db]
    predicted = [link.success(Condition(float(s)), uses) for s in snr_db]
    np.testing.assert_allclose(predicted, (1 - np.array(each)) ** 2, atol=1e-9)
