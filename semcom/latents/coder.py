"""Pictures to latents that can be sent, and back: an autoencoder with what is known of its latents."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import lazy_loader as lazy
import numpy as np

from semcom.errors import DataError, ScenarioError
from semcom.latents import tables
from semcom.latents.allocation import relative
from semcom.latents.codec import LatentCodec
from semcom.latents.named import found, stamp
from semcom.models import storage
from semcom.models.pretrained import Pretrained

torch = lazy.load("torch")

#: pictures that pass through a network together; memory, no number, depends on it
TOGETHER = 16
#: batches of latents kept, so that pictures that are sent again with another allocation are not encoded again
KEPT = 32
TINY = 1e-12
#: what both ends have, as a ledger says it
KNOWN = "the autoencoder, with statistics and coding tables of its latents"
#: too small to change anything, and not 0
TRACE = 1e-20
#: spread of channels without tables: TAESD with 16 channels has 0.18 on CamVid, with 4 channels 0.10
USUAL_SPREAD = 0.2

#: side information of an autoencoder whose latents have a scale of their own: quarter decibels from -32 dB
SCALE_BITS = 8
SCALE_STEP_DB = 0.25
SCALE_LOWEST_DB = -32.0


class LatentCoder:
    """A prepared autoencoder with C latent channels at 1/``factor`` of the resolution.

    ``power`` and ``sensitivity`` float64 [C], relative: mean squares of the channels, and how much an error in them
    counts; 1 where nothing is known. ``spread`` [C]: relative deviation of the powers from picture to picture.
    ``encoder``: digest of what the latents follow from. ``side_bits``: what has to be said of each picture's scale, 0 where latents have unit RMS inside the model.
    ``codec``: None without tables.
    """

    def __init__(self, pretrained: Pretrained, device: str):
        self.pretrained, self.device = pretrained, device
        self.file = pretrained.file()
        self.model = pretrained.load(device)
        self.channels, self.factor = self.model.channels, self.model.factor
        self.encoder = storage.encoder_digest(self.file)
        self.side_bits = 0 if self.model.normalised else SCALE_BITS
        known = tables.load(self.file, storage.digest(self.file))
        self.codec = None if known is None else LatentCodec(known)
        self.sensitivity = np.ones(self.channels) if known is None else relative(known.sensitivity)
        self.spread = np.full(self.channels, USUAL_SPREAD) if known is None else known.spread.astype(np.float64)
        own = self.model.normalised or known is None  # the model's statistics, not those of the tables
        self.power = relative(self.model.power.cpu().numpy() if own else known.power)
        mean = np.zeros(self.channels) if own else known.mean
        self._mean = torch.tensor(mean, dtype=torch.float32, device=device)[None, :, None, None]
        self._kept: OrderedDict[bytes, torch.Tensor] = OrderedDict()

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of the latents of pictures of ``size`` (H, W). Raises: DataError where they do not divide."""
        if any(side % self.factor for side in size):
            raise DataError(
                f"pictures are {size[0]}x{size[1]} and the autoencoder '{self.pretrained.name}' has {self.factor}x{self.factor} "
                f"pixels a latent; give a size whose sides are multiples of {self.factor}"
            )
        return size[0] // self.factor, size[1] // self.factor

    def leading(self, pixels: torch.Tensor, count: int) -> torch.Tensor:
        """float32 [B, count, h, w]: centred latents of the leading channels; unit RMS over them, per image, where
        the model's are normalised."""
        latents = self._all(pixels)[:, :count]
        return unit_rms(latents)[0] if self.model.normalised else latents

    def _all(self, pixels: torch.Tensor) -> torch.Tensor:
        key = hashlib.blake2b(repr(pixels.shape).encode() + pixels.cpu().numpy().tobytes(), digest_size=16).digest()
        if key not in self._kept:
            self.grid(tuple(pixels.shape[2:]))
            with torch.no_grad(), _exact():
                parts = [self.model.encode(part.to(self.device)) for part in pixels.split(TOGETHER)]
            self._kept[key] = torch.cat(parts) - self._mean
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def pictures(self, latents: torch.Tensor) -> torch.Tensor:
        """float32 pixels [B, 3, H, W] of leading channels [B, n, h, w]; the others are at their means."""
        missing = self.channels - latents.shape[1]
        full = torch.nn.functional.pad(latents.to(self.device), (0, 0, 0, 0, 0, missing)) + self._mean
        with torch.no_grad(), _exact():
            return torch.cat([self.model.decode(part) for part in full.split(TOGETHER)])


def coder(pretrained: Pretrained, device: str) -> LatentCoder:
    """The prepared autoencoder, one for all that name it. Raises: WeightsError."""
    file = found(pretrained)
    beside = (file, file.parent / storage.FACTS, tables.path_of(file))
    return _coder(pretrained, str(device), file, tuple(stamp(path) for path in beside if path.is_file()))


@lru_cache(maxsize=4)
def _coder(pretrained: Pretrained, device: str, file: Path, seen: tuple[tuple[int, int], ...]) -> LatentCoder:
    return LatentCoder(pretrained, device)


@contextmanager
def _exact() -> Iterator[None]:
    """Convolutions in float32 throughout: TensorFloat-32, cuDNN's default, would change the third digit."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


def unit_rms(latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents [B, ...] of mean square 1 per image, and the RMS float32 [B] that they had."""
    rms = latents.flatten(1).square().mean(dim=1).clamp(min=TINY).sqrt()
    return latents / rms.reshape(-1, *[1] * (latents.ndim - 1)), rms


def marked(latents: torch.Tensor) -> torch.Tensor:
    """Latents [B, n, h, w] of channels that were sent. A channel that is 0 all over gets the smallest trace: networks
    may take one without any for a channel that was not sent, and for another scale of the others."""
    silent = ~(latents != 0).any(dim=3, keepdim=True).any(dim=2, keepdim=True)
    return torch.where(silent, TRACE, latents)


def scale_to_bits(scale: torch.Tensor) -> torch.Tensor:
    """uint8 [B, 8]: the code of the next larger scale, so that what is divided by it has at most unit RMS."""
    db = 20.0 * scale.double().clamp(min=TINY).log10()
    code = ((db - SCALE_LOWEST_DB) / SCALE_STEP_DB).ceil().to(torch.int64)
    if bool((code >= 2**SCALE_BITS).any()):
        largest = 10.0 ** ((SCALE_LOWEST_DB + SCALE_STEP_DB * (2**SCALE_BITS - 1)) / 20.0)
        raise ScenarioError(f"latents have an RMS of {float(scale.max()):.3g}; the scale's {SCALE_BITS} bits reach {largest:.3g}")
    return ((code.clamp(min=0)[:, None] >> _places(code.device)) & 1).to(torch.uint8)


def bits_to_scale(bits: torch.Tensor) -> torch.Tensor:
    """float32 [B] from uint8 [B, 8]"""
    code = (bits.to(torch.int64) << _places(bits.device)).sum(1)
    return (10.0 ** ((SCALE_LOWEST_DB + SCALE_STEP_DB * code.double()) / 20.0)).to(torch.float32)


def _places(device: torch.device) -> torch.Tensor:
    return torch.arange(SCALE_BITS - 1, -1, -1, device=device)
