"""What made a results folder: commit, versions, device, command."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "semcom", "torch", "torchvision", "sionna-no-rt", "numpy", "scipy", "pandas", "pillow", "scikit-image", "lpips",
    "pytorch-msssim", "pyarrow", "pydantic", "matplotlib", "diffusers", "accelerate", "safetensors", "constriction",
    "segmentation-models-pytorch",
)  # fmt: skip


def package_versions() -> dict[str, str | None]:
    """Installed versions; None for what is absent."""
    return {name: _version(name) for name in PACKAGES}


def commit() -> str | None:
    """The commit of a source checkout, with "+changes" where files differ from it; None in an installed copy."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        git = lambda *words: subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True).stdout  # noqa: E731
        return git("rev-parse", "HEAD").strip() + ("+changes" if git("status", "--porcelain", "-uno").strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def provenance(device: str, codecs: dict[str, str | None], evaluators: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """What a reader needs to make the numbers again. ``evaluators``: the networks that scored what arrived."""
    import torch

    return {
        "command": " ".join(["semcom", *sys.argv[1:]]) if sys.argv else None,
        "commit": commit(),
        "packages": package_versions(),
        "codecs": codecs,
        **({"evaluators": list(evaluators)} if evaluators else {}),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else f"cpu ({torch.get_num_threads()} threads)",
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
