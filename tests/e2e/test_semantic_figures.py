"""Label maps from a sweep to figures: what is kept is what was received and read, and figures need nothing else."""

import numpy as np
import pytest
import torch
import yaml
from painted import Painted

from semcom.figures import style
from semcom.models import segmenter
from semcom.scenario import load
from semcom.store.labels import evaluator_map, read_labels
from semcom.store.panel import panel_cells
from semcom.store.reader import read_batches, read_json, read_picture
from semcom.sweep.run import Run

SCENARIO = {
    "name": "meaning", "source": {"kind": "streets", "size": [32, 64], "count": 2}, "bandwidth_ratio": "1/6", "channel": "awgn",
    "sweep": {"snr_db": [-4, 9]},
    "systems": {
        "read": {"transmit": {"kind": "image_codec", "codec": "jpeg"}, "link": {"kind": "digital", "mcs": "qpsk-1/2"}, "receive": "seeing:ReadCodec"},
        "softcast": {"transmit": "softcast", "link": "analog", "receive": "softcast"},
    },
    "metrics": [{"kind": "semantic", "evaluator": "painted"}], "execution": {"device": "cpu"},
    "figures": {"curves": {"metrics": ["miou", "miou_received", "new_errors"]}},
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
    return [(cell, rows.loc[(cell.unit, cell.image)]) for cell in panel_cells(plan["entries"], images, plan["figures"])], plan


def read(picture):
    return Painted().labels(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None] / 255.0)[0].numpy()


def test_maps_are_kept_of_what_arrived(results):
    layout, _ = results
    shown, _ = cells(layout)
    assert {bool(row["ok"]) for _, row in shown} == {True, False} and len(shown) == 4
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
    wanted = ["miou", "miou_received", "new_errors", "overview", "difference_miou", "difference_new_errors", "classes_miou", "classes_miou_received"]
    sheets = [f"{what}_{image}" for what in ("panel", "received", "errors")] + [f"maps_{image}_snr_db={snr}" for snr in (-4.0, 9.0)]
    assert sorted(names) == sorted([*wanted, *sheets])
