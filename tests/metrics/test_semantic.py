"""Scores of label maps against other implementations, closed cases, and what their definitions promise."""

import math

import numpy as np
import pytest
import torch
from painted import Painted, paint
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassJaccardIndex

from semcom import classes
from semcom.errors import DataError
from semcom.models import segmenter
from semcom.metrics.base import to_8bit
from semcom.metrics.confusion import confusion, errors, invented, mean_iou, pixel_accuracy
from semcom.metrics.semantic import Semantic
from semcom.protocols import Pair
from semcom.source.camvid import NAMES, CamVid
from semcom.source.cityscapes import Cityscapes
from semcom.source.folder import Folder
from semcom.source.labelmefacade import LabelMeFacade
from semcom.source.photos import Photos
from semcom.source.streets import Streets
from semcom.stats import overlap
from semcom.sweep.overlaps import intersections_and_unions, scored_classes

K = len(classes.NAMES)
VOID, UNKNOWN = classes.VOID, classes.UNKNOWN


@pytest.fixture
def evaluator(monkeypatch):
    net = Painted()
    monkeypatch.setattr(segmenter, "named", lambda name, device: net)
    monkeypatch.setattr(segmenter, "missing", lambda name: None)
    monkeypatch.setattr(segmenter, "identity", lambda name: f"digest of {name}")
    return net


def maps(seed=0, count=3, size=(24, 40), void=0.1, classes=K):
    """A truth with some void, and a prediction that is often right and at times unknown."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, (count, *size))
    predicted = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, K, truth.shape))
    predicted = np.where(rng.random(truth.shape) < 0.05, UNKNOWN, predicted)
    return torch.from_numpy(np.where(rng.random(truth.shape) < void, VOID, truth)), torch.from_numpy(predicted)


def by_hand(truth, predicted):
    """The pooled IoU of each class from sets of pixels, nan for one that is nowhere."""
    valid = truth != VOID
    each = []
    for k in range(K):
        right = (valid & (truth == k) & (predicted == k)).sum()
        union = (valid & ((truth == k) | (predicted == k))).sum()
        each.append(int(right) / int(union) if union else math.nan)
    return np.array(each)


# counts


def test_counts_are_those_of_torchmetrics():
    truth, predicted = maps()
    wrong = torch.where(predicted == UNKNOWN, K, predicted)  # an unknown pixel is a class of its own
    reference = MulticlassConfusionMatrix(num_classes=K + 1, ignore_index=VOID + 1)
    target = torch.where(truth == VOID, VOID + 1, truth)
    for row in range(len(truth)):
        found = confusion(truth[row : row + 1], predicted[row : row + 1], K)[0]
        assert torch.equal(found, reference(wrong[row], target[row])[:K])


def test_pooled_iou_is_torchmetrics_jaccard_index_of_all_images():
    truth, predicted = maps()
    predicted = torch.where(predicted == UNKNOWN, (truth + 1) % K, predicted)  # torchmetrics knows no unknown pixel
    predicted = torch.where(truth == VOID, 0, predicted)
    for average in ("macro", "none"):
        expected = MulticlassJaccardIndex(num_classes=K, average=average, ignore_index=VOID)(predicted, truth)
        sums = intersections_and_unions(confusion(truth, predicted, K).flatten(1).numpy()).sum(0)
        found = overlap.mean_iou(sums) if average == "macro" else sums[0] / sums[1]
        assert found == pytest.approx(expected.numpy(), abs=1e-6)


def test_classes_that_are_nowhere_do_not_count_and_those_only_predicted_do():
    truth, predicted = maps(classes=4)
    expected = np.nanmean(by_hand(truth, predicted))
    sums = intersections_and_unions(confusion(truth, predicted, K).flatten(1).numpy()).sum(0)
    assert overlap.mean_iou(sums) == pytest.approx(expected, abs=1e-12)
    few = torch.where(predicted < 5, predicted, UNKNOWN)
    sums = intersections_and_unions(confusion(truth, few, K).flatten(1).numpy()).sum(0)
    assert overlap.mean_iou(sums) == pytest.approx(np.nanmean(by_hand(truth, few)[:5]), abs=1e-12)


def test_iou_of_an_image_is_over_the_classes_in_its_truth():
    truth, predicted = maps(classes=6)
    found = mean_iou(confusion(truth, predicted, K))
    for row in range(len(truth)):
        present = [k for k in range(K) if (truth[row] == k).any()]
        assert float(found[row]) == pytest.approx(by_hand(truth[row], predicted[row])[present].mean(), abs=1e-12)


def test_pixel_accuracy_is_torchmetrics_micro_accuracy():
    truth, predicted = maps()
    predicted = torch.where(predicted == UNKNOWN, (truth + 1) % K, predicted)
    reference = MulticlassAccuracy(num_classes=K + 1, average="micro", ignore_index=VOID, multidim_average="samplewise")
    assert torch.allclose(pixel_accuracy(confusion(truth, predicted, K)).float(), reference(predicted, truth), atol=1e-6)


def test_a_truth_of_void_says_nothing():
    nothing = torch.full((1, 4, 4), VOID)
    counts = confusion(nothing, torch.zeros_like(nothing), K)
    assert counts.sum() == 0 and mean_iou(counts).isnan().all() and pixel_accuracy(counts).isnan().all()


def test_unknown_and_void_predictions_are_wrong():
    truth = torch.tensor([[[0, 0, 1, 1]]])
    for lost in (UNKNOWN, VOID):
        counts = confusion(truth, torch.tensor([[[0, lost, lost, 1]]]), K)
        assert counts[0, 0, K] == counts[0, 1, K] == 1
        assert float(pixel_accuracy(counts)) == 0.5 and float(mean_iou(counts)) == 0.5


def test_counts_of_a_batch_are_those_of_its_parts():
    truth, predicted = maps(count=5)
    whole = confusion(truth, predicted, K)
    parts = [confusion(truth[part], predicted[part], K) for part in (slice(0, 2), slice(2, 5))]
    assert torch.equal(whole, torch.cat(parts))


def test_new_and_repaired_errors_are_the_change():
    truth, before = maps(1)
    _, now = maps(2)
    new, repaired = errors(truth, before, now, K)
    counted = truth != VOID
    assert int(new.sum()) == int((counted & (before == truth) & (now != truth)).sum())
    assert int(repaired.sum()) == int((counted & (before != truth) & (now == truth)).sum())
    right = [torch.diagonal(confusion(truth, one, K), dim1=1, dim2=2) for one in (before, now)]
    assert torch.equal(right[1], right[0] - new + repaired)


def test_invented_pixels_are_the_new_errors_by_what_they_are_taken_for():
    truth, before = maps(1)
    _, now = maps(2)
    new, _ = errors(truth, before, now, K)
    found = invented(truth, before, now, K)
    wrong = (truth != VOID) & (before == truth) & (now != truth)
    for row in range(len(truth)):
        assert found[row].tolist() == [int((wrong[row] & (now[row] == k)).sum()) for k in range(K)]
        assert int(new[row].sum() - found[row].sum()) == int((wrong[row] & (now[row] == UNKNOWN)).sum())  # unknown is no class


# the prepared metric


def scores(evaluator, pair, **fields):
    return Semantic(**fields).build("cpu").of_maps(pair)


BOTH = ("truth", "original")


def test_a_perfect_picture_is_as_good_as_the_evaluator_on_the_original(evaluator):
    truth, _ = maps()
    original = paint(torch.where(truth == VOID, 3, truth))
    original[:, :, :5] = 0.0  # which the evaluator takes for the first class
    found = scores(evaluator, Pair(original, original, truth, truth), against=BOTH)
    assert torch.equal(found["confusion"], found["confusion_of_original"])
    for name in ("miou_image", "pixel_accuracy"):
        assert torch.equal(found[name], found[f"{name}_of_original"]) and (found[name] < 1).all()
        assert (found[f"{name}_to_original"] == 1).all() and (found[f"{name}_received"] == 1).all()
    assert (found["new_errors"] == 0).all() and (found["repaired_errors"] == 0).all()
    # the true map that was received repairs what the evaluator took for something else
    assert torch.allclose(found["repaired_errors_received"], 1 - found["pixel_accuracy_of_original"])


def test_accuracy_is_that_of_the_original_less_new_and_plus_repaired_errors(evaluator):
    truth, received = maps(3)
    _, other = maps(4)
    original = paint(torch.where(other == UNKNOWN, 2, other))
    found = scores(evaluator, Pair(original, paint(received), truth, received), against=BOTH)
    for end in ("", "_received"):
        change = found[f"repaired_errors{end}"] - found[f"new_errors{end}"]
        assert torch.allclose(found[f"pixel_accuracy{end}"], found["pixel_accuracy_of_original"] + change)
        assert torch.allclose(found[f"new_errors_by_class{end}"].sum(1) / (truth != VOID).sum((1, 2)).double(), found[f"new_errors{end}"])


def test_what_the_description_names_is_what_comes(evaluator):
    truth, received = maps()
    pair = Pair(paint(truth), paint(received), truth, received)
    for of in (("reconstruction",), ("received",), ("reconstruction", "received")):
        for against in (("truth",), ("original",), BOTH):
            metric = Semantic(of=of, against=against).build("cpu")
            assert set(metric.of_maps(pair)) == {*metric.columns, *metric.counts}
            stored = {*metric.columns, *metric.counts}
            for name, quantity in Semantic(of=of, against=against).quantities().items():
                wanted = {quantity.counts, quantity.image, quantity.original} if quantity.counts else {name, quantity.original}
                assert wanted - {""} <= stored and (name in stored) != bool(quantity.counts)


def test_an_outage_is_less_than_the_asked_share_of_what_the_original_has(evaluator):
    truth, received = maps()
    truth[2] = VOID
    pair = Pair(paint(truth), paint(received), truth, received)
    plain = scores(evaluator, pair)
    share = plain["miou_image"] / plain["miou_image_of_original"]
    assert not any(name.startswith("outage") for name in plain)
    for below, happened in ((float(share[0]) * 0.99, 0.0), (min(1.0, float(share[0]) * 1.01), 1.0)):
        found = scores(evaluator, pair, outage_below=below)
        assert float(found["outage"][0]) == happened and found["outage"][2].isnan()
        assert torch.equal(found["outage_received"][:2], (plain["miou_image_received"] < below * plain["miou_image_of_original"])[:2].double())
    described = Semantic(outage_below=0.5)
    assert described.quantities()["outage"].event and "0.5" in described.quantities()["outage"].label
    assert described.quantities()["outage"].tuned_with == "outage"  # not what is best on average
    assert "outage_below" not in Semantic().identity() and described.identity() != Semantic(outage_below=0.4).identity()


def test_without_a_received_map_only_the_picture_is_scored(evaluator):
    truth, _ = maps()
    found = scores(evaluator, Pair(paint(truth), paint(truth), truth, None))
    assert "confusion" in found and not any("received" in name for name in found)


def test_without_labels_the_original_is_the_reference(evaluator):
    truth, received = maps()
    pair = Pair(paint(truth), paint(received), None, None)
    found = scores(evaluator, pair, against=("original",))
    before, now = evaluator.labels(pair.original), evaluator.labels(pair.reconstruction)
    assert torch.equal(found["pixel_accuracy_to_original"], (before == now).double().mean((1, 2)))
    with pytest.raises(DataError, match="against: .original."):
        scores(evaluator, pair)


def test_maps_of_originals_are_computed_once(evaluator):
    truth, received = maps(count=4)
    metric = Semantic().build("cpu")
    pair = Pair(paint(truth), to_8bit(paint(received)), truth, received)
    metric.of_maps(pair)
    assert evaluator.pictures == 8
    metric.of_maps(pair)
    assert evaluator.pictures == 12
    metric.of_originals(paint(truth).flip(0))
    assert evaluator.pictures == 12


def test_maps_of_another_size_are_named(evaluator):
    truth, _ = maps()
    with pytest.raises(DataError, match=r"received map is \(3, 12, 20\)"):
        scores(evaluator, Pair(paint(truth), paint(truth), truth, truth[:, ::2, ::2]))


# descriptions


def test_identity_holds_the_evaluator_s_weights_and_not_its_place(evaluator):
    assert Semantic(evaluator="a").identity() != Semantic(evaluator="b").identity()
    assert Semantic(evaluator="a").identity()["weights"] == "digest of a" and "evaluator" not in Semantic().identity()
    assert Semantic(of=("received",)).identity() != Semantic().identity()


def test_the_names_of_the_classes_are_camvid_s():
    assert (*classes.NAMES, "void") == NAMES and NAMES.index("void") == classes.VOID


@pytest.mark.parametrize(
    ("source", "count"), [(CamVid(path="x"), 11), (Streets(), 11), (LabelMeFacade(path="x"), 6), (Photos(), 11), (Cityscapes(path="x"), 11)]
)
def test_the_classes_that_a_source_labels_are_scored(source, count):
    if source.kind != "cityscapes":  # whose names are partly the same
        assert scored_classes(source).sum() == count


def test_a_source_without_labels_is_told_what_needs_none():
    for source in (Photos(), Folder(path="x")):
        assert "has none" in Semantic().check_source(source) and "against: [original]" in Semantic().check_source(source)
        assert Semantic(against=("original",)).check_source(source) is None
    assert "sidewalk" in Semantic().check_source(Cityscapes(path="x"))
    assert all(Semantic(against=BOTH).check_source(source) is None for source in (Streets(), CamVid(path="x"), LabelMeFacade(path="x")))
