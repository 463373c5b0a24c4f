"""Autoencoders by name: weights that ship, a local folder or file, or a hub id pinned by its commit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcom.errors import WeightsError
from semcom.models import hub, storage, weights

if TYPE_CHECKING:
    from semcom.models.autoencoder import Autoencoder


@dataclass(frozen=True)
class Pretrained:
    """Where the weights of an autoencoder are.

    ``name``: weights that ship (``semcom weights list``), a folder written by diffusers or by ``semcom train``, a
    .safetensors file of an AutoencoderTiny (8-bit floats are fine), or a hub id such as ``madebyollin/taesd``.
    ``revision``: the commit of a hub id, 40 hex digits. ``subfolder``: where in a hub repository or folder.

    Example::

        Pretrained("weights/taesd.safetensors").load()
    """

    name: str
    revision: str | None = None
    subfolder: str | None = None

    def file(self) -> Path:
        """The file of the weights on this machine. Raises: WeightsError with one sentence that says what to do."""
        if self.name in weights.TABLE:
            return weights.find(self.name)
        path = Path(self.name).expanduser()
        if path.is_file():
            return path
        if path.is_dir():
            return storage.weights_file(path / self.subfolder if self.subfolder else path)
        if not hub.is_id(self.name):
            shipped = ", ".join(weights.TABLE) or "none yet"
            raise WeightsError(
                f"there are no weights '{self.name}'; allowed: a name that ships ({shipped}), a local folder or .safetensors "
                "file, or a hub id such as owner/name with its revision"
            )
        return storage.weights_file(hub.snapshot(self.name, self.revision, self.subfolder))

    def digest(self) -> str:
        """SHA-256 of the weights, for the identity of what uses them."""
        return storage.digest(self.file())

    def load(self, device: str = "cpu") -> Autoencoder:
        """The autoencoder in float32, frozen. Raises: WeightsError."""
        import torch

        from semcom.models.autoencoder import Autoencoder

        path = self.file()
        facts = storage.facts(path.parent)
        if not (path.parent / storage.CONFIG).is_file():
            net = storage.build(_tiny(path), path)
        else:
            net = storage.load_network(path.parent)
        if not hasattr(net, "decode"):
            raise WeightsError(f"'{path.parent}' holds a {type(net).__name__}; expected an AutoencoderTiny or AutoencoderKL")
        model = Autoencoder(net, normalised=facts.get("normalised", False))
        for name in ("mean", "power"):
            if name in facts.get("latents", {}):
                getattr(model, name).copy_(torch.tensor(facts["latents"][name]))
        return model.eval().requires_grad_(False).to(device)


def _tiny(path: Path) -> dict[str, Any]:
    """The config of an AutoencoderTiny that a bare file of weights belongs to: diffusers' own, but for the latents."""
    state = storage.read_state(path)
    first = state.get("decoder.layers.0.weight")
    if first is None:
        raise WeightsError(f"'{path}' has no config.json beside it and is no AutoencoderTiny (no decoder.layers.0.weight)")
    width, channels = first.shape[:2]
    return {
        "_class_name": "AutoencoderTiny",
        "latent_channels": channels,
        "encoder_block_out_channels": [width] * 4,
        "decoder_block_out_channels": [width] * 4,
    }
