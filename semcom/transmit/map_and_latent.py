"""A label map as bits beside latents as real numbers, in one message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

from semcom.errors import ScenarioError
from semcom.latents.named import NamedAutoencoder
from semcom.maps.received import PART
from semcom.maps.segmented import NamedSegmenter
from semcom.maps.transmitted import CodedMap, CodedMapTransmitter
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.transmit.segmentation_map import SegmentationMap
from semcom.transmit.vae_latent import LatentTransmitter, VaeLatent
from semcom.types import Budget, ImageBatch, Message

LATENT = "latent"


class MapWithLatent(VaeLatent):
    """What transmitters of both have in common: which part is what, and how the two messages become one."""

    CARRIES: ClassVar[frozenset[str]] = frozenset({"bits", "reals"})
    PARTS: ClassVar[frozenset[str]] = frozenset({PART, LATENT})
    KINDS: ClassVar[Mapping[str, str]] = {PART: "bits", LATENT: "reals"}

    @classmethod
    def choices(cls, field: str) -> tuple[Any, ...]:
        return VaeLatent.choices(field) or CodedMap.choices(field)

    def both(self, maps: CodedMapTransmitter, context: Context) -> MapAndLatentTransmitter:
        return MapAndLatentTransmitter(self.kind, maps, VaeLatent.build(self, context))


class MapAndLatent(MapWithLatent, SegmentationMap):
    """A segmenter's label map as bits and an autoencoder's latents as real numbers, which share one budget.

    Part ``map`` is what `segmentation_map` sends, the finest map that the bits of its share hold, and part ``latent`` what
    `vae_latent` sends over its own; their fields are those of these two. Link `parts` shares out channel uses and power:
    ``uses`` and ``boost_db`` of the map, the latent has the rest. These, ``channels``, and what the receiver makes of
    both can be tuned together (``{best_of: [...]}``, ``channels: auto``); `link: {kind: adaptive, told: false}` takes the
    scheme of the map from the average SNR by itself.

    The parts are lost one by one: without its map a picture is that of the latent, without its latent that of the map. A
    picture whose simplest map does not fit sends none (an empty part, its share stays charged as padding); a grant that
    holds no channel of latents is infeasible. Receivers of `segmentation_map` take the map alone, those of `vae_latent` the latent
    alone, and generative ones both.

    Parts: ``map``, bits, and ``latent``, reals [B, channels h w]. Cost and units are those of the two.

    Example::

        transmit: {kind: map_and_latent, channels: 4, segmenter: segmenter_transmitter}
    """

    kind: Literal["map_and_latent"] = "map_and_latent"

    def available(self) -> str | None:
        return NamedSegmenter.available(self) or NamedAutoencoder.available(self)

    def build(self, context: Context) -> MapAndLatentTransmitter:
        return self.both(SegmentationMap.build(self, context), context)


class MapAndLatentTransmitter:
    """A prepared `semcom.protocols.Transmitter`."""

    def __init__(self, kind: str, maps: CodedMapTransmitter, latents: LatentTransmitter):
        self._kind, self._maps, self._latents = kind, maps, latents
        self.side_bits, self.adapts_to_snr = latents.side_bits, latents.adapts_to_snr

    def encode(self, images: ImageBatch, budget: Budget, streams: Streams) -> Message:
        if {PART, LATENT} - dict(budget.parts).keys():
            raise ScenarioError(
                f"transmit {self._kind} makes bits and real numbers and its link is one for all parts; give each its own with "
                "`link: {kind: parts, parts: {map: {link: {kind: digital}, uses: 1/4}, latent: {link: analog, uses: rest}}}`"
            )
        seen = self._maps.encode(images, budget, streams)
        made = self._latents.encode(images, budget, streams)
        return replace(
            made,
            parts={PART: seen.parts[PART], **made.parts},
            free=tuple(dict.fromkeys((*seen.free, *made.free))),
        )
