"""SoftCast: what a linear code must do, with the noise of an unbiased link added by hand."""

import math

import pytest
import torch

from semcom.errors import ScenarioError
from semcom.protocols import Context
from semcom.receive.softcast import SoftCast as Receive
from semcom.rng import Streams
from semcom.softcast import SPECTRUM, dct_matrix, fit_spectrum, format_of
from semcom.source.camvid import CamVid
from semcom.source.labelmefacade import LabelMeFacade
from semcom.source.photos import Photos
from semcom.transmit.softcast import SoftCast as Transmit
from semcom.types import Budget, ImageBatch, Message, Received, ReceivedBits, ReceivedReals, Usage

SIZE = (128, 192)
N = 3 * SIZE[0] * SIZE[1]


@pytest.fixture(scope="module")
def photos() -> ImageBatch:
    source = Photos(size=SIZE).build()
    return source.load([ref.id for ref in (*source.images(), *source.tuning())])


def send(images: ImageBatch, reals: int, block="frame") -> Message:
    budget = Budget(channel_uses=math.ceil(reals / 2) + 114, reals=reals)
    return Transmit(block=block).build(Context()).encode(images, budget, Streams.of(images.ids))


def arrive(message: Message, std, seed: int = 0, side_ok=None) -> Received:
    """What an unbiased link hands on: message + std n, with ``std`` a number or [B, D]."""
    reals = message.parts["image"]
    std = torch.as_tensor(std, dtype=torch.float32).expand(reals.values.shape)
    noise = torch.randn(reals.values.shape, generator=torch.Generator().manual_seed(seed))
    values = torch.where(std.isfinite(), reals.values + std * noise, torch.nan)
    count = len(message)
    ok = torch.ones(count, dtype=torch.bool)
    side = ReceivedBits(message.side.bits, message.side.lengths, ok if side_ok is None else side_ok)
    granted = torch.full((count,), message.budget.channel_uses)
    usage = Usage(granted, {"payload": granted}, granted.double())
    return Received({"image": ReceivedReals(values, std, reals.shape, ok)}, usage, message.image_size, side)


def decode(received: Received, block="frame"):
    return Receive(block=block).build(Context()).decode(received, Streams.of(["x"] * len(received.usage.granted)))


def psnr(images: ImageBatch, pixels: torch.Tensor) -> torch.Tensor:
    return -10 * (images.pixels - pixels).square().mean((1, 2, 3)).clamp(min=1e-12).log10()


def at_snr(snr_db: float) -> float:
    """Noise of a unit-power real at Es/N0: sqrt(2) sigma / sqrt(2)."""
    return 10 ** (-snr_db / 20)


@pytest.mark.parametrize("block", ["frame", 8, 16, 32])
def test_all_coefficients_without_noise_are_the_picture(photos, block):
    result = decode(arrive(send(photos, N, block), 0.0), block)
    assert psnr(photos, result.pixels).min() > 45 and bool(result.ok.all())


@pytest.mark.parametrize("n", [1, 8, 13, 256])
def test_the_dct_is_orthonormal(n):
    assert torch.allclose(dct_matrix(n) @ dct_matrix(n).T, torch.eye(n, dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize("block", ["frame", 8])
def test_parseval(photos, block):
    coefficients = format_of(SIZE, block, "cpu").analyse(photos.pixels)
    energy = (photos.pixels - 0.5).square().sum((1, 2, 3))
    assert torch.allclose(coefficients.square().sum((1, 2)), energy, rtol=1e-4)


@pytest.mark.parametrize("block", ["frame", 8])
@pytest.mark.parametrize("reals", [1200, 8192, N])
def test_power_is_at_most_one_per_image_and_hardly_less(photos, block, reals):
    values = send(photos, reals, block).parts["image"].values
    power = values.square().mean(1)
    assert values.shape[1] <= reals
    assert power.max() <= 1.0 + 1e-4 and power.min() >= 10 ** (-0.25 / 10) - 1e-4  # one step of the level


def test_power_holds_for_pictures_that_are_not_typical():
    """Black, white, a colour, white noise, and all energy in the coefficient of least typical variance."""
    h, w = SIZE
    checker = ((torch.arange(h)[:, None] + torch.arange(w)[None]) % 2).float()
    odd = torch.stack([checker, 1 - checker, checker])
    red = torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(3, h, w)
    noise = torch.rand((3, h, w), generator=torch.Generator().manual_seed(1)).round()
    images = ImageBatch(torch.stack([torch.zeros(3, h, w), torch.ones(3, h, w), red, noise, odd]), tuple("abcde"))
    for reals in (64, 2048, N):
        message = send(images, reals)
        assert message.parts["image"].values.square().mean(1).max() <= 1.0 + 1e-4
    assert psnr(images, decode(arrive(message, 0.0)).pixels).min() > 45


def test_a_grey_picture_is_silence_and_arrives_as_grey():
    grey = ImageBatch(torch.full((1, 3, *SIZE), 0.5), ("grey",))
    message = send(grey, 4096)
    assert message.parts["image"].values.abs().max() < 1e-3
    assert psnr(grey, decode(arrive(message, at_snr(10))).pixels).min() > 40


def test_quality_rises_with_snr_without_a_cliff(photos):
    """Every 5 dB help, and by no more than the 5 dB that the noise power falls."""
    message = send(photos, N // 12)
    curve = torch.stack([psnr(photos, decode(arrive(message, at_snr(snr))).pixels) for snr in range(-10, 45, 5)])
    gain = curve.diff(dim=0)
    assert gain.min() > 0.0 and gain.max() < 5.0 + 0.25


def test_the_least_squares_estimate_beats_plain_inversion_at_low_snr(photos):
    message = send(photos, N // 12)
    received = arrive(message, at_snr(0))
    part = received.parts["image"]
    blind = ReceivedReals(part.values, torch.zeros_like(part.noise_std), part.shape, part.ok)
    plain = decode(Received({"image": blind}, received.usage, received.image_size, received.side))
    assert (psnr(photos, decode(received).pixels) - psnr(photos, plain.pixels)).min() > 1.0


def test_nothing_arrived_is_grey(photos):
    assert (decode(arrive(send(photos, 4096), math.inf)).pixels == 0.5).all()


def test_what_did_not_arrive_costs_exactly_its_own_energy(photos):
    """Elements lost from the end are the highest frequencies: the error is their energy, the rest is untouched."""
    message = send(photos, N)
    kept = N // 8
    std = torch.zeros(len(photos), N)
    std[:, kept:] = math.inf
    form = format_of(SIZE, "frame", "cpu")
    received = arrive(message, std)
    pixels = form.analyse(decode(received).pixels)
    original = form.analyse(photos.pixels)
    lost = original[:, kept:].square().sum((1, 2))
    error = (original - pixels).square().sum((1, 2))
    assert (error <= lost * 1.001).all() and (error >= lost * 0.8).all()  # clipping to [0, 1] only helps


def test_a_message_cut_by_the_budget_is_the_same_as_one_cut_by_the_link(photos):
    short, long = send(photos, 4096), send(photos, N)
    std = torch.zeros(len(photos), N)
    std[:, 4096:] = math.inf
    assert torch.allclose(decode(arrive(short, 0.0)).pixels, decode(arrive(long, std)).pixels, atol=1e-4)


def test_importance_falls_with_frequency():
    form = format_of(SIZE, "frame", "cpu")
    assert (form.root.diff() <= 0).all()
    assert form.order[0] == 0  # the mean brightness comes first
    h, w = SIZE
    plane, rest = form.order[: N // 12] // (h * w), form.order[: N // 12] % (h * w)
    assert (plane == 0).float().mean() > 0.7
    assert int((rest // w).max()) < h and int((form.order[:200] % (h * w) // w).max()) < h // 2


def test_rows_do_not_know_their_batch(photos):
    """The same picture alone and among others: before rounding within 1e-4, as for every receiver."""
    together = send(photos, 4096)
    std = torch.full((1, 4096), at_snr(5))
    for row in range(len(photos)):
        alone = send(photos.select([row]), 4096)
        assert torch.allclose(alone.parts["image"].values, together.parts["image"].values[row : row + 1], atol=1e-5)
        assert torch.equal(alone.side.bits, together.side.bits[row : row + 1])
        shared = arrive(together.select([row]), std, seed=3)
        assert torch.allclose(decode(arrive(alone, std, seed=3)).pixels, decode(shared).pixels, atol=1e-4)


def test_lost_side_information_fails_its_own_picture_alone(photos):
    ok = torch.tensor([True, False, True, True, True])
    result = decode(arrive(send(photos, 4096), 0.0, side_ok=ok))
    assert torch.equal(result.ok, ok)
    assert (result.pixels[1] == 0.5).all() and not (result.pixels[0] == 0.5).all()


def test_gains_do_not_follow_the_snr(photos):
    encoder = Transmit().build(Context())
    assert not encoder.adapts_to_snr
    low, high = (encoder.encode(photos, Budget(4096, reals=4096, snr_db=snr), Streams.of(photos.ids)) for snr in (-5.0, 30.0))
    assert torch.equal(low.parts["image"].values, high.parts["image"].values)


def test_the_whole_frame_beats_blocks(photos):
    """What the choice of the default stands on, here at CBR 1/24 and 10 dB."""
    mean = {
        block: float(psnr(photos, decode(arrive(send(photos, N // 12, block), at_snr(10)), block).pixels).mean())
        for block in ("frame", 32, 16, 8)
    }
    assert mean["frame"] > mean[32] > mean[16] > mean[8]


def test_impossible_combinations_say_what_to_do(photos):
    with pytest.raises(ScenarioError, match="analog"):
        Transmit().build(Context()).encode(photos, Budget(4096, bits=4096), Streams.of(photos.ids))
    with pytest.raises(ScenarioError, match="same `block`"):
        decode(arrive(send(photos, 4096), 0.0), 8)
    odd = ImageBatch(torch.zeros(1, 3, 20, 20), ("a",))
    with pytest.raises(ScenarioError, match="do not tile"):
        send(odd, 400, 16)
    assert "smallest part is" in send(photos, 100, 8).infeasible[0]


def test_the_spectrum_is_that_of_the_tuning_pictures(shared):
    """SPECTRUM is the average of fits to three sets of tuning pictures, to the two digits that it is written with."""
    sources = [
        Photos().build(),
        CamVid(path=str(shared / "data" / "camvid")).build(),
        LabelMeFacade(path=str(shared / "data" / "labelmefacade")).build(),
    ]
    fits = torch.tensor([fit_spectrum(s.load([ref.id for ref in s.tuning()]).pixels) for s in sources])
    assert torch.allclose(fits.mean(0), torch.tensor(SPECTRUM), atol=0.02)


def test_the_fit_finds_the_spectrum_of_pictures_that_have_it():
    """Gaussian pictures with exactly the typical spectrum, in grey enough not to clip."""
    form = format_of((64, 96), "frame", "cpu")
    normal = torch.randn((40, form.order.numel(), 1), generator=torch.Generator().manual_seed(0))
    fits = torch.tensor(fit_spectrum(form.synthesise(normal * form.root[:, None])))
    assert torch.allclose(fits, torch.tensor(SPECTRUM), atol=0.1)
