"""Label maps as class planes on a coarse grid, sent as they are: the plainest analog map.

The planes of the 11 classes (1 where the class is, less its mean) are averaged over the cells of the finest grid of about the
picture's proportions that the reals hold: 4096 channel uses are 8192 reals and hold 11 planes of 19x39 (with void as a twelfth
they would be 18x37). Values have unit RMS a picture; its scale is not told: over CamVid's tuning frames the RMS before that
is within 12 % of its mean, and the receiver counts on what `semcom.maps.spectrum` expects.

At the receiver a cell with planes y of noise variances s^2 has the class c with probability proportional to
m_c exp(-sum over planes k of (y_k - e_ck)^2 / (2 (s_k^2 + u))), where e_c is 1 in plane c alone, m its mean, and u what cells
that hold several classes deviate by. Between cells probabilities are interpolated.
"""

from __future__ import annotations

import math

import lazy_loader as lazy

from semcom.maps.analog import Denoise, decided, filtered, sent_classes
from semcom.maps.received import ReceivedMap, SoftMap
from semcom.maps.spectrum import PLANES, class_planes, kept_power, statistics
from semcom.types import Reals, Received, ReceivedReals

torch = lazy.load("torch")

FORM = "class_planes"
#: variance of a plane that a receiver never supposes to fall below
LEAST_SPREAD = 1e-3

Size = tuple[int, int]


def grid_of(reals: int, size: Size) -> Size | None:
    """Cells (h, w) of the grid that ``reals`` hold for a picture of ``size``; None where they hold no cell.

    >>> grid_of(8192, (128, 256)), grid_of(2 * 4096 * 11 // 12, (128, 256)), grid_of(10, (128, 256))
    ((19, 39), (18, 37), None)
    """
    cells = reals // PLANES
    if not cells:
        return None
    h = min(size[0], cells, max(1, math.isqrt(cells * size[0] // size[1])))
    return h, min(size[1], cells // h)


def averages(count: int, side: int) -> torch.Tensor:
    """float32 [count, side]: the mean over each of ``count`` equal intervals, of pixels that may lie in two."""
    edges = torch.arange(count + 1, dtype=torch.float64) * side / count
    pixels = torch.arange(side, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
    return (overlap.clamp(min=0.0) * count / side).to(torch.float32)


def encode(labels: torch.Tensor, reals: int, device: str) -> Reals | None:
    """The part of a message of maps int64 [B, H, W], at unit RMS a map; None where not even one cell fits."""
    size = tuple(labels.shape[1:])
    grid = grid_of(reals, size)
    if grid is None:
        return None
    rows, columns = (averages(count, side).to(device) for count, side in zip(grid, size, strict=True))
    values = (rows @ class_planes(labels.to(device), statistics().mean) @ columns.T).flatten(1)
    rms = values.square().mean(1, keepdim=True).sqrt()
    # a map that is void alone is all zeros
    return Reals(values / rms.clamp(min=torch.finfo(torch.float32).tiny), (PLANES, *grid), form=FORM)


def soft(part: ReceivedReals, received: Received) -> SoftMap:
    """The posterior of each cell, on the grid that was sent; void is not sent and has probability 0."""
    grid = tuple(part.shape[1:])
    mean = statistics().mean.to(part.values.device, torch.float32)
    kept = kept_power(tuple(received.image_size), grid)
    scale = math.sqrt(kept / PLANES)
    spread = max((1.0 - float(statistics().mean.square().sum()) - kept) / PLANES, LEAST_SPREAD)
    y, noise = (x.reshape(-1, *part.shape) * scale for x in (part.values, part.noise_std))
    y = y + mean[:, None, None]
    # (y_c - e_c)^2 less what all classes share; nothing of a plane that did not arrive
    scores = (y - 0.5) / (noise.square() + spread) + mean.log()[:, None, None]
    return sent_classes(scores.softmax(dim=1), noise.isfinite().any(dim=1))


def hard(part: ReceivedReals, received: Received, denoise: Denoise = "mean") -> ReceivedMap:
    """The most probable class of each pixel between the cells, after what ``denoise`` says is done to the probabilities."""
    found = soft(part, received)
    shown = torch.nn.functional.interpolate(found.probabilities, size=tuple(received.image_size), mode="bilinear")
    return decided(filtered(shown, denoise), found)
