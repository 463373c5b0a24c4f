"""What a sweep needs before it is planned: the device, prepared metrics, and which metrics cannot be had."""

from __future__ import annotations

from dataclasses import dataclass

from semcom.errors import ScenarioError
from semcom.scenario.identity import digest
from semcom.sweep.measure import Measure
from semcom.sweep.workshop import Workshop


@dataclass(frozen=True)
class Prepared:
    """``absent`` maps the columns of metrics that cannot be measured to what to do about it."""

    workshop: Workshop
    measure: Measure
    metric_identity: str  # with the digests of weights
    absent: dict[str, str]


def prepare(scenario, device: str) -> Prepared:
    """Raises: ScenarioError where no metric can be measured, or for a GPU that is not there."""
    device = resolve_device(device)
    sizes = sorted({point.source.size for point in scenario.points()})
    usable, absent = [], {}
    for metric in scenario.metrics:
        reasons = (metric.available(), *(metric.check(size) for size in sizes))
        reason = next(filter(None, reasons), None)
        if reason:
            absent.update(dict.fromkeys(metric.COLUMNS, reason))
        else:
            usable.append(metric)
    if not usable:
        raise ScenarioError("no metric of this scenario can be measured here: " + " ".join(absent.values()))
    built = [metric.build(device) for metric in usable]
    identity = digest([[metric.identity(), getattr(made, "digest", "")] for metric, made in zip(usable, built, strict=True)])
    quantities = {column: quantity for metric in usable for column, quantity in metric.COLUMNS.items()}
    return Prepared(Workshop(device), Measure(built, quantities), identity, absent)


def resolve_device(device: str) -> str:
    """"auto" is the GPU if there is one; an absent GPU that was asked for is an error."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        number = int(device.partition(":")[2] or 0)
        if number >= torch.cuda.device_count():
            raise ScenarioError(
                f"device '{device}' was asked for and torch sees {torch.cuda.device_count()} GPUs; use --device cpu or --device auto"
            )
    return device

