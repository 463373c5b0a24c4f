"""What of the meaning arrived: label maps of an evaluator, and the map that was received, scored against the truth."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field

from semcom.classes import NAMES
from semcom.component import Component
from semcom.errors import DataError
from semcom.metrics.base import MetricDescription, Quantity
from semcom.metrics.confusion import confusion, errors, mean_iou, pixel_accuracy
from semcom.models import segmenter
from semcom.protocols import Pair

torch = lazy.load("torch")

K = len(NAMES)
Subject = Literal["reconstruction", "received"]
Reference = Literal["truth", "original"]
#: how a column says what it is about, and what it is compared with
OF: Mapping[str, tuple[str, str]] = {"reconstruction": ("", ""), "received": ("_received", ", received map")}
AGAINST: Mapping[str, tuple[str, str]] = {
    "truth": ("", ""),
    "original": ("_to_original", ", to the evaluator's map of the original"),
}
#: a column about the original alone
OF_ORIGINAL = "_of_original"


def _quantities(of: Subject, against: Reference) -> Iterator[tuple[str, Quantity]]:
    """What is measured of one map against one reference. Settings that are tuned for one are those of all."""
    (subject, shown), (reference, compared) = OF[of], AGAINST[against]
    end, words = subject + reference, shown + compared
    leader = f"miou{end}"

    def original(name: str) -> str:
        return f"{name}{OF_ORIGINAL}" if against == "truth" else ""

    def per_image(name: str, label: str, better: Literal["higher", "lower"] = "higher", known: str = "") -> tuple[str, Quantity]:
        return f"{name}{end}", Quantity(label + words, better, original=known, tuned_with=leader)

    yield leader, Quantity(f"mIoU{words}", "higher", f"confusion{end}", f"miou_image{end}", original("confusion"), leader)
    yield per_image("miou_image", "mIoU of each image", known=original("miou_image"))
    yield per_image("pixel_accuracy", "Pixel accuracy", known=original("pixel_accuracy"))
    if against == "truth":
        yield per_image("new_errors", "New errors, share of pixels", "lower")
        yield per_image("repaired_errors", "Repaired errors, share of pixels")


class Semantic(MetricDescription):
    """How much of the meaning arrived: mIoU and pixel accuracy of label maps, and the errors that are new.

    A fixed evaluator, a segmenter that is neither the transmitter's nor any training's, reads each reconstruction after
    rounding to 8 bits, at the images' own size. ``of: reconstruction`` scores the map that it reads there; ``of: received``
    scores the label map that a system hands over beside its picture (columns end in ``_received``; a system without one has no
    line). ``against: truth`` compares with the labels of the source, void ignored; ``against: original`` with what the
    evaluator reads in the original, which needs no labels (columns end in ``_to_original``).

    ``miou`` is pooled: confusion counts summed over images, then the mean over the classes that the source labels, as the
    literature does. ``miou_image`` is the mean over the classes present in one image's truth, averaged over images.
    ``pixel_accuracy``, ``new_errors`` (wrong now, right by the evaluator on the original) and ``repaired_errors`` (the other
    way round) are shares of an image's labelled pixels, averaged over images. What a receiver does not know is wrong. Of a
    lost picture the received map is unknown throughout, and in the second row the source's most frequent classes.

    Beside each value tables have that of the evaluator on the originals and the ratio of the two. Confusion counts are stored
    for every image; ``classes.csv`` has the IoU and the errors of each class. Where settings are tuned, all columns of one map
    share those that are best for its ``miou``.

    Shapes: pixels float32 [B, 3, H, W] in [0, 1] and maps int64 [B, H, W] -> float64 [B] a column; counts int64 [B, K (K + 1)].
    Units: none, 0 to 1. References: Everingham, Van Gool, Williams, Winn, Zisserman 2010, section 4;
    Long, Shelhamer, Darrell 2015.

    Example::

        metric: {kind: semantic, evaluator: segmenter_evaluator, of: [reconstruction, received], against: [truth]}
    """

    kind: Literal["semantic"] = "semantic"
    COLUMNS: ClassVar = {name: quantity for of in OF for against in AGAINST for name, quantity in _quantities(of, against)}

    evaluator: str = Field(
        "segmenter_evaluator", min_length=1, description="the segmenter: a name that ships, a folder, or a hub id"
    )
    of: tuple[Subject, ...] = Field(
        ("reconstruction", "received"),
        min_length=1,
        description="reconstruction: the evaluator's map of it; received: the map that came with it",
    )
    against: tuple[Reference, ...] = Field(
        ("truth",), min_length=1, description="truth: the source's labels; original: the evaluator's map of it"
    )

    def quantities(self) -> Mapping[str, Quantity]:
        chosen = {name for of in self.of for against in self.against for name, _ in _quantities(of, against)}
        return {name: quantity for name, quantity in self.COLUMNS.items() if name in chosen}

    def available(self) -> str | None:
        reason = segmenter.missing(self.evaluator)
        return f"{self.kind} is left out: {reason}" if reason else None

    def check_source(self, source: Component) -> str | None:
        labelled = getattr(source, "LABELLED", ())
        kind = getattr(source, "kind", type(source).__name__)
        if "truth" not in self.against or (labelled and set(labelled) <= set(NAMES)):
            return None
        instead = "compare with the evaluator's map of the original instead: `against: [original]`"
        if not labelled:
            return f"semantic compares with label maps, and source '{kind}' has none; {instead}"
        other = [name for name in labelled if name not in NAMES]
        others = ", ".join(other[:3])
        return f"semantic scores {', '.join(NAMES)}, and source '{kind}' labels other classes ({others}, ...); {instead}"

    def identity(self) -> dict[str, Any]:
        """Parameters, version and the digest of the evaluator in place of where it lies; the size is the source's."""
        fields = {name: value for name, value in super().identity().items() if name != "evaluator"}
        return {**fields, "weights": segmenter.identity(self.evaluator)}

    def build(self, device: torch.device | str = "cpu") -> SemanticScores:
        """Raises: WeightsError where the evaluator's weights are absent or damaged."""
        net = segmenter.named(self.evaluator, str(device))
        return SemanticScores(net, self.evaluator, segmenter.identity(self.evaluator), self.of, self.against, device)


class SemanticScores:
    """A prepared evaluator (`semcom.protocols.MapMetric`). The maps of originals are computed once and kept."""

    #: pictures that the evaluator reads at a time, and maps of originals that are kept (of 128x256: 128 MB)
    TOGETHER, KEPT = 16, 4096

    def __init__(self, net, name: str, digest: str, of: tuple[Subject, ...], against: tuple[Reference, ...], device):
        self.name, self.digest, self.of, self.against = name, digest, of, against
        self._net, self._device = net, device
        described = Semantic(evaluator=name, of=of, against=against).quantities()
        truth = "truth" in against
        ends = [OF[one][0] for one in of]
        self.columns = (
            *(column for column, quantity in described.items() if not quantity.counts),
            *((f"miou_image{OF_ORIGINAL}", f"pixel_accuracy{OF_ORIGINAL}") if truth else ()),
        )
        self.counts = (
            *(quantity.counts for quantity in described.values() if quantity.counts),
            *(f"{kind}_errors_by_class{end}" for end in ends for kind in ("new", "repaired") if truth),
            *((f"confusion{OF_ORIGINAL}",) if truth else ()),
        )
        self.fixed = frozenset(name for name in (*self.columns, *self.counts) if name.endswith(OF_ORIGINAL))
        self._maps: OrderedDict[bytes, torch.Tensor] = OrderedDict()

    def labels(self, pixels: torch.Tensor) -> torch.Tensor:
        """What the evaluator reads in pictures float32 [B, 3, H, W] in [0, 1]: classes int64 [B, H, W] on the CPU."""
        with torch.no_grad():
            maps = [self._net.labels(some.to(self._device)).cpu() for some in pixels.split(self.TOGETHER)]
        return torch.cat(maps) if maps else torch.zeros((0, *pixels.shape[2:]), dtype=torch.int64)

    def of_originals(self, pixels: torch.Tensor) -> torch.Tensor:
        """`labels`, each distinct picture read once."""
        keys = [_content(picture) for picture in pixels]
        fresh = {key: row for row, key in enumerate(keys) if key not in self._maps}
        if fresh:
            maps = self.labels(pixels[torch.tensor(list(fresh.values()), device=pixels.device)])
            self._maps.update(zip(fresh, maps.to(torch.uint8), strict=True))
        found = torch.stack([self._maps[key] for key in keys]).to(torch.int64)
        while len(self._maps) > self.KEPT:
            self._maps.popitem(last=False)
        return found

    def of_maps(self, pair: Pair) -> Mapping[str, torch.Tensor]:
        """All columns and counts that the maps of ``pair`` give. Raises: DataError for shapes that differ or missing labels."""
        truth = self._checked(pair)
        before = self.of_originals(pair.original)
        maps = {"reconstruction": lambda: self.labels(pair.reconstruction), "received": lambda: pair.received}
        found: dict[str, torch.Tensor] = {}
        for of in self.of:
            predicted = maps[of]()
            if predicted is None:
                continue
            for against in self.against:
                found |= self._scores(predicted.cpu(), truth if against == "truth" else before, OF[of][0] + AGAINST[against][0])
            if truth is not None:
                found |= self._errors(truth, before, predicted.cpu(), OF[of][0])
        if truth is not None:
            found |= self._scores(before, truth, OF_ORIGINAL)
        return {name: value for name, value in found.items() if name in self.columns or name in self.counts}

    def _scores(self, predicted: torch.Tensor, reference: torch.Tensor, end: str) -> dict[str, torch.Tensor]:
        counts = confusion(reference, predicted, K)
        per_image = {f"miou_image{end}": mean_iou(counts), f"pixel_accuracy{end}": pixel_accuracy(counts)}
        return {f"confusion{end}": counts.flatten(1), **per_image}

    def _errors(self, truth: torch.Tensor, before: torch.Tensor, now: torch.Tensor, end: str) -> dict[str, torch.Tensor]:
        labelled = (truth < K).sum((1, 2)).double()
        found = {}
        for name, counts in zip(("new_errors", "repaired_errors"), errors(truth, before, now, K), strict=True):
            found |= {f"{name}{end}": counts.sum(1) / labelled, f"{name}_by_class{end}": counts}
        return found

    def _checked(self, pair: Pair) -> torch.Tensor | None:
        """The truth, where it is compared with."""
        shape = (len(pair.original), *pair.original.shape[2:])
        given = {"truth": pair.truth, "received map": pair.received, "reconstruction": pair.reconstruction[:, 0]}
        for what, value in given.items():
            if value is not None and tuple(value.shape) != shape:
                found = tuple(value.shape)
                raise DataError(f"semantic: the {what} is {found} and the original {shape}; expected one size [B, H, W]")
        if "truth" not in self.against:
            return None
        if pair.truth is None:
            raise DataError("semantic compares with label maps, and these images have none; set `against: [original]`")
        return pair.truth.cpu()


def _content(picture: torch.Tensor) -> bytes:
    codes = (picture * 255.0).round().to(torch.uint8).cpu().numpy()
    return hashlib.blake2b(repr(codes.shape).encode() + codes.tobytes(), digest_size=16).digest()
