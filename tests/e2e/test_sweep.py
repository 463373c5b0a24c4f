"""A sweep from file to table: resumed, cut into other batches, failing, without room; nothing is lost or computed twice."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import semcom
from semcom.errors import StoreError
from semcom.store.layout import Layout
from semcom.store.reader import KEY, read_batches
from semcom.sweep import run as run_module

ROOT = Path(__file__).resolve().parents[2]


def rows(folder):
    """All stored rows and columns, in an order that does not depend on the names of batch files."""
    table = read_batches(Layout(folder)).sort_values(KEY, ignore_index=True)
    return table[sorted(table.columns)]


def finish(path, folder, **options):
    job = semcom.run(path, out=folder, **options)
    return job, job.table()


def test_rows_points_and_pictures_are_complete(scenario, tmp_path):
    job, points = finish(scenario(), tmp_path / "out")
    stored = rows(tmp_path / "out")
    assert len(stored) == 2 * 2 * 3 * 2 == job.plan.rows()  # systems, SNRs, images, repeats
    assert not job.failures
    psnr = points[(points["metric"] == "psnr") & (points["fill"] == "grey")]
    assert len(psnr) == 4 and (psnr["n_images"] == 3).all() and (psnr["n_repeats"] == 2).all()
    assert (stored["channel_uses"] == 64 * 64 * 3 // 12).all()
    uses = stored[[column for column in stored if column.startswith("uses_")]].fillna(0).sum(axis=1)
    assert (uses == stored["channel_uses"]).all()
    for point in psnr.itertuples():
        mine = stored[(stored["unit"].isin(units_of(job, point.system))) & (stored["snr_db"] == point.snr_db)]
        assert point.mean == pytest.approx(mine["psnr"].mean(), abs=1e-9)


def units_of(job, system):
    return {unit for entry in job.plan.entries if entry.system == system for unit in entry.unit.values()}


def test_running_twice_computes_nothing(scenario, tmp_path, monkeypatch):
    _, first = finish(scenario(), tmp_path / "out")
    monkeypatch.setattr(run_module, "run_batch", lambda *_: pytest.fail("a finished batch was computed again"))
    _, second = finish(scenario(), tmp_path / "out")
    pd.testing.assert_frame_equal(first, second)


def test_a_killed_run_goes_on_bit_identically(scenario, tmp_path, monkeypatch):
    whole, _ = finish(scenario(), tmp_path / "whole")
    batches = len(list(whole.plan.batches(5)))

    class Killed(BaseException):
        pass

    real, computed = run_module.run_batch, []

    def run_two(batch, bench):
        if len(computed) == 2:
            raise Killed
        computed.append(batch.id)
        return real(batch, bench)

    monkeypatch.setattr(run_module, "run_batch", run_two)
    with pytest.raises(Killed):
        finish(scenario(), tmp_path / "cut")
    assert len(rows(tmp_path / "cut")) == 10

    again = []
    monkeypatch.setattr(run_module, "run_batch", lambda batch, bench: (again.append(batch.id), real(batch, bench))[1])
    finish(scenario(), tmp_path / "cut")
    assert len(again) == batches - 2 and not set(again) & set(computed)
    pd.testing.assert_frame_equal(rows(tmp_path / "whole"), rows(tmp_path / "cut"))


def test_batch_size_changes_no_number(scenario, tmp_path):
    finish(scenario(), tmp_path / "fives")
    finish(scenario(execution={"device": "cpu", "batch_size": 64}), tmp_path / "one")
    fives, one = rows(tmp_path / "fives"), rows(tmp_path / "one")
    assert (fives[["unit", "image", "repeat", "ok"]] == one[["unit", "image", "repeat", "ok"]]).all(axis=None)
    # pixels agree within 1e-4 before rounding to 8 bits: a level here and there moves the PSNR by far less than this
    assert (fives["psnr"] - one["psnr"]).abs().max() < 0.05


def test_more_of_a_sweep_keeps_what_was_computed(scenario, tmp_path):
    finish(scenario(execution={"device": "cpu", "batch_size": 1}), tmp_path / "out")
    before = rows(tmp_path / "out")
    job, points = finish(
        scenario(sweep={"snr_db": [0, 4, 8]}, repeats=3, execution={"device": "cpu", "batch_size": 1}), tmp_path / "out"
    )
    after = rows(tmp_path / "out")
    assert len(after) == job.plan.rows() == 2 * 3 * 3 * 3
    kept = after.merge(before[KEY], on=KEY).sort_values(KEY, ignore_index=True)
    pd.testing.assert_frame_equal(kept[list(before)], before)


def test_a_folder_can_be_used_again_with_pictures_of_another_size(scenario, tmp_path, pictures):
    from semcom.cli.outputs import write_outputs

    for size in (64, 48):
        job, _ = finish(scenario(source={"kind": "folder", "path": str(pictures), "size": [size, size]}), tmp_path / "out")
        _, paths = write_outputs(job.layout)
        assert any(path.name.startswith("panel_picture0") for path in paths)


def test_names_figures_and_execution_do_not_change_identity(scenario, tmp_path):
    path = scenario()
    one, _ = finish(path, tmp_path / "one")
    other, _ = finish(scenario(name="other", figures={"panel": {"images": ["picture1.png"]}}), tmp_path / "two")
    assert set(one.plan.units) == set(other.plan.units)
    seeded, _ = finish(scenario(seed=6), tmp_path / "three")
    assert not set(one.plan.units) & set(seeded.plan.units)


def test_a_unit_that_fails_leaves_its_traceback_and_the_sweep_goes_on(scenario, tmp_path, monkeypatch):
    real = run_module.run_batch

    def flaky(batch, bench):
        if batch.rows[0].unit.system.transmit.kind == "softcast":
            raise RuntimeError("the planted fault")
        return real(batch, bench)

    monkeypatch.setattr(run_module, "run_batch", flaky)
    job, points = finish(scenario(), tmp_path / "out")
    assert set(points["system"]) == {"jpeg"}
    assert job.failures and all("the planted fault" in reason for reason in job.failures.values())
    traces = list((tmp_path / "out" / "failures").glob("*.txt"))
    assert len(traces) == len(job.failures) and "planted" in traces[0].read_text()
    monkeypatch.setattr(run_module, "run_batch", real)
    job, points = finish(scenario(), tmp_path / "out")
    assert not job.failures and not list((tmp_path / "out" / "failures").glob("*.txt"))
    assert set(points["system"]) == {"jpeg", "softcast"}


def test_a_full_disk_is_one_sentence_and_keeps_what_is_finished(scenario, tmp_path, monkeypatch):
    real, room = os.replace, 3

    def replace(source, target):
        nonlocal room
        if str(target).endswith(".parquet"):
            room -= 1
            if room < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(StoreError, match="No space left on device.*run the same command again"):
        finish(scenario(), tmp_path / "out")
    monkeypatch.setattr(os, "replace", real)
    assert len(rows(tmp_path / "out")) == 12  # batches of 5, 5 and 2 rows: one system's 2 SNRs, 3 images, 2 repeats
    assert not list((tmp_path / "out").rglob(".writing-*"))
    finish(scenario(), tmp_path / "out")
    assert len(rows(tmp_path / "out")) == 24


def test_a_point_where_nothing_fits_is_infeasible_with_its_reason(scenario, tmp_path):
    _, points = finish(scenario(bandwidth_ratio="1/4000"), tmp_path / "out")
    stored = rows(tmp_path / "out")
    assert (stored["status"] == "infeasible").all() and (stored["reason"].str.len() > 10).all()
    assert points["mean"].isna().all()


@pytest.mark.slow
def test_a_process_that_is_killed_goes_on_bit_identically(scenario, tmp_path):
    """The same with a real process and SIGKILL, as soon as its first batch is stored."""
    path = scenario(execution={"device": "cpu", "batch_size": 1})
    command = [sys.executable, "-m", "semcom.cli.main", "run", str(path), "--out", str(tmp_path / "cut")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "cut" / "batches").glob("[!.]*.parquet")):
        assert process.poll() is None and time.monotonic() < deadline, "the run ended, or stored nothing in two minutes"
        time.sleep(0.005)
    process.kill()
    process.wait()
    before = rows(tmp_path / "cut")
    assert 0 < len(before) < 24, "the run was over before it could be killed"
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    subprocess.run([*command[:-1], str(tmp_path / "whole")], check=True, capture_output=True, cwd=ROOT)
    pd.testing.assert_frame_equal(rows(tmp_path / "cut"), rows(tmp_path / "whole"))
    kept = rows(tmp_path / "cut").merge(before[KEY], on=KEY).sort_values(KEY, ignore_index=True)
    pd.testing.assert_frame_equal(kept[list(before)], before, check_dtype=False)  # counts of one system are missing for another


def test_a_sweep_touches_no_global_generator(scenario, tmp_path):
    import random

    import numpy as np
    import torch

    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    finish(scenario(), tmp_path / "out")
    assert random.getstate() == states[0] and np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])


def test_points_say_what_was_spent_and_how_high_the_peaks_were(scenario, tmp_path):
    """Mean and maximum k of a retransmitting link, and the amplifier's peaks, beside the metrics of a point."""
    link = {"kind": "packet", "link": {"kind": "digital", "mcs": "qpsk-1/2"}, "symbols": 128, "loss": 0.3, "retransmit": "arq", "reserve": 0.25}
    system = {"transmit": {"kind": "image_codec", "codec": "jpeg"}, "link": link, "receive": "image_codec"}
    path = scenario(
        systems={"arq": system, "softcast": {"transmit": "softcast", "link": "analog", "receive": "softcast"}},
        channel=[{"kind": "amplifier", "backoff_db": 10}, {"kind": "awgn"}],
        sweep={"snr_db": [12]},
    )
    job, points = finish(path, tmp_path / "out")
    stored, point = rows(tmp_path / "out"), points[points["fill"] == "grey"].set_index(["system", "metric"])
    spent = stored[stored["unit"].isin(units_of(job, "arq"))]["channel_uses_spent"]
    assert spent.nunique() > 1 and spent.max() <= 1024
    arq, softcast = point.loc[("arq", "psnr")], point.loc[("softcast", "psnr")]
    assert arq["channel_uses_spent_mean"] == pytest.approx(spent.mean()) and arq["channel_uses_spent_max"] == spent.max()
    assert pd.isna(softcast["channel_uses_spent_mean"])
    assert softcast["papr_db_mean"] == pytest.approx(stored[stored["unit"].isin(units_of(job, "softcast"))]["papr_db"].mean())
