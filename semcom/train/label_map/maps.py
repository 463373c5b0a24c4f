"""Label maps for training at every size of the coder, and pixels drawn from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from semcom.codecs.label_map import context
from semcom.errors import DataError
from semcom.rng import generator
from semcom.train.label_map.recipe import Source
from semcom.train.pack import Pack

HEIGHT, WIDTH = 128, 256
#: pixels of a batch by size, the largest first: larger maps have more to learn
SPREAD = (0.52, 0.25, 0.13, 0.06, 0.04)
#: part of the pixels that are drawn where the nearest places are not all of the pixel's class; the rest from all pixels
HARD, HARD_PLACES = 0.8, 8
#: the loss adds bytes a map over these, what a good coder needs at each size, with weights that add to 1
BYTES = (550.0, 240.0, 105.0, 47.0, 19.0)
EMPHASIS = (0.38, 0.27, 0.19, 0.09, 0.07)
#: rows of a pack's map that a cut lies above or below the middle: standard deviation, and what it is a multiple of, so that
#: the rows taken from a map of 384x288 follow the pattern of `context.PERIOD`
SHIFT, STEP = 15.0, 6
NEVER = 2**30


@dataclass(frozen=True)
class Pixels:
    """A batch at one size: `context.features` of pixels, their classes and their weights in the loss."""

    columns: np.ndarray
    rows: np.ndarray
    candidates: np.ndarray
    classes: np.ndarray
    weights: np.ndarray


class Pool:
    """Maps [n, H, W] of one source and size."""

    def __init__(self, maps: np.ndarray, level: int):
        self.count, self.height, self.width = maps.shape
        self.maps, self.level = maps, level
        above, beside = context.ABOVE, context.BESIDE
        self._padded = np.full((self.count, self.height + above, self.width + 2 * beside), context.NONE, dtype=np.uint8)
        self._padded[:, above:, beside:-beside] = maps
        order, starts = context.waves(self.height, self.width)
        wave = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        in_order = maps.reshape(self.count, -1)[:, order]
        # the wave where a class is first seen; one that never comes where there is none
        self._first = np.full((self.count, context.CLASSES), NEVER, dtype=np.int32)
        for k in range(context.CLASSES):
            found = in_order == k
            self._first[:, k] = np.where(found.any(axis=1), wave[found.argmax(axis=1)], NEVER)
        hard = np.zeros(maps.shape, dtype=bool)
        for dy, dx in context.NEAR[:HARD_PLACES]:
            near = self._padded[:, above + dy : above + dy + self.height, beside + dx : beside + dx + self.width]
            hard |= near != maps
        self._is_hard, self._hard = hard.ravel(), np.flatnonzero(hard).astype(np.int32)

    def draw(self, n: int, rng: np.random.Generator) -> Pixels:
        """``n`` pixels; the sum of weight times bits is an unbiased estimate of bits a pixel."""
        hard = min(int(n * HARD), n if len(self._hard) else 0)
        chosen = [self._hard[rng.integers(len(self._hard), size=hard)]] if hard else []
        chosen = np.concatenate([*chosen, rng.integers(self.maps.size, size=n - hard)]).astype(np.int64)
        density = (n - hard) / self.maps.size + self._is_hard[chosen] * (hard / max(len(self._hard), 1))
        image, pixel = np.divmod(chosen, self.height * self.width)
        y, x = np.divmod(pixel, self.width)
        _, tall, wide = self._padded.shape
        base = (image * tall + y + context.ABOVE) * wide + x + context.BESIDE
        around = self._padded.ravel()[base[:, None] + context.offsets(self.width)]
        seen = self._first[image] < (x + context.LEAN * y)[:, None]
        made = context.features(around, seen, *context.position(y, x, (self.height, self.width)))
        return Pixels(*made, self.maps.ravel()[chosen].astype(np.int64), (1.0 / self.maps.size / density).astype(np.float32))


class Maps:
    """All label maps of the packs, by source and size. Raises: DataError where a source has none."""

    def __init__(self, packs: Sequence[Pack], sources: Mapping[str, Source], seed: int):
        total = sum(source.share for source in sources.values())
        self.shares = {kind: source.share / total for kind, source in sources.items()}
        self.counts = {}
        self.pools: dict[str, list[Pool]] = {}
        for kind, source in sources.items():
            found = [pack.labels(i) for pack in packs for i, name in enumerate(pack.names) if name.split("/")[0] == kind]
            found = [labels for labels in found if labels is not None]
            if not found:
                raise DataError(f"the packs hold no label map of '{kind}'; pack some, or leave it out of `sources`")
            self.counts[kind] = len(found)
            rng = generator(seed, "label_map", "cuts", kind)
            large = np.stack([cut(labels, number, rng) for labels in found for number in range(source.cuts)])
            self.pools[kind] = [Pool(thinned(large, 2**level, rng), level) for level in range(context.LEVELS)]

    def batch(self, seed: int, step: int, size: int) -> list[Pixels]:
        """One `Pixels` a source and size; weights make the loss a mean over sizes of bytes over BYTES."""
        drawn = []
        for kind, share in self.shares.items():
            for pool, spread, scale, emphasis in zip(self.pools[kind], SPREAD, BYTES, EMPHASIS, strict=True):
                pixels = pool.draw(max(8, round(size * spread * share)), generator(seed, "label_map", step, kind, pool.level))
                # nats a pixel -> bytes a map, over what is needed
                pixels.weights[:] *= share * emphasis * pool.height * pool.width / (8.0 * np.log(2.0)) / scale
                drawn.append(pixels)
        return drawn


def cut(labels: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """128x256 of a map, the widest that there is: number 0 from the middle, others at another height, odd ones mirrored."""
    height, width = labels.shape
    tall = min(height, width * HEIGHT // WIDTH)
    wide = min(width, tall * WIDTH // HEIGHT)
    off = STEP * round(rng.normal() * SHIFT / STEP) if number else 0
    top = int(np.clip((height - tall) // 2 + off, 0, height - tall))
    left = (width - wide) // 2
    rows = top + (2 * np.arange(HEIGHT) + 1) * tall // (2 * HEIGHT)
    columns = left + (2 * np.arange(WIDTH) + 1) * wide // (2 * WIDTH)
    made = labels[np.ix_(rows, columns)]
    return made[:, ::-1] if number % 2 else made


def thinned(maps: np.ndarray, factor: int, rng: np.random.Generator) -> np.ndarray:
    """Every ``factor``-th row and column of each map, from a drawn phase on."""
    phases = rng.integers(factor, size=(len(maps), 2))
    return np.stack([labels[y::factor, x::factor] for labels, (y, x) in zip(maps, phases, strict=True)])
