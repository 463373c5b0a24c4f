"""Bars of classes: as high as the numbers, with their intervals, beside the originals."""

from itertools import pairwise

import numpy as np
import pytest
import stored
from matplotlib.text import Text

from semcom.classes import NAMES
from semcom.errors import ScenarioError, StoreError
from semcom.figures import style
from semcom.figures.bars import MEAN, class_bars
from semcom.figures.results import draw
from semcom.store.reader import read_json

POINTS, CLASSES = stored.points(), stored.classes()
LOOKS = style.looks(list(stored.SYSTEMS), {})
SHOWN = [name for name in NAMES if name != "sign"]  # of which there are none


def bars(values=(0.0, 20.0), looks=LOOKS, metric="miou", classes=CLASSES):
    return class_bars(classes, POINTS[POINTS["metric"] == metric], metric, "snr_db", values, NAMES, looks, broken={"true map"})


def test_bars_are_as_high_as_the_numbers():
    for ax, snr in zip(bars().axes, (0.0, 20.0), strict=True):
        for container in (c for c in ax.containers if c.get_label() in LOOKS):
            rows = CLASSES.query("metric == 'miou' and snr_db == @snr and system == @container.get_label()").set_index("class")["mean"]
            mean = POINTS.query("metric == 'miou' and snr_db == @snr and system == @container.get_label()")["mean"].item()
            np.testing.assert_allclose([bar.get_height() for bar in container], [*rows[SHOWN], mean])


def test_intervals_and_the_originals_are_drawn():
    ax = bars((20.0,), {"digital map": LOOKS["digital map"]}).axes[0]
    level = next(c for c in ax.collections if c.get_label() == "_level of the originals").get_segments()
    rows = CLASSES.query("metric == 'miou' and snr_db == 20 and system == 'digital map'").set_index("class")
    np.testing.assert_allclose([line[0][1] for line in level], [*rows["original"][SHOWN], 0.53])
    spans = [line.get_segments() for c in ax.containers if hasattr(c, "has_yerr") for line in c.lines[2]]
    assert len(spans) == 2  # in black, and the white below it
    for segments in spans:
        np.testing.assert_allclose([s[:, 1] for s in segments][:-1], rows.loc[SHOWN, ["low", "high"]].to_numpy())


def test_the_level_of_the_originals_has_its_interval_where_the_table_has():
    with_interval = CLASSES.assign(original_low=CLASSES["original"] - 0.07, original_high=CLASSES["original"] + 0.05)
    ax = bars((20.0,), {"digital map": LOOKS["digital map"]}, classes=with_interval).axes[0]
    band = next(c for c in ax.containers if c.get_label() == "_interval of the originals")
    rows = with_interval.query("metric == 'miou' and snr_db == 20 and system == 'digital map'").set_index("class").loc[SHOWN]
    np.testing.assert_allclose([bar.get_y() for bar in band][:-1], rows["original_low"])
    np.testing.assert_allclose([bar.get_y() + bar.get_height() for bar in band][:-1], rows["original_high"])


def test_a_class_without_a_value_has_no_bar_and_a_system_without_values_no_entry():
    fig = bars(metric="miou_received")
    assert [t.get_text() for t in fig.axes[-1].get_xticklabels()] == [*SHOWN, MEAN]
    entries = [t.get_text() for t in fig.legends[0].get_texts()]
    assert entries == ["digital map", "true map", "analog map", "originals (evaluator)"]


def test_systems_that_are_given_the_truth_are_hollow():
    ax = bars().axes[0]
    faces = {c.get_label(): c[0].get_facecolor() for c in ax.containers if c.get_label() in LOOKS}
    assert faces["true map"][:3] == (1, 1, 1) and faces["digital map"][:3] != (1, 1, 1)


@pytest.mark.parametrize(("systems", "width"), [(1, style.COLUMN), (2, style.COLUMN), (4, style.PAGE)])
def test_text_is_legible_inside_the_page_and_does_not_collide(systems, width):
    fig = bars(looks=dict(list(LOOKS.items())[:systems]))
    assert fig.get_size_inches()[0] == width
    fig.draw_without_rendering()
    labels = fig.axes[-1].get_xticklabels()
    assert len({t.get_rotation() for t in labels}) == 1
    if labels[0].get_rotation() == 0:
        boxes = [t.get_window_extent() for t in labels]
        assert not any(a.overlaps(b) for a, b in pairwise(boxes))
    shown = [t for t in fig.findobj(Text) if t.get_text().strip() and t.get_visible()]
    assert min(t.get_fontsize() for t in shown) >= 7
    legend = fig.legends[0].get_window_extent()
    assert not any(legend.overlaps(ax.get_tightbbox()) for ax in fig.axes) and legend.y0 >= 0 and legend.x0 >= 0


def test_what_cannot_be_drawn_is_one_clear_sentence():
    with pytest.raises(ScenarioError, match="0 values of 'snr_db' and 4 systems"):
        bars(values=())
    with pytest.raises(StoreError, match="no class has a value of 'miou'"):
        bars(classes=CLASSES.assign(mean=np.nan))


def test_every_figure_comes_from_what_is_stored(tmp_path, monkeypatch):
    import pandas as pd

    layout, image = stored.results(tmp_path, snr=(5.0,)), stored.IMAGE
    monkeypatch.setattr(style, "save", lambda fig, path: (path,))  # that saving works is tested once
    names = [path.name for path in draw(layout, POINTS, pd.DataFrame(), None, CLASSES)]
    sheets = [f"panel_{image}", f"received_{image}", f"errors_{image}", f"maps_{image}_snr_db=5.0"]
    assert names == [*stored.METRICS, "overview", "classes_miou", "classes_miou_received", *sheets]
    assert [path.name for path in draw(layout, POINTS, pd.DataFrame(), ["new_errors"], CLASSES)] == ["new_errors"]


def test_a_section_of_the_figures_chooses_systems_and_snrs(tmp_path):
    from semcom.figures.results import class_figures

    plan = read_json(stored.results(tmp_path).plan)
    plan["figures"]["classes"] = {"snr_db": [10.0], "systems": ["analog map"]}
    fig = dict(class_figures(POINTS, CLASSES, ["miou", "new_errors"], plan, "snr_db"))
    assert list(fig) == ["classes_miou"] and len(fig["classes_miou"].axes) == 1
    assert [t.get_text() for t in fig["classes_miou"].legends[0].get_texts()] == ["analog map", "originals (evaluator)"]
    analog = next(c for c in fig["classes_miou"].axes[0].containers if c.get_label() == "analog map")
    assert analog[0].get_facecolor()[:3] == pytest.approx([int(LOOKS["analog map"].color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
