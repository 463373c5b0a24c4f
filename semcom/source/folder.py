"""Any folder of pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from semcom.errors import DataError
from semcom.source import photos
from semcom.source._files import Entry, FilesDescription, FileSource, Size, size_field


class Folder(FilesDescription):
    """All pictures of a folder, of any format that Pillow reads.

    Pictures come in the order of their paths, which are their names. They are turned upright as EXIF says and
    brought to 8-bit RGB: transparency over white, 16 bits rounded to 8, grey as three equal planes. Every file
    is decoded before a sweep starts; a damaged one is named with its reason and skipped, or stops the run with
    ``on_damaged: stop``. Files whose extension is no picture's are skipped with that reason; hidden ones
    are not looked at.

    Pictures that are not independent must share a cluster, or intervals are too narrow: ``folder`` makes each
    subfolder a cluster, ``prefix`` the file name without its trailing number (frames of a clip).

    ``tuning`` names a second folder whose pictures are never reported: settings are tuned on them, and their
    average is the prior. Without it both come from the tuning photographs of the source `photos`.

    Example::

        source: {kind: folder, path: pictures, size: [256, 256], cluster: image}
    """

    PLACE: ClassVar[frozenset[str]] = FilesDescription.PLACE | {"recursive", "on_damaged", "tuning"}

    kind: Literal["folder"] = "folder"
    size: Size = size_field(256, 256)
    recursive: bool = Field(False, description="look into subfolders as well")
    on_damaged: Literal["skip", "stop"] = Field("skip", description="a damaged picture is skipped, or stops the run")
    cluster: Literal["image", "folder", "prefix"] = Field("image", description="what is independent of each other")
    tuning: str | None = Field(None, description="folder of pictures to tune on, never reported")

    def build(self) -> FileSource:
        reported, skipped = self._list(self.folder())
        tuning, more = self._list(self._tuning_folder()) if self.tuning else ([], {})
        training = tuning or photos.entries(photos.TUNING)
        return _Folder(
            self.size,
            self.chosen(reported),
            [Entry(f"tuning/{e.id}", e.cluster, e.picture) for e in tuning],
            training,
            limit=self.limit,
            skip_damaged=self.on_damaged == "skip",
            skipped={**skipped, **{f"tuning/{name}": reason for name, reason in more.items()}},
        )

    def _tuning_folder(self) -> Path:
        at = Path(self.tuning).expanduser()
        if not at.is_dir():
            raise DataError(f"folder: there is no folder '{at}'; give `tuning` a folder of pictures, or leave it out")
        return at

    def _list(self, root: Path) -> tuple[list[Entry], dict[str, str]]:
        """The pictures under ``root`` and, of the other files, why they are none."""
        found, skipped, readable = [], {}, _extensions()
        for path in sorted(root.rglob("*") if self.recursive else root.iterdir()):
            name = path.relative_to(root)
            if not path.is_file() or any(part.startswith(".") for part in name.parts):
                continue
            if path.suffix.lower() in readable:
                found.append(Entry(name.as_posix(), self._cluster(name), path))
            else:
                skipped[name.as_posix()] = f"'{path}' is not a picture: Pillow reads no '{path.suffix}' files"
        if not found:
            hint = "" if self.recursive else "; to look into subfolders set `recursive: true`"
            raise DataError(f"folder: there is no picture in '{root}' ({len(skipped)} other files){hint}")
        return found, skipped

    def _cluster(self, name: Path) -> str:
        if self.cluster == "folder":
            return name.parent.as_posix()
        if self.cluster == "prefix":
            return (name.parent / (re.sub(r"[-_. ]*\d+$", "", name.stem) or name.stem)).as_posix()
        return name.as_posix()


class _Folder(FileSource):
    """A prepared folder; a tuning picture that is also reported is an error."""

    def tuning(self):
        reported = {ref.digest: ref.id for ref in self.images()} if self._tuning else {}
        for ref in super().tuning():
            if ref.digest in reported:
                raise DataError(f"'{ref.id}' is also the reported picture '{reported[ref.digest]}'; keep the two apart")
        return super().tuning()


def _extensions() -> frozenset[str]:
    from PIL import Image

    return frozenset(extension for extension, name in Image.registered_extensions().items() if name in Image.OPEN)
