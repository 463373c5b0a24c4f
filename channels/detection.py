"""Linear detection of several streams: zero forcing and LMMSE, handed on without bias, with the noise of each stream."""

from __future__ import annotations

from dataclasses import dataclass

import lazy_loader as lazy

torch = lazy.load("torch")

DETECTORS = ("zf", "lmmse")


@dataclass(frozen=True)
class LinearDetector:
    """``weights`` complex64 [..., S, Nr] with x_hat = weights y unbiased; ``noise_var`` float32 [..., S] of x_hat - x."""

    weights: torch.Tensor
    noise_var: torch.Tensor

    def __call__(self, y: torch.Tensor) -> torch.Tensor:
        """Streams complex64 [..., S] from antennas y complex64 [..., Nr]; leading sizes broadcast."""
        return (self.weights @ y[..., None])[..., 0]


def linear_detector(h: torch.Tensor, noise_var: torch.Tensor, method: str, coloured: torch.Tensor | None = None) -> LinearDetector:
    """The detector of y = h x + n, with streams x of unit energy and noise of variance ``noise_var`` an antenna.

    With G = h / sigma (whitened): zero forcing has E = (G^H G)^-1, weights E G^H, and stream i has the noise variance
    E_ii. LMMSE has E = (G^H G + I)^-1; E G^H shrinks stream i by 1 - E_ii, which is divided out; what remains, noise and
    other streams together, has the variance E_ii / (1 - E_ii) = 1 / SINR_i, with SINR_i = 1 / E_ii - 1.
    LMMSE's is never above zero forcing's: among all weights that pass stream i with gain 1 it has the least error.
    A stream that cannot be separated (no antenna hears it; for zero forcing, h without full column rank) has weights 0
    and noise variance inf.

    Where h is an estimate, add error variance times transmitted power to ``noise_var``: the error turns what all streams
    send into noise, the same at each antenna.

    ``coloured`` complex [..., Nr, K]: K more sources of noise, each of unit variance and heard by all antennas in step, such as
    the distortion of an amplifier that comes over h as the signal does. Then E = (G^H R^-1 G + I)^-1 and weights
    E G^H R^-1, with R = I + F F^H and F the whitened sources (for zero forcing without the I).

    Shapes: h complex [..., Nr, S]; noise_var [..., Nr], or broadcastable to it, inf where an antenna heard nothing.
    References: Tse, Viswanath 2005, section 8.3; Verdu 1998, chapter 6.
    """
    if method not in DETECTORS:
        raise ValueError(f"detector '{method}'; allowed: {', '.join(DETECTORS)}")
    if h.ndim < 2 or (method == "zf" and h.shape[-1] > h.shape[-2]):
        raise ValueError(f"zero forcing of {h.shape[-1]} streams with {h.shape[-2]} receive antennas; at most as many as antennas")
    noise_var = torch.as_tensor(noise_var, device=h.device).to(torch.float64)
    whitening = noise_var.rsqrt().expand(torch.broadcast_shapes(noise_var.shape, h.shape[-2:-1]))[..., None]
    g = whitening * h.to(torch.complex128)  # float64: an ill-conditioned h is squared here
    matched = g if coloured is None else _decorrelated(g, whitening * coloured.to(torch.complex128))
    adjoint = matched.mH.resolve_conj()
    gram = adjoint @ g
    if method == "lmmse":
        gram = gram + torch.eye(h.shape[-1], dtype=gram.dtype, device=gram.device)
    inverse, failed = torch.linalg.inv_ex(gram)
    error = inverse.diagonal(dim1=-2, dim2=-1).real
    kept = 1.0 - error if method == "lmmse" else torch.ones_like(error)
    # kept is 0 up to rounding where nothing was heard; an inverse beyond float64's precision is no inverse
    heard = (failed == 0)[..., None] & (error > 0) & (kept > _ROUNDING) & (error < 1.0 / _ROUNDING) & torch.isfinite(error)
    weights = torch.where(heard[..., None], inverse @ adjoint * whitening.mT / kept[..., None], 0.0)
    variance = torch.where(heard, error / kept, torch.inf)
    return LinearDetector(weights.to(torch.complex64), variance.to(torch.float32))


def _decorrelated(g: torch.Tensor, coloured: torch.Tensor) -> torch.Tensor:
    """(I + F F^H)^-1 G: the matched filter of G beside white noise and the sources F."""
    covariance = coloured @ coloured.mH + torch.eye(g.shape[-2], dtype=g.dtype, device=g.device)
    return torch.cholesky_solve(g.expand(*covariance.shape[:-2], *g.shape[-2:]), torch.linalg.cholesky(covariance))


#: relative rounding of float64 in a few operations
_ROUNDING = 1e-14
