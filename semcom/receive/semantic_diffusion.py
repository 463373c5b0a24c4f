"""A label map to a picture that it may be the map of: diffusion in pixel space from noise alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field

from semcom.component import Component
from semcom.diffusion import samplers, steps
from semcom.diffusion import variance_preserving as vp
from semcom.diffusion.draws import Draws, Rows, with_samples
from semcom.errors import WeightsError
from semcom.maps import gesco
from semcom.maps.analog import Denoise, filtered
from semcom.maps.received import PART, ReceivedMap, SoftMap, received_map
from semcom.models.shipped import Shipped
from semcom.protocols import Context
from semcom.receive.map_as_is import MapAsIs
from semcom.rng import Streams
from semcom.types import GREY, Received, Reconstruction

if TYPE_CHECKING:
    from semcom.models.semantic_unet import SemanticUNet

torch = lazy.load("torch")

NETWORK = "SemanticUNet"
#: transmit kinds whose maps are planes of ones and zeros in noise
LEGACY = frozenset({"legacy_map", "oracle_legacy_map"})
#: solver -> sampler, and whether it goes through levels of the schedule of 1000 steps
SOLVERS = {"multistep": ("multistep", False), "heun": ("heun", False), "ddim": ("euler", True), "ddpm": ("ancestral", True)}
#: pictures that pass through the network together; memory, no number, depends on it
TOGETHER = 16


class SemanticDiffusion(Component):
    """Generates a picture of the label map that arrived, starting from noise: GESCO's receiver, made small.

    A denoiser of pictures, conditioned on the map by SPADE, takes ``steps`` steps from noise of the decoder's stream, keyed
    by image, to a picture; another draw is another picture of the same map. `ddpm` with 1000 steps is the sampler of the
    paper, `ddim` its deterministic one, both at levels of the linear schedule (fewer steps take every so-manyth, the last of
    training first); `multistep` and `heun` are of second order at levels that lie closer at the end, for 10 to 25 steps.
    ``guidance`` insists on the map by what changes without it, a map of zeros: a second evaluation a step, unless 0 or 1.
    Estimates are kept within the range of pixels. The denoiser works at half of the size on each side; an upsampler, which
    sees the map in full size, makes the rest in one pass. ``samples`` draws so many more pictures; how far they differ
    is the uncertainty of each pixel.

    The map may be hard, soft, coarse or known in part: the network gets the probability of each class at each pixel and
    whether it is known, and was trained with maps like that. A map of which nothing arrived is a failure. For `legacy_map`
    these are posterior probabilities, too; ``denoise`` gives the network the planes as they arrived, unfiltered (none),
    after a 3x3 mean, or after the published "fast denoising" (fds). GESCO's plane of edges is not looked at: edges of
    instances, as there, are in no label map of classes, and edges of classes follow from the map.

    Part: ``map``; necessary. What is generated is a likely picture and not the one that was sent: colours, textures and
    everything inside of a class are invented.
    References: Grassucci, Barbarossa, Comminiello 2023, arXiv 2306.04321, GESCO; Wang et al. 2022, arXiv 2207.00050; Ho, Jain,
    Abbeel 2020, DDPM; Song, Meng, Ermon 2021, DDIM; Lu et al. 2022, DPM-Solver++, `multistep`; Karras et al. 2022, `heun`.

    Example::

        receive: {kind: semantic_diffusion, steps: 20, guidance: 1.5}
    """

    TAKES: ClassVar[frozenset[str]] = MapAsIs.TAKES

    kind: Literal["semantic_diffusion"] = "semantic_diffusion"
    weights: str = Field(
        "semantic_diffusion", description="a name of `semcom weights list`, or a folder that `semcom train` wrote"
    )
    steps: int = Field(20, ge=1, le=vp.TRAINED, description="evaluations of the denoiser, twice as many with guidance")
    solver: Literal["multistep", "heun", "ddim", "ddpm"] = Field(
        "multistep", description="ODE of second order; ddim: of first order; ddpm: the reverse stochastic process"
    )
    guidance: float = Field(
        1.5, ge=0.0, description="how strongly the map counts: 0 not at all, 1 as trained, more insists on it"
    )
    denoise: Denoise | None = Field(
        None, description="of legacy maps: planes after mean, fds (fast denoising) or none; probabilities if left out"
    )
    samples: int = Field(0, ge=0, description="pictures that are drawn beside the one that is shown, and give its uncertainty")
    precision: Literal["float32", "bf16"] = Field("float32", description="arithmetic of the networks; their weights are float32")

    @classmethod
    def choices(cls, field: str) -> tuple[Any, ...]:
        return {"guidance": (1.0, 1.5, 2.0, 3.0)}.get(field, ())

    def fits(self, transmit: Component) -> str | None:
        kind = getattr(transmit, "kind", None)
        if self.denoise is None or kind in LEGACY:
            return None
        takes = " and ".join(sorted(LEGACY))
        return f"`denoise: {self.denoise}` is for planes of {takes}, and transmit '{kind}' sends none; leave it out"

    def available(self) -> str | None:
        try:
            Shipped(self.weights, NETWORK).file()
        except WeightsError as error:
            return str(error)
        return super().available()

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "weights": Shipped(self.weights, NETWORK).identity()}

    def build(self, context: Context) -> SemanticDiffusionReceiver:
        return SemanticDiffusionReceiver(self, Shipped(self.weights, NETWORK).load(context.device), context.device)


class SemanticDiffusionReceiver:
    """A prepared `semcom.protocols.Receiver`. Shapes: part ``map`` to labels int64 [B, H, W] and pixels [B, 3, H, W]."""

    def __init__(self, description: SemanticDiffusion, network: SemanticUNet, device: str = "cpu"):
        self.how, self.network, self.device = description, network, device

    def decode(self, received: Received, streams: Streams) -> Reconstruction:
        found, size = received_map(received, self.how.denoise), tuple(received.image_size)
        ok, planes = found.ok.to(self.device), self.planes(received, found)
        draws = Draws(streams, (3, *(side // 2 for side in planes.shape[2:])), self.device)

        def pictures(purpose: str) -> torch.Tensor:
            return self._pictures(planes, ok, draws(purpose))[:, :, : size[0], : size[1]]

        known = None if found.soft is None else found.soft.probabilities.to(self.device)
        made = Reconstruction(pictures("shown"), ok, found.labels.to(self.device), label_probabilities=known)
        count = self.how.samples
        return with_samples(made, [pictures(f"sample {number}") for number in range(count)]) if count else made

    def planes(self, received: Received, found: ReceivedMap) -> torch.Tensor:
        """What the network is conditioned on, float32 [B, 13, H', W']: the picture's sides, rounded up to what it can halve."""
        from semcom.models.semantic_unet import HALF, MULTIPLE

        if self.how.denoise is not None:
            classes = filtered(gesco.received_planes(received.parts[PART], received)[0], self.how.denoise)
            known = found.labels.new_ones((len(classes), *classes.shape[2:])) * found.ok[:, None, None]
        else:
            shown = (found.soft or SoftMap.of_labels(found.labels)).resized(tuple(received.image_size))
            classes, known = shown.probabilities, shown.known
        planes = torch.cat([classes * known[:, None], known[:, None]], dim=1).float().to(self.device)
        height, width = (-side % (HALF * MULTIPLE) for side in received.image_size)
        return torch.nn.functional.pad(planes, (0, width, 0, height), mode="replicate")

    def levels(self) -> torch.Tensor:
        """Levels of noise float64 [N + 1] from the first to 0."""
        _, published = SOLVERS[self.how.solver]
        if published:
            return vp.stops(self.how.steps)
        # heun looks twice at each step but the last
        count = (self.how.steps + 1) // 2 if self.how.solver == "heun" else self.how.steps
        return steps.times(torch.full((1,), steps.SIGMA_MAX), count)[:, 0]

    def _pictures(self, planes: torch.Tensor, ok: torch.Tensor, draws: Rows) -> torch.Tensor:
        """Pixels [B, 3, H', W'] of the rows that are ``ok``, grey elsewhere."""
        pixels = planes.new_full((len(planes), 3, *planes.shape[2:]), GREY)
        for rows in ok.nonzero()[:, 0].split(TOGETHER) if bool(ok.any()) else ():
            with torch.no_grad(), torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.how.precision == "bf16"):
                pixels[rows] = self._generated(planes[rows], draws.select(rows))
        return pixels

    def _generated(self, planes: torch.Tensor, fresh: Rows) -> torch.Tensor:
        from semcom.models.semantic_unet import pixels_of

        levels = self.levels()
        x = vp.start(fresh(), float(levels[0]))
        sampler = samplers.SOLVERS[SOLVERS[self.how.solver][0]]
        made = sampler(self._denoiser(planes), x, torch.full_like(x, float(levels[0])), levels[:, None].expand(-1, len(x)), fresh)
        return pixels_of(self.network.upsampler(made, planes))

    def _denoiser(self, planes: torch.Tensor) -> samplers.Denoise:
        from semcom.models.semantic_unet import normalised

        def with_map(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return self.network(x, sigma[:, 0, 0, 0], planes)

        def without(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return self.network(x, sigma[:, 0, 0, 0])

        inside, (low, high) = samplers.guided(with_map, without, self.how.guidance), (normalised(level) for level in (0.0, 1.0))
        return lambda x, sigma: inside(x, sigma).clamp(low, high)
