"""The generator and its critic: what they are before training, what they may not look at, sizes, and storage."""

import math

import pytest
import torch

from semcom.models import storage
from semcom.models.map_critic import MapCritic
from semcom.models.spade_generator import SpadeGenerator, known_share, linear, shown_where
from semcom.train.optimise import seeded

POWER = (2.0, 1.0, 0.6, 0.4)
pytestmark = pytest.mark.usefixtures("one_thread")


def tiny(trained=True):
    """A small generator; ``trained``: with weights in place of the zeros that it starts with."""
    with seeded("generator"):
        net = SpadeGenerator(POWER, (16, 8, 8), (1, 1, 1), (4, 4, 4), noise=3, embedding=8)
        if trained:
            for parameter in net.parameters():
                parameter.data += 0.05 * torch.randn(parameter.shape)
    return net.eval().requires_grad_(False)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def given(rows=2, h=4, w=6):
    base = torch.rand(rows, 3, 8 * h, 8 * w, generator=torch.Generator().manual_seed(3))
    return drawn(rows, 4, h, w), torch.full((rows, 4, h, w), 0.5), drawn(rows, 13, 4 * h, 4 * w, seed=1).abs(), base, drawn(rows, 3, h, w, seed=2)


def test_before_training_the_picture_is_the_base():
    x, sigma, planes, base, noise = given()
    torch.testing.assert_close(tiny(trained=False)(x, sigma, planes, base, noise), base)


def test_elements_that_did_not_arrive_are_not_looked_at_and_all_else_is():
    net, (x, sigma, planes, base, noise) = tiny(), given()
    sigma = sigma.clone()
    sigma[:, 2:], sigma[:, 0, :2] = math.inf, math.inf
    made = net(x, sigma, planes, base, noise)
    other = torch.where(sigma.isinf(), torch.nan, x)
    assert torch.equal(net(other, sigma, planes, base, noise), made) and bool(made.isfinite().all())
    for changed in ((x + 1, sigma, planes, base, noise), (x, sigma * 2, planes, base, noise), (x, sigma, planes * 0, base, noise), (x, sigma, planes, base, noise * 0)):
        assert not torch.equal(net(*changed), made)
    assert not torch.equal(net(x, sigma, planes, base * 0.5, noise) - base * 0.5, made - base)


@pytest.mark.parametrize("size", [(2, 2), (4, 6), (5, 7), (16, 32)])
def test_pictures_of_any_size_in_eights_and_maps_of_any_size(size):
    net, (x, sigma, _, base, noise) = tiny(), given(1, *size)
    for places in (size, (4 * size[0], 4 * size[1]), (8 * size[0], 8 * size[1]), (1, 1)):
        assert net(x, sigma, drawn(1, 13, *places).abs(), base, noise).shape == base.shape


def test_pictures_of_a_batch_do_not_know_of_each_other():
    net, inputs = tiny(), given(3)
    together = net(*inputs)
    for row in range(3):
        torch.testing.assert_close(net(*(part[row : row + 1] for part in inputs)), together[row : row + 1], rtol=1e-4, atol=1e-5)


def test_the_linear_estimate_has_unit_rms_over_what_was_sent_and_is_grey_where_nothing_was():
    """p / (p + s^2) of each element, over the usual RMS of the channels that were sent; clean latents of the usual power come out
    at unit RMS: within four deviations of the mean of n squares."""
    power = torch.tensor(POWER) / torch.tensor(POWER).mean()
    n = 60 * 60
    x = drawn(1, 4, 60, 60) * power.sqrt()[:, None, None]
    sigma = torch.zeros_like(x)
    for sent in (4, 2):
        level = sigma.clone()
        level[:, sent:] = math.inf
        made = linear(x, level, power)
        spread = math.sqrt(2 * float((power[:sent] ** 2).sum()) / n) / float(power[:sent].sum())
        assert float(made[:, :sent].square().mean()) == pytest.approx(1.0, abs=4 * spread)
        assert bool((made[:, sent:] == 0).all())
    noisy = linear(x, sigma + 1.0, power)
    torch.testing.assert_close(noisy, x * (power / (power + 1))[:, None, None])
    torch.testing.assert_close(known_share(sigma + 1.0, power.sqrt()[:, None, None])[0, :, 0, 0], power / (power + 1))
    pictures, level = torch.rand(2, 3, 8, 8), torch.full((2, 4, 1, 1), math.inf)
    level[0, 1] = 0.3
    shown = shown_where(pictures, level)
    assert torch.equal(shown[0], pictures[0]) and bool((shown[1] == 0.5).all())


def test_it_is_stored_and_loaded(tmp_path):
    net, inputs = tiny(), given()
    storage.save_network(net, tmp_path)
    loaded = storage.load_network(tmp_path)
    assert type(loaded) is SpadeGenerator and loaded.noise_planes == 3
    torch.testing.assert_close(loaded(*inputs), net(*inputs), rtol=0, atol=2e-2)  # weights in half precision


def test_the_critic_sees_pictures_and_maps_at_several_resolutions():
    with seeded("critic"):
        critic = MapCritic(8).eval()
    pixels, planes = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0)), drawn(2, 13, 16, 24).abs()
    found = critic(pixels, planes)
    assert [scale[-1].shape[1:] for scale in found] == [(1, 4, 6), (1, 2, 3)]
    for other in (critic(pixels, planes * 0), critic(1 - pixels, planes)):
        assert all(not torch.equal(a[-1], b[-1]) for a, b in zip(found, other, strict=True))
    alone = critic(pixels[:1], planes[:1])
    torch.testing.assert_close(alone[0][-1], found[0][-1][:1], rtol=1e-4, atol=1e-5)


def test_the_critics_layers_do_not_amplify():
    """Spectral normalisation: once the power iteration has settled, the largest singular value of each layer is 1."""
    with seeded("critic"):
        critic = MapCritic(8).train()
    for _ in range(60):
        critic(torch.rand(1, 3, 16, 16), torch.zeros(1, 13, 8, 8))
    for module in critic.eval().requires_grad_(False).modules():
        if isinstance(module, torch.nn.Conv2d):
            assert float(torch.linalg.matrix_norm(module.weight.flatten(1), ord=2)) == pytest.approx(1.0, abs=0.05)
