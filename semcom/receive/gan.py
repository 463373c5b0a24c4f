"""A label map, noisy latents, or both, to a picture that is likely, in one pass of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field

from semcom.diffusion.draws import Draws, with_samples
from semcom.errors import ScenarioError
from semcom.latents.coder import LatentCoder
from semcom.latents.dequantised import dequantised
from semcom.latents.received import Latents, arrived, whole
from semcom.maps.received import PART, received_map, soft_map
from semcom.protocols import Context
from semcom.receive.map_as_is import MapAsIs
from semcom.receive.of_latents import OfLatents
from semcom.rng import Streams
from semcom.types import GREY, Received, ReceivedBits, ReceivedReals, Reconstruction

if TYPE_CHECKING:
    from semcom.models.spade_generator import SpadeGenerator

torch = lazy.load("torch")

#: pictures that pass through the network together; memory, no number, depends on it
TOGETHER = 16
#: pixels, along each side, of two places of the map that the network sees: it takes half the resolution
PLACES = 4


class Gan(OfLatents):
    """Generates the picture in one pass from the label map, the latents, or both, whatever arrived of them.

    A SPADE generator, trained against a critic of pictures with their maps. It is told the noise level of every latent element,
    from 0 to inf, so that unequal powers, fading, lost elements and channels that were not sent are one and the same thing;
    and a map that is hard or soft, coarse, partial or absent. It starts from the picture that `receive: vae` shows of the
    latents, grey without any, and adds to it what map, neighbours and training say: one network evaluation, where
    `latent_diffusion` takes several.

    One received message is one picture: the one that is shown is made without noise. `samples` draws so many more from the
    decoder's stream, of what may have been sent; how far they differ is the uncertainty of each pixel. Generation invents: what
    is sharp need not be true. Give transmit and receive the same autoencoder.

    Latents may have come as bits, too (`vae_latent_quantised`), each element as noisy as its coder's step is wide.

    Parts: ``latent``, ``map``; a picture of which nothing arrived is a failure.
    Units: noise levels in message units, 0 to inf.
    References: Park, Liu, Wang, Zhu 2019, "Semantic image synthesis with spatially-adaptive normalization"; Gneiting, Raftery
    2007, the energy score by which its samples learned to differ.

    Example::

        receive: {kind: gan, samples: 4}
    """

    NETWORK: ClassVar[str] = "SpadeGenerator"
    RECIPE: ClassVar[str] = "recipes/gan.yaml"
    USES_DECODER: ClassVar[bool] = True
    #: every transmitter of latents or of a label map; `map_and_latent` is understood as one of these
    TAKES: ClassVar[frozenset[str]] = frozenset({"vae_latent", "vae_latent_quantised"}) | MapAsIs.TAKES

    kind: Literal["gan"] = "gan"
    weights: str = Field("gan", description="a name of `semcom weights list`, or a folder that `semcom train` wrote")
    map: Literal["use", "ignore"] = Field("use", description="a label map that comes with the message")
    samples: int = Field(0, ge=0, description="pictures that are drawn beside the one that is shown, and give its uncertainty")
    precision: Literal["float32", "bf16"] = Field("float32", description="arithmetic of the generator; its weights are float32")

    def build(self, context: Context) -> GanReceiver:
        return GanReceiver(self, *self.loaded(context.device))


class GanReceiver:
    """A prepared `semcom.protocols.Receiver`."""

    def __init__(self, description: Gan, made: LatentCoder, network: SpadeGenerator):
        self.how, self.coder, self.network = description, made, network
        self._power = torch.tensor(made.power, dtype=torch.float32, device=made.device)

    def decode(self, received: Received, streams: Streams) -> Reconstruction:
        values, sigma, base, ok = self._latents(received, len(streams))
        planes, ok = self._planes(received, ok)
        given = (values, sigma, planes, base)
        shape = (self.network.noise_planes, *values.shape[2:])
        pixels = self._generated(*given, torch.zeros((len(values), *shape), device=values.device))
        made = Reconstruction(torch.where(ok[:, None, None, None], pixels, GREY), ok, **self._map(received))
        if not self.how.samples:
            return made
        draws = Draws(streams, shape, values.device)
        return with_samples(made, [self._generated(*given, draws(f"sample {n}")()) for n in range(self.how.samples)])

    def _latents(self, received: Received, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """(latents, noise levels [B, C, h, w], inf where nothing arrived; what the plain decoder shows of them, grey where
        nothing did; bool [B]: something did)."""
        from semcom.models.spade_generator import shown_where

        found, ok = self._found(received)
        if found is not None:
            values, sigma = whole(found, self._power)
            return values, sigma, shown_where(found.plain(self.coder), sigma), ok.to(values.device)
        values = torch.zeros((count, self.coder.channels, *self.coder.grid(received.image_size)), device=self.coder.device)
        base = torch.full((count, 3, *received.image_size), GREY, device=values.device)
        return values, torch.full_like(values, torch.inf), base, torch.zeros(count, dtype=torch.bool, device=values.device)

    def _found(self, received: Received) -> tuple[Latents | None, torch.Tensor | None]:
        """(latents as real numbers or as bits, of which rows something arrived), or None of a message that has a map alone."""
        part = received.parts.get("latent")
        if isinstance(part, ReceivedReals):
            return arrived(self.coder, part), part.ok
        if isinstance(part, ReceivedBits):
            found = dequantised(self.coder, part, received.image_size)
            return found, found.ok
        if self._has_map(received):
            return None, None
        raise ScenarioError("receive: gan needs the part 'latent' of `transmit: vae_latent`, or a label map")

    def _planes(self, received: Received, ok: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(planes [B, 13, H/2, W/2] of the label map, 0 where nothing is known; ``ok``, or something of the map arrived)."""
        from semcom.models.denoiser import PLANES, planes_of

        height, width = (side // PLACES for side in received.image_size)
        if not self._has_map(received):
            return torch.zeros((len(ok), PLANES, 2 * height, 2 * width), device=ok.device), ok
        shown = soft_map(received)
        planes = planes_of(shown.probabilities.to(ok.device), shown.known.to(ok.device), (height, width))
        return planes, ok | planes[:, -1].flatten(1).any(1)

    def _map(self, received: Received) -> dict[str, torch.Tensor | None]:
        """The label map that came with the message, as it is shown beside the picture."""
        if not self._has_map(received):
            return {}
        found = received_map(received)
        soft = None if found.soft is None else found.soft.probabilities.to(self.coder.device)
        return {"labels": found.labels.to(self.coder.device), "label_probabilities": soft}

    def _has_map(self, received: Received) -> bool:
        return self.how.map == "use" and PART in received.parts

    def _generated(self, *given: torch.Tensor) -> torch.Tensor:
        """Pixels float32 [B, 3, H, W] in [0, 1]."""
        kind = given[0].device.type
        with torch.no_grad(), torch.autocast(kind, torch.bfloat16, enabled=self.how.precision == "bf16"):
            parts = [self.network(*rows).float() for rows in zip(*(x.split(TOGETHER) for x in given), strict=True)]
        return torch.cat(parts).clamp(0.0, 1.0)
