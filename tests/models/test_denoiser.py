"""The denoiser: what it is before training, what it may not look at, sizes, and what ships."""

import math
from pathlib import Path

import pytest
import torch

from semcom.models import storage
from semcom.models.denoiser import CLASSES, PLANES, LatentDenoiser, planes_of, preconditioning
from semcom.models.shipped import Shipped
from semcom.train.optimise import seeded
from semcom.train.recipe import load
from semcom.train.tasks.denoiser_fast import with_fast_mode

ROOT = Path(__file__).resolve().parents[2]
POWER = (2.0, 1.0, 0.6, 0.4)
pytestmark = pytest.mark.usefixtures("one_thread")


def tiny(trained=True):
    """A small network; ``trained``: with weights in place of the zeros that it starts with."""
    with seeded("denoiser"):
        net = LatentDenoiser(POWER, (16, 16, 32), (1, 1, 1), heads=2, embedding=16)
        if trained:
            for parameter in net.parameters():
                parameter.data += 0.05 * torch.randn(parameter.shape)
    return net.eval().requires_grad_(False)


def fast(net):
    return with_fast_mode(net, "tiny").eval().requires_grad_(False)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_before_training_it_is_the_linear_mmse_estimate_of_each_element():
    x, sigma = normal(3, 4, 8, 12), torch.rand(3, 4, 8, 12, generator=torch.Generator().manual_seed(1)) * 3
    sigma[0, 1], sigma[1, :, 2:4], sigma[2, 3] = math.inf, math.inf, 0.0
    power = torch.tensor(POWER)[:, None, None]
    expected = torch.where(sigma.isinf(), 0.0, x * power / (power + sigma.square()))
    torch.testing.assert_close(tiny(trained=False)(x, sigma), expected, rtol=1e-5, atol=1e-6)


def test_what_the_network_is_trained_for_has_unit_variance_at_every_level():
    """(clean - c_skip x) / c_out of Gaussian elements, and c_in x: both of variance 1 within 4 deviations of n samples."""
    n, deviation = 40_000, torch.tensor(0.7)
    for level in (0.02, 0.7, 5.0, math.inf):
        sigma = torch.full((n,), level)
        clean, noise = 0.7 * normal(n), normal(n, seed=1)
        x = torch.where(sigma.isinf(), 0.0, clean + sigma.nan_to_num(posinf=0.0) * noise)
        skip, into, out = preconditioning(sigma, deviation)
        assert float(((clean - skip * x) / out).square().mean()) == pytest.approx(1.0, abs=4 * math.sqrt(2 / n))
        if math.isfinite(level):
            assert float((into * x).square().mean()) == pytest.approx(1.0, abs=4 * math.sqrt(2 / n))


def test_elements_that_did_not_arrive_are_not_looked_at_and_clean_ones_are_kept():
    net, sigma = tiny(), torch.full((2, 4, 8, 8), 0.5)
    sigma[:, 2:], sigma[:, 0, :4] = math.inf, 0.0
    x = normal(2, 4, 8, 8)
    other = torch.where(sigma.isinf(), torch.nan, x)
    made = net(x, sigma)
    assert torch.equal(made, net(other, sigma))
    assert torch.equal(made[:, 0, :4], x[:, 0, :4])
    assert float((made[:, 2:] - net(x + 1.0, sigma)[:, 2:]).abs().max()) > 1e-4  # what arrived is


def test_no_map_is_a_map_of_which_nothing_is_known_and_a_map_counts():
    net, x, sigma = tiny(), normal(2, 4, 8, 8), torch.full((2, 4, 8, 8), 0.5)
    assert torch.equal(net(x, sigma), net(x, sigma, torch.zeros(2, PLANES, 16, 16)))
    classes = torch.nn.functional.one_hot(torch.arange(2), CLASSES).float()[:, :, None, None].expand(-1, -1, 64, 64)
    shown = net(x, sigma, planes_of(classes, torch.ones(2, 64, 64), (8, 8)))
    assert float((shown - net(x, sigma)).abs().max()) > 1e-4


def test_rows_do_not_depend_on_their_neighbours_and_any_size_will_do():
    net = tiny()
    for size in ((8, 16), (5, 7), (1, 1)):
        x, sigma = normal(3, 4, *size), normal(3, 4, *size, seed=2).exp()
        together = net(x, sigma)
        assert together.shape == x.shape
        for row in range(3):
            torch.testing.assert_close(together[row : row + 1], net(x[row : row + 1], sigma[row : row + 1]), rtol=1e-4, atol=1e-5)


def test_a_fast_mode_starts_as_the_first_and_leaves_it_alone():
    net, x, sigma = tiny(), normal(3, 4, 8, 12), normal(3, 4, 8, 12, seed=2).exp()
    first, rows = net(x, sigma), torch.tensor([True, False, True])
    two = fast(net)
    assert two.has_fast and not net.has_fast
    assert torch.equal(two(x, sigma), first) and torch.equal(two(x, sigma, None, rows), first)
    for name, parameter in two.named_parameters():
        parameter += 0.05 * torch.ones_like(parameter) * name.startswith("fast_")
    assert torch.equal(two(x, sigma), first)
    both = two(x, sigma, None, rows)
    assert torch.equal(both[1], first[1]) and bool(((both - first)[rows].flatten(1).abs().amax(1) > 1e-3).all())
    torch.testing.assert_close(both[:1], two(x[:1], sigma[:1], None, rows[:1]), rtol=1e-4, atol=1e-5)


def test_planes_are_means_over_the_area_of_a_place():
    classes = torch.zeros(1, CLASSES, 32, 64)
    classes[:, 3, :, ::2], classes[:, 5, :, 1::2] = 1.0, 1.0
    known = torch.ones(1, 32, 64)
    known[:, :16] = 0.0
    planes = planes_of(classes, known, (4, 8))
    assert planes.shape == (1, PLANES, 8, 16)
    assert bool((planes[:, :, :4] == 0).all()) and bool((planes[:, -1, 4:] == 1).all())
    assert bool((planes[:, [3, 5], 4:] == 0.5).all())
    coarse = planes_of(classes[:, :, ::16, ::16], torch.ones(1, 2, 4), (4, 8))
    assert coarse.shape == planes.shape and bool((coarse[:, 3] == 1).all())
    assert planes_of(torch.rand(1, CLASSES, 30, 50), torch.ones(1, 30, 50), (4, 8)).shape == planes.shape


def test_weights_come_back_as_they_were_saved(tmp_path):
    net = tiny()
    storage.save_network(net, tmp_path)
    again = Shipped(str(tmp_path), "LatentDenoiser").load()
    x, sigma = normal(1, 4, 8, 8), torch.full((1, 4, 8, 8), 0.7)
    assert again.channels == 4 and not again.has_fast
    storage.save_network(fast(net), tmp_path / "fast")
    assert Shipped(str(tmp_path / "fast"), "LatentDenoiser").load().has_fast
    # half precision keeps 11 bits of each weight
    torch.testing.assert_close(again(x, sigma), net.half().float()(x, sigma), rtol=1e-3, atol=1e-3)


def test_what_ships_fits_its_sixteen_mebibytes():
    net = load(ROOT / "recipes" / "latent_denoiser.yaml").task.build().networks()["denoiser"]
    assert net.channels == 16
    assert 2 * sum(value.numel() for value in net.state_dict().values()) + 50_000 < 16 * 2**20
