"""The structural similarity of colour planes, on which SSIM and MS-SSIM stand."""

from __future__ import annotations

import lazy_loader as lazy

torch = lazy.load("torch")

SIGMA = 1.5  # of the Gaussian window, in pixels (Wang et al. 2004)
WINDOW = 11  # taps; the border of (WINDOW - 1) / 2 pixels, where the window is cut, does not count
K1, K2 = 0.01, 0.03
#: With K1 this large the luminance factor (2 mx my + C1) / (mx^2 + my^2 + C1) rounds to exactly 1 and what is
#: left of SSIM is its contrast-structure factor: the only way to ask either library for it.
K1_WITHOUT_LUMINANCE = 1e8


def similarity(x: torch.Tensor, y: torch.Tensor, luminance: bool = True) -> torch.Tensor:
    """Mean SSIM of every plane, float64 [B, C], of two batches [B, C, H, W] in [0, 1] with sides of at least WINDOW.

    Without ``luminance`` only the contrast-structure factor. Both branches are the same function, in
    float64; scikit-image is the faster one on a CPU and defines the numbers.
    """
    k1 = K1 if luminance else K1_WITHOUT_LUMINANCE
    planes_x, planes_y = x.double().flatten(0, 1), y.double().flatten(0, 1)
    values = _with_scikit_image(planes_x, planes_y, k1) if x.device.type == "cpu" else _with_torch(planes_x, planes_y, k1)
    return values.reshape(x.shape[:2])


def _with_scikit_image(x: torch.Tensor, y: torch.Tensor, k1: float) -> torch.Tensor:
    from skimage.metrics import structural_similarity

    settings = dict(gaussian_weights=True, sigma=SIGMA, use_sample_covariance=False, data_range=1.0, K1=k1, K2=K2)
    pairs = zip(x.numpy(), y.numpy(), strict=True)
    return torch.tensor([structural_similarity(a, b, **settings) for a, b in pairs], dtype=torch.float64)


def _with_torch(x: torch.Tensor, y: torch.Tensor, k1: float) -> torch.Tensor:
    from pytorch_msssim import ssim

    taps = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    window = torch.exp(-(taps**2) / (2 * SIGMA**2))  # the package's own window is float32
    window = (window / window.sum()).reshape(1, 1, 1, WINDOW)
    return ssim(x[:, None], y[:, None], data_range=1.0, size_average=False, win=window, K=(k1, K2))
