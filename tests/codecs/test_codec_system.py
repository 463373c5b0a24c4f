"""Transmitter and receiver together: picture to bits to picture."""

import time

import numpy as np
import pytest
import torch
from codec_pictures import arrived, batch, noise, photograph

from semcom import codecs
from semcom.codecs.payload import CONTAINERS, Payload
from semcom.codecs.resample import SCALES
from semcom.errors import ScenarioError
from semcom.protocols import Context
from semcom.receive.image_codec import ImageCodec as Receive
from semcom.receive.image_codec import picture
from semcom.rng import Streams
from semcom.transmit.image_codec import ImageCodec as Transmit
from semcom.types import Budget, Received, ReceivedBits

NAMES = pytest.mark.parametrize("name", codecs.NAMES)


def send(images, bits, name, container="stripped"):
    transmitter = Transmit(codec=name, container=container).build(Context())
    return transmitter.encode(images, Budget(channel_uses=1, bits=bits), Streams.of(images.ids))


def receive(received):
    return Receive().build(Context()).decode(received, Streams.of(("x",) * len(received.parts["image"].ok)))


def psnr(a, b):
    return -10 * torch.log10((a - b).square().mean(dim=(1, 2, 3)))


@NAMES
@pytest.mark.parametrize("size", [(128, 64), (37, 53)], ids=str)
def test_round_trip_within_the_budget(name, size):
    images = batch(photograph("astronaut", *size), photograph("chelsea", *size))
    message = send(images, 8 * 700, name)
    part = message.parts["image"]
    assert part.bits.dtype == torch.uint8 and part.lengths.dtype == torch.int64 and message.infeasible == (None, None)
    assert (part.lengths <= 8 * 700).all() and (part.lengths > 8 * 350).all()
    out = receive(arrived(message))
    assert out.ok.all() and out.pixels.shape == images.pixels.shape and out.pixels.dtype == torch.float32
    assert (psnr(out.pixels, images.pixels) > 18).all()
    assert torch.equal((out.pixels * 255).round() / 255, out.pixels)


@NAMES
def test_full_and_stripped_carry_the_same_picture(name):
    """With the constant bytes granted on top, `full` delivers the same pixels; in an equal budget it cannot be better."""
    images = batch(photograph("chelsea", 128, 64))
    stripped = receive(arrived(send(images, 8 * 1000, name)))
    more = receive(arrived(send(images, 8 * 2000, name, "full")))
    equal = receive(arrived(send(images, 8 * 1000, name, "full")))
    assert psnr(equal.pixels, images.pixels) <= psnr(stripped.pixels, images.pixels) <= psnr(more.pixels, images.pixels)


@NAMES
def test_infeasible_says_why_and_leaves_the_others(name):
    images = batch(photograph("rocket", 128, 64), noise(128, 64))
    tiny = send(images, 8 * 3, name)
    assert all(f"smallest {name} file needs " in reason and ", 3 fit" in reason for reason in tiny.infeasible)
    assert tiny.parts["image"].lengths.tolist() == [0, 0]
    out = receive(arrived(tiny))
    assert not out.ok.any() and (out.pixels == 0.5).all()


def test_free_lists_what_stripping_assumes():
    images = batch(photograph("rocket", 64, 64))
    assert any("quantisation tables" in words for words in send(images, 8000, "jpeg").free)
    assert send(images, 16000, "jpeg", "full").free == ("size of the picture",)


def test_a_link_without_bits_is_an_error():
    images = batch(photograph("rocket", 64, 64))
    with pytest.raises(ScenarioError, match="digital or ideal link"):
        Transmit().build(Context()).encode(images, Budget(channel_uses=10, reals=20), Streams.of(images.ids))


def test_the_budget_of_its_part_counts():
    images = batch(photograph("rocket", 64, 64))
    transmitter = Transmit(codec="webp").build(Context())
    budget = Budget(100, parts=(("image", Budget(60, bits=8 * 300)), ("map", Budget(40, bits=10))))
    lengths = transmitter.encode(images, budget, Streams.of(images.ids)).parts["image"].lengths
    assert 8 * 200 < int(lengths[0]) <= 8 * 300


@NAMES
def test_a_batch_is_its_images(name):
    """Any split of a batch gives the same bits and the same pixels."""
    pictures = [photograph(p, 64, 64) for p in ("astronaut", "chelsea", "coffee")]
    together = send(batch(*pictures), 8 * 400, name)
    out = receive(arrived(together))
    for row, p in enumerate(pictures):
        alone = send(batch(p), 8 * 400, name)
        n = int(alone.parts["image"].lengths[0])
        assert n == int(together.parts["image"].lengths[row])
        assert torch.equal(alone.parts["image"].bits[0, :n], together.parts["image"].bits[row, :n])
        assert torch.equal(receive(arrived(alone)).pixels[0], out.pixels[row])


def test_what_did_not_arrive_is_grey_and_not_ok():
    images = batch(photograph("astronaut", 64, 64), photograph("coffee", 64, 64))
    out = receive(arrived(send(images, 8 * 400, "jpeg"), ok=[False, True]))
    assert out.ok.tolist() == [False, True]
    assert (out.pixels[0] == 0.5).all() and psnr(out.pixels, images.pixels)[1] > 18


def test_equal_payloads_are_decoded_once(monkeypatch):
    from semcom.receive import image_codec

    calls = []
    monkeypatch.setattr(image_codec, "picture", lambda payload, size: calls.append(payload) or picture(payload, size))
    message = send(batch(photograph("astronaut", 64, 64), photograph("coffee", 64, 64)), 8 * 400, "webp")
    receiver = Receive().build(Context())
    first = receiver.decode(arrived(message.select([0, 1, 0, 0])), Streams.of("abcd"))
    again = receiver.decode(arrived(message.select([1, 1])), Streams.of("ab"))
    assert len(calls) == 2
    assert torch.equal(first.pixels[0], first.pixels[3]) and torch.equal(first.pixels[1], again.pixels[0])


@NAMES
@pytest.mark.parametrize("container", CONTAINERS)
def test_damaged_payloads_are_failures_and_no_crash(name, container):
    """Bits that were never sent: truncated, flipped, random. Whatever comes, it is a picture of the right size or none."""
    codec, rng, size = codecs.codec(name), np.random.default_rng(11), (48, 32)
    message = send(batch(photograph("astronaut", *size)), 8 * 1200, name, container)
    good = np.packbits(message.parts["image"].bits[0].numpy())
    for trial in range(60):
        bad = good[: rng.integers(0, len(good) + 1)] if trial % 3 == 0 else good.copy()
        if trial % 3 == 1:
            at = rng.integers(2, len(bad), size=1 + trial // 10)
            bad[at] = rng.integers(0, 256, size=len(at))
        if trial % 3 == 2:
            header = Payload(codec.number, container, int(rng.integers(len(SCALES))), int(rng.choice(codec.qualities)), b"")
            bad = np.frombuffer(header.pack() + rng.bytes(rng.integers(0, 400)), dtype=np.uint8)
        out = picture(bad.tobytes(), size)
        assert out is None or out.shape == (32, 48, 3)


def test_random_bits_are_failures_or_pictures():
    rng = np.random.default_rng(3)
    bits = torch.from_numpy(rng.integers(0, 2, (40, 999), dtype=np.uint8))
    lengths = torch.from_numpy(rng.integers(0, 1000, 40))
    part = ReceivedBits(bits, lengths, torch.ones(40, dtype=torch.bool))
    out = receive(Received({"image": part}, usage=None, image_size=(32, 48)))
    assert out.pixels.shape == (40, 3, 32, 48) and (out.pixels[~out.ok] == 0.5).all()


@pytest.mark.parametrize("name", ["jpeg2000", "webp", "avif"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_stream_of_another_size_is_refused_before_it_is_decoded(name, container):
    """A decoder allocates what a stream says of itself: 16 bits of lies must not cost gigabytes."""
    codec, size = codecs.codec(name), (64, 48)
    large = codec.encode(photograph("chelsea", 2048, 1536), codec.qualities[len(codec.qualities) // 4])
    data = large if container == "full" else codec.strip(large)
    start = time.perf_counter()
    assert picture(Payload(codec.number, container, 0, codec.qualities[0], data).pack(), size) is None
    assert time.perf_counter() - start < 1.0


def test_identity_holds_the_codec_builds():
    assert Transmit(codec="avif").identity()["libraries"] == codecs.versions("avif")
    assert Receive().identity()["libraries"] == codecs.versions()
    assert Transmit.choices("codec") == codecs.NAMES and Transmit.choices("container") == ()
