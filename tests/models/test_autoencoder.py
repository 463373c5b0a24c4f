"""Latents as they are sent: unit RMS per image, leading channels first, shrunk by what the channel did to them."""

import copy
import math
from types import SimpleNamespace

import lpips
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from semcom.errors import WeightsError
from semcom.models import lpips_squeeze
from semcom.models.autoencoder import Autoencoder, leading, unit_rms
from semcom.models.eight_bit import SCALE, dequantise, quantise
from semcom.models.lpips_squeeze import TAPS, LPIPSSqueeze, features


@pytest.fixture
def model(tiny):
    return Autoencoder(copy.deepcopy(tiny)).eval().requires_grad_(False)


def received(model, pixels, count, sigma=0.0):
    noise = torch.zeros(len(pixels), model.channels, *(side // 8 for side in pixels.shape[2:]))
    return model(pixels, torch.full((len(pixels),), count), torch.full((len(pixels), 1, 1, 1), sigma), noise)


@pytest.mark.parametrize("count", [1, 4, 6])
def test_every_image_has_unit_rms_over_what_is_sent(model, pixels, count):
    latents = model.encode(pixels, count)
    assert latents.shape == (3, count, 4, 6) and model.factor == 8
    torch.testing.assert_close(latents.square().mean(dim=(1, 2, 3)), torch.ones(3))
    # an image's scale does not depend on its neighbours
    torch.testing.assert_close(model.encode(pixels[1:2], count), latents[1:2])
    # as many channels as wished are sent by leaving the others out and nothing else
    whole = model.encode(pixels)[:, :count]
    torch.testing.assert_close(latents, whole * whole.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt())


def test_only_leading_channels_are_sent(model, pixels):
    """What is behind the last channel that is sent changes nothing."""
    before = [received(model, pixels, count) for count in (2, 6)]
    last = model.net.encoder.layers[-1]
    last.weight[2:] += 1.0
    assert torch.equal(received(model, pixels, 2), before[0])
    assert not torch.equal(received(model, pixels, 6), before[1])
    assert torch.equal(leading(torch.tensor([1, 3]), 4)[:, :, 0, 0], torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 0]]))


def test_training_sees_what_encoding_and_decoding_do(model, pixels):
    for count in (2, 6):
        torch.testing.assert_close(received(model, pixels, count).clamp(0, 1), model.decode(model.encode(pixels, count)))
    with pytest.raises(ValueError, match="7 latent channels were asked for; this autoencoder has 1 to 6"):
        model.encode(pixels, 7)


def test_shrinking_is_the_linear_mmse_estimate(model):
    """Of Gaussian latents with power p a channel, the error's mean square is p s^2 / (p + s^2), and no gain does better."""
    model.power.copy_(torch.tensor([4.0, 1.0, 0.5, 0.25, 0.2, 0.05]))
    power = model.power / model.power.mean()
    count, sigma = 4 * 96 * 96, 0.7
    rng = torch.Generator().manual_seed(0)
    sent = torch.randn(4, 6, 96, 96, generator=rng) * power.sqrt()[None, :, None, None]
    arrived = sent + sigma * torch.randn(sent.shape, generator=rng)
    error = (model.shrink(arrived, torch.full((4, 1, 1, 1), sigma)) - sent).square().mean(dim=(0, 2, 3))
    expected = power * sigma**2 / (power + sigma**2)
    # a mean of squares of n Gaussians is off by sqrt(2 / n), five of them
    torch.testing.assert_close(error, expected, rtol=5 * math.sqrt(2 / count), atol=0.0)


def test_what_did_not_arrive_is_zero_and_what_came_clean_is_itself(model, pixels):
    latents = model.encode(pixels)
    lost = torch.full_like(latents, torch.inf)
    assert torch.equal(model.shrink(torch.full_like(latents, torch.nan), lost), torch.zeros_like(latents))
    assert torch.equal(model.shrink(latents, torch.zeros_like(latents)), latents)
    assert torch.isfinite(received(model, pixels, 3, torch.inf)).all()


def test_statistics_follow_the_latents_in_training_only(model, pixels):
    before = model.mean.clone()
    received(model, pixels, 6)
    assert torch.equal(model.mean, before)
    raw = model.net.encode(pixels * 2 - 1).latents
    model.train()
    for _ in range(10):
        received(model, pixels, 6)
    torch.testing.assert_close(model.mean, (1 - 0.99**10) * raw.mean(dim=(0, 2, 3)))
    assert float(model.power.mean()) == pytest.approx(1.0, abs=1e-5)  # relative


def test_a_kl_autoencoder_fits_as_well(pixels):
    widths = (8, 8, 8, 8)
    net = AutoencoderKL(
        latent_channels=4, block_out_channels=widths, layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    model = Autoencoder(net).eval()
    with torch.no_grad():
        assert model.factor == 8 and model.decode(model.encode(pixels, 2)).shape == pixels.shape


@pytest.mark.parametrize("patch, stages", [(2, 3), (4, 2)])
def test_patches_leave_the_geometry_alone(pixels, patch, stages):
    """A network that only moves its patches through gives back the picture, whatever the patch."""

    class Through(torch.nn.Module):
        config = AutoencoderTiny(
            in_channels=3 * patch**2, out_channels=3 * patch**2, latent_channels=3 * 8 * 8,
            encoder_block_out_channels=(8,) * stages, decoder_block_out_channels=(8,) * stages,
            num_encoder_blocks=(1,) * stages, num_decoder_blocks=(1,) * stages,
        ).config  # fmt: skip

        def encode(self, x):
            return SimpleNamespace(latents=torch.nn.functional.pixel_unshuffle(x, 8 // patch))

        def decode(self, z):
            return SimpleNamespace(sample=torch.nn.functional.pixel_shuffle(z, 8 // patch))

    model = Autoencoder(Through(), normalised=False).eval()
    assert (model.patch, model.factor) == (patch, 8)
    torch.testing.assert_close(model.decode(model.encode(pixels)), pixels)


def test_a_picture_without_content_stays_finite():
    flat = unit_rms(torch.zeros(1, 4, 2, 2), torch.ones(1, 4, 1, 1))
    assert torch.isfinite(flat).all()


def test_eight_bits_are_off_by_at_most_half_a_step(tiny):
    state = tiny.state_dict()
    small = quantise(state)
    back = dequantise(small)
    assert back.keys() == state.keys() and small["encoder.layers.0.weight"].dtype == torch.int8
    for name, value in state.items():
        if value.ndim < 2:
            assert torch.equal(back[name], value.half().float())
        else:
            step = small[name + SCALE].view(-1, *[1] * (value.ndim - 1))
            assert ((back[name] - value).abs() <= 0.5001 * step).all()
    assert torch.equal(dequantise({"w": torch.ones(2, 2, dtype=torch.float8_e4m3fn)})["w"], torch.ones(2, 2))
    again = dequantise(quantise(back))  # what is on the grid stays there
    assert all(torch.allclose(again[name], back[name], rtol=1e-6, atol=0.0) for name in back)


def test_lpips_without_its_weights_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("SEMCOM_WEIGHTS", raising=False)
    with pytest.raises(
        WeightsError, match="needs SqueezeNet's ImageNet weights, and SEMCOM_WEIGHTS names no folder; put .* or set task.losses"
    ):
        lpips_squeeze.load()
    monkeypatch.setenv("SEMCOM_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="which SEMCOM_WEIGHTS names, holds no squeezenet1_1-b8a52dc0.pth"):
        lpips_squeeze.load()
    torch.save(features().state_dict(), tmp_path / "squeeze.backbone.pth")
    # the linear weights lie inside the lpips package
    assert float(lpips_squeeze.load()(torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32))) > 0.0


def test_lpips_is_the_packages_and_its_gradient_is_finite():
    rng = torch.Generator().manual_seed(2)
    backbone = {name: 0.2 * torch.randn(value.shape, generator=rng) for name, value in features().state_dict().items()}
    linear = {f"lin{n}.model.1.weight": torch.rand(1, c, 1, 1, generator=rng) for n, c in enumerate(TAPS.values())}
    ours = LPIPSSqueeze({f"features.{k}": v for k, v in backbone.items()} | {"classifier.1.weight": torch.zeros(1)}, linear)
    theirs = lpips.LPIPS(net="squeeze", pnet_rand=True, pretrained=False, verbose=False).eval()
    theirs.net.load_state_dict({name: backbone[name.partition(".")[2]] for name in theirs.net.state_dict()})
    for number, value in enumerate(linear.values()):
        theirs.lins[number].model[1].weight.data.copy_(value)
    a, b = (torch.rand(2, 3, 48, 64, generator=rng) for _ in range(2))
    torch.testing.assert_close(ours(a, b), theirs(a, b, normalize=True).flatten().detach())
    black = torch.zeros(1, 3, 48, 64, requires_grad=True)
    nothing = LPIPSSqueeze({k: torch.zeros_like(v) for k, v in backbone.items()}, linear)
    nothing(torch.rand(1, 3, 48, 64), black).sum().backward()
    assert torch.isfinite(black.grad).all()
