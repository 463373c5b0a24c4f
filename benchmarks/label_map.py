"""Bytes and milliseconds of the label-map coder: `python benchmarks/label_map.py camvid:PATH labelmefacade:PATH streets`.

Maps: the split val of the sets named, at 128x256 as `semcom.source` cuts them, thinned to each size. Beside the coder stand
zlib (level 9), WebP (lossless, method 6), and a static model: class frequencies given five neighbours, counted on the
training maps of camvid, with a tenth of a count added. Its bytes are ideal: minus the logarithm of the probabilities, over 8.
"""

from __future__ import annotations

import argparse
import csv
import io
import time
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from semcom import registry
from semcom.codecs import label_map
from semcom.codecs.label_map import coder, network

FIVE = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2))
KINDS = label_map.CLASSES + 1
ADDED = 0.1


def maps(text: str, split: str, count: int) -> np.ndarray:
    """uint8 [n, 128, 256]"""
    kind, _, path = text.partition(":")
    fields = {"kind": kind, "size": (128, 256), "split": split}
    source = registry.parse("source", {**fields, **({"path": path} if path else {"count": count})}).build()
    ids = [image.id for image in source.images()]
    return np.concatenate([source.load(ids[i : i + 32]).labels.byte().numpy() for i in range(0, len(ids), 32)])


class Static:
    """Frequencies of a class given five neighbours, from counts [contexts, classes]."""

    def __init__(self, training: np.ndarray):
        self.counts = np.zeros((KINDS ** len(FIVE), label_map.CLASSES), dtype=np.float32)
        np.add.at(self.counts, (self._contexts(training).ravel(), training.ravel()), 1)

    def bytes(self, labels: np.ndarray) -> float:
        counts = self.counts[self._contexts(labels[None])[0]]
        chances = (counts + ADDED) / (counts.sum(-1, keepdims=True) + ADDED * label_map.CLASSES)
        return float(-np.log2(np.take_along_axis(chances, labels[..., None].astype(np.int64), -1)).sum() / 8)

    @staticmethod
    def _contexts(labels: np.ndarray) -> np.ndarray:
        count, height, width = labels.shape
        around = np.full((count, height + 1, width + 3), KINDS - 1, dtype=np.int64)
        around[:, 1:, 2:-1] = labels
        found = np.zeros(labels.shape, dtype=np.int64)
        for dy, dx in FIVE:
            found = found * KINDS + around[:, 1 + dy : 1 + dy + height, 2 + dx : 2 + dx + width]
        return found


def webp(labels: np.ndarray) -> int:
    file = io.BytesIO()
    Image.fromarray(labels).convert("RGB").save(file, "WEBP", lossless=True, quality=100, method=6)
    return file.tell()


def timed(function, *arguments):
    """(what it gives, processor milliseconds)"""
    start = time.process_time()
    return function(*arguments), 1e3 * (time.process_time() - start)


def measure(labels: np.ndarray, static: Static | None, model: network.Network) -> dict[str, float]:
    """Bytes by coder and milliseconds, of one map; checks that it comes back."""
    data, encode_ms = timed(coder.encode, labels, None, model)
    decoded, decode_ms = timed(coder.decode, data, labels.shape, None, model)
    if not np.array_equal(decoded, labels):
        raise AssertionError("a map did not come back")
    rivals = {"zlib": len(zlib.compress(labels.tobytes(), 9)), "webp": webp(labels)}
    if static is not None:
        rivals["static"] = static.bytes(labels)
    return {"label_map": len(data), **rivals, "encode_ms": encode_ms, "decode_ms": decode_ms}


def modes(found: np.ndarray, model: network.Network) -> str:
    """What tiles cost in bytes, and what budgets cost in IoU, at 64x128."""
    small = label_map.resize(found, (64, 128))
    bytes_ = np.mean([len(coder.encode(labels, None, model)) for labels in small])
    tiles = {grid: np.mean([label_map.cost(labels, grid, model) for labels in small]) for grid in ((1, 2), (2, 2), (2, 4), (4, 4))}
    fitted = {share: [label_map.fit(labels, int(8 * share * bytes_), model) for labels in small] for share in (1.0, 0.75, 0.5, 0.25)}
    told = "  ".join(f"{down}x{across} tiles +{cost:.1f} bytes" for (down, across), cost in tiles.items())
    kept = "  ".join(f"{share:.0%} of the mean bytes: IoU {np.nanmean([f.iou for f in each]):.3f}" for share, each in fitted.items())
    return f"  64x128 sliced: {told}\n  64x128 lossy: {kept}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", help="camvid:PATH, labelmefacade:PATH, streets")
    parser.add_argument("--every", type=int, default=1, help="every N-th map")
    parser.add_argument("--modes-every", type=int, default=5, help="every N-th of those for tiles and budgets")
    parser.add_argument("--scenes", type=int, default=50, help="of streets")
    parser.add_argument("--weights", type=Path, help="a file that a training wrote; those that ship if not given")
    parser.add_argument("--csv", type=Path, help="write the means here, for `semcom weights card FOLDER --scores`")
    given = parser.parse_args()
    model = network.read(given.weights) if given.weights else network.shipped()
    training = next((text for text in given.sets if text.startswith("camvid:")), None)
    train = maps(training, "train", 0) if training else None
    statics = {size: Static(label_map.resize(train, size)) for size in label_map.SIZES} if training else {}
    rows = []
    for text in given.sets:
        kind = text.partition(":")[0]
        found = maps(text, "report" if kind == "streets" else "val", given.scenes)[:: given.every]
        print(f"{kind}: {len(found)} maps, mean bytes and processor milliseconds")
        for size in label_map.SIZES:
            each = [measure(labels, statics.get(size), model) for labels in label_map.resize(found, size)]
            means = {name: float(np.mean([row[name] for row in each])) for name in each[0]}
            print(f"  {size[0]:3d}x{size[1]:<3d}  " + "  ".join(f"{name} {value:.1f}" for name, value in means.items()), flush=True)
            rows += [
                {"system": name, "metric": f"bytes, {kind} {size[0]}x{size[1]}", "mean": f"{value:.1f}", "n_images": len(each)}
                for name, value in means.items()
                if not name.endswith("_ms")
            ]
        print(modes(found[:: given.modes_every], model), flush=True)
    if given.csv:
        with given.csv.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)


if __name__ == "__main__":
    main()
