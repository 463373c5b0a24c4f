"""Receivers side by side: quality against evaluations of their networks, and against time.

    SEMCOM_WEIGHTS=../shared/weights python benchmarks/receivers.py ../shared/data/camvid --csv receivers.csv
    python benchmarks/receivers_figure.py receivers.csv -o docs/receivers_plane

Sends CamVid's tuning images, which no training has seen and no result reports, over AWGN, and shows what each receiver of
`FAMILIES` makes of what arrived, at each number of evaluations. Receivers that are not there, or whose weights are not, are named
and left out. A line of the table: mean LPIPS-Squeeze with its interval over clusters of frames, its ratio to the same family's
largest number of evaluations, PSNR, evaluations of the network an image (counted, not told), and milliseconds of the receiver an
image at batch 8: processor time of all threads, which other programs on the machine change little, and wall time; medians over batches.

``--true-map`` also gives latent diffusion the true label map, free of charge: what a map is worth at most.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from semcom import registry, units
from semcom.errors import ScenarioError
from semcom.protocols import Context
from semcom.receive.latent_diffusion import DiffusionReceiver
from semcom.rng import Streams
from semcom.stats.intervals import mean_interval
from semcom.stats.sample import Sample
from semcom.types import Condition

TOGETHER = 8
#: latent channels that are sent once at a bandwidth ratio
CHANNELS = {"1/24": 16, "1/48": 8, "1/96": 4}
#: SNR in dB from which a map's bits arrive with this scheme
SCHEMES = {-5: "qpsk-1/8", 0: "qpsk-1/3", 5: "qpsk-2/3", 10: "16qam-2/3", 15: "64qam-2/3"}
SEGMENTER = "segmenter_transmitter"
PLAIN, LATENT, MAP, BOTH = "plain decoder", "latent", "map", "map and latent"


@dataclass(frozen=True)
class Family:
    """A receiver, its message, and the numbers of evaluations at which it is tried; None for one that has no choice."""

    name: str
    message: str
    receive: Mapping[str, Any]
    steps: tuple[int | str | None, ...] = (None,)
    true_map: bool = False


DIFFUSION = {"kind": "latent_diffusion", "hand_over_db": None}
FAMILIES = (
    Family(PLAIN, LATENT, {"kind": "vae"}),
    Family("latent diffusion", LATENT, DIFFUSION, (1, 2, 4, 6, 10, 25, 100, "auto")),
    Family("latent diffusion, fast", LATENT, {**DIFFUSION, "steps": "fast"}),
    Family("map and latent, diffusion", BOTH, DIFFUSION, (1, 4, 10)),
    Family("map and latent, GAN", BOTH, {"kind": "gan"}),
    Family("map, GAN", MAP, {"kind": "gan"}),
    Family("map, semantic diffusion", MAP, {"kind": "semantic_diffusion"}, (10, 25, 100)),
)


def message(kind: str, ratio: str, snr: float, autoencoder: str) -> tuple[Any, Any]:
    """(transmit, link) of a message."""
    latent = {"kind": "vae_latent", "channels": CHANNELS[ratio], "autoencoder": autoencoder}
    bits = {"kind": "digital", "mcs": SCHEMES[max(level for level in SCHEMES if level <= max(snr, min(SCHEMES)))]}
    if kind == LATENT:
        return latent, "analog"
    if kind == MAP:
        return {"kind": "segmentation_map", "segmenter": SEGMENTER}, bits
    shares = {"map": {"link": bits, "uses": "1/4"}, "latent": {"link": "analog", "uses": "rest"}}
    return {**latent, "kind": "map_and_latent", "segmenter": SEGMENTER}, {"kind": "parts", "parts": shares}


class WithMap(DiffusionReceiver):
    """The receiver with the true map of each picture, as if it had come."""

    shown = None

    def _planes(self, received, values):
        from semcom.models.denoiser import CLASSES, planes_of

        known = self.shown < CLASSES - 1
        one_hot = torch.nn.functional.one_hot(self.shown.clamp(max=CLASSES - 1), CLASSES).permute(0, 3, 1, 2)
        return planes_of(one_hot, known, tuple(values.shape[2:]))


@dataclass
class Tried:
    """A prepared receiver, with what its network was asked for and how long it took, a batch."""

    family: Family
    steps: int | str | None
    receiver: Any
    passed: int = 0
    batches: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if (network := getattr(self.receiver, "network", None)) is not None:
            network.register_forward_pre_hook(self._count)

    def _count(self, module, given) -> None:
        self.passed += len(given[0])

    def decode(self, received, streams) -> torch.Tensor:
        self.passed = 0
        wall, processor = time.perf_counter(), time.process_time()
        pixels = self.receiver.decode(received, streams).pixels
        took = {"ms": time.perf_counter() - wall, "cpu_ms": time.process_time() - processor}
        self.batches.append({key: 1e3 * value / len(pixels) for key, value in took.items()} | {"evaluations": self.passed / len(pixels)})
        return (pixels * 255.0).round() / 255.0


def prepared(given: argparse.Namespace, context: Context) -> Iterator[Tried]:
    """The receivers that there are. A network is shared by those that name the same weights; each counts what it asks for."""
    for family in wanted(given):
        for steps in family.steps:
            said = {**family.receive, **({} if steps is None else {"steps": steps})}
            try:
                description = registry.parse("receive", said)
                if reason := description.available():
                    raise ScenarioError(reason)
                built = description.build(context)
            except (ScenarioError, ValueError) as error:
                print(f"left out: {family.name}: {str(error).splitlines()[0]}")
                break
            yield Tried(family, steps, WithMap(built.how, built.coder, built.network) if family.true_map else built)


def wanted(given: argparse.Namespace) -> Iterator[Family]:
    weights = dict(text.split("=", 1) for text in given.weights)
    for family in FAMILIES:
        if given.families and family.name not in given.families:
            continue
        kind, said = family.receive["kind"], dict(family.receive)
        said |= {"weights": weights[kind]} if kind in weights else {}
        said |= {} if family.message == MAP else {"autoencoder": given.autoencoder}
        if kind != "latent_diffusion":
            yield replace(family, receive=said)
            continue
        said |= {"precision": given.precision, "decode": given.decode, "guidance": given.guidance}
        counts = tuple(given.steps) if family.steps != (None,) else family.steps
        for solver in given.solvers if counts != (None,) else given.solvers[:1]:
            name = family.name if len(given.solvers) == 1 else f"{family.name}, {solver}"
            yield replace(family, name=name, receive={**said, "solver": solver}, steps=counts)
            if given.true_map and family.message == LATENT:
                yield replace(family, name=f"{name}, true map", receive={**said, "solver": solver}, steps=counts, true_map=True)


def measured(given, tried, kind, ratio, snr, batches, clusters, metrics, context) -> Iterator[dict[str, Any]]:
    """A row an image and receiver, of all receivers of one kind of message at one point."""
    transmit, link = message(kind, ratio, snr, given.autoencoder)
    sender = registry.parse("transmit", transmit).build(context)
    carrier = registry.parse("link", link).build(registry.parse("channel", "awgn").build("cpu"), "cpu")
    condition = Condition(snr)
    for images in batches:
        streams, uses = Streams.of(images.ids), units.channel_uses(units.Fraction(ratio), *images.size)
        encoded = sender.encode(images, carrier.budget(uses, condition, sender.side_bits), streams)
        received = carrier.send(encoded, [condition] * len(images), streams)
        for one in tried:
            if one.family.true_map:
                one.receiver.shown = images.labels
            pixels = one.decode(received, streams.for_system("benchmark"))
            values = {key: found for metric in metrics for key, found in metric(images.pixels, pixels).items()}
            for place, name in enumerate(images.ids):
                yield {
                    "receiver": one.family.name, "steps": "" if one.steps is None else one.steps, "message": kind,
                    "bandwidth_ratio": ratio, "snr_db": snr, "image": name, "cluster": clusters[name],
                    **{key: round(value, 4) for key, value in one.batches[-1].items()},
                    **{key: round(float(found[place]), 5) for key, found in values.items()},
                }  # fmt: skip


def told(rows: list[dict[str, Any]], metrics: tuple[str, ...] = ("lpips_squeeze", "psnr")) -> Iterator[str]:
    """A line a receiver and number of evaluations."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault((row["receiver"], row["steps"]), []).append(row)
    samples = {key: {m: Sample.of(*zip(*((r[m], r["image"], r["cluster"]) for r in found), strict=True)) for m in metrics} for key, found in groups.items()}
    for (name, steps), found in groups.items():
        interval, psnr = (mean_interval(samples[name, steps][metric]) for metric in metrics)
        most = max((key[1] for key in groups if key[0] == name and isinstance(key[1], int)), default=None)
        of_most = f"{interval.mean / mean_interval(samples[name, most][metrics[0]]).mean:.3f}" if most is not None else "     "
        evaluations, cpu, wall = (median(row[key] for row in found) for key in ("evaluations", "cpu_ms", "ms"))
        yield (
            f"  {name:<28} {steps!s:>5}  LPIPS {interval.mean:.4f} [{interval.low:.3f}, {interval.high:.3f}] {of_most}"
            f"  PSNR {psnr.mean:5.2f}  {evaluations:5.1f} evaluations  {cpu:7.1f} ms of processor  {wall:7.1f} ms"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("camvid")
    parser.add_argument("--weights", nargs="+", default=[], metavar="KIND=FOLDER", help="of receivers, in place of those that ship")
    parser.add_argument("--families", nargs="+", choices=[family.name for family in FAMILIES], help="all if not given")
    parser.add_argument("--ratios", nargs="+", default=["1/24", "1/96"], choices=list(CHANNELS))
    parser.add_argument("--snr", nargs="+", type=float, default=[-5, 0, 5, 10, 15])
    parser.add_argument("--steps", nargs="+", default=list(FAMILIES[1].steps), type=lambda text: int(text) if text.isdigit() else text)
    parser.add_argument("--solvers", nargs="+", default=["multistep"])
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--decode", default="sent", choices=["sent", "all"])
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--autoencoder", default="autoencoder", help="weights that ship, or a folder")
    parser.add_argument("--images", type=int, default=16, help="evenly spread over the tuning images")
    parser.add_argument("--metrics", nargs="+", default=["lpips_squeeze", "psnr"], help="the first two are printed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--true-map", action="store_true")
    parser.add_argument("--csv", type=Path, help="a row an image and receiver")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    source = registry.parse("source", {"kind": "camvid", "path": given.camvid, "split": "val", "size": [128, 256]}).build()
    refs = source.tuning()
    chosen = [refs[place] for place in torch.linspace(0, len(refs) - 1, min(given.images, len(refs))).long().tolist()]
    ids, clusters = [ref.id for ref in chosen], {ref.id: ref.cluster for ref in chosen}
    metrics = [registry.parse("metric", name).build("cpu") for name in given.metrics]
    batches = [source.load(ids[start : start + TOGETHER]) for start in range(0, len(ids), TOGETHER)]
    context, rows = Context("cpu", source), []
    tried = list(prepared(given, context))
    for ratio in given.ratios:
        for snr in given.snr:
            print(f"\n{ratio}, {snr:g} dB, {len(ids)} images")
            for kind in dict.fromkeys(one.family.message for one in tried):
                some = [one for one in tried if one.family.message == kind]
                found = list(measured(given, some, kind, ratio, snr, batches, clusters, metrics, context))
                print("\n".join(told(found, tuple(given.metrics[:2]))), flush=True)
                rows += found
            if given.csv:
                with given.csv.open("w", newline="") as file:
                    table = csv.DictWriter(file, rows[0], lineterminator="\n")
                    table.writeheader()
                    table.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
