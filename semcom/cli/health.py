"""What of an installation is there, and what to do about what is not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from semcom import registry
from semcom.store.provenance import package_versions


@dataclass(frozen=True)
class Finding:
    name: str
    ok: bool
    text: str


def examine() -> list[Finding]:
    """Every finding, in the order in which a user would want to read them."""
    return [*_python(), *_device(), *_packages(), *_channels(), *_codecs(), *_metrics(), *_plugins()]


def _python() -> Iterator[Finding]:
    yield Finding("python", sys.version_info >= (3, 11), f"{sys.version.split()[0]} ({sys.executable}); 3.11 or newer is needed")


def _device() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
        yield Finding("device", True, f"GPU: {names}; --device auto uses the first")
    else:
        reason = "this torch was built without CUDA" if torch.version.cuda is None else "torch sees no GPU or no driver"
        yield Finding("device", True, f"CPU, {torch.get_num_threads()} threads ({reason}); everything runs, only slower")


def _packages() -> Iterator[Finding]:
    for name, version in package_versions().items():
        yield Finding(name, version is not None, version or f"absent (pip install {name})")


def _channels() -> Iterator[Finding]:
    """Django Channels installs a package of the same name."""
    import channels

    ours = (Path(channels.__file__).parent / "awgn.py").is_file()
    text = str(Path(channels.__file__).parent)
    yield Finding("channels", ours, text if ours else f"{text} is another package of that name; pip uninstall channels, then install semcom again")


def _codecs() -> Iterator[Finding]:
    from semcom.codecs import versions

    for name, version in versions().items():
        yield Finding(f"codec {name}", version is not None, version or "absent from this build of Pillow; pip install --upgrade pillow")


def _metrics() -> Iterator[Finding]:
    folder = os.environ.get("SEMCOM_WEIGHTS")
    yield Finding("SEMCOM_WEIGHTS", folder is None or Path(folder).is_dir(), folder or "not set (a folder of weights to use instead of downloads)")
    for kind in registry.kinds("metric"):
        reason = registry.find("metric", kind)().available()
        yield Finding(f"metric {kind}", reason is None, reason or "ready")


def _plugins() -> Iterator[Finding]:
    for role in registry.TABLE:
        for kind, target in registry.kinds(role).items():
            if kind not in registry.TABLE[role]:
                yield Finding(f"plugin {role}/{kind}", True, target)
