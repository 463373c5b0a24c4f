"""Segmenters by name: weights that ship, a folder that `semcom train` wrote, a Hugging Face model."""

from __future__ import annotations

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from semcom.errors import WeightsError
from semcom.models import hub, storage, weights

if TYPE_CHECKING:
    from semcom.models.segmenter.hugging_face import HuggingFaceSegmenter
    from semcom.models.segmenter.network import Segmenter

NETWORK = "Segmenter"
#: which of the weights that ship are segmenters
PREFIX = "segmenter_"


def named(name: str, device: str = "cpu") -> Segmenter | HuggingFaceSegmenter:
    """The segmenter ``name`` in float32, frozen and ready for use. Raises: WeightsError.

    ``name``: weights that ship (`segmenter_transmitter`, `segmenter_evaluator`), a folder that `semcom train` wrote, a folder
    of a Hugging Face model for semantic segmentation, or the id of one on the hub with its commit, as OWNER/NAME@COMMIT.
    """
    import torch

    folder = _folder(name)
    said = storage.config(folder)
    if "model_type" in said:
        from semcom.models.segmenter import hugging_face

        return hugging_face.load(folder).to(device)
    if said.get("_class_name") != NETWORK:
        raise WeightsError(f"'{name}' holds a {said.get('_class_name', 'network of no known class')}; expected a {NETWORK}")
    return storage.load_network(folder).to(device, memory_format=torch.channels_last)


def missing(name: str) -> str | None:
    """Why the segmenter ``name`` cannot be had, in a sentence; None where it can. Loads nothing heavy."""
    try:
        folder = _folder(name)
        said = storage.config(folder)
        storage.weights_file(folder)
    except WeightsError as error:
        return str(error)
    package = "transformers" if "model_type" in said else "segmentation_models_pytorch"
    return None if find_spec(package) else f"segmenter '{name}' needs the package {package}, which is not installed"


def identity(name: str) -> str:
    """What tells a segmenter from others, wherever its files lie: a SHA-256 over its weights and what its config says of its
    numbers; its name where it cannot be had."""
    try:
        return _digest(_folder(name))
    except WeightsError:
        return name


def _folder(name: str) -> Path:
    if name in weights.TABLE:
        return weights.find(name).parent
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    place, _, revision = name.partition("@")
    if not hub.is_id(place):
        ships = ", ".join(known for known in weights.TABLE if known.startswith(PREFIX)) or "none yet"
        raise WeightsError(
            f"there is no segmenter '{name}'; allowed: a name that ships ({ships}), the `weights` folder that `semcom train` wrote "
            "(docs/training.md), a folder of a Hugging Face model for semantic segmentation, or its hub id as OWNER/NAME@COMMIT"
        )
    return hub.snapshot(place, revision or None, also=("preprocessor_config.json",))


def _digest(folder: Path) -> str:
    """Two segmenters with the same weights differ if one of them looks into the mirror."""
    given = {key: value for key, value in storage.config(folder).items() if value is not None}
    said = {key: value for key, value in given.items() if not key.startswith("_") and "version" not in key}
    return hashlib.sha256(f"{storage.digest(storage.weights_file(folder))} {json.dumps(said, sort_keys=True)}".encode()).hexdigest()
