"""The autoencoder's own network: a linear block code at its start, and everything else is learned beside it."""

import pytest
import torch
from torch.nn import functional

from semcom.models import storage
from semcom.models.autoencoder import Autoencoder
from semcom.models.block_autoencoder import PILOT, BlockAutoencoder
from semcom.models.block_code import COEFFICIENTS, Block, block_transform


@pytest.fixture
def net():
    return BlockAutoencoder(latent_channels=6, width=8, fine_width=8, encoder_blocks=1, decoder_blocks=(1, 1, 1)).eval().requires_grad_(False)


def test_the_block_transform_is_orthonormal_and_ordered():
    variance, basis = block_transform()
    torch.testing.assert_close(basis @ basis.T, torch.eye(COEFFICIENTS, dtype=torch.float64))
    assert bool((variance[1:] <= variance[:-1]).all())


def test_an_untrained_network_is_the_projection_on_the_strongest_coefficients(net):
    """Encoding, scaling by the deviation and decoding leave each of the six strongest DCT coefficients of a block as it is."""
    pixels = torch.rand(2, 3, 16, 24)
    latents = net.encode(pixels * 2.0 - 1.0).latents
    variance, basis = block_transform()
    # the decoder takes latents in units in which all of typical power have mean square 1
    unit = variance[:6].sqrt().mean().sqrt().float()
    got = net.decode(latents / unit).sample / 2.0
    flat = functional.pixel_unshuffle(pixels - 0.5, 8)
    coefficients = torch.einsum("kc,bchw->bkhw", basis[:6].float(), flat)
    expected = functional.pixel_shuffle(torch.einsum("kc,bkhw->bchw", basis[:6].float(), coefficients), 8)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    # a detail channel carries a constant beside it, from which a trained decoder can tell how a picture was scaled
    quiet = net.encode(torch.zeros(1, 3, 16, 16)).latents.mean(dim=(0, 2, 3))
    detail = basis[:6].sum(dim=1).abs() < 1e-3
    torch.testing.assert_close(quiet, torch.where(detail, PILOT * variance[:6].pow(0.25), 0.0).float())


def test_a_residual_block_starts_without_attention_and_hears_what_is_known():
    block = Block(8, known=2).requires_grad_(False)
    x = torch.randn(3, 8, 4, 4)
    torch.testing.assert_close(block(x, torch.zeros(3, 2)), block(x, torch.ones(3, 2)))
    block.attention[2].weight.normal_()
    assert not torch.allclose(block(x, torch.zeros(3, 2)), block(x, torch.ones(3, 2)))


def test_weights_go_to_disk_and_back(net, tmp_path):
    storage.save_network(net, tmp_path)
    again, pixels = storage.load_network(tmp_path), torch.rand(1, 3, 16, 16)
    half = {name: value.half().float() for name, value in net.state_dict().items()}
    net.load_state_dict(half)
    torch.testing.assert_close(Autoencoder(again).eval().encode(pixels), Autoencoder(net).eval().encode(pixels))
    assert again.config.latent_channels == 6 and Autoencoder(again).factor == 8
