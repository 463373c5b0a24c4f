"""The figures of docs/channels.md, from the models themselves.

    python benchmarks/channel_figures.py docs/channels
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from channels.amplifier import rapp_bussgang  # noqa: E402
from channels.chain import normal  # noqa: E402
from channels.tr38901 import tdl_profile  # noqa: E402
from semcom import registry  # noqa: E402
from semcom.figures import channel as figures  # noqa: E402
from semcom.figures import style  # noqa: E402
from semcom.figures.channel import Cloud, Gains  # noqa: E402
from semcom.link.view import View, view  # noqa: E402
from semcom.rng import Streams  # noqa: E402

DPI = 130
OFDM = {"kind": "ofdm", "pilots": {"symbols": [2, 11], "spacing": 4}}
TDL = {"kind": "tdl", "profile": "C", "delay_spread_ns": 300, "speed_kmh": 60}


def look(*stages: str | dict, snr_db: float = 25.0, uses: int = 4096, bits: int = 4) -> View:
    return view(normal([registry.parse("channel", stage) for stage in stages]), snr_db, uses, Streams.of(["an image"]), bits)


def fading():
    kinds = {
        "Rayleigh, block, coherence 64": {"kind": "rayleigh", "coherence": 64},
        "Rayleigh, Jakes, doppler 0.01": {"kind": "rayleigh", "fading": "jakes", "doppler": 0.01},
        "Rician 10 dB, Jakes, doppler 0.01": {"kind": "rician", "k_db": 10, "fading": "jakes", "doppler": 0.01},
        "Rayleigh, fast": {"kind": "rayleigh", "fading": "fast"},
    }
    of = [Gains(name, look(kind, uses=400).truth[0, 0, 0][:, None]) for name, kind in kinds.items()]
    return figures.courses(of, "")


def profiles():
    fig = style.figure(style.PAGE, 2.3)
    with style.context():
        powers, spectra = fig.subplots(1, 2)
        frequency = np.linspace(0.0, 1.0, 400)  # times the RMS delay spread
        for index, name in enumerate("ABCDE"):
            one, given = tdl_profile(name), style.look(style.SYSTEM, index)
            shown = 10.0 * np.log10(one.total)
            powers.plot(one.delays, shown, given.marker, color=given.color, markersize=3.0, label=f"TDL-{name}")
            response = np.abs(np.exp(-2j * math.pi * frequency[:, None] * one.delays) @ one.total)
            spectra.plot(frequency, response, color=given.color, linestyle=style.STROKES[index % 4], linewidth=1.1, label=f"TDL-{name}")
        powers.set(xlim=(-0.5, 21.5), ylim=(-38.0, 2.0))
        figures._dress(powers, "delay over RMS delay spread", "power of a path [dB]")
        figures._dress(spectra, "frequency distance times RMS delay spread", "correlation of $H$, magnitude")
        pairs = [tuple(both) for both in zip(powers.get_lines(), spectra.get_lines(), strict=True)]
        names = [line.get_label() for line in spectra.get_lines()]
        fig.legend(
            pairs, names, loc="outside lower center", ncols=5, frameon=False, prop={"size": style.SIZE, "family": style.FONT}, handlelength=3.0
        )
    return fig


def estimates():
    from semcom.cli.channel_views import _pair

    grid, pairs = None, []
    for estimate in ("ls", "lmmse"):
        seen = look(OFDM, TDL, {"kind": "csi", "estimate": estimate}, snr_db=10.0)
        one, grid = _pair(seen, 0, 0), seen.layout.grid
        pairs.append(Gains(estimate.upper(), one.truth, one.estimate, one.error_var))
    tones = np.arange(grid.tones[0], grid.tones[-1] + 1)
    return figures.surfaces(pairs, 1e3 * grid.interval_s, 1e-3 * grid.spacing_hz * tones, "TDL-C, 300 ns, 60 km/h, 10 dB; white: pilots and DC")


def clouds(chains: dict[str, list[str | dict]], snr_db: float, bits: int):
    shown = []
    for name, chain in chains.items():
        seen = look(*chain, snr_db=snr_db, bits=bits)
        shown.append(Cloud(name, np.where(np.isfinite(seen.noise_std[0]), seen.symbols[0], np.nan), seen.points))
    name = "QPSK" if bits == 2 else f"{2**bits}-QAM"
    return figures.constellations(shown, f"{name} after the equaliser, {snr_db:g} dB")


def hardware():
    return clouds(
        {
            "amplifier, back-off 3 dB": ["ofdm", {"kind": "amplifier", "backoff_db": 3}, "awgn"],
            "phase noise": ["ofdm", {"kind": "phase_noise", "linewidth": 2e-4, "tracked": 1}, "awgn"],
            "carrier offset": ["awgn", {"kind": "carrier_offset", "offset": 1e-3, "tracked": 64}],
            "converter, 3 bits": ["ofdm", "awgn", {"kind": "adc", "bits": 3, "clipping_db": 7}],
        },
        30.0,
        4,
    )


def interference():
    return clouds(
        {
            "co-channel QPSK, 12 dB": ["awgn", {"kind": "cochannel", "sir_db": 12, "fading": "none"}],
            "impulses, 2 %": ["awgn", {"kind": "impulses", "probability": 0.02, "ratio_db": 20}],
            "the same over OFDM": ["ofdm", "awgn", {"kind": "impulses", "probability": 0.02, "ratio_db": 20}],
            "no CSI, Rician 10 dB": [{"kind": "rician", "k_db": 10, "coherence": 512}, {"kind": "csi", "estimate": "none"}],
        },
        20.0,
        2,
    )


def amplifier():
    seen = look("ofdm", {"kind": "amplifier", "backoff_db": 3}, "awgn", uses=16384)
    theory = rapp_bussgang(3.0, 2.0)
    note = f"back-off 3 dB, p = 2; for Gaussian samples the gain is {theory.gain:.3f} and the distortion −{-10 * math.log10(theory.distortion):.1f} dB"
    of = {"into the amplifier": seen.samples[0, 0], "radiated": seen.radiated[0, 0]}
    return figures.hardware(of, seen.layout.grid.fft_size, 1e-3 * seen.layout.grid.spacing_hz, note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for make in (fading, profiles, estimates, hardware, interference, amplifier):
        with style.context():
            make().savefig(folder / f"{make.__name__}.png", dpi=DPI, metadata={"Software": None})
        print(folder / f"{make.__name__}.png")


if __name__ == "__main__":
    main()
