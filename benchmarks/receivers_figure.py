"""The plane of quality against cost, from the rows that `benchmarks/receivers.py --csv` wrote.

    python benchmarks/receivers_figure.py receivers.csv -o docs/receivers_plane --snr -5 0 5

Above quality against evaluations of the network an image, below against time an image; a column an SNR, a line a receiver with
its numbers of evaluations, bars are intervals over clusters of frames. ``--time cpu_ms`` is processor time of all threads (the
default: what other programs do meanwhile changes it little), ``ms`` wall time. Dotted lines: what the default receiver may cost.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from semcom.figures import style
from semcom.stats.intervals import mean_interval
from semcom.stats.sample import Sample

#: evaluations and milliseconds an image that a default receiver may cost
MOST = {"evaluations": 10.0, "ms": 400.0, "cpu_ms": 800.0}
TIMES = {"cpu_ms": "processor time an image (ms)", "ms": "time an image (ms)"}
NAMES = {"lpips_squeeze": "LPIPS-Squeeze", "psnr": "PSNR (dB)", "lpips_semcom": "LPIPS-semcom", "ssim": "SSIM"}
KEYS = ["receiver", "steps", "snr_db"]


def points(rows: pd.DataFrame, metric: str, took: str) -> pd.DataFrame:
    """A row a receiver, number of evaluations and SNR; `auto`, which lies on its family's line, is left out."""
    found = []
    for (receiver, steps, snr), part in rows[rows["steps"] != "auto"].groupby(KEYS, sort=False):
        interval = mean_interval(Sample.of(part[metric], part["image"], part["cluster"]))
        cost = {"evaluations": part["evaluations"].median(), took: part[took].median()}
        found.append({"receiver": receiver, "snr_db": snr, **cost, "mean": interval.mean, "low": interval.low, "high": interval.high})
    return pd.DataFrame(found)


def draw(table: pd.DataFrame, metric: str, took: str, ratio: str):
    snrs = sorted(table["snr_db"].unique())
    looks = style.looks(list(dict.fromkeys(table["receiver"])), {})
    with style.context():
        figure = style.figure(style.PAGE, 4.2)
        axes = figure.subplots(2, len(snrs), sharey="col", squeeze=False)
        for row, cost in enumerate(("evaluations", took)):
            for ax, snr in zip(axes[row], snrs, strict=True):
                for name, look in looks.items():
                    part = table[(table["receiver"] == name) & (table["snr_db"] == snr)].sort_values("evaluations")
                    spread = [part["mean"] - part["low"], part["high"] - part["mean"]]
                    ax.errorbar(
                        part[cost], part["mean"], spread, label=name, color=look.color, marker=look.marker, linestyle=look.stroke,
                        linewidth=look.width, markersize=3.5, elinewidth=0.6, capsize=1.5,
                    )  # fmt: skip
                ax.axvline(MOST[cost], color=style.REFERENCE_COLOR, linestyle=":", linewidth=0.7)
                ax.set_xscale("symlog" if row == 0 else "log", **({"linthresh": 1.0} if row == 0 else {}))
                if row == 0:
                    ax.set_xlim(-0.2, 1.5 * max(100.0, table[cost].max()))
                    ax.set_xticks([0, 1, 2, 4, 10, 25, 100], ["0", "1", "2", "4", "10", "25", "100"])
                    ax.minorticks_off()
                    ax.set_title(f"{snr:g} dB, bandwidth ratio {ratio}")
                else:
                    ax.set_xticks([50, 100, 200, 400, 800, 1600], ["50", "100", "200", "400", "800", "1600"])
                    ax.minorticks_off()
                    ax.set_xlim(0.8 * table[cost].min(), 1.25 * max(MOST[cost], table[cost].max()))
                ax.set_xlabel("network evaluations an image" if row == 0 else TIMES[took])
                ax.grid(linewidth=0.3, color="#d0d0d0")
            axes[row][0].set_ylabel(NAMES.get(metric, metric))
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True, help="figure without ending; .png and .pdf are written")
    parser.add_argument("--metric", default="lpips_squeeze")
    parser.add_argument("--ratio", default="1/24")
    parser.add_argument("--snr", nargs="+", type=float, default=[-5, 0, 5])
    parser.add_argument("--time", choices=list(TIMES), default="cpu_ms")
    given = parser.parse_args()
    rows = pd.read_csv(given.rows, dtype={"steps": str}, keep_default_na=False)
    rows = rows[(rows["bandwidth_ratio"] == given.ratio) & rows["snr_db"].isin(given.snr)]
    if rows.empty:
        sys.exit(f"{given.rows} holds no rows at {given.ratio} and {given.snr} dB")
    print(*style.save(draw(points(rows, given.metric, given.time), given.metric, given.time, given.ratio), given.out))


if __name__ == "__main__":
    main()
