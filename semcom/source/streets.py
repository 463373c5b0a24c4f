"""Street scenes made by a procedural renderer: pictures with exact label maps, nothing to download."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar, Literal, get_args

import lazy_loader as lazy
import numpy as np
from pydantic import Field, PositiveInt

from semcom.component import Component
from semcom.errors import DataError
from semcom.protocols import ImageRef
from semcom.source._files import CACHE_BYTES, Averages, Size, size_field, to_float
from semcom.source.camvid import NAMES
from semcom.types import ImageBatch

torch = lazy.load("torch")

Split = Literal["report", "tuning", "train"]
SPLITS = get_args(Split)
#: scenes that settings are tuned on, training scenes that the prior averages, and those that systems may know one by one
TUNING_SCENES, PRIOR_SCENES, TRAINING_SCENES = 32, 48, 128


class Streets(Component):
    """Street scenes from a procedural renderer, as a camera behind a windscreen sees them, with exact label maps.

    A road in perspective with markings, crossings, kerbs and pavements, rows of houses and shops, gardens, trees, sky,
    street furniture, pedestrians, cyclists and vehicles, by day, at dusk, in sun, haze and rain. Label values 0-11 are
    CamVid's: sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist, void. Classes above 1 %
    are within a factor of two as frequent as in CamVid.

    Picture and labels come from one geometry, traced at 3x3 samples a pixel: a pixel's colour is the mean over its
    samples, its label the class at its centre (as label maps of data sets are resized), so thin things are blended in
    the picture and whole or absent in the labels. Labels are exact where annotators are generous: between railings and
    bare branches stands the label of what is seen there. A scene does not depend on the size; a taller picture of the
    same width sees more sky and road.

    Every scene is keyed by (seed, split, index): the three splits never share one, an image does not depend on how
    many others there are, and each is its own cluster. Pixels are 8-bit levels. Outlines come from Pillow's integer
    rasteriser and shading from single-precision arithmetic. Over 24 scenes they were bit-identical with and without a
    processor's vector instructions; between Pillow 11.3 with numpy 2.2.6 and Pillow 13.0 with numpy 2.4.6 the labels were
    identical and 5 of 2.4 million values moved, by one level.

    Tuning images are 32 scenes of the split `tuning`. The prior is the average of 48 scenes of the split `train`.

    Shapes: 128x256 unless ``size`` says otherwise. References: Brostow, Shotton, Fauqueur, Cipolla 2008, the classes.

    Example::

        source: {kind: streets, size: [128, 256], count: 100}
    """

    LABELLED: ClassVar = NAMES[:-1]  # all but void
    kind: Literal["streets"] = "streets"
    #: how many are taken is not what an image is
    TAKEN: ClassVar[frozenset[str]] = frozenset({"count"})

    size: Size = size_field(128, 256, "(H, W) of every image, pixels; the horizontal field of view stays the same")
    count: PositiveInt = Field(100, description="how many scenes are reported, from index 0 on")
    split: Split = Field("report", description="which scenes are reported: report, tuning or train; they never overlap")
    seed: int = Field(0, ge=0, description="another seed is another town: other scenes in every split")

    def identity(self) -> dict:
        return {key: value for key, value in super().identity().items() if key not in self.TAKEN}

    def build(self) -> StreetSource:
        return StreetSource(self.size, self.count, self.split, self.seed, self.VERSION)


class StreetSource:
    """A prepared source of scenes (`semcom.protocols.Source`); an image is rendered when it is first asked for.

    The digest of an image names what makes it (version, seed, split, index), not its bytes: nothing is rendered to list
    images, and the size belongs to the description's identity.
    """

    classes = NAMES
    note = ""

    def __init__(self, size: tuple[int, int], count: int, split: Split, seed: int, version: int):
        self.size, self._split, self._seed, self._version = size, split, seed, version
        self._count = count
        self._cache: OrderedDict[str, tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def images(self) -> Sequence[ImageRef]:
        return self._refs(self._split, range(self._count))

    def tuning(self) -> Sequence[ImageRef]:
        first = self._count if self._split == "tuning" else 0  # what is reported is not tuned on
        return self._refs("tuning", range(first, first + TUNING_SCENES))

    def training(self) -> Sequence[str]:
        """Names of the first scenes of the split `train`, those that are reported left out."""
        first = self._count if self._split == "train" else 0
        return tuple(ref.id for ref in self._refs("train", range(first, first + TRAINING_SCENES)))

    def skipped(self) -> Mapping[str, str]:
        return {}

    def load(self, ids: Sequence[str]) -> ImageBatch:
        """Any scene of this seed: those of `images` and `tuning`, and any other index or split by its name."""
        scenes = [self._scene(name) for name in ids]
        pixels = np.stack([s[0] for s in scenes]) if scenes else np.zeros((0, *self.size, 3), np.uint8)
        labels = np.stack([s[1] for s in scenes]) if scenes else np.zeros((0, *self.size), np.uint8)
        return ImageBatch(to_float(pixels), tuple(ids), torch.from_numpy(labels).to(torch.int64))

    def prior(self) -> torch.Tensor:
        """float32 [3, H, W], the average of some training scenes."""
        return self._averages[0]

    def prior_labels(self) -> torch.Tensor | None:
        """int64 [H, W], the most frequent class of each pixel in those scenes, void left out."""
        return self._averages[1]

    def class_colours(self) -> torch.Tensor | None:
        """float32 [classes, 3] in [0, 1]: mean colour of each class in those scenes."""
        return self._averages[2]

    def _refs(self, split: Split, indices: range) -> tuple[ImageRef, ...]:
        names = [f"{split}_{self._seed}_{index:05d}" for index in indices]
        return tuple(ImageRef(name, name, self._digest(name)) for name in names)

    def _digest(self, name: str) -> str:
        return hashlib.sha256(f"streets {self._version} {name}".encode()).hexdigest()[:16]

    def _scene(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        if name not in self._cache:
            scene = self._render(*self._parsed(name))
            while len(self._cache) >= max(1, CACHE_BYTES // (4 * self.size[0] * self.size[1])):
                self._cache.popitem(last=False)
            self._cache[name] = scene
        self._cache.move_to_end(name)
        return self._cache[name]

    def _render(self, split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
        from semcom.source.street.render import render

        return render((self._seed, split, index), self.size)

    def _parsed(self, name: str) -> tuple[str, int]:
        found = re.fullmatch(rf"({'|'.join(SPLITS)})_{self._seed}_(\d{{5}}|[1-9]\d{{5,}})", name)
        if not found:
            raise DataError(
                f"there is no scene '{name}' among the streets of seed {self._seed}; allowed: SPLIT_{self._seed}_INDEX such as "
                f"report_{self._seed}_00007, with a split of {', '.join(SPLITS)} and an index of five digits or more"
            )
        return found[1], int(found[2])

    @cached_property
    def _averages(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rendered once, past the cache."""
        sums = Averages(self.size, len(NAMES))
        for index in range(PRIOR_SCENES):
            sums.add(*self._render("train", index))
        return sums.picture(), sums.most_frequent(NAMES.index("void")), sums.colours()
