"""The codecs by name, whether this Pillow has them, and the versions that their bytes depend on."""

from __future__ import annotations

from functools import lru_cache

import PIL
from PIL import Image, features

from semcom.codecs.avif import AVIF
from semcom.codecs.base import DECODING_ERRORS, Codec, Undecodable
from semcom.codecs.jpeg import JPEG
from semcom.codecs.jpeg2000 import JPEG2000
from semcom.codecs.webp import WebP
from semcom.errors import ScenarioError, allowed

_CODECS: dict[str, Codec] = {c.name: c for c in (JPEG(), JPEG2000(), WebP(), AVIF())}

NAMES: tuple[str, ...] = tuple(_CODECS)


def codec(name: str) -> Codec:
    """The codec of a name; ScenarioError where there is none, or this Pillow was built without it."""
    if name not in _CODECS:
        raise ScenarioError(f"there is no codec '{name}'; {allowed(name, NAMES)}")
    if reason := _missing(name):
        raise ScenarioError(
            f"codec '{name}' does not work with the installed Pillow {PIL.__version__} ({reason}); "
            "install Pillow 11.3 or newer from its published wheels, or name another codec"
        )
    return _CODECS[name]


def numbered(number: int) -> Codec | None:
    """The codec of a number in a payload header; None where there is none."""
    return next((codec(c.name) for c in _CODECS.values() if c.number == number), None)


def versions(name: str | None = None) -> dict[str, str]:
    """Pillow and the libraries behind a codec, or behind all of them: a file's bytes depend on these builds."""
    libraries = [lib for c in _CODECS.values() if name in (None, c.name) for lib in c.libraries]
    return {"pillow": PIL.__version__} | {lib: features.version(lib) or "absent" for lib in libraries}


@lru_cache
def _missing(name: str) -> str | None:
    """Why a codec cannot be used, or None. A file is the proof: an AVIF library may lack the encoder, or write other boxes."""
    made, size = _CODECS[name], (16, 16)
    if not features.check(made.feature):
        return f"PIL.features has no '{made.feature}'"
    try:
        file = made.encode(Image.linear_gradient("L").resize(size).convert("RGB"), 50)
        stream = made.strip(file)
        made.check(stream, size)
        exact = made.rebuild(stream, size, 50) == file
    except (*DECODING_ERRORS, Undecodable) as error:
        return str(error)
    return None if exact else "its files are not laid out as expected"
