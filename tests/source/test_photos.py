"""The photographs inside scikit-image's package."""

import socket

import pytest
import torch

from semcom.source.photos import Photos


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_three_are_reported_and_two_others_tune_without_a_download(offline):
    source = Photos().build()
    assert [ref.id for ref in source.images()] == ["astronaut", "chelsea", "motorcycle_left"]
    assert [ref.id for ref in source.tuning()] == ["coffee", "rocket"]
    assert len({ref.cluster for ref in source.images()}) == 3
    assert source.note == "a cluster is a photograph"
    assert source.size == (256, 256) and source.classes == () and source.skipped() == {}


def test_the_prior_is_the_average_of_the_tuning_photographs():
    source = Photos(size=(64, 96)).build()
    batch = source.load(["coffee", "rocket"])
    assert torch.allclose(source.prior(), batch.pixels.mean(0), atol=1e-6)


def test_limit_takes_the_first_and_leaves_identity_alone():
    source = Photos(limit=1).build()
    assert [ref.id for ref in source.images()] == ["astronaut"]
    assert Photos(limit=1).identity() == Photos().identity() != Photos(size=(128, 256)).identity()


def test_every_photograph_is_in_colour():
    source = Photos(size=(32, 32)).build()
    pixels = source.load([ref.id for ref in (*source.images(), *source.tuning())]).pixels
    assert (pixels.amax(1) - pixels.amin(1)).flatten(1).amax(1).min() > 0.2
