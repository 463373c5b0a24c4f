"""The network of semantic diffusion: what it is before training, what it may not look at, sizes, and what ships."""

import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from semcom.models import storage
from semcom.models.denoiser import PLANES
from semcom.models.semantic_unet import MULTIPLE, SemanticUNet, halved, normalised, pixels_of
from semcom.models.shipped import Shipped
from semcom.train.optimise import seeded
from semcom.train.recipe import load

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("one_thread")


def tiny(trained=True):
    """A small network; ``trained``: with weights in place of the zeros that it starts with."""
    with seeded("semantic diffusion"):
        net = SemanticUNet((16, 16, 16), hidden=8, heads=1, embedding=16, upsampler_width=8)
        if trained:
            for parameter in net.parameters():
                parameter.data += 0.05 * torch.randn(parameter.shape)
    return net.eval().requires_grad_(False)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def maps(rows, h, w, seed=0):
    classes = torch.rand(rows, PLANES, 2 * h, 2 * w, generator=torch.Generator().manual_seed(seed))
    classes[:, -1] = 1.0
    return classes


def test_before_training_it_is_the_linear_mmse_estimate_and_the_upsampler_enlarges():
    net, x, sigma = tiny(trained=False), normal(3, 3, 16, 24), torch.tensor([0.1, 1.0, 50.0])
    estimate, larger = net(x, sigma, maps(3, 16, 24), x[:2])
    torch.testing.assert_close(estimate, x / (1.0 + sigma.square())[:, None, None, None], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(larger, functional.interpolate(x[:2], scale_factor=2, mode="bilinear"))


def test_what_the_network_tells_is_v_of_variance_preserving_diffusion():
    """(clean - estimate) / c_out is the error of v = sqrt(a) n - sqrt(1 - a) x0, up to its sign, where a = 1 / (1 + sigma^2)."""
    net, clean, noise, level = tiny(), normal(1, 3, 8, 8), normal(1, 3, 8, 8, seed=1), 0.7
    x, kept = clean + level * noise, 1.0 / (1.0 + level**2)
    estimate = net(x, torch.tensor([level]))
    told = (kept * x - estimate) / math.sqrt(1.0 - kept)
    wanted = math.sqrt(kept) * noise - math.sqrt(1.0 - kept) * clean
    torch.testing.assert_close((estimate - clean) / math.sqrt(1.0 - kept), wanted - told, rtol=1e-4, atol=1e-4)


def test_no_map_is_a_map_of_zeros_and_a_map_counts_in_both_networks():
    net, x, sigma, shown = tiny(), normal(2, 3, 8, 16), torch.tensor([0.5, 5.0]), maps(2, 8, 16)
    assert torch.equal(net(x, sigma), net(x, sigma, torch.zeros(2, PLANES, 16, 32)))
    assert float((net(x, sigma, shown) - net(x, sigma)).abs().max()) > 1e-4
    assert float((net.upsampler(x, shown) - net.upsampler(x, torch.zeros_like(shown))).abs().max()) > 1e-4


def test_rows_do_not_depend_on_their_neighbours_and_any_multiple_will_do():
    net = tiny()
    for size in ((MULTIPLE, MULTIPLE), (8, 40), (24, 16)):
        x, sigma, shown = normal(3, 3, *size), torch.tensor([0.01, 1.0, math.inf]), maps(3, *size)
        together, larger = net(x, sigma, shown, x)
        assert together.shape == x.shape and larger.shape == (3, 3, 2 * size[0], 2 * size[1]) and bool(together.isfinite().all())
        for row in range(3):
            one = slice(row, row + 1)
            alone, large = net(x[one], sigma[one], shown[one], x[one])
            torch.testing.assert_close(together[one], alone, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(larger[one], large, rtol=1e-4, atol=1e-4)


def test_where_nothing_is_known_of_the_picture_it_is_not_looked_at():
    net, sigma = tiny(), torch.full((1,), math.inf)
    assert torch.equal(net(normal(1, 3, 8, 8), sigma), net(normal(1, 3, 8, 8, seed=2), sigma))


def test_pixels_come_back_from_the_networks_units():
    pixels = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pixels_of(normalised(pixels)), pixels)
    torch.testing.assert_close(halved(pixels)[:, :, 1, 2], pixels[:, :, 2:4, 4:6].mean(dim=(2, 3)))


def test_weights_come_back_as_they_were_saved(tmp_path):
    net = tiny()
    storage.save_network(net, tmp_path)
    again = Shipped(str(tmp_path), "SemanticUNet").load()
    x, sigma, shown = normal(1, 3, 8, 8), torch.tensor([0.7]), maps(1, 8, 8)
    # half precision keeps 11 bits of each weight
    for made, wanted in zip(again(x, sigma, shown, x), net.half().float()(x, sigma, shown, x)):
        torch.testing.assert_close(made, wanted, rtol=1e-3, atol=1e-3)


def test_what_ships_fits_its_six_mebibytes():
    task = load(ROOT / "recipes" / "semantic_diffusion.yaml", ["task.upsampling.lpips_squeeze=0"]).task  # needs weights otherwise
    net = task.build().networks()["denoiser"]
    assert 2 * sum(value.numel() for value in net.state_dict().values()) + 50_000 < 6 * 2**20
