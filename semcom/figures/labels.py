"""What stands at an axis: the field's words with their units."""

from __future__ import annotations

from collections.abc import Mapping

from semcom.errors import ScenarioError

#: the column that systems are in where a figure's lines are something else
SYSTEMS = "systems"
#: and the one that classes are in, where a figure has a panel each
CLASSES = "classes"
AXES = {
    "snr_db": "Average SNR $E_s/N_0$ [dB]",
    "bandwidth_ratio": "Bandwidth ratio $k/n$",
    "k_db": "Rician $K$ [dB]",
    "sir_db": "Signal to interference ratio [dB]",
    "backoff_db": "Amplifier input back-off [dB]",
    "snr_mismatch_db": "Believed over true SNR [dB]",
    "error_variance": "Variance of the CSI error",
    "speed_kmh": "Speed [km/h]",
    "delay_spread_ns": "Delay spread [ns]",
    "loss": "Packet loss rate",
    "spacing": "Pilot spacing [subcarriers]",
    "known": "Known of the interferer",
    "bits": "Converter resolution [bit]",
    "gesco_label": "GESCO's printed label (no SNR)",
}
#: fields whose numbers are labels of steps, drawn at equal distances
NUMBERED = {"gesco_label"}
UNITS = {"db": "dB", "dbm": "dBm", "hz": "Hz", "khz": "kHz", "mhz": "MHz", "ghz": "GHz", "ms": "ms", "us": "µs", "ns": "ns", "kmh": "km/h", "deg": "degrees"}


def axis_label(axis: str, labels: Mapping[str, str] | None = None) -> str:
    """The label of a swept field, by its path in the scenario.

    >>> axis_label("channel.k_db")
    'Rician $K$ [dB]'
    >>> axis_label("channel.interferer.level_db")
    'Channel interferer level [dB]'
    """
    if labels and axis in labels:
        return labels[axis]
    if (last := axis.rsplit(".", 1)[-1]) in AXES:
        return AXES[last]
    words = axis.replace(".*.", " ").replace(".", " ").replace("_", " ").split()
    unit = UNITS.get(words[-1]) if len(words) > 1 else None
    text = " ".join(words[:-1] if unit else words)
    return text[:1].upper() + text[1:] + (f" [{unit}]" if unit else "")


def metric_label(metric: str, labels: Mapping[str, str] | None = None) -> str:
    """The label of a metric's column with its unit; a downward arrow where lower is better.

    A metric from outside the registry stands under its own name, unless ``labels`` has a better one.
    """
    if labels and metric in labels:
        return labels[metric]
    from semcom.metrics.base import quantity

    try:
        known = quantity(metric)
    except ScenarioError:
        return metric
    return f"{known.label} ↓" if known.better == "lower" else known.label
