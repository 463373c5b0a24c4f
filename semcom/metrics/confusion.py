"""Confusion counts of label maps, image by image, and what follows from one image's counts.

Counts are int64 [B, K, K + 1]: rows are the class in the reference, columns the predicted one; the last column is a prediction
of no class (void, or unknown at the receiver), which is always wrong. A pixel whose reference is no class is not counted.
"""

from __future__ import annotations

import lazy_loader as lazy

torch = lazy.load("torch")


def confusion(reference: torch.Tensor, predicted: torch.Tensor, classes: int) -> torch.Tensor:
    """Confusion counts int64 [B, K, K + 1] of two maps int64 [B, H, W] of 0 to K - 1; any other number is no class.

    >>> confusion(torch.tensor([[[0, 1, 2]]]), torch.tensor([[[0, 255, 1]]]), 2).tolist()
    [[[1, 0, 0], [0, 0, 1]]]
    """
    counted = (reference >= 0) & (reference < classes)
    column = torch.where((predicted >= 0) & (predicted < classes), predicted, classes)
    return _histogram(counted, reference * (classes + 1) + column, classes * (classes + 1)).reshape(-1, classes, classes + 1)


def errors(
    truth: torch.Tensor, before: torch.Tensor, now: torch.Tensor, classes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(new, repaired) int64 [B, K] by true class: right in the map ``before`` and wrong ``now``, and the other way round."""
    counted = (truth >= 0) & (truth < classes)
    was_right, is_right = before == truth, now == truth
    new, repaired = counted & was_right & ~is_right, counted & ~was_right & is_right
    return _histogram(new, truth, classes), _histogram(repaired, truth, classes)


def invented(truth: torch.Tensor, before: torch.Tensor, now: torch.Tensor, classes: int) -> torch.Tensor:
    """The new errors of `errors` by the class that is seen ``now``, int64 [B, K]; one that is not known has no class."""
    counted = (truth >= 0) & (truth < classes) & (before == truth) & (now != truth) & (now >= 0) & (now < classes)
    return _histogram(counted, now, classes)


def pixel_accuracy(counts: torch.Tensor) -> torch.Tensor:
    """Share of counted pixels that are right, float64 [B]; nan where none is counted."""
    return _right(counts).sum(1) / counts.sum((1, 2)).double()


def mean_iou(counts: torch.Tensor) -> torch.Tensor:
    """Mean over the classes in the reference of intersection over union, float64 [B]; nan for a reference without classes."""
    right, true = _right(counts), counts.sum(2).double()
    union = true + counts[:, :, :-1].sum(1) - right
    present = true > 0
    each = torch.where(present, right / union.clamp(min=1), 0.0)
    return each.sum(1) / present.sum(1)


def _right(counts: torch.Tensor) -> torch.Tensor:
    return torch.diagonal(counts, dim1=1, dim2=2).double()


def _histogram(counted: torch.Tensor, value: torch.Tensor, size: int) -> torch.Tensor:
    """How often each value 0 to size - 1 is counted in each image, int64 [B, size]."""
    place = torch.arange(len(value), device=value.device)[:, None, None] * size + value
    return torch.bincount(place[counted], minlength=len(value) * size).reshape(len(value), size)
