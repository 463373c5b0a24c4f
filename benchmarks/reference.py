"""Run the reference scenarios and keep what is worth keeping: results/reference/NAME/.

    python benchmarks/reference.py                        # all that need no data set; goes on where it was stopped
    python benchmarks/reference.py packet_loss mimo_2x2   # some
    python benchmarks/reference.py semantic_maps_camvid   # with CamVid in ../shared/data/camvid

Each run lives in runs/reference/NAME, which git ignores. Kept are the scenario in canonical form, the points and paired
differences as CSV, the curves as PNG, and what made them. CPU seconds (user and system) are printed.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CAMVID = "source={kind: camvid, path: ../shared/data/camvid, every: 4}"
CAMVID_8 = "source={kind: camvid, path: ../shared/data/camvid, every: 8}"
LABELMEFACADE = "source={kind: labelmefacade, path: ../shared/data/labelmefacade, every: 8}"
#: with LPIPS's weights in SEMCOM_WEIGHTS
LPIPS = (
    "metrics=[lpips_squeeze, semantic, psnr, ssim]", "tuning.together=[lpips_squeeze, miou]",
    "figures.curves.metrics=[lpips_squeeze, miou, new_errors, psnr]",
)  # fmt: skip
#: name -> scenario, and what is set beside it
RUNS: dict[str, tuple[str, tuple[str, ...]]] = {
    **{name: (name, ()) for name in (
        "fading_families", "csi_quality", "pilot_density", "mobility", "snr_mismatch", "mimo_2x2", "packet_loss", "interference",
        "hardware",
    )},
    "semantic_maps_camvid": ("semantic_maps", (CAMVID,)),
    "gesco_legacy_camvid": ("gesco_legacy", (CAMVID,)),
    "latent_diffusion_camvid": ("latent_diffusion", (CAMVID, "metrics=[lpips_squeeze, psnr, ssim]")),
    "receivers_camvid": ("receivers", (CAMVID_8, *LPIPS)),
    "receivers_labelmefacade": ("receivers", (LABELMEFACADE, *LPIPS)),
    "outage_camvid": ("outage", (CAMVID_8, "repeats=8")),
    "inventions_camvid": ("inventions", (CAMVID_8,)),
}  # fmt: skip
TABLES = ("scenario.yaml", "table.csv", "differences.csv", "classes.csv")
#: sheets of pictures, which are not ours to pass on, and what repeats the curves
NOT_KEPT = ("panel_", "maps_", "errors_", "received_", "samples_", "worst_", "overview")
COLORS = 128  # a curve has few: an eighth of the bytes


def run(name: str, work: Path) -> float:
    """Run a scenario into ``work``; the CPU seconds that it took."""
    shutil.rmtree(work / "figures", ignore_errors=True)  # drawn anew, those of an earlier version gone
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "semcom.cli.main", "run", *arguments(name), "--out", str(work)]
    subprocess.run(command, cwd=ROOT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def arguments(name: str) -> list[str]:
    """What `semcom run` is given, but for the folder."""
    scenario, changes = RUNS[name]
    return [f"scenarios/{scenario}.yaml", *(word for change in changes for word in ("--set", change))]


def keep(name: str, work: Path, target: Path) -> None:
    """Copy tables and curves of a run to ``target``."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for table in TABLES:
        if (work / table).is_file():
            shutil.copyfile(work / table, target / table)
    for figure in sorted((work / "figures").glob("*.png")):
        if not figure.name.startswith(NOT_KEPT):
            with Image.open(figure) as image:
                image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(target / figure.name, optimize=True, dpi=(300, 300))
    made = json.loads((work / "provenance.json").read_text(encoding="utf-8"))
    kept = {"command": shlex.join(["semcom", "run", *arguments(name)]), **{key: made[key] for key in ("commit", "packages", "codecs", "python")}}
    (target / "made.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RUNS)}; all without a data set if none is given")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "reference", help="where the runs live")
    given = parser.parse_args()
    if unknown := set(given.names) - set(RUNS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; allowed: {', '.join(RUNS)}")
    for name in given.names or [name for name, (_, changes) in RUNS.items() if not changes]:
        seconds = run(name, given.work / name)
        keep(name, given.work / name, ROOT / "results" / "reference" / name)
        print(f"{name}: {seconds:.0f} CPU seconds", file=sys.stderr)


if __name__ == "__main__":
    main()
