"""Keeping what panels show of a batch: originals, reconstructions, and the label maps of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader as lazy

from semcom.classes import NAMES
from semcom.metrics.base import to_8bit
from semcom.store.labels import evaluator_map, write_labels
from semcom.store.layout import Layout
from semcom.store.writer import write_picture, write_plane
from semcom.sweep.measure import Doubts
from semcom.sweep.plan import Row, source_key
from semcom.types import ImageBatch

if TYPE_CHECKING:
    import numpy as np

    from semcom.metrics.semantic import SemanticScores

torch = lazy.load("torch")

#: samples that are kept: as many as a figure has room for
SAMPLES = 3


def keep_original(layout: Layout, row: Row, image: ImageBatch, evaluator: SemanticScores | None) -> None:
    """The original (a batch of one), its true classes where they are those of `semcom.classes`, and what the evaluator reads in it."""
    source, name = row.unit.source, row.image.id
    write_picture(layout.original(source_key(source), name), _codes(image.pixels[0]))
    folder = layout.originals(source_key(source))
    labelled = getattr(source, "LABELLED", ())
    if image.labels is not None and labelled and set(labelled) <= set(NAMES):
        write_labels(layout.label_map(folder, name, "truth"), image.labels[0].cpu().numpy())
    if evaluator is not None:
        seen = evaluator.of_originals(image.pixels)[0]
        write_labels(layout.label_map(folder, name, evaluator_map(evaluator.digest)), seen.numpy())


def keep_reconstruction(
    layout: Layout, row: Row, pixels: torch.Tensor, received: torch.Tensor | None, doubts: Doubts, evaluator: SemanticScores | None
) -> None:
    """A picture [3, H, W] that arrived, what came with it, where anything did: a label map [H, W], a few samples [S, 3, H, W] and
    their uncertainty [H, W]; and what the evaluator reads in it."""
    unit, name = row.unit.id, row.image.id
    write_picture(layout.picture(unit, name), _codes(pixels))
    if received is not None:
        write_labels(layout.label_map(unit, name, "received"), received.cpu().numpy())
    for number, sample in enumerate(() if doubts.samples is None else doubts.samples[:SAMPLES], 1):
        write_picture(layout.sample(unit, name, number), _codes(sample))
    if doubts.uncertainty is not None:
        write_plane(layout.uncertainty(unit, name), doubts.uncertainty.cpu().numpy())
    if evaluator is not None:
        write_labels(layout.label_map(unit, name, "evaluator"), evaluator.labels(to_8bit(pixels[None]))[0].numpy())


def _codes(pixels: torch.Tensor) -> np.ndarray:
    return (pixels * 255.0).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
