"""Curves: what is drawn is what was given, gaps are gaps, bounds are bounds, and nothing covers anything."""

import numpy as np
import pandas as pd
import pytest
from synthetic import MEMBERS, ORDER, REFERENCES, SNR, table

from semcom.errors import ScenarioError, StoreError
from semcom.figures import style
from semcom.figures.curves import curve_grid, curves
from semcom.figures.labels import axis_label, metric_label
from semcom.figures.points import interval_note, is_rate

POINTS = table()
SYSTEMS = [name for name in ORDER if name not in MEMBERS + REFERENCES]
METRICS = ["psnr", "lpips_squeeze", "bler"]


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def given(metric, system):
    rows = POINTS[(POINTS["metric"] == metric) & (POINTS["system"] == system)]
    return rows.set_index("snr_db")["mean"].reindex(SNR).to_numpy()


def texts(fig):
    """Every text that is drawn, which not every text of a figure is: ticks reach beyond their axis."""
    from matplotlib.text import Text

    drawn, draw = {}, Text.draw
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", lambda text, renderer: (drawn.update({id(text): text}), draw(text, renderer)))
        fig.draw_without_rendering()
    return [text for text in drawn.values() if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize("metric", ["psnr", "lpips_squeeze"])
def test_data_drawn_are_the_data_given(metric):
    drawn = lines(curves(POINTS, metric, systems=ORDER))
    assert set(drawn) == set(ORDER)
    for name, line in drawn.items():
        np.testing.assert_array_equal(line.get_xdata(), SNR)
        np.testing.assert_array_equal(line.get_ydata(), given(metric, name))


def test_missing_points_and_nan_leave_gaps():
    drawn = lines(curves(POINTS, "psnr"))
    assert np.isnan(drawn["JPEG + LDPC"].get_ydata()[SNR < 0]).all()
    some = POINTS[(POINTS["system"] != "SoftCast") | (POINTS["snr_db"] != 5)]
    softcast = lines(curves(some, "psnr"))["SoftCast"].get_ydata()
    np.testing.assert_array_equal(np.isnan(softcast), SNR == 5)


def test_a_point_between_gaps_is_marked_even_where_the_line_has_no_markers():
    alone = POINTS[(POINTS["system"] != "capacity") | (POINTS["snr_db"] == 5)]
    line = lines(curves(alone, "psnr"))["capacity"]
    assert line.get_markevery() == [list(SNR).index(5)] and line.get_marker() == "_"


def test_intervals_are_shaded_for_systems_only():
    ax = curves(POINTS, "psnr", systems=ORDER)
    assert len(ax.collections) == len(SYSTEMS)
    rows = POINTS[(POINTS["metric"] == "psnr") & (POINTS["system"] == "SoftCast")]
    band = ax.collections[SYSTEMS.index("SoftCast")].get_paths()[0].vertices
    corners = {(round(float(x), 9), round(float(y), 9)) for x, y in band}
    for snr, low, high in rows[["snr_db", "low", "high"]].itertuples(index=False):
        assert (snr, round(low, 9)) in corners and (snr, round(high, 9)) in corners


def test_roles_are_told_apart():
    drawn = lines(curves(POINTS, "psnr", systems=ORDER))
    for name in MEMBERS:
        assert drawn[name].get_linewidth() < 0.6 and drawn[name].get_markevery() == []
        assert drawn[name].get_color() == drawn["AVIF + LDPC"].get_color()
    strokes = {str(drawn[name]._unscaled_dash_pattern) for name in REFERENCES}
    assert len(strokes) == len(REFERENCES) and all(drawn[name].get_linestyle() == "--" for name in REFERENCES)


def test_error_rates_are_logarithmic_and_zero_counts_are_upper_bounds():
    ax = curves(POINTS, "bler", systems=ORDER)
    assert ax.get_yscale() == "log"
    drawn = lines(ax)
    bottom, top = ax.get_ylim()
    for name in ("AVIF + LDPC", "JPEG + LDPC"):
        rates = given("bler", name)
        np.testing.assert_array_equal(drawn[name].get_ydata(), np.where(rates > 0, rates, np.nan))
        bounds = [line for line in ax.get_lines() if line.get_label() == f"_bound of {name}"]
        assert [line.get_xdata()[0] for line in bounds] == list(SNR[rates == 0])
        assert all(line.get_ydata()[0] == 3 / 2000 for line in bounds)
        assert bottom < 3 / 2000 < top
    assert "upper bound" in ax.figure.legends[0].get_title().get_text().replace("\n", " ")


def test_equal_bounds_stand_side_by_side():
    ax = curves(POINTS, "bler", systems=ORDER)
    ax.figure.draw_without_rendering()
    at = [line.get_transform().transform((10.0, 3 / 2000))[0] for line in ax.get_lines() if list(line.get_xdata()) == [10.0]]
    middles = sorted({round(float(x), 3) for x in at})
    assert len(middles) == 4 and np.mean(middles) == pytest.approx(ax.transData.transform((10.0, 1e-3))[0], abs=0.01)


def test_a_table_without_any_error_still_draws():
    none = POINTS[(POINTS["metric"] == "bler") & (POINTS["mean"] == 0)]
    bottom, top = curves(none, "bler").get_ylim()
    assert bottom < 3 / 2000 < top


def test_rates_are_known_by_name():
    assert all(map(is_rate, ("ber", "ber_raw", "bler", "fer", "fer_header")))
    assert is_rate("failure_rate")
    assert not any(map(is_rate, ("psnr", "number", "transfer")))


@pytest.mark.parametrize("metric", METRICS)
def test_legend_covers_neither_axes_nor_labels_and_stays_inside(metric):
    ax = curves(POINTS, metric, systems=ORDER)
    ax.figure.draw_without_rendering()
    box, renderer = ax.figure.legends[0].get_window_extent(), ax.figure.canvas.get_renderer()
    assert not box.overlaps(ax.get_window_extent())
    assert box.y1 < ax.xaxis.label.get_window_extent(renderer).y0
    whole = ax.figure.bbox
    assert box.x0 >= whole.x0 and box.x1 <= whole.x1 and box.y0 >= whole.y0
    assert ax.get_window_extent().height / ax.figure.dpi > 1.7  # inches left for the curves


@pytest.mark.parametrize("metric", METRICS)
def test_text_is_legible_inside_the_column_and_does_not_collide(metric):
    fig = curves(POINTS, metric, systems=ORDER).figure
    assert fig.get_size_inches()[0] == style.COLUMN
    shown = texts(fig)
    assert min(t.get_fontsize() for t in shown) >= 7
    assert all(t.get_fontfamily()[0] == style.FONT[0] for t in shown)
    boxes = [t.get_window_extent() for t in shown]
    assert all(b.x0 >= 0 and b.x1 <= fig.bbox.x1 and b.y0 >= 0 and b.y1 <= fig.bbox.y1 for b in boxes)
    assert not [
        (a.get_text(), b.get_text())
        for i, a in enumerate(shown)
        for j, b in enumerate(shown[:i])
        if boxes[i].overlaps(boxes[j])
    ]


def test_labels_carry_units_and_directions():
    ax = curves(POINTS, "lpips_squeeze")
    assert ax.get_xlabel() == "Average SNR $E_s/N_0$ [dB]"
    assert ax.get_ylabel().startswith("LPIPS") and ax.get_ylabel().endswith("↓")
    assert curves(POINTS, "psnr").get_ylabel() == metric_label("psnr") == "PSNR [dB]"
    assert curves(POINTS, "psnr", labels={"psnr": "peak SNR [dB]"}).get_ylabel() == "peak SNR [dB]"
    assert axis_label("bandwidth_ratio") == "Bandwidth ratio $k/n$"
    assert axis_label("channel.k_db") == "Rician $K$ [dB]"
    assert axis_label("channel.doppler_hz") == "Channel doppler [Hz]"
    assert axis_label("channel.coherence_length") == "Channel coherence length"


def test_a_metric_from_outside_keeps_its_own_name():
    assert metric_label("colour_shift_of_mine") == "colour_shift_of_mine"


def test_the_note_is_derived_from_the_data():
    always = "Intervals: 95 %, t over clusters (3 images, 3 clusters, 4 repeats); fewer than ten clusters: indicative"
    assert interval_note(POINTS[POINTS["metric"] == "psnr"]) == always
    assert interval_note(POINTS[POINTS["metric"] == "bler"]) == f"{always}; open markers: no error counted, 95 % upper bound"
    assert interval_note(POINTS.assign(low=np.nan, high=np.nan)) == ""
    here = (POINTS["system"] == "SoftCast") & (POINTS["snr_db"] == 5)
    assert interval_note(POINTS.assign(note=POINTS["note"].where(~here, POINTS["note"] + "; 1 of 3 values missing"))) == interval_note(POINTS)


def test_a_system_looks_the_same_whatever_else_is_drawn():
    everything = lines(curves(POINTS, "psnr", systems=ORDER))
    few = lines(curves(POINTS[POINTS["system"].isin(["SoftCast", "prior"])], "psnr", systems=SYSTEMS))
    for attribute in ("get_color", "get_marker"):
        assert getattr(few["SoftCast"], attribute)() == getattr(everything["SoftCast"], attribute)()


def test_an_axes_handed_in_is_drawn_on_and_returned():
    ax = style.figure().add_subplot()
    assert curves(POINTS, "psnr", ax=ax, legend=False) is ax
    assert ax.get_legend() is None and not ax.figure.legends and len(ax.get_lines()) == len(ORDER)


def test_the_legend_of_an_axes_handed_in_is_below_it():
    fig = style.figure(style.PAGE, 3.5)
    left, right = fig.subplots(1, 2)
    for ax, metric in ((left, "psnr"), (right, "lpips_squeeze")):
        curves(POINTS, metric, systems=ORDER, ax=ax)
    fig.draw_without_rendering()
    boxes = [ax.get_legend().get_window_extent() for ax in (left, right)]
    assert not boxes[0].overlaps(boxes[1]) and not any(box.overlaps(ax.get_window_extent()) for box in boxes for ax in fig.axes)
    assert min(box.y0 for box in boxes) >= 0


def test_fill_is_chosen_where_pictures_were_lost():
    prior = table("prior").assign(mean=lambda t: t["mean"] + 1)
    both = pd.concat([POINTS, prior[(prior["system"] == "WebP + LDPC") & (prior["metric"] != "bler")]])
    as_grey, as_prior = (lines(curves(both, "psnr", fill=fill)) for fill in ("grey", "prior"))
    np.testing.assert_allclose(as_prior["WebP + LDPC"].get_ydata(), as_grey["WebP + LDPC"].get_ydata() + 1)
    np.testing.assert_array_equal(as_prior["SoftCast"].get_ydata(), as_grey["SoftCast"].get_ydata())


def test_bandwidth_ratios_are_written_as_fractions():
    at = {-5.0: 1 / 48, 0.0: "1/24", 5.0: 1 / 12, 10.0: 1 / 6}
    rows = POINTS[POINTS["snr_db"].isin(at)]
    ax = curves(rows.assign(bandwidth_ratio=rows["snr_db"].map(at)).drop(columns="snr_db"), "psnr", "bandwidth_ratio")
    ax.figure.draw_without_rendering()
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1/48", "1/24", "1/12", "1/6"]
    np.testing.assert_allclose(lines(ax)["SoftCast"].get_xdata(), [1 / 48, 1 / 24, 1 / 12, 1 / 6])


def test_names_on_the_axis_are_not_joined():
    at = {-5.0: "rayleigh", 0.0: "rician", 5.0: "awgn"}
    rows = POINTS[POINTS["snr_db"].isin(at)]
    ax = curves(rows.assign(**{"channel.kind": rows["snr_db"].map(at)}).drop(columns="snr_db"), "psnr", "channel.kind")
    line = lines(ax)["SoftCast"]
    assert line.get_linestyle() == "None" and list(line.get_xdata()) == [0, 1, 2]
    np.testing.assert_array_equal(line.get_ydata(), given("psnr", "SoftCast")[np.isin(SNR, list(at))])
    ax.figure.draw_without_rendering()
    shown = rows[(rows["metric"] == "psnr") & (rows["role"] == "system")]
    assert ax.get_ylim()[0] < shown["low"].min() and shown["high"].max() < ax.get_ylim()[1]
    assert not ax.collections


def gridded():
    return pd.concat([POINTS.assign(**{"channel.k_db": k}) for k in (-3, 6)])


def test_a_grid_has_one_legend_and_a_panel_a_metric():
    fig = curve_grid(POINTS, METRICS, systems=ORDER)
    fig.draw_without_rendering()
    assert fig.get_size_inches()[0] == style.PAGE and len(fig.axes) == 3 and len(fig.legends) == 1
    legend = fig.legends[0].get_window_extent()
    assert not any(legend.overlaps(ax.get_tightbbox()) for ax in fig.axes)
    assert min(t.get_fontsize() for t in texts(fig)) >= 7
    assert {t.get_text() for t in fig.legends[0].get_texts()} == {*SYSTEMS, *REFERENCES, "members of an envelope"}


def test_a_grid_is_faceted_by_another_swept_field():
    fig = curve_grid(gridded(), ["psnr", "bler"], facet="channel.k_db")
    assert [ax.get_title() for ax in fig.axes] == ["Rician $K$ = −3 dB", "Rician $K$ = 6 dB", "", ""]
    assert fig.axes[0].get_ylim() == fig.axes[1].get_ylim()
    np.testing.assert_array_equal(lines(fig.axes[1])["SoftCast"].get_ydata(), given("psnr", "SoftCast"))


@pytest.mark.parametrize(("values", "rows", "columns"), [(2, 1, 2), (4, 1, 4), (6, 2, 3)])
def test_many_facets_of_one_metric_wrap(values, rows, columns):
    points = pd.concat([POINTS.assign(**{"channel.k_db": k}) for k in range(values)])
    fig = curve_grid(points, ["psnr"], facet="channel.k_db")
    grid = fig.axes[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == (rows, columns)
    assert [bool(ax.get_xlabel()) for ax in fig.axes] == [n + columns >= values for n in range(values)]
    assert [ax.get_title() for ax in fig.axes] == [f"Rician $K$ = {k} dB" for k in range(values)]


@pytest.mark.parametrize("metric", ["psnr", "bler"])
def test_a_facet_without_points_stays_empty(metric):
    points = gridded()
    points = points[(points["channel.k_db"] == 6) | (points["metric"] != metric)]
    left, right = curve_grid(points, [metric], facet="channel.k_db").axes
    assert not left.get_lines() and lines(right)
    left.figure.draw_without_rendering()


def test_four_metrics_make_two_rows_of_two():
    points = pd.concat([POINTS, POINTS[POINTS["metric"] == "psnr"].assign(metric="ssim")])
    grid = curve_grid(points, [*METRICS, "ssim"]).axes[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == (2, 2)


def test_facets_share_their_scale_and_looks_even_where_a_system_is_missing():
    points = gridded()
    best = (points["channel.k_db"] == 6) & (points["metric"] == "bler")
    points.loc[best, ["mean", "low", "high"]] /= 100
    points = points[(points["channel.k_db"] == 6) | (points["system"] != "JPEG 2000 + LDPC")]
    left, right = curve_grid(points, ["bler"], facet="channel.k_db", systems=ORDER).axes
    assert left.get_ylim() == right.get_ylim() and left.get_ylim()[0] < 1e-5
    for name in ("AVIF + LDPC", "WebP + LDPC"):
        assert lines(left)[name].get_color() == lines(right)[name].get_color() == lines(curves(POINTS, "bler"))[name].get_color()


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (lambda: curves(POINTS, "psnrr"), ScenarioError, "no points of metric 'psnrr'.*did you mean 'psnr'"),
        (lambda: curves(POINTS, "psnr", "snr"), ScenarioError, "'snr' is no swept field.*allowed: snr_db"),
        (lambda: curves(POINTS, "psnr", fill="white"), ScenarioError, "shown as 'white'; allowed: grey, prior"),
        (lambda: curves(POINTS.iloc[:0], "psnr"), StoreError, "empty; run the sweep"),
        (lambda: curves(POINTS.drop(columns="mean"), "psnr"), StoreError, "no column 'mean'"),
        (lambda: curves(POINTS.assign(mean=np.nan), "psnr"), StoreError, "no point of metric 'psnr' has a value.*'note'"),
        (lambda: curves(gridded(), "psnr"), ScenarioError, "several values.*channel.k_db is -3, 6"),
        (lambda: curve_grid(POINTS, []), ScenarioError, "no metric"),
        (lambda: curve_grid(POINTS, ["psnr"], facet="k_db"), ScenarioError, "'k_db' is no swept field"),
    ],
)
def test_what_cannot_be_drawn_is_one_clear_sentence(change, error, sentence):
    with pytest.raises(error, match=sentence) as caught:
        change()
    assert "\n" not in str(caught.value)


def with_originals(values):
    """The points, and what the originals score at each SNR."""
    level = pd.Series(values, index=SNR)[POINTS["snr_db"]].to_numpy()
    return POINTS.assign(original=level, original_low=level - 0.4, original_high=level + 0.4)


def level_of(ax):
    return next((line for line in ax.get_lines() if line.get_label() == "_level of the originals"), None)


def test_what_the_originals_score_is_a_level_line_with_its_interval():
    ax = curves(with_originals(31.0), "psnr", systems=ORDER)
    line = level_of(ax)
    np.testing.assert_array_equal(line.get_xdata(), ax.get_xlim())
    np.testing.assert_array_equal(line.get_ydata(), [31.0, 31.0])
    band = ax.collections[-1].get_paths()[0].vertices
    assert {round(y, 9) for y in band[:, 1]} == {30.6, 31.4}
    assert ax.get_ylim()[1] > 31.4
    assert [t.get_text() for t in ax.figure.legends[0].get_texts()][-1] == "originals (evaluator)"
    assert level_of(curves(POINTS, "psnr")) is None


def test_the_level_of_the_originals_follows_an_axis_that_changes_them():
    values = np.linspace(28.0, 30.0, len(SNR))
    line = level_of(curves(with_originals(values), "psnr"))
    np.testing.assert_allclose(line.get_ydata(), values)
    np.testing.assert_array_equal(line.get_xdata(), SNR)


def test_each_facet_has_its_own_level():
    points = pd.concat([with_originals(level).assign(**{"channel.k_db": k}) for k, level in ((-3, 29.0), (6, 31.0))])
    left, right = curve_grid(points, ["psnr"], facet="channel.k_db").axes
    assert (level_of(left).get_ydata()[0], level_of(right).get_ydata()[0]) == (29.0, 31.0)


def test_systems_that_are_given_the_truth_are_dashed_and_keep_their_colour():
    plain, broken = (lines(curves(POINTS, "psnr", systems=ORDER, dashed=dashed)) for dashed in ((), ("SoftCast",)))
    assert plain["SoftCast"].get_linestyle() == "-" and broken["SoftCast"].get_linestyle() == "--"
    assert plain["SoftCast"].get_color() == broken["SoftCast"].get_color() and broken["WebP + LDPC"].get_linestyle() == "-"


def test_labels_that_are_no_distances_stand_at_equal_ones():
    at = dict(zip(SNR, (1, 5, 10, 15, 20, 25, 30, 100), strict=False))
    rows = POINTS[POINTS["snr_db"].isin(at)]
    ax = curves(rows.assign(gesco_label=rows["snr_db"].map(at)).drop(columns="snr_db"), "psnr", "gesco_label")
    ax.figure.draw_without_rendering()
    assert [t.get_text() for t in ax.get_xticklabels()] == [str(v) for v in at.values()]
    np.testing.assert_array_equal(lines(ax)["SoftCast"].get_xdata(), range(8))
    assert lines(ax)["SoftCast"].get_linestyle() == "-" and "no SNR" in ax.get_xlabel()


def test_references_that_are_given_the_truth_are_the_dashed_ones():
    looks = style.looks(["prior", "oracle", "capacity"], dict.fromkeys(["prior", "oracle", "capacity"], "reference"), dashed={"oracle"})
    assert looks["oracle"].stroke == (0, (4, 2)) and len({one.stroke for one in looks.values()}) == 3
    assert all(one.color == style.REFERENCE_COLOR for one in looks.values())
    beside = style.looks(["a", "prior"], {"prior": "reference"}, dashed={"a"})
    assert beside["prior"].stroke == (0, (1, 1.2)) and style.looks(["a", "prior"], {"prior": "reference"})["prior"].stroke == (0, (4, 2))


def test_a_difference_of_rates_may_be_negative_and_is_drawn_on_a_linear_scale():
    from semcom.figures.results import _difference_figures

    points = POINTS[POINTS["metric"] == "psnr"].assign(metric="outage", baseline="AVIF + LDPC", role="system")
    points = points[points["system"].isin(["SoftCast", "WebP + LDPC"])].assign(mean=-0.2, low=-0.4, high=0.1)
    plan = {
        "axes": ["snr_db"], "metrics": ["outage"], "entries": [{"system": name, "unit": {}} for name in ORDER], "units": {},
        "quantities": {"outage": {"label": "P(x)", "better": "lower"}}, "figures": {"curves": {"lines": "systems"}},
    }  # fmt: skip
    [(name, figure)] = _difference_figures(points, ["outage"], plan, "snr_db")
    [ax] = figure.axes
    assert name == "difference_outage" and ax.get_yscale() == "linear" and ax.get_ylim()[0] < -0.2
