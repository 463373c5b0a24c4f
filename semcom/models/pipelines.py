"""Stable Diffusion's pipelines by name: a local folder, or a hub id pinned by its commit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from semcom.errors import WeightsError
from semcom.models import hub, storage

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

#: parts of a pipeline of the family of Stable Diffusion 1 and 2, and what newer families have beside
PARTS, NEWER = ("unet", "vae", "text_encoder", "tokenizer", "scheduler"), ("text_encoder_2", "transformer")
#: what of a folder changes pictures
NUMBERS = (".json", ".txt", ".safetensors")


@dataclass(frozen=True)
class NamedPipeline:
    """Where a pipeline's files are, and those of a ControlNet that may stand beside it.

    ``name``, ``controlnet``: a folder that save_pretrained wrote, or a hub id; ``revision``: the commit of a hub id.

    Example::

        NamedPipeline("models/stable-diffusion").load("image", "cpu", "float32")
    """

    name: str
    revision: str | None = None
    controlnet: str | None = None
    controlnet_revision: str | None = None

    def folders(self) -> tuple[Path, ...]:
        """Of the pipeline, and of the ControlNet where there is one. Raises: WeightsError with one sentence that says what to do."""
        if find_spec("transformers") is None:
            raise WeightsError(f"the pipeline '{self.name}' needs the package transformers; pip install 'semcom[hub]'")
        found = [_folder(self.name, self.revision, storage.INDEX, hub.pipeline)]
        said = storage.read_json(found[0] / storage.INDEX)
        if any(part not in said for part in PARTS) or any(part in said for part in NEWER):
            raise WeightsError(
                f"'{self.name}' is a {said.get('_class_name')}; expected a pipeline of the family of Stable Diffusion 1 or 2, "
                f"whose {storage.INDEX} names {', '.join(PARTS)}"
            )
        if self.controlnet is not None:
            found.append(_folder(self.controlnet, self.controlnet_revision, storage.CONFIG, hub.snapshot))
        return tuple(found)

    def digest(self) -> str:
        """SHA-256 over the files that change its numbers, wherever they lie. Raises: WeightsError."""
        found = hashlib.sha256()
        for folder in self.folders():
            for path in sorted(path for path in folder.rglob("*") if path.suffix in NUMBERS):
                found.update(f"{path.relative_to(folder)} {storage.stamped_digest(path)}\n".encode())
        return found.hexdigest()

    def load(self, start: bool, device: str, precision: str) -> DiffusionPipeline:
        """The pipeline that goes on from a picture (``start``), or from noise; along a painted map if it has a ControlNet.

        Raises: WeightsError.
        """
        import diffusers
        import torch

        folder, *control = self.folders()
        kinds = {
            (True, False): diffusers.StableDiffusionImg2ImgPipeline,
            (False, True): diffusers.StableDiffusionControlNetPipeline,
            (True, True): diffusers.StableDiffusionControlNetImg2ImgPipeline,
        }
        how = {"local_files_only": True, "use_safetensors": True}
        try:
            with torch.random.fork_rng(devices=[]):  # new networks draw weights, which are then replaced
                parts = {"controlnet": diffusers.ControlNetModel.from_pretrained(place, **how) for place in control}
                made = kinds[start, bool(control)].from_pretrained(
                    folder, safety_checker=None, requires_safety_checker=False, **how, **parts
                )
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise WeightsError(f"'{self.name}' cannot be loaded as a pipeline of diffusers: {reason}") from error
        made.set_progress_bar_config(disable=True)
        return made.to(device, getattr(torch, precision))


def _folder(name: str, revision: str | None, sign: str, from_hub) -> Path:
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / sign).is_file():
            raise WeightsError(f"'{path}' holds no {sign}; it should be a folder that diffusers' save_pretrained wrote")
        return path
    if not hub.is_id(name):
        raise WeightsError(f"there is no pipeline '{name}'; allowed: a local folder, or a hub id such as owner/name with its revision")
    return from_hub(name, revision)
