"""CamVid: street scenes filmed from a car, with label maps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from semcom import classes
from semcom.errors import DataError
from semcom.source._files import Classes, Entry, FilesDescription, FileSource, Size, size_field, unreported, with_labels

NAMES = (*classes.NAMES, "void")
CLASSES = Classes(NAMES, np.arange(len(NAMES)))

#: Brostow et al. 2008: the drives were filmed at 30 frames a second, and frames are numbered in the file names
FRAMES_A_SECOND = 30
SEGMENT_SECONDS = 10
#: the drive and its frames that are kept for tuning, out of training and out of every report
TUNING_DRIVE, TUNING_FIRST, TUNING_LAST = "0016E5", 390, 2400


class CamVid(FilesDescription):
    """CamVid in the folder layout of the SegNet tutorial: SPLIT/NAME.png and SPLITannot/NAME.png.

    Label values 0-11 are sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist,
    void. File names end in the number of the frame (``0006R0_f00930``), at 30 frames a second. Neighbouring
    frames are not independent, so each drive is cut into clusters of consecutive frames, about 10 s each; a
    gap of more than 10 s ends a cluster too. ``limit`` takes the first frames, which are few seconds
    of one drive: prefer ``every``.

    Tuning images are the frames 390 to 2400 of drive 0016E5 in `train`. The prior is the average of the rest
    of `train`, or of the tuning images where `train` itself is reported.

    Shapes: 128x256 unless ``size`` says otherwise. References: Brostow, Shotton, Fauqueur, Cipolla 2008.

    Example::

        source: {kind: camvid, path: ../shared/data/camvid, split: val, size: [128, 256]}
    """

    LABELLED: ClassVar = classes.NAMES

    kind: Literal["camvid"] = "camvid"
    size: Size = size_field(128, 256)
    split: str = Field("val", pattern=r"^[\w.-]+$", description="folder of the reported pictures: val, train, test, ...")

    def build(self) -> FileSource:
        train = self._list("train")
        tuning = [entry for entry in train if _is_tuning(entry)]
        rest = [entry for entry in train if not _is_tuning(entry)]
        reported = rest if self.split == "train" else [e for e in self._list(self.split) if not _is_tuning(e)]
        return FileSource(self.size, self.chosen(reported), tuning, unreported(rest, reported) or tuning, CLASSES, limit=self.limit)

    def _list(self, split: str) -> list[Entry]:
        folder, annotations = self.folder(split), self.folder(split + "annot")
        pictures = sorted(folder.glob("*.png"))
        if not pictures:
            raise DataError(f"camvid: there is no .png picture in '{folder}'")
        clusters = segments(pictures)
        return with_labels(Entry(p.stem, clusters[p.stem], p, annotations / p.name) for p in pictures)


def frame_of(path: Path) -> tuple[str, int]:
    """(drive, frame number) of a CamVid file name.

    >>> frame_of(Path("0006R0_f00930.png"))
    ('0006R0', 930)
    """
    match = re.fullmatch(r"(.+)_f?(\d+)", path.stem)
    if not match:
        raise DataError(f"camvid: '{path}' is not named DRIVE_FRAME, such as 0006R0_f00930.png; rename it")
    return match[1], int(match[2])


def segments(pictures: Sequence[Path]) -> dict[str, str]:
    """Name -> cluster. A run of frames without a gap of a segment's length is cut into equal times of about that length."""
    length = SEGMENT_SECONDS * FRAMES_A_SECOND
    drives: dict[str, list[int]] = {}
    for drive, frame in sorted(map(frame_of, pictures)):
        drives.setdefault(drive, []).append(frame)
    cluster: dict[tuple[str, int], str] = {}
    for drive, frames in drives.items():
        cuts = [i for i, (a, b) in enumerate(pairwise(frames), start=1) if b - a > length]
        for start, stop in pairwise([0, *cuts, len(frames)]):
            run = frames[start:stop]
            span = run[-1] - run[0] + 1
            count = max(1, round(span / length))
            parts = [(frame - run[0]) * count // span for frame in run]
            firsts = {part: frame for part, frame in sorted(zip(parts, run, strict=True), reverse=True)}
            cluster |= {(drive, frame): f"{drive}_{firsts[part]:05d}" for part, frame in zip(parts, run, strict=True)}
    return {path.stem: cluster[frame_of(path)] for path in pictures}


def _is_tuning(entry: Entry) -> bool:
    drive, frame = frame_of(entry.picture)
    return drive == TUNING_DRIVE and TUNING_FIRST <= frame <= TUNING_LAST
