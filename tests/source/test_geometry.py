"""One geometry for pictures and labels."""

import numpy as np
import pytest
from PIL import Image

from semcom.source._geometry import crop_box, resize_labels, resize_picture


@pytest.mark.parametrize("given", [(288, 384), (300, 100), (500, 741), (97, 31), (128, 256)])
@pytest.mark.parametrize("size", [(128, 256), (256, 256), (64, 48)])
def test_the_crop_is_centred_of_the_right_shape_and_the_largest(given, size):
    left, top, right, bottom = crop_box(given, size)
    h, w = given
    assert left == pytest.approx(w - right) and top == pytest.approx(h - bottom)
    assert (right - left) / (bottom - top) == pytest.approx(size[1] / size[0])
    assert right - left == pytest.approx(w) or bottom - top == pytest.approx(h)
    assert left >= 0 and top >= 0 and right <= w and bottom <= h


def test_the_same_size_changes_nothing():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    assert np.array_equal(resize_picture(Image.fromarray(pixels), (40, 60)), pixels)
    assert np.array_equal(resize_labels(pixels[..., 0], (40, 60)), pixels[..., 0])


def test_labels_follow_their_picture():
    """A ramp resized as a picture and as labels agree to half a target pixel, at every size."""
    for h, w, size in [(90, 200, (32, 64)), (200, 90, (32, 64)), (61, 47, (32, 32)), (20, 30, (32, 64))]:
        ramp = np.broadcast_to(np.arange(w, dtype=np.uint8), (h, w))
        picture = resize_picture(Image.fromarray(np.repeat(ramp[..., None], 3, axis=2)), size)[..., 0].astype(float)
        labels = resize_labels(ramp, size).astype(float)
        step = min(h / size[0], w / size[1])
        inside = slice(4, -4)  # the picture's kernel meets the border
        assert np.abs(picture - labels)[:, inside].max() <= max(step, 1.0) / 2 + 1.0


def test_a_picture_finer_than_the_grid_turns_grey_not_into_another_pattern():
    """Stripes of one pixel, four times reduced: without anti-aliasing they stay black or white."""
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    reduced = resize_picture(Image.fromarray(stripes), (64, 64))[:, 4:-4]
    assert np.abs(reduced.astype(int) - 127).max() <= 2


def test_labels_invent_no_class():
    labels = np.random.default_rng(1).choice([0, 7, 11], (77, 133))
    assert set(np.unique(resize_labels(labels, (32, 64)))) <= {0, 7, 11}
