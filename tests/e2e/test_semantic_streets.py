"""A real segmenter, tiny and untrained, reads rendered streets: the path that shipped evaluators take."""

import numpy as np
import pytest
import torch
import yaml

import semcom
from semcom.errors import ScenarioError
from semcom.models import storage
from semcom.scenario import load
from semcom.store.reader import read_json
from semcom.sweep.collect import rows_of

segmenter = pytest.importorskip("semcom.models.segmenter", reason="this version has no segmenters")
TINY = {"architecture": "Unet", "encoder": "resnet18", "depth": 2, "options": {"decoder_channels": [8, 8]}}


@pytest.fixture
def evaluator(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        storage.save_network(segmenter.Segmenter(**TINY), tmp_path / "evaluator", "half")
    return tmp_path / "evaluator"


@pytest.fixture
def scenario(tmp_path, evaluator):
    data = {
        "name": "streets", "seed": 2, "source": {"kind": "streets", "size": [32, 64], "count": 2}, "bandwidth_ratio": "1/6",
        "channel": "rayleigh", "snr_db": 12, "metrics": ["psnr", {"kind": "semantic", "evaluator": str(evaluator)}],
        "systems": {"softcast": {"transmit": "softcast", "link": "analog", "receive": "softcast"}},
        "execution": {"device": "cpu"},
    }  # fmt: skip
    path = tmp_path / "streets.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


@pytest.mark.filterwarnings("ignore:A NumPy version")
def test_streets_are_scored_by_a_segmenter_in_a_folder(scenario, evaluator, tmp_path, one_thread):
    job = semcom.run(scenario, out=tmp_path / "out")
    points = job.table().set_index("metric")
    assert not job.failures and not job.absent
    net = segmenter.named(str(evaluator))
    images = load(scenario).points()[0].source.build()
    batch = images.load([ref.id for ref in images.images()])
    truth, read = batch.labels.numpy(), net.labels(batch.pixels).numpy()
    each = []
    for k in range(11):
        union = ((truth != 11) & ((truth == k) | (read == k))).sum()
        each += [((truth == k) & (read == k)).sum() / union] if union else []
    assert points.loc["miou", "original"] == pytest.approx(np.mean(each), abs=1e-3)  # a tie may fall either way
    rows = rows_of(job.layout)
    assert rows["pixel_accuracy"].between(0, 1).all() and "miou_received" not in points.index
    assert read_json(job.layout.plan)["evaluators"][0]["digest"] == segmenter.identity(str(evaluator))


def test_an_evaluator_that_is_not_there_leaves_its_columns_out(scenario, tmp_path):
    job = semcom.run(scenario, ["metrics=[psnr, {kind: semantic, evaluator: nowhere}]"], out=tmp_path / "out")
    assert set(job.table()["metric"]) >= {"psnr"} and "miou" in job.absent and "nowhere" in job.absent["miou"]


def test_validate_says_what_a_source_lacks(scenario):
    with pytest.raises(ScenarioError, match="has none"):
        load(scenario, ["source={kind: photos, size: [32, 64]}"])
