"""Where things lie in a results folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """A results folder.

    ``batches/`` one Parquet file a finished batch, the only thing that resuming reads; ``pictures/`` the
    reconstructions that panels show, with their label maps; ``tuning/`` settings chosen on tuning images; ``failures/`` a
    traceback a failed batch; the rest is made anew from these: ``rows.parquet``,
    ``table.csv``, ``differences.csv``, ``classes.csv`` (where label maps are scored), ``figures/``.
    """

    root: Path

    @property
    def batches(self) -> Path:
        return self.root / "batches"

    @property
    def pictures(self) -> Path:
        return self.root / "pictures"

    @property
    def tuning(self) -> Path:
        return self.root / "tuning"

    @property
    def failures(self) -> Path:
        return self.root / "failures"

    @property
    def figures(self) -> Path:
        return self.root / "figures"

    @property
    def scenario(self) -> Path:
        return self.root / "scenario.yaml"

    @property
    def provenance(self) -> Path:
        return self.root / "provenance.json"

    @property
    def plan(self) -> Path:
        return self.root / "plan.json"

    @property
    def rows(self) -> Path:
        return self.root / "rows.parquet"

    @property
    def differences(self) -> Path:
        return self.root / "differences.csv"

    @property
    def classes(self) -> Path:
        return self.root / "classes.csv"

    @property
    def table(self) -> Path:
        return self.root / "table.csv"

    def original(self, source: str, image: str) -> Path:
        """An original that a panel shows, by the key of its source in the plan."""
        return self.pictures / "originals" / source / f"{safe_name(image)}.png"

    def picture(self, unit: str, image: str) -> Path:
        """The reconstruction of one image (first repeat) by one unit."""
        return self.pictures / unit / f"{safe_name(image)}.png"

    def label_map(self, folder: str, image: str, what: str) -> Path:
        """A label map of a picture that a panel shows, in the folder of a unit or of `originals`.

        ``what``: "truth" or "evaluator-DIGEST" of an original; "received" or "evaluator" of a reconstruction.
        """
        return self.pictures / folder / safe_name(what) / f"{safe_name(image)}.png"

    def uncertainty(self, unit: str, image: str) -> Path:
        """How uncertain the receiver is of each pixel of a reconstruction, where it says so."""
        return self.pictures / unit / "uncertainty" / f"{safe_name(image)}.png"

    def sample(self, unit: str, image: str, number: int) -> Path:
        """What else a reconstruction may have been, where its receiver draws samples: ``number`` counts from 1."""
        return self.pictures / unit / f"sample {number}" / f"{safe_name(image)}.png"

    @staticmethod
    def originals(source: str) -> str:
        """The folder of the label maps of a source's originals, by its key in the plan."""
        return f"originals/{source}"


def safe_name(image: str) -> str:
    """An image id as a file name: unambiguous, and readable where the id is plain."""
    return "".join(c if c.isalnum() or c in "._-" else f"%{ord(c):02x}" for c in image)
