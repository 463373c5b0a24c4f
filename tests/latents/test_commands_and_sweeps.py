"""From packs to tables, from tables to a sweep, and the sentence that says what is missing."""

import importlib.util
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from semcom.cli.main import app
from semcom.errors import WeightsError
from semcom.latents import tables
from semcom.latents.named import DEFAULT
from semcom.models import storage
from semcom.models import weights as pinned
from semcom.models.pretrained import Pretrained
from semcom.scenario import load
from semcom.store.reader import read_batches
from semcom.sweep import tune
from semcom.sweep.prepare import prepare
from semcom.sweep.run import Run
from semcom.sweep.tune import Tuner
from semcom.train import card, toy

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = ROOT / "scenarios" / "latents.yaml"
SMALL = [
    "source={kind: photos, size: [64, 96]}", "sweep={bandwidth_ratio: [1/24], snr_db: [10]}", "metrics=[psnr, lpips_semcom]",
    "figures.curves.metrics=[psnr]",
]  # fmt: skip


@pytest.fixture
def ships(folders, monkeypatch):
    """The toy autoencoder in the place of the weights that ship."""
    folder = Path(folders["own"])
    also = tables.path_of(folder / storage.HALF)
    entry = pinned.Pinned(storage.HALF, storage.digest(folder / storage.HALF), "toy", ((also.name, storage.digest(also)),))
    monkeypatch.setattr(pinned, "ROOT", folder.parent)
    monkeypatch.setattr(pinned, "TABLE", {DEFAULT: entry})
    if not (folder.parent / DEFAULT).exists():
        (folder.parent / DEFAULT).symlink_to(folder)


def test_tables_are_fitted_by_a_command(folders, tmp_path, capsys):
    folder = tmp_path / "net"
    shutil.copytree(folders["foreign"], folder)
    pack = toy.write(tmp_path / "toy.safetensors")
    app(["weights", "tables", str(folder), str(pack), "--size", "32", "64", "--pictures", "5"], standalone_mode=False)
    file = Pretrained(str(folder)).file()
    made = tables.load(file, storage.digest(file))
    assert made.channels == 4 and tables.path_of(file).stat().st_size < 100_000
    assert storage.digest(tables.path_of(file)) in capsys.readouterr().out
    again = tables.path_of(file).read_bytes()
    app(["weights", "tables", str(folder), str(pack), "--size", "32", "64", "--pictures", "5"], standalone_mode=False)
    assert tables.path_of(file).read_bytes() == again


def test_what_lies_beside_shipped_weights_is_checked_as_well(ships):
    assert pinned.check(DEFAULT) is None
    entry = pinned.TABLE[DEFAULT]
    pinned.TABLE[DEFAULT] = pinned.Pinned(entry.file, entry.sha256, "toy", ((entry.also[0][0], "0" * 64),))
    assert f"{entry.also[0][0]}' is not what was pinned" in pinned.check(DEFAULT)


def test_without_weights_nothing_runs_and_one_sentence_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(pinned, "TABLE", {})
    scenario = load(SCENARIO, overrides=SMALL)
    with pytest.raises(WeightsError, match=f"systems.latent.transmit: there are no weights '{DEFAULT}'; allowed: a name that"):
        list(Run(scenario, tmp_path / "out"))


def test_the_scenario_of_latents_runs(ships, tmp_path):
    """Small: each system of latents has every point, an image at a time, at the same cost, and both metrics."""
    entries = yaml.safe_load(SCENARIO.read_text())["systems"].items()
    systems = {name: entry for name, entry in entries if name.startswith("latent")}
    systems["latent, coded"]["link"]["mcs"] = {"best_of": ["qpsk-1/3", "16qam-1/2"]}  # auto has 23
    job = Run(load(SCENARIO, overrides=[*SMALL, f"systems={json.dumps(systems)}"]), tmp_path / "out", device="cpu")
    points = job.table()
    assert not job.failures and not job.absent and len(systems) == 3
    measured = points[points["metric"] == "lpips_semcom"]
    assert len(set(zip(measured["system"], measured["snr_db"], strict=True))) == 3 and measured["mean"].notna().all()
    rows = read_batches(job.layout)
    assert set(rows["status"]) == {"done"} and (rows["channel_uses"] == 64 * 96 * 3 // 24).all() and rows["ok"].any()
    bits = rows["bits"].notna()
    assert (rows.loc[~bits, "uses_unused"] == 0).all()  # what four channels leave of the grant is filled by repetition


def test_settings_that_make_the_same_message_are_simulated_once(ships, monkeypatch):
    """In a grant that four channels fit, 4, 8 and 16 are the same message; the best of what was simulated is chosen."""
    overrides = [*SMALL[:1], "sweep={bandwidth_ratio: [1/96], snr_db: [10]}", "metrics=[psnr]", "figures.curves.metrics=[psnr]"]
    scenario = load(SCENARIO, overrides=overrides)
    prepared, point = prepare(scenario, "cpu"), scenario.points()[0]
    tuner = Tuner(prepared.workshop, prepared.measure, scenario.seed)
    spec = next(spec for spec in point.systems if spec.name == "latent")
    sent = []
    deliver = tune.System.deliver
    spy = lambda self, message, *rest: sent.append(message) or deliver(self, message, *rest)  # noqa: E731
    monkeypatch.setattr(tune.System, "deliver", spy)
    chosen = tuner.choose(spec, point)
    shapes = [message.parts["latent"].shape[0] for message in sent]
    assert sorted(shapes) == [2, 4] and len(tuner._sent) == 2
    values = {shape: value["psnr"] for shape, value in zip(shapes, tuner._sent.values(), strict=True)}
    best = max(values, key=values.get)
    assert chosen["psnr"]["transmit.channels"] == best


def test_rank_correlation_goes_into_the_card(tmp_path):
    spec = importlib.util.spec_from_file_location("perceptual", ROOT / "benchmarks" / "perceptual.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = pd.DataFrame({
        "unit": ["a", "b", "c"] * 2, "image": ["x"] * 3 + ["y"] * 3, "ok": [True] * 5 + [False],
        "lpips_squeeze": [0.1, 0.2, 0.3, 0.15, 0.25, 9.0], "lpips_semcom": [1.0, 3.0, 9.0, 4.0, 5.0, 0.0],
    })  # fmt: skip
    found = module.correlations(rows)
    assert found["rows"] == 5 and found["images"] == 2 and found["points"] == 3
    assert found["all_rows"] == pytest.approx(1 - 6 * 2 / (5 * 24))  # ranks 1 3 5 2 4 against 1 2 5 3 4
    assert found["within_images"] == pytest.approx(1.0) and found["points_of_the_sweep"] == pytest.approx(1.0)
    facts = {
        "name": "n", "what": "w", "file": "f", "bytes": 1, "precision": "half", "sha256": "0", "losses": "l1", "data": [],
        "command": "c", "commit": None, "packages": {}, "recipe": "r", "scores": [],
    }  # fmt: skip
    storage.write_facts(tmp_path, facts)
    card.add_perceptual(tmp_path, {**found, "over": "latents"})
    text = (tmp_path / storage.CARD).read_text()
    assert "Rank correlation (Spearman) with LPIPS-Squeeze over the distortions of `latents`, 5 rows of 2 images" in text
    assert "No human judgments went into it" in text
