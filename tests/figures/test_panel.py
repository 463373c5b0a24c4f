"""Panels: the pictures are the pictures given, undistorted; losses are seen."""

import numpy as np
import pytest
from matplotlib.text import Text

from semcom.errors import DataError
from semcom.figures import style
from semcom.figures.panel import panel

ROWS, COLUMNS = ["−4 dB", "5 dB", "15 dB"], ["a system with a rather long name", "SoftCast", "prior"]
ORIGINAL = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
PICTURES = {(r, c): np.full((32, 64, 3), 40 * i + 9 * j, np.uint8) for i, r in enumerate(ROWS) for j, c in enumerate(COLUMNS)}
CAPTIONS = {key: f"{20 + i}.1 dB" for i, key in enumerate(PICTURES)}
LOST = {(ROWS[0], COLUMNS[0])}


def drawn(**more):
    fig = panel(ORIGINAL, PICTURES, ROWS, COLUMNS, **{"captions": CAPTIONS, "failed": LOST, **more})
    fig.draw_without_rendering()
    return fig


def test_original_first_then_rows_of_systems_unchanged():
    axes = drawn().axes
    shown = [ax.images[0].get_array() for ax in axes]
    np.testing.assert_array_equal(shown[0], ORIGINAL)
    for picture, key in zip(shown[1:], [(r, c) for r in ROWS for c in COLUMNS], strict=True):
        np.testing.assert_array_equal(picture, PICTURES[key])
    assert all(ax.images[0].get_interpolation() == "nearest" for ax in axes)


@pytest.mark.parametrize("columns", [1, 3, 6])
def test_two_columns_wide_and_not_distorted(columns):
    names = [f"system {i}" for i in range(columns)]
    fig = panel(ORIGINAL, {("0 dB", n): ORIGINAL for n in names}, ["0 dB"], names)
    fig.draw_without_rendering()
    assert fig.get_size_inches()[0] == style.PAGE
    for ax in fig.axes:
        box = ax.get_window_extent()
        assert box.width / box.height == pytest.approx(2.0, rel=1e-3)
        assert box.x0 >= 0 and box.x1 <= fig.bbox.x1 and box.y0 >= 0 and box.y1 <= fig.bbox.y1


def test_rows_and_columns_line_up_and_nothing_overlaps():
    fig = drawn()
    boxes = [ax.get_window_extent() for ax in fig.axes]
    assert {round(b.y0) for b in boxes[1:4]} == {round(boxes[0].y0)} and {round(b.x0) for b in boxes[1::3]} == {round(boxes[1].x0)}
    tight = [ax.get_tightbbox() for ax in fig.axes]
    assert not any(a.overlaps(b) for i, a in enumerate(tight) for b in tight[i + 1 :])
    assert all(t.x0 >= 0 and t.x1 <= fig.bbox.x1 and t.y0 >= 0 and t.y1 <= fig.bbox.y1 for t in tight)


def test_captions_and_headings_are_legible():
    fig = drawn(original_caption="k = 4096")
    texts = [t for t in fig.findobj(Text) if t.get_text().strip()]
    said = {t.get_text().replace("\n", " ") for t in texts}
    assert {*CAPTIONS.values(), *ROWS, *COLUMNS, "original", "k = 4096"} <= said
    assert min(t.get_fontsize() for t in texts) >= 6


def test_a_lost_frame_is_marked_and_others_are_not():
    axes = drawn().axes
    assert [t.get_text() for t in axes[1].texts] == ["frame lost"] and len(axes[1].get_lines()) == 4
    assert not any(ax.texts or ax.get_lines() for ax in [axes[0], *axes[2:]])


def test_a_missing_picture_leaves_an_empty_frame():
    pictures = {**PICTURES, (ROWS[1], COLUMNS[1]): None}
    ax = panel(ORIGINAL, pictures, ROWS, COLUMNS).axes[5]
    assert not ax.images and [t.get_text() for t in ax.texts] == ["infeasible"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((ORIGINAL / 255, PICTURES, ROWS, COLUMNS), "the original of a panel is float64"),
        ((ORIGINAL, {("5 dB", "prior"): ORIGINAL[:16]}, ROWS, COLUMNS), r"\(16, 64, 3\), the original \(32, 64, 3\)"),
        ((ORIGINAL, {("6 dB", "prior"): ORIGINAL}, ROWS, COLUMNS), r"no place \('6 dB', 'prior'\)"),
        ((ORIGINAL, {}, [], COLUMNS), "0 rows and 3 columns"),
    ],
)
def test_what_cannot_be_shown_is_one_clear_sentence(arguments, sentence):
    with pytest.raises(DataError, match=sentence):
        panel(*arguments)
