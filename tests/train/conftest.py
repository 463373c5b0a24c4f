"""A toy pack, a tiny recipe, and accelerate's process-wide state put back between tests."""

import pytest
import torch
import yaml

from semcom.scenario.yaml_file import read_text
from semcom.train import loop, toy
from semcom.train.recipe import check


@pytest.fixture(autouse=True)
def fresh_accelerate(one_thread):
    """One process trains once; a test process does so often, in several precisions."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


@pytest.fixture(scope="session")
def toy_pack(tmp_path_factory):
    return toy.write(tmp_path_factory.mktemp("pack") / "toy.safetensors")


@pytest.fixture
def recipe(toy_pack):
    """A recipe of a tiny autoencoder; keywords replace fields of its sections."""

    def make(**changes):
        data = {
            "name": "tiny",
            "seed": 3,
            "data": {"packs": [str(toy_pack)], "size": [16, 32]},
            "task": {"kind": "autoencoder", "latent_channels": 4, "encoder_width": 8, "decoder_width": 8, "sent": [1, 2, 4]},
            "optimise": {"steps": 8, "batch_size": 4, "warmup": 2, "precision": "float32"},
            "keep": {"checkpoint_every": 2, "samples_every": 100},
            "execution": {"device": "cpu"},
        }
        for path, value in changes.items():
            section, _, field = path.partition("__")
            data[section] = {**data[section], field: value} if field else value
        return check(read_text(yaml.safe_dump(data), "tiny.yaml"))

    return make


@pytest.fixture
def killed(tmp_path, monkeypatch):
    """Trains ``wanted`` in one go into whole/, and into killed/ until ``at`` and then on to the end; the training that went on."""

    def run(wanted, at):
        monkeypatch.setattr(loop, "REPORT_EVERY", 1)
        list(loop.Training(wanted, tmp_path / "whole"))
        torch.rand(3)  # the global generator stands elsewhere
        for progress in loop.Training(wanted, tmp_path / "killed"):
            if progress.step == at:
                break
        again = loop.Training(wanted, tmp_path / "killed")
        list(again)
        return again

    return run
