"""A results folder as a sweep of label maps leaves it: a map that arrives or does not, one that degrades, one that is never sent."""

import json

import numpy as np
import pandas as pd

from semcom.classes import COLOURS, NAMES, UNKNOWN, VOID
from semcom.figures.errors import NEW, REPAIRED, error_map
from semcom.store.labels import evaluator_map, write_labels
from semcom.store.layout import Layout
from semcom.store.writer import write_json, write_picture, write_rows

H, W = 64, 128
IMAGE, SOURCE, DIGEST = "0016E5_07959", "source", "0123456789abcdef0123"
SNR = (-5.0, 0.0, 5.0, 10.0, 15.0, 20.0)
SYSTEMS = {"digital map": "segmentation_map", "true map": "oracle_map", "analog map": "segmentation_map", "AVIF + LDPC": "image_codec"}
CLIFF = 2.0
METRICS = ("miou", "miou_received", "new_errors", "repaired_errors")


def truth() -> np.ndarray:
    """A street of all classes."""
    y, x = np.mgrid[:H, :W] / np.array([H, W])[:, None, None]
    labels = np.full((H, W), NAMES.index("sky"))
    for name, here in {
        "building": (y > 0.12 + 0.5 * np.abs(x - 0.5)) & (y < 0.62),
        "tree": (x > 0.72) & (y > 0.1) & (y < 0.58),
        "road": y > 0.56 + 0.12 * np.abs(x - 0.45),
        "pavement": (y > 0.6) & (x > 0.55 + 0.75 * (1.0 - y)),
        "fence": (y > 0.5) & (y < 0.62) & (x > 0.75),
        "pole": (np.abs(x - 0.3) < 0.008) & (y > 0.1) & (y < 0.72),
        "sign": (np.abs(x - 0.3) < 0.03) & (np.abs(y - 0.2) < 0.06),
        "car": (np.abs(x - 0.48) < 0.11) & (y > 0.5) & (y < 0.74),
        "pedestrian": (np.abs(x - 0.86) < 0.018) & (y > 0.46) & (y < 0.84),
        "bicyclist": (np.abs(x - 0.2) < 0.028) & (y > 0.46) & (y < 0.8),
        "void": y > 0.94,
    }.items():
        labels[here] = VOID if name == "void" else NAMES.index(name)
    return labels


def mistaken(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Another class in blobs that cover about a ``share`` of the map."""
    rng, result = np.random.default_rng(seed), labels.copy()
    y, x = np.mgrid[:H, :W]
    while np.mean(result != labels) < share:
        r = rng.integers(2, 9)
        here = (y - rng.integers(H)) ** 2 + (x - rng.integers(W)) ** 2 < r * r
        result[here] = rng.integers(len(NAMES))
    return result


def picture(labels: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    colours = np.array(COLOURS, float)[np.minimum(labels, VOID)]
    return np.clip(colours * 0.7 + 60 + np.random.default_rng(seed).normal(0, noise, (H, W, 3)), 0, 255).astype(np.uint8)


def points() -> pd.DataFrame:
    """The table of points: pooled mIoU of the reconstruction and of the received map, new and repaired errors."""
    rows = []
    for number, (system, kind) in enumerate(SYSTEMS.items()):
        for metric in METRICS:
            if metric == "miou_received" and kind == "image_codec":
                continue
            for snr in SNR:
                rows.append(_point(system, metric, snr, *_value(number, system, metric, snr)))
    return pd.DataFrame(rows)


def _value(number: int, system: str, metric: str, snr: float) -> tuple[float, float]:
    """A mean, and half its interval."""
    arrived = 1 / (1 + np.exp(-3 * (snr - CLIFF))) if "analog" not in system else 1 / (1 + np.exp(-0.2 * (snr - 3)))
    top = {"digital map": 0.47, "true map": 0.62, "analog map": 0.44, "AVIF + LDPC": 0.5}[system]
    if metric.startswith("miou"):
        return 0.03 + (top + 0.06 * metric.endswith("received") - 0.03) * arrived, 0.02 + 0.004 * number
    return (0.42 - (0.36 + 0.01 * number) * arrived, 0.015) if metric == "new_errors" else (0.01 + (0.05 if "true" in system else 0.012) * arrived, 0.004)


def _point(system, metric, snr, mean, half) -> dict:
    original = 0.53 if metric.startswith("miou") else np.nan
    return {
        "system": system, "snr_db": snr, "metric": metric, "fill": "grey", "mean": mean, "low": max(mean - half, 0.0), "high": mean + half,
        "method": "cluster bootstrap", "note": "", "n_images": 101, "n_clusters": 17, "n_repeats": 1, "failures": 0, "failure_rate": 0.0,
        "mean_given_success": mean, "worst_tenth": mean, "original": original, "original_low": original - 0.03,
        "original_high": original + 0.03, "relative": mean / original, "relative_low": np.nan, "relative_high": np.nan, "role": "system",
        "channel_uses": 4096,
    }  # fmt: skip


def classes() -> pd.DataFrame:
    """The points of each class; signs are in no picture."""
    shares = dict(zip(NAMES, (0.9, 0.75, 0.2, 0.92, 0.7, 0.68, np.nan, 0.31, 0.6, 0.24, 0.35), strict=True))
    rows = []
    for point in points().query("metric in ('miou', 'miou_received')").to_dict("records"):
        for name, original in shares.items():
            mean = original * min(1.0, point["mean"] / 0.5)
            half = 0.05 if original > 0.5 else 0.09
            rows.append({**point, "class": name, "mean": mean, "low": max(0.0, mean - half), "high": mean + half, "original": original})
    return pd.DataFrame(rows).drop(columns=["failures", "failure_rate", "mean_given_success", "worst_tenth", "original_low", "original_high"])


def results(root, labels: bool = True, snr=SNR) -> Layout:
    """The folder of a sweep over ``snr``. Without ``labels`` the source has none."""
    layout, true, seen = Layout(root), truth(), None
    seen = mistaken(true, 0.12, 1)
    seen[true == VOID] = NAMES.index("road")
    entries, rows = [], []
    write_picture(layout.original(SOURCE, IMAGE), picture(true, 12))
    if labels:
        write_labels(layout.label_map(layout.originals(SOURCE), IMAGE, "truth"), true)
    write_labels(layout.label_map(layout.originals(SOURCE), IMAGE, evaluator_map(DIGEST)), seen)
    for number, (system, kind) in enumerate(SYSTEMS.items()):
        for at in snr:
            unit = f"{number}{SNR.index(at)}"
            entries.append({"system": system, "role": "system", "snr_db": at, "values": {"snr_db": at}, "unit": {"miou": unit}, "settings": {}})
            ok = "analog" in system or at > CLIFF
            share = 0.01 if "true" in system else 0.05 if "analog" not in system else 0.03 + 0.35 / (1 + np.exp(0.25 * at))
            received = mistaken(np.where(true == VOID, NAMES.index("road"), true), share, number)
            if system == "digital map" and at < 8:
                received[H // 2 :, : W // 4] = UNKNOWN
            now = np.where(np.random.default_rng(number).random((H // 8, W // 8)).repeat(8, 0).repeat(8, 1) < 0.8, seen, received)
            now = mistaken(np.where(now == UNKNOWN, 1, now), 0.04 if "true" not in system else 0.01, int(at) + 50)
            row = {"unit": unit, "image": IMAGE, "digest": "d", "repeat": 0, "cluster": "c", "snr_db": at, "status": "done", "ok": ok}
            row |= {"miou_image": 0.41, "miou_image_of_original": 0.5}
            for suffix, judged in (("", now), ("_received", received)):
                kinds = error_map(true, seen, judged)[true < VOID]
                row |= {f"new_errors{suffix}": np.mean(kinds == NEW), f"repaired_errors{suffix}": np.mean(kinds == REPAIRED)}
            row |= {"miou_image_received": 0.6 if kind != "image_codec" else np.nan}
            rows.append(row)
            if ok:
                write_picture(layout.picture(unit, IMAGE), picture(now, 30 - at, number))
                write_labels(layout.label_map(unit, IMAGE, "evaluator"), now)
            if ok and kind != "image_codec":
                write_labels(layout.label_map(unit, IMAGE, "received"), received)
    write_rows(layout.batches / "batch.parquet", pd.DataFrame(rows))
    write_json(layout.plan, plan(entries))
    layout.scenario.write_text("name: maps\n")
    return layout


def plan(entries) -> dict:
    quantities = {
        "miou": ("mIoU", "higher", "miou_image"), "miou_received": ("mIoU, received map", "higher", "miou_image_received"),
        "new_errors": ("New errors, share of pixels", "lower", ""), "repaired_errors": ("Repaired errors, share of pixels", "higher", ""),
    }  # fmt: skip
    return json.loads(json.dumps({
        "axes": ["snr_db"], "metrics": list(METRICS), "entries": entries, "repeats": 1,
        "quantities": {name: {"label": label, "better": better, "image": image} for name, (label, better, image) in quantities.items()},
        "units": {unit: {"transmit": {"kind": SYSTEMS[entry["system"]]}} for entry in entries for unit in entry["unit"].values()},
        "source_of": {unit: SOURCE for entry in entries for unit in entry["unit"].values()},
        "images": {SOURCE: [{"id": IMAGE, "cluster": "c", "digest": "d"}]},
        "classes": {SOURCE: {"names": list(NAMES), "scored": list(NAMES)}},
        "evaluators": [{"metric": "semantic", "name": "segmenter_evaluator", "digest": DIGEST}],
        "figures": {"curves": {"axis": "snr_db", "lines": "systems", "metrics": []}, "panel": {}, "classes": {}},
    }))  # fmt: skip
