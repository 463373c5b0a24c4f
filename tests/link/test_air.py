"""The air: one channel for all systems, drawn once."""

import pytest
import torch

from channels.awgn import AWGN
from channels.rayleigh import Rayleigh
from semcom.link import base, draws
from semcom.rng import Streams
from semcom.types import Condition


@pytest.mark.parametrize("fading", ["block", "fast"])
def test_draws_are_the_same_kept_or_drawn_again(fading):
    channel = Rayleigh(fading=fading).build("cpu")
    streams = Streams.of(("a", "b"), seed=3)

    def both(n):
        return draws.noise(streams, n), draws.fading(channel, streams, n)

    draws.NOISE.clear(), draws.FADING.clear()
    short, long, again = both(50), both(400), both(50)  # drawn, drawn longer, a prefix of what is kept
    draws.NOISE.clear(), draws.FADING.clear()
    for kept, new in zip((short, long, again), (both(50), both(400), both(50)), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(kept, new, strict=True))
    assert torch.equal(short[0], long[0][:, :100]) and torch.equal(short[1], long[1][:, :50])


def test_draws_do_not_depend_on_the_system_or_the_rows():
    channel = Rayleigh(fading="fast").build("cpu")
    streams = Streams(0, ("a", "b", "a"), (0, 0, 1))
    noise = draws.noise(streams, 30)
    draws.NOISE.clear()
    assert torch.equal(draws.noise(streams.select([2, 1]), 30), noise[[2, 1]])
    conditions = [Condition(0.0)] * 3
    x = torch.ones(3, 30, dtype=torch.complex64)
    (one,) = base.Air(channel, conditions, streams, 30, "cpu").carry([base.Signal(x)])
    (other,) = base.Air(channel, conditions, streams.for_system("another"), 30, "cpu").carry([base.Signal(x)])
    assert torch.equal(one.symbols, other.symbols)
    assert not torch.equal(one.symbols[0], one.symbols[2])  # another repeat


def test_two_channels_never_share_their_kept_fading():
    streams = Streams.of("a")
    gains = [draws.fading(Rayleigh(fading=kind).build("cpu"), streams, 8) for kind in ("block", "fast", "block")]
    assert torch.equal(gains[0], gains[2]) and not torch.equal(gains[0], gains[1])


def test_the_bank_is_bounded():
    bank = draws.Bank(1000)
    for key in range(20):
        bank.rows([key], 50, lambda rows: torch.zeros(len(rows), 50))
    assert bank._bytes <= 1000 and len(bank._kept) == 5


def test_uses_are_taken_in_order_and_never_twice():
    def ones(count):
        return base.Signal(torch.ones(1, count, dtype=torch.complex64))

    def air():
        return base.Air(AWGN().build("cpu"), [Condition(0.0)], Streams.of("a"), 10, "cpu")

    (whole,) = air().carry([ones(10)])
    parted = air()
    (first,) = parted.carry([ones(4)], uses=4)
    parted.skip(1)
    silent, second = parted.carry([base.Signal.silence(1, 1), ones(4)])
    assert torch.equal(first.symbols, whole.symbols[:, :4]) and torch.equal(second.symbols, whole.symbols[:, 6:])
    assert torch.isinf(silent.noise_std).all() and not silent.symbols.any()
    with pytest.raises(ValueError, match="0 left of 10"):
        parted.skip(1)
    with pytest.raises(ValueError, match="9 symbols; its channel uses carry 10"):
        air().carry([ones(9)])


def test_shares_of_uses_are_whole_and_sum_exactly():
    weights = {"a": torch.tensor([1, 5, 0]), "b": torch.tensor([1, 0, 0]), "c": torch.tensor([1, 2, 9])}
    shares = base.share_out(torch.tensor([10, 10, 7]), weights)
    assert {name: s.tolist() for name, s in shares.items()} == {"a": [4, 7, 0], "b": [3, 0, 0], "c": [3, 3, 7]}


def test_noise_of_many_images_is_normal():
    noise = draws.noise(Streams.of([f"image {i}" for i in range(50)]), 2000).double()
    count = noise.numel()
    assert abs(noise.mean()) < 5 / count**0.5
    assert abs(noise.var() - 1) < 5 * (2 / count) ** 0.5
