"""SPADE: what it does before training, where it looks, and that sizes of a map do not matter."""

import pytest
import torch

from semcom.models.block_code import normal, resized
from semcom.models.spade import Spade, SpadeBlock
from semcom.train.optimise import seeded

pytestmark = pytest.mark.usefixtures("one_thread")


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def trained(make):
    with seeded("spade"):
        net = make()
        for parameter in net.parameters():
            parameter.data += 0.2 * torch.randn(parameter.shape)
    return net.eval().requires_grad_(False)


def test_before_training_features_are_normalised_at_each_position_and_a_block_adds_nothing():
    x, planes = 3.0 * drawn(2, 16, 6, 10) + 1.0, drawn(2, 5, 12, 20)
    made = Spade(16, 5, 8)(x, planes)
    torch.testing.assert_close(made, normal(x))
    torch.testing.assert_close(made.mean(1), torch.zeros(2, 6, 10), atol=1e-5, rtol=0)
    torch.testing.assert_close(made.square().mean(1), torch.ones(2, 6, 10), atol=1e-3, rtol=0)
    torch.testing.assert_close(SpadeBlock(16, 16, 5, 8, embedding=3)(x, planes, drawn(2, 3)), x)


def test_a_place_is_changed_by_the_map_around_it_and_by_no_other():
    """One Spade looks 3x3 places of the map around it."""
    net, x, planes = trained(lambda: Spade(8, 3, 6)), drawn(1, 8, 9, 9), drawn(1, 3, 9, 9)
    other = planes.clone()
    other[:, :, 4, 4] += 1.0
    changed = (net(x, planes) != net(x, other)).any(1)[0]
    assert changed[3:6, 3:6].all() and changed.sum() == 9


def test_pictures_of_a_batch_do_not_know_of_each_other():
    net = trained(lambda: SpadeBlock(8, 12, 3, 6, embedding=4))
    x, planes, known = drawn(3, 8, 6, 6), drawn(3, 3, 6, 6), drawn(3, 4)
    alone = torch.cat([net(x[i : i + 1], planes[i : i + 1], known[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(net(x, planes, known), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(4, 8), (8, 16), (3, 5), (32, 64), (1, 1), (16, 8)])
def test_a_map_of_any_size_keeps_its_range_and_a_uniform_one_its_value(size):
    planes = torch.rand(1, 2, 8, 16, generator=torch.Generator().manual_seed(0))
    made = resized(planes, size)
    assert made.shape[2:] == size and planes.min() <= made.min() and made.max() <= planes.max()
    torch.testing.assert_close(resized(torch.full_like(planes, 0.3), size), torch.full((1, 2, *size), 0.3))
    if all(given % side == 0 for given, side in zip((8, 16), size, strict=True)):
        torch.testing.assert_close(made.mean((2, 3)), planes.mean((2, 3)))  # areas: nothing is lost
