"""Cityscapes: street scenes of fifty cities, with fine label maps."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from semcom.errors import DataError
from semcom.source import photos
from semcom.source._decode import UNDEFINED
from semcom.source._files import Classes, Entry, FilesDescription, FileSource, Size, size_field, with_labels

#: the 19 classes in the order of their train ids, each with its label id (Cordts et al. 2016)
TRAIN_IDS = {
    "road": 7,
    "sidewalk": 8,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "pole": 17,
    "traffic light": 19,
    "traffic sign": 20,
    "vegetation": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}
LABEL_IDS = 34  # 0-33
#: how 8 bits write the label id -1 (licence plate), and what train-id files use for void
IGNORED = 255

#: of the training pictures in the order of their names, every 25th is for tuning
TUNING_EVERY = 25


def _classes() -> Classes:
    names = (*TRAIN_IDS, "void")
    table = np.full(IGNORED + 1, UNDEFINED)
    table[:LABEL_IDS] = table[IGNORED] = names.index("void")
    table[list(TRAIN_IDS.values())] = np.arange(len(TRAIN_IDS))
    return Classes(names, table)


class Cityscapes(FilesDescription):
    """Cityscapes: leftImg8bit/SPLIT/CITY/*_leftImg8bit.png and gtFine/SPLIT/CITY/*_gtFine_labelIds.png.

    Label ids 0-33 become the 19 classes that are scored, in the order of their train ids, and void (class 19)
    for all others. A cluster is a recorded sequence: the city and the sequence's number, such as
    ``frankfurt_000001``.

    Tuning images are every 25th of `train`, which `train` then leaves out of a report. The prior is their
    average (the whole of `train` takes minutes to decode). Without a `train` folder there are none, and
    both come from the tuning photographs of the source `photos`.

    Shapes: 128x256 unless ``size`` says otherwise. References: Cordts et al. 2016.

    Example::

        source: {kind: cityscapes, path: cityscapes, split: val, size: [128, 256]}
    """

    LABELLED: ClassVar = tuple(TRAIN_IDS)

    kind: Literal["cityscapes"] = "cityscapes"
    size: Size = size_field(128, 256)
    split: str = Field("val", pattern=r"^[\w.-]+$", description="folder of the reported pictures: val, train, test, ...")

    def build(self) -> FileSource:
        has_train = (self.folder("leftImg8bit") / "train").is_dir()
        train = self._list("train") if has_train else []
        tuning = train[::TUNING_EVERY]
        held_out = {entry.id for entry in tuning}
        split = train if self.split == "train" and has_train else self._list(self.split)
        reported = [entry for entry in split if entry.id not in held_out]
        training = tuning or photos.entries(photos.TUNING)
        return FileSource(self.size, self.chosen(reported), tuning, training, _classes(), limit=self.limit)

    def _list(self, split: str) -> list[Entry]:
        folder = self.folder("leftImg8bit", split)
        annotations = self.folder("gtFine", split)
        pictures = sorted(folder.glob("*/*_leftImg8bit.png"))
        if not pictures:
            raise DataError(f"cityscapes: there is no CITY/*_leftImg8bit.png in '{folder}'")
        return with_labels(_entry(path, annotations) for path in pictures)


def _entry(path: Path, annotations: Path) -> Entry:
    name = path.name.removesuffix("_leftImg8bit.png")
    if name.count("_") < 2:
        raise DataError(f"cityscapes: '{path}' is not named CITY_SEQUENCE_FRAME_leftImg8bit.png, so its sequence is unknown")
    return Entry(name, name.rpartition("_")[0], path, annotations / path.parent.name / f"{name}_gtFine_labelIds.png")
