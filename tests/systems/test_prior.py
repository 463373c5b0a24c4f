"""The system that sends nothing."""

import pytest
import torch

from semcom.errors import DataError, ScenarioError
from semcom.protocols import Context
from semcom.receive.prior import Prior as Receive
from semcom.rng import Streams
from semcom.source.photos import Photos
from semcom.transmit.prior import Prior as Transmit
from semcom.types import Budget, Received, ReceivedBits, Usage


def received(count: int, size: tuple[int, int], ok: bool = False) -> Received:
    granted = torch.full((count,), 100)
    zeros = torch.zeros(count, dtype=torch.int64)
    part = ReceivedBits(torch.zeros((count, 0), dtype=torch.uint8), zeros, torch.full((count,), ok))
    return Received({"image": part}, Usage(granted, {"unused": granted}, zeros.double()), size)


def test_it_sends_no_bits():
    source = Photos(size=(32, 48)).build()
    images = source.load([ref.id for ref in source.images()])
    encoder = Transmit().build(Context())
    message = encoder.encode(images, Budget(100, bits=64), Streams.of(images.ids))
    assert message.parts["image"].bits.shape == (3, 0) and message.parts["image"].lengths.tolist() == [0, 0, 0]
    assert message.side is None and encoder.side_bits == 0 and len(message.select([2, 2, 0, 1])) == 4


def test_every_row_is_the_average_training_picture_and_never_fails():
    source = Photos(size=(32, 48)).build()
    result = Receive().build(Context(source=source)).decode(received(4, (32, 48)), Streams.of("abcd"))
    assert bool(result.ok.all()) and all(torch.equal(row, source.prior()) for row in result.pixels)


def test_it_needs_a_source_of_the_right_size():
    with pytest.raises(ScenarioError, match="source"):
        Receive().build(Context())
    source = Photos(size=(32, 48)).build()
    with pytest.raises(DataError, match="32x48 and the pictures sent are 16x16"):
        Receive().build(Context(source=source)).decode(received(1, (16, 16)), Streams.of("a"))
