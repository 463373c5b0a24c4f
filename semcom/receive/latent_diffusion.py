"""Noisy latents, a label map, or both, to a picture that is likely: diffusion started at the channel's own noise level."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field

from semcom.diffusion import samplers, steps
from semcom.diffusion.draws import Draws, Rows, with_samples
from semcom.errors import ScenarioError
from semcom.latents.coder import LatentCoder
from semcom.latents.dequantised import dequantised
from semcom.latents.received import Latents, arrived, whole
from semcom.protocols import Context
from semcom.receive.of_latents import OfLatents
from semcom.rng import Streams
from semcom.types import GREY, Received, ReceivedBits, ReceivedReals, Reconstruction

if TYPE_CHECKING:
    from semcom.models.denoiser import LatentDenoiser

torch = lazy.load("torch")

#: the part of a message that holds a label map
MAP = "map"
#: transmit kinds that send one
MAPS = frozenset({"segmentation_map", "oracle_map", "index_map", "physical_map", "oracle_physical_map"})
#: `steps: auto`: levels of noise, in units of unit-RMS latents, up to which so many evaluations are taken: the fewest that were best in
#: LPIPS on the tuning images (docs/receivers.md has the table)
EVALUATIONS = ((0.45, 1), (0.8, 2), (4.0, 3), (39.0, 5), (math.inf, 8))
#: pictures that pass through the network together; memory, no number, depends on it
TOGETHER = 16
#: evaluations of the ancestral sampler, whose steps have to be finer than those of the others
OF_A_SAMPLE = 25


class LatentDiffusion(OfLatents):
    """Generates the picture from the latents that arrived: diffusion, started at the noise level of each element.

    An unbiased latent that arrived is clean latent plus noise, which is where a diffusion model starts. The denoiser
    knows the level of every element, from 0 to inf, so that unequal powers, fading, lost elements and channels that were
    not sent are one and the same thing. `steps: 1` is its MMSE estimate, smooth where the noise is strong; several steps
    lead to one sharp picture that is likely given what arrived: one and the same for a latent that arrived in full (`euler`,
    `heun`, `multistep`), or another one with each draw of the decoder's stream (`ancestral`). 0 is the linear estimate of
    `receive: vae`. What was lost or not sent starts from that stream's noise and is filled in; without any latent the
    picture is made from the map alone. `auto` takes more steps where noise is strong. Where all channels arrived at
    `hand_over_db` or better, the plain decoder shows what there is.

    A label map that comes with the message (a part named `map`, in any form) conditions the denoiser, `guidance` times as
    strongly as it was trained (another evaluation a step unless 0 or 1), and is handed on beside the picture. It may come beside
    latents (`map_and_latent`), or alone (`segmentation_map`, `index_map`, `physical_map`): then the picture is invented from it. Generation invents: what is sharp need not be true. `samples`
    draws so many pictures of what may have been sent, and how far they differ is the uncertainty of each pixel.

    `steps: fast` is one evaluation in a second mode of the same weights, where they have one: it was trained for the picture that the
    decoder makes of it, of all channels. Where no latent arrived at all, the first mode makes the picture in several steps.

    The denoiser estimates channels that were not sent, too. A decoder that was trained to do without them does better
    without until these are known well: `decode: sent` leaves them out, and `all` is for receivers with a good map.

    Latents may have come as bits, too (`vae_latent_quantised`): the values that the coder restores are as noisy as its steps are wide,
    with a level for each element (`semcom.latents.dequantised`); a code that did not arrive is a latent that did not.

    Latents have unit RMS over the channels that were sent; the denoiser knows those channels' usual power, and was trained with
    pictures in the scale that this leaves. Give transmit and receive the same autoencoder.

    Units: noise levels in message units, 0 to inf. A picture of which neither latent nor map arrived is a failure.
    References: Karras, Aittala, Aila, Laine 2022, "Elucidating the design space of diffusion-based generative models";
    Lu et al. 2022, DPM-Solver++, `multistep`; Ho, Salimans 2022, guidance.

    Example::

        receive: {kind: latent_diffusion, steps: auto, solver: multistep}
    """

    NETWORK: ClassVar[str] = "LatentDenoiser"
    RECIPE: ClassVar[str] = "recipes/latent_denoiser.yaml"
    VERSION: ClassVar[int] = 2  # only what is decoded is sampled; levels halve where steps are few; precision is the decoder's, too
    #: `map_and_latent` is understood as one of these
    TAKES: ClassVar[frozenset[str]] = frozenset({"vae_latent", "vae_latent_quantised"}) | MAPS

    kind: Literal["latent_diffusion"] = "latent_diffusion"
    weights: str = Field("latent_denoiser", description="a name of `semcom weights list`, or a folder that `semcom train` wrote")
    steps: Literal["auto", "fast"] | Annotated[int, Field(ge=0)] = Field(
        "auto",
        description="evaluations of the denoiser on the way (heun: about two a step); auto: from the noise level; 0: none; "
        "fast: one, in the weights' fast mode",
    )
    solver: Literal["euler", "heun", "multistep", "ancestral"] = Field(
        "multistep", description="ODE of first or second order, or the reverse stochastic process (ancestral)"
    )
    map: Literal["use", "ignore"] = Field("use", description="a label map that comes with the message")
    guidance: float = Field(1.0, ge=0.0, description="how strongly the map counts: 0 not at all, 1 as trained, more insists on it")
    decode: Literal["sent", "all"] = Field(
        "sent",
        description="latent channels that the decoder gets: those that were sent, or all; all where no latent arrived",
    )
    hand_over_db: float | None = Field(
        25.0, description="Es/N0 of the worst element from which the linear estimate is shown as it is, dB; null: never"
    )
    samples: int = Field(0, ge=0, description="pictures that are drawn beside the one that is shown, and give its uncertainty")
    precision: Literal["float32", "bf16", "fp16"] = Field(
        "float32", description="arithmetic of denoiser and decoder; their weights are float32"
    )

    @classmethod
    def choices(cls, field: str) -> tuple[Any, ...]:
        return {"guidance": (1.0, 1.5, 2.0), "decode": ("sent", "all")}.get(field, ())

    def build(self, context: Context) -> DiffusionReceiver:
        made, network = self.loaded(context.device)
        if self.steps == "fast" and not network.has_fast:
            raise ScenarioError(
                f"receive: latent_diffusion has steps: fast, and its weights '{self.weights}' have no fast mode; give a number of "
                "steps or auto, or train the mode (recipes/latent_denoiser_fast.yaml)"
            )
        return DiffusionReceiver(self, made, network)


class DiffusionReceiver:
    """A prepared `semcom.protocols.Receiver`."""

    def __init__(self, description: LatentDiffusion, made: LatentCoder, network: LatentDenoiser):
        self.how, self.coder, self.network = description, made, network
        self.fast = description.steps == "fast"
        self._power = torch.tensor(made.power, dtype=torch.float32, device=made.device)

    def decode(self, received: Received, streams: Streams) -> Reconstruction:
        part = received.parts.get("latent")
        if isinstance(part, ReceivedReals):
            return self.shown(arrived(self.coder, part), part.ok, received, streams)
        if isinstance(part, ReceivedBits):
            found = dequantised(self.coder, part, received.image_size)
            return self.shown(found, found.ok, received, streams)
        if MAP in received.parts:
            return self.shown(None, torch.zeros(len(streams), dtype=torch.bool), received, streams)
        raise ScenarioError("receive: latent_diffusion needs the part 'latent' of `transmit: vae_latent`, or a label map")

    def shown(self, found: Latents | None, ok: torch.Tensor, received: Received, streams: Streams) -> Reconstruction:
        """Pictures of the latents that were found in a message, where there are any, and of the map in it; ``ok`` bool [B]."""
        values, sigma = self._nothing(len(streams), received.image_size) if found is None else self.whole(found)
        clean, ok = self._clean(found, len(values)), ok.to(values.device)
        planes = self._planes(received, values)
        ok = ok if planes is None else ok | planes[:, -1].flatten(1).any(1)
        sent, draws = 0 if found is None else found.values.shape[1], Draws(streams, values.shape[1:], values.device)
        channels = self._channels(sigma, 0 if self.fast else sent)
        counts = self._evaluations(sigma, clean, channels)
        latents = self._generated(values, sigma, planes, counts, channels, self.how.solver, draws("shown"), self.fast)
        pixels = self._pictures(latents, channels)
        if found is not None and bool((counts == 0).any()):  # what needs no denoiser is shown as the plain decoder shows it
            pixels = torch.where((counts == 0)[:, None, None, None].to(pixels.device), found.plain(self.coder), pixels)
        made = Reconstruction(torch.where(ok[:, None, None, None], pixels, GREY), ok, self._labels(received))
        return self._with_samples(made, values, sigma, planes, sent, draws) if self.how.samples else made

    def whole(self, found: Latents) -> tuple[torch.Tensor, torch.Tensor]:
        """(values, noise levels) float32 [B, C, h, w] of all channels, in the denoiser's scale; inf where nothing arrived."""
        return whole(found, self._power)

    def _nothing(self, rows: int, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        """As `whole`, of a message without latents."""
        values = torch.zeros((rows, len(self._power), *self.coder.grid(size)), device=self._power.device)
        return values, torch.full_like(values, math.inf)

    def _clean(self, found: Latents | None, rows: int) -> torch.Tensor:
        """bool [B]: all channels were sent and arrived at the SNR from which there is nothing to add, or better."""
        if self.how.hand_over_db is None or found is None or found.values.shape[1] < len(self._power):
            return torch.zeros(rows, dtype=torch.bool)
        return found.within(10.0 ** (-self.how.hand_over_db / 20.0))

    def _channels(self, sigma: torch.Tensor, sent: int) -> torch.Tensor:
        """int64 [B]: leading channels that the decoder gets, and that are sampled: the ``sent`` ones, where some of these arrived.

        The others are left unknown on the way: samples of channels that nobody decodes would cost steps and tell nothing.
        """
        everything = torch.full((len(sigma),), len(self._power))
        if self.how.decode == "all" or sent == 0:
            return everything
        return torch.where(sigma.isfinite().flatten(1).any(1).cpu(), sent, everything)

    def _evaluations(self, sigma: torch.Tensor, clean: torch.Tensor, channels: torch.Tensor) -> torch.Tensor:
        """int64 [B]: how many evaluations each row takes."""
        if self.how.steps == "auto":
            decoded = torch.arange(sigma.shape[1]) < channels[:, None]
            start = steps.start_of(torch.where(decoded[:, :, None, None].to(sigma.device), sigma, 0.0)).cpu()
            limits = torch.tensor([limit for limit, _ in EVALUATIONS])
            counts = torch.tensor([count for _, count in EVALUATIONS])[torch.bucketize(start, limits)]
        else:
            counts = torch.full((len(sigma),), 1 if self.fast else self.how.steps)
            if self.fast:  # the mode starts from latents; without any, a picture takes the steps of the first mode
                counts[sigma.isinf().flatten(1).all(1).cpu()] = EVALUATIONS[-1][1]
        return torch.where(clean.cpu(), 0, counts)

    def _planes(self, received: Received, values: torch.Tensor) -> torch.Tensor | None:
        """Planes of the label map that came with the message, None without one."""
        if self.how.map == "ignore" or MAP not in received.parts:
            return None
        from semcom.maps.received import soft_map
        from semcom.models.denoiser import planes_of

        shown = soft_map(received)
        return planes_of(shown.probabilities.to(values.device), shown.known.to(values.device), tuple(values.shape[2:]))

    def _labels(self, received: Received) -> torch.Tensor | None:
        """The label map int64 [B, H, W] that came with the message, as it is shown beside the picture; None without one."""
        if self.how.map == "ignore" or MAP not in received.parts:
            return None
        from semcom.maps.received import received_map

        return received_map(received).labels.to(self.coder.device)

    def _generated(
        self, values: torch.Tensor, sigma: torch.Tensor, planes: torch.Tensor | None, counts: torch.Tensor, channels: torch.Tensor,
        solver: str, draws: Rows, fast: bool = False,
    ) -> torch.Tensor:  # fmt: skip
        """Latents [B, C, h, w] of the leading ``channels``; rows that take as many evaluations pass together."""
        made = torch.zeros_like(values)
        for count, width in torch.stack([counts, channels], 1).unique(dim=0).tolist():
            for rows in ((counts == count) & (channels == width)).nonzero()[:, 0].split(TOGETHER) if count else ():
                some = rows.to(values.device)
                denoise = self._denoiser(None if planes is None else planes[some], fast)
                made[some, :width] = self._sampled(denoise, values[some], sigma[some], count, width, solver, draws.select(rows))
        return made

    def _sampled(
        self, denoise: samplers.Denoise, values: torch.Tensor, sigma: torch.Tensor, count: int, width: int, solver: str, fresh: Rows
    ) -> torch.Tensor:
        missing = (0, 0, 0, 0, 0, values.shape[1] - width)

        def leading(x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
            pad = torch.nn.functional.pad
            return denoise(pad(x, missing), pad(s, missing, value=math.inf))[:, :width]

        values, sigma = values[:, :width], sigma[:, :width]
        with torch.no_grad(), self._arithmetic():
            if count == 1:  # the estimate itself, of a sample of the posterior too
                return leading(values, sigma)
            # heun looks twice at each step but the first and the last
            stops = max(2, count // 2 + 1) if solver == "heun" else count
            levels = steps.times(steps.start_of(sigma), stops)
            return samplers.SOLVERS[solver](leading, values, sigma, levels, lambda: fresh()[:, :width])

    def _denoiser(self, planes: torch.Tensor | None, fast: bool = False) -> samplers.Denoise:
        def without(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return self.network(x, sigma, None, _all(x, fast))

        def with_map(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return self.network(x, sigma, planes, _all(x, fast))

        return without if planes is None else samplers.guided(with_map, without, self.how.guidance)

    def _pictures(self, latents: torch.Tensor, channels: torch.Tensor) -> torch.Tensor:
        """Pixels of the leading ``channels`` of each row, of unit RMS over them."""
        parts, everything = [], len(self._power)
        for width in channels.unique().tolist():
            rows = (channels == width).nonzero()[:, 0]
            some = latents[rows.to(latents.device), :width]
            with self._arithmetic():
                shown = self.coder.pictures(some if width == everything else some / self._power[:width].mean().sqrt())
            parts.append((rows, shown.float()))
        order = torch.cat([rows for rows, _ in parts]).argsort()
        return torch.cat([shown for _, shown in parts])[order.to(latents.device)]

    def _arithmetic(self) -> torch.autocast:
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.how.precision)
        return torch.autocast(self._power.device.type, half, enabled=half is not None)

    def _with_samples(
        self, made: Reconstruction, values: torch.Tensor, sigma: torch.Tensor, planes: torch.Tensor | None, sent: int, draws: Draws
    ) -> Reconstruction:
        """With samples of the posterior, and their deviation at each pixel."""
        counts, channels = torch.full((len(values),), OF_A_SAMPLE), self._channels(sigma, sent)
        drawn = [
            self._pictures(self._generated(values, sigma, planes, counts, channels, "ancestral", draws(f"sample {number}")), channels)
            for number in range(self.how.samples)
        ]
        return with_samples(made, drawn)


def _all(x: torch.Tensor, fast: bool) -> torch.Tensor | None:
    """All rows in the fast mode, or none."""
    return torch.ones(len(x), dtype=torch.bool, device=x.device) if fast else None
