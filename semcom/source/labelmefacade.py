"""LabelMeFacade: street fronts of many cities, with label maps."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from semcom.errors import DataError, allowed
from semcom.source import camvid
from semcom.source._files import Classes, Entry, FilesDescription, FileSource, Size, size_field, unreported, with_labels

#: label value 0-8 -> CamVid's class, so that models and scores of both sets speak of the same classes
TO_CAMVID = {
    "various": "void",
    "building": "building",
    "car": "car",
    "door": "building",
    "pavement": "pavement",
    "road": "road",
    "sky": "sky",
    "vegetation": "tree",
    "window": "building",
}
CLASSES = Classes(camvid.NAMES, np.array([camvid.NAMES.index(name) for name in TO_CAMVID.values()]))

#: training images of one place, kept out of training for tuning
TUNING_PREFIX = "april21_static_outdoor_davis"


class LabelMeFacade(FilesDescription):
    """LabelMeFacade: images/, labels/, and one list of names for each split (train.txt, val.txt).

    Label values 0-8 are various, building, car, door, pavement, road, sky, vegetation, window; they become
    CamVid's classes: building, door, window -> building; vegetation -> tree; various -> void; the others by
    name. A cluster is a place: the file name up to ``__``.

    Tuning images are the training images named april21_static_outdoor_davis*. The prior is the average of the
    other training images, or of the tuning images where `train` itself is reported.

    Shapes: 128x256 unless ``size`` says otherwise. References: Froehlich, Rodner, Denzler 2010.

    Example::

        source: {kind: labelmefacade, path: ../shared/data/labelmefacade, split: val, size: [128, 256]}
    """

    LABELLED: ClassVar = tuple(name for name in camvid.NAMES if name in TO_CAMVID.values() and name != "void")

    kind: Literal["labelmefacade"] = "labelmefacade"
    size: Size = size_field(128, 256)
    split: str = Field("val", pattern=r"^[\w.-]+$", description="list of the reported names without its .txt: val, train, ...")

    def build(self) -> FileSource:
        pictures = {p.stem: p for p in sorted(self.folder("images").iterdir()) if not p.name.startswith(".")}
        train = self._list("train", pictures)
        tuning = [entry for entry in train if entry.id.startswith(TUNING_PREFIX)]
        rest = [entry for entry in train if not entry.id.startswith(TUNING_PREFIX)]
        held_out = {entry.id for entry in tuning}
        reported = rest if self.split == "train" else [e for e in self._list(self.split, pictures) if e.id not in held_out]
        return FileSource(self.size, self.chosen(reported), tuning, unreported(rest, reported) or tuning, CLASSES, limit=self.limit)

    def _list(self, split: str, pictures: dict[str, Path]) -> list[Entry]:
        listing = self.folder() / f"{split}.txt"
        if not listing.is_file():
            lists = [p.stem for p in self.folder().glob("*.txt")]
            raise DataError(f"labelmefacade: there is no list '{listing}'; {allowed(split, lists)}")
        names = listing.read_text(encoding="utf-8").split()
        if not names:
            raise DataError(f"labelmefacade: the list '{listing}' is empty")
        missing = [name for name in names if name not in pictures]
        if missing:
            raise DataError(f"labelmefacade: '{listing}' names '{missing[0]}', which is not in '{self.folder('images')}'")
        labels = self.folder("labels")
        return with_labels(Entry(n, n.partition("__")[0], pictures[n], labels / f"{n}.png") for n in names)
