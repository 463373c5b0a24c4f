"""The analog label map of GESCO's circulating code: planes of ones and zeros, noise by a printed label, a filter.

One plane each of the classes that are in the map, 1 where the class is; then one of edges, 1 where a pixel differs from one of
its four neighbours. There it marks edges of instances, which data sets of classes alone do not have: here of classes. The list
of the classes that are in the map is sent beside (12 bits). Noise is added with a standard deviation that belongs to a printed
label, without any normalisation of power; planes of classes that are not in the list are zero at the receiver. What the code
calls fast denoising is a 3x3 mean and a 3x3 maximum of every plane (`semcom.maps.analog.filtered`).

References: Grassucci, Barbarossa, Comminiello 2023, arXiv 2306.04321; its code at github.com/ispamm/GESCO, image_sample.py
(`SNR_DICT`, `preprocess_input_luigi`), commit 9ba06fa.
"""

from __future__ import annotations

import math

import lazy_loader as lazy

from semcom.maps.analog import Denoise, decided, filtered
from semcom.maps.received import CLASSES, ReceivedMap, SoftMap
from semcom.types import Bits, Reals, Received, ReceivedReals

torch = lazy.load("torch")

FORM = "gesco_planes"
#: printed label -> standard deviation of the noise that is added
NOISE_STD = {100: 0.0, 30: 0.05, 25: 0.08, 20: 0.13, 15: 0.22, 10: 0.36, 5: 0.6, 1: 0.9}
#: what transmitters of such planes make and `link: gesco` carries
CARRIED = "planes without power normalisation"
#: two reals make one symbol x = (s1 + j s2) / sqrt(2)
REALS_A_USE = 2
#: planes of all classes, and one of edges
MOST_PLANES = CLASSES + 1


def psnr_db(label: int) -> float:
    """What a label is: the ratio of a plane's peak, 1, to the mean square of its noise [dB].

    >>> round(psnr_db(10), 1), psnr_db(100)
    (8.9, inf)
    """
    std = NOISE_STD[label]
    return -20.0 * math.log10(std) if std else math.inf


def class_edges(labels: torch.Tensor) -> torch.Tensor:
    """bool [B, H, W]: pixels of classes [B, H, W] that differ from one of their four neighbours."""
    edges = torch.zeros_like(labels, dtype=torch.bool)
    across, down = labels[:, :, 1:] != labels[:, :, :-1], labels[:, 1:] != labels[:, :-1]
    edges[:, :, 1:] |= across
    edges[:, :, :-1] |= across
    edges[:, 1:] |= down
    edges[:, :-1] |= down
    return edges


def present(labels: torch.Tensor) -> torch.Tensor:
    """bool [B, 12]: which classes are in maps [B, H, W]."""
    return (labels.flatten(1)[:, None] == torch.arange(CLASSES, device=labels.device)[:, None]).any(dim=2)


def planes_sent(classes: torch.Tensor) -> torch.Tensor:
    """int64 [B]: planes that a map with these classes (bits or bools [B, 12]) is, edges among them."""
    return classes.to(torch.int64).sum(dim=1) + 1


def channel_uses(reals):
    """What as many reals take, a whole number or a tensor of them."""
    return (reals + REALS_A_USE - 1) // REALS_A_USE


def encode(labels: torch.Tensor) -> tuple[Reals, Bits]:
    """The part of a message and its class list, from maps int64 [B, H, W].

    The planes that are sent come first; zeros that are not sent fill up what other maps would need.
    """
    classes = present(labels)
    values = torch.zeros(len(labels), MOST_PLANES, *labels.shape[1:])
    edges = class_edges(labels)
    for row, held in enumerate(classes):
        found = held.nonzero()[:, 0]
        values[row, : len(found)] = (labels[row] == found[:, None, None]).to(torch.float32)
        values[row, len(found)] = edges[row].to(torch.float32)
    lengths = torch.full((len(labels),), CLASSES, dtype=torch.int64)
    return Reals(values.flatten(1), (MOST_PLANES, *labels.shape[1:]), form=FORM), Bits(classes.to(torch.uint8), lengths)


def received_planes(part: ReceivedReals, received: Received) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Planes float32 [B, 12, H, W], zero where a class is not listed; which are listed, bool [B, 12]; noise float32 [B]."""
    classes = received.side.bits.to(torch.bool)
    values = part.values.reshape(-1, *part.shape)
    place = (classes.to(torch.int64).cumsum(dim=1) - 1).clamp(min=0)
    planes = values.gather(1, place[:, :, None, None].expand(-1, -1, *part.shape[1:]))
    return torch.where(classes[:, :, None, None], planes, 0.0), classes, part.noise_std[:, 0]


def edges_received(part: ReceivedReals, received: Received) -> torch.Tensor:
    """The plane of edges as it arrived, float32 [B, 1, H, W], which generative receivers are conditioned on as well."""
    last = (planes_sent(received.side.bits) - 1)[:, None, None, None]
    return part.values.reshape(-1, *part.shape).gather(1, last.expand(-1, 1, *part.shape[1:]))


def soft(part: ReceivedReals, received: Received) -> SoftMap:
    """The posterior of each pixel given its planes alone, all classes of the list being equally probable beforehand."""
    planes, classes, noise = received_planes(part, received)
    # |y - e_c|^2 = |y|^2 + 1 - 2 y_c, so that p(c) goes as exp(y_c / s^2)
    scores = planes / noise.square().clamp(min=torch.finfo(torch.float32).tiny ** 0.5)[:, None, None, None]
    probabilities = scores.masked_fill(~classes[:, :, None, None], -math.inf).softmax(dim=1)
    known = part.ok[:, None, None].expand(-1, *part.shape[1:])
    return SoftMap(torch.where(known[:, None], probabilities, 1.0 / CLASSES), known)


def hard(part: ReceivedReals, received: Received, denoise: Denoise = "mean") -> ReceivedMap:
    """The listed class whose plane is largest, after what ``denoise`` says is done to the planes."""
    planes, classes, _ = received_planes(part, received)
    shown = filtered(planes, denoise).masked_fill(~classes[:, :, None, None], -math.inf)
    return decided(shown, soft(part, received))
