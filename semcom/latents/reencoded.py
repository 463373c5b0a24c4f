"""A codec's picture as latents with noise: how far the latents of a decoded file are from the original's, by its rate.

The encoder sees a decoded file as another picture, whose latents y are those of the original, z, weakened and disturbed, each channel
in its own way: y = a z + e with E e z = 0. So y / a is unbiased and has the noise level sqrt(E e^2) / a. Both are measured on training
pictures for each codec over bits per pixel (`semcom weights codecs`) and lie beside the weights, in NAME.codecs.json. At equal bits
per pixel the levels of pictures differ by a fifth or so; the rest is known, because the receiver knows how long the file was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lazy_loader as lazy
import numpy as np

from semcom.errors import WeightsError
from semcom.latents.coder import LatentCoder
from semcom.models import storage

torch = lazy.load("torch")

SUFFIX = ".codecs.json"
#: rates at which files are compared: half octaves of bits per pixel, from here on
LOWEST, OCTAVE = 1.0 / 64.0, 2
#: slopes and levels are at least this
LEAST = 1e-3


@dataclass(frozen=True, eq=False)
class CodecErrors:
    """What codecs do to the latents of one autoencoder with C channels.

    ``encoder``: digest of its encoder (`semcom.models.storage.encoder_digest`). ``tables``: codec -> rates float64 [R] in bits per pixel, increasing, and of each the slopes
    and noise levels [R, C] of the channels, in units of latents of unit RMS.
    """

    encoder: str
    tables: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]

    def at(self, codec: str, rate: float) -> tuple[np.ndarray, np.ndarray]:
        """(slopes, levels) float64 [C] at a rate: geometric interpolation, and the nearest rate beyond the ends. KeyError for another codec."""
        rates, *columns = self.tables[codec]
        place = np.interp(np.log(max(rate, 1e-9)), np.log(rates), np.arange(len(rates)))
        low = np.minimum(int(place), max(len(rates) - 2, 0))
        share = place - low
        high = min(low + 1, len(rates) - 1)
        slopes, levels = (np.exp((1.0 - share) * np.log(x[low]) + share * np.log(x[high])) for x in columns)
        return slopes, levels

    def save(self, path: Path) -> None:
        names = ("bits_per_pixel", "slope", "level")
        tables = {codec: {name: x.round(5).tolist() for name, x in zip(names, columns, strict=True)} for codec, columns in self.tables.items()}
        storage.write_json(path, {"encoder": self.encoder, "codecs": tables}, indent=None)


@dataclass(frozen=True)
class Reencoded:
    """Latents of unit RMS over all C channels: ``values`` and ``levels`` float32 [B, C, h, w], inf where no file was decoded;
    ``pixels`` [B, 3, H, W], the codec's pictures."""

    values: torch.Tensor
    levels: torch.Tensor
    pixels: torch.Tensor

    def unbiased(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(latents of the codec's picture over their slopes, their noise levels)."""
        return self.values, self.levels

    def within(self, level: float) -> torch.Tensor:
        """bool [B]: no channel is noisier."""
        return (self.levels <= level).flatten(1).all(1)

    def plain(self, coder: LatentCoder) -> torch.Tensor:
        """The codec's pictures as they are: no autoencoder is needed to show these."""
        return self.pixels


def reencoded(coder: LatentCoder, errors: CodecErrors, pixels: torch.Tensor, files: Sequence[tuple[str, float] | None]) -> Reencoded:
    """Latents of decoded files ``pixels`` float32 [B, 3, H, W], of which ``files`` has codec and bits per pixel, None where none was."""
    found = [(np.ones(coder.channels), np.full(coder.channels, np.inf)) if file is None else errors.at(*file) for file in files]
    slopes, levels = (torch.tensor(np.stack(x), dtype=torch.float32, device=coder.device)[:, :, None, None] for x in zip(*found, strict=True))
    seen = coder.leading(pixels, coder.channels)
    return Reencoded(torch.where(levels.isfinite(), seen / slopes, 0.0), levels.expand_as(seen), pixels.to(coder.device))


def path_of(weights: Path) -> Path:
    """Where the codecs' errors in latents lie, beside a file of weights."""
    return weights.with_name(weights.stem + SUFFIX)


def load(weights: Path) -> CodecErrors:
    """What was measured for a file of weights. Raises: WeightsError where nothing was, or for other weights."""
    path = path_of(weights)
    again = f"measure them on training pictures: semcom weights codecs {weights.parent} PACK"
    if not path.is_file():
        raise WeightsError(f"the autoencoder '{weights.parent}' has no {path.name}, which tells how noisy codecs leave its latents; {again}")
    said = storage.read_json(path)
    if said.get("encoder") != storage.encoder_digest(weights):
        raise WeightsError(f"'{path}' was measured for another encoder than that of '{weights.name}'; {again}")
    return CodecErrors(said["encoder"], {codec: _columns(table) for codec, table in said["codecs"].items()})


def _columns(table: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(np.array(table[name], dtype=np.float64) for name in ("bits_per_pixel", "slope", "level"))


def measured(means: Mapping[float, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rates, slopes, levels) of means [3, C] of z z, y z and y y over elements, by rate: a = yz / zz, sqrt(E (y - a z)^2) / a."""
    rates = np.array(sorted(means))
    zz, yz, yy = np.stack([means[rate] for rate in rates], axis=1)
    slopes = np.maximum(yz / zz, LEAST)
    variance = np.maximum(yy - 2.0 * slopes * yz + slopes**2 * zz, 0.0)
    return rates, slopes, np.maximum(np.sqrt(variance) / slopes, LEAST)
