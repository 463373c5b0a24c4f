"""Batches for training: a pure function of (seed, step), with pictures and labels along one path.

A resumed run, another number of workers and another number of processes see the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from semcom.errors import DataError, allowed
from semcom.rng import generator
from semcom.train.pack import Pack

#: what a pixel without a class holds where a pack has no class "void"
UNLABELLED = 255


@dataclass(frozen=True)
class Batch:
    """``pixels`` float32 [B, 3, H, W] in [0, 1]; ``labels`` int64 [B, H, W], or None without classes."""

    pixels: torch.Tensor
    labels: torch.Tensor | None

    def to(self, device: torch.device) -> Batch:
        labels = None if self.labels is None else self.labels.to(device, non_blocking=True)
        return Batch(self.pixels.to(device, non_blocking=True), labels)


@dataclass(frozen=True)
class Draws:
    """The random numbers of a step, one stream a name and row: the same in any process and on any machine.

    ``rows`` are this process's rows of the whole batch.
    """

    seed: int
    step: int
    rows: tuple[int, ...]
    device: torch.device = torch.device("cpu")

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        """float32 [B]"""
        return self._tensor([rng.uniform(low, high) for rng in self.generators(name)])

    def choice(self, name: str, values: Sequence[int]) -> torch.Tensor:
        """int64 [B], each of ``values`` equally likely."""
        return torch.tensor([values[rng.integers(len(values))] for rng in self.generators(name)], device=self.device)

    def normal(self, name: str, shape: Sequence[int]) -> torch.Tensor:
        """float32 [B, *shape], unit variance"""
        return self._tensor(np.stack([rng.standard_normal(tuple(shape), dtype=np.float32) for rng in self.generators(name)]))

    def generators(self, name: str) -> Iterator[np.random.Generator]:
        """The stream of each row, at its start."""
        return (generator(self.seed, "train", name, self.step, row) for row in self.rows)

    def _tensor(self, values: Any) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float32)).to(self.device, non_blocking=True)


@dataclass(frozen=True)
class Augmentation:
    """A random crop, resized to ``size`` (H, W), perhaps mirrored, with other colours; labels along the same path.

    ``scale``: side of the crop, of the largest crop of that shape, log-uniform between the two. ``colour``:
    brightness, contrast and saturation are each multiplied by 1 +- this. ``blur`` and ``noise``: half of the crops are
    blurred, half get white noise, by a deviation that is uniform up to this (pixels; of a range of 1).
    """

    size: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    flip: bool = False
    colour: float = 0.0
    blur: float = 0.0
    noise: float = 0.0

    def __call__(self, picture: Any, labels: np.ndarray | None, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """(float32 [H, W, 3] in [0, 1], labels [H, W] or None) of a PIL picture and its labels [h, w]."""
        side = float(np.exp(rng.uniform(*np.log(self.scale))))
        box = self._box((picture.height, picture.width), side, (rng.uniform(), rng.uniform()))
        mirrored = self.flip and rng.uniform() < 0.5
        pixels = _resized(picture, box, self.size)
        classes = None if labels is None else _picked(labels, box, self.size)
        if mirrored:
            pixels, classes = pixels[:, ::-1], None if classes is None else classes[:, ::-1]
        return self._disturbed(self._coloured(pixels, rng), rng), classes

    def centred(self, picture: Any, labels: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        """The largest centred crop, as it is."""
        box = self._box((picture.height, picture.width), 1.0, (0.5, 0.5))
        return _resized(picture, box, self.size), None if labels is None else _picked(labels, box, self.size)

    def _box(self, given: tuple[int, int], side: float, at: tuple[float, float]) -> tuple[float, float, float, float]:
        """(left, top, right, bottom), fractions of a pixel included; ``at`` is (0, 0) upper left, (1, 1) lower right."""
        (h, w), (height, width) = given, self.size
        largest = min(h / height, w / width)
        tall, wide = min(side * largest * height, h), min(side * largest * width, w)
        top, left = at[0] * (h - tall), at[1] * (w - wide)
        return left, top, min(left + wide, w), min(top + tall, h)

    def _coloured(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        brightness, contrast, saturation = rng.uniform(1.0 - self.colour, 1.0 + self.colour, 3).astype(np.float32)
        if self.colour == 0.0:
            return pixels
        pixels = pixels * brightness
        pixels = pixels.mean() + contrast * (pixels - pixels.mean())
        grey = pixels @ np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
        return np.clip(grey[:, :, None] + saturation * (pixels - grey[:, :, None]), 0.0, 1.0)


    def _disturbed(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.blur and rng.uniform() < 0.5:
            pixels = _blurred(pixels, rng.uniform(0.0, self.blur))
        if self.noise and rng.uniform() < 0.5:
            deviation = np.float32(rng.uniform(0.0, self.noise))
            pixels = np.clip(pixels + deviation * rng.standard_normal(pixels.shape, dtype=np.float32), 0.0, 1.0)
        return pixels


class Steps(torch.utils.data.Dataset):
    """Batch number ``step`` of a training: item i is the batch of step i, this process's rows of it.

    Every picture is seen once an epoch, or as often as ``times`` says of its source, in an order of its own; the order,
    crops and colours are keyed by the seed, the step and the row.
    """

    def __init__(
        self,
        packs: Sequence[Pack],
        augmentation: Augmentation,
        batch_size: int,
        seed: int,
        rows: Sequence[int],
        times: Mapping[str, int] | None = None,
    ):
        classes = {pack.classes for pack in packs if pack.classes}
        if len(classes) > 1:
            raise DataError(f"{', '.join(pack.path for pack in packs)} label different classes; train on packs of the same")
        self.classes = next(iter(classes), ())
        self.packs, self.augmentation = tuple(packs), augmentation
        self.batch_size, self.seed, self.rows = batch_size, seed, tuple(rows)
        self.places = _places(self.packs, times or {})
        self._orders: dict[int, np.ndarray] = {}

    def index(self, step: int, row: int) -> int:
        """Which picture is row ``row`` of batch ``step``."""
        epoch, position = divmod(step * self.batch_size + row, len(self.places))
        if epoch not in self._orders:
            self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = generator(self.seed, "train", "order", epoch).permutation(len(self.places))
        return int(self._orders[epoch][position])

    def __getitem__(self, step: int) -> Batch:
        return self._batch([self._example(step, row) for row in self.rows])

    def plain(self, count: int) -> Batch:
        """A few pictures from the first to the last, not augmented: what sample pictures show."""
        places = np.linspace(0, len(self.places) - 1, count).astype(int)
        return self._batch([self.augmentation.centred(*self._decoded(place)) for place in places])

    def centred(self, place: int) -> np.ndarray:
        """float32 [H, W, 3] of one picture, not augmented."""
        return self.augmentation.centred(*self._decoded(place))[0]

    def labels(self, place: int) -> np.ndarray | None:
        """uint8 [H, W] of one picture, not augmented; None where there are no classes."""
        return self.augmentation.centred(*self._decoded(place))[1]

    def augmented(self, place: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """(float32 [H, W, 3], labels [H, W] or None): a random view of one picture."""
        return self.augmentation(*self._decoded(place), rng)

    def _example(self, step: int, row: int) -> tuple[np.ndarray, np.ndarray | None]:
        return self.augmented(self.index(step, row), generator(self.seed, "train", "augment", step, row))

    def _decoded(self, index: int) -> tuple[Any, np.ndarray | None]:
        pack, place = self.places[index]
        picture, labels = pack.picture(place), pack.labels(place)
        if self.classes and labels is None:
            void = self.classes.index("void") if "void" in self.classes else UNLABELLED
            labels = np.full((picture.height, picture.width), void, dtype=np.uint8)
        return picture, labels

    def _batch(self, made: Sequence[tuple[np.ndarray, np.ndarray | None]]) -> Batch:
        pixels = torch.from_numpy(np.stack([pixels for pixels, _ in made])).permute(0, 3, 1, 2).contiguous()
        labels = torch.from_numpy(np.stack([classes for _, classes in made]).astype(np.int64)) if self.classes else None
        return Batch(pixels, labels)


def source_of(name: str) -> str:
    """Where a picture of a pack is from.

    >>> source_of("camvid/0001TP_006690")
    'camvid'
    """
    return name.partition("/")[0]


def _places(packs: Sequence[Pack], times: Mapping[str, int]) -> list[tuple[Pack, int]]:
    """(pack, index) of what an epoch shows. Raises: DataError for a source that no pack holds, or if nothing is left."""
    sources = {source_of(name) for pack in packs for name in pack.names}
    for source in times:
        if source not in sources:
            raise DataError(f"data.times names '{source}', of which no pack holds a picture; {allowed(source, sources)}")
    places = [
        (pack, index)
        for pack in packs
        for index, name in enumerate(pack.names)
        for _ in range(times.get(source_of(name), 1))
    ]
    if not places:
        raise DataError(f"data.times is {dict(times)}, which leaves no picture to train on; give a source a number above 0")
    return places


def loader(steps: Steps, start: int, stop: int, workers: int) -> Iterator[Batch]:
    """The batches of steps start..stop-1 in order, made ahead by ``workers`` processes (0: when asked for)."""
    # with a generator of its own the loader leaves torch's global one alone
    own = torch.Generator()
    made = torch.utils.data.DataLoader(steps, batch_size=None, sampler=range(start, stop), num_workers=workers, generator=own)
    return iter(made)


def _resized(picture: Any, box: tuple[float, float, float, float], size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    small = picture.resize((size[1], size[0]), Image.Resampling.LANCZOS, box=box)
    return np.asarray(small, dtype=np.float32) / 255.0


def _blurred(pixels: np.ndarray, deviation: float) -> np.ndarray:
    """A Gaussian cut at three deviations, along both sides; edges are continued."""
    reach = int(np.ceil(3.0 * deviation))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(deviation, 1e-6)) ** 2).astype(np.float32)
    kernel /= kernel.sum()
    for axis in (0, 1):
        edges = [(reach, reach) if axis == other else (0, 0) for other in range(3)]
        padded, length = np.pad(pixels, edges, mode="edge"), pixels.shape[axis]
        pixels = sum(weight * padded.take(range(at, at + length), axis) for at, weight in enumerate(kernel))
    return pixels


def _picked(labels: np.ndarray, box: tuple[float, float, float, float], size: tuple[int, int]) -> np.ndarray:
    """The class under the centre of each target pixel: averaging class indices would invent classes."""
    left, top, right, bottom = box
    rows = top + (np.arange(size[0]) + 0.5) * (bottom - top) / size[0]
    columns = left + (np.arange(size[1]) + 0.5) * (right - left) / size[1]
    return labels[np.ix_(rows.astype(np.int64), columns.astype(np.int64))]
