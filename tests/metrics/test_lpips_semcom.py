"""The LPIPS construction on an encoder of our own: against the formula, and what is said where there is no encoder."""

import shutil

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from semcom.errors import WeightsError
from semcom.metrics.lpips_semcom import LPIPSSemcom
from semcom.models import storage
from semcom.models.autoencoder import Autoencoder
from semcom.models.perceptual import EncoderDistance, taps
from semcom.train.optimise import seeded


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("encoder")
    with seeded("encoder"):
        net = AutoencoderTiny(latent_channels=4, encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4)
    storage.save_network(net, place)
    return place


@pytest.fixture
def pictures():
    rng = torch.Generator().manual_seed(3)
    a = torch.nn.functional.interpolate(torch.rand(3, 3, 6, 8, generator=rng), (40, 48), mode="bicubic").clamp(0, 1)
    return a, (a + 0.1 * torch.randn(a.shape, generator=rng)).clamp(0, 1)


def test_it_is_the_formula_of_lpips(folder, pictures):
    """Every residual block by hand: unit length at each place, squared differences, summed, averaged, averaged over blocks."""
    a, b = pictures
    net = storage.load_network(folder)
    x, y, found = a, b, []  # diffusers' encoder scales [-1, 1] back to [0, 1]
    for layer in net.encoder.layers:
        x, y = layer(x), layer(y)
        if type(layer).__name__ == "AutoencoderTinyBlock":
            apart = torch.nn.functional.normalize(x, dim=1) - torch.nn.functional.normalize(y, dim=1)
            found.append(apart.square().sum(1).mean(dim=(1, 2)))
    metric = LPIPSSemcom(autoencoder=str(folder)).build()
    torch.testing.assert_close(metric(a, b)["lpips_semcom"], torch.stack(found).mean(0).double(), rtol=1e-4, atol=1e-7)
    assert len(found) == len(taps(net)) == 10


def test_fitted_weights_of_the_layers_are_read_from_the_folder(folder, pictures, tmp_path):
    place = tmp_path / "fitted"
    shutil.copytree(folder, place)
    plain = LPIPSSemcom(autoencoder=str(place))
    before = plain.identity()
    net = EncoderDistance(plain.pretrained.load())
    storage.write_facts(place, {"perceptual": {"weights": [0.0] * 9 + [2.0]}})
    assert plain.identity() != before
    torch.testing.assert_close(plain.build()(*pictures)["lpips_semcom"], net.layers(*pictures)[:, -1].double())
    storage.write_facts(place, {"perceptual": {"weights": [1.0, 1.0]}})
    with pytest.raises(WeightsError, match="2 weights for 10 layers of the encoder; fit them to this one"):
        plain.build()


def test_a_kl_encoder_will_do(pictures):
    net = AutoencoderKL(
        latent_channels=4, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, mid_block_add_attention=False,
    )  # fmt: skip
    distance = EncoderDistance(Autoencoder(net.eval()))
    assert distance(*pictures).min() > 0.0 and torch.equal(distance(pictures[0], pictures[0]), torch.zeros(3))


def test_where_there_is_no_encoder_it_says_so():
    metric = LPIPSSemcom(autoencoder="no_such_weights")
    assert metric.available().startswith("lpips_semcom is left out: there are no weights 'no_such_weights'; allowed:")
    assert metric.identity()["weights"] is None
    reason = LPIPSSemcom().check((60, 64))
    assert reason == "lpips_semcom needs sides that are multiples of 8 and the images are 60x64; leave it out"
