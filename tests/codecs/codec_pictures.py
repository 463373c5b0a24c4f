"""Pictures for the tests of the codecs: photographs that are installed with scikit-image, and noise."""

from functools import cache

import numpy as np
import torch
from PIL import Image
from skimage import data

from semcom.types import ImageBatch, Received, ReceivedBits


@cache
def photograph(name: str, width: int, height: int) -> Image.Image:
    """The upper left square of a packaged photograph, at a size."""
    whole = Image.fromarray(getattr(data, name)())
    side = min(whole.size)
    return whole.crop((0, 0, side, side)).resize((width, height), Image.Resampling.LANCZOS)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8))


def batch(*pictures: Image.Image) -> ImageBatch:
    pixels = torch.stack([torch.from_numpy(np.array(p)).permute(2, 0, 1) / 255.0 for p in pictures])
    return ImageBatch(pixels, tuple(f"picture{i}" for i in range(len(pictures))))


def arrived(message, ok=None) -> Received:
    """A message as an error-free link hands it on; the ledger is no matter of a codec."""
    part = message.parts["image"]
    ok = torch.tensor([reason is None for reason in message.infeasible]) if ok is None else torch.tensor(ok)
    return Received({"image": ReceivedBits(part.bits, part.lengths, ok)}, usage=None, image_size=message.image_size)
