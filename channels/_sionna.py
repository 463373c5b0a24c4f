"""The one door to Sionna: imported late, and without disturbing torch's global generators."""

from __future__ import annotations

import functools
from types import ModuleType

import lazy_loader as lazy

torch = lazy.load("torch")


@functools.cache
def sionna_phy() -> ModuleType:
    """The module ``sionna.phy``.

    Its import seeds torch's global generators (CPU and every GPU) at random; they are put back as they were.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        import sionna.phy
    return sionna.phy


def device_name(device: torch.device | str) -> str:
    """A device as Sionna writes it: 'cpu' or 'cuda:0', never plain 'cuda'."""
    device = torch.device(device)
    return f"cuda:{device.index or 0}" if device.type == "cuda" else str(device)
