"""The contracts between the parts of a system. Descriptions are built once; these are what they build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import lazy_loader as lazy

from semcom.rng import Streams
from semcom.types import Budget, Condition, ImageBatch, Message, Received, Reconstruction

torch = lazy.load("torch")


@dataclass(frozen=True)
class ImageRef:
    """One image of a source: its stable name, the cluster it is drawn from, and a digest of its content."""

    id: str
    cluster: str
    digest: str


class Source(Protocol):
    """Images in."""

    classes: tuple[str, ...]  # names of the label classes; empty without labels
    size: tuple[int, int]  # (H, W) of every image
    note: str  # a caveat that tables print with every interval, or ""

    def images(self) -> Sequence[ImageRef]: ...  # reported images, in a fixed order
    def load(self, ids: Sequence[str]) -> ImageBatch: ...  # any ids of images() or tuning()
    def tuning(self) -> Sequence[ImageRef]: ...  # never reported: settings are tuned on these; may be empty
    def training(self) -> Sequence[str]: ...  # names of images that systems may know, none of them reported; load takes them
    def class_colours(self) -> torch.Tensor | None: ...  # float32 [classes, 3], means over training images; None without labels
    def prior(self) -> torch.Tensor: ...  # float32 [3, H, W], the average training picture
    def prior_labels(self) -> torch.Tensor | None: ...  # int64 [H, W], the most frequent training class; None without labels
    def skipped(self) -> Mapping[str, str]: ...  # name -> reason


@dataclass(frozen=True)
class Context:
    """What a component is prepared with: the device, and the source whose training images it may know."""

    device: str = "cpu"
    source: Source | None = None


class Transmitter(Protocol):
    """image -> message. One that has ``survives_errors = True`` says that a message is of use where a frame of it has failed."""

    side_bits: int  # side information an image, charged as a header where no digital part carries it
    adapts_to_snr: bool  # whether encode reads budget.snr_db

    def encode(self, images: ImageBatch, budget: Budget, streams: Streams) -> Message: ...


class Link(Protocol):
    """message -> message, over a channel. One condition a row."""

    def budget(self, channel_uses: int, condition: Condition, side_bits: int = 0) -> Budget: ...
    def send(self, message: Message, conditions: Sequence[Condition], streams: Streams) -> Received: ...


class Receiver(Protocol):
    """message -> image"""

    def decode(self, received: Received, streams: Streams) -> Reconstruction: ...


class Metric(Protocol):
    """(original, reconstruction) -> numbers, one an image. Pixels float32 [B, 3, H, W] in [0, 1]."""

    columns: tuple[str, ...]

    def __call__(self, original: torch.Tensor, reconstruction: torch.Tensor) -> Mapping[str, torch.Tensor]: ...


@dataclass(frozen=True)
class Pair:
    """What a metric may look at: pixels float32 [B, 3, H, W] in [0, 1], and label maps int64 [B, H, W] where there are any.

    ``truth`` is the original's; ``received`` is the map that arrived with the reconstruction, `classes.UNKNOWN` where
    nothing is known. ``samples`` float32 [B, S, 3, H, W] and ``uncertainty`` float32 [B, H, W] are the receiver's, where it hands
    them over; nan in rows that were lost.
    """

    original: torch.Tensor
    reconstruction: torch.Tensor
    truth: torch.Tensor | None = None
    received: torch.Tensor | None = None
    samples: torch.Tensor | None = None
    uncertainty: torch.Tensor | None = None


class MapMetric(Protocol):
    """A metric that looks at more than two pictures: label maps or, where it says ``wants_samples = True``, samples.

    ``columns`` are numbers, one an image; ``counts`` are stored beside them, so that they can be summed: int64 [B, n].
    ``fixed``: those of both that say something of the original alone. What a pair has no maps for is left out.
    """

    columns: tuple[str, ...]
    counts: tuple[str, ...]
    fixed: frozenset[str]

    def of_maps(self, pair: Pair) -> Mapping[str, torch.Tensor]: ...
