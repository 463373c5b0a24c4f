"""SoftCast's receiver: each coefficient weighed by how well it arrived, then the inverse DCT."""

from __future__ import annotations

from typing import ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field

from semcom.component import Component
from semcom.errors import ScenarioError
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.softcast import Block, Format, bits_to_level, format_of
from semcom.types import GREY, Received, ReceivedReals, Reconstruction

torch = lazy.load("torch")


class SoftCast(Component):
    """Linear least-squares estimate of DCT coefficients, then the inverse DCT.

    A received real y = x + sigma n of expected power P gives the estimate x = y P / (P + sigma^2), which is 0
    where nothing arrived (sigma = inf) and y where nothing disturbed it. P comes from the spectrum that both ends
    know, the gain from that and the 8 bits of side information. A picture whose side information is lost has
    no scale: it is grey and counts as a failure.

    Units: noise levels in message units, 0 to inf. References: Jakubczak and Katabi 2011 (linear least squares estimator).

    Example::

        receive: {kind: softcast, block: frame}
    """

    TAKES: ClassVar[frozenset[str]] = frozenset({"softcast"})

    kind: Literal["softcast"] = "softcast"
    block: Block = Field("frame", description="transform of the whole frame, or side of square blocks, pixels; as transmitted")

    def fits(self, transmit: Component) -> str | None:
        block = getattr(transmit, "block", self.block)
        return None if block == self.block else f"receive 'softcast' has block {self.block} and its transmitter {block}; give both the same"

    def build(self, context: Context) -> SoftCastReceiver:
        return SoftCastReceiver(self.block, context.device)


class SoftCastReceiver:
    """A prepared `semcom.protocols.Receiver`."""

    def __init__(self, block: Block, device: str):
        self.block, self.device = block, device

    def decode(self, received: Received, streams: Streams) -> Reconstruction:
        part, side = received.parts.get("image"), received.side
        if not isinstance(part, ReceivedReals) or side is None:
            raise ScenarioError("receive: softcast needs the real part 'image' and the side information of `transmit: softcast`")
        form = format_of(received.image_size, self.block, self.device)
        groups, blocks = part.shape
        if blocks != form.blocks:
            raise ScenarioError(
                f"receive: softcast with `block: {self.block}` expects {form.blocks} blocks a picture "
                f"and the transmitter sent {blocks}; give transmit and receive the same `block`"
            )
        ok = (side.ok & part.ok).to(self.device)
        values = self._estimate(part, form, groups) / form.gains(bits_to_level(side.bits.to(self.device)), groups)[:, :, None]
        coefficients = torch.zeros((len(values), form.order.numel(), blocks), device=values.device)
        coefficients[:, :groups] = values
        pixels = form.synthesise(coefficients).clamp(0.0, 1.0)
        return Reconstruction(torch.where(ok[:, None, None, None], pixels, GREY), ok)

    def _estimate(self, part: ReceivedReals, form: Format, groups: int) -> torch.Tensor:
        """The sent reals [B, groups, blocks], shrunk by what the noise leaves of them."""
        shape = (len(part.values), groups, form.blocks)
        power = form.powers(groups)[None, :, None]
        noise = part.noise_std.to(self.device).reshape(shape)
        arrived = noise.isfinite()
        weight = power / (power + torch.where(arrived, noise, 0.0).square())
        return torch.where(arrived, part.values.to(self.device).reshape(shape) * weight, 0.0)
