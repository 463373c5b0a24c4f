"""Label maps through whole systems: what arrives is what was chosen, costs what it says, and is lost as it should be."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom import registry
from semcom.classes import UNKNOWN
from semcom.codecs import label_map
from semcom.errors import ScenarioError
from semcom.maps import PART, coded, colours_of, resize, table
from semcom.maps.table import Choice, MapTable, best_messages
from semcom.models.segmenter import Segmenter, named
from semcom.models.storage import save_network
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.source.photos import Photos
from semcom.system import System
from semcom.train.optimise import seeded
from semcom.types import GREY, Budget

SHADES = {"segmenter": "shades"}


def system(transmit, link="ideal", receive="map_as_is", channel="awgn", context=None):
    return System.of(transmit, link, receive, channel, context)


def map_of(name="segmentation_map", **fields):
    return {"kind": name, **({} if name == "oracle_map" else SHADES), **fields}


def test_with_bits_enough_the_segmenters_own_map_arrives(shades, scenes, context):
    result = system(map_of(), context=context).send(scenes, snr_db=20, bandwidth_ratio="1/2")
    assert bool(result.ok.all()) and torch.equal(result.labels, shades.labels(scenes.pixels))
    result.usage.check()
    assert (result.usage.uses["payload"] > 0).all()


def test_a_segmenter_is_a_folder_and_sees_each_picture_alone(scenes, context, tmp_path):
    with seeded("tiny segmenter"):
        net = Segmenter(architecture="Linknet", encoder="tu-test_resnet", depth=3).eval()
    save_network(net, tmp_path / "one")
    description = registry.parse("transmit", {"kind": "segmentation_map", "segmenter": str(tmp_path / "one")})
    assert description.available() is None and len(description.identity()["segmenter"]) == 64
    result = System.of(description, "ideal", "map_as_is", context=context).send(scenes, 20, "2")
    alone = named(str(tmp_path / "one"))
    assert torch.equal(result.labels, torch.cat([alone.labels(picture[None]) for picture in scenes.pixels]))
    missing = registry.parse("transmit", {"kind": "index_map", "segmenter": str(tmp_path / "none")})
    assert "none" in missing.available() and missing.identity()["segmenter"] == str(tmp_path / "none")


@pytest.mark.parametrize("size", [(8, 16), (5, 9), (32, 64)])
def test_a_map_of_a_given_size_arrives_exactly(shades, scenes, context, size):
    result = system(map_of(size=size, lossy=False), context=context).send(scenes, snr_db=20, bandwidth_ratio="1/2")
    assert torch.equal(result.labels, resize(resize(shades.labels(scenes.pixels), size), (32, 64)))


def test_the_oracle_sends_the_truth(scenes, context):
    result = system(map_of("oracle_map"), context=context).send(scenes, snr_db=20, bandwidth_ratio="1/2")
    assert torch.equal(result.labels, scenes.labels)


def test_a_pixel_has_the_mean_colour_of_its_class_in_training(scenes, context, town):
    result = system(map_of("oracle_map"), context=context).send(scenes, snr_db=20, bandwidth_ratio="1/2")
    batch = town.load(town.training()[:3])  # those that the prior averages
    for k in scenes.labels.unique().tolist():
        places = batch.labels == k
        if places.any():
            mean = batch.pixels.movedim(1, -1)[places].mean(dim=0)
            assert torch.allclose(colours_of(town)[k], mean, atol=1e-5)
            shown = result.pixels.movedim(1, -1)[scenes.labels == k]
            assert torch.allclose(shown, mean.expand_as(shown), atol=1e-5)


def test_nothing_arrives_of_a_lost_frame(shades, scenes, context):
    lost = system(map_of(), {"kind": "digital", "mcs": "256qam-5/6"}, context=context).send(scenes, -5, "1/2")
    assert not lost.ok.any() and (lost.labels == UNKNOWN).all() and (lost.pixels == GREY).all()
    assert (lost.counts["frame_failures"] == 1).all()


def test_an_error_that_no_crc_saw_is_no_map_or_another_one(shades, scenes, context):
    transmit = registry.parse("transmit", map_of()).build(context)
    message = transmit.encode(scenes, Budget(1, bits=3000), Streams.of(scenes.ids))
    bits = message.parts[PART].bits[0, : int(message.parts[PART].lengths[0])].numpy()
    sent = coded.unpack(bits, (32, 64))
    for place in range(0, len(bits), 97):
        wrong = bits.copy()
        wrong[place] ^= 1
        found = coded.unpack(wrong, (32, 64))
        assert found is None or found.shape != sent.shape or not np.array_equal(found, sent)


@settings(max_examples=50)
@given(
    bits=st.integers(1, 1500),
    slices=st.one_of(st.none(), st.integers(1, 6)),
    lossy=st.booleans(),
    grid=st.sampled_from([(1, 1), (2, 2)]),
    seed=st.integers(0, 3),
)
def test_the_budget_is_never_exceeded(bits, slices, lossy, grid, seed):
    slice_bits = None if slices is None else max(1, bits // slices)
    bits = bits if slices is None else slice_bits * slices
    labels = wavy(seed)
    choice = Choice(tuple(reversed(coded.sizes(labels.shape))), lossy, grid)
    (payload,), (reason,) = best_messages([labels], choice, bits, slice_bits)
    assert len(payload) <= bits and (reason is None) == (len(payload) > 0)
    if reason is None:
        assert coded.unpack(payload, labels.shape, None, slice_bits) is not None
    else:
        assert "needs" in reason


def wavy(seed, size=(16, 32)):
    """A smooth map of five classes."""
    y, x = np.mgrid[: size[0], : size[1]]
    field = np.sin(x / 3 + seed) + np.cos(y / 2 - seed) + (x + y) / 20
    return np.clip(np.floor(field + 2), 0, 4).astype(np.uint8)


def test_what_is_best_depends_on_the_budget_alone():
    labels = wavy(1)
    choice = Choice(tuple(reversed(coded.sizes(labels.shape))), True, (1, 1))
    budgets = (40, 100, 200, 400, 4000)
    fresh = [MapTable(labels).best(choice, bits) for bits in budgets]
    used = MapTable(labels)
    again = [used.best(choice, bits) for bits in (*reversed(budgets), *budgets)][-len(budgets) :]
    assert all(np.array_equal(a, b) for a, b in zip(fresh, again, strict=True))
    sent = [label_map.iou(label_map.resize(coded.unpack(one, labels.shape), labels.shape), labels) for one in fresh]
    assert sent[-1] == 1.0 and sent == sorted(sent)


def test_each_entry_is_coded_once(monkeypatch):
    calls, encode = [], label_map.encode_tiles
    monkeypatch.setattr(label_map, "encode_tiles", lambda labels, grid: calls.append(labels.tobytes()) or encode(labels, grid))
    made, choice = MapTable(wavy(2)), Choice(tuple(reversed(coded.sizes((16, 32)))), True, (1, 1))
    for bits in range(20, 900, 40):
        made.best(choice, bits)
    assert len(calls) == len(set(calls))


def test_a_batch_is_its_images_and_encoding_again_changes_nothing(shades, scenes, context):
    for fields in (map_of(), map_of(tiles=(2, 2)), map_of("index_map"), {"kind": "retrieval", "by": "colour"}):
        transmit, budget = registry.parse("transmit", fields).build(context), Budget(1, bits=700)
        together = transmit.encode(scenes, budget, Streams.of(scenes.ids))
        (name, part), table._tables = next(iter(together.parts.items())), type(table._tables)()
        again = transmit.encode(scenes, budget, Streams.of(scenes.ids)).parts[name]
        assert torch.equal(part.bits, again.bits) and torch.equal(part.lengths, again.lengths)
        for row in range(len(scenes)):
            alone = transmit.encode(scenes.select([row]), budget, Streams.of([scenes.ids[row]])).parts[name]
            n = int(part.lengths[row])
            assert int(alone.lengths[0]) == n and torch.equal(alone.bits[0, :n], part.bits[row, :n])


def test_what_cannot_be_sent_says_why(shades, scenes, context):
    transmit = registry.parse("transmit", map_of()).build(context)
    message = transmit.encode(scenes, Budget(1, bits=3), Streams.of(scenes.ids))
    assert all("smallest label map is 2x4 simplified: it needs" in reason for reason in message.infeasible)
    with pytest.raises(ScenarioError, match="digital"):
        transmit.encode(scenes, Budget(1, reals=5), Streams.of(scenes.ids))
    with pytest.raises(ScenarioError, match="64x64 of a picture of 32x64"):
        registry.parse("transmit", map_of(size=(64, 64))).build(context).encode(scenes, Budget(1, bits=5), Streams.of(scenes.ids))
    with pytest.raises(ScenarioError, match="labelled|labels"):
        registry.parse("transmit", "oracle_map").build(Context(source=Photos().build()))


def test_lost_packets_are_unknown_tiles(scenes, context):
    link = {"kind": "packet", "link": {"kind": "digital", "mcs": "16qam-1/2"}, "symbols": 240, "loss": 0.4}
    tiled, in_one_piece = (
        system(map_of("oracle_map", tiles=tiles, size=(16, 32), lossy=False), link, context=context) for tiles in ((2, 4), (1, 1))
    )
    whole, lost = resize(resize(scenes.labels, (16, 32)), (32, 64)), []
    for seed in range(3):
        result = tiled.send(scenes, snr_db=25, bandwidth_ratio="1/2", seed=seed)
        known = result.labels != UNKNOWN
        assert torch.equal(result.labels[known], whole[known])
        assert torch.equal(~known.flatten(1).all(dim=1), result.counts["packets_lost"] > 0)
        assert torch.equal(result.ok, known.flatten(1).any(dim=1))
        assert (result.pixels.movedim(1, -1)[~known] == GREY).all()
        lost += (result.counts["packets_lost"] > 0).tolist()
        piece = in_one_piece.send(scenes, 25, "1/2", seed=seed)
        assert torch.equal(piece.ok, piece.counts["packets_lost"] == 0)
    assert any(lost)


def test_a_system_that_sends_nothing_knows_the_most_frequent_classes(scenes, context, town):
    result = system("prior", "ideal", "prior", context=context).send(scenes, 10, "1/24")
    assert all(torch.equal(row, town.prior_labels()) for row in result.labels)
    photos = Photos(size=(32, 64)).build()
    images = photos.load([ref.id for ref in photos.images()])
    assert system("prior", "ideal", "prior", context=Context(source=photos)).send(images, 10, "1/24").labels is None
