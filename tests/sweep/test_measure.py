"""What is looked up instead of measured again: only what is the same in picture and in map."""

import math

import pytest
import torch
from painted import Painted, paint

from semcom import classes
from semcom.models import segmenter
from semcom.metrics.psnr import PSNR
from semcom.metrics.semantic import Semantic
from semcom.metrics.uncertainty import Uncertainty
from semcom.sweep.measure import Doubts, Measure, known
from semcom.types import Reconstruction


@pytest.fixture
def evaluator(monkeypatch):
    net = Painted()
    monkeypatch.setattr(segmenter, "named", lambda name, device: net)
    monkeypatch.setattr(segmenter, "missing", lambda name: None)
    monkeypatch.setattr(segmenter, "identity", lambda name: "painted")
    return net


def measure():
    return Measure([PSNR().build("cpu"), Semantic().build("cpu")], {**PSNR.COLUMNS, **Semantic().quantities()})


def scene(seed):
    return torch.randint(0, 11, (1, 16, 24), generator=torch.Generator().manual_seed(seed))


def test_one_picture_with_two_maps_is_two_reconstructions(evaluator):
    meter, truth = measure(), scene(0)
    original, picture = paint(truth), paint(scene(1))
    right, wrong = (meter(["a"], original, picture, truth, received)[0] for received in (truth, scene(2)))
    assert right["pixel_accuracy_received"] == 1.0 and wrong["pixel_accuracy_received"] < 0.5
    assert right["pixel_accuracy"] == wrong["pixel_accuracy"] and (right["confusion"] == wrong["confusion"]).all()
    alone = meter(["a"], original, picture, truth, None)[0]
    assert math.isnan(alone["pixel_accuracy_received"]) and alone["confusion_received"] is None
    assert meter(["a"], original, picture, truth, truth)[0] is right  # looked up


def test_one_picture_with_other_samples_is_another_reconstruction():
    metric, plain = Uncertainty(predicts=("large_errors",)), Measure([PSNR().build("cpu")], dict(PSNR.COLUMNS))
    meter = Measure([metric.build("cpu")], dict(metric.quantities()))
    original, picture = paint(scene(0)), paint(scene(1))
    doubts = [Doubts(torch.rand(1, 4, 3, 16, 24), torch.rand(1, 16, 24)) for _ in range(2)]
    first, second = (meter(["a"], original, picture, doubts=doubt)[0] for doubt in doubts)
    assert first["auroc_large_errors"] != second["auroc_large_errors"] and first["diversity"] != second["diversity"]
    assert meter(["a"], original, picture, doubts=doubts[0])[0] is first
    assert math.isnan(meter(["a"], original, picture)[0]["diversity"])
    assert plain(["a"], original, picture, doubts=doubts[0])[0] is plain(["a"], original, picture, doubts=doubts[1])[0]
    result = Reconstruction(picture, torch.tensor([True]), samples=doubts[0].samples, uncertainty=doubts[0].uncertainty)
    lost = Doubts.of(result, torch.tensor([False]))
    assert lost.samples.isnan().all() and lost.uncertainty.isnan().all() and torch.equal(Doubts.of(result, result.ok).samples, doubts[0].samples)


def test_what_is_known_is_not_read_again(evaluator):
    meter, truth = measure(), torch.cat([scene(0), scene(1)])
    original, picture = paint(truth), paint(torch.cat([scene(2), scene(3)]))
    first = meter(["a", "b"], original, picture, truth, truth)
    read = evaluator.pictures
    assert meter(["b", "a", "a"], original[[1, 0, 0]], picture[[1, 0, 0]], truth[[1, 0, 0]], truth[[1, 0, 0]]) == [first[1], first[0], first[0]]
    assert evaluator.pictures == read == 4


def test_parts_of_a_batch_are_measured_as_the_whole(evaluator):
    truth = torch.cat([scene(n) for n in range(5)])
    original, picture, received = paint(truth), paint(truth.flip(0)), truth.flip(1)
    names = list("abcde")
    whole = measure()(names, original, picture, truth, received)
    meter = measure()
    for some in (slice(0, 2), slice(2, 5)):
        for found, expected in zip(meter(names[some], original[some], picture[some], truth[some], received[some]), whole[some], strict=True):
            assert all((found[name] == expected[name]).all() for name in meter.counts)
            assert all(found[name] == expected[name] for name in meter.numbers)


def test_metrics_of_pixels_alone_do_not_look_at_maps():
    meter, original = Measure([PSNR().build("cpu")], dict(PSNR.COLUMNS)), paint(scene(0))
    picture = paint(scene(1))
    assert meter(["a"], original, picture, scene(0), scene(1))[0] is meter(["a"], original, picture, None, scene(2))[0]
    assert meter.evaluator is None and not meter.wants_maps


def test_what_is_lost_of_a_map_is_unknown_or_the_prior():
    maps, ok = torch.cat([scene(0), scene(1)]), torch.tensor([True, False])
    assert (known(maps, ok)[1] == classes.UNKNOWN).all() and torch.equal(known(maps, ok)[0], maps[0])
    assert torch.equal(known(maps, ok, scene(2)[0])[1], scene(2)[0])
    assert (known(maps, ok, None)[1] == classes.UNKNOWN).all() and known(None, ok) is None
