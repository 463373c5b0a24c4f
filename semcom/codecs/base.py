"""A still-picture codec: a file, its elementary stream, and the way back."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

from PIL import Image

#: What Pillow's decoders raise for a file that is damaged (RuntimeError is libavif's, SyntaxError a bad header).
DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, RuntimeError)

Size = tuple[int, int]  # (width, height), as Pillow has it


class Undecodable(Exception):
    """A payload that is no picture."""


class Codec(ABC):
    """One codec of Pillow, at fixed settings but for its quality.

    A file holds an elementary stream and constant bytes: constant given the size of the picture and the
    quality. `strip` takes the stream out, `rebuild` puts the same file together again, byte by byte; the
    constant bytes come from a `template`, the file that the same codec writes for a grey picture.
    """

    name: ClassVar[str]
    number: ClassVar[int]  #: in the payload header, 0 to 7; never changes
    feature: ClassVar[str]  #: what Pillow calls it in PIL.features
    libraries: ClassVar[tuple[str, ...]]  #: what PIL.features.version knows of the libraries behind it
    qualities: ClassVar[tuple[int, ...]]  #: increasing, each 0 to 255; at most about 12 % more bytes a step where it matters
    constant: ClassVar[str]  #: what `strip` leaves out, in words

    @abstractmethod
    def encode(self, image: Image.Image, quality: int) -> bytes:
        """The whole file of an RGB picture."""

    @abstractmethod
    def strip(self, file: bytes) -> bytes:
        """The elementary stream; Undecodable where the file is not laid out as `encode` does it."""

    @abstractmethod
    def rebuild(self, stream: bytes, size: Size, quality: int) -> bytes:
        """The whole file."""

    @abstractmethod
    def check(self, stream: bytes, size: Size) -> None:
        """Undecodable where what the stream says of its size is not ``size``: a decoder believes it and allocates."""

    def unwrap(self, file: bytes, size: Size, quality: int) -> bytes:
        """The stream of a whole file that arrived; Undecodable unless it is the very file that `encode` makes of it."""
        stream = self.strip(file)
        if self.rebuild(stream, size, quality) != file:
            raise Undecodable(f"not a {self.name} file of {size}")
        return stream

    def decode(self, stream: bytes, size: Size, quality: int) -> Image.Image:
        """The RGB picture of a stream; Undecodable where there is none of this size."""
        self.check(stream, size)
        file = io.BytesIO(self.rebuild(stream, size, quality))
        try:
            with Image.open(file, formats=[self.feature_format]) as image:
                if image.size != size:
                    raise Undecodable(f"a {self.name} picture of {image.size}; expected {size}")
                return image.convert("RGB")
        except DECODING_ERRORS as error:
            raise Undecodable(f"{self.name} cannot decode the stream: {error}") from error

    @property
    def feature_format(self) -> str:
        """Pillow's name of the file format."""
        return self.name.upper()

    def template(self, size: Size, quality: int) -> bytes:
        """The file of a grey picture, from which constant bytes are copied."""
        return _template(self, size, quality)


@lru_cache(maxsize=512)
def _template(codec: Codec, size: Size, quality: int) -> bytes:
    return codec.encode(Image.new("RGB", size, (128, 128, 128)), quality)


def save(image: Image.Image, settings: Mapping[str, object]) -> bytes:
    """What Pillow writes."""
    file = io.BytesIO()
    image.save(file, **settings)
    return file.getvalue()
