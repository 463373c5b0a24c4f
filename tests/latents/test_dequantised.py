"""Quantised latents as noisy ones: levels that are true, a diffusion receiver behind bits, and what a lost code leaves."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import integrate

from semcom.errors import ScenarioError
from semcom.latents import tables
from semcom.latents.allocation import relative
from semcom.latents.codec import LatentCodec
from semcom.latents.coder import coder
from semcom.latents.dequantised import about_zero, as_noisy, beside, dequantised
from semcom.latents.fitting import fit_latents
from semcom.models.pretrained import Pretrained
from semcom.protocols import Context
from semcom.receive.latent_diffusion import LatentDiffusion
from semcom.receive.vae import Vae
from semcom.registry import parse
from semcom.rng import Streams
from semcom.system import System
from semcom.types import Condition, ReceivedBits

SIZE = (64, 96)


@pytest.mark.parametrize("a", [0.01, 0.5, 2.0, 8.0, 30.0])
def test_variances_are_those_of_a_density_that_falls_exponentially(a):
    """Integrated numerically: over one step beside 0, and over the step around 0 where it falls to both sides."""
    moment = lambda power, low, high: integrate.quad(lambda x: x**power * math.exp(-a * abs(x)), low, high)[0]  # noqa: E731
    whole, first, second = (moment(power, 0.5, 1.5) for power in range(3))
    found = beside(np.array(1.0 - first / whole))
    assert float(found) == pytest.approx(second / whole - (first / whole) ** 2, rel=1e-2)
    assert float(about_zero(np.array(a))) == pytest.approx(moment(2, 0, 0.5) / moment(0, 0, 0.5), rel=1e-2)


@pytest.mark.parametrize("index", [8, 16, 24, 40])
def test_values_are_clean_latents_plus_noise_of_the_told_level(index):
    """Laplacian latents: in the intervals beside 0, E (u - x) x = 0 and E (u - x)^2 = sigma^2; at 0, the linear estimate's error."""
    power = np.array([2.0, 1.0, 0.6, 0.4])
    rng = np.random.default_rng(0)
    field = (rng.laplace(size=(60, 4, 24, 32)) * np.sqrt(power / 2.0)[:, None, None]).astype(np.float32)
    codec = LatentCodec(fit_latents(field[:30], np.zeros(4), np.ones(4), "w"))
    codes = [codec.quantise(latents, index) for latents in field[30:]]
    zero = np.stack([code.values == 0 for code in codes])
    u, sigma = (np.stack(parts) for parts in zip(*(as_noisy(codec, code, power) for code in codes), strict=True))
    x = field[30:].astype(np.float64)
    for channel in range(4):
        e, at = (u - x)[:, channel], ~zero[:, channel]
        n = at.sum()
        if n > 1000:
            cross = (e * x[:, channel])[at] / sigma[:, channel][at]
            ratio = (e / sigma[:, channel])[at] ** 2
            # five standard errors, and 3 % for tables in 1/128 of a step
            assert abs(cross.mean()) < 5 * cross.std() / n**0.5 + 0.03 * x[:, channel][at].std()
            assert ratio.mean() == pytest.approx(1.0, abs=5 * ratio.std() / n**0.5 + 0.03)
        small = zero[:, channel] & np.isfinite(sigma[:, channel])
        if small.sum() > 1000:
            left = 1.0 / (1.0 / sigma[:, channel][small] ** 2 + 1.0 / power[channel])
            assert (x[:, channel][small] ** 2).mean() == pytest.approx(left.mean(), rel=5 * 2.3 / small.sum() ** 0.5 + 0.1)


def test_a_finer_step_is_a_lower_level_and_the_coarsest_tells_nothing(field):
    """Levels fall with the index of the step; where a channel's step is far above its deviation, zeros are as if not sent."""
    codec = LatentCodec(fit_latents(field[:30], np.zeros(4), np.ones(4), "w"))
    power = relative(np.square(field[:30]).mean(axis=(0, 2, 3)))
    levels = [as_noisy(codec, codec.quantise(field[35], index), power)[1] for index in range(0, tables.STEPS, 4)]
    medians = [float(np.median(level)) for level in levels]
    assert medians == sorted(medians, reverse=True) and medians[-1] < 0.05 and medians[0] > 3.0
    # fine steps: a twelfth of the squared step, whatever the density
    step = codec.tables.step(tables.STEPS - 4, 4)[:, None, None]
    np.testing.assert_allclose(levels[-1] / step, np.full(levels[-1].shape, 12**-0.5), rtol=0.1)


@pytest.fixture
def receiver(folders, denoiser_weights):
    def make(**fields):
        return LatentDiffusion(autoencoder=folders["own"], weights=denoiser_weights, **fields).build(Context())

    return make


def sent(folders, images, uses=1500, mcs="qpsk-1/2", channels=8):
    """(what a digital link hands on of the images' quantised latents at 20 dB, the streams)."""
    context, streams = Context(), Streams.of(images.ids)
    transmit = parse("transmit", {"kind": "vae_latent_quantised", "autoencoder": folders["own"], "channels": channels})
    link = parse("link", {"kind": "digital", "mcs": mcs}).build(parse("channel", "awgn").build("cpu"), "cpu")
    message = transmit.build(context).encode(images, link.budget(uses, Condition(20.0)), streams)
    return link.send(message, [Condition(20.0)] * len(images), streams), streams.for_system("a")


def test_no_evaluation_and_a_clean_code_show_what_the_plain_decoder_shows(folders, images, receiver):
    got, streams = sent(folders, images)
    plain = Vae(autoencoder=folders["own"]).build(Context()).decode(got, streams)
    assert bool(plain.ok.all())
    torch.testing.assert_close(receiver(steps=0).decode(got, streams).pixels, plain.pixels)
    levels = dequantised(coder(Pretrained(folders["own"]), "cpu"), got.parts["latent"], SIZE).levels
    worst = -20 * math.log10(float(levels[levels.isfinite()].max()))
    assert bool(levels.isfinite().all())
    torch.testing.assert_close(receiver(hand_over_db=worst - 0.1).decode(got, streams).pixels, plain.pixels)
    made = receiver(steps=2, hand_over_db=None).decode(got, streams)
    assert bool(made.ok.all()) and float((made.pixels - plain.pixels).abs().max()) > 1e-3


def test_a_lost_code_is_no_picture_and_the_others_do_not_depend_on_it(folders, images, receiver):
    got, streams = sent(folders, images)
    part = got.parts["latent"]
    made = receiver(steps=3, hand_over_db=None)

    def decode(rows, ok):
        some = ReceivedBits(part.bits[rows], part.lengths[rows], torch.tensor(ok))
        return made.decode(SimpleNamespace(parts={"latent": some}, image_size=SIZE), streams.select(rows))

    together = decode([0, 1, 2, 3], [True, False, True, True])
    assert together.ok.tolist() == [True, False, True, True] and bool((together.pixels[1] == 0.5).all())
    for row in (0, 2, 3):
        torch.testing.assert_close(together.pixels[row : row + 1], decode([row], [True]).pixels, rtol=0, atol=1e-4)
    assert not decode([1], [False]).ok.any()


def test_fewer_channels_leave_the_others_unknown(folders, images):
    got, _ = sent(folders, images, channels=3)
    found = dequantised(coder(Pretrained(folders["own"]), "cpu"), got.parts["latent"], SIZE)
    values, levels = found.unbiased()
    assert values.shape == levels.shape == (4, 3, 8, 12) and found.ok.all()
    assert float(values.square().mean()) == pytest.approx(1.0, abs=0.1)


def test_a_whole_system_and_what_does_not_fit(folders, images, denoiser_weights):
    receive = {"kind": "latent_diffusion", "autoencoder": folders["own"], "weights": denoiser_weights, "steps": 2}
    system = System.of({"kind": "vae_latent_quantised", "autoencoder": folders["own"]}, {"kind": "digital", "mcs": "qpsk-1/2"}, receive)
    result = system.send(images, 10.0, "1/12")
    assert bool(result.ok.all()) and bool(result.pixels.isfinite().all())
    without = SimpleNamespace(codec=None)
    with pytest.raises(ScenarioError, match="the autoencoder has no tables; give transmit and receive the same one"):
        dequantised(without, None, SIZE)
