"""How much faster the links are than a plain loop of Sionna calls, one image and one SNR at a time.

    python benchmarks/links.py [--images 4] [--snrs 10] [--runs 7] [--skip-digital]

Both sides send the same bits (or reals) of the same size over the same kind of channel, in this process,
in turns; the table gives the median time of each and the ratio. They draw different noise, so "equal
results" means: every frame arrives whole on both sides, raw bit error rates and normalised errors agree
within five standard errors. The digital link runs above its waterfall. The analog link is timed twice:
when it draws the channel, and when a system before it in the sweep already met the same draws.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from channels.awgn import AWGN
from channels.mcs import find
from channels.rayleigh import Rayleigh
from semcom import units
from semcom.link import draws
from semcom.link.analog import Analog
from semcom.link.digital import Digital
from semcom.rng import Streams, generator
from semcom.types import Bits, Condition, Message, Reals

HEIGHT = WIDTH = 256
USES = units.channel_uses(Fraction(1, 24), HEIGHT, WIDTH)
#: Above the waterfall of this MCS at its lowest SNR, where its decoder converges in a few iterations.
MCS, LOWEST_DB, ANALOG_LOWEST_DB, STEP_DB = "qpsk-1/2", 3.0, -5.0, 2.0


def median_times(runs: int, sides: dict[str, Callable[[], object]]) -> tuple[dict[str, float], dict[str, object]]:
    """Median seconds of each side, taken in turns so that both meet the same load, and its last result.

    In its turn a side runs twice and the second run counts: a sweep sends batch after batch, with warm caches.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    results = {name: side() for name, side in sides.items()}  # builds what is built once
    for _ in range(runs):
        for name, side in sides.items():
            results[name] = None
            side()
            start = time.perf_counter()
            results[name] = side()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}, results


def batch(images: int, snrs: list[float]) -> tuple[list[int], Streams, list[Condition]]:
    """Rows of the images, streams and conditions of one batch: every image at every SNR."""
    rows = [row for row in range(images) for _ in snrs]
    streams = Streams.of([f"image {row}" for row in range(images)]).select(rows)
    return rows, streams, [Condition(snr) for _ in range(images) for snr in snrs]


def forget_draws() -> None:
    draws.NOISE.clear()
    draws.FADING.clear()


def digital(images: int, snrs: list[float], runs: int) -> tuple[str, float, float]:
    from sionna.phy.channel import AWGN as SionnaAWGN
    from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder
    from sionna.phy.mapping import Demapper, Mapper

    scheme = find(MCS)
    link = Digital(mcs=MCS).build(AWGN().build("cpu"), "cpu")
    budget = link.budget(USES, Condition(LOWEST_DB))
    payload = torch.from_numpy(generator("benchmark").integers(0, 2, (images, budget.bits), dtype=np.uint8))
    message = Message({"x": Bits(payload, torch.full((images,), budget.bits))}, budget, (HEIGHT, WIDTH))
    rows, streams, conditions = batch(images, snrs)

    block = link._frame(USES).block  # the same code: information and coded bits a block
    encoder = LDPC5GEncoder(block.block_bits, block.block_coded_bits, num_bits_per_symbol=scheme.bits_per_symbol)
    decoder = LDPC5GDecoder(encoder, num_iter=20)
    mapper, demapper = Mapper("qam", scheme.bits_per_symbol), Demapper("app", "qam", scheme.bits_per_symbol)
    air = SionnaAWGN()
    information = torch.from_numpy(
        generator("benchmark", "loop").integers(0, 2, (images, block.blocks, block.block_bits)).astype(np.float32)
    )

    def ours():
        forget_draws()
        return link.send(message.select(rows), conditions, streams)

    def loop():
        whole, raw = 0, 0
        for image in information:
            for snr_db in snrs:
                no = torch.tensor(10.0 ** (-snr_db / 10.0))
                coded = encoder(image)
                llr = demapper(air(mapper(coded), no), no)
                whole += int(torch.equal(decoder(llr), image))
                raw += int(((llr > 0) != coded.bool()).sum())
        return whole, raw

    seconds, results = median_times(runs, {"loop": loop, "ours": ours})
    received, (whole, raw) = results["ours"], results["loop"]
    assert whole == len(rows) and bool(received.parts["x"].ok.all()), "a frame failed: not above the waterfall"
    assert torch.equal(received.parts["x"].bits, payload[rows]), "decoded bits differ"
    bits, errors = int(received.counts["raw_bits"].sum()), int(received.counts["raw_bit_errors"].sum())
    assert abs(errors - raw) < 5 * math.sqrt(errors + raw), f"{errors} and {raw} raw errors of {bits} bits"
    return f"digital {MCS}, awgn", seconds["loop"], seconds["ours"]


def analog(kind: str, images: int, snrs: list[float], runs: int) -> list[tuple[str, float, float]]:
    from sionna.phy.channel import AWGN as SionnaAWGN
    from sionna.phy.channel import ApplyFlatFadingChannel, FlatFadingChannel, GenerateFlatFadingChannel

    channel = {"awgn": AWGN(), "rayleigh fast": Rayleigh(fading="fast"), "rayleigh block": Rayleigh()}[kind]
    link = Analog().build(channel.build("cpu"), "cpu")
    budget = link.budget(USES, Condition(0.0))
    values = torch.from_numpy(generator("benchmark").standard_normal((images, budget.reals), dtype=np.float32))
    values = values / values.square().mean(dim=1, keepdim=True).sqrt()
    message = Message({"x": Reals(values, (budget.reals,))}, budget, (HEIGHT, WIDTH))
    rows, streams, conditions = batch(images, snrs)
    awgn, fading = SionnaAWGN(), FlatFadingChannel(1, 1, return_channel=True)
    gain, over = GenerateFlatFadingChannel(1, 1), ApplyFlatFadingChannel()

    def block_fading(x: torch.Tensor, no: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = gain(1).expand(x.shape[1], 1, 1)
        return over(x.T, h, no).T, h[:, 0].T

    def meet(x: torch.Tensor, no: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Equalised symbols and their noise level."""
        if kind == "awgn":
            return awgn(x, no), no.sqrt().expand(x.shape)
        if kind == "rayleigh block":  # Sionna's flat fading block draws one gain an example
            y, h = block_fading(x[None], no)
            return (y / h)[0], no.sqrt() / h[0].abs()
        y, h = fading(x[:, None], no)
        return (y / h[:, 0])[:, 0], no.sqrt() / h[:, 0, 0].abs()

    def loop():
        out = []
        for image in values:
            for snr_db in snrs:
                no = torch.tensor(10.0 ** (-snr_db / 10.0))
                symbols, noise_std = meet(torch.view_as_complex(image.reshape(-1, 2)) / math.sqrt(2.0), no)
                out.append((torch.view_as_real(math.sqrt(2.0) * symbols).flatten(), noise_std.repeat_interleave(2)))
        return out

    def kept():
        part = link.send(message.select(rows), conditions, streams).parts["x"]
        return list(zip(part.values, part.noise_std, strict=True))

    def drawn():
        forget_draws()
        return kept()

    seconds, results = median_times(runs, {"loop": loop, "drawn": drawn, "kept": kept})
    for side in results.values():
        error = torch.stack([(v - values[row]) / std for row, (v, std) in zip(rows, side, strict=True)]).double()
        assert abs(error.var() - 1) < 5 * math.sqrt(2 * len(snrs) / error.numel()), "noise level differs"  # SNRs may share noise
    return [
        (f"analog, {kind}, channel drawn", seconds["loop"], seconds["drawn"]),
        (f"analog, {kind}, draws kept", seconds["loop"], seconds["kept"]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--snrs", type=int, default=10)
    parser.add_argument("--skip-digital", action="store_true", help="leave out the LDPC decoder, which takes most of the time")
    parser.add_argument("--runs", type=int, default=7, help="timings of each side; the digital link takes three")
    options = parser.parse_args()

    def snrs_from(low: float) -> list[float]:
        return [low + STEP_DB * i for i in range(options.snrs)]

    lines = analog("rayleigh fast", options.images, snrs_from(ANALOG_LOWEST_DB), options.runs)
    lines += analog("rayleigh block", options.images, snrs_from(ANALOG_LOWEST_DB), options.runs)
    lines += [*analog("awgn", options.images, snrs_from(ANALOG_LOWEST_DB), options.runs)]
    if not options.skip_digital:
        lines.append(digital(options.images, snrs_from(LOWEST_DB), min(3, options.runs)))
    title = f"{options.images} images {HEIGHT}x{WIDTH}, {options.snrs} SNRs, k = {USES}"
    title += f", {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}"
    table = Table("link", "Sionna loop [ms]", "semcom [ms]", "times faster", title=title)
    for name, loop, ours in lines:
        table.add_row(name, f"{1e3 * loop:.1f}", f"{1e3 * ours:.1f}", f"{loop / ours:.1f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
