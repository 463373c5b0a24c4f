"""semcom plot --channel: figures of the channels that a scenario's sweep meets, drawn with its own seed and first image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from semcom.link.view import View
    from semcom.scenario.scenario import Point, Scenario

#: axes that change what a channel is or how long it is met
_OWN = ("channel", "bandwidth_ratio", "source")
_PAIRS = 4  # pairs of antennas drawn at most


def draw_channels(scenario: Scenario, folder: Path, snr_db: float | None = None) -> list[Path]:
    """Draw every channel of the sweep at ``snr_db`` (None: the middle one of the sweep's) into ``folder``: PNG and PDF."""
    from semcom.figures import style
    from semcom.store.layout import safe_name

    paths: list[Path] = []
    for own, points in _by_channel(scenario).items():
        suffix = "".join(f"_{axis}={safe_name(str(value))}" for axis, value in own)
        at = sorted(point.snr_db for point in points)[(len(points) - 1) // 2] if snr_db is None else snr_db
        for name, figure in _figures(scenario, points[0], at):
            paths += style.save(figure, folder / f"{name}{suffix}")
    return paths


def _by_channel(scenario: Scenario) -> dict[tuple[tuple[str, Any], ...], list[Point]]:
    found: dict[tuple[tuple[str, Any], ...], list[Point]] = {}
    for point in scenario.points():
        own = tuple((axis, value) for axis, value in point.values.items() if axis.partition(".")[0] in _OWN)
        found.setdefault(own, []).append(point)
    return found


def _figures(scenario: Scenario, point: Point, snr_db: float) -> Iterator[tuple[str, Figure]]:
    from semcom import units
    from semcom.errors import ScenarioError
    from semcom.figures import channel as figures
    from semcom.link.view import view
    from semcom.rng import Streams

    uses = units.channel_uses(point.bandwidth_ratio, *point.source.size)
    image = point.source.build().images()[0].id
    streams = Streams.of([image], seed=scenario.seed)
    try:
        qpsk, qam = (view(point.channel, snr_db, uses, streams, bits) for bits in (2, 4))
    except ValueError as error:
        raise ScenarioError(f"the channel cannot be drawn: {error}") from error
    decibels = f"{snr_db:g} dB".replace("-", "−")
    note = f"{_words(point.channel)}; {decibels}, {uses} channel uses, image {image}"
    yield "constellation", figures.constellations([cloud for name, seen in (("QPSK", qpsk), ("16-QAM", qam)) for cloud in _clouds(name, seen)], note)
    grid, pairs = qpsk.layout.grid, [_pair(qpsk, r, t) for r, t in _first_pairs(qpsk)]
    if grid.spacing_hz:
        tones = np.arange(grid.tones[0], grid.tones[-1] + 1)
        yield "gain", figures.surfaces(pairs, 1e3 * grid.interval_s, 1e-3 * grid.spacing_hz * tones, note)
    else:
        yield "gain", figures.courses(pairs, note)
    if qam.samples is not None:
        of = {"into the hardware": qam.samples[0, 0], "radiated": qam.radiated[0, 0]}
        spacing = 1e-3 * grid.spacing_hz if grid.spacing_hz else None
        yield "spectrum", figures.hardware(of, grid.fft_size, spacing, f"16-QAM; {note}")


def _words(channel: Any) -> str:
    stages = getattr(channel, "stages", (channel,))
    choices = [getattr(stage, "estimate", None) or getattr(stage, "scheme", None) or getattr(stage, "profile", None) for stage in stages]
    return " + ".join(f"{stage.kind} ({choice})" if choice else stage.kind for stage, choice in zip(stages, choices, strict=True))


def _clouds(name: str, seen: View):
    from semcom.figures.channel import Cloud

    yield Cloud(f"{name}, received", seen.received[0], None)
    heard = np.where(np.isfinite(seen.noise_std[0]), seen.symbols[0], np.nan)
    yield Cloud(f"{name}, as demapped (no CSI)" if seen.estimate is None else f"{name}, equalised", heard, seen.points)


def _first_pairs(seen: View) -> list[tuple[int, int]]:
    receive, transmit = seen.truth.shape[1:3]
    return [(r, t) for r in range(receive) for t in range(transmit)][:_PAIRS]


def _pair(seen: View, r: int, t: int):
    """The gains of a pair on the grid of the burst; subcarriers between the sent ones are empty."""
    from semcom.figures.channel import Gains

    single = seen.truth.shape[1] * seen.truth.shape[2] == 1
    name = "truth" if single else f"antenna {t + 1} to {r + 1}"
    truth = _on_grid(seen, seen.truth[0, r, t], np.arange(seen.layout.grid.elements))
    if seen.estimate is None or seen.knows_everything:
        return Gains(name, truth)
    estimate = _on_grid(seen, seen.estimate[0, r, t], seen.layout.data)
    return Gains(name, truth, estimate, float(seen.error_var[0, r, t].mean()))


def _on_grid(seen: View, values: np.ndarray, elements: np.ndarray) -> np.ndarray:
    """Complex [steps, tones from the lowest to the highest], nan where there is no value."""
    grid = seen.layout.grid
    tones = np.asarray(grid.tones)
    out = np.full((grid.times, int(np.ptp(tones)) + 1), np.nan, dtype=complex)
    step, tone = np.divmod(elements, len(tones))
    out[step, tones[tone] - tones[0]] = values
    return out
