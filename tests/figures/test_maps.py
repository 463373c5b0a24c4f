"""Label maps: kept as they are, told apart in grey, judged pixel by pixel, and shown with what they are."""

import itertools

import numpy as np
import pytest
import stored
from matplotlib.text import Text
from PIL import Image

from semcom.classes import COLOURS, NAMES, UNKNOWN, VOID
from semcom.errors import DataError, StoreError
from semcom.figures import style
from semcom.figures.errors import ERROR_KINDS, NEW, REPAIRED, RIGHT, UNSCORED, WRONG_BEFORE, error_map
from semcom.figures.sheet import Cell, Shades, sheet
from semcom.figures.sheets import sheet_figures
from semcom.figures.textures import CLASS_KINDS, FINENESS, painted
from semcom.store.labels import UNKNOWN_COLOUR, read_labels, write_labels
from semcom.store.panel import panel_cells, shown_unit
from semcom.store.reader import read_json, read_plane
from semcom.store.writer import write_plane

TRUTH = stored.truth()


def lightness(colour) -> float:
    from skimage.color import rgb2lab

    return float(rgb2lab(np.array([[colour]]) / 255)[0, 0, 0])


def test_a_map_comes_back_and_opens_in_its_colours(tmp_path):
    labels = TRUTH.copy()
    labels[:3, :5] = UNKNOWN
    write_labels(tmp_path / "deep" / "map.png", labels)
    back = read_labels(tmp_path / "deep" / "map.png")
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, labels)
    seen = np.asarray(Image.open(tmp_path / "deep" / "map.png").convert("RGB"))
    for value, colour in [*enumerate(COLOURS), (UNKNOWN, UNKNOWN_COLOUR)]:
        assert (seen[labels == value] == colour).all()
    assert read_labels(tmp_path / "none.png") is None


def test_what_is_no_map_is_one_clear_sentence(tmp_path):
    for wrong in (np.full((2, 2), 12), np.full((2, 2), -1), np.zeros((2, 2, 3), int)):
        with pytest.raises(DataError, match=r"expected \[H, W\] of 0 to 11, or 255"):
            write_labels(tmp_path / "map.png", wrong)
    Image.new("RGB", (4, 4)).save(tmp_path / "picture.png")
    with pytest.raises(StoreError, match="no label map"):
        read_labels(tmp_path / "picture.png")


def test_colours_are_those_of_the_classes_and_of_void():
    assert [kind.name for kind in CLASS_KINDS.values()] == [*NAMES, "void", "unknown"] and list(CLASS_KINDS) == [*range(VOID + 1), UNKNOWN]


@pytest.mark.parametrize("kinds", [CLASS_KINDS, ERROR_KINDS], ids=["classes", "errors"])
def test_kinds_that_are_one_grey_in_print_have_different_textures(kinds):
    for one, other in itertools.combinations(kinds.values(), 2):
        alike = abs(lightness(one.colour) - lightness(other.colour)) < 6.5  # L*; a just noticeable difference is about 2
        assert not alike or one.texture != other.texture, (one.name, other.name)


def test_a_texture_can_be_seen_and_leaves_most_of_its_colour():
    for kind in CLASS_KINDS.values():
        square = painted(np.zeros((8, 8), int), {0: kind}, 0.5).reshape(-1, 3)
        colours, counts = np.unique(square, axis=0, return_counts=True)
        assert len(colours) == 1 + bool(kind.texture)
        assert kind.colour in set(map(tuple, colours.tolist())) and counts.max() / counts.sum() > 0.6
        assert not kind.texture or abs(lightness(colours[0]) - lightness(colours[1])) > 18


def test_painting_keeps_every_pixel_in_its_place():
    picture = painted(TRUTH, CLASS_KINDS, 1.6)
    fine = round(FINENESS * 1.6 / TRUTH.shape[1])
    assert picture.shape == (TRUTH.shape[0] * fine, TRUTH.shape[1] * fine, 3)
    blocks = picture.reshape(TRUTH.shape[0], fine, TRUTH.shape[1], fine, 3)
    plain = np.array([not CLASS_KINDS[value].texture for value in TRUTH.ravel()]).reshape(TRUTH.shape)
    expected = np.array(COLOURS)[TRUTH]
    assert (blocks.transpose(0, 2, 1, 3, 4)[plain] == expected[plain][:, None, None]).all()


def test_errors_are_counted_against_the_original():
    rng = np.random.default_rng(5)
    truth, before, now = rng.integers(0, 12, (3, 40, 50))
    now[:4] = UNKNOWN
    kinds, scored = error_map(truth, before, now), truth < VOID
    assert ((kinds == UNSCORED) == ~scored).all()
    assert ((now == truth)[scored] == np.isin(kinds, (RIGHT, REPAIRED))[scored]).all()
    assert ((before == truth)[scored] == np.isin(kinds, (RIGHT, NEW))[scored]).all()
    assert not np.isin(kinds[:4], (RIGHT, REPAIRED)).any()  # what is not known is wrong
    assert np.isin(error_map(truth, before, before), (RIGHT, WRONG_BEFORE, UNSCORED)).all()


def drawn(rows=("0 dB", "10 dB"), columns=("digital map", "analog map"), **more):
    cells = {(row, column): Cell(TRUTH, "mIoU 0.43", kinds=CLASS_KINDS) for row in rows for column in columns}
    cells[rows[0], columns[0]] = Cell(None, "", "frame lost")
    fig = sheet(TRUTH.shape, {rows[0]: Cell(stored.picture(TRUTH, 5.0))}, cells, rows, columns, "original", **more)
    fig.draw_without_rendering()
    return fig


def pictures(fig):
    return [ax for ax in fig.axes if not ax.get_label().startswith("sample of ")]


@pytest.mark.parametrize("width", [style.COLUMN, style.PAGE])
def test_a_sheet_is_undistorted_inside_its_width_and_nothing_overlaps(width):
    fig = drawn(width=width)
    assert fig.get_size_inches()[0] == width
    boxes = [ax.get_window_extent() for ax in pictures(fig)]
    assert all(box.width / box.height == pytest.approx(2.0, rel=1e-3) for box in boxes)
    tight = [ax.get_tightbbox() for ax in fig.axes] + [t.get_window_extent() for t in fig.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(tight) for b in tight[i + 1 :])
    assert all(t.x0 >= 0 and t.x1 <= fig.bbox.x1 and t.y0 >= 0 and t.y1 <= fig.bbox.y1 for t in tight)
    assert min(t.get_fontsize() for t in fig.findobj(Text) if t.get_text().strip()) >= 7


def test_the_legend_names_the_classes_that_occur_and_no_others():
    def samples(fig):
        return [ax.get_label().removeprefix("sample of ") for ax in fig.axes if ax not in pictures(fig)]

    assert samples(drawn()) == [*NAMES, "void"]
    few = np.where(TRUTH == NAMES.index("road"), UNKNOWN, NAMES.index("car"))
    fig = sheet(few.shape, {}, {("", "a"): Cell(few, kinds=CLASS_KINDS), ("", "b"): Cell(error_map(TRUTH, few, few), kinds=ERROR_KINDS)},
                [""], ["a", "b"], "")  # fmt: skip
    assert samples(fig) == ["car", "unknown", "right", "wrong on the original too", "void, not scored"]
    texts = {t.get_text() for t in fig.texts}
    assert {"car", "unknown", "right"} <= texts


def test_long_names_of_rows_and_captions_take_more_lines():
    fig = drawn(rows=("errors in evaluator's map", "picture"), columns=tuple("abcd"), names_first=True)
    name = next(t for t in fig.texts if "errors" in t.get_text())
    box, place = name.get_window_extent(), pictures(fig)[0].get_window_extent()
    assert "\n" in name.get_text() and box.height <= place.height + 1 and 0 <= box.x0 and box.x1 <= place.x0


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    layout = stored.results(tmp_path_factory.mktemp("results"), snr=(-5.0, 5.0))
    return dict(sheet_figures(layout, read_json(layout.plan)))


def said(fig):
    return [t.get_text().replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ") for t in fig.findobj(Text) if t.get_text().strip()]


def test_every_sheet_of_a_results_folder_is_drawn(figures):
    image = stored.IMAGE
    assert list(figures) == [f"panel_{image}", f"received_{image}", f"errors_{image}", *(f"maps_{image}_snr_db={v}" for v in (-5.0, 5.0))]


def test_received_maps_are_shown_of_the_systems_that_have_them(figures):
    texts = said(figures[f"received_{stored.IMAGE}"])
    assert "AVIF + LDPC" not in texts and {"digital map", "true map", "analog map", "true classes", "unknown"} <= set(texts)
    assert texts.count("frame lost") == 2 and texts.count("mIoU 0.60") == 4


def test_everything_at_one_snr_stands_in_rows(figures):
    texts = said(figures[f"maps_{stored.IMAGE}_snr_db=5.0"])
    rows = ["picture", "received map", "errors in received map", "evaluator's map", "errors in evaluator's map"]
    assert [text for text in texts if text in rows] == rows
    assert texts.count("no map is sent") == 2  # the codec's received map and its errors
    assert {"evaluator on the original", "new error", "repaired"} <= set(texts) and sum(t.startswith("new ") and "%" in t for t in texts) == 7
    lost = said(figures[f"maps_{stored.IMAGE}_snr_db=-5.0"])
    assert lost.count("frame lost") == 3 * 5


def test_errors_that_are_shown_are_those_that_are_stored(figures):
    shown = pictures(figures[f"errors_{stored.IMAGE}"])
    caption = next(ax for ax in shown if ax.get_xlabel().startswith("new"))
    colours = caption.images[0].get_array().reshape(-1, 3)
    new = (colours == ERROR_KINDS[NEW].colour).all(1).mean() / (TRUTH < VOID).mean()
    assert f"new {new:.1%}"[:-1] in caption.get_xlabel()


def test_without_true_labels_maps_are_compared_with_the_original(tmp_path):
    layout = stored.results(tmp_path, labels=False, snr=(5.0,))
    figures = dict(sheet_figures(layout, read_json(layout.plan)))
    texts = said(figures[f"errors_{stored.IMAGE}"])
    assert {"as on the original", "not as on the original"} <= set(texts) and "new error" not in texts
    assert "true classes" not in said(figures[f"received_{stored.IMAGE}"])


def test_a_folder_without_maps_has_the_pictures_alone(tmp_path):
    layout = stored.results(tmp_path, snr=(5.0,))
    plan = read_json(layout.plan) | {"evaluators": []}
    for path in layout.pictures.rglob("received/*.png"):
        path.unlink()
    assert list(dict(sheet_figures(layout, plan))) == [f"panel_{stored.IMAGE}"]


def planned(entries, figures):
    return {"entries": entries, "figures": figures, "metrics": ["psnr"]}


def entry(system, at, role="system", **values):
    return {"system": system, "role": role, "snr_db": at, "values": values, "unit": {"psnr": f"{system} {at} {values}"}}


def test_rows_of_a_panel_are_snrs_or_else_the_axis_of_the_curves():
    over_snr = [entry(system, snr, snr_db=snr, loss=loss) for system in "ab" for loss in (0.1, 0.2) for snr in (0.0, 5.0)]
    cells = list(panel_cells(planned(over_snr, {"curves": {"axis": "loss"}, "panel": {}}), ["one", "two"]))
    assert [(c.system, c.axis, c.at, c.image) for c in cells] == [(s, "snr_db", snr, "one") for snr in (0.0, 5.0) for s in "ab"]
    over_loss = [one for one in over_snr if one["snr_db"] == 5.0]
    cells = list(panel_cells(planned(over_loss, {"curves": {"axis": "loss"}}), ["one"]))
    assert [(c.system, c.axis, c.at) for c in cells] == [(s, "loss", loss) for loss in (0.1, 0.2) for s in "ab"]


def test_a_panel_shows_references_where_it_names_them():
    entries = [entry("a", 0.0), entry("b", 0.0), entry("prior", 0.0, role="reference"), entry("a: x", 0.0, role="member")]
    shown = lambda panel: [cell.system for cell in panel_cells(planned(entries, {"panel": panel}), ["one"])]  # noqa: E731
    assert shown({}) == ["a", "b"] and shown({"systems": ["prior", "b"]}) == ["b", "prior"]


# numbers


def test_numbers_are_shades_of_rising_lightness_with_a_bar_that_says_what_they_are(tmp_path):
    values = np.linspace(0.0, 0.3, TRUTH.size, dtype=np.float32).reshape(TRUTH.shape)
    shades = Shades.over([values, 0.1 * values], "deviation, share of peak white")
    assert shades.most == 0.3  # the next round number
    lightnesses = [lightness(colour) for colour in shades.painted(np.linspace(0.0, 0.3, 12)[None])[0]]
    assert min(np.diff(lightnesses)) > 4 and (shades.painted(np.array([[0.9]])) == shades.painted(np.array([[0.3]]))).all()
    cells = {("0 dB", "uncertainty"): Cell(values, "AUROC 0.81", shades=shades), ("0 dB", "shown"): Cell(stored.picture(TRUTH, 5.0))}
    fig = sheet(TRUTH.shape, {}, cells, ["0 dB"], ["shown", "uncertainty"], "original", style.COLUMN, note="A rule that is longer than one line. " * 3)
    fig.draw_without_rendering()
    bar = next(ax for ax in fig.axes if ax.get_label() == "sample of the shades")
    assert [t.get_text() for t in bar.get_xticklabels()] == ["0", "0.15", "≥ 0.3"]
    shown = [t for t in fig.findobj(Text) if t.get_text().strip() and t.get_visible()]
    assert min(t.get_fontsize() for t in shown) >= 7
    boxes = [t.get_window_extent() for t in shown]
    assert min(min(b.x0, b.y0) for b in boxes) >= 0 and max(b.x1 for b in boxes) <= fig.bbox.x1 + 1
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    write_plane(tmp_path / "plane.png", values)
    np.testing.assert_allclose(read_plane(tmp_path / "plane.png"), values, atol=0.5 / 65535 + 1e-6)
    assert read_plane(tmp_path / "none.png") is None


def test_a_panel_shows_the_pictures_whose_metric_it_prints_in_whatever_order_a_file_has_them():
    for unit in ({"psnr": "a", "miou": "b"}, {"miou": "b", "psnr": "a"}):
        assert shown_unit({"unit": unit}, ["psnr", "miou"]) == "a" and shown_unit({"unit": unit}, ["ssim", "miou", "psnr"]) == "b"
