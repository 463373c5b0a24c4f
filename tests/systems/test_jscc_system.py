"""The learned joint source-channel code over the analog link."""

import math
from itertools import pairwise

import pytest
import torch

from semcom.errors import ScenarioError
from semcom.models import storage
from semcom.models.jscc import JSCC as Network
from semcom.protocols import Context
from semcom.receive.jscc import JSCC as Receive
from semcom.rng import Streams
from semcom.system import System
from semcom.transmit.jscc import JSCC as Transmit
from semcom.types import Budget, ImageBatch, Received, ReceivedReals, Usage

SIZE = (64, 96)
POSITIONS = SIZE[0] * SIZE[1] // 64
CHANNELS = 8


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights that nobody trained: SoftCast over blocks, and a little of everything else."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Network(CHANNELS, width=16, fine_width=8, encoder_blocks=1, decoder_blocks=1)
        for value in net.parameters():
            value.data += 0.005 * torch.randn(value.shape)
    path = tmp_path_factory.mktemp("weights")
    storage.save_network(net, path)
    storage.write_facts(path, {"snr_db": [-5.0, 20.0]})
    return str(path)


@pytest.fixture(scope="module")
def images():
    """Smooth pictures: 0.5 + a few waves, at the power that is typical."""
    generator = torch.Generator().manual_seed(1)
    small = torch.rand((3, 3, SIZE[0] // 16, SIZE[1] // 16), generator=generator)
    pixels = torch.nn.functional.interpolate(small, size=SIZE, mode="bilinear").clamp(0, 1)
    return ImageBatch(pixels, ("a", "b", "c"))


def system(folder, channel="awgn", fill="repeat"):
    weights = {"kind": "jscc", "weights": folder}
    return System.of(weights, {"kind": "analog", "fill": fill}, weights, channel=channel)


def message(folder, images, reals, snr_db=10.0):
    budget = Budget(channel_uses=math.ceil(reals / 2), reals=reals, snr_db=snr_db)
    return Transmit(weights=folder).build(Context()).encode(images, budget, Streams.of(images.ids))


def psnr(images, pixels):
    return -10 * (images.pixels - pixels).square().mean((1, 2, 3)).log10()


@pytest.mark.parametrize(("channels", "ratio"), [(4, "1/96"), (8, "1/48")])
def test_channels_are_bandwidth_ratios(folder, images, channels, ratio):
    """CBR = channels / 2 reals over 3 * 64 samples of a block."""
    result = system(folder).send(images, snr_db=10, bandwidth_ratio=ratio)
    assert result.usage.uses["payload"].tolist() == [channels * POSITIONS // 2] * 3
    assert result.usage.uses["header"].tolist() == [0] * 3 and bool(result.ok.all())
    # unit power, all of it used
    assert result.usage.energy.tolist() == pytest.approx([channels * POSITIONS / 2.0] * 3, rel=1e-5)


@pytest.mark.parametrize("channel", ["awgn", "rayleigh", {"kind": "rayleigh", "coherence": 1}])
def test_the_picture_becomes_better_with_the_snr(folder, images, channel):
    link = system(folder, channel)
    quality = [psnr(images, link.send(images, snr_db=snr, bandwidth_ratio="1/48").pixels).mean() for snr in (-10, 0, 10, 30)]
    assert all(b > a for a, b in pairwise(quality))


def test_the_message_is_what_fits_and_ends_in_part_of_a_channel(folder, images):
    for reals in (POSITIONS, 3 * POSITIONS + 7, CHANNELS * POSITIONS):
        values = message(folder, images, reals).parts["image"].values
        assert values.shape == (3, reals)
        torch.testing.assert_close(values.square().mean(1), torch.ones(3), atol=1e-5, rtol=0)
    assert message(folder, images, 2 * CHANNELS * POSITIONS).parts["image"].values.shape == (3, CHANNELS * POSITIONS)


def test_less_than_a_channel_is_infeasible(folder, images):
    few = message(folder, images, POSITIONS - 1)
    reason = f"jscc: its smallest part is {POSITIONS} reals, and {POSITIONS - 1} fit {POSITIONS // 2} channel uses"
    assert few.infeasible == (reason,) * 3


def test_a_larger_grant_repeats_and_gains_3_db(folder, images):
    """Twice the uses with maximum-ratio combining are twice the SNR for the same latents."""
    at = lambda ratio, fill: system(folder, fill=fill).send(images, snr_db=0, bandwidth_ratio=ratio).pixels
    assert torch.equal(at("1/24", "none"), at("1/48", "none"))
    assert bool((psnr(images, at("1/24", "repeat")) > psnr(images, at("1/48", "none"))).all())


def test_the_transmitter_adapts_to_the_snr_within_what_was_trained(folder, images):
    at = lambda snr: message(folder, images, CHANNELS * POSITIONS, snr).parts["image"].values
    assert Transmit(weights=folder).build(Context()).adapts_to_snr
    assert float((at(-5.0) - at(20.0)).square().mean()) > 1e-6
    assert torch.equal(at(-20.0), at(-5.0)) and torch.equal(at(None), at(20.0))


def test_other_pictures_in_the_batch_change_nothing(folder, images):
    together = message(folder, images, CHANNELS * POSITIONS).parts["image"].values
    alone = message(folder, images.select([1]), CHANNELS * POSITIONS).parts["image"].values
    torch.testing.assert_close(alone, together[1:2], atol=1e-4, rtol=0)
    one, three = (system(folder).send(batch, 5, "1/48").pixels for batch in (images.select([1]), images))
    torch.testing.assert_close(one, three[1:2], atol=1e-4, rtol=0)


def test_a_picture_of_which_nothing_arrived_is_grey_and_a_failure(folder, images):
    sent = message(folder, images, 4 * POSITIONS).parts["image"]
    ok = torch.tensor([True, False, True])
    noise_std = torch.where(ok[:, None], 0.1, math.inf).expand(sent.values.shape)
    granted = torch.full((3,), 2 * POSITIONS)
    part = ReceivedReals(torch.where(ok[:, None], sent.values, torch.nan), noise_std, sent.shape, ok)
    received = Received({"image": part}, Usage(granted, {"payload": granted}, granted.double()), SIZE)
    result = Receive(weights=folder).build(Context()).decode(received, Streams.of(images.ids))
    assert result.ok.tolist() == ok.tolist() and bool((result.pixels[1] == 0.5).all()) and bool(result.pixels.isfinite().all())


def test_what_does_not_fit_is_one_sentence(folder, images, tmp_path):
    odd = ImageBatch(images.pixels[:, :, :60], images.ids)
    with pytest.raises(ScenarioError, match="multiples of 8 pixels and got 60x96; set the `size` of the source"):
        message(folder, odd, 1000)
    with pytest.raises(ScenarioError, match="its link carries bits; use `link: {kind: analog}`"):
        Transmit(weights=folder).build(Context()).encode(images, Budget(100, bits=100), Streams.of(images.ids))
    assert "give both the same" in Receive(weights="other").fits(Transmit(weights=folder))
    assert Receive(weights=folder).fits(Transmit(weights=folder)) is None


def test_identity_follows_the_weights_and_not_the_folder(folder, tmp_path):
    import shutil

    copy = shutil.copytree(folder, tmp_path / "copy")
    assert Transmit(weights=str(copy)).identity() == Transmit(weights=folder).identity()
    assert Receive(weights=str(copy)).identity() != Receive(weights="elsewhere").identity()
