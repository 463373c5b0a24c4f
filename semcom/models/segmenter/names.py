"""Segmenters by name: weights that ship, a folder that `semcom train` wrote, a Hugging Face model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from semcom.errors import WeightsError
from semcom.models import storage
from semcom.models.shipped import Shipped

if TYPE_CHECKING:
    from semcom.models.segmenter.network import Segmenter


def named(name: str, device: str = "cpu") -> Segmenter:
    """The segmenter ``name`` in float32, frozen and ready for use. Raises: WeightsError.

    ``name``: weights that ship (`segmenter_transmitter`, `segmenter_evaluator`) or a folder of `semcom train`.
    """
    return Shipped(name, "Segmenter").load(device)


def identity(name: str) -> str:
    """What tells a segmenter from others, wherever its files lie: a SHA-256 over its weights and its config; its name where
    it cannot be had."""
    try:
        file = Shipped(name, "Segmenter").file()
        return _digest(file)
    except WeightsError:
        return name


def _digest(file: Path) -> str:
    """Two segmenters with the same weights differ if one of them looks into the mirror."""
    config = storage.config(file.parent)
    said = {key: value for key, value in config.items() if not key.startswith("_") or key == "_class_name"}
    text = json.dumps(said, sort_keys=True)
    return hashlib.sha256(f"{storage.digest(file)} {text}".encode()).hexdigest()
