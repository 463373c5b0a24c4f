"""Run the scenarios of the physical layer and keep what is worth keeping: results/reference/NAME/.

    python benchmarks/reference.py                        # all; goes on where it was stopped
    python benchmarks/reference.py packet_loss mimo_2x2   # some

Each run lives in runs/reference/NAME, which git ignores. Kept are the scenario in canonical form, the points and paired
differences as CSV, the curves as PNG, and what made them. CPU seconds (user and system) are printed.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
NAMES = (
    "fading_families", "csi_quality", "pilot_density", "mobility", "snr_mismatch", "mimo_2x2", "packet_loss", "interference",
    "hardware",
)  # fmt: skip
TABLES = ("scenario.yaml", "table.csv", "differences.csv")
COLORS = 128  # a curve has few: an eighth of the bytes


def run(name: str, work: Path) -> float:
    """Run a scenario into ``work``; the CPU seconds that it took."""
    shutil.rmtree(work / "figures", ignore_errors=True)  # drawn anew, those of an earlier version gone
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "semcom.cli.main", "run", f"scenarios/{name}.yaml", "--out", str(work)]
    subprocess.run(command, cwd=ROOT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def keep(name: str, work: Path, target: Path) -> None:
    """Copy tables and curves of a run to ``target``."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for table in TABLES:
        shutil.copyfile(work / table, target / table)
    for figure in sorted((work / "figures").glob("*.png")):
        if not figure.name.startswith(("panel_", "overview")):
            with Image.open(figure) as image:
                image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(target / figure.name, optimize=True, dpi=(300, 300))
    made = json.loads((work / "provenance.json").read_text(encoding="utf-8"))
    kept = {"command": f"semcom run scenarios/{name}.yaml", **{key: made[key] for key in ("commit", "packages", "codecs", "python")}}
    (target / "made.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all if none is given")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "reference", help="where the runs live")
    given = parser.parse_args()
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; allowed: {', '.join(NAMES)}")
    for name in given.names or NAMES:
        seconds = run(name, given.work / name)
        keep(name, given.work / name, ROOT / "results" / "reference" / name)
        print(f"{name}: {seconds:.0f} CPU seconds", file=sys.stderr)


if __name__ == "__main__":
    main()
