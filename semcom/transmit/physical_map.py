"""A segmenter's label map as real numbers, straight onto the channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field

from semcom.component import Component
from semcom.errors import ScenarioError
from semcom.maps import planes, spectrum, transform
from semcom.maps.received import PART
from semcom.maps.segmented import NamedSegmenter
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.types import Budget, ImageBatch, Message, Reals

torch = lazy.load("torch")

FREE = {
    "dct": "label maps: how frequent each class is and how its variance falls with frequency, of training maps; a map's typical power",
    "planes": "label maps: how frequent each class is, of training maps; a map's typical power",
}


class AnalogMap(Component):
    """What transmitters of label maps as real numbers have in common."""

    CARRIES: ClassVar[frozenset[str]] = frozenset({"reals"})
    PARTS: ClassVar[frozenset[str]] = frozenset({PART})

    code: Literal["dct", "planes"] = Field(
        "dct", description="DCT coefficients of uncorrelated components of the class planes, or the planes on a coarse grid"
    )
    reals: int | None = Field(
        None, ge=1, description="real numbers that are sent, at most; the link repeats fewer (`fill: repeat`); as many as fit if left out"
    )

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "statistics": spectrum.statistics_digest()}


class PhysicalMap(AnalogMap, NamedSegmenter):
    """A segmenter's label map as an analog message of the power and the channel uses of any other system.

    A map is 11 planes, 1 where a class is and 0 elsewhere, less the mean of each class; void is not sent. Two codes, both
    linear, both at unit RMS per picture:

    `dct` weighs rare classes up by mean^(-1/4), turns the planes into ten uncorrelated components, and sends the DCT
    coefficients of the components in order of importance, with power in proportion to their standard deviation. The
    receiver knows the statistics of training maps, shrinks each coefficient by what the noise leaves of it, and takes the
    posterior of each pixel.

    `planes` averages the planes over the cells of a coarse grid: 19x39 cells in the 8192 reals of 4096 channel uses (12
    planes would be 18x37). Plain, and worse at every SNR: of true maps at 128x256 over AWGN, mean IoU [%] of the map as
    received (every second of CamVid's tuning frames):

        k               4096               1024               256
        SNR [dB]        0     5     10     0     5     10     0     5     10
        planes          65    70    71     54    59    60     39    44    44
        dct             81    84    86     69    73    75     54    60    61

    Neither depends on the SNR and neither has side information: what a picture's planes had as power before they were
    normalised is not told. The receiver counts on a typical value; telling it for free changed the mean IoU by at most
    0.007.

    Part: ``map``, reals. Shapes: [B, D], D at most the budget's reals. Units: mean square 1 per picture.
    References: Jakubczak and Katabi 2011, the power allocation.

    Example::

        transmit: {kind: physical_map, code: dct, segmenter: segmenter_transmitter}
    """

    kind: Literal["physical_map"] = "physical_map"

    def build(self, context: Context) -> AnalogMapTransmitter:
        return AnalogMapTransmitter(self, self.maps(context.device), context.device)


class AnalogMapTransmitter:
    """A prepared `semcom.protocols.Transmitter`; ``maps`` gives the label map int64 [B, H, W] of each picture."""

    side_bits = 0
    adapts_to_snr = False

    def __init__(self, description: AnalogMap, maps: Callable[[ImageBatch], torch.Tensor], device: str):
        self.kind, self.code, self.most = description.kind, description.code, description.reals
        self._maps, self._device = maps, device

    def encode(self, images: ImageBatch, budget: Budget, streams: Streams) -> Message:
        reals = budget.part(PART).reals
        if reals is None:
            raise ScenarioError(f"transmit: {self.kind} sends real numbers and its link carries bits; use `link: {{kind: analog}}`")
        part, reason = self._part(self._maps(images), reals if self.most is None else min(reals, self.most))
        return Message(
            parts={PART: part},
            budget=budget,
            image_size=images.size,
            infeasible=(reason,) * len(images) if reason else (),
            free=(FREE[self.code],),
        )

    def _part(self, labels: torch.Tensor, reals: int) -> tuple[Reals, str | None]:
        """The part, or the smallest that there is and why it cannot be sent."""
        encode = {"dct": transform.encode, "planes": planes.encode}[self.code]
        made = encode(labels, reals, self._device)
        if made is not None:
            return made, None
        smallest = encode(labels, spectrum.PLANES, self._device)
        return smallest, f"{self.kind}: its smallest grid is {spectrum.PLANES} reals, one cell, and {reals} may be sent"
