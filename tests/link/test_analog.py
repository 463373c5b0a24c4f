"""What an analog link hands on: unbiased, with the noise level it says, within its power, whatever the batch."""

import math

import pytest
import torch

from channels.awgn import AWGN
from channels.rayleigh import Rayleigh
from channels.rician import Rician
from semcom.errors import Infeasible, LedgerError, ScenarioError
from semcom.link import header
from semcom.link.analog import Analog
from semcom.rng import Streams, generator
from semcom.types import Bits, Condition, Message, Reals

CHANNELS = {
    "awgn": AWGN(),
    "rayleigh block": Rayleigh(fading="block"),
    "rayleigh coherence 64": Rayleigh(fading="block", coherence=64),
    "rayleigh fast": Rayleigh(fading="fast"),
    "rician": Rician(k_db=6.0),
}
IDS = tuple("abcdefgh")


def unit_reals(rows: int, length: int, room: int | None = None) -> torch.Tensor:
    """Reals whose first ``room`` (what the link will send of them) have unit RMS, image by image."""
    values = torch.from_numpy(generator("test reals").standard_normal((rows, length), dtype="float32"))
    return values / values[:, :room].square().mean(dim=1, keepdim=True).sqrt()


def message(link, values: torch.Tensor, uses: int, side: Bits | None = None, infeasible=()) -> Message:
    budget = link.budget(uses, Condition(0.0), 0 if side is None else side.bits.shape[1])
    return Message({"x": Reals(values, (values.shape[1],))}, budget, (8, 8), side, infeasible)


def side_bits(rows: int, count: int) -> Bits:
    bits = torch.from_numpy(generator("test side").integers(0, 2, (rows, count), dtype="uint8"))
    return Bits(bits, torch.full((rows,), count))


def send(link, values, uses, snr_db=5.0, ids=IDS, seed=0, **kwargs):
    rows = len(values)
    return link.send(message(link, values, uses, **kwargs), [Condition(snr_db)] * rows, Streams.of(ids[:rows], seed))


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=CHANNELS.keys())
@pytest.mark.parametrize("length", [400, 1200, 1501, 4000], ids=["repeated 5 times", "repeated 1.7 times", "odd", "punctured"])
def test_normalised_error_has_variance_one_and_slope_one(channel, length):
    link = Analog().build(channel.build("cpu"), "cpu")
    values = unit_reals(8, length, room=2000)
    received = send(link, values, 1000, snr_db=3.0).parts["x"]
    there = torch.isfinite(received.noise_std)
    assert bool((received.values[~there] == 0).all())
    assert int(there.sum()) == 8 * min(length, 2000)
    sigma = received.noise_std[there].double()
    error = (received.values[there].double() - values[there].double()) / sigma
    count = error.numel()
    # five standard errors of the mean, and of the variance of normal errors
    assert abs(error.mean()) < 5 / math.sqrt(count)
    assert abs(error.var() - 1) < 5 * math.sqrt(2 / count)
    # slope of a regression through the origin, weighted by 1 / noise_std^2
    sent = values[there].double() / sigma
    slope = (sent * received.values[there].double() / sigma).sum() / sent.square().sum()
    assert abs(slope - 1) < 5 / math.sqrt(sent.square().sum())


def test_noise_level_is_a_sigma_over_root_two_h():
    channel = Rayleigh(fading="block").build("cpu")
    link = Analog(fill="none").build(channel, "cpu")
    received = send(link, unit_reals(4, 64), 32, snr_db=7.0).parts["x"]
    from semcom.link import draws

    h = draws.fading(channel, Streams.of(IDS[:4]), 32)[:, :1].abs()
    expected = math.sqrt(2.0) * 10 ** (-7.0 / 20) / math.sqrt(2.0) / h
    torch.testing.assert_close(received.noise_std, expected.expand(4, 64), rtol=1e-5, atol=0)


def test_equal_to_applying_the_channel_and_dividing():
    """The equalised symbol does not depend on whether the channel is known to be y = h x + n."""

    class Opaque:
        def __init__(self, inner):
            self.draw = inner.draw

        def apply(self, x, fading, noise):
            return fading.h * x + noise

    inner = Rayleigh(fading="fast").build("cpu")
    values = unit_reals(3, 300)
    one, other = (send(Analog().build(c, "cpu"), values, 200).parts["x"] for c in (inner, Opaque(inner)))
    torch.testing.assert_close(one.noise_std, other.noise_std, rtol=1e-6, atol=0)
    scale = other.noise_std + 1
    assert float(((one.values - other.values) / scale).abs().max()) < 1e-5  # float32 rounding


def test_repetition_lowers_the_noise_by_maximum_ratio():
    link = Analog().build(AWGN().build("cpu"), "cpu")
    noise_std = send(link, unit_reals(2, 400), 600, snr_db=0.0).parts["x"].noise_std  # 1200 reals: three copies
    torch.testing.assert_close(noise_std, torch.full((2, 400), 1 / math.sqrt(3.0)))
    # 1000 reals in 1500: the first 500 once more at amplitude sqrt(1 / 2)
    noise_std = send(link, unit_reals(2, 1000), 750, snr_db=0.0).parts["x"].noise_std
    torch.testing.assert_close(noise_std[:, :500], torch.full((2, 500), 1 / math.sqrt(1.5)))
    torch.testing.assert_close(noise_std[:, 500:], torch.ones(2, 500))


def test_without_fill_the_rest_is_unused():
    received = send(Analog(fill="none").build(AWGN().build("cpu"), "cpu"), unit_reals(2, 301), 200)
    assert received.usage.uses["payload"].tolist() == [151, 151]  # an odd last element has a use of its own
    assert received.usage.uses["unused"].tolist() == [49, 49]
    torch.testing.assert_close(received.usage.energy, torch.full((2,), 150.5, dtype=torch.float64), rtol=1e-5, atol=0)


def test_mean_power_is_at_most_one_even_if_the_repeated_part_is_the_loud_one():
    values = torch.zeros(1, 1000)
    values[0, :100] = math.sqrt(10.0)  # mean power 1, all of it in the part that is repeated
    usage = send(Analog().build(AWGN().build("cpu"), "cpu"), values, 600).usage
    assert float(usage.energy) <= 600 * (1 + 1e-4)


def test_power_is_of_the_image_and_not_of_the_batch():
    link = Analog().build(AWGN().build("cpu"), "cpu")
    values = unit_reals(4, 400)
    values[0] *= 0.5  # the batch has mean power below 1
    values[1] *= 1.05
    with pytest.raises(LedgerError, match="image 1 has mean power 1.1025"):
        send(link, values, 200)
    with pytest.raises(LedgerError, match="image 2"):
        send(link, torch.where(torch.arange(4)[:, None] == 2, torch.nan, unit_reals(4, 400)), 200)
    # what a neighbour sends changes nothing
    alone = send(link, unit_reals(4, 400)[:1], 200).parts["x"].values
    quiet = unit_reals(4, 400)
    quiet[1:] *= 0.1
    assert torch.equal(send(link, quiet, 200).parts["x"].values[:1], alone)


def test_punctured_messages_are_checked_over_what_is_sent():
    values = torch.cat([torch.full((1, 100), 1.2), torch.zeros(1, 900)], dim=1)  # mean power 0.14 over 1000 reals
    with pytest.raises(LedgerError, match="over the 100 reals that are sent"):
        send(Analog().build(AWGN().build("cpu"), "cpu"), values, 50)


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=CHANNELS.keys())
@pytest.mark.parametrize("length", [333, 700])
def test_bit_exact_for_any_batch_split(channel, length):
    link = Analog().build(channel.build("cpu"), "cpu")
    values, snrs = unit_reals(6, length, room=502), [-5.0, 0.0, 20.0]
    rows = [row for row in range(6) for _ in snrs]
    conditions = [Condition(snr) for _ in range(6) for snr in snrs]
    whole = message(link, values, 251).select(rows)
    streams = Streams.of(IDS[:6]).select(rows)
    together = link.send(whole, conditions, streams).parts["x"]
    order = [7, 3, 17, 0, 11]
    some = link.send(whole.select(order), [conditions[r] for r in order], streams.select(order)).parts["x"]
    assert torch.equal(some.values, together.values[order])
    assert torch.equal(some.noise_std, together.noise_std[order])


def test_same_noise_for_every_snr_and_a_prefix_for_a_shorter_message():
    link = Analog(fill="none").build(AWGN().build("cpu"), "cpu")
    values = unit_reals(1, 600)
    at = {snr: send(link, values, 300, snr_db=snr).parts["x"] for snr in (0.0, 20.0)}
    noise = {snr: (p.values - values) / p.noise_std for snr, p in at.items()}
    torch.testing.assert_close(noise[0.0], noise[20.0], rtol=0, atol=2e-5)  # rounding of 1 at noise_std 0.1
    short = values[:, :200] / values[:, :200].square().mean().sqrt()
    part = send(link, short, 100, snr_db=0.0).parts["x"]
    torch.testing.assert_close(part.values - short, noise[0.0][:, :200], rtol=0, atol=1e-6)


def test_gradients_flow_from_what_arrives_to_the_message():
    link = Analog().build(Rayleigh(fading="fast").build("cpu"), "cpu")
    values = (0.9 * unit_reals(2, 300)).requires_grad_()
    received = send(link, values, 200).parts["x"]  # 400 reals: partly repeated
    (gradient,) = torch.autograd.grad(received.values.sum(), values)
    torch.testing.assert_close(gradient, torch.ones_like(values), rtol=1e-4, atol=1e-4)  # unbiased: d received / d sent = 1


def test_side_information_is_charged_and_arrives():
    link = Analog().build(AWGN().build("cpu"), "cpu")
    side = side_bits(8, 20)
    uses = header.uses(20)
    assert uses == math.ceil((20 + 11) * 12 / 2)
    budget = link.budget(1000, Condition(0.0), 20)
    assert budget.reals == 2 * (1000 - uses)
    received = send(link, unit_reals(8, budget.reals), 1000, snr_db=0.0, side=side)
    assert bool(received.side.ok.all()) and torch.equal(received.side.bits, side.bits)
    assert received.usage.uses["header"].tolist() == [uses] * 8
    torch.testing.assert_close(received.usage.energy, torch.full((8,), 1000.0, dtype=torch.float64), rtol=1e-4, atol=0)


@pytest.mark.parametrize("count", [1, 5, 11, 100, 5000])
def test_a_header_holds_what_it_is_charged_for(count):
    block = header._block(count, "cpu")
    assert block.payload_bits >= count
    assert block.payload_bits - count <= block.blocks


def test_an_image_fails_if_its_header_does():
    link = Analog().build(AWGN().build("cpu"), "cpu")
    side = side_bits(8, 40)
    received = send(link, unit_reals(8, 400), 1000, snr_db=-20.0, side=side)
    part = received.parts["x"]
    assert not bool(received.side.ok.any()) and not bool(part.ok.any())
    assert bool((part.noise_std == math.inf).all()) and bool((part.values == 0).all())
    assert received.counts["header_failures"].tolist() == [1] * 8


def test_a_free_header_is_caught():
    link = Analog().build(AWGN().build("cpu"), "cpu")
    values = unit_reals(2, 200)
    planted = Message({"x": Reals(values, (200,))}, link.budget(1000, Condition(0.0)), (8, 8), side_bits(2, 20))
    with pytest.raises(LedgerError, match="20 bits of side information"):
        link.send(planted, [Condition(0.0)] * 2, Streams.of(IDS[:2]))


def test_a_grant_that_only_holds_the_header_is_infeasible():
    with pytest.raises(Infeasible, match="leaves none for the message"):
        Analog().build(AWGN().build("cpu"), "cpu").budget(100, Condition(0.0), 20)


def test_bits_on_an_analog_link_are_an_error():
    link = Analog().build(AWGN().build("cpu"), "cpu")
    bits = Message({"map": side_bits(1, 8)}, link.budget(10, Condition(0.0)), (8, 8))
    with pytest.raises(ScenarioError, match="part 'map' of the message is bits"):
        link.send(bits, [Condition(0.0)], Streams.of("a"))


def test_an_infeasible_image_sends_nothing():
    link = Analog().build(AWGN().build("cpu"), "cpu")
    values = unit_reals(2, 400)
    values[1] = 7.0  # ignored
    received = send(link, values, 200, infeasible=(None, "too small"))
    assert received.parts["x"].ok.tolist() == [True, False]
    assert received.usage.uses["unused"].tolist() == [0, 200]
    assert float(received.usage.energy[1]) == 0.0


def test_the_global_generator_is_not_touched():
    state = torch.random.get_rng_state()
    send(Analog().build(Rayleigh(fading="fast").build("cpu"), "cpu"), unit_reals(2, 100), 300, side=side_bits(2, 8))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_interleaved_symbols_come_back_in_order_with_their_levels():
    channel = Rayleigh(coherence=7).build("cpu")
    link, plain = Analog(interleave=True).build(channel, "cpu"), Analog().build(channel, "cpu")
    budget = link.budget(50, Condition(60.0))
    values = torch.linspace(-1.0, 1.0, 90)[None].repeat(2, 1)
    message = Message({"x": Reals(values, (90,))}, budget, (8, 8))
    received = {name: one.send(message, [Condition(60.0)] * 2, Streams.of("ab")).parts["x"] for name, one in (("mixed", link), ("plain", plain))}
    error = (received["mixed"].values - values).abs() / received["mixed"].noise_std
    assert error.max() < 6.0  # 180 normal errors
    assert not torch.equal(received["mixed"].noise_std, received["plain"].noise_std)
