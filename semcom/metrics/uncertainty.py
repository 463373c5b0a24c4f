"""Whether a receiver knows what it does not know: its map of uncertainty and its samples against the errors that it makes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field

from semcom.classes import VOID
from semcom.component import Component
from semcom.errors import DataError
from semcom.metrics.base import MetricDescription, Quantity, labels_fault, to_8bit
from semcom.metrics.evaluator import Evaluator
from semcom.metrics.ranking import auroc, rank_correlation
from semcom.models import segmenter
from semcom.protocols import Pair

torch = lazy.load("torch")

Event = Literal["large_errors", "new_errors", "changed_classes"]
#: the column whose tuned settings all share, where a scenario leaves some free
LEADER = "coverage_range"
SHARE = (0.0, 1.0)
LUMA = np.array([0.299, 0.587, 0.114])
#: how far around the samples' mean the truth is looked for, in their standard deviations
DEVIATIONS = 2.0


def _ranked(label: str) -> Quantity:
    return Quantity(f"AUROC for {label} (chance: 0.5)", "higher", tuned_with=LEADER, bounds=SHARE)


_AUROC = {
    "large_errors": _ranked("large errors"),
    "new_errors": _ranked("new errors"),
    "changed_classes": _ranked("changed classes"),
}
#: the same asked of the edges of the picture that is shown: what a receiver can say without any sample
EDGES = "_edges"
_OF_EDGES = {event: replace(quantity, label=quantity.label.replace("AUROC", "AUROC of edges")) for event, quantity in _AUROC.items()}
_OTHERS = {
    "large_errors": Quantity("Large errors, share of pixels", "lower", tuned_with=LEADER, bounds=SHARE),
    "uncertainty_correlation": Quantity("Rank correlation, uncertainty and error", "higher", tuned_with=LEADER, bounds=(-1.0, 1.0)),
    "coverage_range": Quantity("Truth within the samples' range, share", "higher", tuned_with=LEADER, bounds=SHARE),
    "coverage_2sd": Quantity("Truth within 2 deviations of the samples' mean", "higher", tuned_with=LEADER, bounds=SHARE),
    "diversity": Quantity("Difference between samples, share of peak", "lower", tuned_with=LEADER, bounds=SHARE),
}


class Uncertainty(MetricDescription):
    """Whether the uncertainty that a receiver shows predicts its errors, and its samples hold the truth.

    For receivers that hand over a map of uncertainty, or samples, beside their picture (`latent_diffusion` with `samples: 4`); a
    system without has no line. ``auroc_...`` is the chance that a pixel with such an error is less certain than one without: 0.5
    tells nothing, 1 tells all. It is taken over the pixels of one image, then averaged over images; an image without
    such an error, or with nothing else, has no value, and the table's note counts them. ``predicts`` names the errors:

    ``large_errors``: pixels further than ``large_error`` from the original (mean absolute difference over the three colours).
    ``new_errors``: of the pixels that the evaluator gets right on the original, those that it gets wrong now: what generation
    invents. ``changed_classes``: pixels of which it reads another class than on the original; needs no labels.

    Errors lie where there is detail, which any receiver sees in what it shows. ``auroc_..._edges`` is therefore the same with the
    gradient of the shown picture (Sobel, its luma) in place of uncertainty: what samples have to beat.

    ``large_errors`` is the share of such pixels, ``uncertainty_correlation`` Spearman's between uncertainty and absolute error.
    Of the samples, rounded to 8 bits: ``coverage_range`` is the share of values (pixels and colours) whose truth lies within
    their range; drawn from the true posterior, S samples hold (S - 1) / (S + 1) of them, .6 for four. ``coverage_2sd`` is the
    share within two deviations of their mean; for a Gaussian posterior P(|t| < 2 / sqrt(1 + 1/S)) with S - 1 degrees of freedom,
    .83 for four. Less than that is overconfidence. ``diversity`` is the mean absolute difference of two samples; at equal
    coverage less is better. A lost picture has no value in any of these.

    Shapes: pixels float32 [B, 3, H, W] in [0, 1], samples [B, S, 3, H, W], uncertainty [B, H, W] -> float64 [B] a column.
    Units: none; differences in shares of peak white. References: Hanley, McNeil 1982, AUROC; Gneiting, Balabdaoui,
    Raftery 2007, calibration before sharpness.

    Example::

        metric: {kind: uncertainty, large_error: 0.1, predicts: [large_errors, new_errors]}
    """

    kind: Literal["uncertainty"] = "uncertainty"
    COLUMNS: ClassVar = {
        **{f"auroc_{event}": quantity for event, quantity in _AUROC.items()},
        **{f"auroc_{event}{EDGES}": quantity for event, quantity in _OF_EDGES.items()},
        **_OTHERS,
    }

    large_error: float = Field(
        0.1, gt=0.0, lt=1.0, description="absolute difference above which a pixel's error is large, mean over colours, peak is 1"
    )
    predicts: tuple[Event, ...] = Field(
        ("large_errors", "new_errors"), min_length=1, description="errors of which the uncertainty is asked; an AUROC each"
    )
    evaluator: str = Field(
        "segmenter_evaluator", min_length=1, description="who reads classes: a name that ships, a folder, or a hub id"
    )

    @property
    def _reads(self) -> bool:
        return bool({"new_errors", "changed_classes"} & set(self.predicts))

    def quantities(self) -> Mapping[str, Quantity]:
        asked = [(f"auroc_{event}{end}", table[event]) for table, end in ((_AUROC, ""), (_OF_EDGES, EDGES)) for event in _AUROC if event in self.predicts]
        above = f"errors above {self.large_error:g}"
        said = lambda label: label.replace("large errors", above).replace("Large errors", above.capitalize())  # noqa: E731
        return {name: replace(quantity, label=said(quantity.label)) for name, quantity in [*asked, *_OTHERS.items()]}

    def available(self) -> str | None:
        reason = segmenter.missing(self.evaluator) if self._reads else None
        return f"{self.kind} is left out: {reason}" if reason else None

    def check_source(self, source: Component) -> str | None:
        if "new_errors" not in self.predicts:
            return None
        return labels_fault(source, "uncertainty finds new errors by", "ask for changed classes instead: `predicts: [large_errors, changed_classes]`")

    def identity(self) -> dict[str, Any]:
        """Parameters, version and, where classes are read, the digest of the evaluator in place of where it lies."""
        fields = {name: value for name, value in super().identity().items() if name != "evaluator"}
        return {**fields, "weights": segmenter.identity(self.evaluator) if self._reads else None}

    def build(self, device: torch.device | str = "cpu") -> UncertaintyScores:
        """Raises: WeightsError where the evaluator's weights are needed and absent or damaged."""
        evaluator = Evaluator.named(self.evaluator, device) if self._reads else None
        return UncertaintyScores(self, evaluator, segmenter.identity(self.evaluator) if self._reads else "")


class UncertaintyScores:
    """The prepared metric (`semcom.protocols.MapMetric`)."""

    #: received pictures have to come with what the receiver says of its own certainty
    wants_samples = True

    def __init__(self, how: Uncertainty, evaluator: Evaluator | None, digest: str):
        self.how, self.digest, self._evaluator = how, digest, evaluator
        self.columns = tuple(how.quantities())
        self.counts: tuple[str, ...] = ()
        self.fixed: frozenset[str] = frozenset()

    def of_maps(self, pair: Pair) -> Mapping[str, torch.Tensor]:
        """What the uncertainty and the samples of ``pair`` give, nan in rows where these are nan."""
        self._check(pair)
        found: dict[str, torch.Tensor] = {}
        if pair.uncertainty is not None:
            found |= self._foretold(pair)
        if pair.samples is not None:
            found |= _spread(pair.original, to_8bit(pair.samples))
        return found

    def _foretold(self, pair: Pair) -> dict[str, torch.Tensor]:
        error = (pair.reconstruction - pair.original.to(pair.reconstruction.device)).abs().mean(1).cpu().double().numpy()
        shown = pair.uncertainty.cpu().double().numpy()
        known, large = np.isfinite(shown).all((1, 2)), error > self.how.large_error
        everywhere = np.ones_like(large)
        events = {"large_errors": (large, everywhere), **(self._classes(pair, everywhere) if self._evaluator else {})}
        columns = {
            f"auroc_{event}{end}": [auroc(of[row][at[row]], positive[row][at[row]]) if known[row] else math.nan for row in range(len(of))]
            for end, of in (("", shown), (EDGES, _edges(pair.reconstruction)))
            for event, (positive, at) in events.items()
        }
        columns["large_errors"] = np.where(known, large.mean((1, 2)), math.nan)
        columns["uncertainty_correlation"] = [
            rank_correlation(shown[row].ravel(), error[row].ravel()) if known[row] else math.nan for row in range(len(shown))
        ]
        return {name: torch.as_tensor(np.asarray(values), dtype=torch.float64) for name, values in columns.items() if name in self.columns}

    def _classes(self, pair: Pair, everywhere: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Events of classes: where they are, and the pixels that are looked at, bool [B, H, W] each."""
        before, now = self._evaluator.of_originals(pair.original).numpy(), self._evaluator.labels(pair.reconstruction).numpy()
        events = {"changed_classes": (now != before, everywhere)}
        if pair.truth is not None:
            truth = pair.truth.cpu().numpy()
            events["new_errors"] = (now != truth, (truth < VOID) & (before == truth))
        return events

    def _check(self, pair: Pair) -> None:
        batch, colours, height, width = pair.original.shape
        given = {"map of uncertainty": (pair.uncertainty, (batch, height, width))}
        if pair.samples is not None:
            given["samples"] = (pair.samples, (batch, *pair.samples.shape[1:2], colours, height, width))
        for what, (value, wanted) in given.items():
            if value is not None and tuple(value.shape) != wanted:
                found = tuple(value.shape)
                raise DataError(f"uncertainty: the {what} is {found} and the original {tuple(pair.original.shape)}; expected {wanted}")
        if "new_errors" in self.how.predicts and pair.uncertainty is not None and pair.truth is None:
            raise DataError("uncertainty finds new errors by label maps, and these images have none; set `predicts: [large_errors, changed_classes]`")


def _edges(pixels: torch.Tensor) -> np.ndarray:
    """The strength of the gradient of pictures [B, 3, H, W], float64 [B, H, W] (Sobel, of ITU-R BT.601 luma)."""
    from scipy.ndimage import sobel

    luma = np.tensordot(LUMA, pixels.cpu().double().numpy(), axes=(0, 1))
    return np.hypot(sobel(luma, axis=1), sobel(luma, axis=2))


def _spread(original: torch.Tensor, samples: torch.Tensor) -> dict[str, torch.Tensor]:
    """Coverage and diversity of samples [B, S, 3, H, W]; one sample has neither."""
    samples, truth = samples.double(), original.to(samples.device).double()
    count = samples.shape[1]
    if count < 2:
        return {}
    within = (samples.amin(1) <= truth) & (truth <= samples.amax(1))
    near = (truth - samples.mean(1)).abs() <= DEVIATIONS * samples.std(1)
    # the sum of |x_i - x_j| over pairs, from ordered samples
    weights = (2 * torch.arange(count, device=samples.device) - count + 1).double()[None, :, None, None, None]
    pairs = count * (count - 1) / 2
    values = {"coverage_range": within.double(), "coverage_2sd": near.double(), "diversity": (samples.sort(1).values * weights).sum(1) / pairs}
    lost = samples.isnan().flatten(1).any(1)
    return {name: torch.where(lost, math.nan, value.mean((1, 2, 3))).cpu() for name, value in values.items()}
