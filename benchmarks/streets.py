"""The streets of `source: streets`: class frequencies beside CamVid's, images a second, and the contact sheet of docs/.

python benchmarks/streets.py                                     # frequencies of 300 training scenes, and speed
python benchmarks/streets.py --camvid ../shared/data/camvid      # count CamVid itself, not the committed table
python benchmarks/streets.py --sheet docs/streets.png            # 24 reported scenes with their label maps
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from semcom.classes import COLOURS  # noqa: E402
from semcom.source.camvid import NAMES, CamVid  # noqa: E402
from semcom.source.streets import Streets  # noqa: E402

TABLE = ROOT / "tests" / "source" / "camvid_frequencies.csv"
PALETTE = np.array(COLOURS, np.uint8)


def counted_in_camvid(folder: str) -> np.ndarray:
    """Shares of the classes in all pictures of CamVid's train folder at 128x256."""
    source = CamVid(path=folder, split="train").build()
    ids = [ref.id for ref in (*source.images(), *source.tuning())]
    return shares(source.load(ids).labels.numpy())


def shares(labels: np.ndarray) -> np.ndarray:
    return np.bincount(labels.ravel(), minlength=len(NAMES)) / labels.size


def committed() -> np.ndarray:
    with TABLE.open(encoding="utf-8") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return np.array([float(row["share"]) for row in rows])


def render(split: str, count: int, seed: int = 0):
    """Pictures uint8 [n, H, W, 3], labels [n, H, W], images a second of processor time and of wall time."""
    torch.set_num_threads(1)  # other threads of torch would wait for each other and count as time of the processor
    source = Streets(split=split, count=count, seed=seed).build()
    ids = [ref.id for ref in source.images()]
    source.load(ids[:1])
    processor, wall = time.process_time(), time.perf_counter()
    batches = [source.load([name]) for name in ids[1:]]
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    batch = source.load(ids)
    pixels = batch.pixels.mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    return pixels, batch.labels.numpy(), len(batches) / processor, len(batches) / wall


def print_frequencies(camvid: np.ndarray, count: int) -> None:
    _, labels, processor, wall = render("train", count)
    ours = shares(labels)
    print(f"{'class':<12}{'CamVid':>9}{'streets':>9}{'ratio':>7}{'in scenes':>11}")
    for i, name in enumerate(NAMES):
        present = (labels == i).any(axis=(1, 2)).mean()
        print(f"{name:<12}{camvid[i]:>9.4f}{ours[i]:>9.4f}{ours[i] / camvid[i]:>7.2f}{present:>11.2f}")
    print(f"{count} scenes of 128x256: {processor:.1f} images a second of one core's time, {wall:.1f} a second of wall time")


def save_sheet(path: Path, rows: int = 6, columns: int = 4) -> None:
    """Reported scenes, each picture with its label map on its right."""
    pixels, labels, _, _ = render("report", rows * columns)
    cells = np.concatenate([pixels, PALETTE[labels]], axis=2)
    _, height, width, _ = cells.shape
    sheet = cells.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    rounded = np.minimum((sheet.astype(np.int64) + 2) // 4 * 4, 255)  # two bits of noise fewer: a third smaller
    Image.fromarray(rounded.astype(np.uint8)).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 2**20:.2f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camvid", help="folder of CamVid, to count its labels again")
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--sheet", type=Path, help="write the contact sheet here and do nothing else")
    arguments = parser.parse_args()
    if arguments.sheet:
        save_sheet(arguments.sheet)
    else:
        print_frequencies(counted_in_camvid(arguments.camvid) if arguments.camvid else committed(), arguments.scenes)


if __name__ == "__main__":
    main()
