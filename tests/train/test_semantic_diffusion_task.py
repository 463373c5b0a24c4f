"""Training semantic diffusion: maps in noise, what is refused, that it learns, and that it goes on after a kill."""

import math

import pytest
import torch

from semcom.errors import DataError
from semcom.maps.analog import filtered
from semcom.models.denoiser import CLASSES, PLANES
from semcom.models.shipped import Shipped
from semcom.train import noisy_planes
from semcom.train.data import Draws
from semcom.train.loop import Training
from semcom.train.noisy_planes import DEVIATIONS, disturbed
from semcom.train.tasks.semantic_diffusion import SemanticDiffusionTask

ROWS, SIZE = 200, (16, 32)
TASK = {"kind": "semantic_diffusion", "widths": [8, 8, 8], "hidden": 4, "heads": 1, "upsampler_width": 8}


def draws(rows=ROWS):
    return Draws(0, 0, tuple(range(rows)))


def labels(rows=ROWS):
    """Maps of two classes each, of the eleven and void."""
    drawn = torch.randint(0, CLASSES, (rows, 2), generator=torch.Generator().manual_seed(1))
    return drawn[:, [0, 1]].repeat_interleave(SIZE[1] // 2, 1)[:, None].expand(-1, SIZE[0], -1).contiguous()


def exact(labels):
    one_hot = torch.nn.functional.one_hot(labels, CLASSES).permute(0, 3, 1, 2).float()
    return torch.cat([one_hot, torch.ones_like(one_hot[:, :1])], dim=1)


def test_noisy_planes_come_in_their_share_and_only_where_there_is_a_map():
    given = exact(labels())
    given[: ROWS // 2] = 0.0
    made = disturbed(given, labels(), 0.4, draws())
    changed = (made != given).flatten(1).any(1)
    assert not changed[: ROWS // 2].any()
    n = ROWS // 2
    assert float(changed[n:].float().mean()) == pytest.approx(0.4, abs=4 * math.sqrt(0.4 * 0.6 / n))
    assert made.shape == (ROWS, PLANES, *SIZE) and bool((made[n:, -1] == 1).all())


def test_noise_is_independent_from_plane_to_plane_and_absent_classes_stay_absent(monkeypatch):
    monkeypatch.setattr(noisy_planes, "FILTERS", ("none",))
    given, n = exact(labels()), SIZE[0] * SIZE[1]
    noise = (disturbed(given, labels(), 1.0, draws()) - given)[:, :-1]
    there = given[:, :-1].flatten(2).any(2)
    assert bool((noise.flatten(2)[~there] == 0).all())
    deviation = draws().uniform("deviation of planes", *DEVIATIONS)
    two = there.sum(1) == 2
    first, second = noise.flatten(2)[two][there[two]].unflatten(0, (-1, 2)).unbind(1)
    scale = deviation[two][:, None]
    for part in (first, second):  # the variance of n samples is within four deviations, sqrt(2 / n) each, in the mean over rows
        ratio = (part / scale).square().mean(1)
        assert float(ratio.mean()) == pytest.approx(1.0, abs=4 * math.sqrt(2 / n / len(ratio)))
    correlation = (first * second / scale**2).mean(1)
    assert float(correlation.mean()) == pytest.approx(0.0, abs=4 / math.sqrt(n * len(correlation)))
    assert float(deviation.min()) < 0.1 and float(deviation.max()) > 0.8


@pytest.mark.parametrize("kind", ["mean", "fds"])
def test_noisy_planes_are_filtered_as_receivers_do(kind, monkeypatch):
    given = exact(labels(4))
    monkeypatch.setattr(noisy_planes, "FILTERS", ("none",))
    plain = disturbed(given, labels(4), 1.0, draws(4))
    monkeypatch.setattr(noisy_planes, "FILTERS", (kind,))
    made = disturbed(given, labels(4), 1.0, draws(4))
    torch.testing.assert_close(made[:, :-1], filtered(plain[:, :-1], kind))


def test_a_killed_training_goes_on_to_the_same_weights_bit_for_bit(recipe, tmp_path, killed):
    assert killed(recipe(task=TASK), at=6).resumed_from == 4
    files = [tmp_path / name / "weights" / "diffusion_pytorch_model.safetensors" for name in ("whole", "killed")]
    assert files[0].read_bytes() == files[1].read_bytes()
    shipped = Shipped(str(tmp_path / "whole" / "weights"), "SemanticUNet")
    assert shipped.load()(torch.zeros(1, 3, 8, 16), torch.ones(1)).shape == (1, 3, 8, 16)
    assert "l1 1, pyramid 1 (upsampler)" in shipped.facts()["losses"] and "lpips" not in shipped.facts()["losses"]
    assert (tmp_path / "whole" / "samples").is_dir()


def test_the_losses_fall(recipe, tmp_path):
    changes = {"optimise__steps": 60, "optimise__learning_rate": 3e-3, "optimise__batch_size": 6, "keep__checkpoint_every": 100}
    found = [progress.losses for progress in Training(recipe(task={**TASK, "widths": [16, 16, 16]}, **changes), tmp_path)]
    assert min(one["error"] for one in found[-2:]) < 0.9 * found[0]["error"]


def test_what_cannot_be_is_refused(recipe, tmp_path):
    with pytest.raises(ValueError, match="heads is 3 and the last of widths 8; it must be a multiple"):
        SemanticDiffusionTask(**{**TASK, "heads": 3})
    with pytest.raises(ValueError, match="all losses of the upsampler are 0"):
        SemanticDiffusionTask(**TASK, upsampling={"l1": 0, "pyramid": 0})
    with pytest.raises(DataError, match="data.size is \\[24, 32\\]; task semantic_diffusion needs multiples of 16"):
        next(iter(Training(recipe(task=TASK, data__size=[24, 32]), tmp_path)))
