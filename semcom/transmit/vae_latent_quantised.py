"""Latents of an autoencoder as bits: quantised, entropy coded with learned tables, as fine as the budget allows."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field

from semcom.errors import ScenarioError, WeightsError
from semcom.latents import tables
from semcom.latents.coder import KNOWN, LatentCoder, bits_to_scale, coder, scale_to_bits, unit_rms
from semcom.latents.named import NamedAutoencoder
from semcom.protocols import Context
from semcom.rng import Streams
from semcom.types import Bits, Budget, ImageBatch, Message

torch = lazy.load("torch")

#: what `channels: auto` chooses from; the tables make a channel of zeros cheap, so that few choices matter
CHANNELS = (4, 8, 16)


class VaeLatentQuantised(NamedAutoencoder):
    """Latents of an autoencoder as bits, each picture with the finest step that its budget carries.

    Latents are rounded to multiples of a step, a channel's own relative width (the less the picture changes with a
    channel, the wider) times a step from 64 in eighths of an octave, which 6 bits name. Each value is predicted from
    its neighbours and the channels before; what remains is range coded with integer frequencies that were fitted to
    training pictures, chosen by how well the surroundings were predicted. The bytes are really made, sent and read;
    all that decides them after rounding is integer arithmetic, so that any machine reads what another wrote. The
    tables lie beside the weights (`semcom weights tables`). A picture whose shortest code does not fit is infeasible.

    Cost: 6 bits, the number of channels (4 bits where there are 16), and the code. Autoencoders whose latents have a
    scale of their own cost 8 bits of side information more.

    Part: ``latent``, bits. Needs a link that carries bits (digital, ideal).
    References: Bamler 2022, "Understanding entropy coding with asymmetric numeral systems", the constriction
    library; Wu and Memon 1997, context-based prediction; Sullivan 1996, reconstruction below the midpoint.

    Example::

        transmit: {kind: vae_latent_quantised, channels: 16}
    """

    CARRIES: ClassVar[frozenset[str]] = frozenset({"bits"})
    PARTS: ClassVar[frozenset[str]] = frozenset({"latent"})

    kind: Literal["vae_latent_quantised"] = "vae_latent_quantised"
    channels: int = Field(16, ge=1, description="leading latent channels that are coded, at most; `auto` tunes it")

    @classmethod
    def choices(cls, field: str) -> tuple[Any, ...]:
        return CHANNELS if field == "channels" else ()

    def available(self) -> str | None:
        reason = super().available()
        if reason is None and not tables.path_of(self.pretrained.file()).is_file():
            return _without_tables(self.autoencoder, tables.command(self.pretrained.file()))
        return reason

    def build(self, context: Context) -> QuantisedTransmitter:
        made = coder(self.pretrained, context.device)
        if made.codec is None:
            raise WeightsError(_without_tables(self.autoencoder, tables.command(made.file)))
        return QuantisedTransmitter(made, self.channels)


def _without_tables(name: str, command: str) -> str:
    return f"the autoencoder '{name}' has no tables for coding its latents; make them from training pictures: {command}"


class QuantisedTransmitter:
    """A prepared `semcom.protocols.Transmitter`."""

    adapts_to_snr = False

    def __init__(self, made: LatentCoder, channels: int):
        self.coder, self.channels = made, min(channels, made.channels)
        self.side_bits = made.side_bits

    def encode(self, images: ImageBatch, budget: Budget, streams: Streams) -> Message:
        limit = budget.part("latent").bits
        if limit is None:
            raise ScenarioError(
                "transmit: vae_latent_quantised makes bits and its link carries none; use a digital or ideal link, "
                "or `transmit: vae_latent`"
            )
        latents = self.coder.leading(images.pixels, self.channels)
        side = None
        if self.side_bits:
            bits = scale_to_bits(unit_rms(latents)[1])
            latents = latents / bits_to_scale(bits)[:, None, None, None]
            side = Bits(bits.cpu(), torch.full((len(bits),), self.side_bits, dtype=torch.int64))
        made = [self.coder.codec.finest(latent, limit) for latent in latents.cpu().numpy()]
        payloads = [np.zeros(0, np.uint8) if isinstance(found, int) else found for found in made]
        reasons = tuple(
            f"the shortest code of its latents is {found} bits, and {limit} fit" if isinstance(found, int) else None
            for found in made
        )
        parts, free = {"latent": _stacked(payloads)}, ("size of the picture", KNOWN)
        return Message(parts, budget, images.size, side=side, infeasible=reasons, free=free)


def _stacked(payloads: list[np.ndarray]) -> Bits:
    lengths = [len(payload) for payload in payloads]
    bits = np.zeros((len(payloads), max(lengths, default=0)), dtype=np.uint8)
    for row, payload in zip(bits, payloads, strict=True):
        row[: len(payload)] = payload
    return Bits(torch.from_numpy(bits), torch.tensor(lengths, dtype=torch.int64))
