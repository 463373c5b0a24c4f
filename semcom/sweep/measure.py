"""Metrics of pictures and label maps, each distinct pair measured once."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lazy_loader as lazy

from semcom.classes import UNKNOWN
from semcom.metrics.base import Quantity, evaluate, to_8bit
from semcom.protocols import MapMetric, Metric, Pair
from semcom.types import Reconstruction

torch = lazy.load("torch")

#: what is stored of one row: a number a column, a vector of whole numbers (numpy int32) or None for counts
Values = dict[str, Any]


@dataclass(frozen=True)
class Doubts:
    """What a receiver says of its own certainty: ``samples`` [B, S, 3, H, W] and ``uncertainty`` [B, H, W], where it does."""

    samples: torch.Tensor | None = None
    uncertainty: torch.Tensor | None = None

    @staticmethod
    def of(result: Reconstruction, ok: torch.Tensor) -> Doubts:
        """Those of a reconstruction; nan in the rows that are not ``ok`` bool [B]."""
        return Doubts(_or_nan(result.samples, ok), _or_nan(result.uncertainty, ok))

    def of_row(self, number: int) -> Doubts:
        return Doubts(*(None if one is None else one[number] for one in (self.samples, self.uncertainty)))

    def digests(self, count: int) -> list[bytes]:
        given = [one.cpu() for one in (self.samples, self.uncertainty) if one is not None]
        return [b"".join(_digest(one[row]) for one in given) for row in range(count)]


def _or_nan(values: torch.Tensor | None, ok: torch.Tensor) -> torch.Tensor | None:
    if values is None:
        return None
    return torch.where(ok.to(values.device).reshape(-1, *[1] * (values.ndim - 1)), values.float(), math.nan)


class Measure:
    """Measures reconstructions against originals.

    A reconstruction that was measured before (a file that arrives is the same picture at every SNR, a
    lost one is always grey) is looked up, not measured again. Where a metric looks at received label maps or at samples, the same
    picture with another map or with others is another reconstruction.
    """

    def __init__(self, metrics: Sequence[Metric | MapMetric], quantities: Mapping[str, Quantity], keep: int = 20_000):
        self.metrics, self.quantities = metrics, quantities
        self.columns = tuple(quantities)
        of_maps = [metric for metric in metrics if hasattr(metric, "of_maps")]
        #: what rows store: numbers, counts, and those of both that are the original's alone
        self.numbers = tuple(dict.fromkeys(column for metric in metrics for column in metric.columns))
        self.counts = tuple(name for metric in of_maps for name in metric.counts)
        self.fixed = frozenset(name for metric in of_maps for name in metric.fixed)
        self.wants_maps = bool(of_maps)
        self.wants_samples = any(getattr(metric, "wants_samples", False) for metric in of_maps)
        #: the prepared semantic metric, whose ``labels`` reads pictures; None where nothing does
        self.evaluator = next((metric for metric in of_maps if hasattr(metric, "labels")), None)
        self._known: OrderedDict[tuple[str, bytes, bytes, bytes], Values] = OrderedDict()
        self._keep = keep

    def __call__(
        self,
        images: Sequence[str],
        originals: torch.Tensor,
        pictures: torch.Tensor,
        truth: torch.Tensor | None = None,
        received: torch.Tensor | None = None,
        doubts: Doubts | None = None,
    ) -> list[Values]:
        """Metric values of each row. ``images`` B keys that tell originals apart; pixels [B, 3, H, W] in [0, 1];
        the labels of the originals and the received label maps int64 [B, H, W], and the receiver's doubts, where there are any."""
        pictures = to_8bit(pictures)
        received = None if received is None or not self.wants_maps else received.cpu()
        doubts = doubts if doubts is not None and self.wants_samples else Doubts()
        maps = [b""] * len(pictures) if received is None else [_digest(one.to(torch.uint8)) for one in received]
        keys = [
            (image, _digest(_codes(picture)), one, doubt)
            for image, picture, one, doubt in zip(images, pictures, maps, doubts.digests(len(pictures)), strict=True)
        ]
        fresh = {key: row for row, key in reversed(list(enumerate(keys))) if key not in self._known}
        if fresh:
            rows = torch.tensor(sorted(fresh.values()), device=pictures.device)
            pick = lambda x: None if x is None else x[rows.to(x.device)]  # noqa: E731
            pair = Pair(
                pick(originals).to(pictures.device), pictures[rows], pick(truth), pick(received), pick(doubts.samples), pick(doubts.uncertainty)
            )
            values = evaluate(self.metrics, pair)
            for place, row in enumerate(rows.tolist()):
                self._known[keys[row]] = self._row(values, place)
        result = [self._known[key] for key in keys]
        while len(self._known) > self._keep:
            self._known.popitem(last=False)
        return result

    def _row(self, values: Mapping[str, torch.Tensor], place: int) -> Values:
        numbers = {column: float(values[column][place]) if column in values else math.nan for column in self.numbers}
        vector = lambda name: values[name][place].cpu().numpy().astype("int32")  # noqa: E731
        return numbers | {name: vector(name) if name in values else None for name in self.counts}

    def nothing(self) -> Values:
        """What stands in a row of which nothing was measured."""
        return dict.fromkeys(self.numbers, math.nan) | dict.fromkeys(self.counts)


def shown(pixels: torch.Tensor, ok: torch.Tensor, instead: torch.Tensor | float) -> torch.Tensor:
    """``pixels`` [B, 3, H, W] with the rows that are not ``ok`` bool [B] replaced: by a grey level, or a picture [3, H, W]."""
    instead = torch.as_tensor(instead, dtype=pixels.dtype, device=pixels.device)
    return torch.where(ok.to(pixels.device)[:, None, None, None], pixels, instead)


def known(labels: torch.Tensor | None, ok: torch.Tensor, instead: torch.Tensor | int | None = UNKNOWN) -> torch.Tensor | None:
    """Received label maps int64 [B, H, W], where there are any, with the rows that are not ``ok`` bool [B] replaced: by what is
    unknown, or by a map [H, W]; None is a map of which nothing is known."""
    if labels is None:
        return None
    instead = torch.as_tensor(UNKNOWN if instead is None else instead, dtype=torch.int64)
    return torch.where(ok.cpu()[:, None, None], labels.cpu(), instead)


def _codes(picture: torch.Tensor) -> torch.Tensor:
    return (picture * 255.0).round().to(torch.uint8)


def _digest(codes: torch.Tensor) -> bytes:
    array = codes.cpu().numpy()
    shape = repr(array.shape).encode()  # grey has the same bytes at 2x8 and at 4x4, and SSIM sees the difference
    return hashlib.blake2b(shape + array.tobytes(), digest_size=16).digest()
