"""Label maps and samples from a sweep to figures: what is kept is what was received and read, and figures need nothing else."""

import numpy as np
import pytest
import torch
import yaml
from painted import Painted

from semcom.classes import NAMES
from semcom.figures import style
from semcom.models import segmenter
from semcom.scenario import load
from semcom.store.cases import DEFAULT_CLASSES, INVENTED, LOST, worst_cases
from semcom.store.labels import evaluator_map, read_labels
from semcom.store.panel import panel_cells
from semcom.store.reader import read_batches, read_json, read_picture, read_plane
from semcom.sweep.collect import collect, rows_of
from semcom.sweep.run import Run

SCENARIO = {
    "name": "meaning", "source": {"kind": "streets", "size": [32, 64], "count": 2}, "bandwidth_ratio": "1/6", "channel": "awgn",
    "sweep": {"snr_db": [-4, 9]},
    "systems": {
        "read": {"transmit": {"kind": "image_codec", "codec": "jpeg"}, "link": {"kind": "digital", "mcs": "qpsk-1/2"}, "receive": "seeing:ReadCodec"},
        "softcast": {"transmit": "softcast", "link": "analog", "receive": "softcast"},
        "in doubt": {"transmit": {"kind": "image_codec", "codec": "jpeg"}, "link": {"kind": "digital", "mcs": "qpsk-1/2"}, "receive": "seeing:DoubtfulCodec"},
    },
    "metrics": [{"kind": "semantic", "evaluator": "painted", "outage_below": 0.5}, {"kind": "uncertainty", "evaluator": "painted"}],
    "execution": {"device": "cpu"},
    "figures": {"curves": {"metrics": ["miou", "miou_received", "new_errors", "outage", "auroc_new_errors"]}},
}  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("meaning")
    (folder / "meaning.yaml").write_text(yaml.safe_dump(SCENARIO))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmenter, "named", lambda name, device: Painted())
        patch.setattr(segmenter, "missing", lambda name: None)
        patch.setattr(segmenter, "identity", lambda name: f"digest of {name}")
        scenario = load(folder / "meaning.yaml", allow_plugins=True)
        job = Run(scenario, folder / "out")
        for _ in job:
            pass
    assert not job.failures
    return job.layout, scenario.points()[0].source.build()


def cells(layout):
    plan = read_json(layout.plan)
    images = [ref["id"] for refs in plan["images"].values() for ref in refs]
    rows = read_batches(layout).set_index(["unit", "image"])
    return [(cell, rows.loc[(cell.unit, cell.image)]) for cell in panel_cells(plan, images)], plan


def read(picture):
    return Painted().labels(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None] / 255.0)[0].numpy()


def test_maps_are_kept_of_what_arrived(results):
    layout, _ = results
    shown, _ = cells(layout)
    assert {bool(row["ok"]) for _, row in shown} == {True, False} and len(shown) == 6
    for cell, row in shown:
        picture = read_picture(layout.picture(cell.unit, cell.image))
        maps = {what: read_labels(layout.label_map(cell.unit, cell.image, what)) for what in ("received", "evaluator")}
        if not row["ok"]:
            assert picture is None and all(one is None for one in maps.values())
            continue
        np.testing.assert_array_equal(maps["evaluator"], read(picture))
        assert (maps["received"] is not None) == (cell.system == "read")


def test_the_original_has_its_true_map_and_the_evaluators(results):
    layout, source = results
    [(cell, _), *_], plan = cells(layout)
    folder = layout.originals(plan["source_of"][cell.unit])
    np.testing.assert_array_equal(read_labels(layout.label_map(folder, cell.image, "truth")), source.load([cell.image]).labels[0])
    seen = read_labels(layout.label_map(folder, cell.image, evaluator_map("digest of painted")))
    np.testing.assert_array_equal(seen, read(read_picture(layout.original(plan["source_of"][cell.unit], cell.image))))


def test_figures_are_drawn_from_what_is_stored(results, monkeypatch, capsys):
    from semcom.cli.results import plot

    layout, _ = results
    monkeypatch.setattr(style, "save", lambda fig, path: (path,))
    plot(layout.root)
    image = cells(layout)[0][0][0].image
    names = [line.rpartition("/")[2] for line in capsys.readouterr().out.splitlines()]
    wanted = ["miou", "miou_received", "new_errors", "outage", "auroc_new_errors", "overview", "difference_miou", "difference_new_errors",
              "difference_outage", "classes_miou", "classes_miou_received", "inventions", "new_errors_by_class", "invented_by_class"]  # fmt: skip
    sheets = [f"{what}_{image}" for what in ("panel", "received", "errors")] + [f"maps_{image}_snr_db={snr}" for snr in (-4.0, 9.0)]
    sheets += [f"samples_{image}_in%20doubt", "worst_read", "worst_softcast", "worst_in%20doubt"]
    assert sorted(names) == sorted([*wanted, *sheets])


def test_samples_and_uncertainty_are_kept_of_a_receiver_that_has_them(results):
    layout, _ = results
    for cell, row in cells(layout)[0]:
        plane, samples = read_plane(layout.uncertainty(cell.unit, cell.image)), [read_picture(layout.sample(cell.unit, cell.image, n)) for n in (1, 2, 3)]
        if cell.system != "in doubt" or not row["ok"]:
            assert plane is None and samples == [None] * 3
            continue
        assert plane.shape == (32, 64) and 0.02 < plane.mean() < 0.15  # the noise has 0.1, where it is not clipped
        assert np.std([sample.astype(float) for sample in samples], axis=0, ddof=1).mean() / 255 == pytest.approx(plane.mean(), rel=0.1)


def test_tables_say_whether_doubt_foretells_errors_and_how_often_too_little_is_left(results):
    layout, _ = results
    rows = rows_of(layout)
    points = collect(layout, rows).set_index(["metric", "system", "snr_db", "fill"]).sort_index()
    assert set(points.loc["auroc_new_errors"].index.get_level_values("system")) == {"in doubt"}
    at = points.loc[("auroc_large_errors", "in doubt", 9.0, "grey")]
    part = rows[(rows["system"] == "in doubt") & (rows["snr_db"] == 9.0) & rows["auroc_large_errors"].notna()]
    assert at["mean"] == pytest.approx(part["auroc_large_errors"].mean()) and 0 <= at["low"] <= at["high"] <= 1
    lost = rows[(rows["system"] == "in doubt") & ~rows["ok"]]
    assert len(lost) and lost[["auroc_new_errors", "coverage_range", "diversity"]].isna().all(axis=None)
    assert (rows["outage"] == (rows["miou_image"] < 0.5 * rows["miou_image_of_original"])).all()
    for (system, snr), part in rows.groupby(["system", "snr_db"]):
        at, reach = points.loc[("outage", system, snr, "grey")], 1 - 0.05 ** (1 / len(part))
        assert at["mean"] == part["outage"].mean()
        if at["mean"] in (0.0, 1.0):  # a bound, as none of so few transmissions says little
            assert (at["low"], at["high"]) == pytest.approx((0.0, reach) if at["mean"] == 0 else (1 - reach, 1.0))


def test_the_worst_pictures_are_those_of_the_largest_counts_and_are_kept(results):
    layout, _ = results
    plan, stored = read_json(layout.plan), read_batches(layout)
    cases = worst_cases(plan, stored)
    assert {case.cell.system for case in cases} == {"read", "softcast", "in doubt"}
    numbers, seen = [NAMES.index(name) for name in DEFAULT_CLASSES], {}
    for case in cases:
        cell = case.cell
        rows = stored[(stored["unit"] == cell.unit) & stored["ok"]].set_index("image")
        counts = {image: sum(int(row[column][k]) for column in (LOST, INVENTED) for k in numbers) for image, row in rows.iterrows()}
        left = {image: count for image, count in counts.items() if image not in seen.setdefault(cell.system, set())}
        assert counts[cell.image] == max(left.values()) == sum(case.lost.values()) + sum(case.invented.values())
        seen[cell.system].add(cell.image)
        kept = read_labels(layout.label_map(cell.unit, cell.image, "evaluator"))
        truth = read_labels(layout.label_map(layout.originals(plan["source_of"][cell.unit]), cell.image, "truth"))
        before = read_labels(layout.label_map(layout.originals(plan["source_of"][cell.unit]), cell.image, evaluator_map("digest of painted")))
        new = (truth < len(NAMES)) & (before == truth) & (kept != truth)
        assert {name: int((new & (truth == NAMES.index(name))).sum()) for name in case.lost} == dict(case.lost)
        assert {name: int((new & (kept == NAMES.index(name))).sum()) for name in case.invented} == dict(case.invented)
