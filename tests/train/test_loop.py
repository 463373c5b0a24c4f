"""The loop: a killed training goes on to the same weights; the average, the clipping and the checkpoints are what they say."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semcom.errors import DataError, SemcomError, StoreError, WeightsError
from semcom.models import storage, weights
from semcom.models.pretrained import Pretrained
from semcom.train import checkpoint
from semcom.train.card import add_scores
from semcom.train.loop import Training
from semcom.train.optimise import averaging, decay_at, rate, seeded
from semcom.train.recipe import load

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
ADVERSARIAL = {"l1": 1.0, "adversarial": 0.1, "adversarial_from": 0.5}


def finish(training):
    return list(training)[-1]


def tensors(state, at=""):
    """Every tensor of a checkpoint, by its place."""
    if isinstance(state, torch.Tensor):
        yield at, state
    elif isinstance(state, dict):
        for key, value in state.items():
            yield from tensors(value, f"{at}.{key}")


@pytest.mark.parametrize("task", [{}, {"losses": ADVERSARIAL}], ids=["plain", "adversarial"])
def test_a_killed_training_goes_on_to_the_same_weights_bit_for_bit(recipe, tmp_path, killed, task):
    wanted = recipe(
        task={"kind": "autoencoder", "latent_channels": 4, "encoder_width": 8, "decoder_width": 8, "sent": [1, 4], **task}
    )
    assert killed(wanted, at=6).resumed_from == 4  # the checkpoint of step 4 is there, that of step 6 is not
    states = [torch.load(tmp_path / name / "checkpoints" / "step-00000008.pt", weights_only=True) for name in ("whole", "killed")]
    whole, killed = (dict(tensors(state)) for state in states)
    assert whole.keys() == killed.keys() and len(whole) > 50
    assert all(torch.equal(whole[place], killed[place]) for place in whole)
    for file in ("losses.csv", "weights/diffusion_pytorch_model.safetensors", "samples/step-00000008.png"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "killed" / file).read_bytes()


def test_a_finished_training_computes_nothing_again(recipe, tmp_path):
    finish(Training(recipe(), tmp_path))
    card = tmp_path / "weights" / "CARD.md"
    card.write_text("with scores")
    again = Training(recipe(), tmp_path)
    assert list(again) == [] and again.resumed_from == 8 and card.read_text() == "with scores"


def test_another_recipe_does_not_go_on_in_the_same_folder(recipe, tmp_path):
    finish(Training(recipe(), tmp_path))
    with pytest.raises(
        StoreError, match=r"another recipe \(its optimise.learning_rate is 0.0003, now 0.01\); choose another folder"
    ):
        finish(Training(recipe(optimise__learning_rate=0.01), tmp_path))
    assert list(Training(recipe(keep__checkpoint_every=3, execution__workers=1), tmp_path)) == []  # these change no number


def test_only_the_newest_checkpoints_are_kept_and_none_is_half_written(recipe, tmp_path):
    finish(Training(recipe(keep__checkpoints=2), tmp_path))
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000006.pt", "step-00000008.pt"]
    (tmp_path / "checkpoints" / "step-00000008.pt").write_bytes(b"half")
    with pytest.raises(StoreError, match="is damaged; delete it to go on from the one before"):
        checkpoint.newest(tmp_path / "checkpoints", {})


def test_the_loss_falls(recipe, tmp_path):
    training = Training(
        recipe(optimise__steps=60, optimise__learning_rate=3e-3, optimise__batch_size=6, keep__checkpoint_every=100), tmp_path
    )
    losses = [sum(progress.losses.values()) for progress in training]
    assert max(losses[-2:]) < 0.9 * losses[0]
    shape = np.asarray(Image.open(tmp_path / "samples" / "step-00000060.png")).shape
    assert shape == (2 * 16, 4 * 32, 3)  # the original and one count of channels (4 of 4); four pictures side by side


@pytest.mark.parametrize("clip", [1e-3, 1e6])
def test_the_gradient_is_clipped_to_its_norm(recipe, tmp_path, clip):
    training = Training(recipe(optimise__clip=clip), tmp_path)
    training._prepare()
    norms = []
    optimiser = training._optimisers["autoencoder"].optimizer

    def measure(*_):
        norms.append(
            float(torch.cat([p.grad.flatten() for g in optimiser.param_groups for p in g["params"] if p.grad is not None]).norm())
        )

    optimiser.register_step_pre_hook(measure)
    training._update(0, training._data[0])
    # float32 sums of some 10^4 squares
    assert norms[0] == pytest.approx(clip, rel=1e-4) if clip < 1 else 1e-3 < norms[0] < clip


def test_the_average_follows_its_formula():
    weights = [torch.tensor([float(k), 2.0 * k]) for k in range(6)]
    net = torch.nn.Linear(2, 1, bias=False)
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=averaging(0.4))
    expected = None
    for count, value in enumerate(weights):
        net.weight.data[:] = value
        average.update_parameters(net)
        d = min(0.4, (1 + count) / (10 + count))
        expected = value if expected is None else d * expected + (1 - d) * value
    torch.testing.assert_close(average.module.weight.detach()[0], expected)
    assert decay_at(10, 0.999) == 11 / 20


def test_the_learning_rate_rises_and_falls():
    rates = [rate(step, 100, 10, 1.0) for step in range(100)]
    assert rates[9] == rates[10] == max(rates) == 1.0 and rates[0] == 0.1
    assert np.all(np.diff(rates[:10]) > 0) and np.all(np.diff(rates[10:]) < 0) and rates[55] == pytest.approx(0.5)


def test_networks_are_drawn_from_the_seed_and_nothing_is_left_of_it(recipe, tmp_path):
    before = torch.get_rng_state()
    with seeded("a"):
        first = torch.rand(3)
    with seeded("a"):
        assert torch.equal(first, torch.rand(3))
    finish(Training(recipe(), tmp_path))
    assert torch.equal(before, torch.get_rng_state())


def test_a_batch_that_processes_cannot_share_and_a_gpu_that_is_not_there(recipe, tmp_path, monkeypatch):
    training = Training(recipe(), tmp_path)
    training._accelerator = type("Several", (), {"num_processes": 3, "process_index": 0})
    with pytest.raises(
        DataError, match="a batch of 4 cannot be shared equally by 3 processes; set optimise.batch_size to a multiple"
    ):
        training._steps([])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DataError, match="execution.device is cuda, and torch sees no GPU"):
        finish(Training(recipe(execution__device="cuda"), tmp_path))


def test_a_loss_that_is_no_number_stops_the_training(recipe, tmp_path):
    with pytest.raises(SemcomError, match="at step [0-9]+; lower optimise.learning_rate"):
        finish(Training(recipe(optimise__learning_rate=1e30, optimise__warmup=0), tmp_path))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_runs_at_toy_size_and_leaves_weights_that_load(path, tmp_path, capsys):
    from semcom.cli import following

    following.train(path, [], tmp_path, "cpu", smoke=True, allow_plugins=False)
    printed = capsys.readouterr()
    assert "step 3 of 3, loss " in printed.err and "images/s" in printed.err
    file = storage.weights_file(tmp_path / "weights")
    assert f"Pinned({file.name!r}" in printed.out and "'made up')," in printed.out
    storage.load_network(tmp_path / "weights")
    card = (tmp_path / "weights" / "CARD.md").read_text()
    assert (
        storage.digest(file) in card
        and "made up" in card
        and "semcom train" in card
        and "--smoke" in card
    )


def test_the_autoencoder_that_ships_fits_its_six_mebibytes():
    from semcom.train.tasks.autoencoder import network

    task = load(ROOT / "recipes" / "autoencoder.yaml").task
    net = network(task)
    assert task.latent_channels == 16 and net.config.latent_channels == 16
    # two bytes a weight, and the header of the file
    assert 2 * sum(value.numel() for value in net.state_dict().values()) + 50_000 < 6 * 2**20


def test_scores_are_written_into_the_card(recipe, tmp_path):
    finish(Training(recipe(optimise__steps=3), tmp_path))
    folder, table = tmp_path / "weights", tmp_path / "table.csv"
    assert "None has been measured" in (folder / "CARD.md").read_text()
    table.write_text("system,metric,snr_db,mean,note\nlatent,psnr,10,27.5,x\n")
    add_scores(folder, table)
    assert "| system | metric | snr_db | mean |" in weights.card(str(folder)) and "| latent | psnr | 10 | 27.5 |" in weights.card(
        str(folder)
    )
    table.write_text("a,b\n1,2\n")
    with pytest.raises(WeightsError, match="is no table of results"):
        add_scores(folder, table)
    with pytest.raises(WeightsError, match="holds no semcom.json; give a folder that `semcom train` wrote"):
        add_scores(tmp_path, table)


@pytest.mark.slow
def test_two_processes_find_the_weights_that_one_does(recipe, tmp_path):
    """The same batches and draws, shared: the order of the sums is all that differs."""
    wanted = recipe(task__losses=ADVERSARIAL)
    (tmp_path / "r.yaml").write_text(wanted.text())
    finish(Training(wanted, tmp_path / "one"))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    words = ["-m", "semcom.train", str(tmp_path / "r.yaml"), "--out", str(tmp_path / "two"), "--set", "execution.threads=1"]
    subprocess.run([*launch, *words], check=True, cwd=ROOT, capture_output=True)
    one, two = (
        torch.load(tmp_path / name / "checkpoints" / "step-00000008.pt", weights_only=True)["networks"] for name in ("one", "two")
    )
    for name in one:
        for place, value in one[name].items():
            # rounding matters most where a gradient is close to nothing: Adam's step there is of the order of the learning rate
            torch.testing.assert_close(two[name][place], value, rtol=0.0, atol=0.1 * wanted.optimise.learning_rate)


def test_the_training_path_imports_only_what_a_bare_training_machine_has(tmp_path):
    """diffusers itself loads scipy and torchvision where they are installed, so what it brings is left out of account."""
    code = f"""
import sys
import torch, numpy, safetensors, accelerate, pydantic, yaml, PIL.Image
from diffusers import AutoencoderKL, AutoencoderTiny
brought = set(sys.modules)
sys.argv = ["train", {str(ROOT / "recipes" / "autoencoder.yaml")!r}, "--smoke", "--device", "cpu", "--out", {str(tmp_path)!r}]
from semcom.train.__main__ import main
main()
others = {{"lpips", "sionna", "skimage", "scipy", "pandas", "pyarrow", "torchvision", "matplotlib", "typer", "rich", "channels"}}
more = {{name.partition(".")[0] for name in set(sys.modules) - brought}}
print(sorted(others & more), sorted((others - {{"scipy", "torchvision"}}) & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[] []"


@pytest.mark.parametrize("precision", ["half", "int8"])
def test_a_decoder_is_trained_for_latents_that_stay_what_they_are(recipe, tmp_path, precision):
    """The encoder's tensors, its latents and their statistics are those of the autoencoder that it started from."""
    block = {"kind": "autoencoder", "network": "block", "latent_channels": 4, "encoder_width": 8, "decoder_width": 8, "sent": [1, 4]}
    finish(Training(recipe(task={**block, "decoder_blocks": [1, 1]}), tmp_path / "first"))
    start = Pretrained(str(tmp_path / "first" / "weights"))
    finer = {**block, "decoder_blocks": [2, 1, 1], "start": start.name}
    finish(Training(recipe(task=finer, keep__weights=precision), tmp_path / "second"))
    then = Pretrained(str(tmp_path / "second" / "weights"))
    assert storage.encoder_digest(start.file()) == storage.encoder_digest(then.file())
    before, after, pixels = start.load(), then.load(), torch.rand(2, 3, 16, 32)
    assert torch.equal(before.encode(pixels), after.encode(pixels)) and torch.equal(before.power, after.power)
    assert not torch.allclose(before.decode(before.encode(pixels)), after.decode(after.encode(pixels)))
    changed = {name for name, value in after.state_dict().items() if not torch.equal(value, before.state_dict().get(name, value))}
    assert changed and all(name.startswith("net.decoder.") for name in changed)
    with pytest.raises(WeightsError, match="whose encoder has another shape"):
        finish(Training(recipe(task={**finer, "encoder_width": 16}), tmp_path / "third"))
