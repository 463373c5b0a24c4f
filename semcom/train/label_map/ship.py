"""What ships: the network in whole numbers, and its card."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from semcom.codecs.label_map import network as integer
from semcom.models import storage
from semcom.store.provenance import commit, package_versions
from semcom.store.writer import write_text
from semcom.train.card import render
from semcom.train.label_map.fit import Fit, Network

FILE = "label_map.safetensors"
#: 16 bits hold weights; biases of the later layers stand in finer units
TYPES = {"table": np.int16, "columns": np.int16, "first_bias": np.int32, "inner": np.int16, "inner_bias": np.int32,
         "out": np.int16, "out_bias": np.int32}  # fmt: skip


def whole(network: Network) -> dict[str, np.ndarray]:
    """The network's weights in the units of `semcom.codecs.label_map.network`."""
    state = {name: value.double() for name, value in network.state_dict().items()}
    unit, fine, bit = integer.WEIGHT, integer.WEIGHT * integer.ACTIVATION, 1.0 / math.log(2.0)
    made = {
        "table": unit * state["table.weight"],
        "columns": unit * state["columns.weight"].T,
        # activations are floored: half a unit more is rounding
        "first_bias": unit * state["columns.bias"] + unit / integer.ACTIVATION / 2,
        "inner": unit * state["inner.weight"].T,
        "inner_bias": fine * state["inner.bias"] + unit / 2,
        "out": bit * unit * state["out.weight"].T,
        "out_bias": bit * fine * state["out.bias"],
    }
    rounded = {name: value.round() for name, value in made.items()}
    limits = {name: np.iinfo(kind) for name, kind in TYPES.items()}
    clipped = {name: value.clamp(limits[name].min, limits[name].max) for name, value in rounded.items()}
    return {name: np.ascontiguousarray(value.numpy().astype(TYPES[name])) for name, value in clipped.items()}


def save(network: Network, path: Path) -> None:
    """Write the integer network, and read it back: what a sum might overflow does not ship."""
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(whole(network), path)
    integer.read(path)


@torch.no_grad()
def ship(fit: Fit, command: str) -> Path:
    """Write weights, semcom.json and CARD.md into the run's folder; returns weights/."""
    folder = fit.folder / "weights"
    save(fit.average, folder / FILE)
    recipe, kinds = fit.recipe, fit.maps.counts
    facts = {
        "name": recipe.name,
        "what": "the coder of label maps: class probabilities of a pixel from those coded before, 12 classes, whole numbers",
        "losses": "cross-entropy of a pixel's class, in bytes a map, mean over five sizes from 128x256 to 8x16",
        "file": FILE,
        "sha256": storage.digest(folder / FILE),
        "bytes": (folder / FILE).stat().st_size,
        "precision": "int16",
        "data": [dict(entry) for pack in fit.packs for entry in pack.provenance if entry["source"] in kinds],
        "packs": [pack.digest for pack in fit.packs],
        "command": command,
        "commit": commit(),
        "packages": {name: package_versions()[name] for name in ("torch", "numpy")},
        "recipe": recipe.text(),
        "scores": [],
    }
    storage.write_facts(folder, facts)
    write_text(folder / storage.CARD, render(facts))
    return folder
