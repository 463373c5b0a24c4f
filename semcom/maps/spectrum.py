"""What is known beforehand of label maps as pictures: how frequent classes are, and how their variance falls with frequency.

A label map is 11 class planes: 1 where the class is, 0 elsewhere. Less the class's mean m, and weighted by m^(-1/4) (a
compromise between pixels and classes, so that a pole counts for more than its pixels), the planes turn into ten uncorrelated
components, because planes add to 1. The two-dimensional DCT of each component has variances that fall with frequency much
alike from map to map. Both ends know them: a table of ten components over logarithmically spaced frequencies, fitted to
training maps by `fit` and interpolated for any size of picture, because it is in half cycles a picture.

Mean IoU [%] of class planes as they are, and of components' DCT coefficients with the weights m^(-g/2) (AWGN, 34 true maps of
CamVid's tuning frames 128x256, k complex uses, statistics of CamVid, LabelMeFacade and streets):

    k      SNR      planes   g = 0   g = 1/2   g = 1
    4096   0 dB     65       71      75        75
    4096   10 dB    71       83      84        85
    256    0 dB     39       39      41        40
    256    10 dB    45       52      58        59

(DCT: argmax of the linear estimate; the posterior in `semcom.maps.transform` adds 2 to 12.) Sharing the power by
variance^(-1/4) is as good as or better than waterfilling at every SNR from 0 to 10 dB, so nothing depends on the SNR.

References: Jakubczak and Katabi 2011, the power allocation; Ahmed, Natarajan, Rao 1974, the DCT.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import lazy_loader as lazy

from semcom.errors import DataError
from semcom.softcast import dct_matrix

torch = lazy.load("torch")

#: classes that are sent; void, which no metric counts, is sent as the mean of all
PLANES = 11
#: weight of a plane is mean^(-WEIGHTING/2)
WEIGHTING = 0.5
#: half cycles over the height and the width at which variances are listed; beyond the last one they stay as they are
ROWS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
COLUMNS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)

_FILE = files("semcom.maps") / "class_spectrum.json"


@dataclass(frozen=True)
class Statistics:
    """``mean`` float64 [11], share of each class; ``log2`` float64 [10, ROWS, COLUMNS], variances relative to each other."""

    mean: torch.Tensor
    log2: torch.Tensor

    @property
    def weights(self) -> torch.Tensor:
        """float64 [11]"""
        return self.mean ** (-WEIGHTING / 2.0)

    def components(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Variance of a pixel's components float64 [10], and what weighted planes add up to them float64 [10, 11].

        One pixel is one of the classes with probabilities m: the covariance of its planes is diag(m) - m m^T.
        """
        scale = torch.diag(self.weights)
        covariance = scale @ (torch.diag(self.mean) - torch.outer(self.mean, self.mean)) @ scale
        values, vectors = torch.linalg.eigh(covariance)
        vectors = vectors.flip(1).T[: PLANES - 1]
        largest = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))  # eigenvectors have a sign by convention only
        return values.flip(0)[: PLANES - 1], vectors * largest.sign()

    def variances(self, size: tuple[int, int]) -> torch.Tensor:
        """float64 [10, H, W]: variance of each orthonormal DCT coefficient of maps of this size."""
        rows, columns = _hats(size[0], ROWS), _hats(size[1], COLUMNS)
        shape = torch.exp2(torch.einsum("ui,cij,vj->cuv", rows, self.log2, columns))
        variance, _ = self.components()
        return shape * (variance * size[0] * size[1] / shape.sum((1, 2)))[:, None, None]


@lru_cache(maxsize=1)
def statistics() -> Statistics:
    """Those that ship."""
    held = json.loads(_FILE.read_text(encoding="utf-8"))
    return Statistics(torch.tensor(held["mean"], dtype=torch.float64), torch.tensor(held["log2"], dtype=torch.float64))


@lru_cache(maxsize=1)
def statistics_digest() -> str:
    """What tells these statistics from others: the first 16 hex digits of SHA-256."""
    return hashlib.sha256(_FILE.read_bytes()).hexdigest()[:16]


def class_planes(labels: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """float32 [B, 11, H, W] from classes int64 [B, H, W]: 1 where the class is, less its mean; 0 in void."""
    mean = mean.to(labels.device, torch.float32)[:, None, None]
    sent = labels < PLANES
    planes = torch.nn.functional.one_hot(torch.where(sent, labels, 0), PLANES).movedim(-1, 1).to(torch.float32)
    return torch.where(sent[:, None], planes - mean, 0.0)


def fit(sets: Mapping[str, torch.Tensor]) -> dict:
    """What the file of statistics holds, from maps int64 [n, H, W] of several sets, each of which counts the same.

    Raises: DataError for maps that do not have all the frequencies that are listed.
    """
    for name, maps in sets.items():
        if maps.shape[1] < ROWS[-1] or maps.shape[2] < COLUMNS[-1]:
            raise DataError(f"maps of {name} are {maps.shape[1]}x{maps.shape[2]}; at least {ROWS[-1]}x{COLUMNS[-1]} are needed")
    counts = [torch.bincount(maps[maps < PLANES].flatten(), minlength=PLANES).double() for maps in sets.values()]
    mean = torch.stack([count / count.sum() for count in counts]).mean(0)
    mean = _rounded(mean / mean.sum(), 6)
    flat = Statistics(mean, torch.zeros(PLANES - 1, len(ROWS), len(COLUMNS), dtype=torch.float64))
    variance = torch.stack([_measured(maps, flat) for maps in sets.values()]).mean(0)
    rows, columns = _hats(variance.shape[1], ROWS), _hats(variance.shape[2], COLUMNS)
    table = torch.einsum("ui,cuv,vj->cij", rows, variance, columns) / torch.einsum("ui,vj->ij", rows, columns)
    log2 = table.clamp(min=2.0**-30).log2()
    fitted = {name: len(maps) for name, maps in sets.items()}
    return {"maps": fitted, "mean": mean.tolist(), "log2": _rounded(log2 - log2.amax(dim=(1, 2), keepdim=True), 2).tolist()}


def _measured(maps: torch.Tensor, known: Statistics) -> torch.Tensor:
    """Mean square of the DCT coefficients of components, float64 [10, H, W], of maps of one size."""
    _, vectors = known.components()
    mixed = (vectors * known.weights).to(torch.float32)
    rows, columns = (dct_matrix(side).to(torch.float32) for side in maps.shape[1:])
    total = torch.zeros(PLANES - 1, *maps.shape[1:], dtype=torch.float64)
    for some in maps.split(8):
        components = torch.einsum("ck,bkhw->bchw", mixed, class_planes(some, known.mean))
        total += (rows @ components @ columns.T).double().square().sum(0)
    return total / len(maps)


def _hats(count: int, nodes: Sequence[int]) -> torch.Tensor:
    """float64 [count, nodes]: weights that interpolate at indices 0 to count - 1, linear in log(1 + index)."""
    places, at = (torch.log1p(torch.as_tensor(x, dtype=torch.float64)) for x in (range(count), nodes))
    left = (torch.searchsorted(at, places, right=True) - 1).clamp(0, len(nodes) - 2)
    share = ((places - at[left]) / (at[left + 1] - at[left])).clamp(max=1.0)
    weights = torch.zeros(count, len(nodes), dtype=torch.float64)
    index = torch.arange(count)
    weights[index, left], weights[index, left + 1] = 1.0 - share, share
    return weights


def _rounded(values: torch.Tensor, digits: int) -> torch.Tensor:
    return (values * 10**digits).round() / 10**digits


def kept_power(size: tuple[int, int], grid: tuple[int, int]) -> float:
    """Expected sum over planes of the mean square of a cell, when maps of ``size`` are averaged over a grid of cells.

    Averaging over cells leaves about the frequencies below those that the cells sample.
    """
    known = statistics()
    _, vectors = known.components()
    shares = (vectors / known.weights).square().sum(1)
    low = known.variances(size)[:, : grid[0], : grid[1]].sum((1, 2))
    return float((shares * low).sum()) / math.prod(size)
