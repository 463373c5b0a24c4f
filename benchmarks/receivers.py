"""Receivers of the same latents side by side: quality against SNR and against evaluations of the denoiser.

    SEMCOM_WEIGHTS=../shared/weights python benchmarks/receivers.py ../shared/data/camvid --weights runs/latent_denoiser/weights

Sends CamVid's tuning images, which no training has seen and no result reports, over AWGN, and prints for each transmission
(16 channels at CBR 1/24, 4 channels at 1/96, 4 channels four times at 1/24) and SNR the mean LPIPS-Squeeze and PSNR of the plain
decoder and of the denoiser after different numbers of evaluations, with milliseconds an image. ``--true-map`` also gives
the denoiser the true label map, free of charge: what a map is worth at most.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

import torch

from semcom import registry, units
from semcom.protocols import Context
from semcom.receive.latent_diffusion import DiffusionReceiver
from semcom.rng import Streams
from semcom.types import Condition

SENT = {
    "16 channels, 1/24": ({"kind": "vae_latent", "channels": 16}, "analog", "1/24"),
    "4 channels, 1/96": ({"kind": "vae_latent", "channels": 4}, "analog", "1/96"),
    "4 channels x 4, 1/24": ({"kind": "vae_latent", "channels": 4}, {"kind": "analog", "fill": "repeat"}, "1/24"),
}
TOGETHER = 8


class WithMap(DiffusionReceiver):
    """The receiver with the true map of each picture, as if it had come."""

    shown = None

    def _planes(self, received, values):
        from semcom.models.denoiser import CLASSES, planes_of

        known = self.shown < CLASSES - 1
        one_hot = torch.nn.functional.one_hot(self.shown.clamp(max=CLASSES - 1), CLASSES).permute(0, 3, 1, 2)
        return planes_of(one_hot, known, tuple(values.shape[2:]))


def receivers(given, context):
    """Label -> prepared receiver."""
    made = {"vae": registry.parse("receive", "vae").build(context)}
    for solver in given.solvers:
        for count in given.steps:
            said = {"weights": given.weights, "solver": solver, "steps": count, "hand_over_db": None, "precision": given.precision, "decode": given.decode}
            built = registry.parse("receive", {"kind": "latent_diffusion", **said, "guidance": given.guidance}).build(context)
            made[f"{solver} {count}"] = built
            if given.true_map:
                made[f"{solver} {count}, true map"] = WithMap(built.how, built.coder, built.network)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("camvid")
    parser.add_argument("--weights", default="latent_denoiser")
    parser.add_argument("--sent", nargs="+", default=list(SENT), choices=list(SENT))
    parser.add_argument("--snr", nargs="+", type=float, default=[-5, 0, 5, 10, 15])
    parser.add_argument("--steps", nargs="+", default=[1, 2, 4, 6, 10], type=lambda text: text if text == "auto" else int(text))
    parser.add_argument("--solvers", nargs="+", default=["multistep"])
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--images", type=int, default=16, help="evenly spread over the tuning images")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--decode", default="sent", choices=["sent", "all"])
    parser.add_argument("--true-map", action="store_true")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--picture", type=Path, help="a picture of the first images: rows are receivers at the first SNR")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    source = registry.parse("source", {"kind": "camvid", "path": given.camvid, "split": "val", "size": [128, 256]}).build()
    refs = source.tuning()
    ids = [refs[place].id for place in torch.linspace(0, len(refs) - 1, min(given.images, len(refs))).long().tolist()]
    metrics = [registry.parse("metric", name).build("cpu") for name in ("lpips_squeeze", "psnr")]
    context = Context("cpu", source)
    made, rows, columns = receivers(given, context), [], {}
    batches = [source.load(ids[start : start + TOGETHER]) for start in range(0, len(ids), TOGETHER)]
    for sent in given.sent:
        transmit, link, ratio = SENT[sent]
        sender, air = registry.parse("transmit", transmit).build(context), registry.parse("channel", "awgn").build("cpu")
        carrier = registry.parse("link", link).build(air, "cpu")
        for snr in given.snr:
            sums = {name: {} for name in made}
            for images in batches:
                streams, condition = Streams.of(images.ids), Condition(snr)
                uses = units.channel_uses(units.Fraction(ratio), *images.size)
                message = sender.encode(images, carrier.budget(uses, condition), streams)
                received = carrier.send(message, [condition] * len(images), streams)
                for name, receiver in made.items():
                    if isinstance(receiver, WithMap):
                        receiver.shown = images.labels
                    started = time.perf_counter()
                    pixels = receiver.decode(received, streams.for_system("benchmark")).pixels
                    found = {"ms": torch.full((len(images),), 1e3 * (time.perf_counter() - started) / len(images))}
                    pixels = (pixels * 255.0).round() / 255.0
                    for metric in metrics:
                        found |= metric(images.pixels, pixels)
                    for key, values in found.items():
                        sums[name].setdefault(key, []).append(values)
                    if images is batches[0] and snr == given.snr[0]:
                        columns[(sent, name)] = torch.cat([images.pixels[:4], pixels[:4]], 2) if name == "vae" else pixels[:4]
            print(f"\n{sent}, {snr:g} dB, {len(ids)} images")
            for name, found in sums.items():
                means = {key: float(torch.cat(values).double().mean()) for key, values in found.items()}
                rows.append({"sent": sent, "snr_db": snr, "receiver": name, **{key: round(value, 4) for key, value in means.items()}})
                print(f"  {name:<24} LPIPS {means['lpips_squeeze']:.3f}  PSNR {means['psnr']:5.2f}  {means['ms']:6.1f} ms", flush=True)
    if given.csv:
        with given.csv.open("w", newline="") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)
    if given.picture:
        from PIL import Image

        stack = torch.cat([torch.cat(list(part), 2) for part in columns.values()], 1)
        Image.fromarray((stack * 255).round().byte().permute(1, 2, 0).numpy()).save(given.picture)


if __name__ == "__main__":
    sys.exit(main())
