"""A pack: pictures, label maps and where they come from, in one compact file that can travel.

One safetensors file: JPEG or WebP streams and PNG-compressed label maps, each end to end as bytes with their
offsets; a JSON header with names, clusters, classes and provenance. Pictures may differ in size.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semcom.errors import DataError

FORMAT, HEADER = "semcom pack 1", "pack"
#: Pillow's options: colour is not subsampled, because labels follow thin coloured things
CODECS = {"jpeg": {"format": "JPEG", "subsampling": 0, "optimize": True}, "webp": {"format": "WEBP", "method": 4}}


class Item(NamedTuple):
    """A picture uint8 [H, W, 3], its labels uint8 [H, W] or None, its name and the cluster it is drawn from."""

    name: str
    cluster: str
    pixels: np.ndarray
    labels: np.ndarray | None = None


def write(
    path: str | Path,
    items: Iterable[Item],
    classes: Sequence[str] = (),
    provenance: Sequence[Mapping[str, Any]] = (),
    codec: str = "jpeg",
    quality: int = 92,
) -> int:
    """Write a pack and return how many pictures it holds. ``provenance`` has an entry a source: what, terms, images."""
    from safetensors.numpy import save_file

    from semcom.store.writer import atomically

    names, clusters, pictures, maps = [], [], [], []
    for item in items:
        names.append(item.name)
        clusters.append(item.cluster)
        pictures.append(_encode(item.pixels, {**CODECS[codec], "quality": quality}))
        maps.append(b"" if item.labels is None else _encode(item.labels, {"format": "PNG", "optimize": True}))
    if not names:
        raise DataError(f"'{path}' would hold no picture; name at least one")
    header = {"format": FORMAT, "names": names, "clusters": clusters, "classes": list(classes), "provenance": list(provenance)}
    arrays = {
        f"{what}_{part}": array for what, parts in (("pictures", pictures), ("labels", maps)) for part, array in _joined(parts)
    }
    # one key: safetensors writes several in an order that changes from run to run
    metadata = {HEADER: json.dumps(header, ensure_ascii=False)}
    atomically(Path(path), lambda temporary: save_file(arrays, temporary, metadata=metadata))
    return len(names)


@dataclass(frozen=True)
class Pack:
    """A pack in memory, still compressed. ``digest`` is the file's SHA-256."""

    path: str
    digest: str
    names: tuple[str, ...]
    clusters: tuple[str, ...]
    classes: tuple[str, ...]
    provenance: tuple[Mapping[str, Any], ...]
    arrays: Mapping[str, np.ndarray]

    @staticmethod
    def open(path: str | Path) -> Pack:
        """Raises: DataError where there is no file, or it is no pack."""
        from safetensors import SafetensorError, safe_open
        from safetensors.numpy import load_file

        path = Path(path).expanduser()
        if not path.is_file():
            raise DataError(f"there is no pack '{path}'; make it with: semcom pack IMAGES... -o {path}")
        try:
            with safe_open(path, "numpy") as file:
                metadata = file.metadata() or {}
            arrays = load_file(path)
        except (OSError, SafetensorError) as error:
            raise DataError(f"'{path}' cannot be read as a pack ({error}); make it again with semcom pack") from error
        header = json.loads(metadata.get(HEADER, "{}"))
        if header.get("format") != FORMAT:
            given = header.get("format", "no pack at all")
            raise DataError(f"'{path}' is no pack of this version ({given}; expected {FORMAT}); make it with semcom pack")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lists = {key: tuple(header[key]) for key in ("names", "clusters", "classes", "provenance")}
        return Pack(str(path), digest, arrays=arrays, **lists)

    def __len__(self) -> int:
        return len(self.names)

    def picture(self, index: int):
        """A PIL picture, RGB."""
        from PIL import Image

        return Image.open(io.BytesIO(self._part("pictures", index))).convert("RGB")

    def labels(self, index: int) -> np.ndarray | None:
        """uint8 [H, W], or None where the picture has none."""
        from PIL import Image

        data = self._part("labels", index)
        return np.asarray(Image.open(io.BytesIO(data))) if data else None

    def _part(self, what: str, index: int) -> bytes:
        stops = self.arrays[f"{what}_stops"]
        start = int(stops[index - 1]) if index else 0
        return self.arrays[f"{what}_bytes"][start : int(stops[index])].tobytes()


def _joined(parts: Sequence[bytes]) -> list[tuple[str, np.ndarray]]:
    stops = np.cumsum([len(part) for part in parts], dtype=np.int64)
    return [("bytes", np.frombuffer(b"".join(parts), dtype=np.uint8)), ("stops", stops)]


def _encode(pixels: np.ndarray, options: Mapping[str, Any]) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, **options)
    return stream.getvalue()
