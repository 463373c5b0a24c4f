"""Training a fast mode: which rows train what, that the first mode is trained as before, and that it goes on after a kill."""

from types import SimpleNamespace

import pytest
import torch

from semcom.errors import WeightsError
from semcom.models import storage
from semcom.models.denoiser import LatentDenoiser
from semcom.models.shipped import Shipped
from semcom.train.data import Draws
from semcom.train.denoiser.latents import LatentBatch
from semcom.train.loop import Training
from semcom.train.optimise import seeded
from semcom.train.task import Turn
from semcom.train.tasks.denoiser import DenoiserTask
from semcom.train.tasks.denoiser_fast import FastDenoiserTask, with_fast_mode

LOSSES = {"l1": 1.0, "pyramid": 0.0, "lpips_squeeze": 0.0, "adversarial": 0.02, "adversarial_from": 0.3}
SIDES = (16, 32)


def powers():
    return DenoiserTask().build().power.tolist()


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """A tiny denoiser of the shipped autoencoder's latents, which was never trained."""
    folder = tmp_path_factory.mktemp("start")
    with seeded("start"):
        net = LatentDenoiser(tuple(powers()), (8, 8, 8), (1, 1, 1), heads=1, embedding=16)
    storage.save_network(net, folder)
    storage.write_facts(folder, {"name": "start"})
    return str(folder)


@pytest.fixture
def task(start):
    return {"kind": "latent_denoiser_fast", "start": start, "views": 2, "losses": LOSSES}


def batch(rows=4, quick=2):
    drawn = torch.randn(rows, 16, 2, 4, generator=torch.Generator().manual_seed(0))
    pixels = torch.rand(quick, 3, *SIDES, generator=torch.Generator().manual_seed(1))
    return LatentBatch(drawn, torch.zeros(rows, *SIDES, dtype=torch.long), pixels)


def test_first_rows_train_the_fast_mode_from_the_channels_levels_and_the_others_the_first_mode_as_before(task):
    made = FastDenoiserTask(**task).build()
    seen = {}

    def network(noisy, sigma, planes, fast):
        seen.update(noisy=noisy, sigma=sigma, planes=planes, fast=fast)
        return noisy

    draws = Draws(0, 5, (0, 1, 2, 3))
    terms = made.losses("denoiser", {"denoiser": network, "critic": lambda pixels: pixels.mean()}, batch(), draws, Turn(0, 10))
    assert seen["fast"].tolist() == [True, True, False, False] and set(terms) == {"error", "fast_error", "l1"}
    first = DenoiserTask().build()
    as_before = first.met(batch().latents[2:], batch().labels[2:], made.task.air, Draws(0, 5, (2, 3)), made.task.sent)
    assert torch.equal(seen["noisy"][2:], as_before.noisy) and torch.equal(seen["sigma"][2:], as_before.sigma)
    torch.testing.assert_close(terms["error"], first.error(as_before.noisy, as_before).mean())
    air, sent = made.task.air.model_copy(update={"path": 0.0}), tuple(count for count in made.task.sent if count)
    at_once = first.met(batch().latents[:2], batch().labels[:2], air, Draws(0, 5, (0, 1)), sent)
    assert torch.equal(seen["sigma"][:2], at_once.sigma) and torch.equal(seen["planes"][:2], at_once.planes)
    expected = (made.coder.model.decode(at_once.noisy) - batch().pixels).abs().mean()
    torch.testing.assert_close(terms["l1"], expected)


def test_the_share_leaves_something_for_both_modes(task):
    for share, size, count in ((0.5, 16, 8), (0.25, 16, 4), (0.01, 4, 1), (0.99, 4, 3)):
        assert FastDenoiserTask(**{**task, "share": share}).quick(size) == count


def test_a_killed_training_goes_on_to_the_same_weights_bit_for_bit(recipe, task, tmp_path, killed, start):
    assert killed(recipe(task=task), at=6).resumed_from == 4
    files = [tmp_path / name / "weights" / "diffusion_pytorch_model.safetensors" for name in ("whole", "killed")]
    assert files[0].read_bytes() == files[1].read_bytes()
    trained = Shipped(str(tmp_path / "whole" / "weights"), "LatentDenoiser")
    facts = trained.facts()
    assert trained.load().has_fast and facts["of"]["name"] == "autoencoder"
    assert "l1 1, adversarial 0.02" in facts["losses"] and facts["start"] == Shipped(start, "LatentDenoiser").identity()
    again = FastDenoiserTask(**{**task, "start": str(tmp_path / "whole" / "weights")})
    assert again.identity() != FastDenoiserTask(**task).identity()
    assert again.build().networks()["denoiser"].has_fast  # a fast mode can be trained further


def test_the_fast_modes_loss_falls(recipe, task, tmp_path):
    changes = {"optimise__steps": 60, "optimise__learning_rate": 3e-3, "keep__checkpoint_every": 100}
    plain = {**task, "losses": {**LOSSES, "adversarial": 0.0}}
    found = [progress.losses["l1"] for progress in Training(recipe(task=plain, **changes), tmp_path)]
    assert min(found[-2:]) < found[0] - 0.01


def test_a_fast_mode_without_latents_is_refused(task):
    with pytest.raises(ValueError, match="the fast mode starts from latents that arrived"):
        FastDenoiserTask(**{**task, "sent": [0]})


def test_weights_of_another_network_are_refused():
    other = SimpleNamespace(config={"power": (1.0,) * 4, "widths": (8, 8, 8), "blocks": (1, 1, 1), "heads": 1}, state_dict=lambda: {"odd": torch.ones(1)})
    with pytest.raises(WeightsError, match="'odd one' does not fit a LatentDenoiser with a fast mode"):
        with_fast_mode(other, "odd one")
