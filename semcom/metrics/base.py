"""What every metric shares: its columns, the 8-bit rounding, and one number an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import lazy_loader as lazy

from semcom import registry
from semcom.classes import NAMES
from semcom.component import Component
from semcom.errors import DataError, ScenarioError, allowed
from semcom.protocols import MapMetric, Metric, Pair

torch = lazy.load("torch")


@dataclass(frozen=True)
class Quantity:
    """How a column is shown: ``label`` for an axis, with its unit, and which direction is ``better``.

    A pooled quantity has no value a row: it is the mean IoU of ``counts``, a column of confusion counts, summed over images;
    ``image`` is then the column with each image's own value. ``original`` is the column (of counts, where it is pooled) that
    says the same of the original itself, where that is not known beforehand. ``tuned_with``: the quantity whose tuned
    settings it shares; its own if empty. ``bounds``: what it cannot be below and above, nor its interval, None where there is no
    such bound. ``event``: each row's value is 0 or 1, and the mean a probability.
    """

    label: str
    better: Literal["higher", "lower"]
    counts: str = ""
    image: str = ""
    original: str = ""
    tuned_with: str = ""
    bounds: tuple[float | None, float | None] = (None, None)
    event: bool = False


#: rates that tables compute from the links' counts, never from averages of rates
RATES: Mapping[str, Quantity] = {
    "ber_raw": Quantity("Raw BER", "lower"),
    "ber": Quantity("BER", "lower"),
    "bler": Quantity("BLER", "lower"),
    "fer": Quantity("FER", "lower"),
    "failure_rate": Quantity("Failure rate", "lower"),
}


def quantity(column: str, metrics: Iterable[object] = ()) -> Quantity:
    """Label and direction of any column of a results table, with or without its ``@prior``.

    ``metrics`` are the scenario's metric descriptions, needed only for those from outside the registry.
    Raises: ScenarioError with the nearest name for a column that nothing fills.

    >>> quantity("psnr@prior")
    Quantity(label='PSNR [dB]', better='higher')
    """
    name = column.removesuffix("@prior")
    known = dict(RATES)
    for metric in metrics:
        known.update(metric.COLUMNS)
    if name not in known:
        # the kind of that name first: most columns are named as their metric, and no other need be imported then
        for kind in sorted(registry.kinds("metric"), key=lambda kind: kind != name):
            known.update(registry.find("metric", kind).COLUMNS)
            if name in known:
                break
    if name not in known:
        raise ScenarioError(f"no metric fills a column '{column}'; {allowed(name, known)}")
    return known[name]


class MetricDescription(Component):
    """Base of the descriptions of metrics. ``COLUMNS`` names what it can measure; ``build(device)`` prepares it."""

    COLUMNS: ClassVar[Mapping[str, Quantity]] = {}

    def quantities(self) -> Mapping[str, Quantity]:
        """Those of ``COLUMNS`` that these parameters ask for."""
        return self.COLUMNS

    def available(self) -> str | None:
        """None, or one sentence that says why this metric cannot run here and what to do."""
        return None

    def check(self, size: tuple[int, int]) -> str | None:
        """None, or one sentence that says why images of ``size`` (H, W) cannot be measured."""
        return None

    def check_source(self, source: Component) -> str | None:
        """None, or one sentence that says why images of a source (its description) cannot be measured."""
        return None


@dataclass(frozen=True)
class PerImage:
    """A prepared metric of one column: (original, reconstruction) -> {column: float64 [B] on the CPU}.

    ``measure`` maps two batches float32 [B, 3, H, W] in [0, 1] on ``device`` to float64 [B], each image by
    itself. ``check`` is the description's. ``digest`` identifies the weights, empty where there are none.
    """

    column: str
    measure: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    device: torch.device | str = "cpu"
    check: Callable[[tuple[int, int]], str | None] = lambda size: None
    digest: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def __call__(self, original: torch.Tensor, reconstruction: torch.Tensor) -> Mapping[str, torch.Tensor]:
        if original.shape != reconstruction.shape or original.ndim != 4 or original.shape[1] != 3:
            raise DataError(
                f"{self.column}: originals are {tuple(original.shape)} and reconstructions {tuple(reconstruction.shape)}; "
                "expected two equal shapes [B, 3, H, W]"
            )
        reason = self.check(tuple(original.shape[2:]))
        if reason is not None:
            raise DataError(reason)
        if len(original) == 0:
            return {self.column: torch.zeros(0, dtype=torch.float64)}
        with torch.no_grad():
            values = self.measure(original.to(self.device), reconstruction.to(self.device))
        return {self.column: values.to("cpu", torch.float64)}


def labels_fault(source: object, why: str, instead: str) -> str | None:
    """None where a source (its description) has label maps in `semcom.classes`; else one sentence: ``why`` they are needed, what
    the source has, and what to do ``instead``."""
    labelled, kind = getattr(source, "LABELLED", ()), getattr(source, "kind", type(source).__name__)
    if not labelled:
        return f"{why} label maps, and source '{kind}' has none; {instead}"
    other = [name for name in labelled if name not in NAMES]
    return f"{why} labels of {', '.join(NAMES)}, and source '{kind}' labels other classes ({', '.join(other[:3])}, ...); {instead}" if other else None


def to_8bit(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels on the 256 levels of an 8-bit picture, still float32 in [0, 1]: what every reconstruction goes
    through before it is measured. Originals are pictures on these levels already and stay as they are."""
    levels = torch.full((), 255.0, dtype=pixels.dtype, device=pixels.device)  # a tensor: CUDA multiplies by 1/255 for a number
    return (pixels.clamp(0.0, 1.0) * levels).round() / levels


def quantities(metric: object) -> Mapping[str, Quantity]:
    """What a metric's description fills; of one from outside, which may be no MetricDescription, all its COLUMNS."""
    return metric.quantities() if hasattr(metric, "quantities") else metric.COLUMNS


def evaluate(metrics: Iterable[Metric | MapMetric], pair: Pair) -> dict[str, torch.Tensor]:
    """All columns and counts of some prepared metrics, after the one rounding of the reconstructions to 8 bits."""
    pair = replace(pair, reconstruction=to_8bit(pair.reconstruction))
    values: dict[str, torch.Tensor] = {}
    for metric in metrics:
        found = metric.of_maps(pair) if hasattr(metric, "of_maps") else metric(pair.original, pair.reconstruction)
        values.update(found)
    return values
