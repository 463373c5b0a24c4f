"""The ImageNet networks behind LPIPS: where their weights are looked for, checked and read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import lazy_loader as lazy

from semcom.errors import WeightsError

torch = lazy.load("torch")

FOLDER = "SEMCOM_WEIGHTS"
DOWNLOAD = "SEMCOM_DOWNLOAD"


@dataclass(frozen=True)
class Backbone:
    """One of torchvision's classifiers. ``net`` is its name in the lpips package, ``file`` torchvision's file."""

    net: str
    title: str
    file: str

    @property
    def url(self) -> str:
        return f"https://download.pytorch.org/models/{self.file}"

    @property
    def files(self) -> tuple[str, str]:
        """torchvision's file of the whole classifier, or only its features without the ``features.`` prefix."""
        return self.file, f"{self.net}.backbone.pth"


ALEX = Backbone("alex", "AlexNet", "alexnet-owt-7be5be79.pth")
VGG = Backbone("vgg", "VGG-16", "vgg16-397923af.pth")
SQUEEZE = Backbone("squeeze", "SqueezeNet 1.1", "squeezenet1_1-b8a52dc0.pth")


def hub_folder() -> Path:
    """Where torch keeps downloaded weights; torch.hub.get_dir() without importing torch."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


def find(backbone: Backbone) -> Path | None:
    """The file with a backbone's weights: in the user's folder, in its lpips/, or in torch's cache; or None."""
    named = os.environ.get(FOLDER)
    folders = ([Path(named).expanduser(), Path(named).expanduser() / "lpips"] if named else []) + [hub_folder()]
    candidates = (folder / file for folder in folders for file in backbone.files)
    return next((path for path in candidates if path.is_file()), None)


def may_download() -> bool:
    return os.environ.get(DOWNLOAD, "") == "1"


def absent(backbone: Backbone) -> str:
    """The sentence that says which file is missing and what to do."""
    return (
        f"the {backbone.title} weights are not on this machine: set {DOWNLOAD}=1 to let them be downloaded, or put "
        f"{backbone.url} into {hub_folder()} or into a folder named by {FOLDER}"
    )


def load(backbone: Backbone) -> Mapping[str, torch.Tensor]:
    """The feature layers' weights by their names in the classifier (``0.weight``).

    Raises: WeightsError where they are absent (a download is tried only with SEMCOM_DOWNLOAD=1), damaged,
    or not the file that its name promises.
    """
    path = find(backbone) or _download(backbone)
    return _read(path, backbone, _stamp(path))


def digest(backbone: Backbone) -> str | None:
    """SHA-256 of the feature layers' weights, the same for any file that holds them; None where they are absent."""
    path = find(backbone)
    return None if path is None else _digest(path, backbone, _stamp(path))


def _download(backbone: Backbone) -> Path:
    if not may_download():
        raise WeightsError(absent(backbone))
    path = hub_folder() / backbone.file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(backbone.url, str(path), hash_prefix=_promised(backbone), progress=False)
    except (OSError, RuntimeError) as error:
        raise WeightsError(f"{backbone.url} could not be downloaded ({error}); put it into {path.parent} by hand") from error
    return path


def _promised(backbone: Backbone) -> str:
    """The first digits of the file's SHA-256, which torchvision writes into its name."""
    return Path(backbone.file).stem.rsplit("-", 1)[-1]


def _stamp(path: Path) -> tuple[int, int]:
    """Changes when the file does, so that what was read of it may be kept."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=1)
def _read(path: Path, backbone: Backbone, stamp: tuple[int, int]) -> Mapping[str, torch.Tensor]:
    import pickle

    if path.name == backbone.file:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if not found.startswith(_promised(backbone)):
            raise WeightsError(
                f"{path} is damaged: its SHA-256 starts with {found[:8]} and should with {_promised(backbone)}; "
                f"get {backbone.url} again"
            )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, OSError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path} cannot be read as weights ({type(error).__name__}); get {backbone.url} again") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path} does not hold named weights; expected those of {backbone.title}, as in {backbone.url}")
    return {key.removeprefix("features."): value.float() for key, value in state.items() if not key.startswith("classifier.")}


@lru_cache(maxsize=8)
def _digest(path: Path, backbone: Backbone, stamp: tuple[int, int]) -> str:
    total = hashlib.sha256()
    for key, value in sorted(_read(path, backbone, stamp).items()):
        total.update(f"{key} {tuple(value.shape)}\n".encode())
        total.update(value.contiguous().numpy().tobytes())
    return total.hexdigest()
