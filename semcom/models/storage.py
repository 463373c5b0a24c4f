"""A folder with a network: diffusers' config.json, its weights as safetensors in half precision or in 8 bits."""

from __future__ import annotations

import copy
import hashlib
import importlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semcom.errors import WeightsError, allowed

if TYPE_CHECKING:
    import torch
    from torch import nn

#: what diffusers reads by itself, and what only this package does
HALF, INT8 = "diffusion_pytorch_model.safetensors", "weights_int8.safetensors"
FILES = {"half": HALF, "int8": INT8}
CONFIG, FACTS, CARD = "config.json", "semcom.json", "CARD.md"
#: what a folder of a whole pipeline of diffusers says of its parts
INDEX = "model_index.json"
#: diffusers' classes that a config may name
CLASSES = ("AutoencoderTiny", "AutoencoderKL", "UNet2DModel", "UNet2DConditionModel")
#: how the names of an autoencoder's tensors begin that only its decoder uses
DECODER = ("decoder.", "post_quant_conv.")
#: statistics of a batch normalisation that has seen nothing
NEW_STATISTICS = {"running_mean": 0, "running_var": 1, "num_batches_tracked": 0}
#: networks of our own that are saved as diffusers' are: class -> module
OWN = {
    "BlockAutoencoder": "semcom.models.block_autoencoder",
    "JSCC": "semcom.models.jscc",
    "Segmenter": "semcom.models.segmenter.network",
    "LatentDenoiser": "semcom.models.denoiser",
    "SpadeGenerator": "semcom.models.spade_generator",
    "SemanticUNet": "semcom.models.semantic_unet",
}


def save_network(net: nn.Module, folder: Path, precision: str = "half") -> Path:
    """Write a diffusers network into ``folder`` and return the file of its weights."""
    import torch
    from safetensors.torch import save_file

    from semcom.models.eight_bit import quantise

    if precision not in FILES:
        raise ValueError(f"precision '{precision}' was given; {allowed(precision, FILES)}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILES[precision]
    small = in_use(net)
    if precision == "half":
        small.half().to(memory_format=torch.contiguous_format).save_pretrained(folder, safe_serialization=True)
    else:
        small.save_config(folder)
        state = {name: value for name, value in small.state_dict().items() if not _as_in_a_new_network(name, value)}
        save_file({name: value.contiguous() for name, value in quantise(state, exact=getattr(net, "EXACT", ())).items()}, path, metadata={"format": "pt"})
    return path


def in_use(net: nn.Module) -> nn.Module:
    """A copy on the CPU that computes the same when it is used, but not when it is trained: each batch normalisation is one
    scale and one shift a channel, and its statistics are those of a new network, means 0 and variances 1."""
    import torch

    copied = copy.deepcopy(net).cpu()
    with torch.no_grad():
        for norm in copied.modules():
            if isinstance(norm, torch.nn.modules.batchnorm._BatchNorm) and norm.affine and norm.track_running_stats:
                gain = norm.weight / (norm.running_var + norm.eps).sqrt()
                norm.bias -= gain * norm.running_mean
                norm.weight.copy_(gain * (1.0 + norm.eps) ** 0.5)
                norm.reset_running_stats()
    return copied


def _as_in_a_new_network(name: str, value: torch.Tensor) -> bool:
    """Whether a tensor is a statistic that a new network has anyway."""
    new = NEW_STATISTICS.get(name.rpartition(".")[2])
    return new is not None and bool((value == new).all())


def load_network(folder: Path) -> nn.Module:
    """The network in ``folder``, in float32 and ready for use. Raises: WeightsError."""
    return build(config(folder), weights_file(folder))


def build(said: dict[str, Any], path: Path) -> nn.Module:
    """The network of a diffusers config with the weights of a safetensors file, which must fit exactly."""
    import inspect

    import torch

    from semcom.models.eight_bit import dequantise

    name = said.get("_class_name")
    if name not in (*CLASSES, *OWN):
        raise WeightsError(f"'{path.parent}' holds a '{name}'; {allowed(name, (*CLASSES, *OWN))}")
    made = getattr(importlib.import_module(OWN.get(name, "diffusers")), name)
    known = inspect.signature(made.__init__).parameters  # a saved config also holds what diffusers derives, and warns about
    with torch.random.fork_rng(devices=[]):  # a new network draws weights, which are then replaced
        net = made.from_config({key: value for key, value in said.items() if key in known or key.startswith("_")})
    new = {name: value for name, value in net.state_dict().items() if _as_in_a_new_network(name, value)}
    try:
        net.load_state_dict({**new, **dequantise(read_state(path))}, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"'{path}' does not fit the {name} of its config: {reason}") from error
    return net.eval().requires_grad_(False)


def read_state(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"'{path}' cannot be read as safetensors ({error}); get it again") from error


def weights_file(folder: Path) -> Path:
    """The one file of weights in a folder. Raises: WeightsError where there is none, or several."""
    found = [folder / name for name in (HALF, INT8) if (folder / name).is_file()] or sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        what = ", ".join(path.name for path in found) or "none"
        raise WeightsError(
            f"'{folder}' should hold one file of weights ({HALF} or {INT8}) and holds {what}; name the file itself"
        )
    return found[0]


def digest(path: Path) -> str:
    """SHA-256 of a file. Raises: WeightsError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"'{path}' cannot be read ({error.strerror or error})") from error


def encoder_digest(path: Path) -> str:
    """SHA-256 of all of an autoencoder's tensors but its decoder's: what its latents follow from, whoever decodes them."""
    import torch

    hashed = hashlib.sha256()
    for name, value in sorted(read_state(path).items()):
        if not name.startswith(DECODER):
            hashed.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            hashed.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()


def stamp(path: Path) -> tuple[int, int]:
    """Changes when the file does, so that what was read of it may be kept."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def stamped_digest(path: Path) -> str | None:
    """SHA-256 of a file, read once as long as it does not change; None where there is none. Raises: WeightsError."""
    return _kept_digest(path, stamp(path)) if path.is_file() else None


@lru_cache(maxsize=256)
def _kept_digest(path: Path, seen: tuple[int, int]) -> str:
    return digest(path)


def facts(folder: Path) -> dict[str, Any]:
    """What a folder says of its weights beside diffusers' config; empty for weights that are not ours."""
    path = folder / FACTS
    return read_json(path) if path.is_file() else {}


def write_facts(folder: Path, values: dict[str, Any]) -> None:
    write_json(folder / FACTS, values)


def write_json(path: Path, values: dict[str, Any], indent: int | None = 2) -> None:
    """Whole or not at all; ``indent=None``: in one line."""
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(json.dumps(values, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def config(folder: Path) -> dict[str, Any]:
    """What a folder's config.json says. Raises: WeightsError."""
    path = folder / CONFIG
    if not path.is_file():
        raise WeightsError(f"'{folder}' holds no {CONFIG}; it should be a folder that diffusers' save_pretrained wrote")
    return read_json(path)


def read_json(path: Path) -> dict[str, Any]:
    """Raises: WeightsError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"'{path}' cannot be read as JSON ({error}); get it again") from error
