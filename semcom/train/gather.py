"""What goes into a pack: the training images of labelled sets, folders of pictures, and nothing that is reported."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semcom import registry
from semcom.component import Component
from semcom.errors import DataError, ScenarioError
from semcom.scenario.components import parse, unfold
from semcom.scenario.yaml_file import Document, read_text
from semcom.train.pack import Item

#: on what terms a source's pictures may be used; a card repeats it
TERMS = {
    "camvid": "Brostow, Shotton, Fauqueur, Cipolla 2008, University of Cambridge; research use",
    "labelmefacade": "Froehlich, Rodner, Denzler 2010; non-commercial research",
    "cityscapes": "Cordts et al. 2016; non-commercial research, under the licence of cityscapes-dataset.com",
    "streets": "drawn by this package; free of terms",
    "photos": "photographs of scikit-image's package",
}
UNSTATED = "not stated by who packed them"
#: what only a labelled set has in its folder
LAYOUTS = {
    "camvid": ("train", "trainannot"),
    "labelmefacade": ("images", "labels", "train.txt"),
    "cityscapes": ("leftImg8bit", "gtFine"),
}
#: pictures in memory at a time
CHUNK = 32


@dataclass(frozen=True)
class Gathered:
    """Prepared sources, and what a pack's header says of them."""

    sources: tuple[tuple[Component, Any], ...]
    classes: tuple[str, ...]
    provenance: tuple[dict[str, Any], ...]

    def items(self) -> Iterator[Item]:
        """Every training picture; DataError where one is among the held-out pictures of these sources."""
        held_out = dict(pair for description, source in self.sources for pair in _held_out(description, source))
        for number, (description, source) in enumerate(self.sources):
            prefix = description.kind if description.kind != "folder" else f"folder{number}"
            for item in _pictures(source, source.images()):
                if (found := held_out.get(_digest(item.pixels))) is not None:
                    raise DataError(f"'{item.name}' is the same picture as {found}, which is kept out of training; leave it out")
                yield item._replace(name=f"{prefix}/{item.name}", cluster=f"{prefix}/{item.cluster}")


def gather(images: Sequence[str], size: tuple[int, int], terms: str = UNSTATED) -> Gathered:
    """The sources that ``images`` name, at ``size`` (H, W).

    Each is a folder of pictures, KIND:PATH of a labelled set (``camvid:data/camvid``), or a source as a scenario
    writes it (``{kind: streets, seed: 7}``). Of a labelled set only the split `train` is taken, without its
    tuning images. Raises: DataError, ScenarioError.
    """
    descriptions = [_description(text, size) for text in images]
    sources = tuple((description, description.build()) for description in descriptions)
    classes = {source.classes for _, source in sources if source.classes}
    if len(classes) > 1:
        names = ", ".join(description.kind for description, source in sources if source.classes)
        raise DataError(f"{names} label different classes; make a pack of each")
    provenance = tuple(
        {
            "source": description.kind,
            "images": len(source.images()),
            "size": list(size),
            "terms": TERMS.get(description.kind, terms),
        }
        for description, source in sources
    )
    return Gathered(sources, next(iter(classes), ()), provenance)


def _description(text: str, size: tuple[int, int]) -> Component:
    value, name = _value(text), f"source {text}"
    document = Document(name, value)
    found = parse("source", {**value, "size": list(size)}, ())
    if isinstance(found, list):
        raise document.error(found)
    if "split" in type(found).model_fields:
        if "split" in value and value["split"] != "train":
            raise ScenarioError(f"{name}: split '{value['split']}' was given; only 'train' may be trained on")
        found = found.model_copy(update={"split": "train"})
    if found.kind == "folder":
        _is_no_labelled_set(Path(found.path).expanduser())
    return found


def _value(text: str) -> dict[str, Any]:
    kind, colon, path = text.partition(":")
    if text.startswith("{"):
        value = unfold(read_text(text, f"source {text}").data)
        return value if isinstance(value, dict) else {}
    if colon and kind in registry.kinds("source"):
        return {"kind": kind, "path": path}
    return {"kind": "folder", "path": text, "recursive": True}


def _is_no_labelled_set(folder: Path) -> None:
    """A labelled set's folder, or one inside it, holds pictures that are reported."""
    for place in (folder.resolve(), *list(folder.resolve().parents)[:2]):
        for kind, layout in LAYOUTS.items():
            if all((place / name).exists() for name in layout):
                raise DataError(
                    f"'{folder}' belongs to a {kind} set, whose val and tuning images are no training data; write {kind}:{place}"
                )


def _held_out(description: Component, source: Any) -> Iterator[tuple[str, str]]:
    """(digest of the pixels, what it is) of pictures on disk that must not be trained on."""
    fields = type(description).model_fields
    if "path" not in fields:  # drawn, not read: its splits cannot meet
        return
    for item in _pictures(source, source.tuning()):
        yield _digest(item.pixels), f"tuning image '{item.name}' of {description.kind}"
    if "split" not in fields:
        return
    reported = fields["split"].default
    other = description.model_copy(update={"split": reported, "every": 1, "limit": None})
    try:
        prepared = other.build()
    except DataError:  # a copy of the set without what is reported: nothing to keep apart
        return
    for item in _pictures(prepared, prepared.images()):
        yield _digest(item.pixels), f"{reported} image '{item.name}' of {description.kind}"


def _pictures(source: Any, refs: Sequence[Any]) -> Iterator[Item]:
    clusters = {ref.id: ref.cluster for ref in refs}
    for ids in _chunks([ref.id for ref in refs]):
        batch = source.load(ids)
        pixels = (batch.pixels * 255.0).round().byte().permute(0, 2, 3, 1).numpy()
        labels = [None] * len(ids) if batch.labels is None else batch.labels.byte().numpy()
        for name, picture, classes in zip(ids, pixels, labels, strict=True):
            yield Item(name, clusters[name], picture, classes)


def _chunks(ids: Sequence[str]) -> Iterator[tuple[str, ...]]:
    yield from (tuple(ids[start : start + CHUNK]) for start in range(0, len(ids), CHUNK))


def _digest(pixels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
