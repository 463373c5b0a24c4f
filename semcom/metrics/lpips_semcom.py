"""A learned perceptual distance on weights that ship, for where no standard LPIPS backbone can be had."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field

from semcom.errors import WeightsError
from semcom.latents.named import DEFAULT, digests, found
from semcom.metrics.base import MetricDescription, PerImage, Quantity
from semcom.models import storage
from semcom.models.pretrained import Pretrained

torch = lazy.load("torch")

#: where a folder's facts keep the weights of the layers
FACT = "perceptual"


class LPIPSSemcom(MetricDescription):
    """Perceptual distance of each image on the features of this package's own encoder: how differently it sees them.

    The construction of LPIPS: features after each residual block (of the block autoencoder: after its two convolutions
    of pixels), scaled to unit length at each place, their squared differences summed over channels, averaged over the
    picture and over the layers, with the weights that the folder of the autoencoder names (fitted on training
    pictures), else uniform ones. No human judgments went into it, and the autoencoder's own systems are judged by
    features of their own encoder: it is no LPIPS, is never compared with one, and stands in a column of its own. The
    model card shows how its ranks correlate with those of lpips_squeeze.

    Shapes: two batches float32 [B, 3, H, W] in [0, 1], sides multiples of 8 -> {"lpips_semcom": float64 [B]}.
    Units: none, 0 for identical pictures, lower is better.
    References: Zhang, Isola, Efros, Shechtman, Wang 2018, eq. 1, the construction.

    Example::

        metric: {kind: lpips_semcom}
    """

    kind: Literal["lpips_semcom"] = "lpips_semcom"
    COLUMNS: ClassVar = {"lpips_semcom": Quantity("LPIPS construction (own encoder)", "lower", bounds=(0.0, None))}
    autoencoder: str = Field(DEFAULT, min_length=1, description="weights that ship, a local folder or file, or a hub id")
    revision: str | None = Field(None, description="commit of a hub id, 40 hex digits")

    @property
    def pretrained(self) -> Pretrained:
        return Pretrained(self.autoencoder, self.revision)

    def available(self) -> str | None:
        try:
            found(self.pretrained)
        except WeightsError as error:
            return f"{self.kind} is left out: {error}"
        return None

    def check(self, size: tuple[int, int]) -> str | None:
        if all(side % 8 == 0 for side in size):
            return None
        return f"{self.kind} needs sides that are multiples of 8 and the images are {size[0]}x{size[1]}; leave it out"

    def identity(self) -> dict[str, Any]:
        plain = {name: value for name, value in super().identity().items() if name not in ("autoencoder", "revision")}
        return {**plain, "weights": digests(self.pretrained)["weights"], "layers": self._weights()}

    def _weights(self) -> list[float]:
        try:
            folder = found(self.pretrained).parent
        except WeightsError:
            return []
        return storage.facts(folder).get(FACT, {}).get("weights", [])

    def build(self, device: torch.device | str = "cpu") -> PerImage:
        """Raises: WeightsError where the weights are absent, damaged, or have no residual blocks."""
        from semcom.models.perceptual import EncoderDistance

        net = EncoderDistance(self.pretrained.load(str(device)), self._weights()).to(device)
        return PerImage("lpips_semcom", _Distance(net), device, self.check, digests(self.pretrained)["weights"] or "")


class _Distance:
    """The network as a function of pixels in [0, 1], a few pictures at a time, in float32 throughout."""

    TOGETHER = 16

    def __init__(self, net: torch.nn.Module):
        self.net = net

    def __call__(self, original: torch.Tensor, reconstruction: torch.Tensor) -> torch.Tensor:
        pairs = zip(original.split(self.TOGETHER), reconstruction.split(self.TOGETHER), strict=True)
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            return torch.cat([self.net(a, b) for a, b in pairs]).double()
