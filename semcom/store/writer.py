"""Writing results: to a temporary name, then renamed, so that a file is whole or not there."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcom.errors import StoreError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it; StoreError if the disk refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror or error}); what is finished is kept: make room or choose another "
            "folder with --out, then run the same command again"
        ) from error


def write_rows(path: Path, rows: pd.DataFrame) -> None:
    """One table as Parquet."""
    atomically(path, lambda temporary: rows.to_parquet(temporary, index=False))


def write_text(path: Path, text: str) -> None:
    atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


#: levels of a stored plane
LEVELS = 65535


def write_plane(path: Path, values: np.ndarray) -> None:
    """Numbers [H, W] of 0 to 1 as a grey PNG of 16 bits; what is above 1 counts as 1."""
    import numpy as np
    from PIL import Image

    codes = np.round(np.clip(values, 0.0, 1.0) * LEVELS).astype(np.uint16)
    atomically(path, lambda temporary: Image.fromarray(codes).save(temporary))


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """A uint8 [H, W, 3] picture as PNG."""
    from PIL import Image

    atomically(path, lambda temporary: Image.fromarray(pixels).save(temporary))
