"""Scores of label maps from a scenario file to tables: what is stored adds up to what is printed."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from painted import Painted, paint
from PIL import Image

from semcom import classes
from semcom.errors import ScenarioError
from semcom.models import segmenter
from semcom.metrics.base import to_8bit
from semcom.scenario import load
from semcom.store.reader import read_json
from semcom.sweep.collect import by_class, collect, differences, rows_of
from semcom.sweep.run import Run

K = len(classes.NAMES)
CODEC = {"transmit": {"kind": "image_codec", "codec": "jpeg"}, "link": {"kind": "digital", "mcs": "qpsk-1/2"}}
SYSTEMS = {
    "jpeg": {**CODEC, "receive": "image_codec"},
    "read": {**CODEC, "receive": "seeing:ReadCodec"},
    "softcast": {"transmit": "softcast", "link": "analog", "receive": "seeing:ReadSoftCast"},
}
BOTH = {"kind": "semantic", "evaluator": "painted", "against": ["truth", "original"]}


@pytest.fixture(scope="module", autouse=True)
def evaluator():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmenter, "named", lambda name, device: Painted())
        patch.setattr(segmenter, "missing", lambda name: None)
        patch.setattr(segmenter, "identity", lambda name: f"digest of {name}")
        yield


@pytest.fixture(scope="module")
def drives(tmp_path_factory):
    """A tiny CamVid: pictures in class colours with noise, which the evaluator reads nearly right; some pixels have no label."""
    folder, rng = tmp_path_factory.mktemp("camvid"), np.random.default_rng(0)
    names = {"train": ["0001TP_000400", "0001TP_000430", "0016E5_00390", "0016E5_00420"], "val": [f"0006R0_f{30 * i:05d}" for i in range(3)]}
    for split, frames in names.items():
        for frame in frames:
            coarse = torch.from_numpy(rng.choice(12, (4, 8), p=[0.2, 0.2, 0.05, 0.2, 0.1, 0.1, 0.02, 0.02, 0.05, 0.01, 0.01, 0.04]))
            labels = coarse.repeat_interleave(8, 0).repeat_interleave(8, 1)
            pixels = paint(labels[None])[0] + 0.2 * torch.from_numpy(rng.standard_normal((3, 32, 64)))
            for end, array in (("", to_8bit(pixels).permute(1, 2, 0).mul(255).round()), ("annot", labels)):
                (folder / f"{split}{end}").mkdir(exist_ok=True)
                Image.fromarray(array.numpy().astype(np.uint8)).save(folder / f"{split}{end}" / f"{frame}.png")
    return {"kind": "camvid", "path": str(folder), "size": [32, 64]}


@pytest.fixture(scope="module")
def write(tmp_path_factory, drives):
    def written(**changes):
        data = {
            "name": "meaning", "seed": 3, "source": drives, "bandwidth_ratio": "1/6",
            "channel": "awgn", "sweep": {"snr_db": [-4, 9]}, "systems": SYSTEMS, "metrics": ["psnr", BOTH], "repeats": 2,
            "execution": {"device": "cpu", "batch_size": 5},
        } | changes  # fmt: skip
        path = tmp_path_factory.mktemp("scenario") / "meaning.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        return path

    return written


def finish(path, out, *overrides):
    job = Run(load(path, list(overrides), allow_plugins=True), out)
    for _ in job:
        pass
    assert not job.failures, job.failures
    return job, rows_of(job.layout)


@pytest.fixture(scope="module")
def done(write, tmp_path_factory):
    """One finished sweep, and its rows: nothing may be written into it."""
    return finish(write(), tmp_path_factory.mktemp("results"))


def table(rows, column):
    return np.array(list(rows[column])).reshape(-1, K, K + 1)


def pooled(counts):
    """As the literature has it, over classes that occur."""
    total = counts.sum(0)
    right = np.diagonal(total).astype(float)
    union = total.sum(1) + total[:, :K].sum(0) - right
    return (right[union > 0] / union[union > 0]).mean()


def test_tables_say_what_the_stored_counts_say(done):
    job, rows = done
    points = collect(job.layout, rows).set_index(["system", "snr_db", "metric", "fill"]).sort_index()
    for (system, snr_db), part in rows.groupby(["system", "snr_db"]):
        at = points.loc[(system, snr_db)]
        for name, column in (("miou", "confusion"), ("miou_to_original", "confusion_to_original")):
            assert at.loc[(name, "grey"), "mean"] == pytest.approx(pooled(table(part, column)))
        assert at.loc[("miou_image", "grey"), "mean"] == pytest.approx(part["miou_image"].mean())
        level = pooled(table(part, "confusion_of_original"))
        assert at.loc[("miou", "grey"), "original"] == pytest.approx(level)
        assert at.loc[("miou", "grey"), "relative"] == pytest.approx(at.loc[("miou", "grey"), "mean"] / level)
        assert pd.isna(at.loc[("miou_to_original", "grey"), "original"])
        accuracy = part["pixel_accuracy_of_original"] - part["new_errors"] + part["repaired_errors"]
        assert np.allclose(part["pixel_accuracy"], accuracy)
        assert ("miou_received", "grey") not in at.index if system == "jpeg" else ("miou_received", "grey") in at.index
    assert points["original"].xs("miou", level="metric").nunique() == 1  # the same images everywhere


def test_a_lost_picture_is_grey_with_an_unknown_map_and_then_the_prior_with_its_map(done, write):
    job, rows = done
    read = rows[rows["system"] == "read"]
    lost, arrived = read[~read["ok"]], read[read["ok"]]
    assert len(lost) and len(arrived)
    assert (table(lost, "confusion_received")[:, :, :K] == 0).all() and (lost["pixel_accuracy_received"] == 0).all()
    assert arrived["confusion_received@prior"].isna().all() and arrived["confusion@prior"].isna().all()
    source = load(write(), allow_plugins=True).points()[0].source.build()
    labels = source.load(list(lost["image"])).labels
    known = labels < classes.VOID
    right = ((labels == source.prior_labels()) & known).sum((1, 2)) / known.sum((1, 2))
    assert np.allclose(lost["pixel_accuracy_received@prior"], right, atol=1e-6)
    seen = Painted().labels((source.prior() * 255).round()[None] / 255)
    right = ((labels == seen) & known).sum((1, 2)) / known.sum((1, 2))
    assert np.allclose(lost["pixel_accuracy@prior"], right, atol=1e-6)
    points = collect(job.layout, rows).set_index(["system", "snr_db", "metric", "fill"])["mean"]
    here = read[read["snr_db"] == -4.0]
    with_prior = [np.array(own if own is not None else other) for own, other in zip(here["confusion@prior"], here["confusion"], strict=True)]
    assert points[("read", -4.0, "miou", "prior")] == pytest.approx(pooled(np.array(with_prior).reshape(-1, K, K + 1)))


def test_the_same_picture_with_another_map_is_scored_again(done):
    """`jpeg` and `read` show the same pictures; only one of them hands over a map."""
    _, rows = done
    of = {system: part.sort_values(["snr_db", "image", "repeat"]) for system, part in rows.groupby("system")}
    assert (of["jpeg"]["psnr"].to_numpy() == of["read"]["psnr"].to_numpy()).all()
    assert (table(of["jpeg"], "confusion") == table(of["read"], "confusion")).all()
    assert of["jpeg"]["miou_image_received"].isna().all() and of["read"]["miou_image_received"].notna().all()
    assert of["jpeg"]["confusion_received"].isna().all()


def test_other_batches_and_a_resumed_run_hold_the_same_counts(write, tmp_path):
    only = {"systems": {"softcast": SYSTEMS["softcast"]}}
    job, rows = finish(write(**only), tmp_path / "out")
    key = ["unit", "image", "repeat"]
    _, small = finish(write(**only), tmp_path / "small", "execution.batch_size=1")
    one, other = rows.sort_values(key), small.sort_values(key)
    for column in ("confusion", "confusion_to_original", "confusion_of_original"):
        assert (table(one, column) == table(other, column)).all()
    before = collect(job.layout, rows)
    for path in sorted(job.layout.batches.glob("*.parquet"))[::2]:
        path.unlink()
    job, rows = finish(write(**only), tmp_path / "out")
    pd.testing.assert_frame_equal(collect(job.layout, rows), before)


def test_classes_and_differences_stand_in_tables_of_their_own(done):
    job, rows = done
    each = by_class(job.layout, rows)
    part = rows[(rows["system"] == "softcast") & (rows["snr_db"] == 9.0)]
    line = each[(each["system"] == "softcast") & (each["snr_db"] == 9.0) & (each["metric"] == "miou")].set_index("class")
    counts = table(part, "confusion").sum(0)
    new = np.array(list(part["new_errors_by_class"])).sum(0)
    for name, row in line.iterrows():
        k = classes.NAMES.index(name)
        union = counts[k].sum() + counts[:, k].sum() - counts[k, k]
        assert row["mean"] == pytest.approx(counts[k, k] / union)
        assert row["pixels"] == pytest.approx(counts[k].sum() / counts.sum())
        assert np.isnan(row["new_errors"]) if not counts[k].sum() else row["new_errors"] == pytest.approx(new[k] / counts[k].sum())
    assert line["mean"].mean() == pytest.approx(pooled(table(part, "confusion")))
    pairs = differences(job.layout, rows)
    pair = pairs[(pairs["metric"] == "miou") & (pairs["system"] == "softcast") & (pairs["snr_db"] == 9.0)].iloc[0]
    other = rows[(rows["system"] == "jpeg") & (rows["snr_db"] == 9.0)]
    assert pair["mean"] == pytest.approx(pooled(table(part, "confusion")) - pooled(table(other, "confusion")))


def test_the_evaluator_stands_in_the_results_and_in_the_identity(done, write, monkeypatch):
    job, _ = done
    for path in (job.layout.plan, job.layout.provenance):
        assert read_json(path)["evaluators"] == [
            {"name": "painted", "digest": "digest of painted", "classes": list(classes.NAMES), "sizes": [[32, 64]]}
        ]
    before = load(write(), allow_plugins=True).digest()
    monkeypatch.setattr(segmenter, "identity", lambda name: "another")
    assert load(write(), allow_plugins=True).digest() != before


def test_settings_are_tuned_for_the_mean_iou_of_the_sum(write, tmp_path):
    free = {"jpeg": {"transmit": {"kind": "image_codec", "codec": "jpeg"}, "link": {"kind": "digital", "mcs": {"best_of": ["qpsk-1/2", "16qam-1/2"]}},
                     "receive": "image_codec"}}  # fmt: skip
    job, rows = finish(write(systems=free, repeats=1), tmp_path / "out")
    for entry in read_json(job.layout.plan)["entries"]:
        assert len({entry["unit"][name] for name in ("miou", "miou_image", "pixel_accuracy", "new_errors", "repaired_errors")}) == 1
        assert set(entry["unit"]) == set(read_json(job.layout.plan)["metrics"])
    assert collect(job.layout, rows).set_index("metric").loc["miou", "mean"].notna().all()


def test_pictures_without_labels_are_compared_with_their_originals(write, tmp_path):
    photos = {"kind": "photos", "size": [32, 64]}
    with pytest.raises(ScenarioError, match=r"metrics\[1\].*'photos' has none.*against: \[original\]"):
        load(write(source=photos), allow_plugins=True)
    metrics, systems = ["psnr", BOTH | {"against": ["original"]}], {"softcast": SYSTEMS["softcast"]}
    job, rows = finish(write(source=photos, systems=systems, metrics=metrics, sweep={"snr_db": [9]}, repeats=1), tmp_path / "out")
    points = collect(job.layout, rows).set_index(["system", "metric"])
    assert 0 < points.loc[("softcast", "miou_to_original"), "mean"].max() <= 1 and "original" not in points
    assert not any(name.endswith("of_original") for name in rows)


def test_the_command_line_writes_and_exports_them(write, tmp_path, capsys):
    from semcom.cli.outputs import write_outputs
    from semcom.cli.results import export
    from semcom.cli.tables import print_points

    asked = {"metrics": ["psnr", BOTH | {"against": ["truth"], "of": ["reconstruction"]}], "systems": {"softcast": SYSTEMS["softcast"]}}
    job, _ = finish(write(**asked, sweep={"snr_db": [9]}), tmp_path / "out")
    points, paths = write_outputs(job.layout)
    assert job.layout.classes in paths and set(pd.read_csv(job.layout.classes)["class"]) <= set(classes.NAMES)
    print_points(points, read_json(job.layout.plan))
    shown = capsys.readouterr().out
    assert "evaluator on originals" in shown and "%]" in shown and "mIoU" in shown
    for format in ("csv", "json", "parquet"):
        export(job.layout.root, format, True, tmp_path / f"rows.{format}")
    counts = [json.loads(value) for value in pd.read_csv(tmp_path / "rows.csv")["confusion"]]
    assert counts == [list(value) for value in pd.read_parquet(tmp_path / "rows.parquet")["confusion"]]
    assert counts == [row["confusion"] for row in json.loads((tmp_path / "rows.json").read_text())]
