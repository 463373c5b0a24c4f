"""Reading a results folder back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcom.errors import StoreError
from semcom.store.layout import Layout
from semcom.store.writer import LEVELS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

KEY = ["unit", "image", "digest", "repeat"]


def open_results(root: Path) -> Layout:
    """The layout of an existing results folder; StoreError where there is none."""
    layout = Layout(Path(root))
    if not layout.scenario.is_file():
        raise StoreError(f"{root} is not a results folder (it has no scenario.yaml); 'semcom run SCENARIO' makes one")
    return layout


def read_table(path: Path) -> pd.DataFrame:
    """One Parquet file; StoreError with what to do where it is missing or damaged."""
    import pandas as pd
    import pyarrow as pa

    try:
        return pd.read_parquet(path)
    except FileNotFoundError as error:
        raise StoreError(f"{path} is not there; 'semcom run' makes it") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(f"{path} is damaged ({error}); delete it and run again: only what it held is computed anew") from error


def read_batches(layout: Layout) -> pd.DataFrame:
    """Every row of every finished batch, once, in the order of the file names."""
    import pandas as pd

    tables = [read_table(path) for path in sorted(layout.batches.glob("*.parquet"))]
    if not tables:
        return pd.DataFrame(columns=KEY)
    return pd.concat(tables, ignore_index=True).drop_duplicates(KEY, ignore_index=True)


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(f"{path} is not there") from error
    except json.JSONDecodeError as error:
        raise StoreError(f"{path} is damaged ({error}); delete it and run again") from error


def read_plane(path: Path) -> np.ndarray | None:
    """Numbers float32 [H, W] of 0 to 1 that `write_plane` left, or None where none were kept."""
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(path), dtype=np.float32) / LEVELS if path.is_file() else None


def read_picture(path: Path) -> np.ndarray | None:
    """A picture uint8 [H, W, 3], or None where it was not kept."""
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB")) if path.is_file() else None
