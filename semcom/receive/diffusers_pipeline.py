"""Somebody else's generator: a pipeline of Stable Diffusion, fed with the picture or the label map that arrived."""

from __future__ import annotations

from typing import Any, Literal

import lazy_loader as lazy
import numpy as np
from pydantic import Field, model_validator

from semcom.component import Component
from semcom.diffusion.draws import with_samples
from semcom.errors import ScenarioError, WeightsError
from semcom.maps.received import PART, received_map
from semcom.maps.resize import resize
from semcom.models.palettes import painted
from semcom.models.pipelines import NamedPipeline
from semcom.protocols import Context, Receiver
from semcom.receive.nested import NestedReceiver, misfit
from semcom.rng import Streams
from semcom.types import GREY, Received, ReceivedReals, Reconstruction

torch = lazy.load("torch")

#: fields that mean nothing without another one
NEEDS = {"strength": "start", "controlnet_revision": "controlnet", "control": "controlnet", "palette": "controlnet"}


class DiffusersPipeline(Component):
    """Generates the picture with a pipeline of Stable Diffusion: from a received picture, along a received map, or both.

    ``start`` is a plain receiver, such as `vae`, `image_codec` or `jscc`, whose picture goes into image-to-image: `strength` of the
    way back to noise, and from there to a picture that the pipeline finds likely. `strength: auto` goes as far as the channel has
    disturbed the message: the pipeline's own level of noise, sqrt((1 - a) / a) at a step with cumulated a, that leaves a linear
    estimate with the same share of error as the message's real numbers have, mean s^2 / (1 + s^2) over their noise levels s. Bits have no such
    level: give a number. Less than one step shows the start itself.

    ``controlnet`` is a ControlNet for segmentation; the map that arrived is painted for it in `palette`: `ade20k` for those that learned
    from ADE20K (such as lllyasviel/sd-controlnet-seg), `cityscapes` for others. Our eleven classes become the one of theirs that
    most of them is; void and unknown are black.

    The prompt is the same for every picture and thus configuration, as weights are. One that depends on the picture would be side
    information, which has to be sent and charged; this receiver takes none. The pipeline works at `short_side` and its pictures are
    resized back. Pictures are made one by one, each from torch's CPU generator, seeded from the decoder's stream: the same on one
    machine, whatever passes with them. Weights come from a local folder or from the hub at a pinned commit, and only with permission.

    Weights that learned from billions of pictures know more than those that ship: what they win is not a code's merit alone.

    References: Rombach et al. 2022, latent diffusion; Meng et al. 2022, SDEdit, `strength`; Zhang, Rao, Agrawala 2023, ControlNet;
    Ho, Salimans 2022, guidance.

    Example::

        receive: {kind: diffusers_pipeline, pipeline: models/stable-diffusion, start: vae, strength: auto}
    """

    kind: Literal["diffusers_pipeline"] = "diffusers_pipeline"
    pipeline: str = Field(min_length=1, description="folder that save_pretrained wrote, or hub id, of a pipeline of Stable Diffusion 1 or 2")
    revision: str | None = Field(None, description="commit of a hub id, 40 hex digits")
    start: NestedReceiver | None = Field(None, description="receiver whose picture is gone on from; null: from noise, along the map")
    strength: Literal["auto"] | float = Field(
        "auto", description="share of the way back to noise, above 0 to 1; auto: from the noise level of a message of real numbers"
    )
    controlnet: str | None = Field(None, description="folder or hub id of a ControlNet for segmentation, along whose map pictures are made")
    controlnet_revision: str | None = Field(None, description="its commit, 40 hex digits")
    control: float = Field(1.0, ge=0.0, description="how strongly the map counts")
    palette: Literal["ade20k", "cityscapes"] = Field("ade20k", description="colours in which the ControlNet expects the map")
    prompt: str = Field("a photograph of a street", description="what every picture shows, in words; no part of the message")
    negative_prompt: str = Field("", description="what no picture shows")
    guidance: float = Field(7.5, ge=0.0, description="how strongly the prompt counts; up to 1: not guided")
    steps: int = Field(25, ge=1, description="evaluations for the whole way from noise")
    short_side: int | None = Field(512, ge=8, description="short side at which the pipeline works, pixels; null: that of the picture")
    samples: int = Field(0, ge=0, description="pictures that are drawn beside the one that is shown, and give its uncertainty")
    precision: Literal["float32", "float16", "bfloat16"] = Field("float32", description="of weights and arithmetic")

    @model_validator(mode="after")
    def _fed(self) -> DiffusersPipeline:
        if self.start is None and self.controlnet is None:
            raise ValueError("neither start nor controlnet is given, so nothing that arrives would count; give one of them, or both")
        if self.strength != "auto" and not 0.0 < self.strength <= 1.0:
            raise ValueError(f"strength is {self.strength}; expected auto, or a number above 0 and up to 1")
        for field, needs in NEEDS.items():
            if getattr(self, needs) is None and getattr(self, field) != type(self).model_fields[field].default:
                raise ValueError(f"{field} is given and {needs} is not, without which nobody reads it; give both, or leave {field} out")
        return self

    @property
    def named(self) -> NamedPipeline:
        return NamedPipeline(self.pipeline, self.revision, self.controlnet, self.controlnet_revision)

    def fits(self, transmit: Component) -> str | None:
        if self.controlnet is not None and transmit.PARTS and PART not in transmit.PARTS:
            return f"receive 'diffusers_pipeline' paints a map for its controlnet and transmit '{transmit.kind}' sends none; leave controlnet out"
        if self.start is not None and self.strength == "auto" and "reals" not in transmit.CARRIES:
            return f"transmit '{transmit.kind}' sends bits, which have no level of noise; give `strength` a number, such as 0.3"
        return None if self.start is None else misfit(self.start, transmit)

    def available(self) -> str | None:
        try:
            self.named.folders()
        except WeightsError as error:
            return str(error)
        return None if self.start is None else self.start.available()

    def identity(self) -> dict[str, Any]:
        """With a digest of all files of the pipeline and its ControlNet in the place of their names; None where they are missing."""
        names = ("pipeline", "revision", "controlnet", "controlnet_revision")
        plain = {name: value for name, value in super().identity().items() if name not in names}
        try:
            files = self.named.digest()
        except WeightsError:
            files = None
        start = None if self.start is None else self.start.identity()
        return {**plain, "start": start, "files": files, "controlled": self.controlnet is not None}

    def build(self, context: Context) -> PipelineReceiver:
        return PipelineReceiver(
            self,
            self.named.load(self.start is not None, context.device, self.precision),
            None if self.start is None else self.start.build(context),
            context.device,
        )


class PipelineReceiver:
    """A prepared `semcom.protocols.Receiver`."""

    def __init__(self, description: DiffusersPipeline, pipe: Any, start: Receiver | None, device: str):
        self.how, self.pipe, self.start, self.device = description, pipe, start, device
        if start is not None and description.strength == "auto" and not hasattr(pipe.scheduler, "alphas_cumprod"):
            raise ScenarioError(
                f"receive: diffusers_pipeline: strength is auto and the scheduler {type(pipe.scheduler).__name__} of "
                f"'{description.pipeline}' tells no noise levels; give a number"
            )

    def decode(self, received: Received, streams: Streams) -> Reconstruction:
        started = None if self.start is None else self.start.decode(received, streams)
        shown = None if self.how.controlnet is None else received_map(received)
        rows = len(streams)
        lost = torch.zeros(rows, dtype=torch.bool)
        begun, mapped = (lost if part is None else part.ok.cpu() for part in (started, shown))
        strengths = torch.where(begun, self._strengths(received, rows), 1.0)
        ok = begun | mapped
        pictures = [
            torch.stack([self._picture(row, purpose, started, shown, float(strengths[row]), received.image_size, streams) if good
                         else torch.full((3, *received.image_size), GREY) for row, good in enumerate(ok.tolist())])
            for purpose in ("shown", *(f"sample {number}" for number in range(self.how.samples)))
        ]  # fmt: skip
        made = Reconstruction(pictures[0], ok, None if shown is None else shown.labels.cpu())
        return with_samples(made, pictures[1:]) if self.how.samples else made

    def _picture(
        self, row: int, purpose: str, started: Reconstruction | None, shown: Any, strength: float, size: tuple[int, int], streams: Streams
    ) -> torch.Tensor:
        """Pixels [3, H, W] of one row."""
        if started is not None and int(self.how.steps * strength) < 1:
            return started.pixels[row].cpu()
        seed = int(streams.generator(f"decoder pipeline {purpose}", row).integers(2**63))
        how: dict[str, Any] = {
            "prompt": self.how.prompt, "negative_prompt": self.how.negative_prompt, "num_inference_steps": self.how.steps,
            "guidance_scale": self.how.guidance, "generator": torch.Generator().manual_seed(seed), "output_type": "pt",
        }  # fmt: skip
        inside = self._inside(size)
        if started is not None:
            how |= {"image": _resized(started.pixels[row : row + 1], inside), "strength": strength}
        if shown is not None:
            condition = painted(resize(shown.labels[row : row + 1], inside), self.how.palette)
            how |= {"image" if started is None else "control_image": condition, "controlnet_conditioning_scale": self.how.control}
        made = self.pipe(**how).images
        return _resized(torch.as_tensor(made).float().cpu(), size)[0].clamp(0.0, 1.0)

    def _strengths(self, received: Received, rows: int) -> torch.Tensor:
        """Share float [rows] of the way back to noise."""
        if self.start is None or self.how.strength != "auto":
            return torch.full((rows,), 1.0 if self.start is None else float(self.how.strength))
        reals = [part for part in received.parts.values() if isinstance(part, ReceivedReals)]
        if not reals:
            raise ScenarioError("receive: diffusers_pipeline: strength is auto and no real numbers arrived, whose noise would tell; give a number")
        noise = torch.cat([part.noise_std.cpu() for part in reals], dim=1).double()
        missed = (1.0 - 1.0 / (1.0 + noise.square())).mean(dim=1)
        left = 1.0 - self.pipe.scheduler.alphas_cumprod.double().cpu()  # the same share, of the pipeline's latents
        return (torch.searchsorted(left, missed) / len(left)).float()

    def _inside(self, size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) at which the pipeline works: its network halves latents a few times."""
        multiple = self.pipe.vae_scale_factor * 2 ** (len(self.pipe.unet.config.block_out_channels) - 1)
        factor = (self.how.short_side or min(size)) / min(size)
        return tuple(max(multiple, multiple * int(np.rint(side * factor / multiple))) for side in size)


def _resized(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if tuple(pixels.shape[2:]) == tuple(size):
        return pixels
    return torch.nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True, align_corners=False).clamp(0.0, 1.0)
