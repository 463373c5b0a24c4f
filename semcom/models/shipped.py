"""Networks of our own by name: weights that ship, or a folder that `semcom train` wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcom.errors import WeightsError
from semcom.models import storage, weights

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Shipped:
    """Where the weights of a network are. ``name``: weights that ship (``semcom weights list``), or a folder.

    ``network``: the class that they must be of, such as ``JSCC``.

    Example::

        Shipped("runs/jscc/weights", "JSCC").load()
    """

    name: str
    network: str

    def file(self) -> Path:
        """The file of the weights on this machine. Raises: WeightsError with one sentence that says what to do."""
        if self.name in weights.TABLE:
            return weights.find(self.name)
        folder = Path(self.name).expanduser()
        if not folder.is_dir():
            ships = ", ".join(weights.TABLE) or "none yet"
            raise WeightsError(
                f"there are no weights '{self.name}'; allowed: a name that ships ({ships}), or the `weights` folder that "
                "`semcom train` wrote (docs/training.md)"
            )
        return storage.weights_file(folder)

    def identity(self) -> str:
        """What tells these weights from others, wherever they lie: their SHA-256, or their name where they cannot be had."""
        try:
            return storage.digest(self.file())
        except WeightsError:
            return self.name

    def load(self, device: str = "cpu") -> nn.Module:
        """The network in float32, frozen. Raises: WeightsError."""
        import torch

        net = storage.load_network(self.file().parent)
        if type(net).__name__ != self.network:
            raise WeightsError(f"'{self.name}' holds a {type(net).__name__}; expected a {self.network}")
        return net.to(device, memory_format=torch.channels_last)

    def facts(self) -> dict[str, Any]:
        """What the training said of them."""
        return storage.facts(self.file().parent)
