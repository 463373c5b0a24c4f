"""The receiver of a learned joint source-channel code: what arrived, and how well, to pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field

from semcom.component import Component
from semcom.errors import ScenarioError
from semcom.models.shipped import Shipped
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.types import GREY, Received, ReceivedReals, Reconstruction

if TYPE_CHECKING:
    from semcom.models.jscc import JSCC as Network

torch = lazy.load("torch")


class JSCC(Component):
    """Decoder of the learned joint source-channel code: one network evaluation, kind to any mixture of noise levels.

    The pilot tells the scale of the picture, each received number is weighted by how well it arrived (linear MMSE), and a
    network that knows how well each band of importance arrived makes the picture better. So one set of weights serves
    every SNR, fading per picture or per channel use, repetition (less noise), and numbers that were not sent or were
    lost (noise_std = inf). A picture of which nothing arrived is grey and counts as a failure.

    Units: noise levels in message units, 0 to inf. References: Xu, Ai, Zhang, Yang 2021, "Wireless image transmission
    using deep source channel coding with attention modules".

    Example::

        receive: {kind: jscc, weights: jscc}
    """

    TAKES: ClassVar[frozenset[str]] = frozenset({"jscc"})

    kind: Literal["jscc"] = "jscc"
    weights: str = Field(
        "jscc", description="a name of `semcom weights list`, or a folder that `semcom train` wrote; as transmitted"
    )

    def fits(self, transmit: Component) -> str | None:
        weights = getattr(transmit, "weights", self.weights)
        given = f"receive 'jscc' has weights '{self.weights}' and its transmitter '{weights}'"
        return None if weights == self.weights else f"{given}; give both the same"

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "weights": Shipped(self.weights, "JSCC").identity()}

    def build(self, context: Context) -> JSCCReceiver:
        return JSCCReceiver(Shipped(self.weights, "JSCC").load(context.device), context.device)


class JSCCReceiver:
    """A prepared `semcom.protocols.Receiver`."""

    def __init__(self, network: Network, device: str):
        self.network, self.device = network, device

    def decode(self, received: Received, streams: Streams) -> Reconstruction:
        part = received.parts.get("image")
        if not isinstance(part, ReceivedReals):
            raise ScenarioError("receive: jscc needs the real part 'image' of `transmit: jscc`")
        total, (rows, count) = self.network.latents(received.image_size), part.values.shape
        if count > total:
            raise ScenarioError(
                f"receive: jscc expects at most {total} reals a picture and {count} came; "
                "give transmit and receive the same `weights`"
            )
        values = torch.nn.functional.pad(part.values.to(self.device), (0, total - count))
        noise_std = torch.nn.functional.pad(part.noise_std.to(self.device), (0, total - count), value=math.inf)
        with torch.no_grad():
            sent = torch.full((rows,), count, device=self.device)
            pixels = self.network.decode(values, noise_std, received.image_size, sent).clamp(0.0, 1.0)
        ok = part.ok.to(self.device)
        return Reconstruction(torch.where(ok[:, None, None, None], pixels, GREY), ok)
