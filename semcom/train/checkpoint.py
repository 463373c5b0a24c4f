"""Checkpoints: whole or not there, the newest few, and only for the recipe that made them."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from semcom.errors import StoreError
from semcom.store.writer import atomically

_NAME = re.compile(r"^step-(\d+)\.pt$")


def write(folder: Path, step: int, state: Mapping[str, Any], keep: int) -> None:
    """Write the state after ``step`` steps, then drop all but the newest ``keep``."""
    atomically(folder / f"step-{step:08d}.pt", lambda temporary: torch.save(dict(state), temporary))
    for path in found(folder)[:-keep]:
        path.unlink(missing_ok=True)


def found(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the newest last."""
    return sorted(path for path in folder.glob("step-*.pt") if _NAME.match(path.name))


def newest(folder: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The newest checkpoint of the run with this identity; None where there is none. Raises: StoreError."""
    paths = found(folder)
    if not paths:
        return None
    if not zipfile.is_zipfile(paths[-1]):
        raise StoreError(f"'{paths[-1]}' is damaged; delete it to go on from the one before")
    state = torch.load(paths[-1], map_location="cpu", weights_only=True)
    if (other := difference(state["identity"], identity)) is not None:
        raise StoreError(
            f"'{folder.parent}' holds a training of another recipe ({other}); choose another folder with --out"
        )
    return state


def difference(stored: Any, wanted: Any, at: str = "") -> str | None:
    """The first place where two recipes differ, in words; None where they are the same."""
    if isinstance(stored, Mapping) and isinstance(wanted, Mapping):
        for key in sorted({*stored, *wanted}):
            where = f"{at}.{key}" if at else key
            if (found := difference(stored.get(key), wanted.get(key), where)) is not None:
                return found
        return None
    return None if stored == wanted else f"its {at} is {stored}, now {wanted}"
