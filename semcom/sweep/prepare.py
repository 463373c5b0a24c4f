"""What a sweep needs before it is planned: the device, prepared metrics, and which metrics cannot be had."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from semcom.errors import ScenarioError, WeightsError
from semcom.metrics.base import quantities as quantities_of
from semcom.scenario.identity import canonical, digest
from semcom.scenario.systems import ROLES
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
    """Raises: ScenarioError where no metric can be measured, or for a GPU that is not there; WeightsError where a
    system needs weights that are not there."""
    device, points = resolve_device(device), scenario.points()
    check_available(spec for point in points for spec in point.systems)
    sizes = sorted({point.source.size for point in points})
    usable, absent = [], {}
    for metric in scenario.metrics:
        reasons = (metric.available(), *(metric.check(size) for size in sizes))
        reason = next(filter(None, reasons), None)
        if reason:
            absent.update(dict.fromkeys(quantities_of(metric), reason))
        else:
            usable.append(metric)
    if not usable:
        raise ScenarioError("no metric of this scenario can be measured here: " + " ".join(absent.values()))
    built = [metric.build(device) for metric in usable]
    identity = digest([[metric.identity(), getattr(made, "digest", "")] for metric, made in zip(usable, built, strict=True)])
    quantities = {column: quantity for metric in usable for column, quantity in quantities_of(metric).items()}
    return Prepared(Workshop(device), Measure(built, quantities), identity, absent)


def check_available(specs: Iterable[Any]) -> None:
    """WeightsError with the first system that needs what is not on this machine."""
    seen: set[str] = set()
    for spec in specs:
        key = canonical([spec.name, spec.parts])
        if key in seen:
            continue
        seen.add(key)
        first = {path: candidates[0] for path, candidates in spec.tuned.items()}
        choices = [{**first, path: candidate} for path, candidates in spec.tuned.items() for candidate in candidates] or [{}]
        for choice in choices:
            system = spec.resolve(choice)
            for role in ROLES:
                look = getattr(getattr(system, role), "available", None)  # a plugin need not be a Component
                if look and (reason := look()):
                    raise WeightsError(f"systems.{spec.name}.{role}: {reason}")


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

