"""Natural colour photographs that come with scikit-image: nothing to download."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveInt

from semcom.component import Component
from semcom.errors import DataError
from semcom.source._files import Entry, FileSource, Size, size_field

REPORTED = ("astronaut.png", "chelsea.png", "motorcycle_left.png")
TUNING = ("coffee.png", "rocket.jpg")


def entries(names: tuple[str, ...]) -> list[Entry]:
    """The photographs, each a cluster of its own, as files inside the installed package."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("scikit-image is not installed, and `photos` are files of its package; pip install scikit-image")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(f"the installed scikit-image has no '{missing[0]}' in '{folder}'; install scikit-image from its wheel")
    return [Entry(Path(name).stem, Path(name).stem, folder / name) for name in names]


#: fewer than ten clusters, which tables mark as indicative by themselves
NOTE = "a cluster is a photograph"


class Photos(Component):
    """Three natural photographs inside scikit-image's package; two more serve tuning.

    Reported are astronaut (NASA), chelsea (a cat) and motorcycle_left (Middlebury stereo 2014), in this
    order. coffee and rocket are never reported: settings are tuned on them and their average is the prior.
    Three photographs show that things work; they carry no statistics, so tables mark every interval.

    Shapes: 256x256 unless ``size`` says otherwise, no labels. Every photograph is its own cluster.

    Example::

        source: {kind: photos, size: [256, 256]}
    """

    kind: Literal["photos"] = "photos"
    size: Size = size_field(256, 256)
    limit: PositiveInt | None = Field(None, description="take only the first N photographs")

    def identity(self) -> dict:
        return {key: value for key, value in super().identity().items() if key != "limit"}

    def build(self) -> FileSource:
        tuning = entries(TUNING)
        return FileSource(self.size, entries(REPORTED), tuning, tuning, note=NOTE, limit=self.limit)
