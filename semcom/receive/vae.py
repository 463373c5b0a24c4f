"""Latents, as they arrived, to pictures."""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field

from semcom.component import Component
from semcom.errors import ScenarioError
from semcom.latents.codec import Corrupt
from semcom.latents.coder import LatentCoder, bits_to_scale, coder, marked
from semcom.latents.named import NamedAutoencoder
from semcom.latents.received import arrived
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.types import GREY, Received, ReceivedBits, ReceivedReals, Reconstruction

torch = lazy.load("torch")

#: of pictures decoded before, so that the same code at many SNRs is decoded once
MEMO_BYTES = 256 * 2**20


class Vae(NamedAutoencoder):
    """The autoencoder's picture of the latents that arrived.

    Real numbers (`vae_latent`): `shrink: wiener` makes the linear MMSE estimate of each element, p / (p + s^2) of
    what arrived, with p the power of its channel and s its noise level; what did not arrive (s = inf) is the
    channel's mean. `none` takes what arrived as it is. The power allocation is undone. Latents have unit RMS per
    image: where the channels were scaled differently, the scale of each image is estimated from what arrived and
    the agreed powers, weighted by their variances.

    Bits (`vae_latent_quantised`): the code is read and each value put where it lay on average; nothing is shrunk.
    A code that did not arrive, or side information that did not, is a failure: the picture is grey.

    Units: noise levels in message units, 0 to inf. Give transmit and receive the same autoencoder.

    Example::

        receive: {kind: vae, shrink: wiener}
    """

    TAKES: ClassVar[frozenset[str]] = frozenset({"vae_latent", "vae_latent_quantised"})

    kind: Literal["vae"] = "vae"
    shrink: Literal["wiener", "none"] = Field("wiener", description="real latents: linear MMSE estimate, or as they arrived")

    def fits(self, transmit: Component) -> str | None:
        return self.same_autoencoder(transmit)

    def build(self, context: Context) -> VaeReceiver:
        return VaeReceiver(coder(self.pretrained, context.device), self.shrink)


class VaeReceiver:
    """A prepared `semcom.protocols.Receiver`."""

    def __init__(self, made: LatentCoder, shrink: str):
        self.coder, self.shrink = made, shrink
        self._memo: OrderedDict[tuple, torch.Tensor | None] = OrderedDict()

    def decode(self, received: Received, streams: Streams) -> Reconstruction:
        part = received.parts.get("latent")
        if part is None or (self.coder.side_bits and received.side is None):
            raise ScenarioError("receive: vae needs the part 'latent' of vae_latent, and the scale that its autoencoder has sent")
        scale, ok = self._scale(received, part)
        if isinstance(part, ReceivedBits):
            return self._of_bits(part, scale, ok, received.image_size)
        pixels = self.coder.pictures(self.latents(part, scale))
        return Reconstruction(_shown(pixels, ok), ok)

    def _scale(self, received: Received, part: ReceivedBits | ReceivedReals) -> tuple[torch.Tensor | None, torch.Tensor]:
        """What the latents of each row are to be multiplied by, where it was told, and which rows arrived."""
        ok = part.ok.to(self.coder.device)
        if not self.coder.side_bits:
            return None, ok
        return bits_to_scale(received.side.bits.to(self.coder.device)), ok & received.side.ok.to(self.coder.device)

    def latents(self, part: ReceivedReals, scale: torch.Tensor | None = None) -> torch.Tensor:
        """float32 [B, n, h, w]: estimates of what the transmitter took from its encoder, centred."""
        found = arrived(self.coder, part, scale)
        return found.linear() if self.shrink == "wiener" else found.undone(found.values)

    def _of_bits(
        self, part: ReceivedBits, scale: torch.Tensor | None, ok: torch.Tensor, size: tuple[int, int]
    ) -> Reconstruction:
        bits, lengths = part.bits.cpu().numpy(), part.lengths.tolist()
        told = [1.0] * len(bits) if scale is None else scale.tolist()
        rows = zip(bits, lengths, told, ok.tolist(), strict=True)
        keys = [(row[:length].tobytes(), factor, size) if arrived else None for row, length, factor, arrived in rows]
        pictures = {key: self._memo[key] for key in keys if key in self._memo}
        fresh = [key for key in dict.fromkeys(keys) if key is not None and key not in pictures]
        pictures.update(zip(fresh, self._pictures(fresh), strict=True))
        self._remember(pictures, size)
        grey = torch.full((3, *size), GREY, device=self.coder.device)
        rows = [pictures.get(key) for key in keys]
        good = torch.tensor([row is not None for row in rows], dtype=torch.bool, device=self.coder.device)
        return Reconstruction(torch.stack([grey if row is None else row for row in rows]), good)

    def _pictures(self, keys: list[tuple]) -> list[torch.Tensor | None]:
        """A picture for each code that can be read."""
        latents = [self._read(*key) for key in keys]
        found: list[torch.Tensor | None] = [None] * len(keys)
        for count in {len(latent) for latent in latents if latent is not None}:
            places = [place for place, latent in enumerate(latents) if latent is not None and len(latent) == count]
            made = self.coder.pictures(marked(torch.from_numpy(np.stack([latents[place] for place in places]))))
            for place, picture in zip(places, made, strict=True):
                found[place] = picture
        return found

    def _read(self, bits: bytes, scale: float, size: tuple[int, int]) -> np.ndarray | None:
        if self.coder.codec is None:
            raise ScenarioError("receive: vae got bits and its autoencoder has no tables; give transmit and receive the same one")
        try:
            quantised = self.coder.codec.decode(np.frombuffer(bits, dtype=np.uint8), *self.coder.grid(size))
        except Corrupt:  # an error that the CRCs did not see
            return None
        return self.coder.codec.restore(quantised) * np.float32(scale)

    def _remember(self, pictures: dict[tuple, torch.Tensor | None], size: tuple[int, int]) -> None:
        for key, picture in pictures.items():
            self._memo[key] = picture
            self._memo.move_to_end(key)
        while len(self._memo) > max(1, MEMO_BYTES // (12 * size[0] * size[1])):
            self._memo.popitem(last=False)


def _shown(pixels: torch.Tensor, ok: torch.Tensor) -> torch.Tensor:
    return torch.where(ok[:, None, None, None], pixels, GREY)
