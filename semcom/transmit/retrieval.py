"""The number of the training image that is most like the picture: the most that a few bits can say."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field

from semcom.component import Component
from semcom.errors import ScenarioError
from semcom.maps.classes import LABELS
from semcom.maps.resize import resize
from semcom.maps.segmented import NamedSegmenter, SegmentedMaps
from semcom.protocols import Context, Source
from semcom.rng import Streams
from semcom.types import Bits, Budget, ImageBatch, Message

torch = lazy.load("torch")

PART = "index"
FREE = ("the training images of the source with their label maps, in their order",)
#: at most so many rows and columns are compared: of maps, of colours
MAP_SIZE, COLOUR_SIZE = (32, 64), (8, 16)
#: training images in memory at a time
CHUNK = 16


class Retrieval(NamedSegmenter):
    """Which training image is nearest to the picture: ceil(log2 N) bits for N of them, and nothing else.

    ``by: map`` takes the training image whose true label map has the highest mean IoU with the segmenter's map of the
    picture, both thinned to at most 32x64, over the classes of the latter, void left out. ``by: colour`` takes the one of
    least squared distance between mean colours on a grid of at most 8x16 cells; it needs no labels. Ties go to the first.

    Training images are those of the source (streets: 128 scenes of the split `train`), never reported ones; both ends have them.

    Part: ``index``, bits. Needs a link that carries bits.

    Example::

        transmit: {kind: retrieval, by: map, segmenter: segmenter_transmitter}
    """

    CARRIES: ClassVar[frozenset[str]] = frozenset({"bits"})
    PARTS: ClassVar[frozenset[str]] = frozenset({PART})

    kind: Literal["retrieval"] = "retrieval"
    by: Literal["map", "colour"] = Field("map", description="what is compared: label maps, or mean colours of a coarse grid")

    @classmethod
    def choices(cls, field: str) -> tuple[Any, ...]:
        return ("map", "colour") if field == "by" else ()

    def available(self) -> str | None:
        return super().available() if self.by == "map" else None

    def identity(self) -> dict[str, Any]:
        return super().identity() if self.by == "map" else {**Component.identity(self), "segmenter": None}

    def build(self, context: Context) -> RetrievalTransmitter:
        source = context.source
        if source is None:
            raise ScenarioError("transmit retrieval has no source whose training images to compare with; build it with Context(source=...)")
        if self.by == "map" and tuple(source.classes) != LABELS:
            raise ScenarioError("transmit retrieval compares CamVid's classes and its source does not label them; set `by: colour`")
        return RetrievalTransmitter(source, self.maps(context.device) if self.by == "map" else None)


class RetrievalTransmitter:
    """Shapes: images [B, 3, H, W] to part ``index``, bits uint8 [B, ceil(log2 N)], the most significant first."""

    side_bits = 0
    adapts_to_snr = False

    def __init__(self, source: Source, maps: SegmentedMaps | None):
        self._source, self._maps = source, maps
        self._names = source.training()
        self._bits = max(1, (len(self._names) - 1).bit_length())

    def encode(self, images: ImageBatch, budget: Budget, streams: Streams) -> Message:
        bits = budget.part(PART).bits
        if bits is None:
            raise ScenarioError("transmit retrieval makes bits and its link carries none; give it a digital, packet or ideal link")
        reasons = ()
        if self._bits > bits:
            reason = f"the index of one of {len(self._names)} training images needs {self._bits} bits and {bits} fit"
            reasons = (reason,) * len(images)
        chosen = torch.from_numpy(self.nearest(images))
        rows = ((chosen[:, None] >> torch.arange(self._bits - 1, -1, -1)) & 1).to(torch.uint8)
        part = Bits(rows, torch.full((len(images),), self._bits, dtype=torch.int64))
        return Message({PART: part}, budget, images.size, infeasible=reasons, free=FREE)

    def nearest(self, images: ImageBatch) -> np.ndarray:
        """int64 [B]: the number of the training image that each picture is nearest to."""
        wanted = self._features(images, None if self._maps is None else self._maps(images))
        measure = self._distances if self._maps is None else self._mistakes
        return np.array([int(np.argmin(measure(one))) for one in wanted], dtype=np.int64)

    def _features(self, images: ImageBatch, labels: torch.Tensor | None) -> np.ndarray:
        """uint8 [B, h, w] of maps, float32 [B, 3, h, w] of colours."""
        if labels is None:
            cells = tuple(min(a, b) for a, b in zip(COLOUR_SIZE, images.size, strict=True))
            return torch.nn.functional.adaptive_avg_pool2d(images.pixels, cells).cpu().numpy()
        return resize(labels, tuple(min(a, b) for a, b in zip(MAP_SIZE, images.size, strict=True))).to(torch.uint8).cpu().numpy()

    @cached_property
    def _known(self) -> np.ndarray:
        """The features of the training images, whose label maps are the true ones."""
        batches = (self._source.load(self._names[start : start + CHUNK]) for start in range(0, len(self._names), CHUNK))
        return np.concatenate([self._features(batch, None if self._maps is None else batch.labels) for batch in batches])

    def _distances(self, wanted: np.ndarray) -> np.ndarray:
        return np.square(self._known - wanted).sum(axis=(1, 2, 3))

    def _mistakes(self, wanted: np.ndarray) -> np.ndarray:
        """1 less the mean IoU with each training map."""
        valid = self._known != len(LABELS) - 1
        each = []
        for k in np.unique(wanted):
            mine, theirs = wanted == k, self._known == k
            union = ((mine & valid) | theirs).sum(axis=(1, 2))
            each.append((mine & theirs).sum(axis=(1, 2)) / np.maximum(union, 1))
        return 1.0 - np.mean(each, axis=0)
