"""Retrieval: the index of a training image, and that image."""

import pytest
import torch

from semcom import registry
from semcom.classes import UNKNOWN
from semcom.errors import ScenarioError
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.source.photos import Photos
from semcom.system import System
from semcom.transmit.retrieval import RetrievalTransmitter
from semcom.types import GREY, Budget


@pytest.mark.parametrize("by", ["map", "colour"])
def test_a_training_image_finds_itself(town, by):
    images = town.load(town.training())
    transmit = RetrievalTransmitter(town, (lambda some: some.labels) if by == "map" else None)
    assert transmit.nearest(images).tolist() == list(range(len(images)))


def test_what_arrives_is_a_training_image_and_no_reported_one(scenes, town, context):
    result = System.of({"kind": "retrieval", "by": "colour"}, "ideal", "retrieval", context=context).send(scenes, 10, "1/24")
    known = town.load(town.training())
    for row in range(len(scenes)):
        (number,) = (known.pixels == result.pixels[row]).flatten(1).all(dim=1).nonzero()[:, 0].tolist()
        assert torch.equal(result.labels[row], known.labels[number])
    assert not set(town.training()) & {ref.id for ref in (*town.images(), *town.tuning())}


def test_it_costs_the_bits_of_an_index(scenes, context):
    transmit = registry.parse("transmit", {"kind": "retrieval", "by": "colour"}).build(context)
    message = transmit.encode(scenes, Budget(1, bits=3), Streams.of(scenes.ids))
    assert message.parts["index"].lengths.tolist() == [3, 3, 3]  # of one of six
    short = transmit.encode(scenes, Budget(1, bits=2), Streams.of(scenes.ids))
    assert short.infeasible == ("the index of one of 6 training images needs 3 bits and 2 fit",) * 3


def test_a_lost_index_is_a_failure(scenes, context):
    link = {"kind": "digital", "mcs": "256qam-5/6"}
    lost = System.of({"kind": "retrieval", "by": "colour"}, link, "retrieval", context=context).send(scenes, -10, "1/24")
    assert not lost.ok.any() and (lost.pixels == GREY).all() and (lost.labels == UNKNOWN).all()


def test_without_labels_it_goes_by_colour(shades):
    photos = Photos(size=(32, 64)).build()
    images = photos.load([ref.id for ref in photos.images()])
    with pytest.raises(ScenarioError, match="by: colour"):
        registry.parse("transmit", {"kind": "retrieval", "segmenter": "shades"}).build(Context(source=photos))
    result = System.of({"kind": "retrieval", "by": "colour"}, "ideal", "retrieval", context=Context(source=photos)).send(images, 10, "1/24")
    known = photos.load(photos.training())
    assert result.labels is None and all(bool((known.pixels == row).flatten(1).all(dim=1).any()) for row in result.pixels)
