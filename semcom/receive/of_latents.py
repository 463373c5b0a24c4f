"""Base of the receivers whose network was trained on an autoencoder's latents, with a label map beside them or in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from semcom.component import Component
from semcom.errors import ScenarioError, WeightsError
from semcom.latents.coder import LatentCoder, coder
from semcom.latents.named import NamedAutoencoder
from semcom.models import storage
from semcom.models.shipped import Shipped

if TYPE_CHECKING:
    from torch import nn


class OfLatents(NamedAutoencoder):
    """A description with fields ``weights`` and ``map``: whose network they are, and whether it is of the autoencoder that is named."""

    #: class of the network, and the recipe that trains one
    NETWORK: ClassVar[str]
    RECIPE: ClassVar[str]
    #: whether the network was trained with the autoencoder's decoder, so that another decoder does not do
    USES_DECODER: ClassVar[bool] = False

    def fits(self, transmit: Component) -> str | None:
        if isinstance(transmit, NamedAutoencoder):
            return self.same_autoencoder(transmit)
        return f"receive '{self.kind}' ignores the map, and nothing else is sent; leave `map: ignore` out" if self.map == "ignore" else None

    def available(self) -> str | None:
        try:
            self._source().file()
        except WeightsError as error:
            return str(error)
        return super().available()

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "weights": self._source().identity()}

    def loaded(self, device: str) -> tuple[LatentCoder, nn.Module]:
        """The autoencoder and the network. Raises: WeightsError; ScenarioError where the two do not belong together."""
        made, source = coder(self.pretrained, device), self._source()
        network, of = source.load(device), source.facts().get("of", {})
        there = {"encoder": made.encoder} | ({"decoder": storage.digest(made.file)} if self.USES_DECODER else {})
        if made.side_bits or network.channels != made.channels or any(of.get(part, sha) != sha for part, sha in there.items()):
            name = of.get("name", "another autoencoder")
            raise ScenarioError(
                f"receive: {self.kind} has weights '{self.weights}', which are of the latents of '{name}', and names the "
                f"autoencoder '{self.autoencoder}'; train others for it ({self.RECIPE}), or name that one"
            )
        return made, network

    def _source(self) -> Shipped:
        return Shipped(self.weights, self.NETWORK)
