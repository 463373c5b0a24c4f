"""Coded maps: what goes in comes out, whole, in tiles, in slices of which some are lost."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom.classes import UNKNOWN
from semcom.codecs import label_map
from semcom.maps import coded, resize, soft_map
from semcom.types import Received, ReceivedBits, Usage

PICTURE = (32, 64)


def scene(seed, size=PICTURE):
    """A few rectangles of classes."""
    rng = np.random.default_rng(seed)
    labels = np.full(size, rng.integers(12), dtype=np.uint8)
    for _ in range(6):
        top, left = rng.integers(size[0]), rng.integers(size[1])
        labels[top : top + rng.integers(1, size[0] + 1), left : left + rng.integers(1, size[1] + 1)] = rng.integers(12)
    return labels


def tiles_of(labels, grid):
    return label_map.encode_tiles(labels, grid)


@settings(max_examples=50)
@given(
    seed=st.integers(0, 9),
    size=st.sampled_from([*coded.sizes(PICTURE), (5, 7), (1, 1), PICTURE]),
    grid=st.sampled_from([(1, 1), (1, 2), (2, 2), (3, 4)]),
    room=st.one_of(st.none(), st.integers(60, 400)),
)
def test_round_trip(seed, size, grid, room):
    grid = tuple(min(side, n) for side, n in zip(grid, size, strict=True))
    labels = scene(seed, size)
    bits = 4000 if room is None else 4000 // room * room
    made = coded.pack(coded.Head(size, grid), tiles_of(labels, grid), PICTURE, bits, room)
    if isinstance(made, str):
        assert room is not None and "needs" in made
        return
    assert len(made) <= bits
    assert np.array_equal(coded.unpack(made, PICTURE, None, room), labels)


@settings(max_examples=25)
@given(seed=st.integers(0, 3), lost=st.sets(st.integers(0, 9)))
def test_a_lost_slice_is_an_unknown_region_and_the_rest_arrives(seed, lost):
    grid, room, labels = (2, 4), 600, scene(seed)
    made = coded.pack(coded.Head(PICTURE, grid), tiles_of(labels, grid), PICTURE, 40 * room, room)
    arrived = np.ones(len(made), dtype=bool)
    for number in lost:
        arrived[number * room : (number + 1) * room] = False
    found = coded.unpack(made * arrived, PICTURE, arrived, room)
    if not arrived.any():
        assert found is None
        return
    known = found != UNKNOWN
    assert np.array_equal(found[known], labels[known])
    assert known.all() == arrived.all()
    for place in label_map.tiles(PICTURE, grid):  # a tile arrives whole or not at all
        assert known[place].all() or not known[place].any()


def test_one_more_bit_than_fits_is_too_many():
    labels = scene(3)
    (data,) = tiles_of(labels, (1, 1))
    needed = 4 + 8 * len(data)
    assert len(coded.pack(coded.Head(PICTURE), [data], PICTURE, needed)) == needed
    assert coded.pack(coded.Head(PICTURE), [data], PICTURE, needed - 1) == f"it needs {needed} bits and {needed - 1} fit"


@given(st.binary(max_size=60))
def test_any_bits_are_a_map_or_none(data):
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    found = coded.unpack(bits, PICTURE)
    assert found is None or (found.ndim == 2 and found.shape[0] <= PICTURE[0] and found.shape[1] <= PICTURE[1])


def arrived(payloads, ok, size=PICTURE):
    part = coded.message(payloads)
    count = torch.full((len(ok),), 10)
    received = ReceivedBits(part.bits, part.lengths, torch.tensor(ok), form=part.form)
    return Received({"map": received}, Usage(count, {"payload": count}, count.double()), size)


def test_a_batch_may_hold_maps_of_all_sizes_and_none():
    labels = [scene(i, size) for i, size in enumerate(coded.sizes(PICTURE)[:3])]
    payloads = [coded.pack(coded.Head(each.shape), tiles_of(each, (1, 1)), PICTURE, 4000) for each in labels]
    soft = soft_map(arrived(payloads, [True, True, False]))
    for row, each in enumerate(labels[:2]):
        assert torch.equal(soft.labels()[row], resize(torch.from_numpy(each.astype(np.int64)), PICTURE))
    assert not soft.known[2].any() and (soft.labels()[2] == UNKNOWN).all()
    assert torch.allclose(soft.probabilities.sum(dim=1), torch.ones(3, *PICTURE))


def test_resizing_is_that_of_the_coder():
    labels = scene(5, (13, 22))
    for size in ((13, 22), (4, 9), (40, 31), (1, 1)):
        assert np.array_equal(resize(torch.from_numpy(labels), size).numpy(), label_map.resize(labels, size))


@pytest.mark.parametrize("picture", [(128, 256), (48, 64), (7, 5)])
def test_sizes_are_halved_and_never_empty(picture):
    found = coded.sizes(picture)
    assert found[0] == picture and len(found) == 5 and all(min(size) >= 1 for size in found)
