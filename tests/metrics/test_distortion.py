"""PSNR, SSIM and MS-SSIM against closed forms and other people's implementations."""

import numpy as np
import pytest
import torch
from pytorch_msssim import ms_ssim as package_ms_ssim
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as torchmetrics_ms_ssim

from semcom.errors import DataError
from semcom.metrics import structure
from semcom.metrics.base import evaluate, to_8bit
from semcom.metrics.ms_ssim import FIVE_SCALES, FOUR_SCALES, MSSSIM, MSSSIM4, multi_scale
from semcom.metrics.psnr import CAP_DB, PSNR
from semcom.metrics.ssim import SSIM
from semcom.protocols import Pair


def pictures(height, width, count=3, noise=0.08, seed=0):
    """Smooth pictures with edges, and noisy copies, both on 8-bit levels."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=rng)
    x = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    x[..., : height // 2, width // 3 : width // 2] = 0.9
    y = (x + noise * torch.randn(x.shape, generator=rng)).clamp(0, 1)
    return to_8bit(x), to_8bit(y)


def test_rounding_to_8_bits_is_what_a_png_would_keep():
    x = torch.linspace(-0.1, 1.1, 5000)
    rounded = to_8bit(x)
    assert torch.equal(to_8bit(rounded), rounded)
    codes = np.clip(x.numpy() * np.float32(255), 0, 255).round().astype(np.uint8)
    assert torch.equal(rounded, torch.from_numpy(codes).float() / 255)
    assert float((rounded - x.clamp(0, 1)).abs().max()) <= 0.5 / 255 + 1e-7


def test_reconstructions_are_rounded_before_they_are_measured():
    x, y = pictures(32, 40)
    nearly = (x + 0.4 / 255).clamp(0, 1)
    values = evaluate([PSNR().build(), SSIM().build()], Pair(x, nearly))
    assert torch.equal(values["psnr"], torch.full((3,), CAP_DB, dtype=torch.float64))
    assert torch.allclose(values["ssim"], torch.ones(3, dtype=torch.float64))
    assert float(PSNR().build()(x, y)["psnr"].max()) < CAP_DB


def test_psnr_of_a_constant_error_is_its_closed_form():
    x = torch.full((1, 3, 16, 16), 0.25)
    for levels in (1, 5, 51):
        value = PSNR().build()(x, x + levels / 255)["psnr"]
        assert value.dtype == torch.float64
        # float32 pixels carry the error to a relative 2^-23 / (levels / 255) at worst, in decibels 20 / ln 10 times that
        assert float(value) == pytest.approx(20 * np.log10(255 / levels), abs=8.7 * 2**-23 * 255 / levels)


def test_psnr_equals_scikit_image():
    x, y = pictures(48, 64)
    expected = [peak_signal_noise_ratio(a.double().numpy(), b.double().numpy(), data_range=1.0) for a, b in zip(x, y)]
    assert np.allclose(PSNR().build()(x, y)["psnr"], expected, rtol=0, atol=1e-9)


def test_the_cap_lies_above_a_single_wrong_level_in_the_usual_size():
    x = torch.zeros(1, 3, 128, 256)
    y = x.clone()
    y[0, 0, 0, 0] = 1 / 255
    assert 98.0 < float(PSNR().build()(x, y)["psnr"]) < CAP_DB


@pytest.mark.parametrize("size", [(11, 11), (33, 50), (128, 256)])
def test_ssim_equals_scikit_image_in_both_implementations(size):
    x, y = pictures(*size)
    expected = [
        structural_similarity(
            a.double().numpy(), b.double().numpy(), channel_axis=0, data_range=1.0,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )
        for a, b in zip(x, y)
    ]  # fmt: skip
    assert np.allclose(SSIM().build()(x, y)["ssim"], expected, rtol=0, atol=1e-12)
    planes = structure._with_torch(x.double().flatten(0, 1), y.double().flatten(0, 1), structure.K1)
    assert np.allclose(planes.reshape(3, 3).mean(1), expected, rtol=0, atol=1e-9)


def test_ssim_leaves_out_the_border_where_the_window_is_cut():
    x, _ = pictures(40, 40)
    y = x.clone()
    y[..., 0, 0] = 1 - y[..., 0, 0]  # farther than 5 pixels from everything that counts, but for one window
    inner = SSIM().build()(x[..., 1:, 1:], y[..., 1:, 1:])["ssim"]
    assert torch.allclose(inner, torch.ones_like(inner))


def test_without_luminance_only_contrast_and_structure_are_left():
    x, y = pictures(40, 56)
    shifted = structure.similarity(x * 0.5, x * 0.5 + 0.25, luminance=False)  # another mean, nothing else
    assert torch.allclose(shifted, torch.ones_like(shifted), atol=1e-9)
    for luminance in (True, False):
        k1 = structure.K1 if luminance else structure.K1_WITHOUT_LUMINANCE
        torch_planes = structure._with_torch(x.double().flatten(0, 1), y.double().flatten(0, 1), k1).reshape(3, 3)
        assert torch.allclose(structure.similarity(x, y, luminance), torch_planes, atol=1e-9)


@pytest.mark.parametrize("size", [(161, 163), (176, 192)])
def test_ms_ssim_equals_the_pytorch_msssim_package(size):
    x, y = pictures(*size, count=2)
    taps = torch.exp(-((torch.arange(11, dtype=torch.float64) - 5) ** 2) / 4.5)
    window = (taps / taps.sum()).reshape(1, 1, 1, 11).repeat(3, 1, 1, 1)
    expected = package_ms_ssim(x.double(), y.double(), data_range=1.0, size_average=False, win=window)
    assert torch.allclose(MSSSIM().build()(x, y)["ms_ssim"], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("weights", "size"), [(FIVE_SCALES, (176, 192)), (FOUR_SCALES, (128, 256))])
def test_ms_ssim_equals_torchmetrics_where_the_two_mean_the_same(weights, size):
    """torchmetrics averages over the planes before it multiplies (so: equal planes), and lets the reflected
    border count at the coarsest scale (so: that scale to the power 0)."""
    x, y = (picture[:, :1].repeat(1, 3, 1, 1).double() for picture in pictures(*size, count=2))
    weights = (*weights[:-1], 0.0)
    expected = torchmetrics_ms_ssim(y, x, data_range=1.0, betas=weights, reduction="none", normalize="relu")
    assert torch.allclose(multi_scale(x, y, weights), expected, rtol=0, atol=1e-6)


def test_the_weights_of_the_scales_sum_to_one():
    assert sum(FIVE_SCALES) == pytest.approx(1.0, abs=1e-4)  # as printed in the paper
    assert sum(FOUR_SCALES) == pytest.approx(1.0, abs=1e-12)
    assert np.allclose(np.divide(FOUR_SCALES, FIVE_SCALES[:4]), FOUR_SCALES[0] / FIVE_SCALES[0])


@pytest.mark.parametrize(("metric", "fits", "too_small"), [(SSIM, 11, 10), (MSSSIM, 161, 160), (MSSSIM4, 81, 80)])
def test_too_small_images_get_a_reason_and_never_a_number(metric, fits, too_small):
    assert metric().check((fits, 400)) is None and metric().check((400, fits)) is None
    x, y = pictures(fits, fits + 3, count=1)
    assert all(torch.isfinite(value).all() for value in metric().build()(x, y).values())
    assert f"{too_small}x400" in metric().check((too_small, 400))
    with pytest.raises(DataError, match="short side"):
        metric().build()(torch.rand(1, 3, too_small, 400), torch.rand(1, 3, too_small, 400))


def test_ms_ssim_points_to_four_scales_where_they_fit():
    assert MSSSIM().check((128, 256)).endswith("use ms_ssim_4")
    assert MSSSIM().check((64, 256)).endswith("leave it out")
