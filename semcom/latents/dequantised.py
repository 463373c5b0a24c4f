"""Quantised latents as noisy ones: a value and a noise level for each element, as a channel would have left them.

A coder restores an element to its mean y over the interval that the received integer stands for; the element is x = y + e, e of
variance D and without mean there. A denoiser expects the converse, u = x + sigma n with n that knows nothing of x. In an interval
where x has the mean y and the variance D, that is

    u = y (1 + D / y^2),    sigma^2 = D (1 + D / y^2):    E (u - x) x = 0,  E (u - x)^2 = sigma^2

(the test channel of rate-distortion theory, Cover and Thomas 2006, section 10.3, in each interval by itself). An interval around 0
has y = 0 and no such u: what arrived is that x is small, which is the level at which a linear estimate from the channel's power p
is left with D, 1 / sigma^2 = 1 / D - 1 / p. Where D is all of p nothing is known and sigma = inf, as of channels that were not sent.

D: latents are close to Laplacian, so that over an interval of one step their density falls by a factor exp(-a). Beside 0 the coder's
tables tell a, by how far means lie from the middle (`Tables.centres`); around 0 the power does, a = step sqrt(2 / p), so that D
comes to p as the step grows.
"""

from __future__ import annotations

from dataclasses import dataclass

import lazy_loader as lazy
import numpy as np

from semcom.errors import ScenarioError
from semcom.latents.allocation import relative
from semcom.latents.codec import Corrupt, LatentCodec, Quantised
from semcom.latents.coder import LatentCoder, marked
from semcom.latents.tables import CENTRE
from semcom.types import ReceivedBits

torch = lazy.load("torch")

#: falls of the density over one step, from flat to all at the lower end
FALLS = np.geomspace(1e-3, 400.0, 2000)
#: signal-to-noise ratio, of powers, below which a zero tells nothing
LEAST = 1e-3


@dataclass(frozen=True)
class Dequantised:
    """Latents of unit RMS over n channels, of rows that were readable.

    ``values``, ``levels`` float32 [B, n, h, w]: clean latents plus noise of these levels, 0 to inf; ``restored`` [B, n, h, w]
    as the coder puts them; ``ok`` bool [B].
    """

    values: torch.Tensor
    levels: torch.Tensor
    restored: torch.Tensor
    ok: torch.Tensor

    def unbiased(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(latents as they arrived, their noise levels), as `semcom.latents.received.Arrived` has them."""
        return self.values, self.levels

    def within(self, level: float) -> torch.Tensor:
        """bool [B]: the step is fine enough for noise of at most ``level`` everywhere."""
        return (self.levels <= level).flatten(1).all(1)

    def plain(self, coder: LatentCoder) -> torch.Tensor:
        """Pixels [B, 3, H, W] of the latents as the coder restores them."""
        return coder.pictures(marked(self.restored))


def dequantised(coder: LatentCoder, part: ReceivedBits, size: tuple[int, int]) -> Dequantised:
    """What the bits of `transmit: vae_latent_quantised` hold of pictures of ``size`` (H, W); a code that did not arrive, or that
    is none, leaves every level inf. Raises: ScenarioError where the autoencoder has no tables."""
    if coder.codec is None:
        raise ScenarioError("quantised latents arrived and the autoencoder has no tables; give transmit and receive the same one")
    grid = coder.grid(size)
    rows = zip(part.bits.cpu().numpy(), part.lengths.tolist(), part.ok.tolist(), strict=True)
    codes = [_read(coder.codec, bits[:length], grid) if arrived else None for bits, length, arrived in rows]
    count = max((len(code.values) for code in codes if code is not None), default=coder.channels)
    shape = (len(codes), count, *grid)
    values, restored, levels = np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.full(shape, np.inf, np.float32)
    for row, code in enumerate(codes):
        if code is not None:
            n = len(code.values)
            restored[row, :n] = coder.codec.restore(code)
            values[row, :n], levels[row, :n] = as_noisy(coder.codec, code, relative(coder.power[:n]))
    ok = np.array([code is not None for code in codes])
    return Dequantised(*(torch.from_numpy(x).to(coder.device) for x in (values, levels, restored, ok)))


def as_noisy(codec: LatentCodec, code: Quantised, power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(values, noise levels) float64 [n, h, w] of a code; ``power`` [n]: the channels' mean squares at unit RMS over them."""
    n, zero = len(code.values), code.values == 0
    step, centre = (x[:, None, None] for x in (codec.tables.step(code.index, n), codec.tables.centre(n)))
    power = power[:, None, None]
    above = step**2 * beside(codec.tables.centres[code.index, :n, 0] / CENTRE)[:, None, None]
    around = step**2 * about_zero(step * np.sqrt(2.0 / power))
    from_centre = codec.restore(code) - centre
    stretch = 1.0 + above / np.where(zero, np.inf, from_centre) ** 2
    known = power / around - 1.0
    small = np.where(known > LEAST, np.sqrt(power / np.maximum(known, LEAST)), np.inf)
    return centre + from_centre * stretch, np.where(zero, small, np.sqrt(above * stretch))


def beside(shift: np.ndarray) -> np.ndarray:
    """Variance in squared steps inside an interval whose mean lies ``shift`` steps, 0 to 1/2, below its middle.

    Of a density that falls by exp(-a): shift = coth(a / 2) / 2 - 1 / a, variance 1 / a^2 - 1 / (4 sinh(a / 2)^2).

    >>> round(float(12 * beside(np.array(0.0))), 2)
    1.0
    """
    a, h = FALLS, FALLS / 2.0
    variance = 1.0 / a**2 - 1.0 / (4.0 * np.sinh(np.minimum(h, 300.0)) ** 2)
    return np.interp(shift, 0.5 / np.tanh(h) - 1.0 / a, variance)


def about_zero(fall: np.ndarray) -> np.ndarray:
    """The same of the interval around 0, where the density falls to both sides by exp(-a) a step, a = ``fall``.

    E x^2 = (2 - e^-h (h^2 + 2 h + 2)) / (a^2 (1 - e^-h)), h = a / 2: 1/12 where it is flat, 2 / a^2 where all lies inside.

    >>> [round(float(12 * about_zero(np.array(a))), 2) for a in (0.0, 100.0)]
    [1.0, 0.0]
    """
    a = np.maximum(fall, FALLS[0])
    h = a / 2.0
    return (2.0 - np.exp(-h) * (h**2 + 2.0 * h + 2.0)) / (a**2 * -np.expm1(-h))


def _read(codec: LatentCodec, bits: np.ndarray, grid: tuple[int, int]) -> Quantised | None:
    try:
        return codec.decode(bits, *grid)
    except Corrupt:  # an error that the CRCs did not see
        return None
