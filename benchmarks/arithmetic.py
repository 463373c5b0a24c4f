"""What lower precision and compilation win: time of one evaluation of the denoiser and of the decoder, as ratios to float32.

    python benchmarks/arithmetic.py [--device cuda] [--compile] [--weights FOLDER]

All variants take turns in one run, so that what else the machine does meets all of them; medians over the turns. On a CPU it is
processor time of all threads. `error` is the RMS deviation of the result from float32's, relative to the result's RMS. Compiling
takes the first call, whose seconds are given.
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import median

import torch

from semcom.latents.coder import coder
from semcom.models.pretrained import Pretrained
from semcom.models.shipped import Shipped

SIZE = (16, 32)
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precisions", nargs="+", default=["float32", "bf16"], choices=list(DTYPES))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--weights", default="latent_denoiser")
    parser.add_argument("--autoencoder", default="autoencoder")
    parser.add_argument("--parts", nargs="+", default=["denoiser", "decoder"], choices=["denoiser", "decoder"])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(given.batch, 16, *SIZE, generator=generator).to(given.device)
    sigma = torch.full_like(x, 0.5)
    for part in given.parts:
        if part == "denoiser":
            network = Shipped(given.weights, "LatentDenoiser").load(given.device)
            call = lambda run: run(x, sigma)  # noqa: E731
        else:
            network = coder(Pretrained(given.autoencoder), given.device).model.net
            call = lambda run: run(x).sample  # noqa: E731
        function = network if part == "denoiser" else network.decode
        variants = {name: (function, DTYPES[name]) for name in given.precisions}
        if given.compile:
            variants |= {f"{name}, compiled": (torch.compile(function, dynamic=False), DTYPES[name]) for name in given.precisions}
        report(part, variants, call, given)


@torch.no_grad()
def report(part, variants, call, given) -> None:
    took, first, made = {name: [] for name in variants}, {}, {}
    for turn in range(given.turns + 1):
        for name, (function, dtype) in variants.items():
            started, processor = time.perf_counter(), time.process_time()
            with torch.autocast(given.device, dtype, enabled=dtype != torch.float32):
                made[name] = call(function).float()
            if given.device != "cpu":
                torch.cuda.synchronize()
            wall, processor = time.perf_counter() - started, time.process_time() - processor
            if turn:
                took[name].append(processor if given.device == "cpu" else wall)
            else:
                first[name] = wall
    exact, base = made["float32"], median(took["float32"])
    for name in variants:
        error = (made[name] - exact).square().mean().sqrt() / exact.square().mean().sqrt()
        middle = median(took[name])
        ms = 1e3 * middle / given.batch
        print(f"{part:<9} {name:<18} {ms:7.2f} ms an image, {middle / base:.2f} of float32, error {float(error):.1e}, first call {first[name]:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
