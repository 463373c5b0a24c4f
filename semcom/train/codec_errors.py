"""How far codecs' pictures are from the originals as an autoencoder sees them: what `semcom weights codecs` measures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from semcom import codecs
from semcom.codecs.payload import HEADER_BYTES
from semcom.codecs.resample import SCALES, coded_size, resample
from semcom.latents import reencoded
from semcom.latents.coder import LatentCoder
from semcom.latents.reencoded import LOWEST, OCTAVE, CodecErrors, measured
from semcom.models.pretrained import Pretrained
from semcom.train.pack import Pack
from semcom.train.tables import pictures

#: qualities that are tried at each resolution, evenly spread over those that the codec has
QUALITIES = 14
#: files longer than this, in bits per pixel, are as good as the original
HIGHEST = 4.0


def make(name: str, packs: Sequence[str | Path], size: tuple[int, int], count: int) -> Path:
    """Measure on at most ``count`` pictures, evenly spread over ``packs``, at ``size`` (H, W), and write what was found beside the
    weights of the autoencoder ``name``. Raises: WeightsError, DataError, ScenarioError."""
    coder = LatentCoder(Pretrained(name), "cpu")
    originals = torch.cat(list(pictures([Pack.open(pack) for pack in packs], size, count, "cpu")))
    tables = {codec: of_codec(coder, codecs.codec(codec), originals) for codec in codecs.NAMES}
    path = reencoded.path_of(coder.file)
    CodecErrors(coder.encoder, tables).save(path)
    return path


def of_codec(coder: LatentCoder, codec: codecs.Codec, originals: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(bits per pixel, slopes, levels) of pictures float32 [N, 3, H, W]: means over the files that are the best of their length."""
    clean, sums = coder.leading(originals, coder.channels), {}
    spent: dict[float, list[float]] = {}
    for picture, z in zip(originals, clean, strict=True):
        image = Image.fromarray((picture * 255.0).round().to(torch.uint8).permute(1, 2, 0).numpy())
        files = list(_best(codec, image))
        shown = torch.from_numpy(np.stack([decoded for _, decoded in files])).permute(0, 3, 1, 2) / 255.0
        for (rate, _), y in zip(files, coder.leading(shown, coder.channels), strict=True):
            place = round(math.log2(rate / LOWEST) * OCTAVE)
            moments = torch.stack([z * z, y * z, y * y]).double().mean(dim=(2, 3)).numpy()
            sums[place] = sums.get(place, 0.0) + moments
            spent.setdefault(place, []).append(math.log(rate))
    # a rate that a few pictures alone can have would be theirs and not the codec's
    common = [place for place in sums if len(spent[place]) >= len(originals) / 2]
    return measured({math.exp(np.mean(spent[place])): sums[place] / len(spent[place]) for place in common})


def _best(codec: codecs.Codec, image: Image.Image) -> Iterator[tuple[float, np.ndarray]]:
    """(bits per pixel, picture uint8 [H, W, 3]) of files of which none is shorter and better, over resolutions and qualities."""
    original, made = np.asarray(image, dtype=np.int16), []
    chosen = np.unique(np.linspace(0, len(codec.qualities) - 1, QUALITIES).astype(int))
    for resolution in range(len(SCALES)):
        small = resample(image, coded_size(image.size, resolution))
        for quality in (codec.qualities[place] for place in chosen):
            stream = codec.strip(codec.encode(small, quality))
            rate = 8.0 * (HEADER_BYTES + len(stream)) / (original.shape[0] * original.shape[1])
            decoded = np.asarray(resample(codec.decode(stream, small.size, quality), image.size))
            made.append((rate, int(np.square(decoded - original, dtype=np.int32).sum(dtype=np.int64)), decoded))
            if rate > HIGHEST:
                break
    least = math.inf
    for rate, error, decoded in sorted(made, key=lambda file: file[:2]):
        if error < least:
            least = error
            yield rate, decoded
