"""A toy network and toy pictures."""

import pytest
import torch
from diffusers import AutoencoderTiny

from semcom.train.optimise import seeded


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    pass


@pytest.fixture(scope="session")
def tiny():
    """diffusers' AutoencoderTiny with 6 latent channels, at toy width."""
    with seeded("tiny"):
        return AutoencoderTiny(latent_channels=6, encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4).eval()


@pytest.fixture(scope="session")
def pixels():
    return torch.rand(3, 3, 32, 48, generator=torch.Generator().manual_seed(1))
