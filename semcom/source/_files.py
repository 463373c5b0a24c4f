"""What every source of image files shares: listing, verifying, loading, and the average training picture."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import lazy_loader as lazy
import numpy as np
from pydantic import Field, PositiveInt

from semcom.component import Component
from semcom.errors import DataError, allowed
from semcom.protocols import ImageRef
from semcom.source._decode import decode_labels, decode_picture, read_bytes
from semcom.source._geometry import resize_labels, resize_picture
from semcom.types import ImageBatch

torch = lazy.load("torch")

#: bytes of resized pictures that a prepared source keeps: 2,700 pictures of 128x256
CACHE_BYTES = 256 * 2**20

#: in front of a training image's name, which may be that of a tuning image
TRAINING = "training/"

Size = tuple[PositiveInt, PositiveInt]


CROPPED = "(H, W) of every image, pixels: largest centred crop of this shape, then resized"


def size_field(height: int, width: int, description: str = CROPPED) -> Any:
    return Field((height, width), description=description)


class FilesDescription(Component):
    """Base of the descriptions of data sets on disk."""

    #: fields that say where files lie or which are taken: the images' digests identify those
    PLACE: ClassVar[frozenset[str]] = frozenset({"path", "limit", "every"})

    path: str = Field(description="folder of the data set; `~` is the home folder")
    limit: PositiveInt | None = Field(None, description="take only the first N of the images, after `every`")
    every: PositiveInt = Field(1, description="take every N-th image: neighbouring frames of a drive tell little new")

    def identity(self) -> dict[str, Any]:
        return {key: value for key, value in super().identity().items() if key not in self.PLACE}

    def folder(self, *parts: str) -> Path:
        """A folder of this data set; DataError with what is there where it does not exist."""
        root = Path(self.path).expanduser()
        if not root.is_dir():
            raise DataError(f"{self.kind}: there is no folder '{root}'; give `path` the folder that holds the data set")
        at = root.joinpath(*parts)
        if not at.is_dir():
            there = [p.name for p in at.parent.iterdir() if p.is_dir()] if at.parent.is_dir() else []
            raise DataError(f"{self.kind}: there is no folder '{at}'; {allowed(at.name, there)}")
        return at

    def chosen(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        if not entries:
            raise DataError(f"{self.kind}: no image to report under '{self.path}'")
        return entries[:: self.every]


@dataclass(frozen=True)
class Entry:
    """An image on disk: its stable name, its cluster, its picture and, where there is one, its label map."""

    id: str
    cluster: str
    picture: Path
    labels: Path | None = None


@dataclass(frozen=True)
class Classes:
    """The label classes of a data set. ``table`` [values] maps a file's values to classes or UNDEFINED."""

    names: tuple[str, ...] = ()
    table: np.ndarray | None = None

    @property
    def void(self) -> int:
        return self.names.index("void")


class _Image(NamedTuple):
    pixels: np.ndarray  # uint8 [H, W, 3]
    labels: np.ndarray | None  # uint8 [H, W]
    digest: str


class FileSource:
    """A prepared source over files (`semcom.protocols.Source`).

    Every reported image is decoded once, when `images` is first asked for: what is damaged is found before
    a sweep starts. Decoded, resized pictures stay in a cache of bounded size. The digest of an image is
    that of its files' bytes; the size belongs to the description's identity.
    """

    def __init__(
        self,
        size: tuple[int, int],
        reported: Sequence[Entry],
        tuning: Sequence[Entry] = (),
        training: Sequence[Entry] = (),
        classes: Classes = Classes(),
        note: str = "",
        limit: int | None = None,
        skip_damaged: bool = False,
        skipped: Mapping[str, str] | None = None,
    ):
        self.size, self.classes, self.note = size, classes.names, note
        self._reported, self._tuning = tuple(reported), tuple(tuning)
        self._training = tuple(replace(entry, id=f"{TRAINING}{entry.id}") for entry in training)
        self._classes, self._limit, self._skip_damaged = classes, limit, skip_damaged
        self._skipped = dict(skipped or {})
        self._entries = {entry.id: entry for entry in (*self._reported, *self._tuning, *self._training)}
        self._cache: OrderedDict[str, _Image] = OrderedDict()

    def images(self) -> Sequence[ImageRef]:
        return self._images

    def tuning(self) -> Sequence[ImageRef]:
        return self._tuning_images

    def training(self) -> Sequence[str]:
        """Names of the training images, in a fixed order; `load` takes them."""
        return tuple(entry.id for entry in self._training)

    def skipped(self) -> Mapping[str, str]:
        """Name -> reason; complete once `images` and `tuning` have been asked for."""
        return dict(self._skipped)

    def load(self, ids: Sequence[str]) -> ImageBatch:
        unknown = [name for name in ids if name not in self._entries]
        if unknown:
            near = allowed(unknown[0], self._entries).partition("; ")[2]
            given = f"there is no image '{unknown[0]}' among the {len(self._entries)} of this source"
            raise DataError(f"{given}; {near}" if near else given)
        images = [self._image(self._entries[name]) for name in ids]
        pixels = np.stack([image.pixels for image in images]) if images else np.zeros((0, *self.size, 3), np.uint8)
        labels = np.stack([image.labels for image in images]) if images and self.classes else None
        return ImageBatch(
            to_float(pixels),
            tuple(ids),
            None if labels is None else torch.from_numpy(labels).to(torch.int64),
        )

    def prior(self) -> torch.Tensor:
        """float32 [3, H, W], the average training picture."""
        return self._averages[0]

    def prior_labels(self) -> torch.Tensor | None:
        """int64 [H, W], the most frequent class of each pixel in the training set, void left out; None without labels."""
        return self._averages[1]

    def class_colours(self) -> torch.Tensor | None:
        """float32 [classes, 3] in [0, 1]: mean colour of each class in the training set, nan where it has none; None without labels."""
        return self._averages[2]

    @cached_property
    def _images(self) -> tuple[ImageRef, ...]:
        refs = tuple(self._verified(self._reported, self._limit))
        if not refs:
            reasons = "; ".join(list(self._skipped.values())[:3])
            raise DataError(f"none of the {len(self._reported)} images can be used: {reasons}")
        return refs

    @cached_property
    def _tuning_images(self) -> tuple[ImageRef, ...]:
        return tuple(self._verified(self._tuning, None))

    def _verified(self, entries: Iterable[Entry], limit: int | None) -> Iterable[ImageRef]:
        found = 0
        for entry in entries:
            if found == limit:
                return
            try:
                image = self._image(entry)
            except DataError as error:
                if not self._skip_damaged:
                    raise
                self._skipped[entry.id] = str(error)
                continue
            found += 1
            yield ImageRef(entry.id, entry.cluster, image.digest)

    def _image(self, entry: Entry) -> _Image:
        if entry.id not in self._cache:
            each = self.size[0] * self.size[1] * (4 if self.classes else 3)
            while len(self._cache) >= max(1, CACHE_BYTES // each):
                self._cache.popitem(last=False)
            self._cache[entry.id] = self._read(entry)
        self._cache.move_to_end(entry.id)
        return self._cache[entry.id]

    def _read(self, entry: Entry) -> _Image:
        data = read_bytes(entry.picture)
        digest = hashlib.sha256(data)
        picture = decode_picture(data, entry.picture)
        labels = None
        if entry.labels is not None:
            data = read_bytes(entry.labels)
            digest.update(data)
            labels = decode_labels(data, entry.labels, self._classes.table)
            if labels.shape != (picture.height, picture.width):
                raise DataError(
                    f"label map '{entry.labels}' is {labels.shape[0]}x{labels.shape[1]} and its picture '{entry.picture.name}' "
                    f"{picture.height}x{picture.width} (HxW); both must have one size"
                )
            labels = resize_labels(labels, self.size)
        return _Image(resize_picture(picture, self.size), labels, digest.hexdigest()[:16])

    @cached_property
    def _averages(self) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """The average picture, most frequent classes and their colours, read once and past the cache."""
        if not self._training:
            raise DataError("this source has no training images, so there is no average picture")
        labelled = all(entry.labels is not None for entry in self._training)
        sums = Averages(self.size, len(self.classes) if labelled else 0)
        for entry in self._training:
            image = self._read(entry)
            sums.add(image.pixels, image.labels)
        if not labelled:
            return sums.picture(), None, None
        return sums.picture(), sums.most_frequent(self._classes.void), sums.colours()


class Averages:
    """Sums over training images: the average picture, and of each class where it is and how it looks."""

    def __init__(self, size: tuple[int, int], classes: int):
        self._count, self._total = 0, np.zeros((*size, 3), np.int64)
        self._places = np.zeros((classes, *size), np.int32)
        self._colours = np.zeros((classes, 3), np.float64)

    def add(self, pixels: np.ndarray, labels: np.ndarray | None) -> None:
        """An image uint8 [H, W, 3] and, where classes are counted, its label map uint8 [H, W]."""
        self._count += 1
        self._total += pixels
        classes = len(self._places)
        if classes:
            self._places += labels[None] == np.arange(classes, dtype=np.uint8)[:, None, None]
            for channel in range(3):
                self._colours[:, channel] += np.bincount(labels.ravel(), pixels[..., channel].ravel(), minlength=classes)

    def picture(self) -> torch.Tensor:
        """float32 [3, H, W]"""
        return torch.from_numpy(self._total / (255.0 * self._count)).to(torch.float32).permute(2, 0, 1).contiguous()

    def most_frequent(self, void: int) -> torch.Tensor:
        """int64 [H, W]; a pixel that is always void takes the most frequent class of all."""
        counts = self._places.copy()
        counts[void] = 0
        overall = int(counts.sum(axis=(1, 2)).argmax())
        return torch.from_numpy(np.where(counts.max(axis=0) > 0, counts.argmax(axis=0), overall).astype(np.int64))

    def colours(self) -> torch.Tensor:
        """float32 [classes, 3] in [0, 1], nan for a class that is nowhere."""
        seen = self._places.sum(axis=(1, 2), dtype=np.int64)[:, None]
        return torch.from_numpy(np.where(seen > 0, self._colours / (255.0 * np.maximum(seen, 1)), np.nan)).to(torch.float32)


def with_labels(entries: Iterable[Entry]) -> list[Entry]:
    """The entries, or DataError naming the first whose label map is missing; one listing a folder, not one a file."""
    entries, listed = list(entries), {}
    for entry in entries:
        folder = entry.labels.parent
        if folder not in listed:
            listed[folder] = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
        if entry.labels.name not in listed[folder]:
            raise DataError(f"picture '{entry.picture}' has no label map: '{entry.labels}' is missing")
    return entries


def unreported(training: Sequence[Entry], reported: Sequence[Entry]) -> list[Entry]:
    """The training images that no result is about: a prior that has seen its test pictures would know them."""
    names = {entry.id for entry in reported}
    return [entry for entry in training if entry.id not in names]


def to_float(pixels: np.ndarray) -> torch.Tensor:
    """float32 [B, 3, H, W] in [0, 1] from uint8 [B, H, W, 3]"""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32).div(255.0).contiguous()
