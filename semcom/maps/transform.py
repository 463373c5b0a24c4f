"""Label maps as DCT coefficients of uncorrelated components of class planes, sent as they are: an analog map.

Values come in order of importance, largest variance first, with power shared out by variance^(-1/4) (`semcom.maps.spectrum`),
and have unit RMS a picture. The scale of a picture is not told: over CamVid's tuning frames the RMS before that lies within
-0.6 and +2.2 dB of what both ends expect of it, and telling it without cost changed the mean IoU by at most 0.007.

At the receiver a coefficient of expected power P and noise s is shrunk by P / (P + s^2), which is 0 where nothing arrived, and
the inverse DCT gives each pixel an estimate z of its ten components. Its class c has the components b_c; with the variance l
of a component, of which k are left on average in the estimate, z is taken as Gaussian with mean (k / l) b_c and variance
k (1 - k / l), and Bayes' rule gives

    log p(c) = log m_c + sum over components of b_c (z - k b_c / (2 l)) / (l - k) + constant.

What noise leaves behind is Gaussian; what was never sent lies at the edges of things, where this is too sure of itself. Handed on
is log p(c) / 3 (`TEMPERATURE`), which leaves the order of the classes as it is. Mean -ln p(true class) and expected calibration error
over tuning frames, as above and tempered (12 of CamVid; 11 of LabelMeFacade say the same):

    k, SNR         4096, 0 dB    4096, 10 dB   1024, 5 dB    256, 0 dB     256, 10 dB
    log p          0.47 / 0.045  0.44 / 0.031  0.73 / 0.064  0.82 / 0.100  1.02 / 0.099
    log p / 3      0.22 / 0.019  0.25 / 0.025  0.32 / 0.037  0.64 / 0.124  0.45 / 0.042

References: Guo, Pleiss, Sun, Weinberger 2017, "On calibration of modern neural networks" (temperature).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import lazy_loader as lazy

from semcom.maps.analog import Denoise, decided, filtered, sent_classes
from semcom.maps.received import ReceivedMap, SoftMap
from semcom.maps.spectrum import PLANES, class_planes, statistics
from semcom.softcast import dct_matrix
from semcom.types import Reals, Received, ReceivedReals

torch = lazy.load("torch")

FORM = "class_dct"
#: of the variance of a component, what a receiver supposes not to know even if all arrived
LEAST_UNKNOWN = 1e-3
#: what log probabilities are divided by
TEMPERATURE = 3.0
#: pictures that are analysed or synthesised together; memory depends on it
TOGETHER = 16


@dataclass(frozen=True)
class Format:
    """Coefficients of maps of one size. In order of importance: ``order`` int64 [N], where they lie among [10, H, W];
    ``variance`` float32 [N]; ``component`` int64 [N]. ``pixel`` float32 [10]: variance of a pixel's components."""

    size: tuple[int, int]
    order: torch.Tensor
    variance: torch.Tensor
    component: torch.Tensor
    pixel: torch.Tensor
    mixed: torch.Tensor  # [10, 11]: components from planes
    mean: torch.Tensor  # [11]
    rows: torch.Tensor
    columns: torch.Tensor

    def analyse(self, labels: torch.Tensor, count: int) -> torch.Tensor:
        """The ``count`` most important coefficients float32 [B, count] of classes int64 [B, H, W]."""
        components = torch.einsum("ck,bkhw->bchw", self.mixed, class_planes(labels, self.mean))
        return (self.rows @ components @ self.columns.T).flatten(1)[:, self.order[:count]]

    def synthesise(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Components float32 [B, 10, H, W] of the most important coefficients [B, count]; the others are 0."""
        spectrum = coefficients.new_zeros(len(coefficients), len(self.order))
        spectrum[:, self.order[: coefficients.shape[1]]] = coefficients
        return self.rows.T @ spectrum.reshape(-1, PLANES - 1, *self.size) @ self.columns

    def powers(self, count: int) -> torch.Tensor:
        """Expected power float32 [count] of what is sent of each; their mean is 1."""
        root = self.variance[:count].sqrt()
        return root * (count / root.sum())

    def log_probabilities(self, components: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """float32 [B, 11, H, W], but for a constant, from estimates [B, 10, H, W] that hold variances ``kept`` [B, 10]."""
        classes = self.mixed - (self.mixed @ self.mean)[:, None]  # b: [10, 11]
        unknown = (self.pixel - kept).clamp(min=LEAST_UNKNOWN * self.pixel)
        slopes = classes / unknown[:, :, None]
        levels = self.mean.log() - 0.5 * ((kept / self.pixel)[:, :, None] * classes * slopes).sum(1)
        return torch.einsum("bck,bchw->bkhw", slopes, components) + levels[:, :, None, None]


@lru_cache(maxsize=8)
def format_of(size: tuple[int, int], device: str) -> Format:
    """The format of maps of ``size`` (H, W)."""
    known = statistics()
    pixel, vectors = known.components()
    variance = known.variances(size).flatten()
    # in steps of 2^-20 of an octave, so that machines whose logarithms differ in the last bit agree on the order
    order = torch.argsort((variance.log2() * 2**20).round(), descending=True, stable=True)
    single = {"device": device, "dtype": torch.float32}
    return Format(
        size=size,
        order=order.to(device),
        variance=variance[order].to(**single),
        component=(order // (size[0] * size[1])).to(device),
        pixel=pixel.to(**single),
        mixed=(vectors * known.weights).to(**single),
        mean=known.mean.to(**single),
        rows=dct_matrix(size[0]).to(**single),
        columns=dct_matrix(size[1]).to(**single),
    )


def encode(labels: torch.Tensor, reals: int, device: str) -> Reals:
    """The part of a message: as many coefficients of maps int64 [B, H, W] as ``reals`` hold, at unit RMS a map."""
    form = format_of(tuple(labels.shape[1:]), device)
    count = min(reals, len(form.order))
    amplitude = (form.powers(count) / form.variance[:count]).sqrt()
    values = torch.cat([form.analyse(some.to(device), count) for some in labels.split(TOGETHER)]) * amplitude
    rms = values.square().mean(1, keepdim=True).sqrt()
    # a map that is void alone is all zeros
    return Reals(values / rms.clamp(min=torch.finfo(torch.float32).tiny), (count,), form=FORM)


def soft(part: ReceivedReals, received: Received) -> SoftMap:
    """The posterior of each pixel, at the size of the picture; void is not sent and has probability 0."""
    form = format_of(tuple(received.image_size), str(part.values.device))
    count = part.shape[0]
    powers, variance = form.powers(count), form.variance[:count]
    arrived = part.noise_std.isfinite()
    share = torch.where(arrived, powers / (powers + torch.where(arrived, part.noise_std, 0.0).square()), 0.0)
    values = torch.where(arrived, part.values, 0.0) * share * (variance / powers).sqrt()
    kept = torch.zeros(len(values), PLANES - 1, device=values.device).index_add(1, form.component[:count], variance * share)
    kept = kept / (form.size[0] * form.size[1])
    probabilities = [
        (form.log_probabilities(form.synthesise(some), held) / TEMPERATURE).softmax(dim=1)
        for some, held in zip(values.split(TOGETHER), kept.split(TOGETHER), strict=True)
    ]
    known = arrived.any(dim=1)
    return sent_classes(torch.cat(probabilities), known[:, None, None].expand(-1, *form.size))


def hard(part: ReceivedReals, received: Received, denoise: Denoise = "mean") -> ReceivedMap:
    """The most probable class, after what ``denoise`` says is done to the probabilities."""
    found = soft(part, received)
    return decided(filtered(found.probabilities, denoise), found)
