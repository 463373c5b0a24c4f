"""Views of a channel itself: what a constellation becomes, gains as they are and as they are estimated, what hardware does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from semcom.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Lightness rises evenly, for grey printing as for any colour vision.
MAP = "cividis"
#: Points drawn of a constellation at most, and gains below this are drawn as this [dB].
MANY, FLOOR_DB = 1500, -30.0


@dataclass(frozen=True)
class Cloud:
    """Symbols as they were received or handed on, and the points that were sent where they should lie on them."""

    title: str
    symbols: np.ndarray
    points: np.ndarray | None


@dataclass(frozen=True)
class Gains:
    """|h| of one pair of antennas: complex [steps, tones], nan where nothing is known or sent.

    ``error_var`` is what the estimator says of its own error, a mean; None where there is nothing to estimate.
    """

    name: str
    truth: np.ndarray
    estimate: np.ndarray | None = None
    error_var: float | None = None

    @property
    def measured_var(self) -> float:
        """Mean of |estimate - truth|^2 over what is known."""
        return float(np.nanmean(np.abs(self.estimate - self.truth) ** 2))


def constellations(clouds: Sequence[Cloud], note: str) -> Figure:
    """Constellations side by side, two IEEE columns wide; axes are in units of the sent symbols' RMS."""
    fig = style.figure(style.PAGE, 0.95 * style.PAGE / len(clouds) + 0.42)
    with style.context():
        for place, cloud in zip(fig.subplots(1, len(clouds), squeeze=False)[0], clouds, strict=True):
            _cloud(place, cloud)
        fig.supxlabel(note, fontsize=style.SMALL, fontfamily=style.FONT)
    return fig


def _cloud(ax: Axes, cloud: Cloud) -> None:
    finite = cloud.symbols[np.isfinite(cloud.symbols)]
    shown = finite[:: max(1, len(finite) // MANY)]
    reach = 1.15 * max(1.1, float(np.quantile(np.abs([shown.real, shown.imag]), 0.985))) if len(shown) else 1.5
    ax.plot(shown.real, shown.imag, ".", color=style.PALETTE[1], markersize=2.0, alpha=0.5, markeredgewidth=0.0, zorder=2)
    if cloud.points is not None:
        ax.plot(cloud.points.real, cloud.points.imag, "+", color="black", markersize=5.0, markeredgewidth=0.8, zorder=3)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set_title(cloud.title, **style.TEXT, pad=3.0)
    _dress(ax, "in phase", "quadrature")


def surfaces(pairs: Sequence[Gains], interval_ms: float, frequencies_khz: np.ndarray, note: str) -> Figure:
    """|H| over time and frequency in dB, a row for each pair of antennas: truth, estimate and the error of the estimate."""
    import matplotlib
    from matplotlib.colors import Normalize

    has_estimate = pairs[0].estimate is not None
    columns, rows = 3 if has_estimate else 1, len(pairs)
    width = style.PAGE if has_estimate else style.COLUMN
    fig = style.figure(width, 1.55 * rows + 0.45)
    scale, unit = (1e-3, "MHz") if np.ptp(frequencies_khz) > 3000.0 else (1.0, "kHz")
    step = scale * (frequencies_khz[1] - frequencies_khz[0] if len(frequencies_khz) > 1 else 1.0)
    low, high = scale * frequencies_khz[0] - step / 2, scale * frequencies_khz[-1] + step / 2
    extent = (0.0, interval_ms * len(pairs[0].truth), low, high)
    levels = _decibels(np.stack([pair.truth for pair in pairs]))
    shared = Normalize(max(FLOOR_DB, math.floor(np.nanmin(levels))), math.ceil(np.nanmax(levels)))
    colours = matplotlib.colormaps[MAP].with_extremes(bad="white")
    with style.context():
        grid = fig.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for row, pair in enumerate(pairs):
            panels = [("truth" if rows == 1 else f"{pair.name}, truth" if has_estimate else pair.name, _decibels(pair.truth), shared)]
            if has_estimate:
                error = _decibels(pair.estimate - pair.truth)
                panels.append(("estimate" if rows == 1 else f"{pair.name}, estimate", _decibels(pair.estimate), shared))
                title = f"error: {_db(pair.measured_var)} dB; stated {_db(pair.error_var)} dB"
                span = np.nanquantile(error, [0.02, 1.0]) if np.isfinite(error).any() else (-1.0, 0.0)
                panels.append((title, error, Normalize(math.floor(span[0]), math.ceil(span[1]))))
            for column, (title, values, norm) in enumerate(panels):
                ax = grid[row, column]
                image = ax.imshow(values.T, origin="lower", aspect="auto", extent=extent, norm=norm, cmap=colours, interpolation="nearest")
                ax.set_title(title, **style.TEXT, pad=3.0)
                _dress(ax, "time [ms]" if row == rows - 1 else "", f"frequency [{unit}]" if column == 0 else "", grid=False)
                if column != 0 or columns == 1:
                    bar = fig.colorbar(image, ax=ax if columns == 1 or column == 2 else [grid[row, 0], ax], pad=0.015, fraction=0.06)
                    bar.set_label("error [dB]" if column == 2 else r"$|H|$ [dB]", labelpad=3.0, **style.TEXT)
                    bar.ax.tick_params(labelsize=style.SIZE, labelfontfamily=style.FONT, width=0.6, length=2.0, pad=1.5)
        fig.supxlabel(note, fontsize=style.SMALL, fontfamily=style.FONT)
    return fig


def courses(pairs: Sequence[Gains], note: str) -> Figure:
    """|h| of a flat channel over channel uses, in dB: a panel for each pair of antennas."""
    columns = min(2, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    fig = style.figure(style.COLUMN if columns == 1 else style.PAGE, 1.75 * rows + 0.45)
    with style.context():
        grid = fig.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for place in grid.flat[len(pairs) :]:
            place.remove()
        for number, (ax, pair) in enumerate(zip(grid.flat, pairs, strict=False)):
            uses, title = np.arange(len(pair.truth)), pair.name
            ax.plot(uses, _decibels(pair.truth[:, 0]), color=style.PALETTE[0], linewidth=1.4, label="truth")
            if pair.estimate is not None:
                known = _decibels(pair.estimate[:, 0])
                ax.plot(uses, known, color=style.PALETTE[1], linewidth=0.9, linestyle=(0, (4, 1.5)), label="estimate")
                title = f"{title}: " if len(pairs) > 1 else ""
                title += f"error: {_db(pair.measured_var)} dB; stated {_db(pair.error_var)} dB"
            ax.set_title(title, **style.TEXT, pad=3.0)
            across = "channel use" if number + columns >= len(pairs) else ""
            _dress(ax, across, r"$|h|$ [dB]" if number % columns == 0 else "")
            if number == 0 and pair.estimate is not None:
                ax.legend(frameon=False, loc="best", prop={"size": style.SIZE, "family": style.FONT}, handlelength=2.4)
        levels = _decibels(np.stack([pair.truth for pair in pairs]))
        low, high = max(FLOOR_DB, float(levels.min())), float(levels.max())
        room = max(1.0, 0.5 * (10.0 - high + low))  # a constant gain is a line in the middle, and not noise
        grid[0, 0].set_ylim(low - room, high + room)
        fig.supxlabel(note, fontsize=style.SMALL, fontfamily=style.FONT)
    return fig


def hardware(samples: Mapping[str, np.ndarray], fft_size: int, spacing_khz: float | None, note: str) -> Figure:
    """Power density over frequency, and how often a sample exceeds the mean power, of samples complex [n] under their names.

    Frequencies are in kHz, or for a single carrier relative to the symbol rate. Powers are relative to the first one's mean.
    """
    fig = style.figure(style.PAGE, 2.35)
    first = next(iter(samples.values()))
    reference, size = float(np.mean(np.abs(first) ** 2)), fft_size if fft_size > 1 else 64
    with style.context():
        density, exceeding = fig.subplots(1, 2)
        for index, (name, one) in enumerate(samples.items()):
            look = style.look(style.SYSTEM, index)
            line = {"color": look.color, "linestyle": style.STROKES[index], "linewidth": 1.2, "label": name}
            power, frequency = _density(one, size) / reference, np.fft.fftshift(np.fft.fftfreq(size))
            across = frequency * size * spacing_khz if spacing_khz else frequency
            density.plot(across, 10.0 * np.log10(np.maximum(power, 1e-6)), **line)
            over = np.sort(np.abs(one) ** 2 / np.mean(np.abs(one) ** 2))
            exceeding.semilogy(10.0 * np.log10(np.maximum(over, 1e-6)), 1.0 - np.arange(len(over)) / len(over), **line)
        density.set_ylim(-45.0, 5.0)
        exceeding.set(xlim=(0.0, 12.0), ylim=(max(1e-4, 1.0 / len(first)), 1.0))
        _dress(density, "frequency [kHz]" if spacing_khz else "frequency over symbol rate", "power density [dB]")
        _dress(exceeding, "power over mean [dB]", "share of samples above")
        exceeding.legend(frameon=False, loc="upper right", prop={"size": style.SIZE, "family": style.FONT})
        fig.supxlabel(note, fontsize=style.SMALL, fontfamily=style.FONT)
    return fig


def _density(samples: np.ndarray, size: int) -> np.ndarray:
    """Mean periodogram of stretches of ``size`` samples, whose mean is the power."""
    whole = samples[: len(samples) // size * size].reshape(-1, size)
    return np.fft.fftshift(np.mean(np.abs(np.fft.fft(whole, norm="ortho")) ** 2, axis=0))


def _decibels(values: np.ndarray) -> np.ndarray:
    power = np.abs(values) ** 2
    return 10.0 * np.log10(np.maximum(power, 1e-12))


def _db(power: float) -> str:
    return f"{10.0 * math.log10(power):.1f}".replace("-", "−") if power > 0 else "−∞"


def _dress(ax: Axes, across: str, up: str, grid: bool = True) -> None:
    ax.set_xlabel(across, labelpad=2.0, **style.TEXT)
    ax.set_ylabel(up, labelpad=2.0, **style.TEXT)
    ax.tick_params(which="both", labelsize=style.SIZE, labelfontfamily=style.FONT, width=0.6, length=2.5, pad=2.0)
    if grid:
        ax.grid(True, color="#d9d9d9", linewidth=0.4, zorder=0.5)
