"""Training a segmenter: what is counted and how much, what ships, and that it goes on after a kill."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_jaccard_index

from semcom.errors import DataError, ScenarioError, WeightsError
from semcom.models import storage, weights
from semcom.models.eight_bit import dequantise, quantise
from semcom.models.segmenter import NAMES, identity, named
from semcom.models.segmenter.classes import COLOURS
from semcom.train import heights, pack, toy
from semcom.train.data import Augmentation, Batch, Draws, Steps
from semcom.train.loop import Training
from semcom.train.pack import Pack
from semcom.train.recipe import load
from semcom.train.task import Turn
from semcom.train.tasks.segmenter import IGNORED, Losses, SegmenterTask, class_weights, cross_entropy, pasted, shares

ROOT = Path(__file__).resolve().parents[2]
#: FPN's decoder has dropout, whose draws must be the same after a kill
TASK = {
    "kind": "segmenter", "architecture": "FPN", "encoder": "tu-test_resnet", "depth": 3,
    "options": {"decoder_pyramid_channels": 16, "decoder_segmentation_channels": 32, "upsampling": 1},
}  # fmt: skip


def data(toy_pack, **changes):
    return Steps([Pack.open(toy_pack)], Augmentation((32, 64)), 4, 0, range(4), **changes)


def finish(training):
    return list(training)[-1]


def test_shares_are_the_packs_and_weights_scale_to_a_mean_of_1(toy_pack):
    maps = np.stack([toy.picture(number).labels for number in range(toy.PICTURES)])
    counted = np.array([(maps == index).sum() for index in range(len(NAMES))])
    found = shares(data(toy_pack))
    np.testing.assert_allclose(found, counted / counted.sum())
    for balance in (0.0, 0.5, 1.0):
        weights = np.array(class_weights(found, balance))
        assert float((found * weights).sum()) == pytest.approx(1.0)
        ratio = (found[0] / found[found > 0]) ** balance
        np.testing.assert_allclose(weights[found > 0] / weights[0], ratio)
    assert class_weights(found, 0.0) == pytest.approx([1.0] * len(NAMES))


def test_void_and_unlabelled_pixels_count_for_nothing():
    rng = torch.Generator().manual_seed(0)
    scores, truth = torch.randn(2, 11, 6, 8, generator=rng), torch.randint(0, 11, (2, 6, 8), generator=rng)
    hidden = torch.rand(2, 6, 8, generator=rng) < 0.4
    labels = torch.where(hidden, torch.where(torch.rand(2, 6, 8, generator=rng) < 0.5, 11, 255), truth)
    task = SegmenterTask(losses=Losses(cross_entropy=1.0, dice=1.0, lovasz=1.0), smoothing=0.1, weights=tuple(range(1, 12))).build()
    seen = {"segmenter": lambda pixels: pixels}  # the scores themselves
    terms = lambda values: task.losses("segmenter", seen, Batch(values, labels), Draws(0, 0, (0, 1)), Turn(0, 1))  # noqa: E731
    disturbed = torch.where(hidden[:, None], torch.randn(scores.shape, generator=rng), scores)
    one, other = terms(scores), terms(disturbed)
    assert set(one) == {"cross_entropy", "dice", "lovasz"}
    for name in one:
        torch.testing.assert_close(one[name], other[name])
    nothing = Batch(scores, torch.full_like(labels, 255))
    assert all(float(term) == 0.0 for term in task.losses("segmenter", seen, nothing, Draws(0, 0, (0, 1)), Turn(0, 1)).values())


def test_the_cross_entropy_is_a_weighted_mean_over_labelled_pixels():
    rng = torch.Generator().manual_seed(1)
    scores, truth = torch.randn(2, 11, 4, 5, generator=rng), torch.randint(0, 11, (2, 4, 5), generator=rng)
    truth[0, :2] = IGNORED
    weights = tuple(float(w) for w in np.linspace(0.5, 3.0, 11))
    total, count = 0.0, 0
    for b, y, x in np.ndindex(2, 4, 5):
        if (label := int(truth[b, y, x])) != IGNORED:
            total += -weights[label] * float(functional.log_softmax(scores[b, :, y, x], dim=0)[label])
            count += 1
    assert float(cross_entropy(scores, truth, weights)) == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("precision", ["half", "int8"])
def test_what_ships_is_the_averaged_network_within_the_precision(recipe, tmp_path, precision):
    """The file is the average as it is used, rounded, and nothing else."""
    training = Training(recipe(task=TASK, keep__weights=precision, optimise__steps=4), tmp_path)
    finish(training)
    average, shipped = training.average(), named(str(tmp_path / "weights"))
    state = storage.in_use(average).state_dict()
    rounded = dequantise(quantise(state)) if precision == "int8" else {name: value.half() for name, value in state.items()}
    expected = {name: value.to(state[name].dtype) for name, value in rounded.items()}
    assert shipped.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in shipped.state_dict().items())
    pixels = torch.rand(2, 3, 32, 64, generator=torch.Generator().manual_seed(2))
    used = storage.in_use(average)
    torch.testing.assert_close(used.probabilities(pixels), average.probabilities(pixels), rtol=0, atol=1e-5)
    used.load_state_dict(expected)
    torch.testing.assert_close(shipped.probabilities(pixels), used.probabilities(pixels), rtol=0, atol=1e-5)


def test_running_statistics_are_averaged_as_the_weights_are(recipe, tmp_path):
    training = Training(recipe(task=TASK, optimise__ema=0.5), tmp_path)
    training._prepare()
    name = next(name for name, _ in training._plain["segmenter"].named_buffers() if name.endswith("running_mean"))
    expected = None
    for step in range(4):
        training._update(step, training._data[step])
        now = training._plain["segmenter"].get_buffer(name).clone()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = now if expected is None else decay * expected + (1 - decay) * now
    torch.testing.assert_close(training.average().get_buffer(name), expected)
    count = training.average().get_buffer(name.replace("running_mean", "num_batches_tracked"))
    assert int(count) == 4


def test_a_killed_training_goes_on_to_the_same_weights_bit_for_bit(recipe, tmp_path, killed):
    """With running statistics and dropout, which have a state of their own."""
    wanted = recipe(task=TASK, data__times={"toy0": 2}, data__blur=1.0, data__noise=0.1, optimise__steps=5)
    assert killed(wanted, at=4).resumed_from == 2  # the checkpoint of step 2 is there, that of step 4 is not
    for file in ("losses.csv", "weights/diffusion_pytorch_model.safetensors", "samples/step-00000005.png"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "killed" / file).read_bytes()


def test_it_learns_that_the_class_is_the_colour(recipe, tmp_path):
    changes = {"optimise__steps": 30, "optimise__learning_rate": 1e-2, "optimise__ema": 0.9, "keep__checkpoint_every": 100}
    training = Training(recipe(task={**TASK, "mirrored": True}, **changes), tmp_path)
    found = [progress.losses["cross_entropy"] for progress in training]
    assert found[-1] < 0.6 * found[0]
    assert training.average().config.mirrored and named(str(tmp_path / "weights")).config.mirrored
    facts = storage.facts(tmp_path / "weights")
    assert facts["classes"] == list(NAMES) and facts["packages"]["segmentation-models-pytorch"]
    assert "mirror image" in facts["what"] and facts["losses"] == "cross_entropy 1"


def test_samples_show_picture_labels_and_prediction(toy_pack):
    task = SegmenterTask(**TASK).build()
    network, batch = task.networks()["segmenter"].eval(), data(toy_pack).plain(3)
    with torch.no_grad():
        shown = task.samples(network, batch)
        found = network.labels(batch.pixels)
    assert shown.shape == (3 * 32, 3 * 64, 3) and shown.dtype == np.uint8
    colours = np.array(COLOURS)
    np.testing.assert_array_equal(shown[32:64, 64:128], colours[batch.labels[1].numpy()])
    np.testing.assert_array_equal(shown[64:, 128:], colours[found[2].numpy()])


def test_times_say_how_often_an_epoch_shows_a_source(tmp_path):
    items = [toy.picture(number)._replace(name=f"{source}/{number}") for source, count in (("a", 3), ("b", 2)) for number in range(count)]
    pack.write(tmp_path / "two.safetensors", items, toy.CLASSES)
    packs = [Pack.open(tmp_path / "two.safetensors")]
    steps = lambda times: Steps(packs, Augmentation((16, 32)), 4, 0, range(4), times)  # noqa: E731
    shown = steps({"b": 3})
    epoch = [shown.places[shown.index(position // 4, position % 4)][1] for position in range(9)]
    assert sorted(epoch) == [0, 1, 2, 3, 3, 3, 4, 4, 4]
    assert [shown.index(7, 3), shown.index(0, 1)] == [steps({"b": 3}).index(7, 3), steps({"b": 3}).index(0, 1)]
    assert {steps({"a": 0}).places[steps({"a": 0}).index(step, 0)][1] for step in range(8)} == {3, 4}
    assert steps({}).places == steps(None).places == steps({"a": 1}).places
    twice, counted = shares(steps({"b": 2, "a": 0})), shares(steps({"a": 0}))
    np.testing.assert_allclose(twice, counted)
    with pytest.raises(DataError, match="data.times names 'c', of which no pack holds a picture; allowed: a, b"):
        steps({"c": 2})
    with pytest.raises(DataError, match="leaves no picture to train on"):
        steps({"a": 0, "b": 0})


def test_blur_and_noise_do_what_they_say_and_leave_the_other_draws_alone():
    picture = toy.picture(0)
    from PIL import Image

    opened = Image.fromarray(picture.pixels)
    base = {"size": (24, 48), "scale": (0.5, 1.0), "flip": True, "colour": 0.2}
    made = lambda seed, **more: Augmentation(**base, **more)(opened, picture.labels, np.random.default_rng(seed))  # noqa: E731
    changed = {"blur": 0, "noise": 0}
    for seed in range(60):
        (plain, classes), size = made(seed), 24 * 48 * 3
        blurred, noisy = made(seed, blur=2.0)[0], made(seed, noise=0.1)[0]
        assert np.array_equal(made(seed, blur=2.0)[1], classes)
        changed["blur"] += not np.array_equal(blurred, plain)
        changed["noise"] += not np.array_equal(noisy, plain)
        # a blur keeps constants and smooths; means move where edges are continued
        assert np.abs(np.diff(blurred, axis=1)).mean() <= np.abs(np.diff(plain, axis=1)).mean() * (1 + 1e-5)
        assert float((noisy - plain).std()) < 0.1 * (1 + 4 / np.sqrt(2 * size)) and noisy.min() >= 0.0 and noisy.max() <= 1.0
    # half of 60, to four standard deviations
    assert all(abs(count - 30) < 4 * np.sqrt(15) for count in changed.values())
    assert np.allclose(Augmentation((8, 16), blur=3.0)._disturbed(np.full((8, 16, 3), 0.3, np.float32), np.random.default_rng(0)), 0.3)


def test_a_pasted_rectangle_is_the_next_pictures_with_its_labels_where_it_lay():
    labels = torch.arange(4 * 32 * 64).reshape(4, 32, 64)
    made = pasted(Batch(labels[:, None].float().expand(-1, 3, -1, -1), labels), Draws(0, 0, range(4)), 1.0)
    own, next_ = made.labels == labels, made.labels == labels.roll(-1, 0)
    assert torch.equal(made.pixels[:, 1].long(), made.labels)
    assert (own ^ next_).all()
    for inside in next_:
        rows, columns = inside.any(1).nonzero().ravel(), inside.any(0).nonzero().ravel()
        assert inside.sum() == len(rows) * len(columns) == (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
        assert 0.2 * 32 - 1 <= len(rows) <= 0.5 * 32 + 1 and 0.2 * 64 - 1 <= len(columns) <= 0.5 * 64 + 1
    assert torch.equal(pasted(made, Draws(0, 0, range(4)), 0.0).labels, made.labels)


def test_the_share_of_pictures_with_a_pasted_rectangle():
    labels, share, count = torch.arange(400)[:, None, None].expand(-1, 8, 8), 0.3, 400
    found = pasted(Batch(torch.zeros(count, 3, 8, 8), labels), Draws(1, 0, range(count)), share)
    touched = (found.labels != labels).flatten(1).any(1).float().mean()
    assert abs(float(touched) - share) < 4 * (share * (1 - share) / count) ** 0.5


def test_heights_are_the_log_ratios_of_the_labels(tmp_path):
    """Sky above, road below, a car anywhere: the table says so, and a pixel of the car's row changes by nothing."""
    rows = np.repeat(np.array([0, 0, 8, 8, 3, 3, 3, 3]), 4)[:, None] * np.ones((1, 64), int)
    rows[:, :8] = 8
    item = pack.Item("made/0", "0", np.zeros((32, 64, 3), np.uint8), rows.astype(np.uint8))
    pack.write(tmp_path / "one.safetensors", [item], toy.CLASSES)
    counts = heights.frequencies([Pack.open(tmp_path / "one.safetensors")], (32, 64))
    assert counts.sum() == 32 * 64 and counts[0, :4].tolist() == [112.0] * 4 and counts[8].min() == 16.0
    table, share = heights.told(counts), counts.sum(1) / counts.sum()
    assert table[3, -1] == pytest.approx(np.log((0.999 * 112 / 128 + 0.001 * share[3]) / share[3]))
    assert table[0, -1] == pytest.approx(np.log(0.001)) and (table[5] == 0.0).all()
    # p(class | height) stays a distribution
    np.testing.assert_allclose((share[:, None] * np.exp(table))[share > 0].sum(0), 1.0)


def test_heights_go_into_a_trained_segmenter_and_out_again(recipe, tmp_path, toy_pack):
    finish(Training(recipe(task=TASK, optimise__steps=3), tmp_path))
    folder, pixels = tmp_path / "weights", torch.rand(2, 3, 32, 64, generator=torch.Generator().manual_seed(2))
    before, name = named(str(folder)), identity(str(folder))
    heights.make(folder, [toy_pack], 0.7, size=(16, 32))
    after = named(str(folder))
    assert identity(str(folder)) != name and "## Heights" in (folder / "CARD.md").read_text()
    table = 0.7 * heights.told(heights.frequencies([Pack.open(toy_pack)], (16, 32)))
    added = (after(pixels) - before(pixels))[0, :, :, 0]
    # 32 rows over 16 bands: two rows a band, a quarter of a band above and below its centre; the config keeps three digits
    expected = 0.75 * table[:, 1:-1] + 0.25 * table[:, :-2]
    np.testing.assert_allclose(added[:, 2:-2:2].numpy(), expected, atol=1e-3)
    assert after.probabilities(pixels).sum(1).allclose(torch.ones(2, 32, 64), atol=1e-5)
    heights.make(folder, [toy_pack], 0.0)
    assert identity(str(folder)) == name and "## Heights" not in (folder / "CARD.md").read_text()
    with pytest.raises(DataError, match="there is no source 'camvid' in the packs; allowed: toy0, "):
        heights.make(folder, [toy_pack], source="camvid")
    with pytest.raises(WeightsError, match="holds a JSCC; give the folder of a Segmenter"):
        heights.make(weights.ROOT / "jscc", [toy_pack])


def test_what_cannot_be_is_refused(recipe, tmp_path, toy_pack):
    with pytest.raises(ValueError, match="weights is .*; expected 11 numbers, not all 0, one for each of sky"):
        SegmenterTask(weights=(1.0, 2.0))
    with pytest.raises(ValueError, match="all losses are 0; give cross_entropy, dice or lovasz a weight"):
        Losses(cross_entropy=0.0)
    with pytest.raises(ScenarioError, match="Unett"):
        recipe(task={**TASK, "architecture": "Unett"})
    pack.write(tmp_path / "other.safetensors", [toy.picture(0)], ("sky", "sea"))
    with pytest.raises(DataError, match="the packs label sky, sea; a segmenter is trained on packs of sky, building"):
        finish(Training(recipe(task=TASK, data__packs=[str(tmp_path / "other.safetensors")]), tmp_path / "run"))


@pytest.mark.parametrize("name", ["segmenter_transmitter", "segmenter_evaluator"])
def test_what_ships_fits_its_three_mebibytes(name, tmp_path):
    recipe = load(ROOT / "recipes" / f"{name}.yaml")
    net = recipe.task.build().networks()["segmenter"]
    storage.save_network(net, tmp_path, recipe.keep.weights)
    assert storage.weights_file(tmp_path).stat().st_size < 3 * 2**20


def test_the_two_that_ship_differ_in_architecture_order_and_augmentation():
    one, other = (load(ROOT / "recipes" / f"segmenter_{name}.yaml") for name in ("transmitter", "evaluator"))
    assert one.task.architecture != other.task.architecture and one.seed != other.seed
    assert (one.data.scale, one.data.colour, one.data.blur) != (other.data.scale, other.data.colour, other.data.blur)


def test_the_scorer_counts_as_an_independent_implementation_does():
    spec = importlib.util.spec_from_file_location("segmenters", ROOT / "benchmarks" / "segmenters.py")
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    rng = np.random.default_rng(0)
    truth, found = rng.integers(0, 12, (3, 20, 30)), rng.integers(0, 11, (3, 20, 30))
    counts = sum(scorer.confusion(t, f) for t, f in zip(truth, found, strict=True))
    seen = truth < 11
    expected = multiclass_jaccard_index(torch.tensor(found[seen]), torch.tensor(truth[seen]), 11, average=None).numpy()
    result = scorer.scores(counts)
    assert list(result["iou"].values()) == pytest.approx(expected.tolist()) and result["miou"] == pytest.approx(expected.mean())
    assert result["pixel_accuracy"] == pytest.approx((truth[seen] == found[seen]).mean())
    some = scorer.scores(counts, ("sky", "road"))
    assert some["miou"] == pytest.approx(expected[[0, 3]].mean())
