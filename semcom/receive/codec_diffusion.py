"""A codec's picture to one that is likely: its latents are taken for noisy ones, and diffusion starts at their level."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field

from semcom import codecs
from semcom.codecs.payload import Payload
from semcom.errors import WeightsError
from semcom.latents import reencoded
from semcom.latents.named import NamedAutoencoder, found
from semcom.models import storage
from semcom.protocols import Context
from semcom.receive.image_codec import CodecReceiver, payloads
from semcom.receive.latent_diffusion import DiffusionReceiver, LatentDiffusion
from semcom.rng import Streams
from semcom.types import Received, Reconstruction

torch = lazy.load("torch")


class CodecDiffusion(NamedAutoencoder):
    """Generates the picture from a codec's file that arrived: the generative receiver of latents, behind bit recovery.

    The decoded file is encoded again, by the autoencoder. As latents it is what the original would be, weakened and disturbed in each
    channel; how much so was measured on training pictures for each codec over bits per pixel (`semcom weights codecs`), which the
    receiver knows of a file. From that noise level the denoiser of `latent_diffusion` goes on, with the same weights, so that
    separation and joint coding meet at an equal receiver. A codec's errors are no white noise, which is what it was trained for: this
    is the plain way to put it behind a codec, and not the best that training could make of one.

    `steps: 0` shows the codec's picture as it is (`receive: image_codec`); from some rate on that is better than anything an autoencoder
    shows, so let it be tuned: `steps: {best_of: [0, 4]}`. A file that did not arrive is a failure: its picture is grey.

    Units: noise levels of latents of unit RMS. References: as `latent_diffusion`.

    Example::

        receive: {kind: codec_diffusion, steps: 4}
    """

    TAKES: ClassVar[frozenset[str]] = frozenset({"image_codec"})

    kind: Literal["codec_diffusion"] = "codec_diffusion"
    weights: str = Field("latent_denoiser", description="a name of `semcom weights list`, or a folder that `semcom train` wrote")
    steps: Literal["auto"] | Annotated[int, Field(ge=0)] = Field(
        "auto", description="evaluations of the denoiser (heun: about two a step); auto: from the noise level; 0: the codec's picture"
    )
    solver: Literal["euler", "heun", "multistep", "ancestral"] = Field(
        "multistep", description="ODE of first or second order, or the reverse stochastic process (ancestral)"
    )
    samples: int = Field(0, ge=0, description="pictures that are drawn beside the one that is shown, and give its uncertainty")
    precision: Literal["float32", "bf16"] = Field("float32", description="arithmetic of the denoiser; its weights are float32")

    @property
    def behind(self) -> LatentDiffusion:
        """The receiver of latents that goes on from there."""
        return LatentDiffusion.model_validate({**self.model_dump(exclude={"kind"}), "map": "ignore", "hand_over_db": None})

    def available(self) -> str | None:
        try:
            reencoded.load(found(self.pretrained))
        except WeightsError as error:
            return str(error)
        return self.behind.available()

    def identity(self) -> dict[str, Any]:
        """With the digests of denoiser and measured errors, and the builds of the codecs."""
        try:
            errors = storage.stamped_digest(reencoded.path_of(found(self.pretrained)))
        except WeightsError:
            errors = None
        return {**super().identity(), "weights": self.behind.identity()["weights"], "errors": errors, "libraries": codecs.versions()}

    def build(self, context: Context) -> CodecDiffusionReceiver:
        receiver = self.behind.build(context)
        return CodecDiffusionReceiver(receiver, reencoded.load(receiver.coder.file), CodecReceiver(context.device))


class CodecDiffusionReceiver:
    """A prepared `semcom.protocols.Receiver`."""

    def __init__(self, behind: DiffusionReceiver, errors: reencoded.CodecErrors, codec: CodecReceiver):
        self.behind, self.errors, self.codec = behind, errors, codec

    def decode(self, received: Received, streams: Streams) -> Reconstruction:
        seen = self.codec.decode(received, streams)
        area = received.image_size[0] * received.image_size[1]
        files = [
            (codecs.numbered(Payload.unpack(payload).codec).name, 8.0 * len(payload) / area) if ok else None
            for payload, ok in zip(payloads(received.parts["image"]), seen.ok.tolist(), strict=True)
        ]
        return self.behind.shown(reencoded.reencoded(self.behind.coder, self.errors, seen.pixels, files), seen.ok, received, streams)
