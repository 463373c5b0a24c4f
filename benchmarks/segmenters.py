"""Scores and speed of segmenters: pooled mIoU, pixel accuracy, IoU of each class, milliseconds an image.

    python benchmarks/segmenters.py WEIGHTS... --camvid ../shared/data/camvid --labelmefacade ../shared/data/labelmefacade --streets 100
    python benchmarks/segmenters.py runs/a/weights runs/b/weights --camvid ../shared/data/camvid --split tuning

WEIGHTS are names that ship, folders, or Hugging Face's models (docs/training.md). Pictures are 128x256 as `semcom.source`
cuts them. Choose between segmenters with ``--split tuning``, report with ``--split val``. The mIoU is over the classes that a
set labels, from confusion counts summed over its pictures, void left out: the pixels of a class that a set does not label
count as errors where the segmenter tells it. Milliseconds are of one picture at a time, the median, on the threads given: wall
time (`ms`), and processor time of all threads (`cpu_ms`), which other programs on the machine change less. With ``--csv`` the rows are what `semcom weights card --scores` puts into a card.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from semcom.models.segmenter import NAMES, named  # noqa: E402
from semcom.source.camvid import CamVid  # noqa: E402
from semcom.source.labelmefacade import TO_CAMVID, LabelMeFacade  # noqa: E402
from semcom.source.streets import Streets  # noqa: E402

#: pictures that pass through the network together when only their labels count
TOGETHER = 8
#: pictures whose time is taken
TIMED = 20
#: the classes that a set labels
LABELLED = {"labelmefacade": tuple(name for name in NAMES if name in TO_CAMVID.values())}


def sources(given: argparse.Namespace) -> dict[str, object]:
    found = {}
    if given.camvid:
        found["camvid"] = CamVid(path=given.camvid).build()
    if given.labelmefacade:
        found["labelmefacade"] = LabelMeFacade(path=given.labelmefacade).build()
    if given.streets:
        found["streets"] = Streets(count=given.streets).build()
    return found


def batches(source, split: str, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    ids = [ref.id for ref in (source.tuning() if split == "tuning" else source.images())]
    for start in range(0, len(ids), size):
        batch = source.load(ids[start : start + size])
        yield batch.pixels, batch.labels


def confusion(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Counts [truth, found] over pixels whose truth is no void."""
    counted = truth < len(NAMES)
    pairs = truth[counted] * len(NAMES) + found[counted]
    return np.bincount(pairs, minlength=len(NAMES) ** 2).reshape(len(NAMES), len(NAMES))


def scores(counts: np.ndarray, labelled: tuple[str, ...] = NAMES) -> dict[str, object]:
    """mIoU over the classes that are labelled and occur, pixel accuracy, and the IoU of each."""
    hits = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - hits
    iou = {name: float(hits[i] / union[i]) for i, name in enumerate(NAMES) if name in labelled and counts[i].sum()}
    return {"miou": float(np.mean(list(iou.values()))), "pixel_accuracy": float(hits.sum() / counts.sum()), "iou": iou}


@torch.inference_mode()
def measure(segmenter, source, split: str, labelled: tuple[str, ...]) -> dict[str, object]:
    counts, images = np.zeros((len(NAMES), len(NAMES)), np.int64), 0
    for pixels, labels in batches(source, split, TOGETHER):
        counts += confusion(labels.numpy(), segmenter.labels(pixels).numpy())
        images += len(labels)
    return {"images": images, **scores(counts, labelled)}


@torch.inference_mode()
def milliseconds(segmenter) -> dict[str, float]:
    """Medians over single pictures of 128x256."""
    pixels, taken = torch.rand(1, 3, 128, 256, generator=torch.Generator().manual_seed(0)), []
    for _ in range(TIMED + 3):
        wall, processor = time.perf_counter(), time.process_time()
        segmenter.labels(pixels)
        taken.append((time.perf_counter() - wall, time.process_time() - processor))
    return dict(zip(("ms", "cpu_ms"), (1e3 * median(times) for times in zip(*taken[3:], strict=True)), strict=True))


def rows(found: dict[str, dict[str, dict]], split: str) -> Iterator[dict[str, object]]:
    """One a number, as a results table has them."""
    for weights, sets in found.items():
        for name, measured in sets.items():
            values = {key: measured[key] for key in ("miou", "pixel_accuracy", "ms", "cpu_ms")}
            for metric, value in {**values, **{f"iou_{label}": iou for label, iou in measured["iou"].items()}}.items():
                at = {"system": Path(weights).name, "set": f"{name} {split}", "metric": metric}
                yield {**at, "mean": f"{value:.4f}", "n_images": measured["images"]}


def shown(weights: str, name: str, measured: dict) -> str:
    classes = " ".join(f"{label} {iou:.3f}" for label, iou in measured["iou"].items())
    return (
        f"{weights}  {name}, {measured['images']} images: mIoU {measured['miou']:.4f}, pixel accuracy "
        f"{measured['pixel_accuracy']:.4f}, {measured['ms']:.1f} ms an image ({measured['cpu_ms']:.1f} of processor time)\n    {classes}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights", nargs="+", help="names that ship, folders, or hub ids with their commit")
    parser.add_argument("--camvid", help="folder of CamVid")
    parser.add_argument("--labelmefacade", help="folder of LabelMeFacade")
    parser.add_argument("--streets", type=int, default=0, help="how many scenes that the renderer reports")
    parser.add_argument("--split", choices=("tuning", "val"), default="val", help="tuning to choose, val to report")
    parser.add_argument("--threads", type=int, help="CPU threads; all cores if left out")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--csv", type=Path, help="write a table that `semcom weights card --scores` takes")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    sets = sources(given)
    if not sets:
        parser.error("name at least one set: --camvid PATH, --labelmefacade PATH or --streets N")
    found: dict[str, dict[str, dict]] = {}
    for weights in given.weights:
        segmenter = named(weights)
        speed = milliseconds(segmenter)
        for name, source in sets.items():
            measured = {**measure(segmenter, source, given.split, LABELLED.get(name, NAMES)), **speed}
            found.setdefault(weights, {})[name] = measured
            if not given.json:
                print(shown(weights, f"{name} {given.split}", measured), flush=True)
    if given.json:
        print(json.dumps({"split": given.split, "threads": torch.get_num_threads(), "found": found}, indent=2))
    if given.csv:
        with given.csv.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, ["system", "set", "metric", "mean", "n_images"], lineterminator="\n")
            table.writeheader()
            table.writerows(rows(found, given.split))


if __name__ == "__main__":
    main()
