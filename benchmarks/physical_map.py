"""Analog label maps: `python benchmarks/physical_map.py camvid:PATH`, and their statistics with `--fit`.

Mean IoU of true maps of the tuning frames of the set named, over AWGN, for both codes; nothing is trained on these frames.
`--fit FILE` writes what both ends know beforehand (`semcom.maps.spectrum`) from the training maps of the sets named, each of
which counts the same: `python benchmarks/physical_map.py camvid:PATH labelmefacade:PATH streets --fit semcom/maps/class_spectrum.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from semcom import registry, units
from semcom.maps import spectrum
from semcom.system import System
from semcom.types import ImageBatch

SIZE = (128, 256)
#: rendered scenes among the training maps
SCENES = 200


def source_of(text: str):
    kind, _, path = text.partition(":")
    fields = {"kind": kind, "size": SIZE, "split": "train", **({"path": path} if path else {"count": SCENES})}
    return registry.parse("source", fields).build()


def loaded(source, refs, every: int = 1) -> ImageBatch:
    ids = [ref.id for ref in refs][::every]
    parts = [source.load(ids[start : start + 16]) for start in range(0, len(ids), 16)]
    return ImageBatch(torch.cat([part.pixels for part in parts]), tuple(ids), torch.cat([part.labels for part in parts]))


def mean_iou(predicted: torch.Tensor, truth: torch.Tensor) -> float:
    """Pooled over images and averaged over the classes that the truth has, void left out."""
    counted = truth < spectrum.PLANES
    pairs = truth[counted] * 256 + predicted[counted]
    confusion = torch.bincount(pairs, minlength=spectrum.PLANES * 256).reshape(spectrum.PLANES, 256).double()
    right, true = confusion.diagonal(), confusion.sum(1)
    return float((right / (true + confusion.sum(0)[: spectrum.PLANES] - right))[true > 0].mean())


def measured(images: ImageBatch, code: str, denoise: str, snr_db: float, ratio: str) -> float:
    transmit = {"kind": "oracle_physical_map", "code": code}
    system = System.of(transmit, "analog", {"kind": "map_as_is", "denoise": denoise})
    groups = [list(range(start, min(start + 16, len(images)))) for start in range(0, len(images), 16)]
    labels = [system.send(images.select(rows), snr_db, ratio).labels for rows in groups]
    return mean_iou(torch.cat(labels), images.labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", help="camvid:PATH, labelmefacade:PATH, streets")
    parser.add_argument("--fit", type=Path, help="file of statistics to write")
    parser.add_argument("--every", type=int, default=1, help="takes every so many images alone")
    parser.add_argument("--snr", type=float, nargs="+", default=[-5.0, 0.0, 5.0, 10.0, 20.0], help="dB")
    parser.add_argument("--ratio", nargs="+", default=["1/24", "1/96", "1/384"], help="bandwidth ratios")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.fit:
        sources = {text.partition(":")[0]: source_of(text) for text in given.sets}
        maps = {name: loaded(source, source.images(), given.every).labels for name, source in sources.items()}
        given.fit.write_text(json.dumps(spectrum.fit(maps), separators=(",", ":")) + "\n", encoding="utf-8")
        return
    for text in given.sets:
        source = source_of(text)
        images = loaded(source, source.tuning(), given.every)
        print(f"{text.partition(':')[0]}: {len(images)} tuning images; mean IoU at {given.snr} dB")
        for ratio in given.ratio:
            for code in ("planes", "dct"):
                for denoise in ("mean", "none"):
                    values = " ".join(f"{measured(images, code, denoise, snr, ratio):.3f}" for snr in given.snr)
                    print(f"  {ratio:6s} k={units.channel_uses(ratio, *SIZE):5d} {code:7s} {denoise:5s} {values}", flush=True)


if __name__ == "__main__":
    main()
