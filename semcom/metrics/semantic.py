"""What of the meaning arrived: label maps of an evaluator, and the map that was received, scored against the truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field

from semcom.classes import NAMES
from semcom.component import Component
from semcom.errors import DataError
from semcom.metrics.base import MetricDescription, Quantity, labels_fault
from semcom.metrics.confusion import confusion, errors, invented, mean_iou, pixel_accuracy
from semcom.metrics.evaluator import Evaluator
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
OUTAGE = "outage"
#: counts of each class beside IoU: of its pixels those that are wrong now or again right, and those of others that are taken for it
BY_CLASS = ("new_errors", "repaired_errors", "invented")
SHARE = (0.0, 1.0)


def _quantities(of: Subject, against: Reference) -> Iterator[tuple[str, Quantity]]:
    """What is measured of one map against one reference. Settings that are tuned for one are those of all."""
    (subject, shown), (reference, compared) = OF[of], AGAINST[against]
    end, words = subject + reference, shown + compared
    leader = f"miou{end}"

    def original(name: str) -> str:
        return f"{name}{OF_ORIGINAL}" if against == "truth" else ""

    def per_image(name: str, label: str, better: Literal["higher", "lower"] = "higher", known: str = "") -> tuple[str, Quantity]:
        return f"{name}{end}", Quantity(label + words, better, original=known, tuned_with=leader, bounds=SHARE)

    yield leader, Quantity(f"mIoU{words}", "higher", f"confusion{end}", f"miou_image{end}", original("confusion"), leader, SHARE)
    yield per_image("miou_image", "mIoU of each image", known=original("miou_image"))
    yield per_image("pixel_accuracy", "Pixel accuracy", known=original("pixel_accuracy"))
    if against == "truth":
        yield per_image("new_errors", "New errors, share of pixels", "lower")
        yield per_image("repaired_errors", "Repaired errors, share of pixels")
        yield f"{OUTAGE}{end}", Quantity(f"Outage{words}", "lower", tuned_with=f"{OUTAGE}{end}", bounds=SHARE, event=True)


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
    way round) are shares of an image's labelled pixels, averaged over images. What a receiver does not know is wrong.
    ``outage_below: 0.5`` adds ``outage``, the share of transmissions whose ``miou_image`` is below half of the evaluator's on that
    original; settings that are tuned are tuned for it by themselves, so it costs transmissions of its own. Of a lost picture the received map is unknown throughout, and in the second row the source's most frequent classes.

    Beside each value tables have that of the evaluator on the originals and the ratio of the two. Confusion counts are stored
    for every image; ``classes.csv`` has the IoU and the errors of each class. Where settings are tuned, all columns of one map
    share those that are best for its ``miou``, but for ``outage``.

    Shapes: pixels float32 [B, 3, H, W] in [0, 1] and maps int64 [B, H, W] -> float64 [B] a column; counts int64 [B, K (K + 1)].
    Units: none, 0 to 1. References: Everingham, Van Gool, Williams, Winn, Zisserman 2010, section 4;
    Long, Shelhamer, Darrell 2015.

    Example::

        metric: {kind: semantic, evaluator: segmenter_evaluator, of: [reconstruction, received], against: [truth]}
    """

    VERSION: ClassVar = 2  # counts invented classes

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
    outage_below: float | None = Field(
        None, gt=0.0, le=1.0, description="share of the original's miou_image below which a transmission is an outage; null: none is counted"
    )

    def quantities(self) -> Mapping[str, Quantity]:
        chosen = {name for of in self.of for against in self.against for name, _ in _quantities(of, against)}
        found = {name: quantity for name, quantity in self.COLUMNS.items() if name in chosen}
        if self.outage_below is None:
            return {name: quantity for name, quantity in found.items() if not quantity.event}
        says = f"P(mIoU < {self.outage_below:g} of the original's)"
        return {name: replace(one, label=one.label.replace("Outage", says)) if one.event else one for name, one in found.items()}

    def available(self) -> str | None:
        reason = segmenter.missing(self.evaluator)
        return f"{self.kind} is left out: {reason}" if reason else None

    def check_source(self, source: Component) -> str | None:
        if "truth" not in self.against:
            return None
        return labels_fault(source, "semantic compares with", "compare with the evaluator's map of the original instead: `against: [original]`")

    def identity(self) -> dict[str, Any]:
        """Parameters, version and the digest of the evaluator in place of where it lies; the size is the source's."""
        unused = {"evaluator"} | ({"outage_below"} if self.outage_below is None else set())
        fields = {name: value for name, value in super().identity().items() if name not in unused}
        return {**fields, "weights": segmenter.identity(self.evaluator)}

    def build(self, device: torch.device | str = "cpu") -> SemanticScores:
        """Raises: WeightsError where the evaluator's weights are absent or damaged."""
        return SemanticScores(self, Evaluator.named(self.evaluator, device), segmenter.identity(self.evaluator))


class SemanticScores:
    """A prepared evaluator (`semcom.protocols.MapMetric`). The maps of originals are computed once and kept."""

    def __init__(self, how: Semantic, evaluator: Evaluator, digest: str):
        self.name, self.digest, self.of, self.against, self.outage_below = how.evaluator, digest, how.of, how.against, how.outage_below
        self.labels, self.of_originals = evaluator.labels, evaluator.of_originals
        described, truth = how.quantities(), "truth" in self.against
        ends = [OF[one][0] for one in self.of]
        self.columns = (
            *(column for column, quantity in described.items() if not quantity.counts),
            *((f"miou_image{OF_ORIGINAL}", f"pixel_accuracy{OF_ORIGINAL}") if truth else ()),
        )
        self.counts = (
            *(quantity.counts for quantity in described.values() if quantity.counts),
            *(f"{kind}_by_class{end}" for end in ends for kind in BY_CLASS if truth),
            *((f"confusion{OF_ORIGINAL}",) if truth else ()),
        )
        self.fixed = frozenset(name for name in (*self.columns, *self.counts) if name.endswith(OF_ORIGINAL))

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
            found |= self._outages(found)
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
        return found | {f"invented_by_class{end}": invented(truth, before, now, K)}

    def _outages(self, found: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """1 where a picture keeps too little of what the evaluator sees in the original, else 0; nan where that is not defined."""
        if self.outage_below is None:
            return {}
        least = self.outage_below * found[f"miou_image{OF_ORIGINAL}"]
        scored = {end: found[f"miou_image{end}"] for end, _ in OF.values() if f"miou_image{end}" in found}
        return {f"{OUTAGE}{end}": torch.where(least.isnan(), least, (value < least).double()) for end, value in scored.items()}

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
