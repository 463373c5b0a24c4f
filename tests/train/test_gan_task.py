"""Training a generator against its critic: what it is scored by, what it meets, and that it goes on after a kill."""

import math

import numpy as np
import pytest
import torch

from semcom.models import storage
from semcom.models.shipped import Shipped
from semcom.train import pack
from semcom.train.data import Augmentation, Draws, Steps
from semcom.train.loop import Training
from semcom.train.pack import Pack
from semcom.train.task import Turn
from semcom.train.tasks.gan import GanTask, exact_planes

SMALL = {"widths": (8, 8, 8), "blocks": (1, 1, 1), "hidden": (4, 4, 4), "critic_width": 4}
TASK = {"kind": "gan", **{name: list(value) if isinstance(value, tuple) else value for name, value in SMALL.items()}, "twice_every": 2}
NO_LPIPS = {"lpips_squeeze": 0.0, "adversarial_from": 0.3}
ROWS = 200


def prepared(**fields):
    losses = {"lpips_squeeze": 0.0, **fields.pop("losses", {})}
    return GanTask(**{**SMALL, "losses": losses, **fields}).build()


@pytest.fixture
def batch(toy_pack):
    steps = Steps([Pack.open(toy_pack)], Augmentation((32, 64)), ROWS, 0, range(ROWS))
    return steps[0]


def test_a_map_a_latent_or_both_arrive_and_never_nothing(batch):
    task = prepared(sent=(0, 4), given=0.5)
    arrived = task._arrived(batch, Draws(0, 0, tuple(range(ROWS))))
    latent, shown = (~arrived.sigma.isinf()).flatten(1).any(1), arrived.planes[:, -1].flatten(1).any(1)
    # losses of all of a latent, and maps without void of pictures of nothing else, are rare; shares within four deviations
    assert float(latent.float().mean()) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(ROWS) + 0.03)
    assert float(shown[latent].float().mean()) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(ROWS / 2) + 0.03)
    assert float(shown[~latent].float().mean()) > 0.95
    assert bool((arrived.base[~latent] == 0.5).all()) and float(arrived.base[latent].std()) > 0
    assert arrived.planes.shape == (ROWS, 13, 16, 32) and bool((arrived.latents[arrived.sigma.isinf()] == 0).all())


def test_one_picture_in_so_many_is_made_from_two_noises_and_the_others_from_none(batch):
    task = prepared(twice_every=4)
    arrived = task._arrived(batch, Draws(0, 0, tuple(range(ROWS))))
    rows, noise = task._rows(Draws(0, 5, tuple(range(ROWS))), 3, arrived)
    assert rows.tolist() == [*range(ROWS), *range(0, ROWS, 4)] and noise.shape == (len(rows), 3, 4, 8)
    silent = (noise == 0).flatten(1).all(1)
    assert silent.tolist() == [row % 4 != 0 for row in range(ROWS)] + [False] * (ROWS // 4)
    n = int((~silent).sum()) * 3 * 4 * 8
    assert float(noise[~silent].square().mean()) == pytest.approx(1.0, abs=4 * math.sqrt(2 / n))
    # a process that has some of the rows makes the same of them
    half, own = task._rows(Draws(0, 5, (4, 5, 6, 7)), 3, arrived.rows(torch.arange(4, 8)))
    assert half.tolist() == [0, 1, 2, 3, 0] and torch.equal(own[0], noise[4])


def test_samples_are_scored_by_the_energy_score_which_the_right_spread_minimises(batch):
    """Originals and samples that are independent Gaussian pictures: E|x - X| - E|X - X'| / 2 is least where the samples' deviation
    is that of the originals, and 0.2 sqrt(1 / pi) there; within four deviations of the mean over all pixels."""
    task, size = prepared(twice_every=1, losses={"l1": 1.0, "features": 0.0, "adversarial": 0.0}), batch.pixels.shape
    arrived = task._arrived(batch, Draws(0, 0, tuple(range(ROWS))))
    rows = torch.cat([torch.arange(ROWS), torch.arange(ROWS)])
    noise = [torch.randn(size, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]

    def score(deviation):
        made = torch.cat([deviation * noise[0], deviation * noise[1]])
        terms = dict(task._terms(made, rows, arrived, 0.2 * noise[2], {}, Turn(0, 10)))
        return float(terms["l1"])

    right = score(0.2)
    assert right == pytest.approx(0.2 / math.sqrt(math.pi), abs=4 * 0.2 / math.sqrt(noise[0].numel()))
    assert all(score(deviation) > right for deviation in (0.0, 0.1, 0.15, 0.27, 0.4))


def test_a_single_picture_is_compared_as_far_as_its_latents_are_known(batch):
    task = prepared(twice_every=ROWS, sent=(0,), losses={"l1": 1.0, "features": 0.0, "adversarial": 0.0})
    arrived = task._arrived(batch, Draws(0, 0, tuple(range(ROWS))))
    known = task._known(arrived, torch.tensor([0]), (32, 64))
    assert known.shape == (ROWS, 1, 32, 64) and bool((known[0] == 1).all()) and bool((known[1:] == 0).all())
    clean = prepared(twice_every=ROWS, sent=(16,), air={"snr_db": (80.0, 80.0), "lost": 0.0, "fast": 0.0, "blocks": 0.0, "allotted": 0.0, "path": 0.0})
    whole = clean._known(clean._arrived(batch, Draws(0, 0, tuple(range(ROWS)))), torch.tensor([0]), (32, 64))
    torch.testing.assert_close(whole, torch.ones_like(whole), rtol=0, atol=1e-4)


def test_a_batchs_own_labels_as_planes(batch):
    planes = exact_planes(batch)
    assert planes.shape == (ROWS, 13, 16, 32)
    known = (batch.labels < 12).float()
    torch.testing.assert_close(planes[:, -1], torch.nn.functional.avg_pool2d(known[:, None], 2)[:, 0])


def test_a_killed_training_goes_on_to_the_same_weights_and_ships_what_a_receiver_loads(recipe, killed, tmp_path):
    wanted = recipe(task={**TASK, "losses": NO_LPIPS}, optimise__steps=6, optimise__batch_size=4, data__size=[16, 32])
    again = killed(wanted, 5)
    assert again.resumed_from == 4
    for name in ("generator", "critic"):
        for key, value in again._plain[name].state_dict().items():
            assert value.isfinite().all(), key
    whole, resumed = (tmp_path / run / "weights" / storage.HALF for run in ("whole", "killed"))
    assert whole.read_bytes() == resumed.read_bytes()
    lines = (tmp_path / "whole" / "losses.csv").read_text().splitlines()
    assert {line.split(",")[1] for line in lines[1:]} == {"l1", "features", "adversarial", "critic"}
    found = Shipped(str(tmp_path / "whole" / "weights"), "SpadeGenerator")
    assert found.load().channels == 16
    facts = found.facts()
    assert facts["of"]["name"] == "autoencoder" and "l1 2, features 2, adversarial 0.05" == facts["losses"]
    assert list((tmp_path / "whole" / "samples").glob("*.png"))


def test_wrong_fields_are_refused():
    for wrong in ({"sent": ()}, {"given": 1.5}, {"twice_every": 0}, {"losses": {"l2": 1.0}}):
        with pytest.raises(ValueError):
            GanTask(**wrong)


def test_shipped_size_is_within_five_mebibytes():
    made = GanTask(losses={"lpips_squeeze": 0.0}).build().networks()["generator"]
    assert 2 * sum(parameter.numel() for parameter in made.parameters()) < 5 * 2**20


def test_training_reads_any_pack_of_the_recipe(recipe, tmp_path):
    """Without labels: latents alone, as every picture's map is absent."""
    path = tmp_path / "plain.safetensors"
    flat = np.full((32, 64, 3), 90, dtype=np.uint8)
    pack.write(path, [pack.Item(f"plain/{n}", "plain", flat) for n in range(2)], (), [{"source": "plain", "images": 2, "terms": "CC0"}])
    wanted = recipe(task={**TASK, "losses": NO_LPIPS, "sent": [4]}, data__packs=[str(path)], optimise__steps=2, optimise__warmup=1)
    for progress in Training(wanted, tmp_path / "run"):
        assert all(math.isfinite(value) for value in progress.losses.values())
