"""The autoencoder that a component names, and what of it changes its numbers."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field

from semcom.component import Component
from semcom.errors import WeightsError
from semcom.latents import tables
from semcom.models import storage, weights
from semcom.models.pretrained import Pretrained
from semcom.models.storage import stamp

#: the weights that ship
DEFAULT = "autoencoder"
#: of a folder's facts, those that change what is sent
_FACTS = ("normalised", "latents")


class NamedAutoencoder(Component):
    """Base of the descriptions that send or receive an autoencoder's latents."""

    autoencoder: str = Field(
        DEFAULT, min_length=1, description="weights that ship (`semcom weights list`), a local folder or file, or a hub id"
    )
    revision: str | None = Field(None, description="commit of a hub id, 40 hex digits")
    subfolder: str | None = Field(None, description="where in the folder or hub repository")

    @property
    def pretrained(self) -> Pretrained:
        return Pretrained(self.autoencoder, self.revision, self.subfolder)

    def available(self) -> str | None:
        try:
            found(self.pretrained)
        except WeightsError as error:
            return str(error)
        return None

    def identity(self) -> dict[str, Any]:
        """Weights, statistics and tables by their digests, wherever they lie; None for what is not there."""
        plain = {name: value for name, value in super().identity().items() if name not in NamedAutoencoder.model_fields}
        return {**plain, "autoencoder": digests(self.pretrained)}

    def same_autoencoder(self, transmit: Component) -> str | None:
        """None, or one sentence that says that ``transmit`` names another autoencoder."""
        mine, theirs = (
            {name: getattr(part, name, None) for name in NamedAutoencoder.model_fields} for part in (self, transmit)
        )
        if mine == theirs:
            return None
        given, other = (" ".join(str(value) for value in names.values() if value) for names in (mine, theirs))
        return f"receive '{self.kind}' names the autoencoder '{given}' and its transmitter '{other}'; give both the same"


def digests(pretrained: Pretrained) -> dict[str, str | None]:
    """SHA-256 of the weights, of what their folder says of the latents, and of the entropy tables beside them."""
    try:
        file = found(pretrained)
    except WeightsError:
        return {"weights": None, "latents": None, "tables": None}
    facts, beside = file.parent / storage.FACTS, tables.path_of(file)
    return {
        "weights": storage.stamped_digest(file),
        "latents": _digest_of_facts(facts, stamp(facts)) if facts.is_file() else None,
        "tables": storage.stamped_digest(beside),
    }


def found(pretrained: Pretrained) -> Path:
    """The file of the weights; the digest of what ships is checked once, not at every look. Raises: WeightsError."""
    if pretrained.name in weights.TABLE:
        path = weights.ROOT / pretrained.name / weights.TABLE[pretrained.name].file
        if path.is_file():
            return _checked(pretrained, path, stamp(path))
    return pretrained.file()


@lru_cache(maxsize=64)
def _checked(pretrained: Pretrained, path: Path, seen: tuple[int, int]) -> Path:
    return pretrained.file()


@lru_cache(maxsize=64)
def _digest_of_facts(path: Path, seen: tuple[int, int]) -> str:
    told = {name: value for name, value in storage.facts(path.parent).items() if name in _FACTS}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
