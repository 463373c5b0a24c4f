"""Reference links against the formulas that they stand for."""

import math

import pytest
import torch

from channels import theory
from channels.awgn import AWGN
from channels.rayleigh import Rayleigh
from semcom.errors import LedgerError, ScenarioError
from semcom.link.ideal import Ideal
from semcom.rng import Streams
from semcom.types import Bits, Condition, Message

USES = 1000
AIR = AWGN().build("cpu")
BLOCK, FAST = Rayleigh(fading="block").build("cpu"), Rayleigh(fading="fast").build("cpu")


def send(link, budget, snr_db, images=1, repeats=1):
    rows = images * repeats
    part = Bits(torch.ones((rows, 40), dtype=torch.uint8), torch.full((rows,), 40))
    streams = Streams(0, tuple(f"image {i}" for i in range(images) for _ in range(repeats)), tuple(range(repeats)) * images)
    return link.send(Message({"x": part}, budget, (8, 8)), [Condition(snr_db)] * rows, streams)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.0])
def test_awgn_carries_its_capacity_and_not_a_decibel_less(snr_db):
    link = Ideal().build(AIR, "cpu")
    budget = link.budget(USES, Condition(snr_db), 7)
    assert budget.bits == math.floor(USES * math.log2(1 + 10 ** (snr_db / 10)) + 1e-6) - 7
    assert link.success(Condition(snr_db), USES) == 1.0
    plain = link.budget(USES, Condition(snr_db))
    assert bool(send(link, plain, snr_db).parts["x"].ok.all())
    assert not bool(send(link, plain, snr_db - 0.1).parts["x"].ok.any())


def test_fast_fading_carries_the_ergodic_capacity():
    link = Ideal().build(FAST, "cpu")
    bits = link.budget(USES, Condition(10.0)).bits
    # 2000 draws of 1000 uses; log2(1 + |h|^2 SNR) has a standard deviation below 1.7
    assert abs(bits / USES - theory.ergodic_capacity_rayleigh(10.0)) < 5 * 1.7 / math.sqrt(2000 * USES) + 1 / USES
    assert bool(send(link, link.budget(USES, Condition(10.0)), 10.0, images=20).parts["x"].ok.all())


@pytest.mark.parametrize("outage", [0.05, 0.3])
def test_block_fading_fails_with_the_outage_that_was_asked_for(outage):
    link = Ideal(outage=outage).build(BLOCK, "cpu")
    budget = link.budget(USES, Condition(10.0))
    rate = theory.outage_capacity(outage, 10.0)
    assert abs(budget.bits / USES - rate) < 0.02 * rate  # a resolution of one in two thousand in the quantile
    repeats = 128  # stratified in |h|^2: each image is off by one repeat at most
    failures = send(link, budget, 10.0, images=4, repeats=repeats).counts["frame_failures"]
    assert abs(float(failures.double().mean()) - outage) <= 1.5 / repeats
    assert abs(1 - link.success(Condition(10.0), USES) - outage) < 2e-3


def test_finite_blocklength_is_the_normal_approximation():
    link = Ideal(rule="finite_blocklength", error=1e-3).build(AIR, "cpu")
    assert link.budget(USES, Condition(5.0)).bits == math.floor(theory.normal_approximation(USES, 10**0.5, 1e-3))
    assert abs(link.success(Condition(5.0), USES) - (1 - 1e-3)) < 1e-4
    often = Ideal(rule="finite_blocklength", error=0.2).build(AIR, "cpu")
    images = 400
    failures = send(often, often.budget(USES, Condition(5.0)), 5.0, images).counts["frame_failures"].double().mean()
    assert abs(float(failures) - 0.2) < 5 * math.sqrt(0.2 * 0.8 / images)


def test_finite_blocklength_fails_less_at_a_higher_snr_image_by_image():
    link = Ideal(rule="finite_blocklength", error=0.3).build(AIR, "cpu")
    budget = link.budget(USES, Condition(5.0))
    low, high = (send(link, budget, snr, 100).parts["x"].ok for snr in (5.0, 5.1))
    assert bool((high | ~low).all()) and int(high.sum()) > int(low.sum())


def test_finite_blocklength_over_fast_fading_says_what_to_do():
    with pytest.raises(ScenarioError, match="take rule 'capacity'"):
        Ideal(rule="finite_blocklength").build(FAST, "cpu").budget(USES, Condition(5.0))


def test_failed_messages_hand_nothing_on():
    link = Ideal().build(AIR, "cpu")
    received = send(link, link.budget(USES, Condition(5.0)), 0.0)
    assert int(received.parts["x"].lengths) == 0 and not bool(received.parts["x"].bits.any())


def test_over_budget_is_caught_and_uses_add_up():
    link = Ideal().build(AIR, "cpu")
    with pytest.raises(LedgerError, match="image 0 has 40 bits"):
        send(link, link.budget(20, Condition(0.0)), 0.0)
    usage = send(link, link.budget(USES, Condition(0.0)), 0.0).usage
    assert usage.uses["payload"].tolist() == [40] and usage.uses["padding"].tolist() == [960]
    assert any("capacity" in words for words in usage.free)
