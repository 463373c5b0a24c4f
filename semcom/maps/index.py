"""Label maps as fixed-length indices: so many bits a pixel, each of which means something by itself when others are wrong."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import lazy_loader as lazy

from semcom.classes import UNKNOWN
from semcom.maps.received import CLASSES, ReceivedMap, SoftMap
from semcom.types import Bits, Received, ReceivedBits

torch = lazy.load("torch")

FORM = "index_map"
BITS = (CLASSES - 1).bit_length()


def message(labels: torch.Tensor) -> Bits:
    """The digital part of maps int64 [B, h, w]: the class of each pixel, row by row, the most significant bit first."""
    bits = (labels[..., None] >> torch.arange(BITS - 1, -1, -1)) & 1
    rows, length = bits.to(torch.uint8).flatten(1), bits[0].numel() if len(bits) else 0
    return Bits(rows, torch.full((len(labels),), length, dtype=torch.int64), shape=(*labels.shape[1:], BITS), form=FORM)


def soft(part: ReceivedBits, received: Received) -> SoftMap:
    """What is known of each pixel: certain where the bits are known to be right, else what their LLRs say.

    P(class) is the product over its bits of P(bit) = 1 / (1 + exp(-+ LLR)), scaled so that it adds to 1 over the classes.
    """
    height, width, _ = part.shape
    part = _trimmed(part)
    certain = SoftMap.of_labels(_decided(part).reshape(-1, height, width))
    if part.llr is None:
        return certain
    llr = part.llr.reshape(-1, height, width, BITS).float()
    ones = _codes().to(llr.device)
    log = torch.nn.functional.logsigmoid
    told = torch.einsum("bhwm,cm->bchw", log(llr), ones) + torch.einsum("bhwm,cm->bchw", log(-llr), 1.0 - ones)
    ok = part.ok[:, None, None]
    return SoftMap(
        torch.where(ok[:, None], certain.probabilities, told.softmax(dim=1)), torch.where(ok, certain.known, (llr != 0).any(dim=3))
    )


def hard(part: ReceivedBits, received: Received) -> ReceivedMap:
    """The most probable class of each pixel."""
    return ReceivedMap.of_soft(soft(part, received), tuple(received.image_size))


def _trimmed(part: ReceivedBits) -> ReceivedBits:
    """Without what fills the last packet."""
    count = part.shape[0] * part.shape[1] * BITS
    cut = {name: getattr(part, name) for name in ("bits", "arrived", "llr")}
    return replace(part, **{name: None if value is None else value[:, :count] for name, value in cut.items()})


def _decided(part: ReceivedBits) -> torch.Tensor:
    """int64 [B, pixels] from bits that are known to be right; UNKNOWN where one is missing, or where they are no class."""
    bits = part.bits.unflatten(1, (-1, BITS)).to(torch.int64)
    index = (bits << torch.arange(BITS - 1, -1, -1, device=bits.device)).sum(dim=2)
    known = part.ok[:, None].expand(index.shape) if part.arrived is None else part.arrived.unflatten(1, (-1, BITS)).all(dim=2)
    return torch.where(known & (index < CLASSES), index, UNKNOWN)


@lru_cache(maxsize=1)
def _codes() -> torch.Tensor:
    """float32 [12, 4]: the bits of each class."""
    return ((torch.arange(CLASSES)[:, None] >> torch.arange(BITS - 1, -1, -1)) & 1).to(torch.float32)
