"""Every scenario that ships is valid; those of the physical layer run at toy size."""

from pathlib import Path

import pytest
import yaml

import semcom
from semcom.figures import results
from semcom.scenario import load
from semcom.store.reader import read_json

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "scenarios").glob("*.yaml"))
#: one picture of 64x64, two values of each axis, one transmission: the shape of a scenario, not its numbers
TOY = ["source={kind: photos, size: [64, 64], limit: 1}", "bandwidth_ratio=1/6", "repeats=1", "execution.device=cpu"]
#: what would be tuned is fixed
FIXED = ["systems.bit recovery.link.mcs=qpsk-1/3", "systems.bit recovery.transmit.codec=jpeg"]
AXES = {
    "fading_families": ["snr_db=[20]"],
    "csi_quality": ["snr_db=[20]"],
    "pilot_density": ["channel.ofdm.pilots.spacing=[2, 8]"],
    "mobility": ["channel.tdl.speed_kmh=[3, 60]"],
    "snr_mismatch": ["channel.csi.snr_mismatch_db=[-6, 6]"],
    "mimo_2x2": ["snr_db=[20]"],
    "packet_loss": ["systems.*.link.loss=[0, 0.5]"],
    "interference": ["channel.cochannel.known=[average]", "channel.cochannel.sir_db=[0, 20]"],
    "hardware": ["channel.adc.bits=[4]", "channel.amplifier.backoff_db=[0, 8]"],
}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_scenario_is_valid(path):
    assert len(load(path)) >= 1


def test_every_physical_scenario_is_run_here():
    assert set(AXES) <= {path.stem for path in SHIPPED}


def toy(name, folder):
    """A scenario at toy size, run to its end."""
    fixed = [] if name == "packet_loss" else FIXED
    axes = [f"sweep.{axis}" for axis in AXES[name]]
    return semcom.run(ROOT / "scenarios" / f"{name}.yaml", overrides=[*TOY, *fixed, *axes], out=folder)


@pytest.mark.parametrize("name", AXES)
def test_it_runs(name, tmp_path, one_thread):
    job = toy(name, tmp_path)
    points = job.table()
    assert not job.failures
    psnr = points[(points["metric"] == "psnr") & (points["fill"] == "grey")]
    assert psnr["mean"].notna().all() and set(psnr["system"]) == {entry.system for entry in job.plan.entries}


def test_lines_of_a_figure_may_be_an_axis(tmp_path, one_thread):
    job = toy("csi_quality", tmp_path)
    figures = dict(results.curve_figures(job.table(), ["psnr"], read_json(job.layout.plan)))
    panels = figures["psnr"].axes
    assert [panel.get_title() for panel in panels] == ["bit recovery", "softcast"]
    names = list(yaml.safe_load((ROOT / "scenarios" / "csi_quality.yaml").read_text())["sweep"]["channel.csi"])
    assert [text.get_text() for text in figures["psnr"].legends[0].get_texts()] == names
    assert {line.get_label() for line in panels[0].lines} >= set(names)
