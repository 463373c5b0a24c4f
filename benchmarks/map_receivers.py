r"""Receivers of the same label maps side by side: quality against settings and milliseconds.

    SEMCOM_WEIGHTS=../shared/weights python benchmarks/map_receivers.py ../shared/data/camvid --steps 10 20
    python benchmarks/map_receivers.py ../shared/data/camvid --images 2 --receive map_as_is \
        '{kind: semantic_diffusion, solver: ddpm, steps: 1000}'

Sends the maps of CamVid's tuning images, which no training has seen and no result reports, and prints for each receiver what the
evaluator recognises (pooled mIoU of the pictures, and relative to the originals), LPIPS-Squeeze, PSNR, the deviation of the
pictures' pixels as a share of the originals' (a picture that is too smooth has less), and milliseconds of processor time an
image. Without ``--receive`` it goes through solvers, steps and guidance of `semantic_diffusion`.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

import torch
import yaml

from semcom import registry, units
from semcom.metrics.confusion import mean_iou
from semcom.protocols import Context, Pair
from semcom.rng import Streams
from semcom.system import System
from semcom.types import Condition

#: pictures that pass together, and SNR of a link that has one
TOGETHER, SNR_DB = 8, 20.0


def descriptions(given: argparse.Namespace) -> dict[str, object]:
    """What is compared: text -> description."""
    if given.receive:
        return {text: registry.parse("receive", yaml.safe_load(text)) for text in given.receive}
    found = {"map_as_is": registry.parse("receive", "map_as_is")}
    for solver in given.solvers:
        for steps in given.steps:
            for guidance in given.guidance:
                fields = {"kind": "semantic_diffusion", "weights": given.weights, "precision": given.precision}
                fields |= {"solver": solver, "steps": steps, "guidance": guidance}
                found[f"{solver} {steps}, guidance {guidance:g}"] = registry.parse("receive", fields)
    return found


def measured(receiver, batches, received, metrics, evaluator) -> tuple[dict[str, float], list[torch.Tensor]]:
    """Means over all pictures, and the pictures of each batch."""
    sums, confusion, original, pictures = {}, 0, 0, []
    for images, arrived in zip(batches, received, strict=True):
        started = time.process_time()
        made = receiver.decode(arrived, Streams.of(images.ids).for_system("benchmark")).pixels
        spent = 1e3 * (time.process_time() - started) / len(images)
        made = (made.cpu() * 255.0).round() / 255.0
        sharpness = (made.std(dim=(1, 2, 3)) / images.pixels.std(dim=(1, 2, 3))).double()
        found = {"cpu_ms": torch.full((len(images),), spent).double(), "deviation": sharpness}
        for metric in metrics:
            found |= metric(images.pixels, made)
        seen = evaluator.of_maps(Pair(images.pixels, made, images.labels))
        confusion, original = confusion + seen["confusion"].sum(0), original + seen["confusion_of_original"].sum(0)
        for key, values in found.items():
            sums.setdefault(key, []).append(values.double())
        pictures.append(made)
    means = {key: float(torch.cat(values).mean()) for key, values in sums.items()}
    miou, best = (float(mean_iou(counts.view(1, 11, 12))) for counts in (confusion, original))
    return {"miou": miou, "relative": miou / best, **means}, pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("camvid")
    parser.add_argument("--receive", nargs="+", help="receivers as a scenario says them")
    parser.add_argument("--weights", default="semantic_diffusion")
    parser.add_argument("--solvers", nargs="+", default=["multistep"])
    parser.add_argument("--steps", nargs="+", type=int, default=[10, 20])
    parser.add_argument("--guidance", nargs="+", type=float, default=[1.0, 1.5, 2.0])
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--transmit", default="oracle_map", help="as a scenario says it; the true map is the best there is")
    parser.add_argument("--link", default="ideal")
    parser.add_argument("--ratio", default="1/2", help="bandwidth ratio: enough for the map as it is")
    parser.add_argument("--images", type=int, default=16, help="evenly spread over the tuning images")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--metrics", nargs="+", default=["lpips_squeeze", "psnr"])
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--picture", type=Path, help="the first pictures: rows are the originals, then each receiver's")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    source = registry.parse("source", {"kind": "camvid", "path": given.camvid, "split": "val", "size": [128, 256]}).build()
    refs, context = source.tuning(), Context("cpu", source)
    ids = [refs[place].id for place in torch.linspace(0, len(refs) - 1, min(given.images, len(refs))).long().tolist()]
    batches = [source.load(ids[start : start + TOGETHER]) for start in range(0, len(ids), TOGETHER)]
    system = System.of(yaml.safe_load(given.transmit), yaml.safe_load(given.link), "map_as_is", context=context)
    uses = units.channel_uses(units.Fraction(given.ratio), *batches[0].size)
    received = []
    for images in batches:
        streams, condition = Streams.of(images.ids), Condition(SNR_DB)
        message = system.transmit.encode(images, system.budget(uses, condition), streams)
        received.append(system.link.send(message, [condition] * len(images), streams))
    metrics = [registry.parse("metric", name).build("cpu") for name in given.metrics]
    evaluator = registry.parse("metric", {"kind": "semantic", "of": ["reconstruction"]}).build("cpu")
    rows, shown = [], [batches[0].pixels[:4]]
    for name, description in descriptions(given).items():
        means, pictures = measured(description.build(context), batches, received, metrics, evaluator)
        rows.append({"receiver": name, **{key: round(value, 4) for key, value in means.items()}})
        shown.append(pictures[0][:4])
        print(f"{name:<32} " + "  ".join(f"{key} {value:.3f}" for key, value in means.items()), flush=True)
    if given.csv:
        with given.csv.open("w", newline="") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)
    if given.picture:
        from PIL import Image

        stack = torch.cat([torch.cat(list(part), 2) for part in shown], 1)
        Image.fromarray((stack * 255).round().byte().permute(1, 2, 0).numpy()).save(given.picture)


if __name__ == "__main__":
    sys.exit(main())
