"""Learned perceptual distances: LPIPS over three backbones, each a column of its own."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import lazy_loader as lazy

from semcom.errors import WeightsError
from semcom.metrics import backbones
from semcom.metrics.backbones import ALEX, SQUEEZE, VGG, Backbone
from semcom.metrics.base import MetricDescription, PerImage, Quantity

torch = lazy.load("torch")


class _LPIPS(MetricDescription):
    BACKBONE: ClassVar[Backbone]
    #: the smallest side [pixels] that leaves every layer of the backbone something to look at
    SMALLEST: ClassVar[int]

    def available(self) -> str | None:
        if backbones.find(self.BACKBONE) is not None or backbones.may_download():
            return None
        return f"{self.kind} is left out: {backbones.absent(self.BACKBONE)}"

    def check(self, size: tuple[int, int]) -> str | None:
        if min(size) >= self.SMALLEST:
            return None
        height, width = size
        return f"{self.kind} needs a short side of at least {self.SMALLEST} pixels and the images are {height}x{width}; leave it out"

    def identity(self) -> dict[str, Any]:
        """Parameters, version and the digest of the backbone's weights (None where they are absent)."""
        return {**super().identity(), "weights": backbones.digest(self.BACKBONE)}

    def build(self, device: torch.device | str = "cpu") -> PerImage:
        """Raises: WeightsError where the weights are absent, damaged or of another network."""
        net = _network(self.BACKBONE).to(device)
        return PerImage(self.kind, _Distance(net), device, self.check, backbones.digest(self.BACKBONE))


class LPIPSAlex(_LPIPS):
    """Learned perceptual distance of each image over AlexNet: how different two pictures look to people.

    Differences of channel-normalised features of five layers, weighted per channel so that they agree with
    human judgments (the lpips package's version 0.1), averaged over the picture and summed over the
    layers; inputs scaled to [-1, 1]. The backbone is torchvision's ImageNet AlexNet, found in torch's
    cache or in the folder named by SEMCOM_WEIGHTS; downloaded only with SEMCOM_DOWNLOAD=1.

    Shapes: two batches float32 [B, 3, H, W] in [0, 1], sides of at least 31 -> {"lpips_alex": float64 [B]}.
    Units: none, 0 for identical pictures, lower is better. Backbones must not be compared with each other.
    References: Zhang, Isola, Efros, Shechtman, Wang 2018, eq. 1.

    Example::

        metric: {kind: lpips_alex}
    """

    kind: Literal["lpips_alex"] = "lpips_alex"
    COLUMNS: ClassVar = {"lpips_alex": Quantity("LPIPS (AlexNet)", "lower", bounds=(0.0, None))}
    BACKBONE: ClassVar = ALEX
    SMALLEST: ClassVar = 31


class LPIPSVGG(_LPIPS):
    """Learned perceptual distance of each image over VGG-16: how different two pictures look to people.

    As ``lpips_alex`` with the features of five layers of torchvision's ImageNet VGG-16 (528 MB). Often a
    training loss of learned systems: look at another backbone as well where that may be so.

    Shapes: two batches float32 [B, 3, H, W] in [0, 1], sides of at least 16 -> {"lpips_vgg": float64 [B]}.
    Units: none, 0 for identical pictures, lower is better. Backbones must not be compared with each other.
    References: Zhang, Isola, Efros, Shechtman, Wang 2018, eq. 1.

    Example::

        metric: {kind: lpips_vgg}
    """

    kind: Literal["lpips_vgg"] = "lpips_vgg"
    COLUMNS: ClassVar = {"lpips_vgg": Quantity("LPIPS (VGG)", "lower", bounds=(0.0, None))}
    BACKBONE: ClassVar = VGG
    SMALLEST: ClassVar = 16


class LPIPSSqueeze(_LPIPS):
    """Learned perceptual distance of each image over SqueezeNet: how different two pictures look to people.

    As ``lpips_alex`` with the features of seven layers of torchvision's ImageNet SqueezeNet 1.1 (5 MB), the
    smallest of the three backbones.

    Shapes: two batches float32 [B, 3, H, W] in [0, 1], sides of at least 17 -> {"lpips_squeeze": float64 [B]}.
    Units: none, 0 for identical pictures, lower is better. Backbones must not be compared with each other.
    References: Zhang, Isola, Efros, Shechtman, Wang 2018, eq. 1; Iandola et al. 2016.

    Example::

        metric: {kind: lpips_squeeze}
    """

    kind: Literal["lpips_squeeze"] = "lpips_squeeze"
    COLUMNS: ClassVar = {"lpips_squeeze": Quantity("LPIPS (SqueezeNet)", "lower", bounds=(0.0, None))}
    BACKBONE: ClassVar = SQUEEZE
    SMALLEST: ClassVar = 17


class _Distance:
    """The network as a function of pixels in [0, 1]."""

    def __init__(self, net: torch.nn.Module):
        self.net = net

    def __call__(self, original: torch.Tensor, reconstruction: torch.Tensor) -> torch.Tensor:
        # TensorFloat-32, cuDNN's default for convolutions, would change the third digit
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            return self.net(original, reconstruction, normalize=True).flatten().double()


def _network(backbone: Backbone) -> torch.nn.Module:
    """The lpips package's network with its linear weights and the backbone's features, frozen."""
    features = backbones.load(backbone)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # making a network draws weights, which are then replaced; and the package calls torchvision the old way
        warnings.simplefilter("ignore")
        import lpips

        net = lpips.LPIPS(net=backbone.net, pnet_rand=True, verbose=False)
    _fill(net.net, features, backbone)
    return net.eval().requires_grad_(False)


def _fill(slices: torch.nn.Module, features: Mapping[str, torch.Tensor], backbone: Backbone) -> None:
    """Load ``features`` into the package's slices, whose layers keep their numbers (``slice2.3.weight``)."""
    state = {}
    for name, present in slices.state_dict().items():
        key = name.partition(".")[2]
        found = tuple(features[key].shape) if key in features else "missing"
        if found != tuple(present.shape):
            raise WeightsError(
                f"{backbones.find(backbone)} does not hold {backbone.title}: its '{key}' is {found}, "
                f"expected {tuple(present.shape)}; get {backbone.url}"
            )
        state[name] = features[key]
    slices.load_state_dict(state)
