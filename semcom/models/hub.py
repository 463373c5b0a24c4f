"""Weights of Hugging Face's hub: at a pinned commit, from the cache, downloaded only with permission."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from semcom.errors import WeightsError
from semcom.models import storage

#: as for every other download of the package: never without permission
DOWNLOAD = "SEMCOM_DOWNLOAD"
_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


def is_id(name: str) -> bool:
    """Whether a name looks like owner/name."""
    return bool(_HUB_ID.match(name))


#: of a pipeline: what diffusers reads, without copies in half precision and of other kinds
_PIPELINE = ("model_index.json", "*/*.json", "*/*.txt", "*/*.safetensors")
_COPIES = ("*.fp16.*", "*non_ema*", "safety_checker/*")


def snapshot(name: str, revision: str | None, subfolder: str | None = None, also: Sequence[str] = ()) -> Path:
    """The folder of the hub repository ``name`` at the commit ``revision``, with its config and weights, and the files
    ``also`` where there are any. Raises: WeightsError with one sentence that says what to do."""
    at = f"{subfolder}/" if subfolder else ""
    files = [f"{at}config.json", f"{at}*.safetensors", *(f"{at}{file}" for file in also)]
    folder = _folder(name, revision, files, f"{at}{storage.CONFIG}", f"{at}config.json and its .safetensors file", "put both")
    return folder / subfolder if subfolder else folder


def pipeline(name: str, revision: str | None) -> Path:
    """The folder of a whole pipeline of diffusers on the hub at a commit. Raises: WeightsError as `snapshot`."""
    wanted = "model_index.json and the folders that it names, with their .json, .txt and .safetensors files,"
    return _folder(name, revision, _PIPELINE, storage.INDEX, wanted, "put them", _COPIES)


def _folder(
    name: str, revision: str | None, files: Sequence[str], sign: str, wanted: str, put: str, without: Sequence[str] = ()
) -> Path:
    """Where the cache has ``files`` of a repository, once they are there; ``sign`` is one that has to be."""
    from huggingface_hub import constants, snapshot_download

    if not (revision and _COMMIT.match(revision)):
        raise WeightsError(
            f"'{name}' is a hub id without a pinned commit (revision: {revision}); give the 40 hex digits "
            f"of the commit that huggingface.co/{name}/commits/main shows"
        )
    permitted = os.environ.get(DOWNLOAD, "") == "1"
    reason = f"downloads are off ({DOWNLOAD}=1 lets it download)"
    for offline in (True, False) if permitted else (True,):
        try:
            folder = snapshot_download(
                name, revision=revision, allow_patterns=list(files), ignore_patterns=list(without), local_files_only=offline,
                cache_dir=os.environ.get("HF_HUB_CACHE"), endpoint=os.environ.get("HF_ENDPOINT"),
            )  # fmt: skip
        except (OSError, ValueError, RuntimeError) as error:  # the hub's errors are of these three families
            if not offline:
                reason = f"the download failed ({type(error).__name__})"
        else:
            if (Path(folder) / sign).is_file():
                return Path(folder)
            reason = f"the repository's {sign} is not among the downloaded files"
    cache = os.environ.get("HF_HUB_CACHE") or constants.HF_HUB_CACHE
    raise WeightsError(
        f"'{name}' at {revision} is not in '{cache}' and {reason}; get {wanted} "
        f"from huggingface.co/{name}/tree/{revision}, {put} into a folder and name that folder"
    )
