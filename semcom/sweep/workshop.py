"""Prepared objects, each built once: what descriptions become on one device."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from semcom.protocols import Context, Source
from semcom.scenario.identity import digest
from semcom.system import System
from semcom.types import ImageBatch


class Workshop:
    """Builds descriptions on demand and keeps what it built.

    Building is looked up by identity, so that equal descriptions in different systems share one object
    (an image codec keeps its rate tables, a network its weights).
    """

    def __init__(self, device: str):
        self.device = device
        self._built: dict[tuple[Hashable, ...], Any] = {}
        self._images: OrderedDict[tuple[str, tuple[str, ...]], ImageBatch] = OrderedDict()

    def source(self, description) -> Source:
        return self._once(("source", _key(description)), description.build)

    def system(self, parts, channel, source) -> System:
        """``parts`` has descriptions ``transmit``, ``link`` and ``receive``."""
        at = _key(source)
        context = Context(self.device, self.source(source))
        air = self._once(("channel", _key(channel)), lambda: channel.build(self.device))
        link = self._once(("link", _key(parts.link), _key(channel)), lambda: parts.link.build(air, self.device))
        transmit = self._once(("transmit", _key(parts.transmit), at), lambda: parts.transmit.build(context))
        receive = self._once(("receive", _key(parts.receive), at), lambda: parts.receive.build(context))
        return System(transmit, link, receive, digest([parts.transmit, parts.link, parts.receive]))

    def prior(self, source, with_labels: bool = False) -> str:
        """Digest of a source's prior picture, and of its map: they come from images of which no row holds a digest."""
        return self._once(("prior", _key(source), with_labels), lambda: _prior(self.source(source), with_labels))

    def images(self, source, ids: tuple[str, ...]) -> ImageBatch:
        """Loaded images; the last few batches are kept."""
        key = (_key(source), ids)
        if key not in self._images:
            self._images[key] = self.source(source).load(ids)
            if len(self._images) > 8:
                self._images.popitem(last=False)
        self._images.move_to_end(key)
        return self._images[key]

    def _once(self, key: tuple[Hashable, ...], build):
        if key not in self._built:
            self._built[key] = build()
        return self._built[key]


def _prior(source: Source, with_labels: bool) -> str:
    content = hashlib.sha256(source.prior().cpu().numpy().tobytes())
    if with_labels and (labels := source.prior_labels()) is not None:
        content.update(labels.cpu().numpy().tobytes())
    return content.hexdigest()[:16]


def _key(description) -> str:
    """What tells prepared objects apart: every field, also those (a path) that identity leaves out."""
    return digest({"fields": description.model_dump(mode="json"), "identity": description.identity()})
