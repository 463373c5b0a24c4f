"""The same as the command line, in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcom import registry
from semcom.scenario import load

if TYPE_CHECKING:
    from semcom.sweep.run import Run
    from semcom.types import ImageBatch


def images(source: str | dict[str, Any], limit: int | None = None) -> ImageBatch:
    """The reported images of a source, loaded.

    Example::

        batch = semcom.images({"kind": "folder", "path": "my/pictures", "size": [128, 256]}, limit=8)
    """
    prepared = registry.parse("source", source).build()
    return prepared.load([ref.id for ref in prepared.images()][:limit])


def run(
    scenario: str | Path, overrides: Sequence[str] = (), out: str | Path | None = None, device: str = "auto", allow_plugins: bool = False
) -> Run:
    """A scenario on its way to a results folder: iterate over it for progress, ask its `table()` for the points.

    Example::

        job = semcom.run("scenarios/quickstart.yaml", overrides=["channel.kind=rayleigh"])
        for progress in job:
            print(progress)
        points = job.table()  # a pandas DataFrame, one line a point
    """
    from semcom.sweep.run import Run

    loaded = load(Path(scenario), overrides=list(overrides), allow_plugins=allow_plugins)
    return Run(loaded, Path(out) if out else Path("results") / loaded.name, device)


__all__ = ["images", "load", "run"]
