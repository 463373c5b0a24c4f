"""Identity: everything that changes a number changes a unit's id or what tuning asked, and a place on disk does not."""

import json
from typing import Literal

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import semcom
from channels.awgn import AWGN
from semcom.link import adaptation
from semcom.link.analog import Analog
from semcom.metrics.psnr import PSNR
from semcom.metrics.ssim import SSIM
from semcom.store.layout import Layout
from semcom.store.reader import read_batches
from semcom.sweep.measure import Measure


def folder_of(at, greys):
    """Flat pictures with a ramp, 32x32."""
    at.mkdir()
    for number, grey in enumerate(greys):
        ramp = np.clip(np.arange(32)[None, :, None] + np.full((32, 32, 3), grey), 0, 255).astype(np.uint8)
        Image.fromarray(ramp).save(at / f"{number}.png")
    return str(at)


def planned(tmp_path, name, **source):
    """The plan of a small sweep, nothing of which is computed, and what its tuning asked."""
    reported = tmp_path / "reported"
    data = {
        "name": "small",
        "source": {"kind": "folder", "path": str(reported) if reported.is_dir() else folder_of(reported, [90]), "size": [32, 32]} | source,
        "bandwidth_ratio": "1/3",
        "channel": "awgn",
        "snr_db": 6,
        "systems": {
            "codec": {
                "transmit": {"kind": "image_codec", "codec": {"best_of": ["jpeg", "webp"]}},
                "link": {"kind": "digital", "mcs": "qpsk-1/2"},
                "receive": "image_codec",
            }
        },
        "metrics": ["psnr"],
        "execution": {"device": "cpu"},
    }
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data))
    job = semcom.run(path, out=tmp_path / name)
    next(progress for progress in job if progress.stage == "sweeping")
    asked = [json.loads(file.read_text())["asked"] for file in (tmp_path / name / "tuning").glob("*.json")]
    return job.plan, sorted(asked, key=str)


def test_the_prior_is_part_of_identity_and_its_folder_is_not(tmp_path):
    here, other, there = (folder_of(tmp_path / name, greys) for name, greys in (("a", [40, 60]), ("b", [40, 200]), ("c", [40, 60])))
    (one, asked), (changed, asked_of_changed), (moved, asked_of_moved) = (
        planned(tmp_path, f"out{number}", tuning=folder) for number, folder in enumerate((here, other, there))
    )
    assert set(one.units) == set(moved.units) and asked == asked_of_moved
    assert not set(one.units) & set(changed.units) and asked != asked_of_changed


def test_tuning_asks_again_with_other_predictions(tmp_path, monkeypatch):
    _, asked = planned(tmp_path, "before")
    monkeypatch.setattr("semcom.link.digital.table_digest", lambda code: f"another table of {code}")
    _, asked_now = planned(tmp_path, "after")
    assert asked != asked_now and len(adaptation.table_digest()) == 16


def test_tuning_names_the_libraries_of_every_candidate(tmp_path):
    _, asked = planned(tmp_path, "out")
    assert all(library in json.dumps(asked) for library in ("libjpeg_turbo", '"webp"'))


class Borrowed(Analog):
    """A plugin that never changed the kind of what it was copied from."""

    kind: Literal["analog"] = "analog"


class BorrowedChannel(AWGN):
    """Likewise."""


@pytest.mark.parametrize(("plugin", "ours"), [(Borrowed, Analog), (BorrowedChannel, AWGN)])
def test_a_plugin_is_never_taken_for_what_it_is_called(plugin, ours):
    assert plugin().identity() != ours().identity() == ours().identity()


def test_grey_pictures_of_one_area_are_measured_apart():
    measure = Measure([PSNR().build("cpu"), SSIM().build("cpu")], {**PSNR.COLUMNS, **SSIM.COLUMNS})
    ramp = torch.linspace(0, 1, 64 * 16).reshape(1, 1, 64, 16).repeat(1, 3, 1, 1)
    wide = torch.linspace(0, 1, 64 * 16).reshape(1, 1, 16, 64).repeat(1, 3, 1, 1).flip(2)
    grey = lambda x: torch.full_like(x, 0.5)  # noqa: E731
    measure(["a"], ramp, grey(ramp))
    again = Measure(measure.metrics, measure.quantities)
    assert measure(["a"], wide, grey(wide)) == again(["a"], wide, grey(wide))


def test_what_is_free_is_listed_once(tmp_path):
    planned(tmp_path, "out")
    semcom.run(tmp_path / "out.yaml", out=tmp_path / "out").table()
    for listed in read_batches(Layout(tmp_path / "out"))["free"]:
        items = listed.split("; ")
        assert len(items) == len(set(items)) and any("perfect CSI" in item for item in items)
