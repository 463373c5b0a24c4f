"""The table of points: what counts as a failure, what is filled in, and what rows may come in which order."""

import math

import numpy as np
import pandas as pd
import pytest

from semcom import rng
from semcom.metrics.base import RATES as LABELLED
from semcom.stats.intervals import UPPER
from semcom.stats.sample import Sample
from semcom.stats.summary import RATES, summarise

NAN = float("nan")


def table(system="codec", snrs=(0.0, 10.0), images=12, repeats=2, lost=lambda snr, image, repeat: False):
    """Rows as a sweep stores them: grey is worth 10 dB, the prior picture 15 dB."""
    rows = []
    for snr in snrs:
        for image in range(images):
            for repeat in range(repeats):
                ok = not lost(snr, image, repeat)
                value = 25.0 + 0.1 * snr + image + 0.25 * repeat
                rows.append(
                    {
                        "system": system, "snr_db": snr, "image": f"i{image}", "cluster": f"c{image}", "repeat": repeat,
                        "ok": ok, "status": "done", "reason": "",
                        "psnr": value if ok else 10.0, "psnr@prior": value if ok else 15.0,
                        "frame_failures": int(not ok), "frames": 1,
                        "raw_bit_errors": image, "raw_bits": 1000, "bit_errors": 0 if ok else 40, "bits": 500,
                        "block_errors": 0 if ok else 2, "blocks": 4,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def point(points, **where):
    chosen = points
    for column, value in where.items():
        chosen = chosen[chosen[column] == value]
    assert len(chosen) == 1, chosen
    return chosen.iloc[0]


def test_means_failures_and_means_given_success_belong_together():
    rows = table(lost=lambda snr, image, repeat: snr == 0.0 and image < 3)
    points = summarise(rows, {"psnr": "higher"}, ["snr_db"])
    bad = point(points, snr_db=0.0, metric="psnr", fill="grey")
    assert (bad["failures"], bad["failure_rate"]) == (6, 0.25)
    assert bad["mean"] == pytest.approx(0.25 * 10.0 + 0.75 * bad["mean_given_success"])
    prior = point(points, snr_db=0.0, metric="psnr", fill="prior")
    assert prior["mean"] == pytest.approx(0.25 * 15.0 + 0.75 * bad["mean_given_success"])
    assert prior["mean_given_success"] == bad["mean_given_success"]
    good = point(points, snr_db=10.0, metric="psnr", fill="grey")
    assert good["failures"] == 0 and good["mean"] == good["mean_given_success"] == pytest.approx(25 + 1 + 5.5 + 0.125)
    assert (good["n_images"], good["n_clusters"], good["n_repeats"]) == (12, 12, 2)
    assert point(points, snr_db=10.0, metric="psnr", fill="prior")["mean"] == good["mean"]


def test_prior_rows_are_there_only_for_a_system_that_failed():
    rows = pd.concat([table("codec", lost=lambda snr, image, repeat: image == 0), table("softcast")])
    points = summarise(rows, {"psnr": "higher"}, ["snr_db"])
    assert set(points[points["fill"] == "prior"]["system"]) == {"codec"}
    assert point(points, system="softcast", snr_db=0.0, metric="psnr")["fill"] == "grey"


def test_rates_come_from_summed_counts():
    rows = table(lost=lambda snr, image, repeat: snr == 0.0 and image < 3)
    points = summarise(rows, {}, ["snr_db"])
    assert point(points, snr_db=0.0, metric="fer")["mean"] == pytest.approx(6 / 24)
    assert point(points, snr_db=0.0, metric="bler")["mean"] == pytest.approx(12 / 96)
    assert point(points, snr_db=0.0, metric="ber")["mean"] == pytest.approx(240 / 12_000)
    assert point(points, snr_db=0.0, metric="ber_raw")["mean"] == pytest.approx(5.5 / 1000)
    free = point(points, snr_db=10.0, metric="fer")
    assert free["method"] == UPPER and free["high"] == pytest.approx(1 - 0.05 ** (1 / 24))
    assert set(RATES) <= set(LABELLED)


def test_a_link_without_counts_has_no_rates():
    rows = table().assign(**{column: NAN for pair in RATES.values() for column in pair})
    assert set(summarise(rows, {"psnr": "higher"}, ["snr_db"])["metric"]) == {"psnr"}
    assert set(summarise(rows.drop(columns=["bits", "frames"]), {"psnr": "higher"}, ["snr_db"])["metric"]) == {"psnr"}


def test_an_infeasible_point_has_its_reason_and_no_number():
    rows = table()
    counts = [column for pair in RATES.values() for column in pair if column in rows]
    rows = rows.astype(dict.fromkeys(counts, float))
    there = rows["snr_db"] == 0.0
    rows.loc[there, ["ok"]] = False
    rows.loc[there, "status"], rows.loc[there, "reason"] = "infeasible", "no MCS fits"
    rows.loc[there, ["psnr", "psnr@prior"]] = NAN
    rows.loc[there, counts] = NAN
    points = summarise(rows, {"psnr": "higher"}, ["snr_db"])
    gone = point(points, snr_db=0.0)
    assert math.isnan(gone["mean"]) and math.isnan(gone["failure_rate"]) and gone["n_images"] == 0
    assert gone["note"] == "infeasible: no MCS fits"
    assert set(points["fill"]) == {"grey"}  # what cannot exist has not failed


def test_an_image_that_does_not_fit_counts_as_the_failure_that_it_is():
    rows = table(lost=lambda snr, image, repeat: image == 5)
    rows.loc[rows["image"] == "i5", ["status", "reason"]] = ["infeasible", "the smallest file exceeds the budget"]
    first = point(summarise(rows, {"psnr": "higher"}, ["snr_db"]), snr_db=0.0, metric="psnr", fill="grey")
    assert first["failures"] == 2 and first["n_images"] == 12
    assert first["note"] == "infeasible in 2 of 24 transmissions: the smallest file exceeds the budget"


def test_several_axes_make_a_grid_and_text_is_an_axis_too():
    rows = pd.concat([table().assign(channel="awgn"), table().assign(channel="rayleigh")])
    points = summarise(rows, {"psnr": "higher"}, ["snr_db", "channel"])
    assert len(points[points["metric"] == "psnr"]) == 4
    assert list(points.columns[:3]) == ["system", "snr_db", "channel"]


def test_neither_the_order_of_rows_nor_how_they_were_cut_into_files_matters():
    rows = pd.concat([table("b", lost=lambda snr, image, repeat: (image + repeat) % 3 == 0), table("a")], ignore_index=True)
    rows["psnr"] += rng.generator("noise").standard_normal(len(rows)) * rows["ok"]
    expected = summarise(rows, {"psnr": "higher"}, ["snr_db"])
    files = [part for _, part in rows.groupby(np.arange(len(rows)) % 7)]
    again = summarise(pd.concat(reversed(files)), {"psnr": "higher"}, ["snr_db"])
    pd.testing.assert_frame_equal(expected, again, check_exact=True)
    alone = summarise(rows[rows["system"] == "a"], {"psnr": "higher"}, ["snr_db"])
    pd.testing.assert_frame_equal(expected[expected["system"] == "a"].reset_index(drop=True), alone, check_exact=True)


def test_missing_values_and_uneven_repeats_are_named():
    rows = table()
    rows.loc[0, ["psnr", "psnr@prior"]] = NAN
    first = point(summarise(rows, {"psnr": "higher"}, ["snr_db"]), snr_db=0.0, metric="psnr")
    assert first["note"] == "1 of 24 values missing; 1 to 2 repeats an image"


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="no column lpips_vgg, lpips_vgg@prior"):
        summarise(table(), {"lpips_vgg": "lower"}, ["snr_db"])


def test_rows_of_one_transmission_given_twice_are_refused():
    with pytest.raises(ValueError, match="there twice"):
        summarise(pd.concat([table(), table()]), {"psnr": "higher"}, ["snr_db"])


def test_samples_keep_numbers_with_their_names():
    sample = Sample.of([3.0, 1.0, 2.0], ["b", "a", "a"], ["y", "x", "x"], [0, 1, 0])
    assert sample.values.tolist() == [2.0, 1.0, 3.0] and sample.images.tolist() == ["a", "a", "b"]
    assert sample.cluster_sums(sample.values).tolist() == [3.0, 3.0] and sample.row_weights().tolist() == [0.5, 0.5, 1.0]


def test_the_worst_tenth_is_at_the_end_that_is_worse():
    """Twenty images of 1 to 20 dB, one transmission each: the worst two."""
    rows = table(images=20, repeats=1, snrs=(0.0,)).assign(psnr=np.arange(1.0, 21.0))
    for better, expected in (("higher", 1.5), ("lower", 19.5)):
        assert summarise(rows, {"psnr": better}, ["snr_db"]).iloc[0]["worst_tenth"] == pytest.approx(expected)


def test_shares_stay_within_their_bounds_and_events_that_never_happened_have_an_upper_one():
    rows = table(images=4, repeats=1, snrs=(0.0,)).assign(psnr=[0.0, 0.0, 0.0, 0.4])
    rows["psnr@prior"] = rows["psnr"]
    free, cut = (summarise(rows, {"psnr": "lower"}, ["snr_db"], bounds=bounds).iloc[0] for bounds in ({}, {"psnr": (0.0, 1.0)}))
    assert free["low"] < 0 == cut["low"] and (free["mean"], free["high"]) == (cut["mean"], cut["high"])
    never = rows.assign(**{"psnr": 0.0, "psnr@prior": 0.0})
    found = summarise(never, {"psnr": "lower"}, ["snr_db"], bounds={"psnr": (0.0, 1.0)}, events=["psnr"]).iloc[0]
    assert found["method"] == UPPER and found["high"] == pytest.approx(1 - 0.05 ** (1 / 4)) and math.isnan(found["worst_tenth"])
