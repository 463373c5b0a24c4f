"""The transmitter of a learned joint source-channel code: pixels to real numbers, sent as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field

from semcom.component import Component
from semcom.errors import ScenarioError
from semcom.models.shipped import Shipped
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.types import Budget, ImageBatch, Message, Reals

if TYPE_CHECKING:
    from semcom.models.jscc import JSCC as Network

torch = lazy.load("torch")

FREE = ("jscc: the weights of the code, and one closed-form spectrum of typical pictures, which both ends know",)
#: what is assumed of a link that has no SNR, such as an ideal one
CLEAR_DB = 20.0


class JSCC(Component):
    """A learned joint source-channel code that adapts to the average SNR and to the bandwidth.

    A network changes the picture for the SNR and the bandwidth at hand; DCT coefficients of the frame follow in their order of
    importance, with SoftCast's gains and unit mean power per image over what is sent. A pilot of 2 % of the power tells
    the scale, so there is no side information and no header. As many reals as the grant holds are sent, up to 32 a
    block of 8x8 pixels: 4 a block are a bandwidth ratio of 1/96, 16 are 1/24, 32 are 1/12, and any number between will
    do. A larger grant is left to the link's ``fill``; one of less than 1 a block (1/384) is infeasible. The transmitter
    knows the average SNR and not h.

    One set of weights serves every SNR, ratio and picture whose sides are multiples of 8 pixels; it was trained at
    -5 to 20 dB over AWGN and Rayleigh fading on street scenes, and an SNR outside is taken as the nearest of these.
    Transmitter and receiver must name the same weights.

    Shapes: real part ``image`` [B, D], D at most the budget's reals. Units: mean square 1 per picture.
    References: Bourtsoulatze, Kurka, Gunduz 2019, "Deep joint source-channel coding for wireless image transmission";
    Xu, Ai, Zhang, Yang 2021, "Wireless image transmission using deep source channel coding with attention modules".

    Example::

        transmit: {kind: jscc, weights: jscc}
    """

    CARRIES: ClassVar[frozenset[str]] = frozenset({"reals"})
    PARTS: ClassVar[frozenset[str]] = frozenset({"image"})

    kind: Literal["jscc"] = "jscc"
    weights: str = Field("jscc", description="a name of `semcom weights list`, or a folder that `semcom train` wrote")

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "weights": Shipped(self.weights, "JSCC").identity()}

    def build(self, context: Context) -> JSCCTransmitter:
        source = Shipped(self.weights, "JSCC")
        trained = tuple(source.facts().get("snr_db", (-CLEAR_DB, CLEAR_DB)))
        return JSCCTransmitter(source.load(context.device), trained, context.device)


class JSCCTransmitter:
    """A prepared `semcom.protocols.Transmitter`."""

    side_bits = 0
    adapts_to_snr = True

    def __init__(self, network: Network, snr_db: tuple[float, float], device: str):
        self.network, self.snr_db, self.device = network, snr_db, device

    def encode(self, images: ImageBatch, budget: Budget, streams: Streams) -> Message:
        reals = budget.part("image").reals
        if reals is None:
            raise ScenarioError("transmit: jscc sends real numbers and its link carries bits; use `link: {kind: analog}`")
        height, width = images.size
        factor = self.network.FACTOR
        if height % factor or width % factor:
            raise ScenarioError(
                f"transmit: jscc takes pictures whose sides are multiples of {factor} pixels and got {height}x{width}; "
                "set the `size` of the source"
            )
        blocks = height * width // factor**2
        count, reasons = min(reals, self.network.latents(images.size)), ()
        if count < blocks:
            reason = f"jscc: its smallest part is {blocks} reals, and {reals} fit {budget.channel_uses} channel uses"
            count, reasons = blocks, (reason,) * len(images)
        known = budget.part("image").snr_db
        snr_db = CLEAR_DB if known is None else known
        snr_db = min(max(snr_db, self.snr_db[0]), self.snr_db[1])
        rows = len(images)
        known, elements = (torch.full((rows,), value, device=self.device) for value in (snr_db, count))
        with torch.no_grad():
            latents = self.network.encode(images.pixels.to(self.device), known, elements)
        values = latents[:, :count].contiguous()
        return Message({"image": Reals(values, (count,))}, budget, images.size, infeasible=reasons, free=FREE)
