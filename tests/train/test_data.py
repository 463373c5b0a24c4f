"""Batches: a pure function of seed and step; labels stay with their pixels."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from semcom.train import toy
from semcom.train.data import Augmentation, Draws, Steps, loader
from semcom.train.pack import Pack

AUGMENTATION = Augmentation((24, 48), (0.5, 1.0), flip=True, colour=0.2)


def steps(toy_pack, seed=0, rows=range(4), augmentation=AUGMENTATION):
    return Steps([Pack.open(toy_pack)], augmentation, 4, seed, rows)


def same(a, b):
    return torch.equal(a.pixels, b.pixels) and torch.equal(a.labels, b.labels)


def test_a_batch_is_a_function_of_seed_and_step_alone(toy_pack):
    ahead, alone = steps(toy_pack), steps(toy_pack)
    batches = [ahead[step] for step in range(7)]
    assert all(same(alone[step], batches[step]) for step in (6, 0, 3))
    assert not same(batches[0], batches[1]) and not same(steps(toy_pack, seed=1)[0], batches[0])


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing_and_the_global_generator_is_left_alone(toy_pack, workers):
    before, data = torch.get_rng_state(), steps(toy_pack)
    assert all(same(batch, data[step]) for step, batch in zip(range(3, 6), loader(data, 3, 6, workers), strict=True))
    assert torch.equal(before, torch.get_rng_state())


def test_processes_share_the_batch_that_one_would_see(toy_pack):
    whole = steps(toy_pack)[5]
    for first in (0, 1):
        part = steps(toy_pack, rows=range(first, 4, 2))[5]
        assert torch.equal(part.pixels, whole.pixels[first::2]) and torch.equal(part.labels, whole.labels[first::2])
    draws = Draws(7, 5, (0, 1, 2, 3)).normal("noise", (2, 3))
    assert torch.equal(Draws(7, 5, (1, 3)).normal("noise", (2, 3)), draws[1::2])


def test_every_picture_is_seen_once_an_epoch(toy_pack):
    data = steps(toy_pack)
    order = [data.index(step, row) for step in range(9) for row in range(4)]
    epochs = np.reshape(order, (-1, toy.PICTURES))
    assert all(sorted(epoch) == list(range(toy.PICTURES)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_draws_are_what_they_say():
    draws = Draws(0, 0, tuple(range(2000)))
    uniform, choice, normal = draws.uniform("a", -2.0, 20.0), draws.choice("b", (2, 4, 4)), draws.normal("c", (8,))
    assert uniform.min() >= -2 and uniform.max() < 20
    # five standard deviations of the mean
    assert abs(float(uniform.mean()) - 9.0) < 5 * 22 / np.sqrt(12 * 2000)
    assert abs(float((choice == 4).float().mean()) - 2 / 3) < 5 * np.sqrt(2 / 9 / 2000)
    assert abs(float(normal.square().mean()) - 1.0) < 5 * np.sqrt(2 / 16000)


@pytest.mark.parametrize("flip", [False, True])
def test_labels_stay_with_their_pixels(flip):
    """Each class has a colour: away from borders between classes, a pixel's colour says its label."""
    colours = toy.colours().astype(np.float32) / 255.0
    augmentation = Augmentation((40, 64), (0.3, 1.0), flip=flip)
    compared = 0
    for number in range(40):
        rng = np.random.default_rng(number)
        given = np.kron(rng.integers(0, len(toy.CLASSES), (3, 6)), np.ones((16, 16), dtype=np.int64))
        pixels, labels = augmentation(Image.fromarray(toy.colours()[given]), given, rng)
        assert pixels.shape == (40, 64, 3) and labels.shape == (40, 64)
        # Lanczos reaches three source pixels, or three target pixels where the picture is reduced, over the crop's edge too;
        # a label is off by half a source pixel: (3 + 0.5) * 40 / (48 * 0.3) < 10 target pixels
        inside = ndimage.maximum_filter(labels, 21, mode="constant", cval=255) == ndimage.minimum_filter(labels, 21)
        nearest = np.abs(pixels[:, :, None] - colours).sum(3).argmin(2)
        assert np.array_equal(nearest[inside], labels[inside])
        compared += int(inside.sum())
    assert compared > 1000  # of 40 pictures


def test_labels_are_never_mixed_and_colour_moves_no_label():
    item = toy.picture(1)
    picture = Image.fromarray(item.pixels)
    for number in range(20):
        plain = Augmentation((24, 48), (0.4, 1.0), flip=True)(picture, item.labels, np.random.default_rng(number))
        coloured = Augmentation((24, 48), (0.4, 1.0), flip=True, colour=0.5)(picture, item.labels, np.random.default_rng(number))
        assert set(np.unique(plain[1])) <= set(np.unique(item.labels))
        assert np.array_equal(plain[1], coloured[1]) and not np.array_equal(plain[0], coloured[0])
        assert coloured[0].min() >= 0.0 and coloured[0].max() <= 1.0


def test_the_whole_crop_is_the_geometry_of_the_sources():
    """Scale 1 of a picture with the target's shape is the picture."""
    item = toy.picture(0)
    pixels, labels = Augmentation((toy.HEIGHT, toy.WIDTH)).centred(Image.fromarray(item.pixels), item.labels)
    assert np.array_equal(np.rint(pixels * 255), item.pixels) and np.array_equal(labels, item.labels)
