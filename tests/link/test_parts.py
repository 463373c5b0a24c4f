"""A link for each part: shares of uses and power, one air, one ledger."""

import math

import pytest
import torch
from pydantic import ValidationError

from channels.awgn import AWGN
from channels.rayleigh import Rayleigh
from semcom.errors import Infeasible, LedgerError, ScenarioError
from semcom.link.analog import Analog
from semcom.link.parts import Parts
from semcom.rng import Streams, generator
from semcom.types import Bits, Condition, Message, Reals

AIR = AWGN().build("cpu")
DIGITAL_AND_ANALOG = {
    "kind": "parts",
    "parts": {
        "map": {"link": {"kind": "digital", "mcs": "qpsk-1/3"}, "uses": "1/4", "power": "1/2"},
        "latent": {"link": "analog", "uses": 0.5, "power": 0.5},
    },
}


def message(budget, rows=4, side=0, bits=100, reals=1000):
    rng = generator("test parts")
    values = torch.from_numpy(rng.standard_normal((rows, reals), dtype="float32"))
    values = values / values.square().mean(dim=1, keepdim=True).sqrt()
    draw = lambda width: Bits(torch.from_numpy(rng.integers(0, 2, (rows, width), dtype="uint8")), torch.full((rows,), width))  # noqa: E731
    parts = {"map": draw(bits), "latent": Reals(values, (reals,))}
    return Message(parts, budget, (8, 8), draw(side) if side else None)


def test_each_part_gets_its_share_and_the_sum_is_the_grant():
    link = Parts.model_validate(DIGITAL_AND_ANALOG).build(AIR, "cpu")
    budget = link.budget(2001, Condition(3.0), 16)
    assert budget.part("map").channel_uses == 500 and budget.part("latent").reals == 2000
    sent = message(budget, side=16)
    received = link.send(sent, [Condition(3.0)] * 4, Streams.of("abcd"))
    assert sum(received.usage.uses.values()).tolist() == [2001] * 4
    assert received.usage.uses["unused"].tolist() == [501] * 4
    assert float(received.usage.energy.max()) <= 2001
    assert torch.equal(received.parts["map"].bits, sent.parts["map"].bits) and bool(received.side.ok.all())
    assert torch.equal(received.side.bits, sent.side.bits)  # it rode in the digital part
    # twice the power a use: the analog part is at power 1, the digital one at power 2
    torch.testing.assert_close(received.parts["latent"].noise_std, torch.full((4, 1000), 10 ** (-3 / 20) / math.sqrt(2.0)))
    assert budget.part("map").snr_db == pytest.approx(3.0 + 10 * math.log10(2.0))


def test_power_shares_move_noise_from_one_part_to_the_other():
    def noise(power):
        parts = {
            "map": {"link": "analog", "uses": 0.5, "power": power},
            "latent": {"link": "analog", "uses": 0.5, "power": 1 - power},
        }
        link = Parts.model_validate({"parts": parts}).build(AIR, "cpu")
        values = message(link.budget(1000, Condition(0.0)), reals=1000).parts["latent"]
        sent = Message({"map": values, "latent": values}, link.budget(1000, Condition(0.0)), (8, 8))
        received = link.send(sent, [Condition(0.0)] * 4, Streams.of("abcd"))
        assert float(received.usage.energy.max()) <= 1000 * (1 + 1e-4)
        return [float(received.parts[name].noise_std.max()) for name in ("map", "latent")]

    assert noise(0.5) == pytest.approx([1.0, 1.0])
    assert noise(0.8) == pytest.approx([1.6**-0.5, 0.4**-0.5])


def test_normalised_error_stays_one_under_a_power_share():
    link = Parts.model_validate(DIGITAL_AND_ANALOG).build(Rayleigh(fading="fast").build("cpu"), "cpu")
    sent = message(link.budget(2000, Condition(3.0)))
    part = link.send(sent, [Condition(3.0)] * 4, Streams.of("abcd")).parts["latent"]
    error = ((part.values - sent.parts["latent"].values) / part.noise_std).double()
    assert abs(error.var() - 1) < 5 * math.sqrt(2 / error.numel())


def test_parts_meet_the_air_in_order():
    """The second part sees the noise that follows the first one's, as one message over both would."""
    parts = {name: {"link": {"kind": "analog", "fill": "none"}, "uses": 0.5, "power": 0.5} for name in ("map", "latent")}
    link = Parts.model_validate({"parts": parts}).build(AIR, "cpu")
    values = message(link.budget(1000, Condition(0.0))).parts["latent"]
    split = Message({"map": values, "latent": values}, link.budget(1000, Condition(0.0)), (8, 8))
    received = link.send(split, [Condition(0.0)] * 4, Streams.of("abcd"))
    whole = Analog().build(AIR, "cpu")
    joined = Message({"x": Reals(torch.cat([values.values] * 2, dim=1), (2000,))}, whole.budget(1000, Condition(0.0)), (8, 8))
    together = whole.send(joined, [Condition(0.0)] * 4, Streams.of("abcd")).parts["x"].values
    torch.testing.assert_close(
        torch.cat([received.parts[n].values for n in ("map", "latent")], dim=1), together, rtol=0, atol=1e-5
    )


def test_description_round_trip_and_identity():
    description = Parts.model_validate(DIGITAL_AND_ANALOG)
    again = Parts.model_validate(description.model_dump(mode="json"))
    assert again == description and hash(again) == hash(description) and again.identity() == description.identity()
    assert description.identity()["parts"]["map"]["link"]["mcs"] == "qpsk-1/3"
    assert description.identity()["parts"]["map"]["link"]["version"] == 1
    turned = {"parts": dict(reversed(DIGITAL_AND_ANALOG["parts"].items()))}
    assert Parts.model_validate(turned).identity() != description.identity()  # another part meets other uses


@pytest.mark.parametrize(
    "change, where, sentence",
    [
        ({"uses": 0.8}, (), "shares of uses sum to 1.3"),
        ({"power": 0.75}, (), "shares of power sum to 1.25"),
        ({"uses": "1/0"}, ("parts", "map", "uses"), "not a number or a fraction"),
        ({"link": {"kind": "digitl"}}, ("parts", "map", "link"), "did you mean 'digital'"),
        ({"link": {"kind": "digital", "mc": 1}}, ("parts", "map", "link", "mc"), "Extra inputs"),
        ({"link": DIGITAL_AND_ANALOG}, ("parts", "map", "link"), "one 'parts'"),
        ({"link": {"kind": "outside.module:Link"}}, ("parts", "map", "link"), "--allow-plugins"),
    ],
)
def test_wrong_shares_and_nested_links_name_their_place(change, where, sentence):
    parts = {**DIGITAL_AND_ANALOG["parts"], "map": {**DIGITAL_AND_ANALOG["parts"]["map"], **change}}
    with pytest.raises(ValidationError) as caught:
        Parts.model_validate({"parts": parts})
    error = caught.value.errors()[0]
    assert error["loc"] == where and sentence in error["msg"]


def test_names_that_do_not_match_and_parts_that_do_not_fit_say_so():
    link = Parts.model_validate(DIGITAL_AND_ANALOG).build(AIR, "cpu")
    sent, conditions, streams = message(link.budget(2000, Condition(3.0))), [Condition(3.0)] * 4, Streams.of("abcd")
    renamed = Message({"mab": sent.parts["map"], "latent": sent.parts["latent"]}, sent.budget, (8, 8))
    with pytest.raises(ScenarioError, match="did you mean 'map'"):
        link.send(renamed, conditions, streams)
    with pytest.raises(ScenarioError, match="'latent', which the message has not"):
        link.send(Message({"map": sent.parts["map"]}, sent.budget, (8, 8)), conditions, streams)
    with pytest.raises(Infeasible, match="part 'map'"):
        link.budget(60, Condition(3.0))
    inflated = Message(
        sent.parts, Parts.model_validate(DIGITAL_AND_ANALOG).build(AIR, "cpu").budget(4000, Condition(3.0)), (8, 8)
    )
    grown = type(inflated.budget)(2000, parts=inflated.budget.parts)  # the parts of a larger grant
    with pytest.raises(LedgerError, match="its share of 2000 is 500"):
        link.send(Message(sent.parts, grown, (8, 8)), conditions, streams)


def test_success_is_known_where_every_part_is_all_or_nothing():
    assert Parts.model_validate(DIGITAL_AND_ANALOG).build(AIR, "cpu").success(Condition(3.0), 2000) is None
    ideal = {"parts": {"map": {"link": "ideal", "uses": 0.5, "power": 0.5}, "rest": {"link": "ideal", "uses": 0.5, "power": 0.5}}}
    assert Parts.model_validate(ideal).build(AIR, "cpu").success(Condition(3.0), 2000) == 1.0
