"""Toy autoencoders in folders, as `semcom train` leaves them, and Gaussian latents of known statistics."""

import copy

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

from semcom.latents import tables
from semcom.latents.coder import coder
from semcom.latents.fitting import fit
from semcom.models import storage
from semcom.models.autoencoder import Autoencoder
from semcom.models.denoiser import LatentDenoiser
from semcom.models.pretrained import Pretrained
from semcom.train.optimise import seeded
from semcom.types import ImageBatch

SIZE = (64, 96)
POWER = [2.0, 1.0, 0.6, 0.4, 0.4, 0.3, 0.2, 0.1]


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    pass


@pytest.fixture(scope="session")
def pixels():
    """Smooth pictures float32 [4, 3, 64, 96] on 8-bit levels."""
    coarse = torch.rand(4, 3, 6, 8, generator=torch.Generator().manual_seed(1))
    fine = torch.nn.functional.interpolate(coarse, SIZE, mode="bicubic").clamp(0, 1)
    return (fine * 255).round() / 255


@pytest.fixture(scope="session")
def images(pixels):
    return ImageBatch(pixels, tuple("abcd"))


@pytest.fixture(scope="session")
def folders(tmp_path_factory, pixels):
    """``own``: normalised latents, 8 channels of known power, with tables. ``foreign``: 4 channels, no facts, no tables."""
    made = {}
    for name, channels in (("own", 8), ("foreign", 4)):
        folder = tmp_path_factory.mktemp(name)
        with seeded(name):
            net = AutoencoderTiny(
                latent_channels=channels, encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4
            ).eval()
        _lively(net)
        storage.save_network(net, folder)
        if name == "own":
            model = Autoencoder(copy.deepcopy(net))
            with torch.no_grad():
                mean = model.net.encode(pixels * 2 - 1).latents.mean(dim=(0, 2, 3))
            latents = {"mean": mean.tolist(), "power": POWER}
            storage.write_facts(folder, {"normalised": True, "latents": latents})
            file = Pretrained(str(folder)).file()
            fit(Pretrained(str(folder)).load(), [pixels], storage.digest(file)).save(tables.path_of(file))
        made[name] = str(folder)
    return made


@torch.no_grad()
def _lively(net):
    """Scale the last layer of a decoder that was never trained, so that its pictures show what comes in."""
    last = net.decoder.layers[-1]
    last.bias.zero_()
    latents = torch.randn(4, net.config.latent_channels, 8, 8, generator=torch.Generator().manual_seed(0))
    last.weight /= 2.0 * net.decode(latents).sample.std()


@pytest.fixture(scope="session")
def field():
    """Correlated latents float32 [40, 4, 12, 16] of unit RMS: what tables are fitted to (first 30) and tried on."""
    rng = np.random.default_rng(0)
    white = rng.laplace(size=(40, 4, 14, 18))
    smooth = white[:, :, 2:, 2:] + 0.9 * white[:, :, 1:-1, 2:] + 0.9 * white[:, :, 2:, 1:-1] + 0.5 * white[:, :, 1:-1, 1:-1]
    smooth[:, 1] += 0.8 * smooth[:, 0]
    smooth *= np.sqrt([2.0, 1.0, 0.5, 0.1])[None, :, None, None]
    return (smooth / np.sqrt(np.square(smooth).mean(axis=(1, 2, 3), keepdims=True))).astype(np.float32)


@pytest.fixture(scope="session")
def denoiser_weights(tmp_path_factory, folders):
    """A denoiser of the toy autoencoder's latents that was never trained, with weights in place of its first zeros."""
    folder = tmp_path_factory.mktemp("denoiser")
    own = coder(Pretrained(folders["own"]), "cpu")
    with seeded("denoiser"):
        net = LatentDenoiser(tuple(own.power.tolist()), (16, 16, 16), (1, 1, 1), heads=1, embedding=16)
        for parameter in net.parameters():
            parameter.data += 0.03 * torch.randn(parameter.shape)
    storage.save_network(net, folder)
    storage.write_facts(folder, {"of": {"name": "own", "encoder": own.encoder}})
    return str(folder)
