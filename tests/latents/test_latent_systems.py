"""Latents over links: power, order, shrinkage, scale, budgets, and what is said where something is missing."""

import math
import shutil
from fractions import Fraction

import numpy as np
import pytest
import torch

from semcom import units
from semcom.errors import DataError, ScenarioError, WeightsError
from semcom.latents import tables
from semcom.latents.allocation import relative, waterfill
from semcom.latents.coder import KNOWN, bits_to_scale, coder, scale_to_bits
from semcom.latents.received import found_scale
from semcom.models.pretrained import Pretrained
from semcom.protocols import Context
from semcom.receive.vae import Vae
from semcom.rng import Streams
from semcom.system import System
from semcom.transmit.vae_latent import AGREED, VaeLatent
from semcom.transmit.vae_latent_quantised import VaeLatentQuantised
from semcom.types import Budget, Condition, ImageBatch, ReceivedReals

H, W = 8, 12
N = units.source_dimensions(64, 96)
PROFILES = ["flat", "waterfill", (4.0, 1.0, 1.0, 0.5, 0.5, 0.2, 0.2, 0.1)]


def encode(folder, images, reals, snr_db=None, **fields):
    made = VaeLatent(autoencoder=folder, **fields).build(Context())
    return made.encode(images, Budget(math.ceil(reals / 2), reals=reals, snr_db=snr_db), Streams.of(images.ids))


def system(transmit, folder, link="analog", channel="awgn", **receive):
    return System.of({**transmit, "autoencoder": folder}, link, {"kind": "vae", "autoencoder": folder, **receive}, channel)


def arrived(message, std=0.0, seed=0):
    """What an unbiased link hands on: the message plus noise of ``std``, a number or [B, D]."""
    part = message.parts["latent"]
    std = torch.as_tensor(std, dtype=torch.float32).expand(part.values.shape)
    noise = torch.randn(part.values.shape, generator=torch.Generator().manual_seed(seed))
    values = torch.where(std.isfinite(), part.values + std.nan_to_num(posinf=0.0) * noise, torch.nan)
    return ReceivedReals(values, std, part.shape, torch.ones(len(values), dtype=torch.bool), part.powers)


@pytest.mark.parametrize("power", PROFILES, ids=["flat", "waterfill", "table"])
@pytest.mark.parametrize("channels", [1, 3, 8])
@pytest.mark.parametrize("snr_db", [-5.0, 10.0])
def test_what_is_sent_has_unit_rms_per_image(folders, images, power, channels, snr_db):
    message = encode(folders["own"], images, 2 * H * W * 8, snr_db, power=power, channels=channels)
    part = message.parts["latent"]
    assert part.values.shape == (4, part.shape[0] * H * W) and part.shape[0] <= channels
    torch.testing.assert_close(part.values.square().mean(dim=1), torch.ones(4))
    assert message.side is None and message.free == ((KNOWN,) if power == "flat" else (KNOWN, AGREED))


def test_channels_come_in_order_and_only_whole_ones(folders, images):
    own = coder(Pretrained(folders["own"]), "cpu")
    for reals, sent in [(H * W * 8, 8), (H * W * 4 - 1, 3), (H * W, 1)]:
        part = encode(folders["own"], images, reals).parts["latent"]
        assert part.shape == (sent, H, W)
        torch.testing.assert_close(part.values.reshape(-1, *part.shape), own.model.encode(images.pixels, sent))
    message = encode(folders["own"], images, H * W - 1)
    assert message.infeasible[0] == "a latent channel is 96 reals, and 95 fit 48 channel uses" and not message.feasible.any()


def test_water_filling_is_the_allocation_of_the_closed_form(folders, images):
    own = coder(Pretrained(folders["own"]), "cpu")
    part = encode(folders["own"], images, 2 * H * W * 8, 20.0, power="waterfill").parts["latent"]
    expected = waterfill(relative(own.power), 10**-2.0 / 2, own.sensitivity)  # each real is sent twice
    assert part.shape[0] == 8 and part.powers == pytest.approx(tuple(expected))
    few = encode(folders["own"], images, H * W * 8, -20.0, power="waterfill").parts["latent"]
    assert few.shape[0] < 8 and min(few.powers) > 0.0


@pytest.mark.parametrize("power", PROFILES, ids=["flat", "waterfill", "table"])
@pytest.mark.parametrize("shrink", ["wiener", "none"])
def test_without_noise_the_latents_come_back(folders, images, power, shrink):
    own = coder(Pretrained(folders["own"]), "cpu")
    message = encode(folders["own"], images, H * W * 8, 60.0, power=power)
    receiver = Vae(autoencoder=folders["own"], shrink=shrink).build(Context())
    torch.testing.assert_close(receiver.latents(arrived(message)), own.model.encode(images.pixels), rtol=1e-3, atol=1e-4)


def test_shrinking_is_linear_mmse_in_latent_units_after_the_power_is_undone(folders, images):
    """Elements of every noise level: y sqrt(p q) / (p + s^2) up to the image's scale; 0 where nothing arrived."""
    own = coder(Pretrained(folders["own"]), "cpu")
    message = encode(folders["own"], images, H * W * 8, power=PROFILES[2])
    part = message.parts["latent"]
    std = torch.rand(part.values.shape, generator=torch.Generator().manual_seed(2)) * 2
    std[:, ::7] = math.inf
    got = arrived(message, std)
    latents = Vae(autoencoder=folders["own"]).build(Context()).latents(got)
    assert latents.isfinite().all()
    p = torch.tensor(part.powers, dtype=torch.float32).repeat_interleave(H * W)
    q = torch.tensor(relative(own.power), dtype=torch.float32).repeat_interleave(H * W)
    expected = torch.where(std.isfinite(), got.values * (p * q).sqrt() / (p + std.square()), 0.0).reshape(4, 8, H, W)
    ratio = (latents * expected).sum(dim=(1, 2, 3)) / expected.square().sum(dim=(1, 2, 3))
    torch.testing.assert_close(latents, expected * ratio[:, None, None, None], rtol=1e-4, atol=1e-5)
    assert torch.equal(latents.flatten(1)[:, ::7], torch.zeros(4, len(range(0, 8 * H * W, 7))))


def test_the_scale_is_found_from_what_arrived(folders):
    """Gaussian latents whose powers differ from the agreed ones: the found scale is within its deviation of the true one."""
    own, rows, places = coder(Pretrained(folders["own"]), "cpu"), 200, H * W
    spread = np.full(8, 0.8 / np.sqrt(12))
    rng = torch.Generator().manual_seed(0)
    shares = relative(own.power) * (0.6 + 0.8 * np.random.default_rng(0).random((rows, 8)))
    z = torch.randn(rows, 8, H, W, generator=rng) * torch.tensor(shares, dtype=torch.float32).sqrt()[:, :, None, None]
    z = z / z.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    powers = relative(np.array(PROFILES[2]))
    amplitude = torch.tensor(np.sqrt(powers / relative(own.power)), dtype=torch.float32)[:, None, None]
    true = (amplitude * z).square().mean(dim=(1, 2, 3)).sqrt()
    sent = (amplitude * z / true[:, None, None, None]).flatten(1)
    for std in (0.0, 0.5, 2.0, 50.0):
        noise = torch.full_like(sent, std)
        values = (sent + noise * torch.randn(sent.shape, generator=rng)).reshape(-1, 8, H, W)
        gain, seen = amplitude[:, 0, 0].double().numpy(), torch.ones_like(values).bool()
        found = found_scale(values, noise.reshape(values.shape), seen, powers, gain, spread)
        error = float((found / true - 1).square().mean().sqrt())
        factors = 1 / gain**2 / 8
        variance = factors**2 * (4 * powers * std**2 + 2 * std**4) / places
        deviation = float(np.sqrt(variance.sum())) / 2 / (factors * powers).sum()  # of the scale, by the delta method
        blind = float((true.mean() / true - 1).square().mean().sqrt())  # what no estimate would leave
        # a root mean square over 200 images is off by 1 / sqrt(400), five of them
        assert error <= max(1e-4, 1.25 * min(deviation, blind)), (std, error, deviation, blind)


def test_more_noise_is_a_worse_picture_and_repetition_is_less_noise(folders, images):
    made = system({"kind": "vae_latent", "channels": 4}, folders["own"])
    four = Fraction(H * W * 4 // 2, N)
    clean = coder(Pretrained(folders["own"]), "cpu")
    best = clean.pictures(clean.leading(images.pixels, 4))
    error = lambda r: float((r.pixels - best).square().mean())  # noqa: E731
    once = [error(made.send(images, snr, four)) for snr in (0.0, 10.0, 20.0, 60.0)]
    assert once == sorted(once, reverse=True) and once[-1] < 1e-6
    # a grant four times as large repeats the latents four times: the noise of 6 dB more
    assert error(made.send(images, 0.0, 4 * four)) < once[0]
    result = made.send(images, 10.0, 4 * four)
    assert result.usage.uses["payload"].tolist() == [4 * H * W * 2] * 4 and result.ok.all()
    plain = system({"kind": "vae_latent", "channels": 4}, folders["own"], shrink="none")
    assert error(made.send(images, -5.0, four)) != error(plain.send(images, -5.0, four))


def test_nothing_arrived_is_the_picture_of_the_means(folders, images):
    message = encode(folders["own"], images, H * W * 8)
    receiver = Vae(autoencoder=folders["own"]).build(Context())
    latents = receiver.latents(arrived(message, math.inf))
    # all but zero: a channel that was sent and lost is not one that was not sent
    assert latents.abs().max() <= 1e-20 and (latents != 0).any()
    assert torch.equal(receiver.coder.pictures(latents), receiver.coder.pictures(torch.zeros_like(latents)))


# autoencoders whose latents have a scale of their own


@pytest.mark.parametrize("power", ["flat", (3.0, 1.0, 1.0, 0.5)], ids=["flat", "table"])
def test_a_foreign_scale_is_told_and_charged(folders, images, power):
    made = system({"kind": "vae_latent", "power": power}, folders["foreign"])
    message = encode(folders["foreign"], images, H * W * 4, power=power)
    rms = message.parts["latent"].values.square().mean(dim=1).sqrt()
    assert message.side.bits.shape == (4, 8) and rms.max() <= 1.0 + 1e-6 and rms.min() >= 10 ** (-0.25 / 20) - 1e-6
    uses = H * W * 4 // 2 + 114
    result = made.send(images, 80.0, Fraction(uses, N))
    assert result.usage.uses["header"].tolist() == [114] * 4 and result.usage.uses["payload"].tolist() == [H * W * 2] * 4
    net = coder(Pretrained(folders["foreign"]), "cpu").model
    torch.testing.assert_close(result.pixels, net.decode(net.encode(images.pixels)), rtol=0.0, atol=2e-3)
    lost = made.send(images, -20.0, Fraction(uses, N))  # the header is lost, and with it the picture
    assert not lost.ok.any() and (lost.pixels == 0.5).all()


def test_a_part_of_a_channel_is_sent_where_the_scale_is_told(folders, images):
    part = encode(folders["foreign"], images, H * W * 4 - 30).parts["latent"]
    assert part.shape == (4, H, W)
    rms = part.values[:, : H * W * 4 - 30].square().mean(dim=1).sqrt()
    assert rms.max() <= 1.0 + 1e-6 and rms.min() >= 10 ** (-0.25 / 20) - 1e-6


def test_scales_are_rounded_upwards_by_at_most_a_quarter_decibel():
    scale = torch.logspace(-1.5, 1.4, 301)
    back = bits_to_scale(scale_to_bits(scale))
    ratio = 20 * (back / scale).log10()
    assert ratio.min() >= -1e-5 and ratio.max() <= 0.25 + 1e-5
    with pytest.raises(ScenarioError, match="latents have an RMS of 100; the scale's 8 bits reach"):
        scale_to_bits(torch.tensor([100.0]))


# bits


@pytest.mark.parametrize("channels", [3, 8])
def test_quantised_latents_fit_their_budget_and_come_back(folders, images, channels):
    made = system({"kind": "vae_latent_quantised", "channels": channels}, folders["own"], {"kind": "digital", "mcs": "qpsk-1/2"})
    own = coder(Pretrained(folders["own"]), "cpu")
    errors = []
    for uses in (400, 1000, 4000):
        budget = made.budget(uses, Condition(20.0))
        message = made.transmit.encode(images, budget, Streams.of(images.ids))
        assert message.parts["latent"].lengths.max() <= budget.bits and message.feasible.all()
        result = made.send(images, 20.0, Fraction(uses, N))
        assert result.ok.all() and result.usage.granted.tolist() == [uses] * 4
        sent = own.leading(images.pixels, channels)
        part = message.parts["latent"]
        codes = zip(part.bits, part.lengths, strict=True)
        values = [own.codec.restore(own.codec.decode(row[:length].numpy(), H, W)) for row, length in codes]
        torch.testing.assert_close(result.pixels, own.pictures(torch.from_numpy(np.stack(values))))
        errors.append(float((torch.from_numpy(np.stack(values)) - sent).square().mean()))
    assert errors == sorted(errors, reverse=True)


def test_a_lost_code_and_one_that_does_not_fit_are_failures(folders, images):
    made = system({"kind": "vae_latent_quantised"}, folders["own"], {"kind": "digital", "mcs": "64qam-5/6"})
    lost = made.send(images, -5.0, Fraction(2000, N))
    assert not lost.ok.any() and (lost.pixels == 0.5).all()
    message = made.transmit.encode(images, Budget(40, bits=20), Streams.of(images.ids))
    assert not message.feasible.any() and message.infeasible[0].startswith("the shortest code of its latents is ")
    again = made.send(images, 30.0, Fraction(2000, N))
    assert again.ok.all() and torch.equal(made.send(images, 30.0, Fraction(2000, N)).pixels, again.pixels)  # kept, not made anew


def test_foreign_latents_as_bits_carry_their_scale(folders, images, tmp_path):
    folder = tmp_path / "foreign"
    shutil.copytree(folders["foreign"], folder)
    from semcom.latents.fitting import fit
    from semcom.models import storage

    file = Pretrained(str(folder)).file()
    fit(Pretrained(str(folder)).load(), [images.pixels], storage.digest(file)).save(tables.path_of(file))
    made = system({"kind": "vae_latent_quantised"}, str(folder), {"kind": "digital", "mcs": "qpsk-1/2"})
    net = coder(Pretrained(str(folder)), "cpu").model
    result = made.send(images, 20.0, Fraction(6000, N))
    assert made.transmit.side_bits == 8 and result.ok.all()
    torch.testing.assert_close(result.pixels, net.decode(net.encode(images.pixels)), rtol=0.0, atol=0.02)


# what is missing or does not fit


def test_what_is_missing_is_one_sentence(folders, images):
    absent = VaeLatent(autoencoder="no_such_weights")
    assert absent.available().startswith("there are no weights 'no_such_weights'; allowed: a name that ships")
    assert absent.identity()["autoencoder"] == {"weights": None, "latents": None, "tables": None}
    without = VaeLatentQuantised(autoencoder=folders["foreign"])
    assert "has no tables for coding its latents; make them from training pictures: semcom weights tables" in without.available()
    with pytest.raises(WeightsError, match="has no tables"):
        without.build(Context())
    assert VaeLatentQuantised(autoencoder=folders["own"]).available() is None
    with pytest.raises(ScenarioError, match="2 powers for 8 channels; give one each"):
        VaeLatent(autoencoder=folders["own"], power=(1.0, 2.0)).build(Context())
    with pytest.raises(ValueError, match="expected flat, waterfill, or a list of positive numbers"):
        VaeLatent(power=(1.0, 0.0))
    odd = ImageBatch(torch.zeros(1, 3, 60, 96), ("odd",))
    with pytest.raises(DataError, match="pictures are 60x96 and the autoencoder .* has 8x8 pixels a latent; give a size"):
        encode(folders["own"], odd, 1000)


def test_both_ends_name_one_autoencoder(folders):
    receive = Vae(autoencoder=folders["own"])
    assert receive.fits(VaeLatent(autoencoder=folders["own"])) is None
    assert "give both the same" in receive.fits(VaeLatent(autoencoder=folders["foreign"]))


def test_identity_is_of_the_weights_not_of_their_place(folders, tmp_path):
    shutil.copytree(folders["own"], tmp_path / "copy")
    here, there = (VaeLatent(autoencoder=str(folder)).identity() for folder in (folders["own"], tmp_path / "copy"))
    assert here == there and here["autoencoder"]["weights"]
    beside = tables.path_of(Pretrained(str(tmp_path / "copy")).file())
    beside.unlink()
    assert VaeLatent(autoencoder=str(tmp_path / "copy")).identity() != here


def test_taesd_crosses_both_links(shared, images):
    """A well-known autoencoder by its file: real numbers over AWGN come back as its own reconstruction."""
    file = shared / "weights" / "taesd" / "taesd.safetensors"
    if not file.is_file():
        pytest.skip(f"{file} is absent")
    made = system({"kind": "vae_latent"}, str(file))
    net = coder(Pretrained(str(file)), "cpu").model
    result = made.send(images, 60.0, Fraction(H * W * 2 + 114, N))
    assert made.transmit.channels == 4 and result.ok.all()
    torch.testing.assert_close(result.pixels, net.decode(net.encode(images.pixels)), rtol=0.0, atol=0.02)
