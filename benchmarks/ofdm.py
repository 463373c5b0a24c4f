"""How much faster the analog link over OFDM and TDL is than a plain loop of Sionna calls, one image and one SNR at a time.

    python benchmarks/ofdm.py [--images 8] [--snrs 10] [--runs 5] [--speed 30]

Both sides send the same reals over TDL-C (300 ns, 3.5 GHz) on the same grid of subcarriers, with perfect CSI, in this
process and in turns; the table gives the median time of each and the ratio. They draw different channels, so "equal results"
means: errors over the stated noise level have variance 1 on both sides, and the means of log2(1 + |h|^2 SNR) and of |h|^2
agree within five standard errors. Ours is timed twice: when it draws the channel, and when a system before it in the sweep met it.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from channels._sionna import sionna_phy
from channels.chain import normal
from channels.ofdm import OFDM
from channels.tdl import TDL
from semcom.link import draws
from semcom.link.analog import Analog
from semcom.rng import Streams, generator
from semcom.types import Condition, Message, Reals

SYMBOLS, SPREAD_NS, CARRIER_GHZ = 70, 300.0, 3.5
LOWEST_DB, STEP_DB = -5.0, 3.0
#: both sides send the same reals on 56 subcarriers
WAVEFORM = OFDM()


def ours(images: int, snrs: list[float], speed: float) -> tuple[Callable[[], object], torch.Tensor, list[int]]:
    """The link's call for every image at every SNR, the values sent, and the image of each row."""
    chain = normal([WAVEFORM, TDL(delay_spread_ns=SPREAD_NS, carrier_ghz=CARRIER_GHZ, speed_kmh=speed)]).build("cpu")
    link = Analog().build(chain, "cpu")
    uses = SYMBOLS * (WAVEFORM.fft_size - sum(WAVEFORM.guards))
    budget = link.budget(uses, Condition(0.0))
    values = torch.from_numpy(generator("benchmark").standard_normal((images, budget.reals), dtype=np.float32))
    values = values / values.square().mean(dim=1, keepdim=True).sqrt()
    message = Message({"x": Reals(values, (budget.reals,))}, budget, (64, 64))
    rows = [row for row in range(images) for _ in snrs]
    streams = Streams.of([f"image {row}" for row in range(images)]).select(rows)
    conditions = [Condition(snr) for _ in range(images) for snr in snrs]

    def send() -> tuple[torch.Tensor, torch.Tensor]:
        part = link.send(message.select(rows), conditions, streams).parts["x"]
        return part.values, part.noise_std

    return send, values, rows


def loop(values: torch.Tensor, snrs: list[float], speed: float) -> Callable[[], object]:
    """A plain loop: map on the grid, draw and apply Sionna's channel, equalise; image by image, SNR by SNR."""
    phy = sionna_phy()
    grid = phy.ofdm.ResourceGrid(
        num_ofdm_symbols=SYMBOLS,
        fft_size=WAVEFORM.fft_size,
        subcarrier_spacing=WAVEFORM.subcarrier_spacing_khz * 1e3,
        cyclic_prefix_length=WAVEFORM.cyclic_prefix,
        num_guard_carriers=WAVEFORM.guards,
        dc_null=WAVEFORM.dc_null,
        device="cpu",
    )
    model = phy.channel.tr38901.TDL("C", SPREAD_NS * 1e-9, CARRIER_GHZ * 1e9, min_speed=speed / 3.6, device="cpu")
    channel = phy.channel.OFDMChannel(model, grid, return_channel=True, device="cpu")
    mapper = phy.ofdm.ResourceGridMapper(grid, device="cpu")
    demapper = phy.ofdm.RemoveNulledSubcarriers(grid, device="cpu")

    def send() -> tuple[torch.Tensor, torch.Tensor]:
        out, std = [], []
        for image in values:
            x = torch.view_as_complex(image.reshape(1, 1, 1, -1, 2)) / math.sqrt(2.0)
            for snr_db in snrs:
                no = torch.tensor(10.0 ** (-snr_db / 10.0))
                y, h = channel(mapper(x), no)
                y, h = (demapper(v).flatten() for v in (y, h))
                out.append(torch.view_as_real(math.sqrt(2.0) * y / h).flatten())
                std.append((no.sqrt() / h.abs()).repeat_interleave(2))
        return torch.stack(out), torch.stack(std)

    return send


def check(
    values: torch.Tensor, rows: list[int], snrs: list[float], results: dict[str, tuple[torch.Tensor, torch.Tensor]]
) -> None:
    """AssertionError where the two sides differ by more than their samples allow."""
    snr = 10.0 ** (torch.tensor(snrs * len(values), dtype=torch.float64)[:, None] / 10.0)
    power, rate = {}, {}
    for name, (received, std) in results.items():
        error = ((received - values[rows]) / std).double()
        # SNRs of one image may share noise
        assert abs(error.square().mean() - 1) < 5 * math.sqrt(2 * len(snrs) / error.numel()), f"{name}: noise level differs"
        gain = (std.double() ** -2 / snr).reshape(len(values), len(snrs), -1)
        each = [gain.mean(dim=(1, 2)), torch.log2(1 + gain * snr.reshape(len(values), len(snrs), 1)).mean(dim=(1, 2))]
        power[name], rate[name] = each
    for what in (power, rate):
        (a, b), n = (what[name] for name in ("loop", "ours")), len(values)
        error = math.sqrt(float(a.var() + b.var()) / n)
        assert abs(float(a.mean() - b.mean())) < 5 * error, f"{a.mean()} and {b.mean()}, standard error {error}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--snrs", type=int, default=10)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--speed", type=float, default=30.0, help="km/h")
    options = parser.parse_args()
    snrs = [LOWEST_DB + STEP_DB * i for i in range(options.snrs)]

    kept, values, rows = ours(options.images, snrs, options.speed)

    def drawn() -> object:
        for bank in (draws.NOISE, draws.MEETINGS):
            bank.clear()
        return kept()

    plain = loop(values, snrs, options.speed)
    plain_once = plain()  # builds what is built once, and Sionna's own memory before ours is measured
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours_once = drawn()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    check(values, rows, snrs, {"loop": plain_once, "ours": ours_once})

    sides = {"loop": plain, "channel drawn": drawn, "draws kept": kept}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.runs):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            times[name].append(time.perf_counter() - start)
    seconds = {name: statistics.median(t) for name, t in times.items()}

    load = f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}"
    title = f"TDL-C, {options.speed:g} km/h, {options.images} images, {options.snrs} SNRs, "
    title += f"{SYMBOLS} OFDM symbols of {len(WAVEFORM.tones)} tones, {load}"
    table = Table("analog over ofdm + tdl", "Sionna loop [ms]", "semcom [ms]", "times faster", title=title)
    for name in ("channel drawn", "draws kept"):
        ratio = seconds["loop"] / seconds[name]
        table.add_row(name, f"{1e3 * seconds['loop']:.1f}", f"{1e3 * seconds[name]:.1f}", f"{ratio:.1f}")
    console = Console(width=120)
    console.print(table)
    console.print(
        f"memory of the batch of {len(rows)} rows at its peak: {memory / 1024:.0f} MiB ({memory / len(rows):.0f} KiB a row)"
    )


if __name__ == "__main__":
    main()
