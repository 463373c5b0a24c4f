"""Uncertainty against errors: other implementations, chance, what calibrated samples hold, and what is left out."""

import math

import numpy as np
import pytest
import torch
import yaml
from painted import Painted, paint
from scipy import stats

from semcom import classes, registry
from semcom.errors import DataError
from semcom.metrics.base import quantity, to_8bit
from semcom.metrics.ranking import auroc, rank_correlation
from semcom.metrics.uncertainty import Uncertainty
from semcom.models import segmenter
from semcom.protocols import Pair
from semcom.source.photos import Photos
from semcom.source.streets import Streets

PIXELS = ("large_errors",)


@pytest.fixture
def evaluator(monkeypatch):
    net = Painted()
    monkeypatch.setattr(segmenter, "named", lambda name, device: net)
    monkeypatch.setattr(segmenter, "missing", lambda name: None)
    monkeypatch.setattr(segmenter, "identity", lambda name: f"digest of {name}")
    return net


def pixels_only(**fields):
    return Uncertainty(predicts=PIXELS, **fields).build("cpu")


# ranks


@pytest.mark.parametrize("levels", [5, 10_000], ids=["many ties", "few ties"])
def test_auroc_is_the_mann_whitney_statistic_over_pairs(levels):
    rng = np.random.default_rng(levels)
    scores, positive = rng.integers(0, levels, 300) / levels, rng.random(300) < 0.2
    scores[positive] += 0.1
    u = stats.mannwhitneyu(scores[positive], scores[~positive]).statistic
    assert auroc(scores, positive) == pytest.approx(u / (positive.sum() * (~positive).sum()), abs=1e-12)
    pairs = scores[positive][:, None] - scores[~positive][None]
    assert auroc(scores, positive) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean(), abs=1e-12)


def test_auroc_knows_perfect_reversed_and_empty_answers():
    scores, positive = np.array([0.1, 0.2, 0.3, 0.4]), np.array([False, False, True, True])
    assert auroc(scores, positive) == 1.0 and auroc(-scores, positive) == 0.0 and auroc(np.zeros(4), positive) == 0.5
    assert math.isnan(auroc(scores, np.zeros(4, bool))) and math.isnan(auroc(scores, np.ones(4, bool)))
    assert auroc(np.exp(7 * scores), positive) == 1.0  # only ranks count


def test_rank_correlation_is_scipys():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 20, 400), rng.integers(0, 20, 400)
    assert rank_correlation(a, a + b) == pytest.approx(stats.spearmanr(a, a + b).statistic, abs=1e-12)
    assert math.isnan(rank_correlation(a, np.zeros(400)))


# uncertainty and errors


def picture(seed, count=2, size=(32, 48)):
    return to_8bit(torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed)))


def test_uncertainty_that_is_the_error_tells_all_and_noise_tells_nothing():
    original, shown = picture(0), picture(1)
    error = (shown - original).abs().mean(1)
    found = pixels_only(large_error=0.3).of_maps(Pair(original, shown, uncertainty=error))
    assert (found["auroc_large_errors"] == 1).all() and (found["uncertainty_correlation"] > 1 - 1e-12).all()
    torch.testing.assert_close(found["large_errors"], (error > 0.3).double().mean((1, 2)))
    noise = torch.rand(error.shape, generator=torch.Generator().manual_seed(3))
    found = pixels_only(large_error=0.3).of_maps(Pair(original, shown, uncertainty=noise))
    for row in range(2):
        many = int((error[row] > 0.3).sum())
        few = error[row].numel() - many
        assert float(found["auroc_large_errors"][row]) == pytest.approx(0.5, abs=4 * math.sqrt((many + few + 1) / (12 * many * few)))


def test_edges_are_asked_as_well():
    """Large errors exactly where the shown picture has an edge, and a doubt that knows nothing of it."""
    shown = torch.zeros(1, 3, 32, 48)
    shown[..., 24:] = 1.0
    original = shown.clone()
    original[..., 23:25] = 0.5
    found = pixels_only(large_error=0.3).of_maps(Pair(original, shown, uncertainty=torch.zeros(1, 32, 48)))
    assert float(found["auroc_large_errors_edges"]) == 1.0 and float(found["auroc_large_errors"]) == 0.5


def test_new_errors_are_looked_for_where_the_evaluator_was_right(evaluator):
    """One half is void or was wrong before: it counts in no way. In the other, doubt stands exactly where it is wrong now."""
    truth = torch.randint(0, 11, (1, 16, 24), generator=torch.Generator().manual_seed(0))
    original, now = paint(truth), truth.clone()
    now[:, 8:, ::3] = (truth[:, 8:, ::3] + 1) % 11
    marked = truth.clone()
    marked[:, :4], marked[:, 4:8] = classes.VOID, (truth[:, 4:8] + 2) % 11
    doubt = 5 * torch.rand(1, 16, 24, generator=torch.Generator().manual_seed(1))
    doubt[:, 8:] = (now != truth)[:, 8:] + 0.1 * doubt[:, 8:]
    metric = Uncertainty(predicts=("new_errors", "changed_classes")).build("cpu")
    found = metric.of_maps(Pair(original, paint(now), marked, uncertainty=doubt))
    assert float(found["auroc_new_errors"]) == 1.0 and set(found) <= set(metric.columns) and "auroc_large_errors" not in found
    changed = auroc(doubt[0].numpy().ravel(), (now != truth)[0].numpy().ravel())
    assert float(found["auroc_changed_classes"]) == pytest.approx(changed) and changed < 1


def test_an_image_without_such_errors_has_no_value_and_a_lost_one_none_at_all():
    original, shown = picture(0, 3), picture(0, 3)
    shown[1:] = picture(1, 3)[1:]
    doubt, samples = torch.rand(3, 32, 48), torch.rand(3, 4, 3, 32, 48)
    doubt[2], samples[2] = math.nan, math.nan
    found = pixels_only(large_error=0.3).of_maps(Pair(original, shown, samples=samples, uncertainty=doubt))
    assert found["auroc_large_errors"].isfinite().tolist() == [False, True, False]
    assert found["large_errors"].isfinite().tolist() == [True, True, False] and float(found["large_errors"][0]) == 0.0
    for column in ("coverage_range", "coverage_2sd", "diversity"):
        assert found[column].isfinite().tolist() == [True, True, False]


def test_a_receiver_that_hands_over_nothing_has_no_values_and_one_with_a_map_alone_has_some():
    original, shown = picture(0), picture(1)
    assert pixels_only().of_maps(Pair(original, shown)) == {}
    found = pixels_only().of_maps(Pair(original, shown, uncertainty=torch.rand(2, 32, 48)))
    assert "auroc_large_errors" in found and "diversity" not in found
    assert "diversity" not in pixels_only().of_maps(Pair(original, shown, samples=torch.rand(2, 1, 3, 32, 48)))


# samples


@pytest.mark.parametrize("count", [2, 4, 8])
def test_samples_of_the_true_posterior_cover_what_the_docs_say(count):
    """Truth and samples drawn alike: their range holds (S - 1) / (S + 1), two deviations what Student's t says."""
    rng = torch.Generator().manual_seed(count)
    centre = 0.3 + 0.4 * torch.rand(2, 1, 3, 64, 64, generator=rng)
    drawn = centre + 0.03 * torch.randn(2, count + 1, 3, 64, 64, generator=rng)
    original, samples = to_8bit(drawn[:, 0]), drawn[:, 1:]
    found = pixels_only().of_maps(Pair(original, original, samples=samples))
    rounding = 2 / 255 / (0.03 * math.sqrt(2 * math.pi))  # ties count as within: a level at either end, times the density there
    error = 4 * math.sqrt(0.25 / original[0].numel())
    for column, expected in (("coverage_range", (count - 1) / (count + 1)), ("coverage_2sd", 1 - 2 * stats.t.sf(2 / math.sqrt(1 + 1 / count), count - 1))):
        for value in found[column].tolist():
            assert -error < value - expected < error + rounding, column
    pairs = [(to_8bit(samples)[:, i] - to_8bit(samples)[:, j]).abs().mean((1, 2, 3)) for i in range(count) for j in range(i)]
    torch.testing.assert_close(found["diversity"].float(), torch.stack(pairs).mean(0))


def test_equal_samples_cover_only_what_they_show():
    original = picture(0)
    samples = original[:, None].repeat(1, 3, 1, 1, 1)
    found = pixels_only().of_maps(Pair(original, original, samples=samples))
    assert (found["coverage_range"] == 1).all() and (found["coverage_2sd"] == 1).all() and (found["diversity"] == 0).all()
    found = pixels_only().of_maps(Pair(to_8bit(1 - original), original, samples=samples))
    assert (found["coverage_range"] == 0).all()  # no 8-bit level is its own negative


# description


def test_what_does_not_fit_is_said_in_a_sentence(evaluator):
    original = picture(0)
    with pytest.raises(DataError, match=r"map of uncertainty is \(2, 16, 48\)"):
        pixels_only().of_maps(Pair(original, original, uncertainty=torch.zeros(2, 16, 48)))
    with pytest.raises(DataError, match=r"samples is \(2, 4, 3, 16, 48\)"):
        pixels_only().of_maps(Pair(original, original, samples=torch.zeros(2, 4, 3, 16, 48)))
    with pytest.raises(DataError, match="these images have none"):
        Uncertainty().build("cpu").of_maps(Pair(original, original, uncertainty=torch.zeros(2, 32, 48)))
    assert "changed_classes" in Uncertainty().check_source(Photos()) and Uncertainty().check_source(Streets()) is None
    assert Uncertainty(predicts=("changed_classes",)).check_source(Photos()) is None


def test_identity_holds_the_threshold_and_who_reads(evaluator):
    assert Uncertainty().identity()["weights"] == "digest of segmenter_evaluator" and Uncertainty(predicts=PIXELS).identity()["weights"] is None
    assert Uncertainty(large_error=0.2).identity() != Uncertainty().identity()
    assert Uncertainty(evaluator="a").identity() != Uncertainty(evaluator="b").identity()


def test_columns_have_labels_that_name_the_threshold_and_the_example_loads():
    assert registry.find("metric", "uncertainty") is Uncertainty
    described = Uncertainty(large_error=0.2).quantities()
    assert all("errors above 0.2" in described[name].label.lower() for name in ("auroc_large_errors", "auroc_large_errors_edges", "large_errors"))
    assert not any("changed_classes" in name for name in described) and quantity("auroc_changed_classes") == Uncertainty.COLUMNS["auroc_changed_classes"]
    example = yaml.safe_load(Uncertainty.__doc__.split("Example::")[1])
    assert Uncertainty.model_validate(example["metric"]) == Uncertainty()
